//! Real workers: this test program started as one, by `launch`.

use super::{
    super::super::spawn::{Exit, Output, Process, Settings, launch},
    *,
};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use std::os::fd::{AsFd, BorrowedFd};

crate::enable_in_tests!(registry());

/// What the parent has of a worker.
struct Worker {
    process: Process,
    pair: Pair,
}

fn settings() -> Settings {
    Settings {
        fingerprint: table().fingerprint(),
        max_frame_bytes: LIMIT,
        memory_limit: None,
        stdout: Output::Null,
        init: false,
        harness: crate::process_pool::libtest::arguments(),
    }
}

impl Worker {
    fn start(settings: &Settings) -> Self {
        let (process, parent) = launch(settings).unwrap();
        let link = Link::new(Arc::clone(process.control()), Side::Parent);
        Self { process, pair: Pair { parent, link, table: table(), worker: None, next: 0 } }
    }

    /// One that has said hello.
    fn ready(settings: &Settings) -> Self {
        let mut worker = Self::start(settings);
        worker.greet();
        worker
    }

    fn greet(&mut self) {
        let (header, payload) = self.pair.receive();
        assert_eq!(header.kind, Kind::Hello);
        let hello: Hello = codec::decode(&self.pair.link.unwrap(header.flags, payload).unwrap()).unwrap();
        assert_eq!((hello.protocol, hello.pid), (PROTOCOL, self.process.pid()));
        assert_eq!(hello.fingerprint, table().fingerprint());
    }

    fn call<T: DeserializeOwned>(&mut self, job: u16, arguments: &impl Serialize) -> T {
        let id = self.pair.ask(job, arguments);
        self.pair.answer(Kind::Done, id).0
    }

    /// How it ended, and what it wrote to stderr.
    fn end(self) -> (Exit, String) {
        wait_for(self.process.pidfd());
        let exit = self.process.reap().expect("it has ended");
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = rustix::io::read(self.process.stderr(), &mut chunk) {
            text.extend_from_slice(&chunk[..read]);
        }
        (exit, String::from_utf8_lossy(&text).into_owned())
    }
}

fn wait_for(fd: BorrowedFd<'_>) {
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&limit)), Ok(1));
}

#[test]
fn it_says_hello_works_and_leaves() {
    let mut worker = Worker::ready(&settings());
    let double = worker.pair.number(double);
    assert_eq!(worker.call::<u64>(double, &(21_u64,)), 42);
    worker.pair.shut();
    let (exit, stderr) = worker.end();
    assert_eq!(exit, Exit { signal: None, code: Some(0) }, "{stderr}");
}

#[test]
fn jobs_may_lie_ready_before_the_worker_does() {
    let mut worker = Worker::start(&Settings { init: true, ..settings() });
    let double = worker.pair.number(double);
    worker.pair.send(Kind::Init, double, u64::MAX, &codec::encode(&(1_u64,)).unwrap());
    let id = worker.pair.ask(double, &(2_u64,));
    assert_eq!(worker.pair.answer::<u64>(Kind::Done, u64::MAX).0, 2);
    worker.greet();
    assert_eq!(worker.pair.answer::<u64>(Kind::Done, id).0, 4);
    worker.pair.shut();
    assert_eq!(worker.end().0.code, Some(0));
}

#[test]
fn an_initializer_that_fails_ends_it() {
    let mut worker = Worker::start(&Settings { init: true, ..settings() });
    let fail = worker.pair.number(fail);
    worker.pair.send(Kind::Init, fail, u64::MAX, &codec::encode(&("no licence",)).unwrap());
    let (report, _) = worker.pair.answer::<PanicReport>(Kind::Panic, u64::MAX);
    assert_eq!(report.message, "no licence");
    assert_eq!(worker.end().0.code, Some(88));
}

#[test]
fn one_that_has_other_jobs_says_so_and_leaves() {
    let (exit, stderr) = Worker::start(&Settings { fingerprint: 0, ..settings() }).end();
    assert_eq!(exit.code, Some(87));
    assert!(stderr.contains("other jobs"), "{stderr}");
}

#[test]
fn what_jobs_print_arrives_and_what_the_harness_prints_does_not() {
    let mut worker = Worker::ready(&Settings { stdout: Output::Piped, ..settings() });
    let print = worker.pair.number(print);
    worker.call::<()>(print, &("half a line",));
    let mut printed = [0; 64];
    let stdout = worker.process.stdout().unwrap();
    wait_for(stdout);
    let length = rustix::io::read(stdout, &mut printed).unwrap();
    assert_eq!(str::from_utf8(&printed[..length]), Ok("half a line"));
    worker.pair.shut();
    assert_eq!(worker.end().0.code, Some(0));
}

#[test]
fn a_job_may_close_every_low_descriptor() {
    let mut worker = Worker::ready(&settings());
    let close = worker.pair.number(close_low);
    worker.call::<()>(close, &());
    let id = worker.pair.ask(close, &());
    worker.pair.answer::<()>(Kind::Done, id);
    worker.pair.shut();
    assert_eq!(worker.end().0.code, Some(0));
}

#[test]
#[cfg_attr(
    runtime_asan,
    ignore = "the sanitizer's allocator neither fails nor gives back as the system's does"
)]
fn a_refused_allocation_ends_it_with_words_and_without_a_core() {
    let mut worker = Worker::ready(&Settings { memory_limit: Some(64 << 20), ..settings() });
    let blow_up = worker.pair.number(blow_up);
    worker.pair.ask(blow_up, &(1_usize << 30,));
    let (exit, stderr) = worker.end();
    assert_eq!(exit.signal, Some(6), "{stderr}");
    assert!(stderr.contains("memory allocation of"), "{stderr}");
}

#[test]
fn of_a_job_that_forks_and_returns_twice_one_answers() {
    let mut worker = Worker::ready(&settings());
    let (fork, double) = (worker.pair.number(fork), worker.pair.number(double));
    let copy = Pid::from_raw(worker.call(fork, &())).expect("the original's answer");
    // The copy ends by itself, of its first step back in the loop. Its number is its own until the worker reaps it.
    let copy = pidfd_open(copy, PidfdFlags::empty()).unwrap();
    wait_for(copy.as_fd());
    for x in 0..100_u64 {
        assert_eq!(worker.call::<u64>(double, &(x,)), 2 * x);
    }
    worker.pair.shut();
    assert_eq!(worker.end().0.code, Some(0));
}

#[test]
#[cfg_attr(
    runtime_asan,
    ignore = "the sanitizer's allocator neither fails nor gives back as the system's does"
)]
fn one_that_keeps_too_much_says_so_and_one_that_only_had_it_does_not() {
    let mut worker = Worker::ready(&Settings { memory_limit: Some(64 << 20), ..settings() });
    let (leak, use_up) = (worker.pair.number(leak), worker.pair.number(use_up));
    let mut heavy = |job, bytes: usize| {
        worker.pair.ask(job, &(bytes,));
        let (header, _) = worker.pair.receive();
        assert_eq!(header.kind, Kind::Done);
        header.flags & HEAVY != 0
    };
    assert!(!heavy(leak, 32 << 20));
    assert!(!heavy(use_up, 48 << 20), "the peak is over the limit, and over");
    assert!(heavy(leak, 34 << 20));
    assert!(heavy(leak, 0), "it stays so");
}

#[test]
fn one_that_is_busy_for_ever_follows_its_parent_with_all_it_started() {
    let mut worker = Worker::ready(&settings());
    let (start, spin) = (worker.pair.number(start_child), worker.pair.number(spin));
    let child = Pid::from_raw(worker.call(start, &())).unwrap();
    let child = pidfd_open(child, PidfdFlags::empty()).unwrap();
    worker.pair.ask(spin, &(u64::MAX,));
    while worker.pair.parent.next() == 0 {
        thread::yield_now();
    }
    let Worker { process, pair } = worker;
    let pidfd = process.pidfd().try_clone_to_owned().unwrap();
    // To the worker this is the parent's end, though the thread that started it lives: nobody has its life line.
    drop((process, pair));
    wait_for(pidfd.as_fd());
    let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
    assert_eq!(status.terminating_signal(), Some(9));
    wait_for(child.as_fd());
}
