//! What speaks for a run: the machine's calibration, a quiet machine, verified results; and under which load it was.
use serde::Serialize;
use serde_json::Value;

use crate::analysis::model::{Analysis, Calibration};
use crate::plot::units::significant;

/// A calibration that was older than this when the run began is called stale.
const STALE_DAYS: i64 = 30;

/// One thing that speaks for or against a run, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Badge {
    /// `good`, `open` where nothing is known, or `bad`.
    pub(crate) standing: &'static str,
    /// A few words.
    pub(crate) short: String,
    /// A sentence without its full stop.
    pub(crate) long: String,
}

impl Badge {
    fn new(standing: &'static str, short: impl Into<String>, long: impl Into<String>) -> Self {
        Self { standing, short: short.into(), long: long.into() }
    }
}

/// The badges of a run: its calibration first, then what the run itself shows. `env` is its `env.json`.
pub(crate) fn badges(a: &Analysis, env: Option<&Value>) -> Vec<Badge> {
    let mut badges = vec![calibration(a.calibration.as_ref(), env)];
    if a.trust.samples > 0 {
        badges.extend([quiet(a), checked(a)]);
    }
    badges
}

fn calibration(calibration: Option<&Calibration>, env: Option<&Value>) -> Badge {
    let Some(found) = calibration.filter(|c| !c.rows.is_empty()) else {
        let long = "Not calibrated on this machine: “crossover calibrate” measures how often it calls identical code \
                    different here";
        return Badge::new("open", "not calibrated", long);
    };
    let day = found.measured.get(..10).unwrap_or("an unknown day");
    if !found.matches() {
        let long = format!(
            "Not calibrated on this machine: the calibration of {day} is of another one ({})",
            found.differs.join("; ")
        );
        return Badge::new("open", "calibrated on another machine", long);
    }
    let failed: Vec<&str> =
        found.rows.iter().filter(|row| !row.passed).map(|row| row.name.as_str()).collect();
    let rate = pass_rate(found);
    if !failed.is_empty() {
        let long = format!(
            "The calibration of this machine failed on {day}, in {} of {} rows ({}); {rate}",
            failed.len(),
            found.rows.len(),
            failed.join(", ")
        );
        return Badge::new("bad", "calibration failed", long);
    }
    let long = format!("Calibrated on this machine: {rate}, {day}");
    if let Some(why) = stale(found, env) {
        return Badge::new("open", "calibration is stale", format!("{long}; {why}"));
    }
    let long = if found.quick { format!("{long} (a short calibration)") } else { long };
    Badge::new("good", rate, long)
}

/// `identical code tied in 197 of 200 trials`.
fn pass_rate(found: &Calibration) -> String {
    match found.row("aa").map(|row| (row.count.zip(row.of), row)) {
        Some((Some((count, of)), row)) => {
            let wins = row.wins.filter(|wins| *wins > 0);
            let wins = wins.map(|n| format!(", with {n} false wins")).unwrap_or_default();
            format!("identical code tied in {count} of {of} trials{wins}")
        }
        Some((None, row)) if !row.detail.is_empty() => row.detail.clone(),
        _ => "identical code was not compared with itself".to_owned(),
    }
}

/// Why a calibration of the same machine may no longer hold.
fn stale(found: &Calibration, env: Option<&Value>) -> Option<String> {
    let text = |path: [&str; 2]| env?.get(path[0])?.get(path[1])?.as_str();
    let began = env.and_then(|e| e.get("started_at")).and_then(Value::as_str);
    let age = began.and_then(day).zip(day(&found.measured)).map(|(run, then)| run - then);
    let version =
        text(["crates", "crossover-bench"]).filter(|v| !found.version.is_empty() && *v != found.version);
    match (age.filter(|days| *days > STALE_DAYS), version) {
        (Some(days), _) => Some(format!("it was {days} days old when the run began")),
        (None, Some(_)) => Some(format!("it was made by version {} of the program", found.version)),
        (None, None) => None,
    }
}

/// The number of the day that a time in RFC 3339 begins with, counted from some day long ago.
fn day(time: &str) -> Option<i64> {
    let mut parts = time.get(..10)?.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    // Years that begin in March put the leap day last; 153 days are five months from March or August on.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(
        365 * year + year.div_euclid(4) - year.div_euclid(100)
            + year.div_euclid(400)
            + (153 * month + 2) / 5
            + day,
    )
}

fn quiet(a: &Analysis) -> Badge {
    let t = &a.trust;
    let cores = |x: f64| significant(x, 2);
    let disturbed = a.blocks.iter().filter(|block| block.quarantined).count();
    if t.contaminated {
        return Badge::new(
            "bad",
            "every block was disturbed",
            format!("Every block was disturbed: {}", t.disturbance),
        );
    }
    let (median, most, limit) =
        (cores(t.foreign_cores_median), cores(t.foreign_cores_max), cores(t.foreign_cores_limit));
    let long = format!("Foreign load: median {median}, at most {most} cores; limit {limit}");
    match disturbed {
        0 => Badge::new("good", "quiet machine", long),
        n => {
            let short = format!("{n} of {} blocks disturbed", a.blocks.len());
            Badge::new("open", short, format!("{long}; disturbed blocks were repeated where time allowed"))
        }
    }
}

fn checked(a: &Analysis) -> Badge {
    let t = &a.trust;
    match (t.mismatches.len(), t.failures.len()) {
        (0, 0) => {
            Badge::new("good", "every result verified", "Every checksum equals the sequential oracle’s")
        }
        (0, n) => Badge::new("bad", format!("{n} failed"), format!("{n} of the measurements failed")),
        (n, _) => {
            let long = format!("{n} pairs of cell and strategy returned a wrong checksum");
            Badge::new("bad", format!("{n} wrong checksums"), long)
        }
    }
}

/// Under which kind of load a run was measured: `open loop, 500 arrivals per second`.
pub(crate) fn load_words(a: &Analysis) -> String {
    let mut rates: Vec<f64> = a.latency.iter().filter_map(|l| Some(l.open.as_ref()?.rate)).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    match rates.as_slice() {
        [] => "closed loop: all tasks of a run are there at once, and a slow task delays what follows it"
            .to_owned(),
        rates => {
            let rates: Vec<String> = rates.iter().map(|rate| significant(*rate, 3)).collect();
            let rates = rates.join(", ");
            format!("open loop: {rates} arrivals per second, each counted from its intended start")
        }
    }
}

/// What a sample is, where it is no part of a steady state.
pub(crate) fn startup_words(a: &Analysis) -> Option<&'static str> {
    a.startup_included.then_some(
        "included: every run starts its strategy, does the work and ends the strategy; no sample is of a steady state",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::analysis::model::CalibrationRow;
    use crate::synthetic;

    fn calibrated() -> Calibration {
        let row = |id: &str, count: u64| CalibrationRow {
            id: id.to_owned(),
            name: format!("row {id}"),
            passed: true,
            count: Some(count),
            of: Some(200),
            wins: Some(0),
            ..CalibrationRow::default()
        };
        Calibration {
            measured: "2026-11-21T10:00:00Z".to_owned(),
            version: "0.1.0".to_owned(),
            rows: vec![row("aa", 197), row("slower", 190)],
            ..Calibration::default()
        }
    }

    fn badge_at(found: &Calibration, began: &str) -> Badge {
        calibration(Some(found), Some(&json!({"started_at": began, "crates": {"crossover-bench": "0.1.0"}})))
    }

    #[test]
    fn a_calibration_of_this_machine_is_told_with_its_pass_rate() {
        let badge = badge_at(&calibrated(), "2026-11-22T08:00:00Z");
        assert_eq!((badge.standing, &*badge.short), ("good", "identical code tied in 197 of 200 trials"));
        assert!(badge.long.ends_with("trials, 2026-11-21"), "{}", badge.long);
    }

    #[test]
    fn none_another_machines_a_stale_or_a_failed_one_is_said_plainly() {
        assert_eq!(calibration(None, None).short, "not calibrated");
        let old = badge_at(&calibrated(), "2027-01-05T08:00:00Z");
        assert!(old.standing == "open" && old.long.contains("45 days old"), "{}", old.long);
        let mut other = calibrated();
        other.differs = vec!["cores: 4 calibrated, 2 measured".to_owned()];
        let badge = badge_at(&other, "2026-11-22T08:00:00Z");
        assert!(badge.standing == "open" && badge.long.contains("another one (cores: 4"), "{}", badge.long);
        let mut failed = calibrated();
        failed.rows[1].passed = false;
        let badge = badge_at(&failed, "2026-11-22T08:00:00Z");
        assert!(badge.standing == "bad" && badge.long.contains("(row slower)"), "{}", badge.long);
        failed.measured = "ä".repeat(9);
        assert_eq!(badge_at(&failed, "no date").standing, "bad");
    }

    #[test]
    fn days_are_counted_over_months_and_leap_years() {
        let between = |a: &str, b: &str| day(b).zip(day(a)).map(|(b, a)| b - a);
        assert_eq!(between("2026-11-21", "2026-12-01T00:00:00Z"), Some(10));
        assert_eq!(between("2024-02-28", "2024-03-01"), Some(2));
        assert_eq!(between("2026-02-28", "2026-03-01"), Some(1));
        assert_eq!(between("2025-12-31", "2026-01-01"), Some(1));
        assert_eq!(between("2025-01-01", "2026-01-01"), Some(365));
        assert_eq!(between("x", "2026-01-01"), None);
    }

    #[test]
    fn a_disturbed_run_has_no_good_badge_for_its_quiet() {
        let standing = |name: &str| {
            let run = synthetic::nasty().into_iter().find(|a| a.name == name).unwrap();
            badges(&run, None).iter().map(|b| b.standing).collect::<Vec<_>>()
        };
        assert_eq!(standing("mixed"), ["open", "good", "good"]);
        assert_eq!(standing("contaminated"), ["open", "bad", "good"]);
        assert_eq!(standing("mismatched"), ["open", "good", "bad"]);
    }
}
