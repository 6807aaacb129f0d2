//! A long mixed run: runtimes of all shapes are made, driven by actors that do everything at random, and ended in every
//! way, one after the other. After each the books must balance; over all of them memory, descriptors and threads must
//! not grow.
//!
//! `soak [seconds] [seed]`: 600 seconds unless said. The seed decides what the actors do, not how the threads run, so the
//! same seed makes a failure likely again, not certain. `scripts/soak.sh` builds and starts it.
//!
//! Exit code 0: all held. A panic in this program itself, a hang (nothing done for 30 s) or growth ends it with another.

use crossover_runtime::net::{TcpListener, TcpStream, UnixStream};
use crossover_runtime::runtime::{Builder, Handle, Runtime, RuntimeMetrics};
use crossover_runtime::sync::channel;
use crossover_runtime::task::{JoinHandle, JoinSet, consume_budget, yield_now};
use crossover_runtime::time::{sleep, timeout};
use crossover_runtime::{spawn, spawn_blocking};
use futures::{AsyncReadExt, AsyncWriteExt};
use std::future::{pending, poll_fn};
use std::panic::panic_any;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Things done so far; the watchdog looks at it.
static DONE: AtomicU64 = AtomicU64::new(0);
/// Values that are alive.
static ALIVE: AtomicI64 = AtomicI64::new(0);
/// The runtime of this round, for the watchdog's dump.
static CURRENT: Mutex<Option<RuntimeMetrics>> = Mutex::new(None);

/// xorshift64*: every actor has its own.
#[derive(Clone)]
struct Rng(u64);

impl Rng {
    fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) * bound) >> 32
    }
    fn fork(&mut self) -> Rng {
        Rng::new((self.below(1 << 32) << 16) | self.below(1 << 16))
    }
}

/// A value that knows whether it has been dropped before.
struct Value(Box<u64>);

const LIVES: u64 = 0x1122_3344_5566_7788;

impl Value {
    fn new() -> Value {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Value(Box::new(LIVES))
    }
    fn check(&self) {
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
struct OnPurpose(#[expect(dead_code, reason = "it counts as alive until the payload is dropped")] Value);

/// Where tasks leave wakers, for anybody to call at any time: most of them have long been in vain.
#[derive(Clone, Default)]
struct Hub(Arc<Mutex<Vec<Waker>>>);

impl Hub {
    fn leave(&self, rng: &mut Rng, waker: &Waker) {
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
    fn wake_some(&self, rng: &mut Rng) {
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
async fn be_woken(rng: &mut Rng, hub: &Hub) {
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

/// A child of an actor: some steps, and one of several ends.
async fn child(mut rng: Rng, hub: Hub, inside: Value) -> Value {
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

fn start(rng: &mut Rng, hub: &Hub) -> JoinHandle<Value> {
    spawn(child(rng.fork(), hub.clone(), Value::new()))
}

/// What an actor does with the handle of a child.
async fn handle_a_child(rng: &mut Rng, hub: &Hub) {
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

async fn offload(rng: &mut Rng, hub: &Hub) {
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

/// A few bytes through a pair of sockets, until the end or given up in the middle. Errors come with the runtime's end.
async fn talk(rng: &mut Rng) -> std::io::Result<()> {
    let size = 1 + rng.below(20_000) as usize;
    let give_up = Duration::from_micros(rng.below(3000));
    if rng.below(2) == 0 {
        let (mut near, mut far) = UnixStream::pair()?;
        let echo = spawn(async move {
            let mut buffer = [0; 1000];
            while let Ok(count @ 1..) = far.read(&mut buffer).await {
                far.write_all(&buffer[..count]).await?;
            }
            std::io::Result::Ok(())
        });
        let mut received = vec![0; size];
        let sent = vec![7; size];
        // Ours, not that of `AsyncReadExt`.
        let (mut read, mut write) = UnixStream::split(&mut near);
        let both = futures::future::try_join(write.write_all(&sent), read.read_exact(&mut received));
        let outcome = if rng.below(2) == 0 { Ok(both.await) } else { timeout(give_up, both).await };
        if outcome.is_ok_and(|done| done.is_ok()) {
            assert_eq!(received, sent);
        }
        drop(near);
        let _ = echo.await;
    } else {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let (mut server, _) = listener.accept().await?;
        client.write_all(&vec![3; size]).await?;
        drop(client);
        let mut all = Vec::new();
        match timeout(give_up, server.read_to_end(&mut all)).await {
            Ok(read) => assert_eq!(read?, size),
            Err(_) => assert!(all.len() <= size),
        }
    }
    Ok(())
}

async fn pass_messages(rng: &mut Rng) {
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

async fn actor(mut rng: Rng, hub: Hub, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        DONE.fetch_add(1, Ordering::Relaxed);
        match rng.below(16) {
            0 => be_woken(&mut rng, &hub).await,
            1 => pass_messages(&mut rng).await,
            2 => drop(talk(&mut rng).await),
            3 => offload(&mut rng, &hub).await,
            4 => sleep(Duration::from_micros(rng.below(3000))).await,
            5 => {
                let mut set = JoinSet::new();
                for _ in 0..rng.below(20) {
                    set.spawn(child(rng.fork(), hub.clone(), Value::new()));
                }
                for _ in 0..rng.below(20) {
                    drop(set.join_next().await);
                }
            }
            6 => drop(spawn(pending::<()>())),
            7 => hub.wake_some(&mut rng),
            8 => yield_now().await,
            _ => handle_a_child(&mut rng, &hub).await,
        }
    }
}

fn build(rng: &mut Rng) -> Runtime {
    let mut builder = match rng.below(4) {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder
        .worker_threads(1 + rng.below(4) as usize)
        .max_blocking_threads(1 + rng.below(8) as usize)
        .thread_keep_alive(Duration::from_micros(rng.below(3000)))
        .event_interval(1 + rng.below(61) as u32)
        .global_queue_interval(1 + rng.below(61) as u32);
    builder.build().expect("a runtime")
}

/// One runtime from its making to its end.
fn round(rng: &mut Rng) {
    let rt = build(rng);
    let metrics = rt.metrics();
    *CURRENT.lock().unwrap() = Some(metrics.clone());
    let (hub, stop) = (Hub::default(), Arc::new(AtomicBool::new(false)));
    let actors: Vec<_> =
        (0..1 + rng.below(24)).map(|_| rt.spawn(actor(rng.fork(), hub.clone(), Arc::clone(&stop)))).collect();
    let time = Duration::from_millis(rng.below(300));
    rt.block_on(async { sleep(time).await });
    // In half of the rounds the end comes when nobody is in the middle of anything of ours.
    if rng.below(2) == 0 {
        stop.store(true, Ordering::Relaxed);
        rt.block_on(async {
            for actor in actors {
                if let Err(error) = actor.await {
                    assert!(error.is_cancelled(), "{error}");
                }
            }
        });
    }
    match rng.below(4) {
        0 => assert_eq!(rt.shutdown_timeout(Duration::from_secs(60)), 0),
        1 => rt.shutdown_background(),
        _ => drop(rt),
    }
    stop.store(true, Ordering::Relaxed);
    until("no task is alive", || metrics.num_alive_tasks() == 0);
    until("the queues are empty", || {
        let workers = 0..metrics.num_workers();
        metrics.global_queue_depth() == 0
            && metrics.blocking_queue_depth() == 0
            && workers.map(|worker| metrics.worker_local_queue_depth(worker)).sum::<usize>() == 0
    });
    until("spawned = completed + cancelled", || {
        metrics.spawned_tasks_count() == metrics.completed_tasks_count() + metrics.cancelled_tasks_count()
    });
    // Wakers keep their tasks' memory, and may still be called.
    hub.wake_some(rng);
    hub.0.lock().unwrap().clear();
    until("all values are dropped", || ALIVE.load(Ordering::Relaxed) == 0);
    *CURRENT.lock().unwrap() = None;
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > Duration::from_secs(20) {
            let metrics = CURRENT.lock().unwrap();
            panic!("never: {what}; {} values alive; {metrics:#?}", ALIVE.load(Ordering::Relaxed));
        }
        std::thread::yield_now();
    }
}

/// (resident KiB, descriptors, threads) of this process.
fn footprint() -> (u64, usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let resident = line.trim().trim_end_matches(" kB").parse().expect("a number");
    let entries = |path| std::fs::read_dir(path).expect("/proc").count();
    (resident, entries("/proc/self/fd"), entries("/proc/self/task"))
}

fn watch_for_hangs() {
    let mut last = (u64::MAX, Instant::now());
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let done = DONE.load(Ordering::Relaxed);
        if done != last.0 {
            last = (done, Instant::now());
        } else if last.1.elapsed() > Duration::from_secs(30) {
            eprintln!("soak: nothing done for 30 s: a hang\n{:#?}", CURRENT.lock().unwrap());
            std::process::exit(2);
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_millis() as u64);
    let (Ok(seconds), Ok(seed)) = (number(600), number(now)) else {
        eprintln!("usage: soak [seconds] [seed]");
        return ExitCode::from(64);
    };
    println!("soak: {seconds} s, seed {seed}");
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<OnPurpose>() {
            report(info);
            // Also one in a task, which would only end that task.
            std::process::exit(1);
        }
    }));
    std::thread::spawn(watch_for_hangs);

    let (begin, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut rng = Rng::new(seed);
    let (mut rounds, mut next_report) = (0_u64, limit / 10);
    // Growth is measured from a tenth of the time on: by then the allocator has what it needs.
    let mut base = None;
    while begin.elapsed() < limit {
        round(&mut rng);
        rounds += 1;
        DONE.fetch_add(1, Ordering::Relaxed);
        if begin.elapsed() >= next_report {
            next_report += limit / 10;
            let now = footprint();
            base.get_or_insert(now);
            let done = DONE.load(Ordering::Relaxed);
            println!("soak: {:?}: {rounds} runtimes, {done} deeds, {now:?}", begin.elapsed());
        }
    }
    let first = base.unwrap_or_else(footprint);
    until("threads and descriptors are as many as before", || {
        let now = footprint();
        now.1 <= first.1 && now.2 <= 2
    });
    let last = footprint();
    println!("soak: {rounds} runtimes; (KiB, descriptors, threads) from {first:?} to {last:?}");
    // One burst that needs more than all before it is no leak; steady growth over the rounds is.
    let allowed = first.0 + first.0 / 2 + 32 * 1024;
    if last.0 > allowed {
        eprintln!("soak: memory has grown from {} to {} KiB (seed {seed})", first.0, last.0);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
