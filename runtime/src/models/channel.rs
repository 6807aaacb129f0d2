//! The lanes of the process pool: rings, claim, and both ways to sleep. The ends are the real ones, with loom's atomics for
//! the page and loom's cells for the bytes (`process_pool/channel/model.rs`), so a frame that is read before it is
//! published, or overwritten before it is read, is an error, and a lost wake-up a deadlock.

use super::model;
use crate::process_pool::channel::{Header, Kind, ParentEnd, WorkerEnd, pair};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// The ring bytes of a frame with one byte of payload.
const FRAME: usize = 24;

/// A ring that `frames` frames fill: not always a power of two, which only the real memory asks for.
fn lane(frames: usize) -> (ParentEnd, WorkerEnd) {
    pair(frames * FRAME)
}

fn header(id: u64) -> Header {
    Header { kind: Kind::Job, flags: 0, job: 0, id }
}

fn send(end: &mut WorkerEnd, id: u64) {
    end.send(header(id), &[&[id as u8]]).unwrap();
}

/// The next frame's number, however long it takes.
fn next_of_parent(end: &mut WorkerEnd) -> u64 {
    loop {
        if let Some((header, payload)) = end.receive().unwrap() {
            assert_eq!(*payload, [header.id as u8]);
            return header.id;
        }
        end.wait();
    }
}

/// As in the pool: drain, arm, sleep.
fn next_of_worker(end: &mut ParentEnd) -> u64 {
    loop {
        if let Some((header, payload)) = end.receive().unwrap() {
            assert_eq!(*payload, [header.id as u8]);
            return header.id;
        }
        if end.arm() {
            end.await_bell();
        }
    }
}

#[test]
fn a_worker_never_sleeps_over_a_frame() {
    model(3, || {
        let (mut parent, mut worker) = lane(3);
        let thread = thread::spawn(move || {
            (0..3).for_each(|id| assert_eq!(next_of_parent(&mut worker), id));
        });
        parent.send(header(0), &[&[0]]).unwrap();
        // A batch: one look after both.
        parent.push(header(1), &[&[1]]).unwrap();
        parent.push(header(2), &[&[2]]).unwrap();
        parent.wake();
        thread.join().unwrap();
    });
}

#[test]
fn a_parent_never_sleeps_over_an_answer() {
    model(3, || {
        let (mut parent, mut worker) = lane(3);
        let thread = thread::spawn(move || {
            send(&mut worker, 0);
            worker.ring_bell();
            // Two that gather.
            send(&mut worker, 1);
            send(&mut worker, 2);
            worker.ring_bell();
        });
        (0..3).for_each(|id| assert_eq!(next_of_worker(&mut parent), id));
        thread.join().unwrap();
    });
}

/// The ring holds one: it gets full, and goes around its end.
#[test]
fn a_worker_never_sleeps_over_space() {
    model(3, || {
        let (mut parent, mut worker) = lane(1);
        let thread = thread::spawn(move || {
            (0..3).for_each(|id| send(&mut worker, id));
            worker.ring_bell();
        });
        (0..3).for_each(|id| assert_eq!(next_of_worker(&mut parent), id));
        thread.join().unwrap();
    });
}

/// Both sleep, one because of the other.
#[test]
fn an_echo_comes_back() {
    model(2, || {
        let (mut parent, mut worker) = lane(1);
        let thread = thread::spawn(move || {
            for _ in 0..2 {
                // The first answer is announced by going to sleep for the second frame.
                let id = next_of_parent(&mut worker);
                send(&mut worker, id);
            }
            worker.ring_bell();
        });
        for id in 0..2 {
            parent.send(header(id), &[&[id as u8]]).unwrap();
            assert_eq!(next_of_worker(&mut parent), id);
        }
        thread.join().unwrap();
    });
}

/// Jobs that may be run once each. Accesses are loom's to order and to check.
struct Jobs([UnsafeCell<u32>; 3]);

impl Jobs {
    fn run(&self, job: u64) {
        // SAFETY: loom checks that nobody else is at it.
        self.0[job as usize].with_mut(|runs| unsafe { *runs += 1 });
    }
}

/// The parent takes jobs back while the worker starts them: each is run once, by one of the two; and the job sent after
/// that by the worker.
#[test]
fn a_job_is_started_or_taken_back_and_never_both() {
    model(3, || {
        let (mut parent, mut worker) = lane(3);
        let jobs = Arc::new(Jobs(std::array::from_fn(|_| UnsafeCell::new(0))));
        let thread = {
            let jobs = Arc::clone(&jobs);
            thread::spawn(move || {
                for _ in 0..3 {
                    let id = next_of_parent(&mut worker);
                    if worker.claim(id, id) {
                        jobs.run(id);
                    }
                }
            })
        };
        parent.send(header(0), &[&[0]]).unwrap();
        parent.send(header(1), &[&[1]]).unwrap();
        let first = parent.recall(2).unwrap();
        (first..2).for_each(|job| jobs.run(job));
        parent.send(header(2), &[&[2]]).unwrap();
        thread.join().unwrap();
        for runs in &jobs.0 {
            // SAFETY: as above.
            assert_eq!(runs.with(|runs| unsafe { *runs }), 1);
        }
        assert_eq!(parent.next(), 3);
    });
}

/// What the parent knows of a worker that may die at any time: only the job claimed last can have no answer in the
/// ring, and its start is known.
#[test]
fn an_answer_is_there_before_the_next_claim() {
    model(3, || {
        let (mut parent, mut worker) = lane(2);
        let thread = thread::spawn(move || {
            for id in 0..2 {
                // It fails once the parent has taken back.
                if worker.claim(id, 100 + id) {
                    send(&mut worker, id);
                }
            }
        });
        let next = parent.next();
        let started_at = parent.started_at();
        assert!(next == 0 || started_at >= 100 + next - 1);
        let answers = std::iter::from_fn(|| parent.receive().unwrap()).count() as u64;
        assert!(answers + 1 >= next, "{answers} answers, though {next} jobs were started");
        // Taking back tells the same.
        let started = parent.recall(2).unwrap();
        let more = std::iter::from_fn(|| parent.receive().unwrap()).count() as u64;
        assert!(answers + more + 1 >= started);
        thread.join().unwrap();
        let last = std::iter::from_fn(|| parent.receive().unwrap()).count() as u64;
        assert_eq!(answers + more + last, started);
    });
}
