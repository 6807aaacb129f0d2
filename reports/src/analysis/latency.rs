//! Latency of the tasks: the histograms of all usable samples of a strategy in a cell, added up, and the 99th percentile of each.
//!
//! Under an open load a task counts from its intended start, so that a stall shows in every task that it delays; under
//! a closed one from its own start, and the tasks that a stall kept from starting do not show (coordinated omission).
//! That is why every curve says which it is.
//!
//! **Who keeps up.** A sample's recorded rate is that of all tasks over the whole run, which ends when the last answer is there:
//! a run of 300 ms whose answers take 40 ms has 88 % of its arrivals' rate, however many tasks are in flight. What tells a growing
//! queue is the rate from the first completion on. The first task finds no queue, and no task takes less; so
//! the run less the shortest latency is what is counted.
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::analysis::hierarchy::median;
use crate::analysis::model::{Latency, OpenLoad};
use crate::analysis::spread::spread;
use crate::analysis::stage::Stage;
use crate::analysis::table;
use crate::record::Sample;

/// The generator's share of a core above which it competes with what it measures.
const GENERATOR_SHARE_MAX: f64 = 0.2;
/// Less than this share of the arrivals completed is "behind".
pub(crate) const KEPT_UP: f64 = 0.95;
/// Points of the percentile curve in a decade of 1−share.
const POINTS_PER_DECADE: u32 = 16;
/// Decades of the curve at most.
const DECADES_MAX: u32 = 9;

/// Base64 with or without padding at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the histograms and rates of a run tell.
#[derive(Debug)]
pub(crate) struct Tails {
    /// Every strategy in every cell that has a histogram.
    pub(crate) latency: Vec<Latency>,
    /// By sample: ln of its 99th percentile under an open load; NaN where there is none.
    pub(crate) p99: Vec<f64>,
    /// By sample: ln of what it completed of the arrivals, 0 for all; NaN where that is not known.
    pub(crate) pace: Vec<f64>,
}

impl Tails {
    pub(crate) fn new(stage: &Stage<'_>) -> Self {
        let strategies = stage.index.strategies.len();
        let unknown = || vec![f64::NAN; stage.samples.len()];
        let mut tails = Self { latency: Vec::new(), p99: unknown(), pace: unknown() };
        if stage.samples.iter().all(|s| s.latency.is_none()) {
            return tails;
        }
        let one = |deserializer: &mut Deserializer, job: usize| {
            let (cell, strategy) = (job / strategies, job % strategies);
            let series = stage.table.series(cell, strategy);
            let samples: Vec<&Sample> = series.iter().map(|&(_, i)| &stage.samples[i]).collect();
            let (merged, told) = merge(deserializer, &samples)?;
            Some((latency(cell, strategy, &samples, &merged, &told), told))
        };
        let all = spread(stage.index.cells.len() * strategies, Deserializer::new, one);
        for (latency, told) in all.into_iter().flatten() {
            for (&(_, i), told) in stage.table.series(latency.cell, latency.strategy).iter().zip(told) {
                (tails.p99[i], tails.pace[i]) = (table::log(told.p99), told.pace.map_or(f64::NAN, f64::ln));
            }
            tails.latency.push(latency);
        }
        tails
    }

    /// Whether a strategy fell behind its load in a cell.
    pub(crate) fn is_behind(&self, cell: usize, strategy: usize) -> bool {
        let here = |l: &&Latency| (l.cell, l.strategy) == (cell, strategy);
        self.latency.iter().find(here).and_then(|l| l.open.as_ref()).is_some_and(|open| open.behind)
    }

    /// The load, where it was an open one.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.latency.iter().find_map(|l| Some(l.open.as_ref()?.rate))
    }
}

/// The histograms of several samples, added up.
struct Merged {
    histogram: Histogram<u64>,
    samples: usize,
    unreadable: usize,
}

/// What one sample under an open load tells.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Its 99th percentile; 0 where it has none.
    p99: f64,
    /// Share of the arrivals' rate at which it completed them.
    pace: Option<f64>,
}

/// `None` where no sample has a histogram with a value in it.
fn merge(deserializer: &mut Deserializer, samples: &[&Sample]) -> Option<(Merged, Vec<Told>)> {
    // Three significant digits, as recorded; any number of decades.
    let mut merged = Merged { histogram: Histogram::new(3).ok()?, samples: 0, unreadable: 0 };
    let mut told = Vec::with_capacity(samples.len());
    for sample in samples {
        let one = sample.latency.as_deref().and_then(|text| read(deserializer, text));
        match one.as_ref().map(|one| merged.histogram.add(one)) {
            Some(Ok(())) => merged.samples += 1,
            _ => merged.unreadable += usize::from(sample.latency.is_some()),
        }
        told.push(tell(sample, one.as_ref().filter(|one| !one.is_empty())));
    }
    (!merged.histogram.is_empty()).then_some((merged, told))
}

fn tell(sample: &Sample, histogram: Option<&Histogram<u64>>) -> Told {
    let Some(rate) = sample.rate.filter(|rate| rate.is_finite() && *rate > 0.0) else {
        return Told::default();
    };
    let shortest = histogram.map_or(0.0, |h| h.min() as f64 / 1e9);
    let pace = sample.achieved_rate.filter(|achieved| *achieved > 0.0).map(|achieved| {
        let (tasks, arrivals) = (sample.tasks.max(1) as f64, sample.tasks.max(1) as f64 / rate);
        arrivals / (tasks / achieved - shortest).max(arrivals)
    });
    Told { p99: histogram.map_or(0.0, |h| h.value_at_quantile(0.99) as f64), pace }
}

/// One recorded histogram.
fn read(deserializer: &mut Deserializer, text: &str) -> Option<Histogram<u64>> {
    let bytes = BASE64.decode(text).ok()?;
    deserializer.deserialize(&mut bytes.as_slice()).ok()
}

fn latency(cell: usize, strategy: usize, samples: &[&Sample], merged: &Merged, told: &[Told]) -> Latency {
    let histogram = &merged.histogram;
    let at = |share: f64| histogram.value_at_quantile(share) as f64;
    Latency {
        cell,
        strategy,
        samples: merged.samples,
        unreadable: merged.unreadable,
        tasks: histogram.len(),
        open: open(samples, told),
        p50_ns: at(0.5),
        p90_ns: at(0.9),
        p99_ns: at(0.99),
        p999_ns: at(0.999),
        max_ns: histogram.max() as f64,
        points: curve(histogram),
    }
}

/// The percentile curve, as far as there are tasks to tell it.
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let tasks = histogram.len() as f64;
    let mut points: Vec<(f64, f64)> = Vec::new();
    for step in 0..=POINTS_PER_DECADE * DECADES_MAX {
        let beyond = 10f64.powf(-f64::from(step) / f64::from(POINTS_PER_DECADE));
        if beyond * tasks < 1.0 {
            break;
        }
        let share = 1.0 - beyond;
        points.push((share, histogram.value_at_quantile(share) as f64));
    }
    // The largest stands where half a task lies beyond it.
    let last = 1.0 - 0.5 / tasks;
    if points.last().is_some_and(|&(share, _)| share < last) {
        points.push((last, histogram.max() as f64));
    }
    points
}

/// What is known of the load; `None` for a closed one.
fn open(samples: &[&Sample], told: &[Told]) -> Option<OpenLoad> {
    let middle_of = |values: Vec<f64>| (!values.is_empty()).then(|| median(&values));
    let middle = |value: &dyn Fn(&Sample) -> Option<f64>| {
        middle_of(samples.iter().filter_map(|s| value(s)).filter(|v| v.is_finite()).collect())
    };
    let rate = middle(&|s| s.rate)?;
    let pace = middle_of(told.iter().filter_map(|told| told.pace).collect());
    let sampled = |s: &Sample| s.wall_ns.max(1) as f64 * f64::from(s.batch.max(1));
    let generator_share = middle(&|s| Some(s.generator_cpu_ns? as f64 / sampled(s)));
    Some(OpenLoad {
        rate,
        achieved: pace.map(|pace| pace * rate),
        behind: pace.is_some_and(|pace| pace < KEPT_UP),
        generator_lag_ns: middle(&|s| Some(s.generator_lag_ns? as f64)),
        generator_share,
        generator_flagged: generator_share.is_some_and(|share| share > GENERATOR_SHARE_MAX),
    })
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::{Serializer, V2DeflateSerializer, V2Serializer};

    use super::*;

    #[test]
    fn histograms_are_read_with_and_without_compression_and_padding() {
        let mut histogram: Histogram<u64> = Histogram::new(3).unwrap();
        for n in 1..=1000 {
            histogram.record(n * 1000).unwrap();
        }
        let (mut plain, mut packed) = (Vec::new(), Vec::new());
        V2Serializer::new().serialize(&histogram, &mut plain).unwrap();
        V2DeflateSerializer::new().serialize(&histogram, &mut packed).unwrap();
        for bytes in [plain, packed] {
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            for text in [text.as_str(), text.trim_end_matches('=')] {
                let read = read(&mut Deserializer::new(), text).unwrap();
                assert_eq!((read.len(), read.max()), (1000, histogram.max()));
            }
        }
        for nonsense in ["", "HISTFAAAA…", "HISTFAAAAAAA", "!!!"] {
            assert!(read(&mut Deserializer::new(), nonsense).is_none(), "{nonsense}");
        }
    }

    #[test]
    fn the_curve_ascends_and_ends_at_the_largest() {
        let mut histogram: Histogram<u64> = Histogram::new(3).unwrap();
        histogram.record(7).unwrap();
        assert_eq!(curve(&histogram), [(0.0, 7.0), (0.5, 7.0)]);
        for n in 1..20_000 {
            histogram.record(n).unwrap();
        }
        let points = curve(&histogram);
        assert!(points.is_sorted() && points.iter().is_sorted_by(|a, b| a.1 <= b.1));
        assert_eq!(points.last().unwrap().1, histogram.max() as f64);
        assert!((60..80).contains(&points.len()), "{}", points.len());
    }
}
