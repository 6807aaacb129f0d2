//! What workers print: their pipes, the tail that is kept for the error of a death, and the way to our stderr.
//!
//! A pipe is read as long as the worker lives, and once more, up to a bound, when it is dead. Its end-of-file means
//! nothing: a worker may close its stderr, and a grandchild may hold it open for ever.

use super::{
    options::{Options, Stdio},
    spawn::Process,
};
use crate::error::contain;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    time::Timespec,
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

/// How much of a worker's stderr is kept.
const TAIL_BYTES: usize = 16 * 1024;

/// How much is read and passed on at a time: well below what a pipe that polls writable takes without blocking
/// (PIPE_BUF).
const CHUNK: usize = 1024;

/// How much a dead worker's pipe is drained at most; a grandchild could write for ever.
const LAST_WORDS: usize = 64 * 1024;

/// What the standard library says before it aborts for lack of memory: `memory allocation of 8 bytes failed`.
const REFUSAL: &[u8] = b"memory allocation of ";

/// Digits of the number that follows.
const LONGEST_NUMBER: usize = 20;

/// How long the end of a pool waits for our stderr to take workers' last words.
const PARTING: Duration = Duration::from_secs(1);

/// A line that is longer is handed out in pieces. Part of what [`Stdio::lines`] promises.
const LONGEST_LINE: usize = 8 * 1024;

/// What is read of one worker's output.
#[derive(Debug, Default)]
pub(super) struct Output {
    stdout: Stream,
    stderr: Stream,
}

/// What a dead worker left on its stderr.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    pub(super) stderr_tail: String,
    /// How many bytes the allocator was refused last.
    pub(super) refused: Option<u64>,
}

/// One pipe.
#[derive(Debug, Default)]
struct Stream {
    closed: bool,
    /// The tail of everything.
    kept: Vec<u8>,
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// How many bytes the allocator was refused, by its last words. A backtrace may push them out of the tail.
    refused: Option<u64>,
}

impl Output {
    /// The pipe to wait for, if it still says something.
    pub(super) fn stdout<'a>(&self, process: &'a Process) -> Option<BorrowedFd<'a>> {
        process.stdout().filter(|_| !self.stdout.closed)
    }

    /// As [`stdout`](Self::stdout).
    pub(super) fn stderr<'a>(&self, process: &'a Process) -> Option<BorrowedFd<'a>> {
        (!self.stderr.closed).then(|| process.stderr())
    }

    pub(super) fn read_stdout(&mut self, process: &Process, to: &Stdio) {
        if let Some(pipe) = process.stdout() {
            self.stdout.read(pipe, CHUNK, process.pid(), to, &mut Outlet::default());
        }
    }

    pub(super) fn read_stderr(&mut self, process: &Process, to: &Stdio, outlet: &mut Outlet) {
        self.stderr.read(process.stderr(), CHUNK, process.pid(), to, outlet);
    }

    /// Takes what a dead worker left, and the ends of lines that never ended.
    pub(super) fn finish(mut self, process: &Process, options: &Options, outlet: &mut Outlet) -> LastWords {
        let pid = process.pid();
        if let Some(pipe) = process.stdout() {
            self.stdout.read(pipe, LAST_WORDS, pid, &options.stdout, &mut Outlet::default());
        }
        self.stderr.read(process.stderr(), LAST_WORDS, pid, &options.stderr, outlet);
        self.stdout.hand_out(pid, &options.stdout, true);
        self.stderr.hand_out(pid, &options.stderr, true);
        LastWords {
            stderr_tail: String::from_utf8_lossy(&self.stderr.kept).into_owned(),
            refused: self.stderr.refused,
        }
    }
}

impl Stream {
    /// Reads up to about `limit` bytes.
    fn read(&mut self, pipe: BorrowedFd<'_>, limit: usize, pid: u32, to: &Stdio, outlet: &mut Outlet) {
        let mut chunk = [0_u8; CHUNK];
        let mut taken = 0;
        while !self.closed && taken < limit {
            match rustix::io::read(pipe, &mut chunk) {
                Ok(0) => self.closed = true,
                Ok(read) => {
                    taken += read;
                    self.take(&chunk[..read], pid, to, outlet);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.closed = true,
            }
        }
    }

    fn take(&mut self, bytes: &[u8], pid: u32, to: &Stdio, outlet: &mut Outlet) {
        let seen = self.kept.len().saturating_sub(REFUSAL.len() + LONGEST_NUMBER);
        self.kept.extend_from_slice(bytes);
        self.refused = refused(&self.kept[seen..]).or(self.refused);
        self.kept.drain(..self.kept.len().saturating_sub(TAIL_BYTES));
        match to {
            Stdio::Inherit => outlet.bytes.extend_from_slice(bytes),
            Stdio::Null => {}
            Stdio::Lines(_) => {
                self.line.extend_from_slice(bytes);
                self.hand_out(pid, to, false);
            }
        }
    }

    /// Gives whole lines to the callback; with `all`, also one that has not ended.
    fn hand_out(&mut self, pid: u32, to: &Stdio, all: bool) {
        let Stdio::Lines(callback) = to else { return };
        let mut rest = &self.line[..];
        while !rest.is_empty() {
            let (line, after) = match rest.iter().take(LONGEST_LINE + 1).position(|byte| *byte == b'\n') {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None if rest.len() > LONGEST_LINE => rest.split_at(LONGEST_LINE),
                None if all => (rest, &[][..]),
                None => break,
            };
            let text = String::from_utf8_lossy(line);
            // Foreign code on the keeper's thread.
            contain(|| callback(pid, &text));
            rest = after;
        }
        let done = self.line.len() - rest.len();
        self.line.drain(..done);
    }
}

/// The number in the words of the standard library's allocation error, if they stand here whole.
fn refused(text: &[u8]) -> Option<u64> {
    let start = text.windows(REFUSAL.len()).rposition(|words| words == REFUSAL)? + REFUSAL.len();
    let number = text[start..].split(|byte| *byte == b' ').next()?;
    // Whole: something stands behind it.
    let whole = text.len() > start + number.len();
    std::str::from_utf8(number).ok().filter(|_| whole)?.parse().ok()
}

/// Workers' stderr on its way to ours.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    bytes: Vec<u8>,
}

impl Outlet {
    /// Passes on what is left, waiting a while for whoever reads our stderr.
    pub(super) fn finish(&mut self) {
        let until = Instant::now() + PARTING;
        loop {
            self.pass_on();
            let left = until.saturating_duration_since(Instant::now());
            if self.is_empty() || left.is_zero() {
                return;
            }
            let left = Timespec { tv_sec: 0, tv_nsec: left.as_nanos().min(999_999_999) as i64 };
            let _ = poll(&mut [PollFd::new(&io::stderr(), PollFlags::OUT)], Some(&left));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes to our stderr what it takes without blocking.
    pub(super) fn pass_on(&mut self) {
        let stderr = io::stderr();
        while !self.bytes.is_empty() {
            let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
            match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
                Ok(0) | Err(Errno::INTR) => return,
                Ok(_) | Err(_) => {}
            }
            let chunk = &self.bytes[..self.bytes.len().min(CHUNK)];
            match rustix::io::write(stderr.as_fd(), chunk) {
                Ok(written) => drop(self.bytes.drain(..written)),
                Err(Errno::AGAIN | Errno::INTR) => return,
                // Ours is closed or broken: nobody listens.
                Err(_) => self.bytes.clear(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn taken(chunks: &[&str]) -> Stream {
        let mut stream = Stream::default();
        for chunk in chunks {
            stream.take(chunk.as_bytes(), 1, &Stdio::Null, &mut Outlet::default());
        }
        stream
    }

    #[test]
    fn a_refused_allocation_is_found_wherever_it_is_cut() {
        let text = "so far so good\nmemory allocation of 1073741824 bytes failed\n";
        for cut in 0..text.len() {
            let (head, tail) = text.split_at(cut);
            assert_eq!(taken(&[head, tail]).refused, Some(1 << 30), "{head:?}");
        }
        let trace = "   0: a frame of a long backtrace\n".repeat(1000);
        assert_eq!(taken(&[text, &trace]).refused, Some(1 << 30));
        for other in ["", "memory allocation of many bytes", "memory allocation of 17"] {
            assert_eq!(taken(&[other]).refused, None, "{other:?}");
        }
    }

    #[test]
    fn lines_come_whole_and_long_ones_in_pieces() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        let to = Stdio::lines(move |_, line| seen.lock().expect("no panic").push(line.to_owned()));
        let mut stream = Stream::default();
        let long = "x".repeat(LONGEST_LINE + 1);
        for chunk in ["on", "e\n\ntw", "o\n", &long, "\nlast"] {
            stream.take(chunk.as_bytes(), 1, &to, &mut Outlet::default());
        }
        stream.hand_out(1, &to, true);
        let lines = lines.lock().expect("no panic");
        assert_eq!(lines[..3], ["one", "", "two"]);
        assert_eq!((lines[3].len(), &lines[4][..], &lines[5][..]), (LONGEST_LINE, "x", "last"));
        assert_eq!(lines.len(), 6);
    }
}
