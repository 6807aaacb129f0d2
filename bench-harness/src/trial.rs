//! Inside a trial: a process of one strategy that answers requests until its stdin ends.
//!
//! One request at a time: prepare the inputs (kept for the next request of the same work), warm up or measure,
//! answer. Between requests the process waits in a blocking read and burns no CPU. What is outside the timed
//! window: starting the strategy (threads, runtime, worker processes), preparing inputs, reading counters.
//! Inside it: `batch` runs of the whole work, nothing else. Only where a request wants the start-up included, every run
//! has a strategy of its own, from its start to its end.
//!
//! A trial dies with its coordinator: by the kernel (PDEATHSIG), by the end of its stdin otherwise. Whatever goes
//! wrong within a request is its answer; only a broken request ends the process.
//!
//! `measure` holds what is done with a strategy once it and its work are ready, `lives` what is done with one that is not up.
mod lives;
mod measure;

use std::io::{self, BufRead, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::time::Instant;

use crossover_workloads::{Spec, Store};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::guard;
use crate::load::generator;
use crate::probe;
use crate::protocol::{self, Answer, LINE_BYTES_MAX, Request};
use crate::strategy::{self, Job, Strategy};

/// The entry of the processes that the suite starts for itself: returns at once in any other.
///
/// `trial STRATEGY [PARENT]` answers requests on stdin; with the process id of its parent it dies with it.
/// `guard PROGRAM [ARGUMENT]...` runs a program, see [`crate::guard`]. `generator TASKS RATE PARENT` makes tasks arrive,
/// see [`crate::load`].
pub fn entry() {
    let mut arguments = std::env::args().skip(1);
    let code = match arguments.next().as_deref() {
        Some("trial") => serve(&arguments.collect::<Vec<_>>()),
        Some("guard") => guard::main(&arguments.collect::<Vec<_>>()),
        Some("generator") => generator::main(&arguments.collect::<Vec<_>>()),
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
    if strategy::find(name).is_none() {
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
    /// The strategy, started, and how.
    strategy: Option<(strategy::Options, Box<dyn Strategy>)>,
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
            crossover_workloads::give_back();
            Answer::failed(id, reason)
        })
    }

    fn handle(&mut self, request: Request) -> Result<Answer, String> {
        let (warmup, traced) = (request.warmup, request.trace);
        let (id, batch, rate) = (request.id, request.batch, request.rate);
        let Request { workers, jobs_per_worker, .. } = request;
        let options = strategy::Options { workers, jobs_per_worker };
        if request.startup.is_included() && !traced {
            // One that is up would cost memory, and perhaps time.
            self.strategy = None;
            let (name, spec) = (&self.name, spec_of(request));
            let workload = self.store.get(&spec).map_err(|error| error.to_string())?;
            let lives = lives::Lives { name, options, spec: &spec, workload: &workload, batch };
            let answer = if warmup { lives.warm_up()? } else { lives.measure()? };
            return Ok(Answer { id, ok: true, ..answer });
        }
        let mut start_ns = None;
        if self.strategy.as_ref().is_none_or(|(started, _)| *started != options) {
            self.strategy = None;
            let start = Instant::now();
            self.strategy = Some((options, strategy::start_with(&self.name, options)?));
            start_ns = Some(measure::nanos(start.elapsed()));
        }
        let (_, strategy) = self.strategy.as_mut().ok_or("the strategy did not start")?;
        let spec = spec_of(request);
        let workload = self.store.get(&spec).map_err(|error| error.to_string())?;
        let job = &Job::new(spec, workload);
        let work = measure::Work { strategy: &mut **strategy, job, batch, rate };
        let answer = if traced {
            work.trace()?
        } else if warmup {
            let answer = work.warm_up()?;
            Answer { start_ns, worker_private_kib: worker_private_kib(&strategy.helpers()), ..answer }
        } else {
            work.measure()?
        };
        Ok(Answer { id, ok: true, ..answer })
    }
}

/// Memory that a worker process shares with nobody, on average: workers that are all the same hold the program's pages once.
/// Asked after a warm-up, beside no sample.
fn worker_private_kib(workers: &[u32]) -> Option<u64> {
    let private: Vec<u64> = workers.iter().filter_map(|&pid| probe::private_kib(pid)).collect();
    private.iter().sum::<u64>().checked_div(private.len() as u64)
}

fn read_request(line: &[u8]) -> Result<Request, String> {
    if line.len() >= LINE_BYTES_MAX {
        return Err(format!("a request is longer than {LINE_BYTES_MAX} bytes"));
    }
    let request: Request = serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))?;
    let Request { schema, batch, workers, rate, .. } = request;
    if schema != protocol::SCHEMA {
        Err(format!("schema {schema} of the protocol is unknown, this is {}", protocol::SCHEMA))
    } else if batch == 0 || workers == 0 {
        Err("`batch` and `workers` must be at least 1".to_owned())
    } else if request.jobs_per_worker == Some(0) {
        Err("`jobs_per_worker` must be at least 1".to_owned())
    } else if rate.is_some_and(|rate| rate <= 0.0 || batch != 1) {
        Err("under an open load `rate` must be above 0 and `batch` 1".to_owned())
    } else if rate.is_some() && request.startup.is_included() {
        Err("under an open load `startup` cannot be included".to_owned())
    } else {
        Ok(request)
    }
}

fn spec_of(request: Request) -> Spec {
    Spec {
        kind: request.workload,
        params: request.params,
        tasks: request.tasks,
        seed: request.seed,
        server: request.server,
        spin_per_us: request.spin_per_us,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (
                br#"{"schema":1,"id":4,"workload":"cpu","params":{},"tasks":4,"batch":2,"seed":7,"workers":1,
                "server":null,"spin_per_us":null,"warmup":true,"rate":5.0}"#,
                "`batch` 1",
            ),
            (
                br#"{"schema":1,"id":4,"workload":"cpu","params":{},"tasks":4,"batch":1,"seed":7,"workers":1,
                "server":null,"spin_per_us":null,"warmup":true,"rate":0}"#,
                "above 0",
            ),
            (
                br#"{"schema":1,"id":4,"workload":"cpu","params":{},"tasks":4,"batch":1,"seed":7,"workers":1,
                "server":null,"spin_per_us":null,"warmup":true,"rate":5,"startup":"included"}"#,
                "`startup`",
            ),
        ] {
            let reason = read_request(line).unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
    }
}
