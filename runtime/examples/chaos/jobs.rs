//! The jobs: each enters its number in the ledger first, so that the parent learns what really ran, and how often.

use crate::plan::{Ending, MEMORY, mapped, payload, stamp};
use crossover_runtime::process_pool::{Blob, job};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_bytes::ByteBuf;
use std::{
    env,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::process::parent_id,
    path::PathBuf,
    process::{self, Command},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// The variable by which the processes that jobs start are found again.
pub(crate) const MARK: &str = "CROSSOVER_CHAOS";

/// The ledger of the run whose parent is process `parent`.
pub(crate) fn ledger_path(parent: u32) -> PathBuf {
    env::temp_dir().join(format!("crossover-chaos-{parent}"))
}

/// An append of eight bytes is atomic.
fn enter(id: u64) {
    static LEDGER: OnceLock<File> = OnceLock::new();
    let mut ledger = LEDGER.get_or_init(|| {
        OpenOptions::new().append(true).open(ledger_path(parent_id())).expect("the parent's ledger")
    });
    ledger.write_all(&id.to_le_bytes()).expect("an entry");
}

/// The job's number comes back with every answer: an answer to another call is noticed. So does the worker's process.
pub(crate) type Answer<T> = (u64, u32, T);

fn answer<T>(id: u64, value: T) -> Answer<T> {
    (id, process::id(), value)
}

fn work_for(micros: u64) {
    let end = Instant::now() + Duration::from_micros(micros);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

#[job]
pub(crate) fn add(id: u64, a: u64, b: u64) -> Answer<u64> {
    enter(id);
    answer(id, a.wrapping_add(b))
}

#[job]
pub(crate) fn work(id: u64, micros: u64) -> Answer<u64> {
    enter(id);
    work_for(micros);
    answer(id, micros)
}

#[job]
pub(crate) fn echo_plain(id: u64, mut bytes: Vec<u8>) -> Answer<Vec<u8>> {
    enter(id);
    stamp(id, &mut bytes);
    answer(id, bytes)
}

#[job]
pub(crate) fn echo_bytes(id: u64, mut bytes: ByteBuf) -> Answer<ByteBuf> {
    enter(id);
    stamp(id, &mut bytes);
    answer(id, bytes)
}

#[job]
pub(crate) fn produce_plain(id: u64, bytes: usize) -> Answer<Vec<u8>> {
    enter(id);
    answer(id, payload(id, bytes))
}

#[job]
pub(crate) fn produce_bytes(id: u64, bytes: usize) -> Answer<ByteBuf> {
    enter(id);
    answer(id, payload(id, bytes).into())
}

#[job]
pub(crate) fn echo_blob(id: u64, bytes: Blob) -> Answer<Blob> {
    enter(id);
    let answered = Blob::with_len(bytes.len(), |answer| {
        answer.copy_from_slice(&bytes);
        stamp(id, answer);
    });
    answer(id, answered)
}

#[job]
pub(crate) fn produce_blob(id: u64, bytes: usize) -> Answer<Blob> {
    enter(id);
    answer(id, payload(id, bytes).into())
}

/// Touches memory until it has far too much.
#[job]
pub(crate) fn hog(id: u64) -> Answer<()> {
    enter(id);
    let mut held = Vec::new();
    while held.len() < 4 * (MEMORY >> 20) as usize {
        held.push(vec![1_u8; 1 << 20]);
    }
    std::hint::black_box(&held);
    answer(id, ())
}

/// Ends its worker when it runs for the first time.
#[job]
pub(crate) fn end_once(id: u64, ending: Ending) -> Answer<u64> {
    enter(id);
    let mark = ledger_path(parent_id()).with_extension(id.to_string());
    if File::create_new(&mark).is_ok() {
        die(ending);
    }
    let _ = fs::remove_file(mark);
    answer(id, id)
}

/// An item of a map: its job's number, and its own. Only the first enters the ledger.
#[job]
pub(crate) fn map_item((id, item): (u64, u64)) -> u64 {
    mapped(id, item).unwrap_or_else(|| panic!("item {item} of job {id}"))
}

/// To both streams, as far as they exist.
#[job]
pub(crate) fn print(id: u64, bytes: usize) -> Answer<usize> {
    enter(id);
    let text = vec![b'.'; bytes];
    let _ = std::io::stdout().write_all(&text);
    let _ = std::io::stderr().write_all(&text);
    answer(id, bytes)
}

/// As a library that makes a daemon of the process.
#[job]
pub(crate) fn close_stdio(id: u64) -> Answer<()> {
    enter(id);
    for fd in 0..3 {
        // Fails for what an earlier job closed.
        let _ = nix::unistd::close(fd);
    }
    answer(id, ())
}

/// A process that holds the worker's stdout and stderr for longer than the run.
#[job]
pub(crate) fn grandchild(id: u64) -> Answer<()> {
    enter(id);
    let child = Command::new("sleep").arg("1000").env(MARK, parent_id().to_string()).spawn().expect("sleep");
    // Nobody waits for it: that is the point.
    std::mem::forget(child);
    answer(id, ())
}

#[job]
pub(crate) fn panic(id: u64) -> Answer<()> {
    enter(id);
    panic!("job {id} panics");
}

#[job]
pub(crate) fn end(id: u64, ending: Ending) -> Answer<()> {
    enter(id);
    let _ = writeln!(std::io::stderr(), "job {id} ends its worker");
    die(ending)
}

fn die(ending: Ending) -> ! {
    match ending {
        Ending::Abort => process::abort(),
        Ending::Exit(code) => process::exit(code.into()),
        // A signal may take a moment, and the standard library's handler of SIGSEGV only makes way for the next.
        Ending::Signal(number) => loop {
            let _ = kill_process(getpid(), Signal::from_named_raw(number).expect("a signal with a name"));
        },
    }
}

#[job]
pub(crate) fn endless(id: u64) -> Answer<()> {
    enter(id);
    loop {
        std::hint::spin_loop();
    }
}

/// A value that fails to cross at a chosen place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stubborn {
    /// Does not encode.
    Mute,
    /// Encodes, but what comes out does not decode.
    Garbled,
}

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Mute => Err(ser::Error::custom("stubborn")),
            Self::Garbled => serializer.serialize_u8(2),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer)?;
        Err(de::Error::custom("stubborn"))
    }
}

#[job]
pub(crate) fn take_stubborn(id: u64, value: Stubborn) -> Answer<()> {
    enter(id);
    panic!("{value:?} came through");
}

#[job]
pub(crate) fn give_stubborn(id: u64, garbled: bool) -> Answer<Stubborn> {
    enter(id);
    answer(id, if garbled { Stubborn::Garbled } else { Stubborn::Mute })
}
