//! A library that blocks, made async: its calls go to the blocking pool, at most so many at a time.
//!
//! ```text
//! cargo run -p crossover-runtime --example blocking_library -- Cargo.toml src/*.rs     # lines per file
//! cargo run -p crossover-runtime --example blocking_library -- --check
//! ```
//!
//! The pool has many threads (512 unless set), and that is right for jobs that wait. What they wait for often bears less: a
//! database with 20 connections, a disk, an interpreter with a lock. Such a bound belongs to the wrapper, not to the
//! pool, which others use, too.

use crossover_runtime::runtime::Runtime;
use crossover_runtime::sync::Semaphore;
use crossover_runtime::task::{JoinError, JoinSet};
use crossover_runtime::{spawn, spawn_blocking};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

const USAGE: &str = "usage: blocking_library FILE... | blocking_library --check";

/// Stands for somebody's library: it blocks, and knows nothing of async.
mod library {
    use std::fs::File;
    use std::io::{self, BufRead, BufReader};
    use std::path::Path;

    pub(super) fn count_lines(path: &Path) -> io::Result<u64> {
        let mut reader = BufReader::new(File::open(path)?);
        let mut lines = 0;
        // Not `lines()`: the file may be no text.
        while reader.skip_until(b'\n')? > 0 {
            lines += 1;
        }
        Ok(lines)
    }
}

/// The library for async code. A clone shares the bound.
#[derive(Clone)]
struct AsyncLibrary {
    permits: Arc<Semaphore>,
}

impl AsyncLibrary {
    fn new(at_most: usize) -> AsyncLibrary {
        AsyncLibrary { permits: Arc::new(Semaphore::new(at_most)) }
    }

    /// As [`library::count_lines`].
    ///
    /// # Cancel safety
    /// Giving it up before its turn costs nothing. A count that has begun runs to its end, unheard.
    async fn count_lines(&self, path: PathBuf) -> io::Result<u64> {
        self.run(move || library::count_lines(&path)).await?
    }

    /// Runs `job` on the blocking pool once there is a permit for it.
    async fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Result<R, JoinError> {
        let permit = self.permits.acquire_arc().await;
        spawn_blocking(move || {
            // The job owns the permit, not this future: when the caller gives up, by a timeout, say, the thread goes on,
            // and the library bears no more for that.
            let _permit = permit;
            job()
        })
        .await
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("--check") if arguments.len() == 1 => check(),
        Some(first) if !first.starts_with('-') => count(arguments),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("blocking_library: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the lines of each file, in the order of the arguments.
fn count(paths: Vec<String>) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let library = AsyncLibrary::new(4);
        // All are under way from here on, four of them on threads.
        let counts: Vec<_> = paths
            .into_iter()
            .map(|path| {
                let library = library.clone();
                let count = spawn({
                    let path = PathBuf::from(&path);
                    async move { library.count_lines(path).await }
                });
                (path, count)
            })
            .collect();
        let (mut total, mut failed) = (0, 0);
        for (path, count) in counts {
            match count.await? {
                Ok(lines) => {
                    total += lines;
                    println!("{lines:8} {path}");
                }
                Err(error) => {
                    failed += 1;
                    eprintln!("{path}: {error}");
                }
            }
        }
        println!("{total:8} in all");
        if failed == 0 {
            Ok(())
        } else {
            Err(io::Error::other(format!("{failed} of them could not be read")))
        }
    })
}

/// Forty jobs with a bound of four: each waits until four are there, and none ever sees a fifth.
fn check() -> io::Result<()> {
    const BOUND: usize = 4;
    Runtime::new()?.block_on(async {
        let library = AsyncLibrary::new(BOUND);
        let meeting = Arc::new(Barrier::new(BOUND));
        let (present, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut jobs = JoinSet::new();
        for _ in 0..10 * BOUND {
            let (library, meeting) = (library.clone(), meeting.clone());
            let (present, most) = (present.clone(), most.clone());
            jobs.spawn(async move {
                let job = move || {
                    most.fetch_max(present.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    meeting.wait();
                    present.fetch_sub(1, Ordering::SeqCst);
                };
                library.run(job).await
            });
        }
        while let Some(job) = jobs.join_next().await {
            job??;
        }
        let most = most.load(Ordering::SeqCst);
        let lines =
            library.count_lines(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))).await?;
        let missing = library.count_lines(PathBuf::from("/no/such/file")).await;
        if most != BOUND || lines == 0 || missing.is_ok() {
            return Err(io::Error::other(format!("{most} at once, {lines} lines, {missing:?}")));
        }
        println!("40 jobs, {most} at once; errors are passed on: ok");
        Ok(())
    })
}
