//! The runtime with the crates that people use on it: real servers and real clients, over real sockets.
//!
//! `http1` and `http2`: hyper; `websocket`: async-tungstenite; `postgres`: tokio-postgres against a server of the
//! system's package; `tokio_io`: tokio's I/O traits and what `tokio::io` builds on them; `sync`: `tokio::sync`;
//! `futures_rs`: `futures` and `async-lock`. Each test runs on both schedulers; one that hangs is a failure after a minute.

mod futures_rs;
mod http;
mod http1;
mod http2;
mod postgres;
mod sync;
mod tokio_io;
mod websocket;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crossover_runtime::runtime::{Builder, RuntimeMetrics};

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test on a current-thread runtime and on one with two workers, each of which must then end with nothing left.
#[track_caller]
pub(crate) fn on_both<F: Future + 'static>(test: fn() -> F) {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let (sender, receiver) = channel::<Event>();
        std::thread::spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let runtime = builder.worker_threads(2).build().expect("a runtime");
                let _ = sender.send(Event::Started(runtime.metrics()));
                runtime.block_on(test());
                assert_eq!(runtime.shutdown_timeout(LIMIT), 0, "a blocking job is still running");
            }));
            let _ = sender.send(Event::Ended(outcome.map(drop)));
        });
        let mut metrics = None;
        loop {
            match receiver.recv_timeout(LIMIT) {
                Ok(Event::Started(of_runtime)) => metrics = Some(of_runtime),
                Ok(Event::Ended(Ok(()))) => break,
                Ok(Event::Ended(Err(payload))) => resume_unwind(payload),
                Err(RecvTimeoutError::Timeout) => panic!("no end after {LIMIT:?}: a hang\n{metrics:#?}"),
                Err(RecvTimeoutError::Disconnected) => unreachable!("the thread says how it ended"),
            }
        }
    }
}

enum Event {
    Started(RuntimeMetrics),
    Ended(Result<(), Box<dyn Any + Send>>),
}
