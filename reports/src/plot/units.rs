//! Values with units, for axes, tables and sentences.
//!
//! A parameter's unit is its suffix (`cpu_us`, `delay_ms`, `input_bytes`); anything else is a plain number. Times
//! are scaled to ns, µs, ms or s, sizes to B, KiB, MiB or GiB, with three significant digits.
use crate::record::{ParamValue, Params};

/// What a number measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A time; one of it is this many nanoseconds.
    Time(u64),
    /// A size; one of it is this many bytes.
    Size(u64),
    /// A plain number.
    Plain,
}

impl Unit {
    /// A time in nanoseconds, as the analysis gives them.
    pub(crate) const NS: Self = Self::Time(1);

    /// The unit that a parameter's name carries.
    pub(crate) fn of(param: &str) -> Self {
        match param.rsplit_once('_').map(|(_, suffix)| suffix) {
            Some("ns") => Self::Time(1),
            Some("us") => Self::Time(1_000),
            Some("ms") => Self::Time(1_000_000),
            Some("s") => Self::Time(1_000_000_000),
            Some("bytes") => Self::Size(1),
            Some("kib") => Self::Size(1 << 10),
            Some("mib") => Self::Size(1 << 20),
            _ => Self::Plain,
        }
    }

    /// `value` of this unit, scaled, rounded to three digits and with its unit.
    pub(crate) fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return "–".to_owned();
        }
        if value == 0.0 {
            return "0".to_owned();
        }
        let steps: &[(f64, &str)] = match self {
            Self::Time(_) => &[(1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1.0, " ns")],
            Self::Size(_) => {
                &[(1_073_741_824.0, " GiB"), (1_048_576.0, " MiB"), (1024.0, " KiB"), (1.0, " B")]
            }
            Self::Plain => &[(1e9, "G"), (1e6, "M"), (1e4, "k"), (1.0, "")],
        };
        let base = match self {
            Self::Time(of) | Self::Size(of) => value * of as f64,
            Self::Plain => value,
        };
        // The smallest step also serves what lies below it.
        let last = steps[steps.len() - 1];
        // 999.6 would round to 1000 of its unit: it belongs to the next one.
        let (of, suffix) = *steps.iter().find(|(of, _)| base.abs() >= of * 0.9995).unwrap_or(&last);
        // Plain numbers start their k at 10,000 but count in thousands.
        let of = if suffix == "k" { 1e3 } else { of };
        format!("{}{suffix}", significant(base / of, 3))
    }
}

/// `x` rounded to `digits` significant digits, without trailing zeros.
pub(crate) fn significant(x: f64, digits: i32) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let decimals = (digits - 1 - x.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{x:.decimals$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A ratio such as a speed-up: `23.9×`.
pub(crate) fn times(ratio: f64) -> String {
    if !ratio.is_finite() {
        return "–".to_owned();
    }
    if ratio.abs() < 0.995 { format!("{}×", significant(ratio, 2)) } else { format!("{}×", tenths(ratio)) }
}

fn tenths(ratio: f64) -> String {
    if ratio < 99.95 { format!("{ratio:.1}") } else { significant(ratio, 3) }
}

/// The value of a parameter with its unit; a name stays itself.
pub(crate) fn show_param(param: &str, value: &ParamValue) -> String {
    match value {
        ParamValue::Text(name) => name.clone(),
        number => number.as_f64().map_or_else(String::new, |x| Unit::of(param).show(x)),
    }
}

/// What a parameter means, in words, without its unit.
pub(crate) fn label(param: &str) -> String {
    match param {
        "cpu_us" => "CPU work per task".to_owned(),
        "wait_us" => "wait per task".to_owned(),
        "delay_ms" => "server delay".to_owned(),
        "input_bytes" => "input per task".to_owned(),
        other if Unit::of(other) == Unit::Plain => other.replace('_', " "),
        other => other.rsplit_once('_').map_or(other, |(stem, _)| stem).replace('_', " "),
    }
}

/// A value of a parameter within a sentence: `20.2 µs CPU work per task`.
pub(crate) fn amount(param: &str, value: f64) -> String {
    format!("{} {}", Unit::of(param).show(value), label(param))
}

/// Parameters as a reader says them: `wait per task 500 µs, tasks 24`.
pub(crate) fn describe(params: &Params) -> String {
    params
        .iter()
        .map(|(param, value)| format!("{} {}", label(param), show_param(param, value)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A finding with where it holds, so that the headlines of several pictures differ: `sha256, 500 µs wait per task: …`.
pub(crate) fn headed(params: &Params, finding: String) -> String {
    let part = |(param, value): (&String, &ParamValue)| match value.as_f64() {
        Some(x) => amount(param, x),
        None => value.to_string(),
    };
    let place = params.iter().map(part).collect::<Vec<_>>().join(", ");
    if place.is_empty() {
        return finding;
    }
    // A sentence begins with a capital, but not after a colon; names of strategies stay as they are.
    let begins = ["No ", "A ", "All ", "Several ", "The ", "Each ", "Every "];
    let capital = begins.iter().any(|word| finding.starts_with(word));
    let (first, rest) = finding.split_at(usize::from(capital));
    format!("{place}: {}{rest}", first.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_scaled_to_their_unit() {
        let us = Unit::of("cpu_us");
        assert_eq!(us.show(20.23), "20.2 µs");
        assert_eq!(us.show(0.26), "260 ns");
        assert_eq!(us.show(2000.0), "2 ms");
        assert_eq!(us.show(0.0), "0");
        assert_eq!(us.show(999.7), "1 ms");
        assert_eq!(Unit::NS.show(0.5), "0.5 ns");
        assert_eq!(Unit::of("input_bytes").show(65_536.0), "64 KiB");
        assert_eq!(Unit::of("input_bytes").show(1500.0), "1.46 KiB");
        assert_eq!(Unit::of("tasks").show(24.0), "24");
        assert_eq!(Unit::of("tasks").show(4096.0), "4096");
        assert_eq!(Unit::of("tasks").show(250_000.0), "250k");
        assert_eq!(Unit::Plain.show(f64::NAN), "–");
        assert_eq!(Unit::Plain.show(-0.125), "-0.125");
    }

    #[test]
    fn ratios_have_one_decimal() {
        assert_eq!((times(1.0), times(23.94), times(140.3)), ("1.0×".into(), "23.9×".into(), "140×".into()));
        assert_eq!((times(0.5), times(0.012)), ("0.5×".into(), "0.012×".into()));
    }

    #[test]
    fn a_cell_reads_as_a_sentence_part() {
        let params = Params::from([
            ("wait_us".to_owned(), ParamValue::Int(500)),
            ("kernel".to_owned(), ParamValue::Text("sha256".into())),
        ]);
        assert_eq!(describe(&params), "kernel sha256, wait per task 500 µs");
        assert_eq!(headed(&params, "a tie".to_owned()), "sha256, 500 µs wait per task: a tie");
        assert_eq!(headed(&params, "No tie".to_owned()), "sha256, 500 µs wait per task: no tie");
        assert_eq!(headed(&Params::new(), "No tie".to_owned()), "No tie");
        assert_eq!(label("payload_bytes"), "payload");
        assert_eq!(label("batch_size"), "batch size");
    }
}
