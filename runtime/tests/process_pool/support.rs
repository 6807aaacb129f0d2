//! The instruments of the scenarios: gates that hold a job where the test wants it, processes that are watched
//! through pidfds, a ledger of what ran, and the footprint that a pool must not leave.

use crate::runner::{SOON, threads};
use crossover_runtime::process_pool::{Call, CallError, ProcessPool};
use futures::executor::block_on;
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal},
    time::Timespec,
};
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    env,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

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
        let name = format!("crossover-gate-{}-{}", process::id(), unique());
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

    /// Waits until the job's process is gone, however it went (or closed everything that it had open).
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
        Self::find(process).expect("the process lives")
    }

    /// `None` when it is gone already.
    pub(crate) fn find(process: u32) -> Option<Self> {
        pidfd_open(pid(process), PidfdFlags::empty()).ok().map(Self)
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

/// What a pool must give back: counts of this process that must be the same before and after.
#[derive(Debug, PartialEq)]
pub(crate) struct Footprint {
    descriptors: usize,
    memfds: usize,
    /// Shared memory that is mapped.
    mappings: usize,
    threads: usize,
    children: usize,
}

impl Footprint {
    pub(crate) fn take() -> Self {
        let links = fs::read_dir("/proc/self/fd").expect("/proc").flatten();
        let targets: Vec<PathBuf> = links.filter_map(|link| fs::read_link(link.path()).ok()).collect();
        let of_memory = |text: &str| text.contains("/memfd:");
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
        let me = process::id().to_string();
        Self {
            descriptors: open_fds(),
            memfds: targets.iter().filter(|target| target.to_str().is_some_and(of_memory)).count(),
            mappings: maps.lines().filter(|line| of_memory(line)).count(),
            threads: threads(),
            children: stats().filter(|(_, _, parent)| *parent == me).count(),
        }
    }

    /// Expects the same footprint again. A thread that was joined may be listed for a moment longer, so this waits
    /// for it; what leaked stays.
    pub(crate) fn expect_again(&self) {
        let until = Instant::now() + SOON;
        while Self::take() != *self && Instant::now() < until {
            thread::yield_now();
        }
        assert_eq!(Self::take(), *self);
    }
}

/// Of every process: its id, its state, its parent.
fn stats() -> impl Iterator<Item = (u32, String, String)> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // After the name, which is in parentheses and may hold anything: state, parent.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        Some((id, fields.next()?.to_owned(), fields.next()?.to_owned()))
    })
}

/// The children of this process that nobody has reaped.
pub(crate) fn zombies() -> usize {
    let me = process::id().to_string();
    stats().filter(|(_, state, parent)| state == "Z" && *parent == me).count()
}

/// The living processes with this variable in their environment.
pub(crate) fn processes_with(variable: &str) -> Vec<u32> {
    stats()
        .filter(|(id, state, _)| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            state != "Z" && environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
        })
        .map(|(id, ..)| id)
        .collect()
}

/// A path that no other test uses.
pub(crate) fn scratch(name: &str) -> PathBuf {
    env::temp_dir().join(format!("crossover-{name}-{}-{}", process::id(), unique()))
}

fn unique() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Relaxed: only the numbers must differ.
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// A file to which jobs append their number when they start: what really ran, and how often.
pub(crate) struct Ledger(PathBuf);

impl Ledger {
    pub(crate) fn new() -> Self {
        let path = scratch("ledger");
        File::create(&path).expect("the ledger");
        Self(path)
    }

    /// What a job needs to find the ledger.
    pub(crate) fn name(&self) -> String {
        self.0.to_str().expect("a path in UTF-8").to_owned()
    }

    /// How often each job started.
    pub(crate) fn starts(&self) -> HashMap<u64, u32> {
        let mut starts = HashMap::new();
        for job in entries(&self.name()) {
            *starts.entry(job).or_default() += 1;
        }
        starts
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The job's side of a ledger. An append of eight bytes is atomic.
pub(crate) fn enter(ledger: &str, job: u64) {
    let mut file = OpenOptions::new().append(true).open(ledger).expect("the ledger");
    file.write_all(&job.to_le_bytes()).expect("an entry");
}

/// How often a job has entered itself in a ledger.
pub(crate) fn starts(ledger: &str, job: u64) -> usize {
    entries(ledger).into_iter().filter(|entry| *entry == job).count()
}

fn entries(ledger: &str) -> Vec<u64> {
    let bytes = fs::read(ledger).expect("the ledger");
    bytes.chunks(8).map(|entry| u64::from_le_bytes(entry.try_into().expect("eight bytes"))).collect()
}

/// A linear congruential generator: the instants of kills and drops need no more.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
