//! Model checks of the timers' protocols under loom; see `src/models.rs` for the bounds and for how they are run.
//! `Timers` and its wheels are the real ones; the poller is a sticky notification. Loom also checks that nobody else
//! uses an entry's waker while the wheel or the owner does.

use super::*;
use crate::models::model;
use crate::sync::prim::Condvar;
use loom::sync::Arc;
use loom::thread;
use std::task::Wake;

/// One tick of the wheel, about; deadlines and clocks below are multiples of it.
const MS: u64 = 1_000_000;

/// Something that happens once and can be waited for: a task that is woken, a poller that is notified.
#[derive(Default)]
struct Signal {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Signal {
    fn wait(&self) {
        let mut count = self.count.lock();
        while *count == 0 {
            count = self.changed.wait(count);
        }
    }

    fn count(&self) -> usize {
        *self.count.lock()
    }
}

impl Wake for Signal {
    fn wake(self: std::sync::Arc<Self>) {
        *self.count.lock() += 1;
        self.changed.notify_all();
    }
}

fn timers(shards: usize) -> Arc<Timers> {
    Arc::new(Timers::new(Instant::now(), shards, std::sync::Weak::new()))
}

/// Two threads arm in two shards while a turn begins to wait: it waits for the earlier one, or is notified.
#[test]
fn no_turn_waits_beyond_a_deadline() {
    model(3, || {
        let timers = timers(2);
        let notified = std::sync::Arc::new(Signal::default());
        let armed = [1, 2].map(|shard| {
            let (timers, notified) = (timers.clone(), notified.clone());
            thread::spawn(move || {
                use_shard(shard);
                let entry = Box::new(Entry::new());
                let deadline = shard as u64 * MS;
                // SAFETY: the box is handed back, and disarmed below.
                let armed = unsafe { timers.local().arm(&entry, deadline, Waker::noop().clone()) };
                if armed == (Armed::Pending { notify: true }) {
                    notified.wake();
                }
                SendEntry(entry, timers.local().clone())
            })
        });
        if timers.announce(NEVER) > MS {
            notified.wait();
        }
        timers.end_wait(|| timers.common.base, &mut Vec::new());
        for thread in armed {
            let entry = thread.join().unwrap();
            // SAFETY: it is ours now.
            assert!(unsafe { entry.1.disarm(&entry.0) }.is_some(), "nothing was due");
        }
        assert_eq!(timers.len(), 0);
    });
}

/// With its shard.
struct SendEntry(Box<Entry>, std::sync::Arc<CachePadded<Shard>>);

// SAFETY: as for `Timer`.
unsafe impl Send for SendEntry {}

/// A timer is dropped off its thread while the turn fires it and its neighbour in the same slot: the neighbour's task
/// is woken, the dropped one's at most once, and the wheel is left empty.
#[test]
fn dropping_races_firing() {
    model(3, || {
        let timers = timers(1);
        let signals = [(); 2].map(|()| std::sync::Arc::new(Signal::default()));
        let [dropped, kept] = [0, 1].map(|which| {
            let entry = Box::new(Entry::new());
            // SAFETY: the boxes live until they are disarmed or have fired.
            unsafe { timers.local().arm(&entry, MS + which, Waker::from(signals[which as usize].clone())) };
            SendEntry(entry, timers.local().clone())
        });
        let dropper = thread::spawn(move || {
            let dropped = dropped;
            // SAFETY: it is ours.
            let waker = unsafe { dropped.1.disarm(&dropped.0) };
            drop(dropped);
            waker.is_some()
        });
        let mut due = Vec::new();
        timers.fire(MS + 1, &mut due);
        due.into_iter().for_each(Waker::wake);
        let disarmed = dropper.join().unwrap();
        assert_eq!(signals[0].count(), usize::from(!disarmed));
        assert_eq!(signals[1].count(), 1);
        assert_eq!((kept.0.state(), timers.len()), (FIRED, 0));
    });
}

/// The owner changes its waker while the turn fires: the new one is called, or the owner sees that it has fired.
#[test]
fn changing_the_waker_races_firing() {
    model(3, || {
        let timers = timers(1);
        let [old, new] = [(); 2].map(|()| std::sync::Arc::new(Signal::default()));
        let entry = Box::new(Entry::new());
        // SAFETY: the box lives until it has fired.
        unsafe { timers.local().arm(&entry, MS, Waker::from(old.clone())) };
        let turner = {
            let timers = timers.clone();
            thread::spawn(move || {
                let mut due = Vec::new();
                timers.fire(MS, &mut due);
                due.into_iter().for_each(Waker::wake);
            })
        };
        // SAFETY: it is ours.
        if unsafe { timers.local().update_waker(&entry, &Waker::from(new.clone())) } {
            new.wait();
            assert_eq!(old.count(), 0);
        }
        assert_eq!(entry.state(), FIRED);
        turner.join().unwrap();
        assert_eq!(old.count() + new.count(), 1);
    });
}

/// Once for each ring, however many there are before it waits: a worker's poller.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock();
        while !std::mem::take(&mut *rung) {
            rung = self.changed.wait(rung);
        }
    }
}

/// Two workers that go to sleep, and the pollers on which they do.
struct Sleepers {
    driver: Handle,
    bells: [Bell; 2],
    fired: Mutex<bool>,
}

impl Sleepers {
    /// A turn that does not wait.
    fn poll(&self) {
        let shared = &self.driver.shared;
        if let Some(clock) = shared.try_clock() {
            shared.timers.end_wait(|| shared.timers.common.base, &mut Vec::new());
            drop(clock);
        }
    }

    /// Sleeps until the timer has fired, as a worker does: with the clock if it is free, else for wake-ups only.
    fn sleep(&self, worker: usize) {
        let shared = &self.driver.shared;
        while !*self.fired.lock() {
            let Some(clock) = shared.try_clock() else {
                self.bells[worker].wait();
                continue;
            };
            let base = shared.timers.common.base;
            let mut due = Vec::new();
            match shared.begin_wait(worker, Limit::Forever) {
                Limit::Until(end) => shared.timers.end_wait(|| end, &mut due),
                _ => {
                    self.bells[worker].wait();
                    shared.timers.end_wait(|| base, &mut due);
                }
            }
            drop(clock);
            if !due.is_empty() {
                *self.fired.lock() = true;
                self.bells.iter().for_each(Bell::ring);
            }
        }
    }

    /// Arms a timer, and notifies whoever waits too long.
    fn arm(&self) -> SendEntry {
        let shard = self.driver.shared.timers.local().clone();
        let entry = Box::new(Entry::new());
        // SAFETY: the caller keeps the box until it has fired.
        let armed = unsafe { shard.arm(&entry, MS, Waker::noop().clone()) };
        if armed == (Armed::Pending { notify: true }) {
            self.bells[self.driver.shared.timekeeper()].ring();
        }
        SendEntry(entry, shard)
    }
}

/// A timer is armed while the clock goes from hand to hand: one worker goes to sleep, and perhaps does not get the clock
/// because the other one, which looks at its driver before it sleeps too, has it for a moment. However that comes out, one of
/// them waits for the timer. If none did, all would sleep for ever.
#[test]
fn an_armed_timer_is_always_waited_for() {
    model(3, || {
        let (drivers, driver) =
            super::super::Driver::for_workers(2, super::super::BATCH).expect("event queues");
        let sleepers = Arc::new(Sleepers { driver, bells: Default::default(), fired: Mutex::new(false) });
        let threads = [0, 1].map(|worker| {
            let sleepers = sleepers.clone();
            thread::spawn(move || {
                if worker == 1 {
                    sleepers.poll();
                }
                sleepers.sleep(worker);
            })
        });
        let armed = sleepers.arm();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(armed.0.state(), FIRED);
        drop(drivers);
    });
}

/// The same with a worker that arms it and goes to sleep itself, beside one that sleeps or is about to.
#[test]
fn a_timer_armed_on_the_way_to_sleep_is_waited_for() {
    model(3, || {
        let (drivers, driver) =
            super::super::Driver::for_workers(2, super::super::BATCH).expect("event queues");
        let sleepers = Arc::new(Sleepers { driver, bells: Default::default(), fired: Mutex::new(false) });
        let other = {
            let sleepers = sleepers.clone();
            thread::spawn(move || sleepers.sleep(0))
        };
        sleepers.poll();
        let armed = sleepers.arm();
        sleepers.poll();
        sleepers.sleep(1);
        other.join().unwrap();
        assert_eq!(armed.0.state(), FIRED);
        drop(drivers);
    });
}
