//! The jobs that the scenarios call.

use crate::support::wait_at;
use crossover_runtime::process_pool::job;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_bytes::ByteBuf;
use std::{
    fs::{self, File},
    process::{self, Command},
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
