//! The jobs that the scenarios call.

use crate::support::{enter, starts, wait_at};
use crossover_runtime::process_pool::job;
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_bytes::ByteBuf;
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    process::{self, Command},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

#[job]
pub(crate) fn none() -> u32 {
    7
}

#[job]
pub(crate) fn one(a: String) -> usize {
    a.len()
}

#[job]
pub(crate) fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[job]
pub(crate) fn six(a: u8, b: i16, c: u32, d: Option<i64>, e: (bool, char), f: Vec<f64>) -> String {
    format!("{a} {b} {c} {d:?} {e:?} {f:?}")
}

#[job]
pub(crate) fn unit() {}

#[job]
pub(crate) fn worker_pid() -> u32 {
    process::id()
}

#[job]
pub(crate) fn worker_group() -> i32 {
    rustix::process::getpgrp().as_raw_nonzero().get()
}

#[job]
pub(crate) fn parse(text: String) -> Result<i32, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// Waits at a gate, then tells which process it was.
#[job]
pub(crate) fn gate(name: String) -> u32 {
    wait_at(&name, process::id());
    process::id()
}

#[job]
pub(crate) fn touch(path: String) {
    File::create(path).expect("the file");
}

#[job]
pub(crate) fn echo(bytes: ByteBuf) -> ByteBuf {
    bytes
}

#[job]
pub(crate) fn zeros(count: usize) -> ByteBuf {
    ByteBuf::from(vec![0; count])
}

/// Keeps the CPU busy for about so long.
#[job]
pub(crate) fn busy(micros: u64) -> u64 {
    let end = Instant::now() + Duration::from_micros(micros);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    micros
}

/// Never returns; says so at the gate first.
#[job]
pub(crate) fn endless(gate: String) {
    announce(gate);
    loop {
        std::hint::spin_loop();
    }
}

/// Never returns, and has opted out of the parent-death signal.
#[job]
pub(crate) fn endless_without_death_signal(gate: String) {
    rustix::process::set_parent_process_death_signal(None).expect("prctl");
    endless(gate);
}

/// Passes a gate from another thread, so that the job itself goes on.
fn announce(gate: String) {
    std::thread::spawn(move || wait_at(&gate, process::id()));
}

#[job]
pub(crate) fn panics(message: String) {
    panic!("{message}");
}

#[job]
pub(crate) fn panics_with_a_number() {
    std::panic::panic_any(42_u8);
}

#[job]
pub(crate) fn aborts(last_words: String) {
    eprintln!("{last_words}");
    process::abort();
}

#[job]
pub(crate) fn exits(code: i32) {
    process::exit(code);
}

#[job]
pub(crate) fn prints(text: String) {
    print!("{text}");
    eprint!("{text}");
}

/// Writes so many bytes to stderr, far more than its pipe holds.
#[job]
pub(crate) fn floods_stderr(bytes: usize) -> usize {
    io::stderr().write_all(&vec![b'.'; bytes]).expect("stderr is read by the parent");
    bytes
}

/// What a program does that becomes a daemon: the three standard descriptors are free afterwards.
#[job]
pub(crate) fn closes_stdio() -> u32 {
    for fd in 0..3 {
        // Fails for what an earlier call closed.
        let _ = nix::unistd::close(fd);
    }
    process::id()
}

/// Reads all of stdin; how much there was.
#[job]
pub(crate) fn reads_stdin() -> usize {
    io::stdin().lock().read_to_end(&mut Vec::new()).expect("stdin is at its end")
}

/// How a [`logged`] job goes on after its entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Then {
    Return,
    Abort,
    /// Aborts, unless the ledger says that it did already.
    AbortFirst,
    /// Waits at a gate.
    Wait(String),
    /// Keeps the CPU busy for so many microseconds.
    Work(u64),
}

/// Enters its number in a ledger, then goes on as told. One function for all of these, so that nothing but the
/// arguments tells the pool how long a call takes.
#[job]
pub(crate) fn logged(ledger: String, number: u64, then: Then) -> u64 {
    enter(&ledger, number);
    match then {
        Then::Return => {}
        Then::Abort => process::abort(),
        Then::AbortFirst if starts(&ledger, number) == 1 => process::abort(),
        Then::AbortFirst => {}
        Then::Wait(gate) => wait_at(&gate, process::id()),
        Then::Work(micros) => drop(busy(micros)),
    }
    number
}

/// Allocates, then gets what the kernel sends to the process that it picks when memory is short.
#[job]
pub(crate) fn killed_for_memory(bytes: usize) {
    let mut hog = vec![1_u8; bytes];
    std::hint::black_box(&mut hog);
    let _ = kill_process(getpid(), Signal::KILL);
    // SIGKILL cannot be outrun, but its delivery may take a moment.
    loop {
        std::hint::spin_loop();
    }
}

/// Asks for more memory than the process may have.
#[job]
pub(crate) fn runs_out_of_memory(bytes: usize) -> usize {
    let limit = Rlimit { current: Some(bytes as u64), maximum: Some(bytes as u64) };
    setrlimit(Resource::As, limit).expect("a lower limit");
    vec![1_u8; bytes].len()
}

/// Whether this is a copy of the test's process, memory and all, instead of a program that was started anew.
#[job]
pub(crate) fn is_forked_copy() -> bool {
    PARENT.load(Ordering::Relaxed)
}

/// Set by a test in its own process. Relaxed: a forked copy would have it from before the fork.
pub(crate) static PARENT: AtomicBool = AtomicBool::new(false);

/// Starts a process that holds this worker's stdout and stderr, in a group of its own on request; its id.
#[job]
pub(crate) fn has_a_child(own_group: bool) -> u32 {
    let mut command = Command::new("sleep");
    command.arg("1000");
    if own_group {
        command.process_group(0);
    }
    command.spawn().expect("sleep").id()
}

/// Starts a process that would outlive the worker, names it at the gate, then aborts.
#[job]
pub(crate) fn leaves_a_grandchild(gate: String) {
    let child = Command::new("sleep").arg("1000").spawn().expect("sleep");
    wait_at(&gate, child.id());
    process::abort();
}

/// Where the descriptors of the worker lead to.
#[job]
pub(crate) fn descriptors() -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc").flatten();
    let mut fds: Vec<(i32, String)> = entries
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, target.to_str()?.to_owned()))
        })
        .collect();
    fds.sort();
    fds
}

/// A value that fails to cross at a chosen place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stubborn {
    Tame,
    /// Does not encode.
    Mute,
    /// Encodes, but what comes out does not decode.
    Garbled,
}

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Tame => serializer.serialize_u8(0),
            Self::Mute => Err(ser::Error::custom("stubborn")),
            Self::Garbled => serializer.serialize_u8(2),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Self::Tame),
            _ => Err(de::Error::custom("stubborn")),
        }
    }
}

#[job]
pub(crate) fn takes_stubborn(value: Stubborn) -> u32 {
    assert_eq!(value, Stubborn::Tame);
    process::id()
}

#[job]
pub(crate) fn gives_stubborn(garbled: bool) -> Stubborn {
    if garbled { Stubborn::Garbled } else { Stubborn::Mute }
}
