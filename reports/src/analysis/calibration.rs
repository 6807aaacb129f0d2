//! The machine's self-calibration, as `env.json` holds it.
//!
//! It was written by a program of its own, maybe another version: what is missing or has another type is left out, and
//! never an error.
use serde_json::Value;

use crate::analysis::model::{Calibration, CalibrationRow};

/// The calibration in `env`, and how its machine differs from the run's.
pub(crate) fn parse(env: &Value) -> Option<Calibration> {
    let all = env.get("calibration").filter(|all| all.is_object())?;
    let text = |key: &str| all.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let rows = all.get("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(Calibration {
        measured: text("measured"),
        version: text("version"),
        quick: all.get("quick").and_then(Value::as_bool).unwrap_or(false),
        between_runs_sd: all
            .get("between_runs_sd")
            .and_then(Value::as_f64)
            .filter(|sd| sd.is_finite() && (0.0..1.0).contains(sd)),
        rows: rows.iter().map(row).collect(),
        differs: differs(all.get("machine").unwrap_or(&Value::Null), env),
    })
}

fn row(row: &Value) -> CalibrationRow {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let count = |key: &str| row.get(key).and_then(Value::as_u64);
    CalibrationRow {
        id: text("id"),
        name: text("name"),
        detail: text("detail"),
        passed: row.get("passed").and_then(Value::as_bool).unwrap_or(false),
        count: count("count"),
        of: count("of"),
        wins: count("wins"),
    }
}

/// In what the calibrated machine is not the run's: CPU, cores, kernel. What either does not tell is no difference, but
/// a calibration that tells nothing of its machine is of no machine.
fn differs(machine: &Value, env: &Value) -> Vec<String> {
    let run = |group: &str, key: &str| env.get(group).and_then(|g| g.get(key)).cloned().unwrap_or_default();
    let pairs = [
        ("CPU", "cpu", run("machine", "cpu")),
        ("cores", "cores", run("machine", "cores_usable")),
        ("kernel", "kernel", run("system", "kernel")),
    ];
    if pairs.iter().all(|(_, key, _)| machine.get(key).is_none_or(Value::is_null)) {
        return vec!["the calibration does not say of which machine it is".to_owned()];
    }
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    pairs
        .iter()
        .filter_map(|(what, key, here)| {
            let there = machine.get(key).filter(|v| !v.is_null())?;
            (!here.is_null() && there != here)
                .then(|| format!("{what}: {} calibrated, {} measured", word(there), word(here)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn env(cores: u32, calibration: &Value) -> Value {
        json!({ "machine": {"cpu": "X", "cores_usable": cores}, "system": {"kernel": "6.1"}, "calibration": calibration })
    }

    #[test]
    fn a_calibration_of_another_machine_says_in_what_it_differs() {
        let file = json!({
            "schema": 1, "measured": "2026-11-21T10:00:00Z", "version": "0.1.0", "quick": true, "between_runs_sd": 0.008,
            "machine": {"cpu": "X", "cores": 2, "kernel": "6.1"},
            "rows": [{"id": "aa", "name": "identical code", "passed": true, "count": 197, "of": 200, "wins": 0}],
        });
        let same = parse(&env(2, &file)).unwrap();
        assert!(same.matches() && same.quick);
        assert_eq!((same.between_runs_sd, same.row("aa").unwrap().count), (Some(0.008), Some(197)));
        let other = parse(&env(4, &file)).unwrap();
        assert_eq!(other.differs, ["cores: 2 calibrated, 4 measured"]);
    }

    #[test]
    fn nonsense_is_no_panic_and_no_match() {
        assert_eq!(parse(&env(2, &Value::Null)), None);
        assert_eq!(parse(&json!({})), None);
        let odd = parse(&env(2, &json!({"rows": [3, {}], "between_runs_sd": -1, "machine": 7}))).unwrap();
        assert!(
            !odd.matches() && odd.between_runs_sd.is_none() && odd.rows.len() == 2 && !odd.rows[0].passed
        );
    }
}
