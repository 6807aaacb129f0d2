//! Inside a trial: a process of one strategy that answers requests until its stdin ends.
//!
//! One request at a time: prepare the inputs (kept for the next request of the same work), warm up or measure,
//! answer. Between requests the process waits in a blocking read and burns no CPU. What is outside the timed
//! window: starting the strategy (threads, runtime, worker processes), preparing inputs, reading counters.
//! Inside it: `batch` runs of the whole work, nothing else.
//!
//! A trial dies with its coordinator: by the kernel (PDEATHSIG), by the end of its stdin otherwise. Whatever goes
//! wrong within a request is its answer; only a broken request ends the process.
use std::io::{self, BufRead, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossover_workloads::{Spec, Store, Value, format_checksum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config;
use crate::guard;
use crate::probe::{self, Usage};
use crate::protocol::{self, Answer, LINE_BYTES_MAX, Request};
use crate::strategy::{self, Job, Strategy};
use crate::trace::Recorder;

/// A warm-up ends when this many samples in a row are steady: close together, and neither falling nor rising.
const STEADY_SAMPLES: usize = 5;

/// The largest of the steady samples divided by the smallest is at most this.
const STEADY_SPREAD: f64 = 1.1;

/// The shortest of the last two steady samples and the shortest of those before differ by this factor at most: the
/// margin that verdicts use by default. A slow descent keeps close together for as long as it lasts.
const STEADY_DRIFT: f64 = 1.03;

/// A warm-up starts no further sample after this long. A work that takes longer runs once.
const WARMUP_LIMIT: Duration = Duration::from_millis(50);

/// A warm-up of very short samples ends after this many.
const WARMUP_SAMPLES_MAX: usize = 100;

/// The entry of the processes that the suite starts for itself: returns at once in any other.
///
/// `trial STRATEGY [PARENT]` answers requests on stdin; with the process id of its parent it dies with it.
/// `guard PROGRAM [ARGUMENT]...` runs a program, see [`crate::guard`].
pub fn entry() {
    let mut arguments = std::env::args().skip(1);
    let code = match arguments.next().as_deref() {
        Some("trial") => serve(&arguments.collect::<Vec<_>>()),
        Some("guard") => guard::main(&arguments.collect::<Vec<_>>()),
        _ => return,
    };
    exit(code.into());
}

fn serve(arguments: &[String]) -> u8 {
    let (name, parent) = match arguments {
        [name] => (name, None),
        [name, parent] => (name, parent.parse().ok()),
        _ => return usage("it takes the name of a strategy"),
    };
    if !strategy::BUILT_IN.iter().any(|info| info.name == name) {
        return usage(&format!("there is no strategy `{name}`"));
    }
    if let Some(parent) = parent
        && let Err(reason) = die_with(parent)
    {
        return usage(&reason);
    }
    allow_many_files();
    match Trial::new(name).answer_all() {
        Ok(()) => 0,
        Err(error) => usage(&error.to_string()),
    }
}

fn usage(reason: &str) -> u8 {
    eprintln!("crossover trial: {reason}");
    2
}

/// Has the kernel kill this process when the process `parent`, which must be its parent, ends.
pub(crate) fn die_with(parent: u32) -> Result<(), String> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| format!("cannot tie its life to its parent's: {error}"))?;
    // The parent may have died before the line above.
    match std::os::unix::process::parent_id() {
        now if now == parent => Ok(()),
        now => Err(format!("its parent {parent} is gone, {now} has taken its place")),
    }
}

/// Raises the number of files that this process may open to what the system allows it: every request that waits has a
/// connection of its own, and they are kept alive.
pub(crate) fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    // Refused or not, the limit that is in force shows as an error where it is met.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The state between requests.
struct Trial {
    name: String,
    /// The strategy, started, and its number of workers.
    strategy: Option<(u32, Box<dyn Strategy>)>,
    /// Prepared work: inputs, kept-alive connections.
    store: Store,
}

impl Trial {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), strategy: None, store: Store::new() }
    }

    /// Answers every line of stdin until it ends.
    fn answer_all(&mut self) -> io::Result<()> {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut input).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(());
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let request = read_request(&line).map_err(io::Error::other)?;
            let answer = self.answer(request);
            let text = protocol::line_of(&answer).map_err(io::Error::other)?;
            let mut output = io::stdout().lock();
            output.write_all(&text)?;
            output.flush()?;
        }
    }

    fn answer(&mut self, request: Request) -> Answer {
        let id = request.id;
        let outcome = catch_unwind(AssertUnwindSafe(|| self.handle(request)));
        outcome.unwrap_or_else(|payload| Err(strategy::panic_message(&*payload))).unwrap_or_else(|reason| {
            // What failed half-way may not be fit for another request.
            self.strategy = None;
            Answer::failed(id, reason)
        })
    }

    fn handle(&mut self, request: Request) -> Result<Answer, String> {
        let (id, batch, warmup, traced) = (request.id, request.batch, request.warmup, request.trace);
        if request.rate.is_some() {
            return Err("an open load is not served by this version".to_owned());
        }
        let mut start_ns = None;
        if self.strategy.as_ref().is_none_or(|(workers, _)| *workers != request.workers) {
            self.strategy = None;
            let start = Instant::now();
            self.strategy = Some((request.workers, strategy::start(&self.name, request.workers)?));
            start_ns = Some(nanos(start.elapsed()));
        }
        let (_, strategy) = self.strategy.as_mut().ok_or("the strategy did not start")?;
        let spec = spec_of(request);
        let workload = self.store.get(&spec).map_err(|error| error.to_string())?;
        let job = &Job::new(spec, workload);
        if traced {
            trace(&mut **strategy, job, id)
        } else if warmup {
            Ok(Answer { start_ns, ..warm_up(&mut **strategy, job, id, batch)? })
        } else {
            measure(&mut **strategy, job, id, batch)
        }
    }
}

fn read_request(line: &[u8]) -> Result<Request, String> {
    if line.len() >= LINE_BYTES_MAX {
        return Err(format!("a request is longer than {LINE_BYTES_MAX} bytes"));
    }
    let request: Request = serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))?;
    match request.schema {
        protocol::SCHEMA if request.batch > 0 && request.workers > 0 => Ok(request),
        protocol::SCHEMA => Err("`batch` and `workers` must be at least 1".to_owned()),
        other => Err(format!("schema {other} of the protocol is unknown, this is {}", protocol::SCHEMA)),
    }
}

fn spec_of(request: Request) -> Spec {
    let params = request.params.into_iter().map(|(name, value)| {
        let value = match value {
            config::Value::Int(n) => Value::Int(n),
            config::Value::Float(x) => Value::Float(x),
            config::Value::Text(text) => Value::Text(text),
        };
        (name, value)
    });
    Spec {
        kind: request.workload,
        params: params.collect(),
        tasks: request.tasks,
        seed: request.seed,
        server: request.server,
        spin_per_us: request.spin_per_us,
    }
}

/// Runs the work once, cold, then samples until their times are steady. The answer tells the time of the cold run, the
/// shortest of the last few samples, and whether they became steady; not so when too few fit the limit to tell.
fn warm_up(strategy: &mut dyn Strategy, job: &Job, id: u64, batch: u32) -> Result<Answer, String> {
    let started = Instant::now();
    let cold = run_batch(strategy, job, 1)?;
    let first = started.elapsed();
    let mut checksum = cold.clone();
    // A cold run is a sample only where samples are single runs.
    let mut times: Vec<f64> = if batch == 1 { vec![first.as_secs_f64()] } else { Vec::new() };
    while !is_steady(&times)
        && (times.is_empty() || started.elapsed() < WARMUP_LIMIT && times.len() < WARMUP_SAMPLES_MAX)
    {
        let sample = Instant::now();
        checksum = run_batch(strategy, job, batch)?;
        times.push(sample.elapsed().as_secs_f64());
    }
    if checksum != cold {
        checksum = format!("{cold} and then {checksum} in one warm-up");
    }
    let last = &times[times.len().saturating_sub(STEADY_SAMPLES)..];
    Ok(Answer {
        id,
        ok: true,
        wall_ns: Some(((shortest(last) * 1e9 / f64::from(batch)) as u64).max(1)),
        checksum: Some(checksum),
        first_ns: Some(nanos(first)),
        batches: u32::try_from(times.len()).ok(),
        steady: (times.len() >= STEADY_SAMPLES).then_some(is_steady(&times)),
        ..Answer::default()
    })
}

/// Whether the last samples lie close together, and the newest of them neither below nor above the others.
fn is_steady(times: &[f64]) -> bool {
    let Some(last) = times.len().checked_sub(STEADY_SAMPLES).map(|from| &times[from..]) else { return false };
    let (older, newer) = last.split_at(STEADY_SAMPLES - 2);
    let (older, newer) = (shortest(older), shortest(newer));
    let longest = last.iter().copied().fold(0.0, f64::max);
    longest <= older.min(newer) * STEADY_SPREAD && older.max(newer) <= older.min(newer) * STEADY_DRIFT
}

fn shortest(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Takes one sample.
fn measure(strategy: &mut dyn Strategy, job: &Job, id: u64, batch: u32) -> Result<Answer, String> {
    let me = std::process::id();
    let helpers = strategy.helpers();
    for pid in helpers.iter().copied().chain([me]) {
        probe::reset_peak(pid);
    }
    let before = Usage::own().plus(Usage::of(helpers));
    let start = Instant::now();
    let checksum = run_batch(strategy, job, batch)?;
    let wall = start.elapsed();
    let own = Usage::own();
    // Asked again: a worker that died on the way was replaced.
    let helpers = strategy.helpers();
    let used = own.plus(Usage::of(helpers.iter().copied())).since(before);
    let rss_peak_kib = helpers.into_iter().chain([me]).map(probe::peak_kib).sum();
    let per_run = |ns: u64| ns / u64::from(batch);
    Ok(Answer {
        id,
        ok: true,
        wall_ns: Some(per_run(nanos(wall)).max(1)),
        checksum: Some(checksum),
        user_ns: Some(per_run(used.user_ns)),
        sys_ns: Some(per_run(used.sys_ns)),
        rss_peak_kib: Some(rss_peak_kib),
        vcsw: Some(used.vcsw),
        ivcsw: Some(used.ivcsw),
        ..Answer::default()
    })
}

/// Runs the whole work once and tells what each task did when.
fn trace(strategy: &mut dyn Strategy, job: &Job, id: u64) -> Result<Answer, String> {
    let job = job.clone();
    let recorder = Arc::new(Recorder::start(job.workload.tasks()));
    let checksum = strategy.run(&job.traced(Arc::clone(&recorder)))?;
    let wall_ns = recorder.elapsed_ns();
    Ok(Answer {
        id,
        ok: true,
        wall_ns: Some(wall_ns.max(1)),
        checksum: Some(format_checksum(checksum)),
        trace: Some(recorder.finish()),
        ..Answer::default()
    })
}

/// Runs the whole work `batch` times: their checksum, or all that differ, which equals no oracle's.
fn run_batch(strategy: &mut dyn Strategy, job: &Job, batch: u32) -> Result<String, String> {
    let first = strategy.run(job)?;
    let mut differs = None;
    for _ in 1..batch {
        let other = strategy.run(job)?;
        if other != first {
            differs = Some(other);
        }
    }
    Ok(match differs {
        None => format_checksum(first),
        Some(other) => format!("{} and {} in one batch", format_checksum(first), format_checksum(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_means_the_last_five_lie_close_together_without_a_trend() {
        assert!(!is_steady(&[]));
        assert!(!is_steady(&[1.0; 4]));
        assert!(is_steady(&[9.0, 1.0, 1.05, 1.02, 1.08, 1.01]));
        assert!(!is_steady(&[1.0, 1.0, 1.0, 1.0, 1.2]));
        for step in [0.98_f64, 1.02] {
            let slope: Vec<f64> = (0..5).map(|i| step.powi(i)).collect();
            assert!(!is_steady(&slope), "within 10 % of each other, and still moving: {slope:?}");
        }
    }

    /// Gives the numbers one after another.
    #[derive(Debug)]
    struct Fickle(Vec<u64>);

    impl Strategy for Fickle {
        fn run(&mut self, _: &Job) -> Result<u64, String> {
            self.0.pop().ok_or_else(|| "nothing left".to_owned())
        }
    }

    fn job() -> Job {
        let line =
            br#"{"schema":1,"id":1,"workload":"cpu","params":{"kernel":"sha256","input_bytes":64},"tasks":2,
            "batch":1,"seed":7,"workers":1,"server":null,"spin_per_us":null,"warmup":false}"#;
        Job::prepare(spec_of(read_request(line).unwrap())).unwrap()
    }

    #[test]
    fn a_warm_up_whose_runs_differ_says_so() {
        let mut runs: Vec<u64> = (0..200).map(|_| 7).collect();
        runs.push(6);
        let answer = warm_up(&mut Fickle(runs), &job(), 1, 1).unwrap();
        let checksum = answer.checksum.unwrap();
        assert!(checksum.contains("0000000000000006") && checksum.contains("0000000000000007"), "{checksum}");
    }

    #[test]
    fn every_run_of_a_batch_is_compared() {
        let job = job();
        assert_eq!(run_batch(&mut Fickle(vec![5, 5, 5]), &job, 3).unwrap(), "0000000000000005");
        let both = run_batch(&mut Fickle(vec![5, 6, 5]), &job, 3).unwrap();
        assert!(both.contains("0000000000000005") && both.contains("0000000000000006"), "{both}");
        assert!(run_batch(&mut Fickle(vec![5]), &job, 2).is_err());
    }

    #[test]
    fn an_answer_tells_what_a_run_cost() {
        let mut trial = Trial::new("sequential");
        let line = br#"{"schema":1,"id":9,"workload":"cpu","params":{"kernel":"sha256","input_bytes":1024},
            "tasks":4,"batch":2,"seed":7,"workers":1,"server":null,"spin_per_us":null,"warmup":false}"#;
        let request = read_request(line).unwrap();
        let answer = trial.answer(request.clone());
        assert!(answer.ok && answer.id == 9, "{answer:?}");
        assert!(answer.wall_ns > Some(0) && answer.rss_peak_kib > Some(100) && answer.steady.is_none());
        let warm = trial.answer(Request { warmup: true, ..request.clone() });
        assert!(warm.ok && warm.wall_ns > Some(0) && warm.steady.is_some(), "{warm:?}");
        assert!(warm.first_ns > Some(0) && warm.batches >= Some(5), "{warm:?}");
        assert_eq!((answer.first_ns, answer.batches), (None, None), "a sample is no warm-up");
        assert_eq!(warm.start_ns, None, "the request before has started it");
        let fresh = Trial::new("threads").answer(Request { warmup: true, ..request.clone() });
        assert!(fresh.start_ns > Some(0), "{fresh:?}");
        assert_eq!(answer.checksum, warm.checksum);
    }

    #[test]
    fn a_work_that_cannot_be_prepared_is_an_answer() {
        let mut trial = Trial::new("threads");
        let line = br#"{"schema":1,"id":4,"workload":"cpu","params":{"kernel":"md5"},"tasks":4,"batch":2,
            "seed":7,"workers":1,"server":null,"spin_per_us":null,"warmup":true}"#;
        let answer = trial.answer(read_request(line).unwrap());
        assert!(!answer.ok && answer.id == 4 && answer.error.is_some(), "{answer:?}");
    }

    #[test]
    fn a_broken_request_is_refused_with_the_reason() {
        for (line, word) in [
            (&b"hello"[..], "not a request"),
            (
                br#"{"schema":1,"id":4,"workload":"cpu","params":{},"tasks":4,"batch":0,"seed":7,"workers":1,
                "server":null,"spin_per_us":null,"warmup":true}"#,
                "batch",
            ),
            (
                br#"{"schema":9,"id":4,"workload":"cpu","params":{},"tasks":4,"batch":1,"seed":7,"workers":1,
                "server":null,"spin_per_us":null,"warmup":true}"#,
                "schema 9",
            ),
        ] {
            let reason = read_request(line).unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
    }
}
