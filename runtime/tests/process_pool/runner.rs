//! The runner: chooses tests by name, gives each a watchdog, and decides how much each does.
//!
//! `CROSSOVER_POOL_TESTS=full` in the environment asks for the full counts (see [`count`]); `--nocapture` among the
//! arguments prints the measured figures (see [`judge`]).

use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    process,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// One test.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
}

/// The variable that asks for the full counts.
const COUNTS: &str = "CROSSOVER_POOL_TESTS";

/// How long something that must happen may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A time that a scenario names may be exceeded so many times: the machine may be busy with anything, and the
/// exact figures are the benches' business.
const GENEROUS: u32 = 20;

/// How often to do what a test does many times: `short` in `cargo test`, `full` on request.
pub(crate) fn count(short: u64, full: u64) -> u64 {
    if is_full() { full } else { short }
}

fn is_full() -> bool {
    env::var_os(COUNTS).is_some_and(|value| value == "full")
}

/// A hang is a failure after this long. Wide: the machine may be busy with anything.
fn watchdog() -> Duration {
    Duration::from_secs(if is_full() { 900 } else { 120 })
}

/// Judges measured times: their median must not be more than a generous multiple of what the scenario names.
pub(crate) fn judge(what: &str, named: Duration, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    if env::args().any(|argument| argument == "--nocapture") {
        println!("  {what}: {least:?} / {median:?} / {most:?} (least, median, most of {})", times.len());
    }
    assert!(median <= named * GENEROUS, "{what}: {median:?}, where the scenario says {named:?}");
}

/// Runs the scenarios that the arguments ask for; the exit code.
pub(crate) fn run(scenarios: &[Scenario]) -> i32 {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen: Vec<&Scenario> = scenarios
        .iter()
        .filter(|scenario| {
            filters.is_empty() || filters.iter().any(|filter| scenario.name.contains(filter.as_str()))
        })
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for scenario in chosen {
            println!("{}: test", scenario.name);
        }
        return 0;
    }
    println!("\nrunning {} tests", chosen.len());
    let failed = chosen.iter().filter(|scenario| !passes(scenario)).count();
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out\n",
        chosen.len() - failed,
        scenarios.len() - chosen.len(),
    );
    i32::from(failed > 0)
}

/// How many threads this process has.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("/proc").count()
}

fn passes(scenario: &Scenario) -> bool {
    let threads_before = threads();
    let (sender, receiver) = mpsc::channel();
    let run = scenario.run;
    let started = Instant::now();
    let worker = thread::Builder::new().name(scenario.name.to_owned()).spawn(move || {
        let result = panic::catch_unwind(AssertUnwindSafe(run));
        let _ = sender.send(result.is_ok());
    });
    worker.expect("a thread for the scenario");
    let verdict = receiver.recv_timeout(watchdog());
    match verdict {
        Ok(true) => println!("test {} ... ok ({:.2?})", scenario.name, started.elapsed()),
        Ok(false) => println!("test {} ... FAILED", scenario.name),
        Err(_) => {
            // The thread cannot be stopped; the workers die with this process.
            println!("test {} ... FAILED (hangs for {:?})", scenario.name, watchdog());
            process::exit(1);
        }
    }
    // A thread that was joined is listed for a moment longer, and the next scenario may count threads.
    let until = Instant::now() + Duration::from_secs(1);
    while threads() > threads_before && Instant::now() < until {
        thread::yield_now();
    }
    verdict == Ok(true)
}
