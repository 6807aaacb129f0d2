//! A server that stalls, seen by an open and by a closed load: what the report's percentiles say, against what is known
//! analytically. METHOD's case: it stalls 200 ms every 2 s, serves in 1 ms, and 500 requests arrive per second.
use base64::Engine as _;
use crossover_reports::analysis::model::Latency;
use crossover_reports::load::Folder;
use crossover_reports::record::{Params, Sample};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::synthetic::{Synthetic, run, sample};

const RATE: f64 = 500.0;
const SERVICE: f64 = 0.001;
const STALL: f64 = 0.2;
const EVERY: f64 = 2.0;

/// When a request ends that the single-threaded server begins at `start` seconds: the server does nothing during stalls.
fn served(start: f64) -> f64 {
    let (mut now, mut left) = (start, SERVICE);
    loop {
        let cycle = (now / EVERY).floor() * EVERY;
        if now < cycle + STALL {
            now = cycle + STALL;
        }
        let room = cycle + EVERY - now;
        if left <= room {
            return now + left;
        }
        left -= room;
        now = cycle + EVERY;
    }
}

/// Latencies in nanoseconds over `seconds` of an open load, each from its intended start.
fn open(rng: &mut ChaCha8Rng, seconds: f64) -> Vec<u64> {
    let phase = rng.random::<f64>() * EVERY;
    let mut free = 0.0_f64;
    let latency = |i: u32| {
        let intended = phase + f64::from(i) / RATE;
        free = served(intended.max(free));
        ((free - intended) * 1e9) as u64
    };
    (0..(seconds * RATE) as u32).map(latency).collect()
}

/// The same from a closed load of one connection: the next request waits for the last one, and counts from when it was sent.
fn closed(rng: &mut ChaCha8Rng, seconds: f64) -> Vec<u64> {
    let mut now = rng.random::<f64>() * EVERY;
    let end = now + seconds;
    let mut latencies = Vec::new();
    while now < end {
        let done = served(now);
        latencies.push(((done - now) * 1e9) as u64);
        // A client that keeps to the rate where it can.
        now = done.max(now + 1.0 / RATE);
    }
    latencies
}

/// The latency that 99 % do not exceed under the open load. A request that arrives `t` before the stall's end waits for it
/// and for the (STALL - t)·RATE that queue before it; the queue then drains, each further request waiting 1/RATE - SERVICE less.
fn analytic_p99() -> f64 {
    // Of EVERY·RATE requests, latency falls linearly from STALL + SERVICE at the stall's begin: by 1 - RATE·SERVICE per
    // second of intended start, through the stall and the draining alike.
    let slope = 1.0 - RATE * SERVICE;
    let slow = 0.01 * EVERY;
    STALL + SERVICE - slope * slow
}

fn encoded(latencies: &[u64]) -> String {
    let mut histogram: Histogram<u64> = Histogram::new(3).unwrap();
    latencies.iter().for_each(|&ns| histogram.record(ns).unwrap());
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn folder(latencies: impl Fn(&mut ChaCha8Rng) -> Vec<u64>, edit: impl Fn(&mut Sample)) -> Folder {
    let mut folder = Synthetic::one_cell(&[]).measure(0);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (order, (process, round)) in (0..3).flat_map(|p| (0..4).map(move |r| (p, r))).enumerate() {
        let mut one =
            sample(&Params::new(), "event-loop", [process, round], order as u64, (20.0 * EVERY * 1e9) as u64);
        one.latency = Some(encoded(&latencies(&mut rng)));
        edit(&mut one);
        folder.samples.push(one);
    }
    folder
}

fn latency(folder: &Folder) -> Latency {
    let analysis = run(folder);
    let [latency] = analysis.latency.as_slice() else { panic!("{:?}", analysis.latency) };
    latency.clone()
}

#[test]
fn the_open_loop_sees_the_stall_and_the_closed_loop_does_not() {
    let seconds = 20.0 * EVERY;
    let seen = latency(&folder(
        |rng| open(rng, seconds),
        |s| {
            (s.rate, s.achieved_rate) = (Some(RATE), Some(RATE - 1.0));
            (s.generator_lag_ns, s.generator_cpu_ns) = (Some(40_000), Some(1_000_000_000));
        },
    ));
    let truth = analytic_p99() * 1e9;
    println!("open p99 {:.1} ms, analytic {:.1} ms", seen.p99_ns / 1e6, truth / 1e6);
    assert!((seen.p99_ns / truth - 1.0).abs() < 0.05, "{} instead of {truth}", seen.p99_ns);
    assert!((seen.max_ns / 201e6 - 1.0).abs() < 0.02, "{}", seen.max_ns);
    let load = seen.open.unwrap();
    assert!(!load.behind && !load.generator_flagged && load.rate == RATE);
    assert_eq!((load.generator_lag_ns, load.generator_share), (Some(40_000.0), Some(0.025)));
    assert_eq!((seen.samples, seen.tasks, seen.unreadable), (12, 12 * 20_000, 0));

    let closed = latency(&folder(|rng| closed(rng, seconds), |_| {}));
    println!("closed p99 {:.2} ms", closed.p99_ns / 1e6);
    assert!(closed.open.is_none() && closed.p99_ns < 1.5e6, "the closed loop hides it: {}", closed.p99_ns);
    assert!(closed.max_ns > 190e6, "it met the stall, in one request of a thousand");
}

#[test]
fn a_load_that_falls_behind_and_a_busy_generator_are_flagged() {
    let few = |_: &mut ChaCha8Rng| vec![1_000_000; 100];
    let seen = latency(&folder(few, |s| {
        (s.tasks, s.rate, s.achieved_rate) = (100, Some(RATE), Some(0.9 * RATE));
        s.generator_cpu_ns = Some(s.wall_ns / 4);
    }));
    let load = seen.open.unwrap();
    assert!(load.behind && load.generator_flagged && load.generator_share == Some(0.25), "{load:?}");
    // 100 tasks in 222 ms, of which the first takes 1 ms.
    let achieved = load.achieved.unwrap();
    assert!((achieved - 100.0 / (100.0 / (0.9 * RATE) - 0.001)).abs() < 1.0, "{achieved}");
}

#[test]
fn disturbed_and_unreadable_samples_are_left_out() {
    let few = |_: &mut ChaCha8Rng| vec![1_000_000; 100];
    let mut folder = folder(few, |_| {});
    folder.samples[0].latency = Some("HISTFAAAA…".to_owned());
    folder.samples[1].latency = None;
    folder.samples[2].foreign_cores = 1.0;
    let seen = latency(&folder);
    assert_eq!((seen.samples, seen.unreadable, seen.tasks), (9, 1, 900));
}
