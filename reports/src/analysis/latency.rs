//! Latency of the tasks: the histograms of all usable samples of a strategy in a cell, added up.
//!
//! Under an open load a task counts from its intended start, so that a stall shows in every task that it delays; under
//! a closed one from its own start, and the tasks that a stall kept from starting do not show (coordinated omission).
//! That is why every curve says which it is.
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::analysis::hierarchy::median;
use crate::analysis::model::{Latency, OpenLoad};
use crate::analysis::spread::spread;
use crate::analysis::stage::Stage;
use crate::record::Sample;

/// The generator's share of a core above which it competes with what it measures.
const GENERATOR_SHARE_MAX: f64 = 0.2;
/// Less than this share of the arrivals completed is "behind".
const KEPT_UP: f64 = 0.95;
/// Points of the percentile curve in a decade of 1−share.
const POINTS_PER_DECADE: u32 = 16;
/// Decades of the curve at most.
const DECADES_MAX: u32 = 9;

/// Base64 with or without padding at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The latency of every strategy in every cell that has a histogram.
pub(crate) fn analyse(stage: &Stage<'_>) -> Vec<Latency> {
    let strategies = stage.index.strategies.len();
    let one = |deserializer: &mut Deserializer, job: usize| {
        let (cell, strategy) = (job / strategies, job % strategies);
        let series = stage.table.series(cell, strategy);
        let samples: Vec<&Sample> = series.iter().map(|&(_, i)| &stage.samples[i]).collect();
        merge(deserializer, &samples).map(|merged| latency(cell, strategy, &samples, &merged))
    };
    if stage.samples.iter().all(|s| s.latency.is_none()) {
        return Vec::new();
    }
    let all = spread(stage.index.cells.len() * strategies, Deserializer::new, one);
    all.into_iter().flatten().collect()
}

/// The histograms of several samples, added up.
struct Merged {
    histogram: Histogram<u64>,
    samples: usize,
    unreadable: usize,
}

/// `None` where no sample has a histogram with a value in it.
fn merge(deserializer: &mut Deserializer, samples: &[&Sample]) -> Option<Merged> {
    // Three significant digits, as recorded; any number of decades.
    let mut merged = Merged { histogram: Histogram::new(3).ok()?, samples: 0, unreadable: 0 };
    for text in samples.iter().filter_map(|s| s.latency.as_deref()) {
        match read(deserializer, text) {
            Some(one) if merged.histogram.add(&one).is_ok() => merged.samples += 1,
            _ => merged.unreadable += 1,
        }
    }
    (!merged.histogram.is_empty()).then_some(merged)
}

/// One recorded histogram.
fn read(deserializer: &mut Deserializer, text: &str) -> Option<Histogram<u64>> {
    let bytes = BASE64.decode(text).ok()?;
    deserializer.deserialize(&mut bytes.as_slice()).ok()
}

fn latency(cell: usize, strategy: usize, samples: &[&Sample], merged: &Merged) -> Latency {
    let histogram = &merged.histogram;
    let at = |share: f64| histogram.value_at_quantile(share) as f64;
    Latency {
        cell,
        strategy,
        samples: merged.samples,
        unreadable: merged.unreadable,
        tasks: histogram.len(),
        open: open(samples),
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
fn open(samples: &[&Sample]) -> Option<OpenLoad> {
    let middle = |value: &dyn Fn(&Sample) -> Option<f64>| {
        let values: Vec<f64> = samples.iter().filter_map(|s| value(s)).filter(|v| v.is_finite()).collect();
        (!values.is_empty()).then(|| median(&values))
    };
    let rate = middle(&|s| s.rate)?;
    let achieved = middle(&|s| s.achieved_rate);
    let sampled = |s: &Sample| s.wall_ns.max(1) as f64 * f64::from(s.batch.max(1));
    let generator_share = middle(&|s| Some(s.generator_cpu_ns? as f64 / sampled(s)));
    Some(OpenLoad {
        rate,
        achieved,
        behind: achieved.is_some_and(|achieved| achieved < KEPT_UP * rate),
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
