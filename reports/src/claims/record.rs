//! What `claims.json` holds: claims, the experiments that put them to the test, and what was measured.
//!
//! A claim is plain data: its words, the figures of its experiment, and the bounds that these figures must keep
//! for the claim to hold. So verdicts are a function of the file, and of nothing else ([`super::judge`]).
//! Schema 1; unknown keys are ignored, so that a later program may add some.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schema that this program writes, and the newest that it reads.
pub const SCHEMA: u32 = 1;

/// Everything that one `crossover claims` found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The program that measured.
    pub version: String,
    /// Seed of the order and of the inputs.
    pub seed: u64,
    /// Whether everything was measured, in full size.
    pub full: bool,
    /// How long measuring took, in seconds.
    pub seconds: f64,
    /// Machine, system and toolchain, as in a run's `env.json`; and the Python that took part.
    pub env: Value,
    /// The claims, in their order.
    pub rows: Vec<Row>,
}

impl Record {
    /// The same with every number rounded to nine digits, which is more than any clock here tells.
    ///
    /// Numbers of so few digits are read from JSON exactly as they were written, so that what is read makes the same file again.
    #[must_use]
    pub fn rounded(mut self) -> Self {
        round_all(&mut self.env);
        self.seconds = rounded(self.seconds);
        for row in &mut self.rows {
            for test in &mut row.tests {
                test.must = match test.must {
                    Must::AtMost(high) => Must::AtMost(rounded(high)),
                    Must::AtLeast(low) => Must::AtLeast(rounded(low)),
                    Must::Between(low, high) => Must::Between(rounded(low), rounded(high)),
                };
            }
            let peer = row.peer.as_mut().map(|peer| &mut peer.column);
            let columns = [&mut row.ours, &mut row.cpython].into_iter().chain(peer);
            for sample in columns.flat_map(|column| column.samples.values_mut()).flatten() {
                *sample = rounded(*sample);
            }
        }
        self
    }
}

/// `x` with nine digits.
fn rounded(x: f64) -> f64 {
    // What is printed as a number is read as one; infinities and NaN stay what they are.
    format!("{x:.8e}").parse().unwrap_or(x)
}

fn round_all(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().map(rounded).and_then(serde_json::Number::from_f64);
            if let Some(exact) = exact {
                *number = exact;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(round_all),
        Value::Object(values) => values.values_mut().for_each(round_all),
        _ => {}
    }
}

/// A claim and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its number or name, the first one where it has several.
    pub id: String,
    /// Numbers that say the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Whose claim it is.
    pub group: Group,
    /// What is claimed, in words.
    pub says: String,
    /// What can decide it.
    pub kind: Kind,
    /// Where it stands.
    pub source: String,
    /// What is known to be doubtful about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caveat: String,
    /// The figure that the source gives; empty where it gives none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cited: String,
    /// What CPython 3.11 did where the claims were first tried.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recorded: String,
    /// What was expected of our runtime.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wanted: String,
    /// The verdict that was expected of our runtime's figures, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Verdict>,
    /// The experiment, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub how: String,
    /// What the experiment measures, the main figure first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
    /// What must be true of the figures for the claim to hold, and what was expected of them besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
    /// Facts that were checked, each by a function that a test of the same name calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// What our runtime did.
    #[serde(default)]
    pub ours: Column,
    /// What CPython did.
    #[serde(default)]
    pub cpython: Column,
    /// The project that the claim is about, where it is measured here too: it decides the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
}

/// The project that a claim is about, put to the same test as our runtime.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// What it is called.
    pub name: String,
    /// What must be true of its figures, beside what must be of everybody's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
    /// What it did.
    #[serde(default)]
    pub column: Column,
}

/// Whose claim it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// One of the four articles.
    #[default]
    Articles,
    /// What was learned when the articles were tried.
    Learned,
    /// Somebody else's, in public.
    Public,
}

/// What can decide a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Measured figures.
    Figure,
    /// How a call behaves: true or not.
    Fact,
    /// A judgement, which nothing that is measured here decides.
    #[default]
    Qualitative,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that it needs is proven.
    Reproduced,
    /// Something that it needs is proven false.
    Refuted,
    /// Neither.
    #[default]
    NotDecided,
}

/// A figure of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name, by which samples and tests refer to it.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// A ratio.
    Times,
    /// A share of 1.
    Share,
    /// A plain number.
    Count,
    /// Bytes.
    Bytes,
}

/// A bound that a figure must keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// The figure.
    pub figure: String,
    /// The bound.
    pub must: Must,
    /// Whose figure.
    pub of: Whose,
    /// Whether the claim needs it; otherwise it was only expected, and decides nothing.
    pub claim: bool,
}

/// A bound. An interval keeps it when it lies wholly inside, and breaks it when it lies wholly outside.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Must {
    /// Not above this.
    AtMost(f64),
    /// Not below this.
    AtLeast(f64),
    /// From the first to the second.
    Between(f64, f64),
}

impl Must {
    /// `value`, give or take the share `within` of it.
    #[must_use]
    pub const fn about(value: f64, within: f64) -> Self {
        Self::Between(value * (1.0 - within), value * (1.0 + within))
    }

    /// The ends.
    pub(crate) fn ends(self) -> (f64, f64) {
        match self {
            Self::AtMost(high) => (f64::NEG_INFINITY, high),
            Self::AtLeast(low) => (low, f64::INFINITY),
            Self::Between(low, high) => (low, high),
        }
    }
}

/// Whose figure a bound is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Everybody's who has it.
    #[default]
    All,
    /// Our runtime's.
    Ours,
    /// CPython's.
    Cpython,
    /// The [`Peer`]'s.
    Peer,
}

/// What one side of the comparison did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// By figure, a value per undisturbed repeat.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub samples: BTreeMap<String, Vec<f64>>,
    /// Repeats that do not count, because other programs were busy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disturbed: u32,
    /// Repeats that failed; the first one's reason is `missing`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// Why something is missing; empty where nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing: String,
    /// What else is worth saying.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A fact that was checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name, which is also the test's.
    pub name: String,
    /// Whether it holds; `None` where it could not be checked.
    pub holds: Option<bool>,
    /// What was seen.
    pub detail: String,
}
