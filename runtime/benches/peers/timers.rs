//! Timers: timeouts that are not needed, and a hundred thousand sleeps at once.
//!
//! `timeout_*`: a task puts a one-second timeout around a future that is ready at once (as tokio's
//! `benches/time_timeout.rs` does), or after one turn through the scheduler. In `timeout_pending` the future itself asks for
//! this turn, before the timeout comes to its timer; in `timeout_armed` the task is woken after that: then a timer has been
//! registered in any case, and must go again. `sleeps_100k` counts CPU time of the whole process, not wall time: while tasks sleep, nothing should burn.

use std::fmt::Debug;
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::contestants::{Ours, Runtime, SmolIo, Spawn, Tokio, Who};
use crate::harness::{Case, Countdown, Entry, Setup, Trial, Unit};
use crate::machine::cpu_time;

/// As `everyone!`, where smol needs its reactor.
macro_rules! with_timers {
    ($prepare:ident $(, $argument:expr)*) => {
        vec![
            Entry::new(Who::Ours, move |setup| $prepare::<Ours>(setup $(, $argument)*)),
            Entry::new(Who::Tokio, move |setup| $prepare::<Tokio>(setup $(, $argument)*)),
            Entry::new(Who::Smol, move |setup| $prepare::<SmolIo>(setup $(, $argument)*)),
        ]
    };
}

const LIMIT: Duration = Duration::from_secs(1);

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("timeout_ready", with_timers!(timeout_ready)),
        Case::new("timeout_pending", with_timers!(timeout_pending)),
        Case::new("timeout_armed", with_timers!(timeout_armed)),
        Case::of_rows(vec![("sleeps_100k", Unit::CpuNanoseconds)], with_timers!(sleeps)).at_most(12),
    ]
}

/// A contestant with timers.
pub trait Timers: Runtime {
    /// That the time was up first.
    type Late: Debug;

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send;

    fn timeout<F: Future + Send>(
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Self::Late>> + Send
    where
        F::Output: Send;
}

impl Timers for Ours {
    type Late = crossover_runtime::time::error::Elapsed;

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        crossover_runtime::time::sleep(time)
    }

    fn timeout<F: Future + Send>(
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Self::Late>> + Send
    where
        F::Output: Send,
    {
        crossover_runtime::time::timeout(limit, future)
    }
}

impl Timers for Tokio {
    type Late = tokio::time::error::Elapsed;

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn timeout<F: Future + Send>(
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Self::Late>> + Send
    where
        F::Output: Send,
    {
        tokio::time::timeout(limit, future)
    }
}

impl Timers for SmolIo {
    type Late = ();

    async fn sleep(time: Duration) {
        async_io::Timer::after(time).await;
    }

    fn timeout<F: Future + Send>(
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Self::Late>> + Send
    where
        F::Output: Send,
    {
        let up = async move {
            async_io::Timer::after(limit).await;
            Err(())
        };
        futures_lite::future::or(async { Ok(future.await) }, up)
    }
}

fn timeout_ready<R: Timers>(setup: &Setup) -> Trial {
    many::<R, _>(setup, || R::timeout(LIMIT, async { black_box(1) }))
}

fn timeout_pending<R: Timers>(setup: &Setup) -> Trial {
    many::<R, _>(setup, || R::timeout(LIMIT, second_poll(|cx| cx.waker().wake_by_ref())))
}

fn timeout_armed<R: Timers>(setup: &Setup) -> Trial {
    many::<R, _>(setup, || async {
        let mut timeout = pin!(R::timeout(LIMIT, second_poll(|_| ())));
        poll_fn(|cx| {
            let polled = timeout.as_mut().poll(cx);
            if polled.is_pending() {
                cx.waker().wake_by_ref();
            }
            polled
        })
        .await
    })
}

/// Ready at the second poll; `at_first` is done in the first.
async fn second_poll(at_first: impl Fn(&mut Context<'_>)) -> usize {
    let mut first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut first) {
            at_first(cx);
            Poll::Pending
        } else {
            Poll::Ready(black_box(1))
        }
    })
    .await
}

/// A task awaits one timeout after the other.
fn many<R: Timers, F>(setup: &Setup, timeout: impl Fn() -> F + Copy + Send + 'static) -> Trial
where
    F: Future<Output = Result<usize, R::Late>> + Send,
{
    let (rt, calls) = (R::start(setup.workers), setup.size(10_000));
    Trial::wall(calls, move || {
        let task = rt.spawn(async move {
            let mut done = 0;
            for _ in 0..calls {
                done += timeout().await.expect("nothing takes a second");
            }
            done
        });
        assert_eq!(rt.block_on(task), calls);
    })
}

/// Tasks that sleep at the same time; their ends are spread over 50 ms.
fn sleeps<R: Timers>(setup: &Setup) -> Trial {
    const SHORTEST: Duration = Duration::from_millis(200);
    let (rt, tasks) = (R::start(setup.workers), setup.size(100_000));
    let (countdown, over) = Countdown::new();
    Trial::counted(tasks, move || {
        let before = cpu_time();
        countdown.set(tasks);
        let (inside, countdown) = (rt.inside(), countdown.clone());
        let spawner = rt.spawn(async move {
            for i in 0..tasks {
                let countdown = countdown.clone();
                let nap = SHORTEST + Duration::from_micros(i as u64 % 50_000);
                inside.detach(async move {
                    R::sleep(nap).await;
                    countdown.count();
                });
            }
        });
        over.recv().expect("the last sleeper says so");
        rt.block_on(spawner);
        vec![(cpu_time() - before).as_nanos() as f64]
    })
}
