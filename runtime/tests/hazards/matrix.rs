//! P1 as a table: where a task or job panics × what becomes of its handle, on each flavour of the runtime.
//!
//! In each cell the runtime must survive, the first panic's payload must reach a handle that is kept, and every payload
//! and every value must be dropped exactly once, whoever ends up with it.

use crate::p::assert_alive;
use crate::{eventually, watchdog};
use crossover_runtime::runtime::Runtime;
use crossover_runtime::sync::channel::{self, Receiver};
use crossover_runtime::task::{JoinError, JoinHandle};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker, ready};

/// What becomes of the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    DroppedAtOnce,
    DroppedAfterTheEnd,
    AbortedAtOnce,
    /// The task has been polled, and waits.
    AbortedWhileWaiting,
    AbortedAfterTheEnd,
}

const FATES: [Fate; 6] = [
    Fate::Kept,
    Fate::DroppedAtOnce,
    Fate::DroppedAfterTheEnd,
    Fate::AbortedAtOnce,
    Fate::AbortedWhileWaiting,
    Fate::AbortedAfterTheEnd,
];

/// What is started: a job that has begun cannot be aborted, and is let go nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Task,
    Job,
}

/// Counts what was made and what was dropped.
#[derive(Clone, Default)]
struct Tally(Arc<[AtomicUsize; 2]>);

impl Tally {
    fn made(&self) -> usize {
        self.0[0].load(Ordering::SeqCst)
    }
    fn dropped(&self) -> usize {
        self.0[1].load(Ordering::SeqCst)
    }
    fn value(&self) -> Value {
        self.0[0].fetch_add(1, Ordering::SeqCst);
        Value(self.clone())
    }
    fn bomb(&self, text: &'static str) -> Bomb {
        Bomb { text, value: self.value() }
    }
    /// What a panic carries.
    fn payload(&self, text: &'static str) -> (&'static str, Value) {
        (text, self.value())
    }
}

/// Tells when it is dropped.
struct Value(Tally);

impl Drop for Value {
    fn drop(&mut self) {
        self.0.0[1].fetch_add(1, Ordering::SeqCst);
    }
}

/// Panics when it is dropped, with a payload that is counted, too.
struct Bomb {
    text: &'static str,
    value: Value,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic_any(self.value.0.payload(self.text));
        }
    }
}

/// The text of a panic's payload, which is dropped here.
fn text_of(error: JoinError) -> Option<&'static str> {
    let payload = error.try_into_panic().ok()?;
    let (text, value) = *payload.downcast::<(&'static str, Value)>().expect("our payload");
    drop(value);
    Some(text)
}

/// How a cell ended for the one who kept the handle.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Output,
    Cancelled,
    Panic(&'static str),
    /// The handle was dropped.
    Unseen,
}

fn end_of<T>(result: Result<T, JoinError>) -> End {
    match result {
        Ok(output) => {
            // It may be a bomb: whoever takes it out has to live with that.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(output))) {
                drop(payload);
            }
            End::Output
        }
        Err(error) if error.is_panic() => text_of(error).map_or(End::Cancelled, End::Panic),
        Err(_) => End::Cancelled,
    }
}

/// Plays one cell of the table: `make` starts the task, which opens its eyes (`polled`), waits for `go`, then goes wrong.
fn play<T: Send + 'static>(
    rt: &Runtime,
    kind: Kind,
    fate: Fate,
    make: impl FnOnce(mpsc::Sender<()>, Receiver<()>) -> JoinHandle<T>,
) -> End {
    let (polled, is_polled) = mpsc::channel();
    let (go, gone) = channel::bounded::<()>(1);
    let handle = make(polled, gone);
    // A current-thread runtime runs tasks only while somebody is in its `block_on`.
    let until = |condition: &dyn Fn() -> bool| {
        rt.block_on(async {
            while !condition() {
                crossover_runtime::task::yield_now().await;
            }
        });
    };
    match fate {
        Fate::DroppedAtOnce => {
            drop(handle);
            go.close();
            return End::Unseen;
        }
        Fate::AbortedAtOnce => handle.abort(),
        Fate::AbortedWhileWaiting => {
            until(&|| is_polled.try_recv().is_ok());
            handle.abort();
        }
        Fate::Kept | Fate::DroppedAfterTheEnd | Fate::AbortedAfterTheEnd => {
            go.close();
        }
    }
    if matches!(fate, Fate::DroppedAfterTheEnd | Fate::AbortedAfterTheEnd) {
        until(&|| handle.is_finished());
        if fate == Fate::DroppedAfterTheEnd {
            drop(handle);
            return End::Unseen;
        }
        handle.abort();
    }
    if kind == Kind::Job {
        go.close();
    }
    end_of(rt.block_on(handle))
}

/// All cells of one row. `make` starts the task; `expect` says how it ends, for those who wait for it.
fn row<T: Send + 'static>(
    kind: Kind,
    make: impl Fn(&Runtime, &Tally, mpsc::Sender<()>, Receiver<()>) -> JoinHandle<T> + Send + 'static,
    expect: impl Fn(Fate) -> &'static [End] + Send + 'static,
) {
    watchdog(move |watch| {
        for rt in watch.both() {
            for fate in FATES {
                for _ in 0..4 {
                    let tally = Tally::default();
                    let end = play(&rt, kind, fate, |polled, go| make(&rt, &tally, polled, go));
                    let expected = expect(fate);
                    if !matches!(fate, Fate::DroppedAtOnce | Fate::DroppedAfterTheEnd) {
                        assert!(expected.contains(&end), "{fate:?}: {end:?}, not one of {expected:?}");
                    }
                    assert_alive(&rt);
                    eventually("all are dropped", || tally.dropped() == tally.made());
                }
            }
        }
    });
}

/// `polled`, then waits for `go`.
async fn wait(polled: mpsc::Sender<()>, go: Receiver<()>) {
    let _ = polled.send(());
    let _ = go.recv().await;
}

#[test]
fn p1_matrix_panic_in_poll() {
    row(
        Kind::Task,
        |rt, tally, polled, go| {
            let (tally, inside) = (tally.clone(), tally.value());
            rt.spawn(async move {
                let _inside = inside;
                wait(polled, go).await;
                panic_any(tally.payload("poll"));
                #[allow(unreachable_code, reason = "gives the block its type")]
                ()
            })
        },
        |fate| match fate {
            Fate::AbortedAtOnce | Fate::AbortedWhileWaiting => &[End::Cancelled],
            _ => &[End::Panic("poll")],
        },
    );
}

/// Waits, and has a bomb that goes off when the future is dropped.
struct Armed {
    wait: Pin<Box<dyn Future<Output = ()> + Send>>,
    _bomb: Bomb,
    output: Option<Value>,
}

impl Future for Armed {
    type Output = Value;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Value> {
        ready!(self.wait.as_mut().poll(cx));
        Poll::Ready(self.output.take().expect("polled once"))
    }
}

#[test]
fn p1_matrix_panic_in_the_futures_drop() {
    row(
        Kind::Task,
        |rt, tally, polled, go| {
            let output = Some(tally.value());
            rt.spawn(Armed { wait: Box::pin(wait(polled, go)), _bomb: tally.bomb("drop"), output })
        },
        // Its drop is the only thing that panics, whatever makes it drop: so the handle says so.
        |_| &[End::Panic("drop")],
    );
}

#[test]
fn p1_matrix_panic_in_poll_and_in_the_futures_drop() {
    struct Both(Armed, Tally);
    impl Future for Both {
        type Output = Value;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Value> {
            ready!(self.0.wait.as_mut().poll(cx));
            panic_any(self.1.payload("poll"))
        }
    }
    row(
        Kind::Task,
        |rt, tally, polled, go| {
            let armed = Armed { wait: Box::pin(wait(polled, go)), _bomb: tally.bomb("drop"), output: None };
            rt.spawn(Both(armed, tally.clone()))
        },
        |fate| match fate {
            Fate::AbortedAtOnce | Fate::AbortedWhileWaiting => &[End::Panic("drop")],
            _ => &[End::Panic("poll")],
        },
    );
}

#[test]
fn p1_matrix_panic_in_the_outputs_drop() {
    row(
        Kind::Task,
        |rt, tally, polled, go| {
            let tally = tally.clone();
            rt.spawn(async move {
                wait(polled, go).await;
                tally.bomb("output")
            })
        },
        |fate| match fate {
            Fate::AbortedAtOnce | Fate::AbortedWhileWaiting => &[End::Cancelled],
            _ => &[End::Output],
        },
    );
}

#[test]
fn p1_matrix_panic_in_the_joiners_waker() {
    struct PanicWaker(Tally, AtomicUsize);
    impl Wake for PanicWaker {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Ordering::SeqCst);
            panic_any(self.0.payload("waker"));
        }
    }
    row(
        Kind::Task,
        |rt, tally, polled, go| {
            let tally = tally.clone();
            let waker = Waker::from(Arc::new(PanicWaker(tally.clone(), AtomicUsize::new(0))));
            let mut handle = rt.spawn(async move {
                wait(polled, go).await;
                tally.value()
            });
            // `go` is still closed to it, so this cannot be ready.
            assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
            handle
        },
        |fate| match fate {
            Fate::AbortedAtOnce | Fate::AbortedWhileWaiting => &[End::Cancelled],
            _ => &[End::Output],
        },
    );
}

#[test]
fn p1_matrix_panic_in_blocking_jobs() {
    row(
        Kind::Job,
        |rt, tally, polled, go| {
            let (tally, captured) = (tally.clone(), tally.value());
            rt.spawn_blocking(move || {
                let _captured = captured;
                let _ = polled.send(());
                let _ = go.recv_blocking();
                panic_any(tally.payload("job"));
                #[allow(unreachable_code, reason = "gives the block its type")]
                ()
            })
        },
        |fate| match fate {
            // Only a job that has not begun can be aborted, and these two may begin at any time.
            Fate::AbortedAtOnce | Fate::AbortedWhileWaiting => &[End::Cancelled, End::Panic("job")],
            _ => &[End::Panic("job")],
        },
    );
}

#[test]
fn p1_matrix_panic_in_the_drop_of_a_jobs_output() {
    row(
        Kind::Job,
        |rt, tally, polled, go| {
            let tally = tally.clone();
            rt.spawn_blocking(move || {
                let _ = polled.send(());
                let _ = go.recv_blocking();
                tally.bomb("output")
            })
        },
        |fate| match fate {
            Fate::AbortedAtOnce | Fate::AbortedWhileWaiting => &[End::Cancelled, End::Output],
            _ => &[End::Output],
        },
    );
}

/// A job that is aborted or refused before it begins: its closure is dropped, and that panics.
#[test]
fn p1_panic_in_the_drop_of_a_job_that_never_began() {
    watchdog(|watch| {
        for shutdown in [false, true] {
            let rt = crossover_runtime::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .max_blocking_threads(1)
                .build()
                .unwrap();
            watch.add(&rt);
            let tally = Tally::default();
            let (started, has_started) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let running = rt.spawn_blocking(move || {
                started.send(()).unwrap();
                let _ = released.recv();
            });
            has_started.recv().unwrap();
            let jobs: Vec<_> = (0..4)
                .map(|_| {
                    let bomb = tally.bomb("closure");
                    rt.spawn_blocking(move || drop(bomb))
                })
                .collect();
            let handle = rt.handle().clone();
            if shutdown {
                let ends = std::thread::spawn(move || drop(rt));
                for job in jobs {
                    assert!(handle.block_on(job).is_err(), "refused");
                }
                drop(release);
                ends.join().unwrap();
            } else {
                jobs.iter().for_each(JoinHandle::abort);
                drop(release);
                handle.block_on(running).unwrap();
                for job in jobs {
                    assert!(handle.block_on(job).is_err(), "aborted");
                }
                assert_alive(&rt);
            }
            eventually("all are dropped", || tally.dropped() == tally.made());
        }
    });
}
