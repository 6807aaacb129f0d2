//! The loop of the thread that has the core: it polls its own future, runs tasks, and turns the driver or sleeps in it.
//!
//! The driver is turned, without waiting, whenever that is due: after `event_interval` polls, of whichever `block_on`s; when
//! all that is ready has yielded; when a park hook has made work; and when a `block_on` begins long after the last turn, for
//! an outer loop may do nothing but call short ones.
//!
//! The core goes back to its place when [`Running`] is dropped, also by a panic of the main future; then those who wait for
//! it are unparked.

use super::super::{self as scheduler, LocalGuard, budget, run_hook};
use super::{Core, Local, MainWaker, Shared};
use crate::observe::Subject;
use crate::park::Spin;
use crate::sync::prim::atomic::Ordering;
use crate::sync::prim::now;
use crate::task::Current;
use crate::task::header::Again;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A `block_on` that begins so long after the last turn of the driver turns it first.
const LONG_AGO: Duration = Duration::from_millis(1);

/// A thread that has the core; gives it back when dropped, also by a panic of the main future.
pub(super) struct Running<'a> {
    shared: &'a Arc<Shared>,
    local: Rc<Local>,
    core: Option<Core>,
    spin: Spin,
    /// The last so many polls were of tasks that yielded, all of them since the last look at the driver.
    yielded: usize,
    busy_since: Instant,
    guard: Option<LocalGuard>,
}

impl<'a> Running<'a> {
    /// Takes the core; or `None`, and `main` is unparked when it is given back.
    pub(super) fn take(shared: &'a Arc<Shared>, main: &Arc<MainWaker>) -> Option<Running<'a>> {
        let mut core = {
            let mut slot = shared.slot.lock();
            let Some(core) = slot.core.take() else {
                if !slot.waiting.iter().any(|other| Arc::ptr_eq(other, main)) {
                    slot.waiting.push(Arc::clone(main));
                }
                return None;
            };
            slot.waiting.retain(|other| !Arc::ptr_eq(other, main));
            core
        };
        shared.observers.begin(0);
        let queue = RefCell::new(std::mem::take(&mut core.queue));
        let local = Rc::new(Local { shared: Arc::clone(shared), queue });
        let guard = LocalGuard::enter(scheduler::Local::CurrentThread(Rc::clone(&local)));
        let busy_since = now();
        let long_ago = busy_since.duration_since(core.turned) >= LONG_AGO;
        let mut running = Running {
            shared,
            local,
            core: Some(core),
            spin: Spin::new(),
            yielded: 0,
            busy_since,
            guard: Some(guard),
        };
        if long_ago {
            running.look_at_driver(busy_since);
        }
        Some(running)
    }

    pub(super) fn run<F: Future>(
        &mut self,
        main: &MainWaker,
        subject: Subject,
        mut future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> F::Output {
        let observers = &self.shared.clone().observers;
        loop {
            let mut yielded = false;
            if main.take_woken() {
                let polled = observers.around(0, subject, || budget::limited(|| future.as_mut().poll(cx)));
                yielded = Current::take_yielded();
                if let Poll::Ready(output) = polled {
                    return output;
                }
            }
            // The main future counts like a task: it may be woken for ever, too.
            self.count_poll();
            let more = self.run_some_tasks();
            if yielded {
                // It comes after all that was ready, and that is ready now.
                self.turn(Some(Duration::ZERO));
            } else if !more && !self.has_work(main) {
                self.wait(main);
            }
        }
    }

    /// Looks at the driver after every `event_interval` polls.
    fn count_poll(&mut self) {
        let Some(core) = &mut self.core else { return };
        core.polls += 1;
        if core.polls >= self.shared.settings.event_interval {
            core.polls = 0;
            self.yielded = 0;
            self.turn(Some(Duration::ZERO));
        }
    }

    /// Turns the driver, without waiting, at a time that is known.
    fn look_at_driver(&mut self, now: Instant) {
        if let Some(core) = &mut self.core {
            core.turned = now;
        }
        self.turn(Some(Duration::ZERO));
    }

    /// Runs tasks, as many as between two looks at the driver, or until all that are left have yielded; false: there are no
    /// more.
    fn run_some_tasks(&mut self) -> bool {
        let shared = Arc::clone(self.shared);
        for _ in 0..shared.settings.event_interval {
            let Some(core) = &mut self.core else { return false };
            core.tick = core.tick.wrapping_add(1);
            let from_outside_first = core.tick % shared.settings.global_queue_interval == 0;
            let local = &self.local;
            let task = if from_outside_first {
                local.grab().or_else(|| local.pop())
            } else {
                local.pop().or_else(|| local.grab())
            };
            let Some(task) = task else { return false };
            shared.metrics.polls.add(1);
            let subject = task.subject();
            let again = shared.observers.around(0, subject, || budget::limited(|| task.run(&shared.site())));
            let yielded = again.as_ref().is_some_and(|again| again.yielded);
            if let Some(Again { task, .. }) = again {
                local.push(task);
            }
            let waiting = local.queue.borrow().len();
            shared.local_len.store(waiting, Ordering::Relaxed);
            self.yielded = if yielded { self.yielded + 1 } else { 0 };
            self.count_poll();
            if yielded && self.yielded >= waiting {
                // Before they go on: who waits for the driver, for the main future, or in the injector.
                self.yielded = 0;
                self.turn(Some(Duration::ZERO));
                if let Some(core) = &mut self.core {
                    core.tick = u32::MAX;
                }
                break;
            }
        }
        true
    }

    fn turn(&mut self, limit: Option<Duration>) {
        let Some(core) = &mut self.core else { return };
        self.shared.metrics.turns.add(1);
        let Core { trouble, driver, .. } = core;
        trouble.turn(limit != Some(Duration::ZERO), || driver.turn(limit));
    }

    /// Is there something to do? (The driver aside.)
    fn has_work(&self, main: &MainWaker) -> bool {
        main.woken.load(Ordering::Relaxed) || !self.local.is_empty() || !self.shared.injector.is_empty()
    }

    /// Nothing is ready: looks around for a while, then parks on the driver.
    fn wait(&mut self, main: &MainWaker) {
        run_hook(self.shared.settings.on_park.as_ref());
        if self.has_work(main) {
            // The hook has made it, and may do so each time.
            self.turn(Some(Duration::ZERO));
        } else if !self.spin(main) {
            let start = now();
            let metrics = &self.shared.metrics;
            metrics.busy_ns.add_time(start.duration_since(self.busy_since));
            metrics.parks.add(1);
            self.shared.observers.park(0);
            let shared = Arc::clone(self.shared);
            if let Some(rest) = self.core.as_ref().and_then(|core| core.trouble.rest()) {
                shared.parker.park_for(Some(rest));
            } else {
                shared.parker.park_turning(|| {
                    // A last look, now that whoever comes later finds us turning and unparks the driver.
                    if !self.has_work(main) {
                        self.turn(None);
                    }
                });
            }
            self.shared.metrics.unparks.add(1);
            self.busy_since = now();
            if let Some(core) = &mut self.core {
                core.turned = self.busy_since;
            }
            self.shared.observers.unpark(0, start, self.busy_since);
            self.spin.parked(self.busy_since.duration_since(start));
        }
        run_hook(self.shared.settings.on_unpark.as_ref());
    }

    /// Spins; true if something came up.
    fn spin(&mut self, main: &MainWaker) -> bool {
        const SPINS_PER_TURN: u32 = 8;
        let mut spin = std::mem::replace(&mut self.spin, Spin::new());
        let mut looks = 0_u32;
        let found = spin.run(|| {
            looks += 1;
            if looks % SPINS_PER_TURN == 1 {
                self.turn(Some(Duration::ZERO));
            }
            self.has_work(main).then_some(())
        });
        self.spin = spin;
        found.is_some()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // First the link: from here on this thread's wake-ups go to the injector.
        drop(self.guard.take());
        let Some(mut core) = self.core.take() else { return };
        self.shared.observers.park(0);
        self.shared.metrics.busy_ns.add_time(now().duration_since(self.busy_since));
        core.queue = std::mem::take(&mut *self.local.queue.borrow_mut());
        self.shared.local_len.store(core.queue.len(), Ordering::Relaxed);
        let waiting = {
            let mut slot = self.shared.slot.lock();
            slot.core = Some(core);
            std::mem::take(&mut slot.waiting)
        };
        // All of them try; one gets it, the others enter themselves again.
        waiting.iter().for_each(|main| main.waiting.unpark(|| {}));
    }
}
