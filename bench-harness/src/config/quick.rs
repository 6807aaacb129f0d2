//! `--quick`: a smaller experiment of the same shape, for a first look.
use std::time::Duration;

use super::{Axis, Experiment};

/// Process rounds and rounds of a quick run: the fewest that still give both levels of variation.
const PROCESSES: u32 = 2;
const ROUNDS: u32 = 3;
/// Time for a quick run.
const BUDGET: Duration = Duration::from_secs(20);

impl Experiment {
    /// Reduces the experiment for `--quick`: 2 process rounds of 3 rounds, 4 points on an only axis or 3 on
    /// each of several (the ends stay), and 20 s.
    pub fn quick(&mut self) {
        let points = if self.workload.axes.len() > 1 { 3 } else { 4 };
        for axis in &mut self.workload.axes {
            thin(axis, points);
        }
        self.measure.processes = self.measure.processes.min(PROCESSES);
        self.measure.rounds = self.measure.rounds.min(ROUNDS);
        self.measure.budget = Some(self.measure.budget.map_or(BUDGET, |budget| budget.min(BUDGET)));
        self.rewrite_text("as changed by the command line");
    }
}

/// Keeps `points` values of an axis, evenly spread over its positions, the first and the last among them.
fn thin(axis: &mut Axis, points: usize) {
    let last = axis.values.len() - 1;
    if last < points {
        return;
    }
    axis.values =
        (0..points).map(|i| axis.values[(i * last + (points - 1) / 2) / (points - 1)].clone()).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Value;

    #[test]
    fn thinning_keeps_ends_and_order() {
        for (length, points) in [(1, 3), (3, 3), (4, 3), (5, 3), (9, 4), (1000, 4)] {
            let values: Vec<_> = (0..length).map(Value::Int).collect();
            let mut axis = Axis { param: "x".to_owned(), values: values.clone() };
            thin(&mut axis, points);
            assert_eq!(axis.values.len(), values.len().min(points), "{length} to {points}");
            assert_eq!(axis.values.first(), values.first());
            assert_eq!(axis.values.last(), values.last());
            let numbers: Vec<_> = axis.values.iter().map(|v| v.as_i64().expect("a whole number")).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        }
    }
}
