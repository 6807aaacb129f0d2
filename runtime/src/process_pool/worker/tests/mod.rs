//! The loop with its parent played by the test: both ends of one lane in one process.

mod process;

use super::{
    super::{
        blob::{Link, Side},
        channel::{self, ParentEnd, Payload, WorkerEnd},
        codec::{self, Encoded},
        error::CodecStage,
        frame::{HEAVY, Header, Hello, Kind, PROTOCOL, PanicReport, unpack_ns},
        job::Table,
        registry::Registry,
        spawn::Setup,
    },
    serve::{Fault, Initialized, Server},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    time::Timespec,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The longest payload that the worker may send.
const LIMIT: u32 = 4096;

fn double(x: u64) -> u64 {
    2 * x
}

fn spin(micros: u64) {
    let start = Instant::now();
    while start.elapsed().as_micros() < u128::from(micros) {
        std::hint::spin_loop();
    }
}

fn fail(text: String) -> u64 {
    std::panic::resume_unwind(Box::new(text))
}

fn blow_up(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// Half a line: without an end it stays in the buffer until somebody flushes it.
fn print(text: String) {
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()).unwrap();
}

fn close_low() {
    for fd in (0..10).filter(|fd| *fd != 2) {
        // Most are not open.
        let _ = nix::unistd::close(fd);
    }
}

/// Returns in two processes: the copy's number in the original, 0 in the copy.
fn fork() -> i32 {
    // SAFETY: the process has the thread that runs this, and at most that of a test harness, which waits for it.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Parent { child } => child.as_raw(),
        nix::unistd::ForkResult::Child => 0,
    }
}

/// Leaves so many bytes behind.
fn leak(bytes: usize) {
    std::mem::forget(vec![1_u8; bytes]);
}

/// Has so many bytes for a moment.
fn use_up(bytes: usize) {
    drop(std::hint::black_box(vec![1_u8; bytes]));
}

/// Starts a process that nobody waits for, and returns its number.
#[allow(clippy::zombie_processes, reason = "its parent dies before it")]
fn start_child() -> i32 {
    let child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    child.id().cast_signed()
}

fn registry() -> Registry {
    Registry::new()
        .job("double", double)
        .job("spin", spin)
        .job("fail", fail)
        .job("blow_up", blow_up)
        .job("print", print)
        .job("close_low", close_low)
        .job("start_child", start_child)
        .job("fork", fork)
        .job("leak", leak)
        .job("use_up", use_up)
}

fn table() -> Arc<Table> {
    Table::with(Some(&registry())).unwrap()
}

/// The parent, and the worker before and while it serves.
struct Pair {
    parent: ParentEnd,
    link: Link,
    table: Arc<Table>,
    worker: Option<Server>,
    /// The number of the next job.
    next: u64,
}

impl Pair {
    fn new() -> Self {
        let registry =
            Registry::new().job("double", double).job("spin", spin).job("fail", fail).job("blow_up", blow_up);
        let table = Table::with(Some(&registry)).unwrap();
        let (parent, handed) = channel::create().unwrap();
        let lane = WorkerEnd::attach(handed).unwrap();
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let setup = Setup {
            protocol: PROTOCOL,
            fingerprint: table.fingerprint(),
            max_frame_bytes: LIMIT,
            memory_limit: None,
            flush_stdout: false,
            pass_stdout: false,
            init: false,
        };
        let worker = Server::new(Arc::new(theirs), lane, Arc::clone(&table), &setup);
        let link = Link::new(Arc::new(ours), Side::Parent);
        Self { parent, link, table, worker: Some(worker), next: 0 }
    }

    /// Starts the loop, on a thread of its own.
    fn serve(&mut self) -> JoinHandle<Result<(), Fault>> {
        let mut worker = self.worker.take().unwrap();
        thread::spawn(move || worker.serve())
    }

    fn number<F: 'static>(&self, _: F) -> u16 {
        self.table.find::<F>().unwrap().0
    }

    fn send(&mut self, kind: Kind, job: u16, id: u64, arguments: &Encoded) {
        let wire = self.link.wrap(arguments).unwrap();
        let header = Header { kind, flags: wire.flags, job, id };
        self.parent.send(header, &wire.parts(arguments)).unwrap();
    }

    /// Sends a job, and returns its number.
    fn ask(&mut self, job: u16, arguments: &impl Serialize) -> u64 {
        let id = self.next;
        self.next += 1;
        self.send(Kind::Job, job, id, &codec::encode(arguments).unwrap());
        id
    }

    fn shut(&mut self) {
        self.parent.send(Header { kind: Kind::Shut, flags: 0, job: 0, id: 0 }, &[]).unwrap();
    }

    /// The worker's next frame; waits for the bell.
    fn receive(&mut self) -> (Header, Payload) {
        loop {
            if let Some(frame) = self.parent.receive().unwrap() {
                return frame;
            }
            if self.parent.arm() {
                let bell = self.parent.bell();
                let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
                let rang = poll(&mut [PollFd::from_borrowed_fd(bell, PollFlags::IN)], Some(&limit)).unwrap();
                assert_eq!(rang, 1, "the bell does not ring");
                channel::silence(self.parent.bell());
            }
        }
    }

    /// The answer to job `id`, which must be of this kind.
    fn answer<T: DeserializeOwned>(&mut self, kind: Kind, id: u64) -> (T, Duration) {
        let (header, payload) = self.receive();
        assert_eq!((header.kind, header.id), (kind, id));
        let message = self.link.unwrap(header.flags, payload).unwrap();
        (codec::decode(&message).unwrap(), Duration::from_nanos(unpack_ns(header.job)))
    }

    /// The answer to job `id`, which must be a codec error.
    fn complaint(&mut self, id: u64) -> (CodecStage, String) {
        let (header, payload) = self.receive();
        assert_eq!((header.kind, header.id), (Kind::Codec, id));
        (CodecStage::from_worker(header.flags), String::from_utf8(payload.to_vec()).unwrap())
    }
}

#[test]
fn jobs_are_answered_one_after_the_other_with_the_time_they_took() {
    let mut pair = Pair::new();
    let worker = pair.serve();
    let (double, spin) = (pair.number(double), pair.number(spin));
    for x in 0..100 {
        let id = pair.ask(double, &(x,));
        assert_eq!(pair.answer::<u64>(Kind::Done, id).0, 2 * x);
    }
    let id = pair.ask(spin, &(2_000_u64,));
    let (_, ran) = pair.answer::<()>(Kind::Done, id);
    assert!(ran >= Duration::from_micros(1_990), "{ran:?}, rounded down by less than 0.05 %");
    assert_eq!(pair.parent.next(), 101);
    pair.shut();
    worker.join().unwrap().unwrap();
}

#[test]
fn a_burst_is_answered_in_order_and_nothing_is_left_unannounced() {
    let mut pair = Pair::new();
    let double = pair.number(double);
    let ids: Vec<u64> = (0..1000_u64).map(|x| pair.ask(double, &(x,))).collect();
    let worker = pair.serve();
    for id in ids {
        assert_eq!(pair.answer::<u64>(Kind::Done, id).0, 2 * id);
    }
    pair.shut();
    worker.join().unwrap().unwrap();
}

#[test]
fn what_was_taken_back_is_skipped_and_what_comes_after_it_runs() {
    let mut pair = Pair::new();
    let double = pair.number(double);
    for x in 0..5_u64 {
        pair.ask(double, &(x,));
    }
    assert_eq!(pair.parent.recall(5).unwrap(), 0);
    let id = pair.ask(double, &(21_u64,));
    let worker = pair.serve();
    assert_eq!(pair.answer::<u64>(Kind::Done, id).0, 42);
    pair.shut();
    worker.join().unwrap().unwrap();
    assert!(pair.parent.receive().unwrap().is_none(), "no answer to the others");
}

#[test]
fn what_goes_wrong_in_a_job_is_an_answer_and_the_worker_lives() {
    let mut pair = Pair::new();
    let worker = pair.serve();
    let (double, fail, blow_up) = (pair.number(double), pair.number(fail), pair.number(blow_up));

    let id = pair.ask(fail, &("on purpose".to_owned(),));
    let (report, _) = pair.answer::<PanicReport>(Kind::Panic, id);
    assert_eq!(report.message, "on purpose");

    let id = pair.ask(fail, &("long ".repeat(2_000),));
    let (report, _) = pair.answer::<PanicReport>(Kind::Panic, id);
    assert!(report.message.starts_with("long long ") && report.message.len() < LIMIT as usize);

    let id = pair.ask(double, &"no number");
    let (stage, reason) = pair.complaint(id);
    assert_eq!(stage, CodecStage::DecodeArguments, "{reason}");

    let id = pair.ask(u16::MAX, &());
    let (stage, reason) = pair.complaint(id);
    assert_eq!(stage, CodecStage::DecodeArguments);
    assert!(reason.contains("does not know"), "{reason}");

    let id = pair.ask(blow_up, &(2 * LIMIT as usize,));
    let (stage, reason) = pair.complaint(id);
    assert_eq!(stage, CodecStage::EncodeResult);
    assert!(reason.contains("max_frame_bytes"), "{reason}");

    let id = pair.ask(double, &(4_u64,));
    assert_eq!(pair.answer::<u64>(Kind::Done, id).0, 8);
    pair.shut();
    worker.join().unwrap().unwrap();
}

#[test]
fn a_frame_that_has_no_business_here_ends_the_worker() {
    for kind in [Kind::Hello, Kind::Setup, Kind::Init, Kind::Done, Kind::Panic, Kind::Codec] {
        let mut pair = Pair::new();
        let worker = pair.serve();
        pair.parent.send(Header { kind, flags: 0, job: 0, id: 0 }, &[]).unwrap();
        let fault = worker.join().unwrap().unwrap_err();
        assert!(matches!(fault, Fault::Stray(stray) if stray == kind), "{fault}");
    }
}

#[test]
fn an_initializer_is_answered_before_anything_else() {
    for (known, kind, outcome) in
        [(true, Kind::Done, Initialized::Ready), (false, Kind::Codec, Initialized::Failed)]
    {
        let mut pair = Pair::new();
        let job = if known { pair.number(double) } else { u16::MAX };
        pair.send(Kind::Init, job, u64::MAX, &codec::encode(&(3_u64,)).unwrap());
        assert_eq!(pair.worker.as_mut().unwrap().initialize().unwrap(), outcome);
        let (header, _) = pair.receive();
        assert_eq!((header.kind, header.id), (kind, u64::MAX));
        assert_eq!(pair.parent.next(), 0, "it has no number");
    }
}

#[test]
fn a_pool_that_closes_before_the_initializer_ends_the_worker() {
    let mut pair = Pair::new();
    pair.shut();
    assert_eq!(pair.worker.as_mut().unwrap().initialize().unwrap(), Initialized::Shut);
}
