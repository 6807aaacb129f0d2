//! What the calibration found: rows, their table, the file's JSON and the exit code.
use serde_json::{Map, Value, json};

use crate::calibration_file;
use crate::environment::Machine;
use crate::text;

/// How a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// On a quiet machine.
    Failed,
    /// Other programs kept it from being measured.
    Disturbed,
}

/// One test of the calibration.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// What passing demands.
    pub(super) bar: String,
    /// What was found.
    pub(super) detail: String,
    pub(super) outcome: Outcome,
    /// The figures of `detail`, for programs.
    pub(super) figures: Map<String, Value>,
}

impl Row {
    /// A row that was measured.
    pub(super) fn measured(
        id: &'static str,
        name: &'static str,
        bar: impl Into<String>,
        detail: String,
        passed: bool,
        figures: Value,
    ) -> Self {
        let outcome = if passed { Outcome::Passed } else { Outcome::Failed };
        let figures = figures.as_object().cloned().unwrap_or_default();
        Self { id, name, bar: bar.into(), detail, outcome, figures }
    }

    /// A row that could not be measured because of other programs.
    pub(super) fn disturbed(
        id: &'static str,
        name: &'static str,
        bar: impl Into<String>,
        detail: String,
    ) -> Self {
        Self { id, name, bar: bar.into(), detail, outcome: Outcome::Disturbed, figures: Map::new() }
    }

    fn json(&self) -> Value {
        let mut row = Map::new();
        row.insert("id".to_owned(), json!(self.id));
        row.insert("name".to_owned(), json!(self.name));
        row.insert("detail".to_owned(), json!(self.detail));
        row.insert("bar".to_owned(), json!(self.bar));
        row.insert("passed".to_owned(), json!(self.outcome == Outcome::Passed));
        row.extend(self.figures.clone());
        Value::Object(row)
    }
}

/// The whole calibration.
#[derive(Clone, Debug)]
pub(super) struct Calibration {
    pub(super) quick: bool,
    pub(super) rows: Vec<Row>,
    /// Standard deviation of a program's time between runs, as a share; `None` with fewer than three runs.
    pub(super) between_runs_sd: Option<f64>,
}

impl Calibration {
    fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }

    /// 0: every row passes. 4: a row fails or could not be measured. Either way the machine, as it is now, is not fit to
    /// judge on, which is what 4 says of a run; 1 stays for `--fail-on`. The last sentence of the table tells which.
    pub(super) fn exit_code(&self) -> u8 {
        if self.count(Outcome::Passed) == self.rows.len() { 0 } else { 4 }
    }

    /// Whether it says something about the machine: what was disturbed says something about the moment.
    pub(super) fn is_complete(&self) -> bool {
        self.count(Outcome::Disturbed) == 0
    }

    /// The table and the sentence below it.
    pub(super) fn render(&self) -> String {
        let mark = |row: &Row| match row.outcome {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Disturbed => "disturbed",
        };
        let heads = ["", "test", "found", "passes when"].map(str::to_owned).to_vec();
        let rows = self
            .rows
            .iter()
            .map(|row| vec![mark(row).to_owned(), row.name.to_owned(), row.detail.clone(), row.bar.clone()]);
        let rows: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
        let mut out = text::columns(&rows, 4);
        if let Some(sd) = self.between_runs_sd {
            out += &format!(
                "\n  between runs, the same program's time varies by {:.2} % (standard deviation)\n",
                sd * 100.0
            );
        }
        let (all, passed) = (self.rows.len(), self.count(Outcome::Passed));
        out += &match (self.count(Outcome::Failed), self.count(Outcome::Disturbed)) {
            (0, 0) if self.quick => {
                format!("\n  all {all} rows pass, with fewer experiments than a full calibration\n")
            }
            (0, 0) => format!("\n  all {all} rows pass\n"),
            (0, disturbed) => format!(
                "\n  {passed} of {all} rows pass; {disturbed} could not be measured because of other programs: calibrate again when the machine is quiet\n"
            ),
            (failed, _) => format!(
                "\n  {failed} of {all} rows fail: do not trust verdicts of this machine that are as close as what failed\n"
            ),
        };
        out
    }

    /// What the calibration file holds.
    pub(super) fn json(&self) -> Value {
        json!({
            "schema": calibration_file::SCHEMA,
            "measured": jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string(),
            "machine": calibration_file::machine(&Machine::read()),
            "version": env!("CARGO_PKG_VERSION"),
            "quick": self.quick,
            "between_runs_sd": self.between_runs_sd,
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(outcomes: &[Outcome]) -> Calibration {
        let rows = outcomes.iter().map(|&outcome| Row {
            outcome,
            ..Row::measured(
                "aa",
                "identical code",
                "ties ≥ 95 %",
                "19 of 20 ties".to_owned(),
                true,
                json!({"count": 19}),
            )
        });
        Calibration { quick: true, rows: rows.collect(), between_runs_sd: Some(0.008) }
    }

    #[test]
    fn anything_but_a_pass_is_not_fit_to_judge_on() {
        use Outcome::{Disturbed, Failed, Passed};
        for (outcomes, code, complete) in [
            (&[Passed, Passed][..], 0, true),
            (&[Passed, Failed], 4, true),
            (&[Passed, Disturbed], 4, false),
            (&[Failed, Disturbed], 4, false),
        ] {
            let calibration = calibration(outcomes);
            assert_eq!(
                (calibration.exit_code(), calibration.is_complete()),
                (code, complete),
                "{outcomes:?}"
            );
        }
    }

    #[test]
    fn the_table_never_calls_a_row_passed_that_is_not() {
        let shown = calibration(&[Outcome::Passed, Outcome::Passed]).render();
        assert!(shown.contains("all 2 rows pass, with fewer") && shown.contains("0.80 %"), "{shown}");
        for (outcome, mark) in [(Outcome::Failed, "FAILED"), (Outcome::Disturbed, "disturbed")] {
            let shown = calibration(&[Outcome::Passed, outcome]).render();
            assert!(shown.contains(mark) && !shown.contains("all 2 rows"), "{shown}");
        }
    }

    #[test]
    fn the_json_is_what_the_file_takes() {
        let json = calibration(&[Outcome::Passed, Outcome::Failed]).json();
        assert_eq!(json["schema"], calibration_file::SCHEMA);
        assert!(json["measured"].is_string() && json["machine"]["cores"].as_u64() >= Some(1));
        assert_eq!((&json["rows"][0]["passed"], &json["rows"][1]["passed"]), (&json!(true), &json!(false)));
        assert_eq!(json["rows"][0]["count"], 19);
    }
}
