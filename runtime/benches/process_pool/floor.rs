//! The least that a round trip to another process can cost: a socket pair and a shared mapping, one message each way.
//!
//! No job is looked up, nothing is encoded, no death is noticed. A request is a word on the socket: what to do, and with how many
//! bytes of the mapping; its answer is a word. Requests that are in flight together travel in one write. The bytes of a request are in
//! the mapping's first half, those of an answer in its second; the other process copies them across.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::ptr;
use std::time::Instant;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::harness::{Contestant, Turn, time_each};
use crate::rows::{IN_FLIGHT, LARGE, Work};
use crate::system;

/// The first argument of the other process; then the parent's process id and descriptor of the mapping.
const ROLE: &str = "--floor";

/// Bytes of one of the small requests.
const SMALL: usize = 4096;

const NOOP: u8 = 0;
const ECHO: u8 = 1;
const SUM: u8 = 2;

/// Two halves of [`LARGE`] bytes that two processes share.
struct Mapping(*mut u8);

impl Mapping {
    fn new(memory: &OwnedFd) -> io::Result<Mapping> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe { mmap(ptr::null_mut(), 2 * LARGE, protection, MapFlags::SHARED, memory, 0) }?;
        Ok(Mapping(start.cast()))
    }

    /// The requests' half. Both processes use it in turns, as the words on the socket tell.
    fn requests(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is readable and writable, this long, and borrowed with `self`; the other process leaves it alone while it
        // waits for a word.
        unsafe { std::slice::from_raw_parts_mut(self.0, LARGE) }
    }

    fn answers(&mut self) -> &mut [u8] {
        // SAFETY: as above; the half starts within the mapping.
        let start = unsafe { self.0.add(LARGE) };
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(start, LARGE) }
    }

    fn copy_across(&mut self, from: usize, len: usize) {
        let requests: *const u8 = self.requests()[from..from + len].as_ptr();
        // SAFETY: `from + len` was checked against the half's length just now; the halves do not overlap.
        unsafe { ptr::copy_nonoverlapping(requests, self.answers()[from..from + len].as_mut_ptr(), len) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing borrows from it any more.
        let unmapped = unsafe { munmap(self.0.cast(), 2 * LARGE) };
        debug_assert!(unmapped.is_ok(), "it was mapped");
    }
}

fn word(kind: u8, len: usize) -> [u8; 8] {
    (len as u64 | u64::from(kind) << 56).to_le_bytes()
}

/// Is the other process, if the arguments say so.
pub fn play(arguments: &[String]) -> bool {
    let [role, parent, descriptor] = arguments else { return false };
    if role != ROLE {
        return false;
    }
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{parent}/fd/{descriptor}"));
    let mut mapping = Mapping::new(&memory.expect("the parent's mapping").into()).expect("the same memory");
    let own = rustix::io::dup(io::stdin()).expect("the socket");
    let mut socket = UnixStream::from(own);
    let mut words = [0; 8 * IN_FLIGHT];
    while let Ok(got @ 1..) = socket.read(&mut words) {
        for (index, request) in words[..got].chunks_exact_mut(8).enumerate() {
            let asked = u64::from_le_bytes(request.try_into().expect("eight bytes"));
            let (kind, len) = ((asked >> 56) as u8, (asked & 0xff_ffff_ffff) as usize);
            match kind {
                ECHO => mapping.copy_across(index * SMALL, len),
                SUM => {
                    let sum = system::sum(&mapping.requests()[..len]);
                    request.copy_from_slice(&sum.to_le_bytes());
                }
                _ => {}
            }
        }
        if socket.write_all(&words[..got]).is_err() {
            break;
        }
    }
    true
}

/// The bare loop as a contestant.
pub struct Floor {
    socket: UnixStream,
    mapping: Mapping,
    other: Child,
    _memory: OwnedFd,
}

impl Floor {
    pub fn start() -> Floor {
        Floor::try_start().expect("a process with a socket and a mapping")
    }

    fn try_start() -> io::Result<Floor> {
        let memory = memfd_create("floor", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, 2 * LARGE as u64)?;
        let (socket, theirs) = UnixStream::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command.args([ROLE.to_owned(), std::process::id().to_string(), memory.as_raw_fd().to_string()]);
        let other = command.stdin(OwnedFd::from(theirs)).spawn()?;
        let mut mapping = Mapping::new(&memory)?;
        mapping.requests().copy_from_slice(&system::bytes(LARGE));
        Ok(Floor { socket, mapping, other, _memory: memory })
    }

    /// Sends words and waits until all are answered: the answers.
    fn round_trip<'w>(&mut self, words: &'w mut [u8]) -> Result<&'w [u8], String> {
        let exchanged = self.socket.write_all(words).and_then(|()| self.socket.read_exact(words));
        exchanged.map(|()| &*words).map_err(|error| error.to_string())
    }

    fn rate(&mut self, turn: &Turn, kind: u8, len: usize) -> Result<Vec<f64>, String> {
        let (start, data) = (Instant::now(), vec![7; len]);
        let mut done = 0;
        while start.elapsed() < turn.slice {
            let mut words: Vec<u8> = (0..IN_FLIGHT).flat_map(|_| word(kind, len)).collect();
            for index in 0..IN_FLIGHT {
                self.mapping.requests()[index * SMALL..][..len].copy_from_slice(&data);
            }
            self.round_trip(&mut words)?;
            done += IN_FLIGHT;
        }
        Ok(vec![done as f64 / start.elapsed().as_secs_f64()])
    }
}

impl Contestant for Floor {
    fn turn(&mut self, work: Work, turn: &Turn) -> Result<Vec<f64>, String> {
        match work {
            Work::Noop => time_each(turn, || self.round_trip(&mut word(NOOP, 0)).map(drop)),
            Work::NoopRate => self.rate(turn, NOOP, 0),
            Work::EchoRate => self.rate(turn, ECHO, SMALL),
            Work::Echo(len) | Work::EchoAs(_, len) => {
                let bytes = system::bytes(len);
                time_each(turn, || {
                    self.mapping.requests()[..len].copy_from_slice(&bytes);
                    self.round_trip(&mut word(ECHO, len)).map(drop)
                })
            }
            Work::Sum => {
                self.mapping.requests().copy_from_slice(&system::bytes(LARGE));
                let expected = system::sum(self.mapping.requests());
                time_each(turn, || {
                    let mut asked = word(SUM, LARGE);
                    let sum = self.round_trip(&mut asked)?;
                    if *sum == expected.to_le_bytes() { Ok(()) } else { Err("the sum is wrong".to_owned()) }
                })
            }
            _ => Err("it has no such thing".to_owned()),
        }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _already_gone = self.other.kill();
        let _reaped = self.other.wait();
    }
}
