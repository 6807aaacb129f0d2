//! The task: its state, its handles, the list of live tasks. All real; the scheduler is a locked queue.
//!
//! Values are read and written through loom's cells, so that an access that is not ordered after the one before it is an
//! error, and so is a value that is dropped twice; loom reports those that are never dropped.

use super::model;
use crate::park::Parker;
use crate::sync::prim::Mutex;
use crate::task::cell::{self, Schedule};
use crate::task::header::{Notified, Site};
use crate::task::live::Live;
use crate::task::state::State;
use crate::task::{JoinHandle, yield_now};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

/// Woken tasks, and the one worker's place to sleep.
struct Queue(Mutex<VecDeque<Notified>>, Parker);

impl Schedule for Queue {
    unsafe fn schedule(this: *const Queue, task: Notified) {
        // SAFETY: the models keep their queue until all of their tasks have ended.
        let queue = unsafe { &*this };
        queue.0.lock().push_back(task);
        queue.1.unpark(|| {});
    }
}

impl Queue {
    fn new() -> Queue {
        Queue(Mutex::new(VecDeque::new()), Parker::new())
    }

    fn pop(&self) -> Option<Notified> {
        self.0.lock().pop_front()
    }

    /// Runs the task that is in front; false: there is none.
    fn run_one(&self, site: &Site<'_>) -> bool {
        let Some(task) = self.pop() else { return false };
        if let Some(again) = task.run(site) {
            self.0.lock().push_back(again.task);
        }
        true
    }

    /// A worker: runs tasks until `is_over`.
    fn run_until(&self, is_over: impl Fn() -> bool) {
        while !is_over() {
            if !self.run_one(&Site::default()) {
                self.1.park();
            }
        }
    }
}

/// A value that is used, and then dropped once; every access must be ordered after the one before.
struct Value(UnsafeCell<u32>, Arc<AtomicUsize>);

impl Value {
    fn new() -> (Value, Arc<AtomicUsize>) {
        let drops = Arc::new(AtomicUsize::new(0));
        (Value(UnsafeCell::new(0), Arc::clone(&drops)), drops)
    }

    fn use_it(&self) {
        // SAFETY: loom checks that nobody else is at it.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.use_it();
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

fn drops(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::Relaxed)
}

/// A task that waits until `flag` is up, with its waker left in the returned place by a first poll.
fn waiting(queue: &Arc<Queue>, flag: &Arc<AtomicBool>) -> (JoinHandle<Value>, Waker, [Arc<AtomicUsize>; 2]) {
    let place = std::sync::Arc::new(std::sync::Mutex::new(None));
    let ((inside, inside_drops), (output, output_drops)) = (Value::new(), Value::new());
    let (stored, flag) = (std::sync::Arc::clone(&place), Arc::clone(flag));
    let mut output = Some(output);
    let future = poll_fn(move |cx| {
        inside.use_it();
        // Relaxed: only the wake orders it.
        if flag.load(Ordering::Relaxed) {
            return output.take().map_or(Poll::Pending, Poll::Ready);
        }
        stored.lock().unwrap().get_or_insert_with(|| cx.waker().clone());
        Poll::Pending
    });
    let (task, handle) = cell::create(future, &raw const **queue, Location::caller());
    assert!(task.run(&Site::default()).is_none());
    let waker = place.lock().unwrap().take().unwrap();
    (handle, waker, [inside_drops, output_drops])
}

/// Wakes by value and by reference against the end of a poll: the flag is seen, whichever comes when.
#[test]
fn a_wake_is_never_lost() {
    model(3, || {
        let (queue, flag) = (Arc::new(Queue::new()), Arc::new(AtomicBool::new(false)));
        let (handle, waker, counters) = waiting(&queue, &flag);
        let other = waker.clone();
        let waking = {
            let flag = Arc::clone(&flag);
            thread::spawn(move || {
                // In vain, perhaps: then the task is scheduled already when the flag goes up.
                other.wake_by_ref();
                flag.store(true, Ordering::Relaxed);
                other.wake();
            })
        };
        queue.run_until(|| handle.is_finished());
        waking.join().unwrap();
        drop(waker);
        assert_eq!(drops(&counters[0]), 1);
        drop(handle);
        assert_eq!(drops(&counters[1]), 1);
        assert!(queue.0.lock().is_empty(), "queued after its end");
    });
}

/// An abort against a wake and against the poll that makes the task ready.
#[test]
fn an_abort_races_a_wake_and_a_poll() {
    model(3, || {
        let (queue, flag) = (Arc::new(Queue::new()), Arc::new(AtomicBool::new(false)));
        let (mut handle, waker, counters) = waiting(&queue, &flag);
        let abort = handle.abort_handle();
        let aborting = thread::spawn(move || abort.abort());
        let waking = {
            let flag = Arc::clone(&flag);
            thread::spawn(move || {
                flag.store(true, Ordering::Relaxed);
                waker.wake();
            })
        };
        queue.run_until(|| handle.is_finished());
        let result = Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop()));
        match result {
            Poll::Ready(Ok(output)) => drop(output),
            Poll::Ready(Err(error)) => assert!(error.is_cancelled()),
            Poll::Pending => panic!("it is finished"),
        }
        aborting.join().unwrap();
        waking.join().unwrap();
        drop(handle);
        assert_eq!(counters.map(|counter| drops(&counter)), [1, 1]);
    });
}

struct Unpark(Parker);

impl Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark(|| {});
    }
}

/// A joiner that sleeps until it is woken: a lost join waker is a deadlock.
#[test]
fn a_joiner_is_woken() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        let (output, output_drops) = Value::new();
        let (task, mut handle) = cell::create(async move { output }, &raw const *queue, Location::caller());
        let joining = thread::spawn(move || {
            let unpark = std::sync::Arc::new(Unpark(Parker::new()));
            let waker = Waker::from(unpark.clone());
            loop {
                match Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(output) => break output.unwrap().use_it(),
                    Poll::Pending => unpark.0.park(),
                }
            }
        });
        assert!(task.run(&Site::default()).is_none());
        joining.join().unwrap();
        assert_eq!(drops(&output_drops), 1);
    });
}

/// Counts its wakes.
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A handle is polled with one waker, then with another, and dropped, all while its task completes. Each waker is
/// released and called once at most; the output is dropped once.
#[test]
fn a_polled_handle_is_dropped_against_completion() {
    model(3, || {
        let queue = Arc::new(Queue::new());
        let (output, output_drops) = Value::new();
        let (task, mut handle) = cell::create(async move { output }, &raw const *queue, Location::caller());
        let counts = [(); 2].map(|()| std::sync::Arc::new(Count(AtomicUsize::new(0))));
        let first = Waker::from(counts[0].clone());
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&first)).is_pending());
        drop(first);
        let (second, other) = (Waker::from(counts[1].clone()), output_drops.clone());
        let handling = thread::spawn(move || {
            let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&second));
            let taken = polled.is_ready();
            drop(polled);
            drop(handle);
            assert!(!taken || drops(&other) == 1);
        });
        assert!(task.run(&Site::default()).is_none());
        handling.join().unwrap();
        assert_eq!(drops(&output_drops), 1);
        for count in counts {
            assert!(drops(&count.0) <= 1);
            assert_eq!(std::sync::Arc::strong_count(&count), 1, "a waker is kept");
        }
    });
}

/// A state, and what it guards.
struct Guarded(State, UnsafeCell<u32>);

// SAFETY: loom checks every access.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn new() -> Arc<Guarded> {
        Arc::new(Guarded(State::new(), UnsafeCell::new(0)))
    }

    fn use_it(&self) {
        // SAFETY: loom checks that nobody else is at it.
        self.1.with_mut(|memory| unsafe { *memory += 1 });
    }
}

/// The last other reference is let go of while the runner finds itself alone: it frees what the other has just used.
#[test]
fn the_solo_path_comes_after_whoever_was_there_before() {
    model(3, || {
        let shared = Guarded::new();
        let _ = shared.0.start();
        assert!(shared.0.detach().waker);
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.use_it();
                shared.0.ref_dec()
            })
        };
        let ours = shared.0.finish_unjoined();
        if ours {
            shared.use_it();
        }
        assert!(other.join().unwrap() != ours, "one of them frees the memory");
    });
}

/// The same for a poll: what the last handle's owner did comes before the runner's next poll.
#[test]
fn a_solo_poll_comes_after_whoever_was_there_before() {
    model(3, || {
        let shared = Guarded::new();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                assert!(!shared.0.is_done());
                let _ = shared.0.detach();
                assert!(!shared.0.ref_dec());
            })
        };
        for _ in 0..2 {
            let _ = shared.0.start();
            shared.use_it();
            let _ = shared.0.pause(true);
        }
        other.join().unwrap();
        let _ = shared.0.start();
        assert!(!shared.0.is_joined());
        assert!(shared.0.finish_unjoined());
    });
}

/// A worker that leaves, with what it has to tell apart.
struct Shutdown {
    queue: Queue,
    live: Live,
    shutting_down: AtomicBool,
    all_cancelled: AtomicBool,
}

impl Shutdown {
    fn new() -> Arc<Shutdown> {
        Arc::new(Shutdown {
            queue: Queue::new(),
            live: Live::new(1),
            shutting_down: AtomicBool::new(false),
            all_cancelled: AtomicBool::new(false),
        })
    }

    fn site(&self) -> Site<'_> {
        Site { metrics: None, live: Some((&self.live, 0)), strays: None }
    }

    fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Release);
        self.live.close_and_cancel();
        self.all_cancelled.store(true, Ordering::Release);
        self.queue.1.unpark(|| {});
    }

    /// What `Worker::run` and `Worker::leave` do; it polls `polls` times at most.
    fn work(&self, polls: usize) {
        for _ in 0..polls {
            let task = self.queue.pop();
            if self.shutting_down.load(Ordering::Acquire) {
                if let Some(task) = task {
                    task.cancel(&self.site(), None);
                }
                break;
            }
            let Some(task) = task else { break };
            if let Some(again) = task.run(&self.site()) {
                self.queue.0.lock().push_back(again.task);
            }
        }
        while !self.shutting_down.load(Ordering::Acquire) {
            self.queue.1.park();
        }
        while !self.all_cancelled.load(Ordering::Acquire) {
            self.drain();
            self.queue.1.park();
        }
        self.live.close_and_cancel();
        self.drain();
        while !self.live.is_empty() {
            self.queue.1.park();
            self.drain();
        }
    }

    fn drain(&self) {
        while let Some(task) = self.queue.pop() {
            task.cancel(&self.site(), None);
        }
    }
}

/// A detached task that yields has been entered among the live ones, and nobody but the scheduler has a reference to it;
/// then the list is closed, while its worker runs it.
#[test]
fn closing_the_live_list_against_the_solo_path() {
    model(3, || {
        let shared = Shutdown::new();
        let (inside, counter) = Value::new();
        let future = async move {
            loop {
                inside.use_it();
                yield_now().await;
            }
        };
        let (task, handle) = cell::create(future, &raw const shared.queue, Location::caller());
        drop::<JoinHandle<()>>(handle);
        let Some(again) = task.run(&shared.site()) else { panic!("it yields") };
        shared.queue.0.lock().push_back(again.task);
        let ending = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.shut_down())
        };
        shared.work(2);
        ending.join().unwrap();
        assert_eq!(drops(&counter), 1);
    });
}

/// A task that waits, and is woken, while the list is closed.
#[test]
fn closing_the_live_list_against_a_wake() {
    model(2, || {
        let shared = Shutdown::new();
        let (inside, counter) = Value::new();
        let place = std::sync::Arc::new(std::sync::Mutex::new(None));
        let stored = std::sync::Arc::clone(&place);
        let future = poll_fn(move |cx| -> Poll<()> {
            inside.use_it();
            stored.lock().unwrap().get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        });
        let (task, handle) = cell::create(future, &raw const shared.queue, Location::caller());
        drop(handle);
        assert!(task.run(&shared.site()).is_none());
        let waker: Waker = place.lock().unwrap().take().unwrap();
        let waking = thread::spawn(move || waker.wake());
        let ending = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.shut_down())
        };
        shared.work(2);
        ending.join().unwrap();
        waking.join().unwrap();
        assert_eq!(drops(&counter), 1);
    });
}

/// A task that nobody but the list can reach, as it waits for nothing, is ended by closing it.
#[test]
fn closing_the_live_list_ends_a_task_that_nobody_can_wake() {
    model(3, || {
        let shared = Shutdown::new();
        let (inside, counter) = Value::new();
        let future = async move {
            inside.use_it();
            std::future::pending::<()>().await;
        };
        let (task, handle) = cell::create(future, &raw const shared.queue, Location::caller());
        drop(handle);
        shared.queue.0.lock().push_back(task);
        let ending = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.shut_down())
        };
        shared.work(2);
        ending.join().unwrap();
        assert_eq!(drops(&counter), 1);
    });
}
