//! What shuttle does not bring along: a clock, waits with a limit, spinning, and work-stealing deques behind a lock.

use shuttle::sync;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A wait of this length or longer does not end by itself.
pub(super) const FOREVER: Duration = Duration::from_secs(3600);

std::thread_local! {
    /// How far the clock has got. All threads of a model are coroutines of one thread, so this is theirs together.
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The model's time, which stands still but for [`let_pass`].
pub(crate) fn now() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now) + PASSED.get()
}

/// Waits for `time`: others run, for as long as the schedule wants.
pub(super) fn let_pass(time: Duration) {
    shuttle::thread::yield_now();
    PASSED.set(PASSED.get() + time);
}

/// The clock is set back. For the beginning of a run, while nobody has looked at it.
#[cfg(test)]
pub(crate) fn restart() {
    PASSED.set(Duration::ZERO);
}

/// Waits until `deadline`, or not at all if it has passed.
pub(crate) fn wait_until(deadline: Instant) {
    let_pass(deadline.saturating_duration_since(now()));
}

/// Spinning is waiting for others, and must let them run.
pub(crate) fn spin_loop() {
    thread::yield_now();
}

/// shuttle's threads. To yield takes time, so that spinning comes to an end.
pub(crate) mod thread {
    pub(crate) use shuttle::thread::{Builder, JoinHandle, current, panicking};

    pub(crate) fn yield_now() {
        super::let_pass(super::Duration::from_micros(5));
    }

    #[cfg(test)]
    pub(crate) use shuttle::thread::spawn;
}

/// As `locks.rs` has it for the others.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

/// A guard that knows its lock, so that [`Condvar::wait_timeout`] can let go of it.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    guard: sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        MutexGuard { lock: self, guard }
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        use std::sync::TryLockError::{Poisoned, WouldBlock};
        let guard = match self.0.try_lock() {
            Ok(guard) => guard,
            Err(Poisoned(poisoned)) => poisoned.into_inner(),
            Err(WouldBlock) => return None,
        };
        Some(MutexGuard { lock: self, guard })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[derive(Debug)]
pub(crate) struct Condvar(sync::Condvar);

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar(sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let MutexGuard { lock, guard } = guard;
        let guard = self.0.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner());
        MutexGuard { lock, guard }
    }

    /// The limit passes when the schedule says so; one that is no limit never does.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        if limit >= FOREVER {
            return (self.wait(guard), false);
        }
        let lock = guard.lock;
        drop(guard);
        let_pass(limit);
        (lock.lock(), true)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// crossbeam-deque's interface, as far as it is used, on a locked queue. It loses nothing and duplicates nothing by
/// construction, so what is tried out is how the scheduler uses it.
pub(crate) mod deque {
    use crate::sync::prim::Mutex;
    use std::collections::VecDeque;
    use std::sync::Arc;

    type Shared<T> = Arc<Mutex<VecDeque<T>>>;

    #[derive(Debug)]
    pub(crate) struct Worker<T> {
        queue: Shared<T>,
        lifo: bool,
    }

    #[derive(Debug)]
    pub(crate) struct Stealer<T>(Shared<T>);

    #[derive(Debug)]
    pub(crate) enum Steal<T> {
        Empty,
        Success(T),
        /// Somebody is at it: crossbeam gives up then, too.
        Retry,
    }

    impl<T> Worker<T> {
        pub(crate) fn new_fifo() -> Worker<T> {
            Worker { queue: Arc::new(Mutex::new(VecDeque::new())), lifo: false }
        }

        pub(crate) fn new_lifo() -> Worker<T> {
            Worker { queue: Arc::new(Mutex::new(VecDeque::new())), lifo: true }
        }

        pub(crate) fn push(&self, value: T) {
            self.queue.lock().push_back(value);
        }

        pub(crate) fn pop(&self) -> Option<T> {
            let mut queue = self.queue.lock();
            if self.lifo { queue.pop_back() } else { queue.pop_front() }
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.queue.lock().is_empty()
        }

        pub(crate) fn len(&self) -> usize {
            self.queue.lock().len()
        }

        pub(crate) fn stealer(&self) -> Stealer<T> {
            Stealer(Arc::clone(&self.queue))
        }
    }

    impl<T> Stealer<T> {
        pub(crate) fn is_empty(&self) -> bool {
            self.0.lock().is_empty()
        }

        pub(crate) fn len(&self) -> usize {
            self.0.lock().len()
        }

        pub(crate) fn steal(&self) -> Steal<T> {
            let Some(mut queue) = self.0.try_lock() else { return Steal::Retry };
            queue.pop_front().map_or(Steal::Empty, Steal::Success)
        }

        pub(crate) fn steal_batch_and_pop(&self, into: &Worker<T>) -> Steal<T> {
            let Some(mut queue) = self.0.try_lock() else { return Steal::Retry };
            let Some(first) = queue.pop_front() else { return Steal::Empty };
            let half = queue.len() / 2;
            let batch: Vec<T> = queue.drain(..half).collect();
            drop(queue);
            // In crossbeam, too, the batch is in neither queue for a moment.
            into.queue.lock().extend(batch);
            Steal::Success(first)
        }
    }
}
