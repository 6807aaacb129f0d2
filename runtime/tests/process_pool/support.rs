//! The runner, and the instruments of the scenarios: gates that hold a job where the test wants it, processes that
//! are watched through pidfds, and counts of descriptors and zombies.

use crossover_runtime::process_pool::{Call, CallError, ProcessPool};
use futures::executor::block_on;
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal},
    time::Timespec,
};
use serde::de::DeserializeOwned;
use std::{
    env, fs,
    io::{Read, Write},
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    panic::{self, AssertUnwindSafe},
    process,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// One test.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
}

/// A hang is a failure after this long. Wide: the machine may be busy with anything.
const WATCHDOG: Duration = Duration::from_secs(120);

/// How long something that must happen may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);

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

fn passes(scenario: &Scenario) -> bool {
    let (sender, receiver) = mpsc::channel();
    let run = scenario.run;
    let worker = thread::Builder::new().name(scenario.name.to_owned()).spawn(move || {
        let result = panic::catch_unwind(AssertUnwindSafe(run));
        let _ = sender.send(result.is_ok());
    });
    worker.expect("a thread for the scenario");
    let verdict = receiver.recv_timeout(WATCHDOG);
    match verdict {
        Ok(true) => println!("test {} ... ok", scenario.name),
        Ok(false) => println!("test {} ... FAILED", scenario.name),
        Err(_) => {
            // The thread cannot be stopped; the workers die with this process.
            println!("test {} ... FAILED (hangs for {WATCHDOG:?})", scenario.name);
            process::exit(1);
        }
    }
    verdict == Ok(true)
}

/// A pool of so many workers.
pub(crate) fn pool(workers: usize) -> ProcessPool {
    ProcessPool::builder().workers(workers).startup_timeout(SOON).build().expect("a pool")
}

/// A pool of so many workers, all ready.
pub(crate) fn warm_pool(workers: usize) -> ProcessPool {
    let pool = pool(workers);
    block_on(pool.warm_up()).expect("ready workers");
    pool
}

/// Waits for a call that must succeed.
pub(crate) fn ok<R: DeserializeOwned>(call: Call<R>) -> R {
    block_on(call).unwrap_or_else(|error| panic!("the call failed: {error}"))
}

/// Waits for a call that must fail.
pub(crate) fn err<R: DeserializeOwned>(call: Call<R>) -> CallError {
    match block_on(call) {
        Ok(_) => panic!("the call succeeded"),
        Err(error) => error,
    }
}

/// The signal that killed a job's worker.
pub(crate) fn signal_of(error: &CallError) -> Option<i32> {
    match error {
        CallError::WorkerDied { signal, .. } => *signal,
        other => panic!("not a worker's death: {other}"),
    }
}

/// Where jobs of this test come to wait: see the job `gate`.
pub(crate) struct Gate {
    name: String,
    listener: UnixListener,
}

/// A job that waits at a gate.
pub(crate) struct Guest {
    /// The process that it named: its worker, or a grandchild.
    pub(crate) pid: u32,
    stream: UnixStream,
}

impl Gate {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the numbers must differ.
        let name = format!("crossover-gate-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from_abstract_name(&name).expect("an abstract name");
        Self { name, listener: UnixListener::bind_addr(&address).expect("a listener") }
    }

    /// What a job needs to find the gate.
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// Waits for the next job to arrive.
    pub(crate) fn guest(&self) -> Guest {
        let (mut stream, _) = self.listener.accept().expect("a guest");
        let mut pid = [0; 4];
        stream.read_exact(&mut pid).expect("the guest's pid");
        Guest { pid: u32::from_le_bytes(pid), stream }
    }
}

impl Guest {
    /// Lets the job go on.
    pub(crate) fn release(mut self) {
        self.stream.write_all(&[1]).expect("the guest is there");
    }

    /// Waits until the job's process is gone, however it went.
    pub(crate) fn wait_gone(mut self) {
        // An end-of-file or a reset: both mean gone.
        let _ = self.stream.read(&mut [0; 1]);
    }
}

/// The job's side of a gate: names a process and waits to be released (or for the test to go away).
pub(crate) fn wait_at(gate: &str, pid: u32) {
    let address = SocketAddr::from_abstract_name(gate).expect("an abstract name");
    let mut stream = UnixStream::connect_addr(&address).expect("the gate");
    stream.write_all(&pid.to_le_bytes()).expect("the test listens");
    let _ = stream.read(&mut [0; 1]);
}

pub(crate) fn pid(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().expect("a pid")).expect("a pid")
}

pub(crate) fn kill(process: u32, signal: Signal) {
    kill_process(pid(process), signal).expect("the process lives");
}

/// A process that is watched until it ends. It is killed with its watcher: a failed test leaves nothing running.
pub(crate) struct Watched(OwnedFd);

impl Drop for Watched {
    fn drop(&mut self) {
        // Fails when it has ended, as it should.
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }
}

impl Watched {
    pub(crate) fn new(process: u32) -> Self {
        Self(pidfd_open(pid(process), PidfdFlags::empty()).expect("the process lives"))
    }

    /// Whether it ends within the limit.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout =
                Timespec { tv_sec: left.as_secs().try_into().unwrap(), tv_nsec: left.subsec_nanos().into() };
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) if left.is_zero() => return false,
                Ok(n) if n > 0 => return true,
                _ => {}
            }
        }
    }
}

/// How many descriptors this process has open.
pub(crate) fn open_fds() -> usize {
    fs::read_dir("/proc/self/fd").expect("/proc").count()
}

/// The children of this process that nobody has reaped.
pub(crate) fn zombies() -> usize {
    let me = process::id().to_string();
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| {
            // After the name, which is in parentheses and may hold anything: state, parent.
            let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
            fields.next() == Some("Z") && fields.next() == Some(&me)
        })
        .count()
}
