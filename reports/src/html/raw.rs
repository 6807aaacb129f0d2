//! A compact copy of the samples inside the page, so that it can be sent alone: a CSV behind a link, without a script.
use std::fmt::Write as _;

use crate::analysis::model::Analysis;
use crate::record::{ParamValue, Sample};

/// A longer copy is left out; the page links `samples.jsonl` in any case.
const LARGEST: usize = 200_000;

/// The samples as a `data:` link; `None` without samples, or with too many.
pub(super) fn copy(a: &Analysis, samples: &[Sample]) -> Option<String> {
    if samples.is_empty() {
        return None;
    }
    let mut csv = String::from("process,round,order,");
    for axis in &a.axes {
        let _ = write!(csv, "{},", field(&axis.param));
    }
    csv.push_str("strategy,batch,tasks,wall_ns,user_ns,sys_ns,rss_peak_kib,foreign_cores,ok,quarantined\n");
    for sample in samples {
        row(&mut csv, a, sample);
        if csv.len() > LARGEST {
            return None;
        }
    }
    Some(format!("data:text/csv;charset=utf-8,{}", percent_encoded(&csv)))
}

/// One line. Writing to a String cannot fail.
fn row(csv: &mut String, a: &Analysis, s: &Sample) {
    let _ = write!(csv, "{},{},{},", s.process, s.round, s.order);
    for axis in &a.axes {
        let value = s.params.get(&axis.param).map(ParamValue::to_string).unwrap_or_default();
        let _ = write!(csv, "{},", field(&value));
    }
    let _ = writeln!(
        csv,
        "{},{},{},{},{},{},{},{},{},{}",
        field(&s.strategy),
        s.batch,
        s.tasks,
        s.wall_ns,
        s.user_ns,
        s.sys_ns,
        s.rss_peak_kib,
        s.foreign_cores,
        u8::from(s.ok),
        u8::from(s.quarantined.is_some()),
    );
}

/// A field in quotes where it needs them; what a spreadsheet would run as a formula stands behind an apostrophe.
fn field(value: &str) -> String {
    let value =
        if value.starts_with(['=', '+', '@', '\t', '\r']) { format!("'{value}") } else { value.to_owned() };
    if value.contains([',', '"', '\n', '\r']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~,:/".contains(&byte);
    let mut out = String::with_capacity(text.len() * 9 / 8);
    for byte in text.bytes() {
        // Writing to a String cannot fail.
        let _ = if plain(byte) { write!(out, "{}", byte as char) } else { write!(out, "%{byte:02X}") };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    fn sample(order: u64) -> Sample {
        let line = format!(
            "{{\"schema\":1,\"run\":\"r\",\"cell\":\"cpu_us=4\",\"params\":{{\"cpu_us\":4}},\"strategy\":\"a,b\",\"process\":0,\
             \"round\":1,\"order\":{order},\"seed\":7,\"batch\":2,\"tasks\":24,\"wall_ns\":99,\"ok\":true}}"
        );
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn a_short_run_is_copied_and_a_long_one_is_not() {
        let run = synthetic::one_axis();
        let link = copy(&run, &[sample(1)]).unwrap();
        assert!(
            link.starts_with("data:text/csv;charset=utf-8,process,round,order,cpu_us,strategy,"),
            "{link}"
        );
        assert!(link.ends_with("%0A0,1,1,4,%22a,b%22,2,24,99,0,0,0,0,1,0%0A"), "{link}");
        let many: Vec<Sample> = (0..9000).map(sample).collect();
        assert_eq!((copy(&run, &many), copy(&run, &[])), (None, None));
    }

    #[test]
    fn no_field_is_a_formula_or_breaks_its_row() {
        assert_eq!(field("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(field("a\"b\nc"), "\"a\"\"b\nc\"");
        assert_eq!(field("-1"), "-1");
    }
}
