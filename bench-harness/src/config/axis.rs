//! The values of one workload parameter: a constant, or an axis in one of its three forms.
//!
//! `value | [value, …] | { log = [a, b], points = n } | { lin = [a, b], points = n }`. The number of points is
//! checked before any value is made. Made values are rounded to as few digits as keep them apart, and to whole
//! numbers where the parameter asks for them; the ends stay as written.
use crossover_workloads::catalog::{DefaultValue, ParamInfo, ParamKind};

use super::error::ConfigError;
use super::limits;
use super::schema::{Reader, Section};
use super::suggest::did_you_mean;
use super::tree::{Kind, Node};
use super::{Axis, Value};

/// What a parameter is set to.
#[derive(Debug)]
pub(super) enum Setting {
    Constant(Value),
    Swept(Axis),
}

/// Reads the setting of `info` at `node`; `key` is its dotted path.
pub(super) fn read(
    reader: Reader<'_>,
    key: &str,
    node: &Node,
    info: &ParamInfo,
) -> Result<Setting, ConfigError> {
    match &node.kind {
        Kind::List(items) => list(reader, key, node, items, info),
        Kind::Table(_) => range(reader, key, node, info),
        _ => value(reader, key, node, info).map(Setting::Constant),
    }
}

/// One value, within the parameter's limits.
fn value(reader: Reader<'_>, key: &str, node: &Node, info: &ParamInfo) -> Result<Value, ConfigError> {
    let wrong_type = || {
        let forms = match info.value {
            ParamKind::Choice(_) => "or a list of them".to_owned(),
            _ => "a list of such numbers, { log = [a, b], points = n } or { lin = [a, b], points = n }"
                .to_owned(),
        };
        let message = format!("expected {}, {forms}; found {}", info.value, node.found());
        reader.error(node, key, message).help(about(info))
    };
    match (&node.kind, info.value) {
        (Kind::Text(name), ParamKind::Choice(names)) => {
            if names.contains(&name.as_str()) {
                return Ok(Value::Text(name.clone()));
            }
            let message =
                format!("{} is not known{}", node.found(), did_you_mean(name, names.iter().copied()));
            Err(reader.error(node, key, message).help(format!("known: {}", names.join(", "))))
        }
        (Kind::Int(n), ParamKind::Int { .. }) => {
            within(reader, key, node, info, *n as f64)?;
            Ok(Value::Int(*n))
        }
        (Kind::Int(n), ParamKind::Float { .. }) => {
            within(reader, key, node, info, *n as f64)?;
            Ok(Value::Int(*n))
        }
        (Kind::Float(x), ParamKind::Int { .. } | ParamKind::Float { .. }) => {
            within(reader, key, node, info, *x)?;
            Ok(number(*x))
        }
        _ => Err(wrong_type()),
    }
}

/// Checks that a number is finite, whole where it has to be, and within the parameter's limits.
fn within(reader: Reader<'_>, key: &str, node: &Node, info: &ParamInfo, x: f64) -> Result<(), ConfigError> {
    // A whole number is compared and shown as it is: not every one has an `f64` of its own.
    let shown = if let Kind::Int(n) = node.kind { n.to_string() } else { x.to_string() };
    let fault = match info.value {
        _ if !x.is_finite() => Some("is impossible: must be a finite number".to_owned()),
        ParamKind::Int { .. } if x.fract() != 0.0 => Some("is impossible: must be a whole number".to_owned()),
        ParamKind::Int { min, max } => match node.kind {
            Kind::Int(n) => bounds(n, min, max),
            _ => bounds(x, min as f64, max as f64),
        },
        ParamKind::Float { min, max } => bounds(x, min, max),
        ParamKind::Choice(_) => None,
    };
    match fault {
        None => Ok(()),
        Some(fault) => Err(reader.error(node, key, format!("{shown} {fault}")).help(about(info))),
    }
}

fn bounds<T: PartialOrd + std::fmt::Display>(x: T, min: T, max: T) -> Option<String> {
    if x < min {
        Some(format!("is impossible: must be at least {min}"))
    } else if x > max {
        Some(format!("is too large: must be at most {max}"))
    } else {
        None
    }
}

fn about(info: &ParamInfo) -> String {
    format!("{}: {}", info.name, info.about)
}

/// A number as a value: whole ones are `Int`, so that equal numbers are equal values.
fn number(x: f64) -> Value {
    /// Above this, not every whole number has an `f64` of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if x.fract() == 0.0 && x.abs() < EXACT { Value::Int(x as i64) } else { Value::Float(x) }
}

/// The default of a parameter, whole numbers as `Int` like everywhere else.
pub(super) fn default_value(default: DefaultValue) -> Value {
    match default.value() {
        Value::Float(x) => number(x),
        other => other,
    }
}

fn list(
    reader: Reader<'_>,
    key: &str,
    node: &Node,
    items: &[Node],
    info: &ParamInfo,
) -> Result<Setting, ConfigError> {
    if items.is_empty() {
        return Err(reader.error(node, key, "the list is empty: at least one value is needed"));
    }
    if items.len() > limits::POINTS {
        let message = format!("{} values are too many: at most {}", items.len(), limits::POINTS);
        return Err(reader.error(node, key, message));
    }
    let mut values: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        let next = value(reader, key, item, info)?;
        if values.contains(&next) {
            return Err(reader.error(item, key, format!("{next} stands in the list twice")));
        }
        values.push(next);
    }
    Ok(Setting::Swept(Axis { param: info.name.to_owned(), values }))
}

/// How a range's points are spaced.
#[derive(Clone, Copy, PartialEq)]
enum Spacing {
    Log,
    Lin,
}

fn range(reader: Reader<'_>, key: &str, node: &Node, info: &ParamInfo) -> Result<Setting, ConfigError> {
    const FORM: &str = "{ log = [a, b], points = n } or { lin = [a, b], points = n }";
    if let ParamKind::Choice(_) = info.value {
        let message = format!("a range makes no sense here: expected {}, or a list of them", info.value);
        return Err(reader.error(node, key, message));
    }
    let section = Section::open(reader, key, node, &["log", "lin", "points"])?;
    let (spacing, ends) = match (section.get("log"), section.get("lin")) {
        (Some(ends), None) => (Spacing::Log, ends),
        (None, Some(ends)) => (Spacing::Lin, ends),
        (Some(_), Some(_)) => return Err(reader.error(node, key, "both log and lin are given: choose one")),
        (None, None) => return Err(reader.error(node, key, format!("a range is written {FORM}"))),
    };
    let Some(points) = section.get("points") else {
        return Err(reader.error(node, key, format!("points is missing: a range is written {FORM}")));
    };
    let points = reader.int(points, &format!("{key}.points"), 2, limits::POINTS as i64)? as usize;
    let key = format!("{key}.{}", if spacing == Spacing::Log { "log" } else { "lin" });
    let [low, high] = two_ends(reader, &key, ends, info)?;
    if low >= high {
        let message = if low == high {
            format!("the range is empty: both ends are {low}")
        } else {
            format!("the range is reversed: write [{high}, {low}]")
        };
        return Err(reader.error(ends, &key, message));
    }
    if spacing == Spacing::Log && low <= 0.0 {
        let message = format!("a logarithmic range cannot start at {low}: it must be above 0");
        return Err(reader.error(ends, &key, message).help("use lin, or a list such as [0, 1, 10, 100]"));
    }
    let whole = matches!(info.value, ParamKind::Int { .. });
    Ok(Setting::Swept(Axis {
        param: info.name.to_owned(),
        values: spread(spacing, low, high, points, whole),
    }))
}

fn two_ends(reader: Reader<'_>, key: &str, node: &Node, info: &ParamInfo) -> Result<[f64; 2], ConfigError> {
    let Kind::List(items) = &node.kind else {
        let message = format!("expected the two ends of the range, [a, b]; found {}", node.found());
        return Err(reader.error(node, key, message));
    };
    let [low, high] = items.as_slice() else {
        let message = format!("expected the two ends of the range, [a, b]; found {} values", items.len());
        return Err(reader.error(node, key, message));
    };
    let end = |item: &Node| match value(reader, key, item, info)? {
        Value::Int(n) => Ok(n as f64),
        Value::Float(x) => Ok(x),
        Value::Text(_) => Err(reader.error(item, key, format!("expected a number; found {}", item.found()))),
    };
    Ok([end(low)?, end(high)?])
}

/// `points` values from `low` to `high`; fewer where whole numbers leave no room for all.
fn spread(spacing: Spacing, low: f64, high: f64, points: usize, whole: bool) -> Vec<Value> {
    let exact: Vec<f64> = (0..points)
        .map(|i| {
            let t = i as f64 / (points - 1) as f64;
            match spacing {
                _ if i == 0 => low,
                _ if i == points - 1 => high,
                Spacing::Lin => low + (high - low) * t,
                Spacing::Log => (low.ln() + (high.ln() - low.ln()) * t).exp(),
            }
        })
        .collect();
    let mut values = if whole {
        exact.iter().map(|x| x.round()).collect()
    } else {
        (3..=17).map(|digits| rounded(&exact, digits)).find(|values| ascending(values)).unwrap_or(exact)
    };
    values.dedup();
    values.into_iter().map(number).collect()
}

/// The inner values with `digits` significant digits each; the ends as they are.
fn rounded(values: &[f64], digits: usize) -> Vec<f64> {
    let last = values.len() - 1;
    let round = |x: f64| format!("{x:.*e}", digits - 1).parse().unwrap_or(x);
    values.iter().enumerate().map(|(i, x)| if i == 0 || i == last { *x } else { round(*x) }).collect()
}

fn ascending(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] < pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[Value]) -> Vec<f64> {
        values.iter().map(|v| v.as_f64().expect("a number")).collect()
    }

    #[test]
    fn logarithmic_points_are_short_and_keep_their_ends() {
        let values = numbers(&spread(Spacing::Log, 0.3, 2000.0, 9, false));
        assert_eq!(values, [0.3, 0.902, 2.71, 8.15, 24.5, 73.6, 221.0, 665.0, 2000.0]);
        let values = numbers(&spread(Spacing::Log, 1.0, 1.0001, 50, false));
        assert_eq!(values.len(), 50);
        assert!(ascending(&values));
    }

    #[test]
    fn whole_points_do_not_repeat() {
        assert_eq!(
            numbers(&spread(Spacing::Log, 1.0, 64.0, 7, true)),
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
        );
        assert_eq!(numbers(&spread(Spacing::Lin, 1.0, 3.0, 9, true)), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn whole_numbers_are_ints() {
        assert_eq!(number(26.0), Value::Int(26));
        assert_eq!(number(0.5), Value::Float(0.5));
        assert_eq!(number(1e300), Value::Float(1e300));
    }
}
