//! Deeds with tasks and jobs: handles of all fates, messages, storms of aborts, timers that are moved.

use crate::base::{Hub, OnPurpose, Rng, Value, be_woken};
use crossover_runtime::runtime::{Builder, Handle};
use crossover_runtime::sync::channel;
use crossover_runtime::task::{JoinHandle, JoinSet, consume_budget, yield_now};
use crossover_runtime::time::{Instant, interval, sleep, sleep_until, timeout};
use crossover_runtime::{spawn, spawn_blocking};
use std::future::pending;
use std::panic::panic_any;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::time::Duration;

/// A child of an actor: some steps, and one of several ends.
pub(crate) async fn child(mut rng: Rng, hub: Hub, inside: Value) -> Value {
    for _ in 0..rng.below(4) {
        match rng.below(5) {
            0 => sleep(Duration::from_micros(rng.below(1500))).await,
            1 => be_woken(&mut rng, &hub).await,
            2 => consume_budget().await,
            3 => hub.wake_some(&mut rng),
            _ => yield_now().await,
        }
        inside.check();
    }
    if rng.below(16) == 0 {
        panic_any(OnPurpose(Value::new()));
    }
    Value::new()
}

pub(crate) fn start(rng: &mut Rng, hub: &Hub) -> JoinHandle<Value> {
    spawn(child(rng.fork(), hub.clone(), Value::new()))
}

/// What an actor does with the handle of a child.
pub(crate) async fn handle_a_child(rng: &mut Rng, hub: &Hub) {
    let mut handle = start(rng, hub);
    match rng.below(8) {
        0 => drop(handle),
        1 => handle.abort(),
        2 => {
            handle.abort();
            let _ = handle.await;
        }
        3 => {
            let _ = Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())).is_ready();
        }
        4 => {
            let limit = Duration::from_micros(rng.below(1000));
            if timeout(limit, &mut handle).await.is_err() {
                handle.abort();
            }
        }
        5 => {
            let abort = handle.abort_handle();
            drop(spawn(async move { drop(handle.await) }));
            yield_now().await;
            abort.abort();
        }
        6 => {
            // On another thread: it may outlive the runtime.
            let (seat, hub, mut rng) = (Handle::current(), hub.clone(), rng.fork());
            std::thread::spawn(move || {
                hub.wake_some(&mut rng);
                let _guard = seat.enter();
                drop(start(&mut rng, &hub));
                drop(handle);
            });
        }
        _ => {
            if let Ok(value) = handle.await {
                value.check();
            }
        }
    }
}

pub(crate) async fn offload(rng: &mut Rng, hub: &Hub) {
    let (mut inner, hub, value) = (rng.fork(), hub.clone(), Value::new());
    let job = spawn_blocking(move || {
        value.check();
        match inner.below(24) {
            0 => nested(&mut inner),
            1 => panic_any(OnPurpose(Value::new())),
            2 | 3 => drop(start(&mut inner, &hub)),
            4 => std::thread::sleep(Duration::from_micros(inner.below(2000))),
            _ => hub.wake_some(&mut inner),
        }
        Value::new()
    });
    match rng.below(4) {
        0 => drop(job),
        1 => job.abort(),
        _ => drop(job.await),
    }
}

/// A runtime inside of a blocking job.
fn nested(rng: &mut Rng) {
    let built = Builder::new_current_thread().thread_keep_alive(Duration::ZERO).build();
    let Ok(rt) = built else { return };
    let hub = Hub::default();
    for _ in 0..rng.below(6) {
        rt.block_on(async { drop(start(rng, &hub)) });
    }
    rt.block_on(be_woken(rng, &hub));
}

pub(crate) async fn pass_messages(rng: &mut Rng) {
    let (sender, receiver) = channel::bounded(1 + rng.below(4) as usize);
    let count = rng.below(50);
    let sends = spawn(async move {
        for _ in 0..count {
            if sender.send(Value::new()).await.is_err() {
                return;
            }
        }
    });
    let stop_at = if rng.below(4) == 0 { count / 2 } else { count };
    for _ in 0..stop_at {
        if receiver.recv().await.is_err() {
            break;
        }
    }
    drop(receiver);
    let _ = sends.await;
}

/// Children and jobs by the dozen, aborted from here, from another task or by a thread while they begin, wait and end. Each
/// must be joined once, as what it became.
pub(crate) async fn storm_of_aborts(rng: &mut Rng, hub: &Hub) {
    let mut set = JoinSet::new();
    let mut aborts = Vec::new();
    let count = 1 + rng.below(80);
    for _ in 0..count {
        let (mut inner, hub, value) = (rng.fork(), hub.clone(), Value::new());
        aborts.push(match rng.below(4) {
            0 => set.spawn_blocking(move || {
                value.check();
                hub.wake_some(&mut inner);
                Value::new()
            }),
            1 => set.spawn(async move {
                let _value = value;
                pending().await
            }),
            _ => set.spawn(child(inner, hub, value)),
        });
    }
    match rng.below(4) {
        0 => drop(spawn(async move { aborts.iter().for_each(|task| task.abort()) })),
        1 => drop(std::thread::spawn(move || aborts.iter().for_each(|task| task.abort()))),
        2 => {
            yield_now().await;
            set.abort_all();
        }
        _ => return drop(set),
    }
    let mut joined = 0;
    while let Some(result) = set.join_next().await {
        joined += 1;
        match result {
            Ok(value) => value.check(),
            Err(error) => assert!(error.is_cancelled() || error.is_panic()),
        }
    }
    assert_eq!(joined, count, "each task is joined once");
}

/// Sleeps that are moved before, while and after they are due, and never ready early.
pub(crate) async fn move_timers(rng: &mut Rng) {
    let from_now = |rng: &mut Rng, micros: u64| Instant::now() + Duration::from_micros(rng.below(micros));
    let mut sleeps: Vec<_> =
        (0..1 + rng.below(20)).map(|_| Box::pin(sleep_until(from_now(rng, 5000)))).collect();
    let far = Instant::now() + Duration::from_secs(1 + rng.below(1 << 30));
    let mut never = pin!(sleep_until(far));
    for _ in 0..rng.below(40) {
        let place = rng.below(sleeps.len() as u64) as usize;
        let moved = match rng.below(4) {
            0 => Instant::now(),
            1 => far,
            _ => from_now(rng, 3000),
        };
        sleeps[place].as_mut().reset(moved);
        let waker = Waker::noop();
        let _ = never.as_mut().poll(&mut Context::from_waker(waker));
        if rng.below(2) == 0 {
            let polled = sleeps[place].as_mut().poll(&mut Context::from_waker(waker));
            assert!(polled.is_pending() || Instant::now() >= moved, "ready early");
        }
        if rng.below(8) == 0 {
            yield_now().await;
        }
    }
    for mut sleep in sleeps {
        if sleep.deadline() >= far || rng.below(3) == 0 {
            sleep.as_mut().reset(from_now(rng, 1000));
        }
        let due = sleep.deadline();
        sleep.await;
        assert!(Instant::now() >= due, "ready early");
    }
    assert!(never.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let mut ticks = interval(Duration::from_micros(1 + rng.below(1500)));
    for _ in 0..rng.below(4) {
        ticks.tick().await;
        match rng.below(3) {
            0 => ticks.reset_immediately(),
            1 => ticks.reset_after(Duration::from_micros(rng.below(1000))),
            _ => {}
        }
    }
}

/// More jobs than threads: some are aborted in the queue, some spawn and wait for a task, which goes on without them.
pub(crate) async fn burst_of_jobs(rng: &mut Rng, hub: &Hub) {
    let mut set = JoinSet::new();
    let count = 1 + rng.below(24);
    for _ in 0..count {
        let (mut inner, hub, value) = (rng.fork(), hub.clone(), Value::new());
        let abort = set.spawn_blocking(move || {
            value.check();
            match inner.below(6) {
                0 => {
                    let task = start(&mut inner, &hub);
                    drop(Handle::current().block_on(task));
                }
                1 => std::thread::sleep(Duration::from_micros(inner.below(500))),
                _ => hub.wake_some(&mut inner),
            }
        });
        if rng.below(8) == 0 {
            abort.abort();
        }
    }
    if rng.below(4) == 0 {
        return drop(set);
    }
    let mut joined = 0;
    while set.join_next().await.is_some() {
        joined += 1;
    }
    assert_eq!(joined, count, "each job is joined once");
}
