//! The options of a pool after they were checked, and what happens to its workers' output.
//!
//! [`Builder`](super::Builder) collects wishes; [`Options`] is what the pool reads: every number in it is in range,
//! every job in it is known. Nothing here changes once the pool is built.

use super::{codec::Encoded, job::Table};
use std::{fmt, num::NonZeroU64, sync::Arc, time::Duration};

/// The checked options.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// The most workers that live at a time, 1 to 1024.
    pub(super) workers: usize,
    /// So many are kept alive even while idle; at most `workers`.
    pub(super) min_workers: usize,
    /// From the start of a worker to its hello, initializer included. More than zero.
    pub(super) startup_timeout: Duration,
    /// A worker beyond `min_workers` that had no job for so long leaves. More than zero.
    pub(super) idle_timeout: Option<Duration>,
    /// A worker that has answered so many jobs leaves and is replaced.
    pub(super) max_jobs: Option<NonZeroU64>,
    /// What one worker may use, in bytes.
    pub(super) memory_limit: Option<u64>,
    /// Run by every worker before its first job.
    pub(super) initializer: Option<Initializer>,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
    /// The longest encoded argument tuple or result, in bytes.
    pub(super) max_frame_bytes: u32,
    /// How many calls may wait.
    pub(super) queue_limit: usize,
    /// So many deaths before hello within the window open the breaker. At least one.
    pub(super) breaker_deaths: usize,
    pub(super) breaker_window: Duration,
    /// The jobs that this pool can run.
    pub(super) table: Arc<Table>,
}

/// The job that every worker runs first.
#[derive(Clone, Debug)]
pub(super) struct Initializer {
    pub(super) number: u16,
    pub(super) name: &'static str,
    /// Encoded once, when the pool was built.
    pub(super) arguments: Encoded,
}

/// Where a worker's stdout or stderr goes. See [`Builder::stdout`](super::Builder::stdout) and
/// [`Builder::stderr`](super::Builder::stderr).
///
/// ```no_run
/// use crossover_runtime::process_pool::{ProcessPool, Stdio};
///
/// let pool = ProcessPool::builder()
///     .stdout(Stdio::Null)
///     .stderr(Stdio::lines(|pid, line| println!("worker {pid}: {line}")))
///     .build()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Stdio {
    /// To the same stream of this process.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// To a callback, line by line. Built with [`Stdio::lines`].
    Lines(LineCallback),
}

/// Gets a worker's process id and a line of its output, without the line's end. See [`Stdio::lines`].
///
/// ```
/// use crossover_runtime::process_pool::{LineCallback, Stdio};
/// use std::sync::Arc;
///
/// let log: LineCallback = Arc::new(|pid, line| println!("worker {pid}: {line}"));
/// let (stdout, stderr) = (Stdio::Lines(log.clone()), Stdio::Lines(log));
/// # drop((stdout, stderr));
/// ```
pub type LineCallback = Arc<dyn Fn(u32, &str) + Send + Sync>;

impl Stdio {
    /// Every line that a worker writes goes to `callback`, with the worker's process id. The line comes without its
    /// end; bytes that are not UTF-8 are replaced by U+FFFD; a line of more than 8 KiB comes in pieces, and what a
    /// worker wrote last comes also without an end.
    ///
    /// The callback runs on the pool's own thread, so it must be quick and must not wait for a call of the same pool:
    /// send the line somewhere. A panic in it is caught and the line lost.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, Stdio};
    /// use std::sync::mpsc;
    ///
    /// let (sender, lines) = mpsc::channel();
    /// let pool = ProcessPool::builder()
    ///     .stdout(Stdio::lines(move |pid, line| _ = sender.send((pid, line.to_owned()))))
    ///     .build()?;
    /// // … calls …
    /// for (pid, line) in lines.try_iter() {
    ///     println!("worker {pid} printed {line}");
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn lines(callback: impl Fn(u32, &str) + Send + Sync + 'static) -> Self {
        Self::Lines(Arc::new(callback))
    }
}

impl fmt::Debug for Stdio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inherit => "Inherit",
            Self::Null => "Null",
            Self::Lines(_) => "Lines(..)",
        })
    }
}
