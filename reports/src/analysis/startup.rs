//! How strategies start and become steady, and what the harness itself takes.
use serde_json::Value;

use crate::analysis::hierarchy::median;
use crate::analysis::model::{Harness, Startup};
use crate::analysis::stage::Stage;
use crate::record::Warmup;

/// The start of every strategy that has a warm-up, in the order of `strategies`.
pub(crate) fn analyse(strategies: &[String], warmups: &[Warmup]) -> Vec<Startup> {
    let one = |(strategy, name): (usize, &String)| {
        let mine: Vec<&Warmup> = warmups.iter().filter(|w| w.strategy == *name).collect();
        let starts: Vec<f64> = mine.iter().filter_map(|w| Some(w.start_ns? as f64)).collect();
        let cold = |w: &&Warmup| Some(w.first_ns? as f64 / w.wall_ns as f64).filter(|_| w.wall_ns > 0);
        let private: Vec<f64> = mine.iter().filter_map(|w| Some(w.worker_private_kib? as f64)).collect();
        let ratios: Vec<f64> = mine.iter().filter_map(cold).collect();
        let told: Vec<bool> = mine.iter().filter_map(|w| w.steady).collect();
        (!mine.is_empty()).then(|| Startup {
            strategy,
            start_ns: middle(&starts),
            cold_ratio: middle(&ratios),
            warmups: mine.len(),
            told: told.len(),
            never_steady: told.iter().filter(|steady| !**steady).count(),
            worker_private_kib: middle(&private),
        })
    };
    strategies.iter().enumerate().filter_map(one).collect()
}

/// The harness's own share, from the usable samples and `env.json`.
pub(crate) fn harness(stage: &Stage<'_>, env: Option<&Value>) -> Harness {
    let usable = || stage.integrity.usable.iter().map(|&i| &stage.samples[i]);
    let overheads: Vec<f64> = usable().filter_map(|s| Some(s.overhead_ns? as f64)).collect();
    let shares: Vec<f64> = usable()
        .filter_map(|s| Some(s.overhead_ns? as f64 / (s.wall_ns.max(1) as f64 * f64::from(s.batch.max(1)))))
        .collect();
    let own = env.and_then(|env| env.get("harness"));
    let number = |key: &str| own?.get(key)?.as_f64();
    let empty = own.and_then(|own| own.get("empty_task_ns")).and_then(Value::as_object);
    Harness {
        overhead_ns: middle(&overheads),
        overhead_share: middle(&shares),
        timer_resolution_ns: number("timer_resolution_ns")
            .or_else(|| env?.get("machine")?.get("timer_resolution_ns")?.as_f64()),
        request_ns: number("request_ns"),
        empty_task_ns: empty
            .map(|all| all.iter().filter_map(|(name, ns)| Some((name.clone(), ns.as_f64()?))).collect())
            .unwrap_or_default(),
    }
}

fn middle(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| median(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warmup(strategy: &str, start_ns: Option<u64>, first_ns: u64, steady: Option<bool>) -> Warmup {
        Warmup {
            schema: 1,
            run: "r".to_owned(),
            process: 0,
            cell: "n=1".to_owned(),
            strategy: strategy.to_owned(),
            start_ns,
            first_ns: Some(first_ns),
            wall_ns: 1000,
            batches: Some(3),
            steady,
            worker_private_kib: start_ns.map(|_| 300),
        }
    }

    #[test]
    fn starts_are_told_by_strategy_and_never_steady_is_counted() {
        let warmups = [
            warmup("b", Some(500), 3000, Some(true)),
            warmup("b", None, 5000, Some(false)),
            warmup("b", Some(700), 9000, None),
            warmup("unknown", None, 1, None),
        ];
        let all = analyse(&["a".to_owned(), "b".to_owned()], &warmups);
        let expected = Startup {
            strategy: 1,
            start_ns: Some(600.0),
            cold_ratio: Some(5.0),
            warmups: 3,
            told: 2,
            never_steady: 1,
            worker_private_kib: Some(300.0),
        };
        assert_eq!(all, [expected]);
    }
}
