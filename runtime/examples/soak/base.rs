//! What all deeds share: the counts that have to come out even, random numbers, values that notice a second drop, wakers
//! left for anybody to call.

use crossover_runtime::runtime::RuntimeMetrics;
use crossover_runtime::time::sleep;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Things done so far; the watchdog looks at it.
pub(crate) static DONE: AtomicU64 = AtomicU64::new(0);
/// Values that are alive.
pub(crate) static ALIVE: AtomicI64 = AtomicI64::new(0);
/// The runtime of this round, for the watchdog's dump.
pub(crate) static CURRENT: Mutex<Option<RuntimeMetrics>> = Mutex::new(None);

/// How many actors are in which deed, and in which part of it, for the watchdog's dump.
pub(crate) static DOING: Mutex<BTreeMap<(u64, u32), u32>> = Mutex::new(BTreeMap::new());

/// An actor's entry in [`DOING`].
pub(crate) struct Doing((u64, u32));

impl Doing {
    pub(crate) fn new() -> Doing {
        let doing = Doing((u64::MAX, 0));
        Doing::change(None, Some(doing.0));
        doing
    }
    /// The actor begins a deed, whose number comes back.
    pub(crate) fn begin(&mut self, deed: u64) -> u64 {
        self.set((deed, 0));
        deed
    }
    /// It has come to this part of its deed.
    pub(crate) fn part(&mut self, part: u32) {
        self.set((self.0.0, part));
    }
    fn set(&mut self, to: (u64, u32)) {
        Doing::change(Some(std::mem::replace(&mut self.0, to)), Some(to));
    }
    fn change(from: Option<(u64, u32)>, to: Option<(u64, u32)>) {
        let mut doing = DOING.lock().unwrap();
        if let Some(from) = from
            && let Some(count) = doing.get_mut(&from)
        {
            *count -= 1;
            if *count == 0 {
                doing.remove(&from);
            }
        }
        if let Some(to) = to {
            *doing.entry(to).or_default() += 1;
        }
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        Doing::change(Some(self.0), None);
    }
}

/// xorshift64*: every actor has its own.
#[derive(Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) * bound) >> 32
    }
    pub(crate) fn fork(&mut self) -> Rng {
        Rng::new((self.below(1 << 32) << 16) | self.below(1 << 16))
    }
}

/// A value that knows whether it has been dropped before.
pub(crate) struct Value(Box<u64>);

const LIVES: u64 = 0x1122_3344_5566_7788;

impl Value {
    pub(crate) fn new() -> Value {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Value(Box::new(LIVES))
    }
    pub(crate) fn check(&self) {
        assert_eq!(*self.0, LIVES, "a value is used after its end");
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.check();
        *self.0 = 0;
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What panics on purpose carry, so that the hook can keep quiet about them.
pub(crate) struct OnPurpose(
    #[expect(dead_code, reason = "it counts as alive until the payload is dropped")] pub Value,
);

/// Where tasks leave wakers, for anybody to call at any time: most of them have long been in vain.
#[derive(Clone, Default)]
pub(crate) struct Hub(pub(crate) Arc<Mutex<Vec<Waker>>>);

impl Hub {
    pub(crate) fn leave(&self, rng: &mut Rng, waker: &Waker) {
        let clone = waker.clone();
        let mut wakers = self.0.lock().unwrap();
        if wakers.len() < 64 {
            return wakers.push(clone);
        }
        let place = rng.below(64) as usize;
        let old = std::mem::replace(&mut wakers[place], clone);
        drop(wakers);
        drop(old);
    }
    pub(crate) fn wake_some(&self, rng: &mut Rng) {
        for _ in 0..rng.below(4) {
            let wakers = self.0.lock().unwrap();
            let waker = wakers.get(rng.below(64) as usize).cloned();
            drop(wakers);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// Waits for a few wakes by whomever; its own timer makes sure that it ends.
pub(crate) async fn be_woken(rng: &mut Rng, hub: &Hub) {
    let mut left = rng.below(3);
    let mut timer = std::pin::pin!(sleep(Duration::from_micros(200 + rng.below(2000))));
    poll_fn(|cx| {
        hub.leave(rng, cx.waker());
        if timer.as_mut().poll(cx).is_ready() || left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    })
    .await;
}
