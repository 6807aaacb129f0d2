//! From samples to verdicts.
//!
//! A figure's interval is Student's, at 95 %, over its repeats; on a log scale where all of them are positive, as
//! ratios and times are, so that it never reaches below zero. Repeats that agree exactly (a count, say) have an interval
//! without width; a single repeat has none, and decides nothing. A bound is kept by an interval that lies wholly inside, broken by one
//! wholly outside, and open otherwise. A claim is reproduced where all that it needs is kept, and refuted where anything that it
//! needs is broken. No verdict is written down anywhere: they all come from here. A claim about a project that is measured beside
//! ours is decided by that project's figures; any other by ours, and where those leave it open, by CPython's.
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::record::{Column, Peer, Row, Test, Verdict, Whose};

/// The confidence of the intervals.
pub(crate) const CONFIDENCE: f64 = 0.95;

/// A figure with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The middle: the mean, or the geometric one where all samples are positive.
    pub value: f64,
    /// The interval's ends; `None` with a single sample.
    pub ci: Option<[f64; 2]>,
    /// Samples.
    pub n: usize,
}

impl Interval {
    /// The interval of `samples`; `None` where there are none, or where one is no number.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let n = samples.len();
        if n == 0 || samples.iter().any(|x| !x.is_finite()) {
            return None;
        }
        // Exactly: the logarithm there and back would not return them as they were.
        if samples.iter().all(|x| *x == samples[0]) {
            let ci = (n > 1).then_some([samples[0]; 2]);
            return Some(Self { value: samples[0], ci, n });
        }
        let positive = samples.iter().all(|x| *x > 0.0);
        let scaled: Vec<f64> = samples.iter().map(|x| if positive { x.ln() } else { *x }).collect();
        let back = |x: f64| if positive { x.exp() } else { x };
        let mean = scaled.iter().sum::<f64>() / n as f64;
        let variance = scaled.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        let t = StudentsT::new(0.0, 1.0, (n - 1) as f64)
            .map_or(f64::INFINITY, |t| t.inverse_cdf(0.5 + CONFIDENCE / 2.0));
        let half = t * (variance / n as f64).sqrt();
        Some(Self { value: back(mean), ci: Some([back(mean - half), back(mean + half)]), n })
    }
}

/// What became of a bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The bound.
    #[serde(flatten)]
    pub test: Test,
    /// For whom it was examined.
    pub who: Whose,
    /// Whether it is kept; `None` where that is open.
    pub holds: Option<bool>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// By our runtime's figures and facts.
    pub ours: Verdict,
    /// By CPython's figures; `None` where it has none, or none that the claim is about.
    pub cpython: Option<Verdict>,
    /// By the peer's figures; `None` where the claim is about no peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Verdict>,
    /// The row's: the peer's where there is one, else ours where it is decided, else CPython's.
    pub verdict: Verdict,
    /// What came out otherwise than was expected, in words; empty where nothing did.
    pub surprises: Vec<String>,
    /// Every bound.
    pub tests: Vec<Outcome>,
}

/// The interval of a figure in a column.
#[must_use]
pub fn interval(column: &Column, figure: &str) -> Option<Interval> {
    column.samples.get(figure).and_then(|samples| Interval::of(samples))
}

/// Judges a row.
#[must_use]
pub fn judge(row: &Row) -> Judgement {
    let mut tests = Vec::new();
    for who in [Whose::Ours, Whose::Cpython, Whose::Peer] {
        let Some(column) = column(row, who) else { continue };
        let own = row.peer.iter().filter(|_| who == Whose::Peer).flat_map(|peer| &peer.tests);
        let shared = row.tests.iter().filter(|test| test.of == Whose::All || test.of == who);
        for test in shared.chain(own) {
            tests.push(Outcome { test: test.clone(), who, holds: holds(test, column) });
        }
    }
    let needed = |who| tests.iter().filter(move |o| o.who == who && o.test.claim).map(|o| o.holds);
    let facts = row.checks.iter().map(|check| check.holds);
    let ours = all_of(needed(Whose::Ours).chain(facts));
    let about_cpython = !row.cpython.samples.is_empty() && needed(Whose::Cpython).next().is_some();
    let cpython = about_cpython.then(|| all_of(needed(Whose::Cpython)));
    let peer = row.peer.as_ref().map(|_| all_of(needed(Whose::Peer)));
    let verdict = match (peer, ours, cpython) {
        (Some(peer), ..) => peer,
        (None, Verdict::NotDecided, Some(other)) => other,
        (None, own, _) => own,
    };
    let surprises = surprises(row, ours, &tests);
    Judgement { ours, cpython, peer, verdict, surprises, tests }
}

/// What `who` did; `None` for a peer that the claim is not about.
pub(super) fn column(row: &Row, who: Whose) -> Option<&Column> {
    match who {
        Whose::Peer => row.peer.as_ref().map(|peer| &peer.column),
        Whose::Cpython => Some(&row.cpython),
        Whose::Ours | Whose::All => Some(&row.ours),
    }
}

/// What `who` is called in front of readers.
pub(super) fn called(row: &Row, who: Whose) -> &str {
    match (who, &row.peer) {
        (Whose::Peer, Some(Peer { name, .. })) => name,
        (Whose::Cpython, _) => "CPython",
        _ => "ours",
    }
}

/// Whether `column` keeps the bound.
fn holds(test: &Test, column: &Column) -> Option<bool> {
    let [from, to] = interval(column, &test.figure)?.ci?;
    let (low, high) = test.must.ends();
    if from >= low && to <= high {
        Some(true)
    } else if to < low || from > high {
        Some(false)
    } else {
        None
    }
}

/// Reproduced by what is all true, refuted by anything false; nothing at all decides nothing.
fn all_of(outcomes: impl Iterator<Item = Option<bool>>) -> Verdict {
    let outcomes: Vec<Option<bool>> = outcomes.collect();
    if outcomes.contains(&Some(false)) {
        Verdict::Refuted
    } else if outcomes.is_empty() || outcomes.contains(&None) {
        Verdict::NotDecided
    } else {
        Verdict::Reproduced
    }
}

fn surprises(row: &Row, ours: Verdict, tests: &[Outcome]) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(expected) = row.expected.filter(|expected| ours != Verdict::NotDecided && ours != *expected) {
        out.push(format!("{} here; {} was expected", word(ours), word(expected)));
    }
    for outcome in tests.iter().filter(|o| o.holds == Some(false) && !o.test.claim) {
        let Some(seen) = super::words::seen(row, outcome) else { continue };
        out.push(format!("{seen}; {} was expected", super::words::bound(row, &outcome.test)));
    }
    // The verdict rests on what is left then, or on another side.
    for who in [Whose::Ours, Whose::Cpython, Whose::Peer] {
        match column(row, who).map_or(0, |column| column.failed) {
            0 => {}
            1 => out.push(format!("{}: a repeat failed", called(row, who))),
            n => out.push(format!("{}: {n} repeats failed", called(row, who))),
        }
    }
    out
}

/// A verdict as a reader says it.
#[must_use]
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "reproduced",
        Verdict::Refuted => "refuted",
        Verdict::NotDecided => "not decided",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::record::{Check, Figure, Kind, Must, Unit};
    use super::*;

    fn row(must: Must, ours: &[f64], cpython: &[f64]) -> Row {
        let column = |samples: &[f64]| Column {
            samples: if samples.is_empty() {
                [].into()
            } else {
                [("wall".to_owned(), samples.to_vec())].into()
            },
            ..Column::default()
        };
        Row {
            kind: Kind::Figure,
            expected: Some(Verdict::Reproduced),
            figures: vec![Figure { name: "wall".into(), unit: Unit::Seconds }],
            tests: vec![Test { figure: "wall".into(), must, of: Whose::All, claim: true }],
            ours: column(ours),
            cpython: column(cpython),
            ..Row::default()
        }
    }

    #[test]
    fn the_verdict_falls_out_of_the_data() {
        // "gather(1 s, 2 s, 3 s) takes 2 seconds in all."
        let two_seconds = Must::about(2.0, 0.05);
        let judged = judge(&row(two_seconds, &[3.001, 3.002, 3.001], &[3.003, 3.004]));
        assert_eq!((judged.ours, judged.cpython), (Verdict::Refuted, Some(Verdict::Refuted)));
        assert_eq!(judged.surprises, ["refuted here; reproduced was expected"]);
        let judged = judge(&row(two_seconds, &[2.001, 2.002, 2.001], &[]));
        assert_eq!((judged.verdict, judged.cpython), (Verdict::Reproduced, None));
        assert!(judged.surprises.is_empty());
    }

    #[test]
    fn what_straddles_a_bound_or_was_seen_once_decides_nothing() {
        for samples in [&[1.9, 2.4, 2.1][..], &[2.0], &[]] {
            let judged = judge(&row(Must::AtMost(2.1), samples, &[]));
            assert_eq!(judged.verdict, Verdict::NotDecided, "{samples:?}");
        }
        assert_eq!(judge(&Row::default()).verdict, Verdict::NotDecided);
    }

    #[test]
    fn counts_that_agree_are_exact() {
        let interval = Interval::of(&[20.0, 20.0]).unwrap();
        assert_eq!(interval.ci, Some([20.0, 20.0]));
        assert_eq!(judge(&row(Must::Between(20.0, 20.0), &[20.0, 20.0], &[])).verdict, Verdict::Reproduced);
        assert_eq!(judge(&row(Must::Between(20.0, 20.0), &[21.0, 21.0], &[])).verdict, Verdict::Refuted);
        assert_eq!(judge(&row(Must::AtMost(0.0), &[0.0, 0.0], &[])).verdict, Verdict::Reproduced);
    }

    #[test]
    fn facts_count_with_the_figures() {
        let with = |holds| Row {
            checks: vec![Check { name: "claim_002".into(), holds, detail: String::new() }],
            ..row(Must::AtMost(2.0), &[1.0, 1.01], &[])
        };
        assert_eq!(judge(&with(Some(true))).verdict, Verdict::Reproduced);
        assert_eq!(judge(&with(Some(false))).verdict, Verdict::Refuted);
        assert_eq!(judge(&with(None)).verdict, Verdict::NotDecided);
    }

    #[test]
    fn a_claim_about_a_project_is_decided_by_that_project() {
        let about = |samples: &[f64]| Row {
            peer: Some(Peer {
                name: "tokio".into(),
                tests: Vec::new(),
                column: row(Must::AtLeast(0.0), samples, &[]).ours,
            }),
            ..row(Must::AtLeast(10.0), &[2.0, 2.1], &[60.0, 61.0])
        };
        let judged = judge(&about(&[12.0, 12.1]));
        assert_eq!((judged.peer, judged.verdict), (Some(Verdict::Reproduced), Verdict::Reproduced));
        assert_eq!((judged.ours, judged.cpython), (Verdict::Refuted, Some(Verdict::Reproduced)));
        // Whatever the others did: nothing is known of the project.
        for samples in [&[][..], &[9.0, 12.0]] {
            let judged = judge(&about(samples));
            assert_eq!((judged.peer, judged.verdict), (Some(Verdict::NotDecided), Verdict::NotDecided));
        }
    }

    #[test]
    fn a_projects_own_bounds_are_for_nobody_else() {
        let mut row = row(Must::AtMost(5.0), &[2.0, 2.1], &[]);
        let tests = vec![Test { must: Must::AtLeast(3.0), of: Whose::Peer, ..row.tests[0].clone() }];
        let column = row.ours.clone();
        row.peer = Some(Peer { name: "tokio".into(), tests, column });
        let judged = judge(&row);
        assert_eq!((judged.ours, judged.peer), (Verdict::Reproduced, Some(Verdict::Refuted)));
        assert_eq!(judged.tests.iter().filter(|test| test.who == Whose::Peer).count(), 2);
    }

    #[test]
    fn figures_that_the_claim_is_not_about_have_no_verdict() {
        let mut row = row(Must::AtMost(5.0), &[2.0, 2.1], &[9.0, 9.1]);
        row.tests[0].of = Whose::Ours;
        assert_eq!(judge(&row).cpython, None);
    }

    #[test]
    fn a_wish_decides_nothing_but_is_told() {
        let mut row = row(Must::AtLeast(1.0), &[1.2, 1.21], &[]);
        row.tests.push(Test {
            figure: "wall".into(),
            must: Must::AtMost(1.1),
            of: Whose::Ours,
            claim: false,
        });
        let judged = judge(&row);
        assert_eq!(judged.verdict, Verdict::Reproduced);
        assert_eq!(judged.surprises.len(), 1, "{:?}", judged.surprises);
        assert!(judged.surprises[0].contains("at most 1.1 s was expected"), "{:?}", judged.surprises);
    }

    #[test]
    fn a_failure_is_told_whoever_decides() {
        let mut row = row(Must::AtMost(5.0), &[], &[2.0, 2.1]);
        row.ours.failed = 2;
        let judged = judge(&row);
        assert_eq!((judged.ours, judged.verdict), (Verdict::NotDecided, Verdict::Reproduced));
        assert_eq!(judged.surprises, ["ours: 2 repeats failed"]);
    }

    #[test]
    fn nineteen_of_twenty_intervals_hold_the_truth() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        for n in [2, 3, 5] {
            let covered = (0..4000)
                .filter(|_| {
                    // A time that varies by 3 %.
                    let samples: Vec<f64> = (0..n).map(|_| 0.3 * (0.03 * normal()).exp()).collect();
                    Interval::of(&samples).and_then(|i| i.ci).is_some_and(|[lo, hi]| lo <= 0.3 && 0.3 <= hi)
                })
                .count();
            assert!((3740..=3860).contains(&covered), "{covered} of 4000 with {n} samples");
        }
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_middle_and_no_verdict_is_both(
            samples in prop::collection::vec(-1e3..1e3f64, 0..6), low in -1e3..1e3f64, width in 0.0..1e3f64,
        ) {
            if let Some(Interval { value, ci: Some([lo, hi]), .. }) = Interval::of(&samples) {
                prop_assert!(lo <= value && value <= hi);
            }
            let inside = judge(&row(Must::Between(low, low + width), &samples, &[])).verdict;
            let below = judge(&row(Must::AtMost(low), &samples, &[])).verdict;
            prop_assert!(!(inside == Verdict::Reproduced && below == Verdict::Reproduced) || width == 0.0
                || samples.iter().all(|x| *x == low));
        }
    }
}
