//! Panics, drops and handles: the worker survives, the payload reaches the handle exactly once.

use crate::{eventually, watchdog};
use crossover_runtime::runtime::Runtime;
use crossover_runtime::task::{JoinError, JoinHandle, yield_now};
use crossover_runtime::{spawn, spawn_blocking};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Panics when dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::panic_any(self.0);
        }
    }
}

/// The text that the task panicked with.
fn panic_of(error: JoinError) -> &'static str {
    *error.into_panic().downcast::<&'static str>().unwrap()
}

/// Does the runtime still run tasks on all of its workers?
pub(crate) fn assert_alive(rt: &Runtime) {
    let handles: Vec<_> = (0..32).map(|n| rt.spawn(async move { n })).collect();
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(rt.block_on(handle).unwrap(), n);
    }
    eventually("no task is left", || rt.metrics().num_alive_tasks() == 0);
}

#[test]
fn p1_panic_in_poll_with_the_handle_kept_dropped_and_aborted() {
    watchdog(|watch| {
        for rt in watch.both() {
            let make = || async {
                yield_now().await;
                std::panic::panic_any("poll")
            };
            let kept: JoinHandle<()> = rt.spawn(make());
            assert_eq!(panic_of(rt.block_on(kept).unwrap_err()), "poll");
            drop::<JoinHandle<()>>(rt.spawn(make()));
            let aborted: JoinHandle<()> = rt.spawn(make());
            aborted.abort();
            let error = rt.block_on(aborted).unwrap_err();
            assert!(error.is_cancelled() || panic_of(error) == "poll");
            assert_alive(&rt);
        }
    });
}

#[test]
fn p1_panic_in_the_futures_drop() {
    watchdog(|watch| {
        for rt in watch.both() {
            // After its last poll.
            struct ReadyBomb(Option<Bomb>);
            impl Future for ReadyBomb {
                type Output = u32;
                fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
                    assert!(self.0.is_some());
                    Poll::Ready(1)
                }
            }
            let error = rt.block_on(rt.spawn(ReadyBomb(Some(Bomb("drop after ready"))))).unwrap_err();
            assert_eq!(panic_of(error), "drop after ready");
            // When aborted.
            let handle = rt.spawn(async {
                let _bomb = Bomb("drop by abort");
                pending::<()>().await;
            });
            handle.abort();
            assert!(rt.block_on(handle).is_err());
            let handle = rt.spawn(async {
                let _bomb = Bomb("drop by abort");
                pending::<()>().await;
            });
            rt.block_on(async {
                // It has been polled, so its bomb exists.
                for _ in 0..1000 {
                    yield_now().await;
                }
            });
            rt.block_on(rt.spawn(async {})).unwrap();
            handle.abort();
            let error = rt.block_on(handle).unwrap_err();
            assert!(error.is_cancelled() || panic_of(error) == "drop by abort");
            // Detached, and by shutdown.
            drop(rt.spawn(ReadyBomb(Some(Bomb("detached")))));
            assert_alive(&rt);
            drop(rt.spawn(async {
                let _bomb = Bomb("by shutdown");
                pending::<()>().await;
            }));
        }
    });
}

#[test]
fn p1_panic_in_the_outputs_drop() {
    watchdog(|watch| {
        for rt in watch.both() {
            // Nobody wants it: dropped by the worker.
            drop(rt.spawn(async {
                yield_now().await;
                Bomb("unwanted output")
            }));
            // Dropped with its handle.
            let handle = rt.spawn(async { Bomb("unread output") });
            rt.block_on(async {
                while !handle.is_finished() {
                    yield_now().await;
                }
            });
            drop(handle);
            assert_alive(&rt);
        }
    });
}

#[test]
fn p1_panic_in_the_joiners_waker() {
    watchdog(|watch| {
        struct PanicWaker(AtomicUsize);
        impl Wake for PanicWaker {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
                std::panic::panic_any("waker");
            }
        }
        let rt = watch.multi(2);
        let bad = Arc::new(PanicWaker(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&bad));
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let mut handle = rt.spawn(async move {
            receiver.recv().unwrap();
            9
        });
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        sender.send(()).unwrap();
        eventually("the waker was called", || bad.0.load(Ordering::SeqCst) == 1);
        assert_eq!(rt.block_on(handle).unwrap(), 9);
        assert_alive(&rt);
    });
}

#[test]
fn p1_panic_in_blocking_jobs() {
    watchdog(|watch| {
        for rt in watch.both() {
            rt.block_on(async {
                let job: JoinHandle<()> = spawn_blocking(|| std::panic::panic_any("job"));
                assert_eq!(panic_of(job.await.unwrap_err()), "job");
                drop(spawn_blocking(|| Bomb("unwanted output")));
                let unread = spawn_blocking(|| Bomb("unread output"));
                while !unread.is_finished() {
                    yield_now().await;
                }
                drop(unread);
                assert_eq!(spawn_blocking(|| 4).await.unwrap(), 4);
            });
            assert_alive(&rt);
        }
    });
}

/// The payload's own Drop panics, with no one to take the payload.
#[test]
fn p1_panic_with_a_payload_that_panics_when_dropped() {
    watchdog(|watch| {
        for rt in watch.both() {
            for _ in 0..4 {
                drop(rt.spawn(async { std::panic::panic_any(Bomb("payload")) }));
                drop(rt.spawn_blocking(|| std::panic::panic_any(Bomb("payload"))));
            }
            rt.block_on(async { spawn(async {}).await.unwrap() });
            assert_alive(&rt);
        }
    });
}

/// Every future and every output is dropped exactly once, whatever ends the task.
#[test]
fn p1_everything_is_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    watchdog(|watch| {
        for rt in watch.both() {
            let drops = Arc::new(AtomicUsize::new(0));
            let mut made = 0;
            for round in 0..200 {
                let (inside, output) = (Counted(Arc::clone(&drops)), Counted(Arc::clone(&drops)));
                made += 2;
                let handle = rt.spawn(async move {
                    let _inside = inside;
                    for _ in 0..round % 4 {
                        yield_now().await;
                    }
                    assert!(round % 5 != 0, "on purpose");
                    output
                });
                match round % 3 {
                    0 => drop(handle),
                    1 => handle.abort(),
                    _ => drop(rt.block_on(handle)),
                }
            }
            drop(rt);
            assert_eq!(drops.load(Ordering::SeqCst), made);
        }
    });
}

/// A handle is polled once and dropped while its task completes.
#[test]
fn p3_dropping_a_polled_handle_races_completion() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    watchdog(|watch| {
        let rt = watch.multi(2);
        for _ in 0..2000 {
            let count = Arc::new(Count(AtomicUsize::new(0)));
            let waker = Waker::from(Arc::clone(&count));
            let mut handle = rt.spawn(async { Arc::new(5) });
            let _ = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_ready();
            drop(handle);
            drop(waker);
            assert!(count.0.load(Ordering::SeqCst) <= 1);
        }
        assert_alive(&rt);
    });
}

/// A polled handle is dropped, aborted, polled again or its result taken, by one thread, while a worker completes the
/// task: in each outcome the waker is called at most once and released, and the output is dropped once.
#[test]
fn p3_everything_that_a_handle_can_do_races_completion() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    struct Output(Arc<AtomicUsize>);
    impl Drop for Output {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    watchdog(|watch| {
        let rt = watch.multi(1);
        for round in 0..3000_u32 {
            let (count, drops) = (Arc::new(Count(AtomicUsize::new(0))), Arc::new(AtomicUsize::new(0)));
            let output = Output(Arc::clone(&drops));
            let start = Arc::new(AtomicBool::new(false));
            let go = Arc::clone(&start);
            let mut handle = rt.spawn(async move {
                while !go.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                output
            });
            let waker = Waker::from(Arc::clone(&count));
            let mut cx = Context::from_waker(&waker);
            if round % 8 < 6 {
                assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
            }
            start.store(true, Ordering::Relaxed);
            for _ in 0..round % 64 {
                std::hint::spin_loop();
            }
            match round % 6 {
                0 => drop(handle),
                1 => {
                    handle.abort();
                    drop(handle);
                }
                2 => {
                    let other = Waker::from(Arc::new(Count(AtomicUsize::new(0))));
                    let _ = Pin::new(&mut handle).poll(&mut Context::from_waker(&other)).is_ready();
                    drop(handle);
                }
                3 => {
                    let abort = handle.abort_handle();
                    drop(handle);
                    abort.abort();
                }
                4 => {
                    handle.abort();
                    // It had not begun, or it keeps its output.
                    match rt.block_on(&mut handle) {
                        Ok(output) => assert_eq!(output.0.load(Ordering::SeqCst), 0),
                        Err(error) => assert!(error.is_cancelled()),
                    }
                }
                _ => drop(rt.block_on(handle)),
            }
            eventually("the output is dropped", || drops.load(Ordering::SeqCst) == 1);
            eventually("the task is gone", || rt.metrics().num_alive_tasks() == 0);
            assert!(count.0.load(Ordering::SeqCst) <= 1);
            drop(waker);
            eventually("the waker is released", || Arc::strong_count(&count) == 1);
        }
    });
}

#[test]
fn p4_a_large_future_on_a_small_stack() {
    watchdog(|watch| {
        let rt = crossover_runtime::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_stack_size(128 * 1024)
            .build()
            .unwrap();
        watch.add(&rt);
        // Making and moving it needs a large stack; running and dropping it must not.
        let maker = std::thread::Builder::new().stack_size(64 << 20).spawn(move || {
            let large = [1_u8; 1 << 20];
            let sum = rt.spawn(async move {
                yield_now().await;
                large.iter().map(|&byte| u32::from(byte)).sum::<u32>()
            });
            assert_eq!(rt.block_on(sum).unwrap(), 1 << 20);
            let large = [1_u8; 1 << 20];
            let aborted = rt.spawn(async move {
                pending::<()>().await;
                large[0]
            });
            aborted.abort();
            assert!(rt.block_on(aborted).unwrap_err().is_cancelled());
        });
        maker.unwrap().join().unwrap();
    });
}

/// A chain of finished tasks, each with the handle of the next one in its output, is dropped at its head; and one of
/// waiting tasks, each with the next one's handle in its future, is ended. Neither may use up the stack by recursion.
#[test]
fn p4_a_chain_of_100_000_tasks_is_dropped_on_a_small_stack() {
    const LINKS: usize = 100_000;
    struct Link(
        #[expect(dead_code, reason = "it is there to be dropped")] Option<JoinHandle<Link>>,
        Arc<AtomicUsize>,
    );
    impl Drop for Link {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    watchdog(|watch| {
        let multi = crossover_runtime::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_stack_size(128 * 1024)
            .build()
            .unwrap();
        watch.add(&multi);
        for rt in [watch.current(), multi] {
            let dropper = std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
                // Finished tasks, dropped by this thread; then by a worker, in the output of a task that nobody joins.
                for detached in [false, true] {
                    let drops = Arc::new(AtomicUsize::new(0));
                    let mut handle = None;
                    for _ in 0..LINKS {
                        let link = Link(handle.take(), Arc::clone(&drops));
                        handle = Some(rt.spawn(async move { link }));
                    }
                    let handle = handle.unwrap();
                    rt.block_on(async {
                        while !handle.is_finished() || rt.metrics().num_alive_tasks() > 0 {
                            yield_now().await;
                        }
                    });
                    if detached {
                        rt.block_on(async {
                            drop(rt.spawn(async move { drop(detach(handle)) }).await);
                            // A current-thread runtime runs it only in here.
                            while rt.metrics().num_alive_tasks() > 0 {
                                yield_now().await;
                            }
                        });
                    } else {
                        drop(handle);
                    }
                    eventually("the whole chain is dropped", || drops.load(Ordering::Relaxed) == LINKS);
                }
                // Waiting tasks, ended by the runtime's end, each of which drops the next one's handle.
                let drops = Arc::new(AtomicUsize::new(0));
                let mut handle = None;
                for _ in 0..LINKS {
                    let link = Link(handle.take(), Arc::clone(&drops));
                    handle = Some(rt.spawn(async move {
                        yield_now().await;
                        pending::<()>().await;
                        link
                    }));
                }
                drop(handle);
                drop(rt);
                assert_eq!(drops.load(Ordering::Relaxed), LINKS);
            });
            dropper.unwrap().join().unwrap();
        }
    });
    /// A task whose output is dropped by the worker that ends it.
    fn detach<T: Send + 'static>(value: T) -> JoinHandle<T> {
        spawn(async move {
            yield_now().await;
            value
        })
    }
}

/// Which of the marks each public type has, for payloads that have few of them. `yes` and `no` are settled when this is
/// compiled: a type that gains or loses a mark makes it an error.
#[test]
fn p5_public_types_have_the_right_marks() {
    use crossover_runtime::net::{
        AsyncFd, TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream, tcp, unix,
    };
    use crossover_runtime::runtime::{Builder, EnterGuard, Handle, RuntimeMetrics, TryCurrentError};
    use crossover_runtime::task::{AbortHandle, Id, JoinSet, Unconstrained};
    use crossover_runtime::time::{Instant, Interval, Sleep, Timeout};
    use std::cell::Cell;
    use std::marker::PhantomPinned;
    use std::panic::{RefUnwindSafe, UnwindSafe};

    macro_rules! marks {
        ($($type:ty: $send:ident $sync:ident $unpin:ident $unwind:ident;)*) => {$(
            marks!(@ $send $type, Send);
            marks!(@ $sync $type, Sync);
            marks!(@ $unpin $type, Unpin);
            marks!(@ $unwind $type, UnwindSafe + RefUnwindSafe);
        )*};
        (@ yes $type:ty, $($mark:tt)*) => {{
            fn has<T: ?Sized + $($mark)*>() {}
            has::<$type>();
        }};
        // An accident of the inside.
        (@ any $type:ty, $($mark:tt)*) => {};
        // Two implementations would apply to a type with the mark, and then the call is ambiguous.
        (@ no $type:ty, $($mark:tt)*) => {{
            trait AmbiguousIfMarked<A> {
                fn call() {}
            }
            impl<T: ?Sized> AmbiguousIfMarked<()> for T {}
            impl<T: ?Sized + $($mark)*> AmbiguousIfMarked<u8> for T {}
            <$type as AmbiguousIfMarked<_>>::call();
        }};
    }
    // Not Sync, but Send.
    type Payload = Cell<u8>;
    type Fd = std::os::fd::OwnedFd;
    marks! {
        //                              Send Sync Unpin UnwindSafe
        Runtime:                        yes yes yes yes;
        Handle:                         yes yes yes yes;
        EnterGuard<'static>:            no  yes yes any;
        Builder:                        yes yes yes any;
        RuntimeMetrics:                 yes yes yes any;
        TryCurrentError:                yes yes yes any;
        JoinHandle<Payload>:            yes yes yes yes;
        JoinHandle<PhantomPinned>:      yes yes yes yes;
        JoinHandle<std::rc::Rc<()>>:    no  no  yes yes;
        JoinSet<Payload>:               yes yes yes any;
        AbortHandle:                    yes yes yes yes;
        JoinError:                      yes yes yes any;
        Id:                             yes yes yes any;
        Unconstrained<std::future::Ready<Payload>>: yes no yes any;
        Unconstrained<PhantomPinned>:   yes yes no  any;
        Sleep:                          yes yes no  any;
        Timeout<std::future::Ready<()>>: yes yes no any;
        Interval:                       yes yes yes any;
        Instant:                        yes yes yes any;
        TcpListener:                    yes yes yes any;
        TcpStream:                      yes yes yes any;
        UdpSocket:                      yes yes yes any;
        UnixListener:                   yes yes yes any;
        UnixStream:                     yes yes yes any;
        AsyncFd<Fd>:                    yes yes yes any;
        tcp::OwnedReadHalf:             yes yes yes any;
        tcp::OwnedWriteHalf:            yes yes yes any;
        unix::OwnedReadHalf:            yes yes yes any;
        unix::OwnedWriteHalf:           yes yes yes any;
    }
}
