//! Bugs that runtimes of this kind really had, each as a test named by its ID.
//!
//! `w` wake-ups lost; `f` fairness; `p` panics, drops and handles, `matrix` those of P1 as a table; `s` shutdown; `tls`
//! thread-local destructors; `pool` the blocking pool; `io` descriptors and readiness; `limits` queues, knobs and what the
//! process shows of it all; `moves` descriptors that change queues; `time` timers; `broken` what fails outside and is said in the log. Each test runs under a watchdog: a hang is a failure after ten seconds, with a dump of the counters
//! of the runtimes that the test watches.

mod broken;
mod f;
mod io;
mod limits;
mod matrix;
mod moves;
mod p;
mod pool;
mod s;
mod time;
mod tls;
mod w;

use crossover_runtime::runtime::{Builder, Runtime, RuntimeMetrics};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// A test that takes longer hangs: ten seconds, times HAZARD_PATIENCE for runs that are slow on purpose.
fn limit() -> Duration {
    let patience = std::env::var("HAZARD_PATIENCE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(10) * patience.unwrap_or(1)
}

/// What a hanging test dumps.
#[derive(Clone, Default)]
pub(crate) struct Watch(pub(crate) Arc<Mutex<Vec<RuntimeMetrics>>>);

impl Watch {
    /// Adds a runtime to the dump.
    pub(crate) fn add(&self, runtime: &Runtime) {
        self.0.lock().unwrap().push(runtime.metrics());
    }

    /// A multi-thread runtime that is in the dump.
    pub(crate) fn multi(&self, workers: usize) -> Runtime {
        let runtime = Builder::new_multi_thread().worker_threads(workers).build().unwrap();
        self.add(&runtime);
        runtime
    }

    /// A current-thread runtime that is in the dump.
    pub(crate) fn current(&self) -> Runtime {
        let runtime = Builder::new_current_thread().build().unwrap();
        self.add(&runtime);
        runtime
    }

    /// One of each flavour.
    pub(crate) fn both(&self) -> [Runtime; 2] {
        [self.current(), self.multi(2)]
    }
}

/// Runs a test's body on a thread of its own and fails if it does not end in time.
#[track_caller]
pub(crate) fn watchdog(body: impl FnOnce(&Watch) + Send + 'static) {
    let watch = Watch::default();
    let inside = watch.clone();
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&inside)));
        let _ = sender.send(());
        if let Err(payload) = outcome {
            std::panic::resume_unwind(payload);
        }
    });
    if receiver.recv_timeout(limit()).is_err() {
        panic!("no end after {:?}: a hang\n{:#?}", limit(), watch.0.lock().unwrap());
    }
    if let Err(payload) = thread.join() {
        std::panic::resume_unwind(payload);
    }
}

/// Runs a scenario under the watchdog, on each flavour of the runtime.
#[track_caller]
pub(crate) fn on_both(scenario: fn(&Runtime)) {
    watchdog(move |watch| {
        for runtime in watch.both() {
            scenario(&runtime);
        }
    });
}

/// Runs a test's body in a process of its own, for tests that count threads and descriptors. `name` is the test's
/// full name, as in `s::s1_...`.
#[track_caller]
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    const MARK: &str = "HAZARD_ALONE";
    if std::env::var_os(MARK).is_some_and(|marked| marked == name) {
        body();
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = std::io::Read::read_to_string(&mut stdout, &mut text);
        let _ = sender.send(read.map(|_| text));
    });
    let Ok(text) = receiver.recv_timeout(2 * limit()) else {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("{name} alone: no end after {:?}", 2 * limit());
    };
    let text = text.unwrap();
    assert!(child.wait().unwrap().success(), "{name} alone failed:\n{text}");
    assert!(text.contains("1 passed"), "{name} is not the test's name:\n{text}");
}

/// Waits until `condition` holds; the watchdog limits it.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit(), "never: {what}");
        std::thread::yield_now();
    }
}
