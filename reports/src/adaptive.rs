//! What a run should measure next: cells whose verdict is open, and new points where two strategies cross.
//!
//! # Why one may look as often as one likes
//! Looking at the data and stopping when they please is how false wins are made. Here the rule that stops is stricter than
//! the one that judges (Haybittle and Peto): a cell counts as decided only where the interval at 99.9 % decides it, while the
//! report uses the configured confidence, once, on whatever was measured. So a cell ends in one of two ways: it was decided
//! at a look, which a false win does with a chance of about 0.05 % per look; or the budget ended, at a time that does not
//! depend on the data, and then the report's own error is the only one.
use crate::Options;
use crate::analysis::needs;
use crate::analysis::stage::Stage;
use crate::record::{Params, Sample};
use crate::settings::Settings;

/// What a run should measure next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// Names of the cells whose verdict more rounds may decide, the most hopeful first.
    pub undecided: Vec<String>,
    /// New cells, where two strategies cross: all their parameters.
    pub refine: Vec<Params>,
}

impl Needs {
    /// Whether there is nothing left to measure.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.undecided.is_empty() && self.refine.is_empty()
    }
}

/// What a run should measure next, from all samples so far, quarantined ones too. The same samples give the same answer.
///
/// A cell is open while the interval at 99.9 % does not decide it, unless the ratio is known to within a quarter of the margin
/// and lies on the margin's edge. With `refine_crossover`, a crossing whose interval is wider than 10 % gets a point in its middle (at
/// most six points a look), and where the grid is fine already, more rounds at the points around it. Only crossings of the
/// baseline and of strategies that may be the best there count.
#[must_use]
pub fn needs(samples: &[Sample], settings: &Settings, options: &Options) -> Needs {
    needs::needs(&Stage::new(samples, settings, options))
}
