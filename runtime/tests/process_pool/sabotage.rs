//! The jobs that hostile scenarios call: each does to its worker's insides what no job should.

use crate::support::{Random, wait_at};
use crossover_runtime::process_pool::{Blob, job};
use nix::unistd::{ForkResult, fork};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    ops::Range,
    path::PathBuf,
    process,
    sync::Mutex,
};

/// Shared memory of this process: where it is mapped, and whether it may be written there.
fn shared_memory() -> Vec<(Range<u64>, bool)> {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
    let mapped = maps.lines().filter(|line| line.contains("/memfd:"));
    mapped
        .map(|line| {
            let mut fields = line.split_whitespace();
            let (start, end) = fields.next().and_then(|range| range.split_once('-')).expect("a range");
            let number = |text| u64::from_str_radix(text, 16).expect("an address");
            (number(start)..number(end), fields.next().is_some_and(|access| access.contains('w')))
        })
        .collect()
}

/// Tries to shorten and to lengthen every piece of shared memory that it can reach, through descriptors and through
/// mappings: the names, and the error if it was refused.
#[job]
pub(crate) fn truncates_shared_memory(bytes: Vec<u8>) -> Vec<(String, Option<i32>)> {
    std::hint::black_box(bytes);
    let fds = fs::read_dir("/proc/self/fd").expect("/proc").flatten().map(|entry| entry.path());
    let is_memory = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|target| target.to_str().is_some_and(|name| name.contains("/memfd:")))
    };
    let mut paths: Vec<PathBuf> = fds.filter(is_memory).collect();
    for (range, _) in shared_memory() {
        paths.push(format!("/proc/self/map_files/{:x}-{:x}", range.start, range.end).into());
    }
    let mut attempts = Vec::new();
    for path in paths {
        // Refused for what may only be read: then it cannot be truncated either.
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        let length = file.metadata().expect("its length").len();
        for wanted in [0, 4096, length + 4096] {
            let error = file.set_len(wanted).err().and_then(|error| error.raw_os_error());
            attempts.push((format!("{} to {wanted}", path.display()), error));
        }
    }
    attempts
}

/// What to write over shared memory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Scribble {
    /// One byte, everywhere.
    Fill(u8),
    /// Random words at random places among the first 4 KiB of each, where the positions are.
    Words(u64),
    /// Random bytes over the first 4 KiB.
    Page(u64),
}

/// Writes nonsense over all shared memory that this process may write, then returns, or never does; how many bytes.
#[job]
pub(crate) fn scribbles(what: Scribble, stays: bool) -> u64 {
    let mut written = 0;
    // Through this file no memory is touched that the language knows of.
    let mut memory = OpenOptions::new().write(true).open("/proc/self/mem").expect("/proc");
    for (range, _) in shared_memory().into_iter().filter(|(_, writable)| *writable) {
        let length = (range.end - range.start) as usize;
        let mut write = |offset: u64, bytes: &[u8]| {
            memory.seek(SeekFrom::Start(range.start + offset)).expect("an address");
            memory.write_all(bytes).expect("writable memory");
            written += bytes.len() as u64;
        };
        match what {
            Scribble::Fill(byte) => write(0, &vec![byte; length]),
            Scribble::Words(seed) => {
                let mut random = Random(seed);
                for _ in 0..4 {
                    let offset = random.below(512) * 8;
                    let word = random.below(u64::MAX) << random.below(40);
                    write(offset, &word.to_le_bytes());
                }
            }
            Scribble::Page(seed) => {
                let mut random = Random(seed);
                let bytes: Vec<u8> = (0..4096).map(|_| random.below(256) as u8).collect();
                write(0, &bytes);
            }
        }
    }
    if stays {
        loop {
            std::hint::spin_loop();
        }
    }
    written
}

/// Closes all but the standard streams, then fills the numbers with files of its own.
#[job]
pub(crate) fn closes_everything() {
    let numbers: Vec<i32> = fs::read_dir("/proc/self/fd")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // Fails for the listing's own.
        let _ = nix::unistd::close(number);
    }
    for _ in 0..20 {
        std::mem::forget(File::open("/dev/null"));
    }
}

/// Copies its own process, and returns in both.
#[job]
pub(crate) fn forks() {
    // SAFETY: none that could be given: the copy has one thread of several, and no lock that another held is ever
    // released in it. That is what this job is about.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { .. } | ForkResult::Child) => {}
        Err(error) => panic!("fork: {error}"),
    }
}

/// Touches memory in steps until it has so many bytes, then lets go of them.
#[job]
pub(crate) fn hog(bytes: usize, step: usize) -> usize {
    let mut held: Vec<Vec<u8>> = Vec::new();
    while held.len() * step < bytes {
        held.push(vec![1; step]);
    }
    std::hint::black_box(&held);
    held.len() * step
}

/// Leaves so many bytes behind.
#[job]
pub(crate) fn leak(bytes: usize) -> u32 {
    std::mem::forget(vec![1_u8; bytes]);
    process::id()
}

#[job]
pub(crate) fn echo_blob(blob: Blob) -> Blob {
    blob
}

#[job]
pub(crate) fn blob_of(byte: u8, bytes: usize) -> Blob {
    Blob::from(vec![byte; bytes])
}

/// Keeps the blob for the next call; the sum of the bytes of the one before.
#[job]
pub(crate) fn keeps_blob(blob: Blob) -> u64 {
    static KEPT: Mutex<Option<Blob>> = Mutex::new(None);
    let before = KEPT.lock().expect("no job panics").replace(blob);
    before.map_or(0, |blob| blob.iter().map(|byte| u64::from(*byte)).sum())
}

/// The sum of all bytes of all blobs.
#[job]
pub(crate) fn sums_blobs(blobs: Vec<Blob>) -> u64 {
    blobs.iter().flat_map(|blob| blob.iter()).map(|byte| u64::from(*byte)).sum()
}

/// Leaves a thread behind that prints a line when it is let through a gate.
#[job]
pub(crate) fn prints_later(gate: String) {
    std::thread::spawn(move || {
        wait_at(&gate, process::id());
        eprintln!("later");
    });
}

/// Takes shared memory and gives other; waits at a gate in between if there is one.
#[job]
pub(crate) fn trades(blob: Blob, bytes: usize, gate: Option<String>) -> Blob {
    if let Some(gate) = gate {
        wait_at(&gate, process::id());
    }
    Blob::from(vec![blob.len() as u8; bytes])
}

/// So many blobs of so many bytes.
#[job]
pub(crate) fn makes_blobs(count: usize, bytes: usize) -> Vec<Blob> {
    (0..count).map(|n| Blob::from(vec![n as u8; bytes])).collect()
}
