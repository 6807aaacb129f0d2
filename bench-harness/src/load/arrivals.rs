//! The trial's end of an open load: starts the generator and takes one task after another as they arrive.
//!
//! A strategy that blocks calls [`Arrivals::wait`]; one that awaits takes [`Arrivals::watch`], whose pipe is one more thing
//! that its own runtime's driver watches, as a listener would be. Both give every task once, in order. A runtime that is
//! not ours watches the pipe in its own way: [`Pipe`].
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crossover_runtime::net::AsyncFd;

use super::Latencies;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 4096;

/// The tasks of one run under an open load.
#[derive(Debug)]
pub struct Arrivals {
    pipe: OwnedFd,
    /// `None` where a test plays the generator. Killed when this is dropped before the end.
    child: Option<Child>,
    /// What was read and not yet taken.
    unread: Vec<u8>,
    /// Bytes of `unread` that were taken.
    taken: usize,
    tasks: u32,
    latencies: Arc<Latencies>,
    /// How late each task arrived, in nanoseconds: as many as have arrived.
    lags: Vec<u32>,
}

/// What the generator tells of itself at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated {
    /// How late tasks arrived: 99th percentile.
    pub lag_ns: u64,
    /// CPU time that the generator has used.
    pub cpu_ns: u64,
}

impl Arrivals {
    /// Starts a generator of `tasks` tasks, `rate` per second, and waits until it is about to begin.
    ///
    /// # Errors
    /// When the process cannot be started, or ends at once.
    pub fn start(tasks: u32, rate: f64) -> Result<Self, String> {
        let parent = std::process::id();
        let mut child = Command::new("/proc/self/exe")
            .arg0("crossover")
            .args(["generator", &tasks.to_string(), &rate.to_string(), &parent.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the load generator: {error}"))?;
        let pipe = child.stdout.take().ok_or("the load generator has no stdout")?;
        Self::new(pipe.into(), Some(child), tasks, rate)
    }

    /// Takes what a generator writes into the other end of `pipe`.
    pub(super) fn new(pipe: OwnedFd, child: Option<Child>, tasks: u32, rate: f64) -> Result<Self, String> {
        let mut arrivals = Self {
            pipe,
            child,
            unread: Vec::new(),
            taken: 0,
            tasks,
            latencies: Arc::new(Latencies::open(tasks, rate)),
            lags: Vec::with_capacity(tasks as usize),
        };
        let first = arrivals.number()?;
        arrivals.latencies.set_first(first);
        Ok(arrivals)
    }

    /// What is to be told when a task is done.
    #[must_use]
    pub fn latencies(&self) -> Arc<Latencies> {
        Arc::clone(&self.latencies)
    }

    /// Waits for the next task: `None` after the last.
    ///
    /// # Errors
    /// When the generator ends too early.
    pub fn wait(&mut self) -> Result<Option<u32>, String> {
        while !self.is_over() {
            if let Some(task) = self.next_here() {
                return Ok(Some(task));
            }
            self.read()?;
        }
        Ok(None)
    }

    /// The same for async code on our runtime, with which it registers the pipe.
    ///
    /// # Errors
    /// When the pipe cannot be watched.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn watch(&mut self) -> Result<Watched<'_, AsyncFd<OwnedFd>>, String> {
        self.watch_on()
    }

    /// The same on the runtime whose pipe is a `P`.
    ///
    /// # Errors
    /// When the pipe cannot be watched.
    ///
    /// # Panics
    /// Outside of that runtime, where it can tell.
    pub fn watch_on<P: Pipe>(&mut self) -> Result<Watched<'_, P>, String> {
        let register = || {
            let pipe = self.pipe.try_clone()?;
            rustix::io::ioctl_fionbio(&pipe, true)?;
            P::register(pipe)
        };
        let pipe =
            register().map_err(|error: io::Error| format!("cannot watch the load generator: {error}"))?;
        Ok(Watched { pipe, arrivals: self })
    }

    /// After the last task: waits for the generator's end.
    ///
    /// # Errors
    /// When it ends without its last words.
    pub fn finish(mut self) -> Result<Generated, String> {
        let cpu_ns = self.number()?;
        if let Some(mut child) = self.child.take() {
            // It has said all that it had to say.
            let _ = child.wait();
        }
        self.lags.sort_unstable();
        let at = (self.lags.len() * 99).div_ceil(100).saturating_sub(1);
        Ok(Generated { lag_ns: self.lags.get(at).copied().unwrap_or(0).into(), cpu_ns })
    }

    /// Whether every task has arrived and was taken.
    fn is_over(&self) -> bool {
        self.lags.len() == self.tasks as usize
    }

    /// The next task, if it has arrived and was read.
    fn next_here(&mut self) -> Option<u32> {
        let task = u32::try_from(self.lags.len()).ok()?;
        let lag = self.bytes()?;
        self.lags.push(u32::from_le_bytes(lag));
        Some(task)
    }

    /// The next number of the stream that is no task.
    fn number(&mut self) -> Result<u64, String> {
        loop {
            if let Some(bytes) = self.bytes() {
                return Ok(u64::from_le_bytes(bytes));
            }
            self.read()?;
        }
    }

    /// The next `N` bytes that were read.
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = *self.unread[self.taken..].first_chunk()?;
        self.taken += N;
        Some(bytes)
    }

    /// Reads, and waits if there is nothing.
    fn read(&mut self) -> Result<(), String> {
        let mut chunk = [0; CHUNK_BYTES];
        let read = loop {
            match rustix::io::read(&self.pipe, &mut chunk) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other.map_err(io::Error::from),
            }
        };
        self.add(read, &chunk)
    }

    /// Keeps what a read has given.
    fn add(&mut self, read: io::Result<usize>, chunk: &[u8]) -> Result<(), String> {
        let come = || format!("{} of {} tasks had arrived", self.lags.len(), self.tasks);
        match read {
            Ok(0) => Err(format!("the load generator ended when {}", come())),
            Ok(read) => {
                self.unread.drain(..self.taken);
                self.taken = 0;
                self.unread.extend_from_slice(&chunk[..read]);
                Ok(())
            }
            Err(error) => Err(format!("the load generator cannot be read when {}: {error}", come())),
        }
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Gone already, or unwanted: the run has failed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The generator's pipe, as an async runtime watches it.
pub trait Pipe: Sized {
    /// Registers the pipe, which does not block, with the runtime that the caller runs on.
    ///
    /// # Errors
    /// When the runtime does not take it.
    fn register(pipe: OwnedFd) -> io::Result<Self>;

    /// Waits until there is something to read or the pipe has ended, and reads once.
    ///
    /// Cancel safety: a dropped future has read nothing.
    ///
    /// # Errors
    /// Those of the read.
    fn read(&mut self, chunk: &mut [u8]) -> impl Future<Output = io::Result<usize>>;
}

impl Pipe for AsyncFd<OwnedFd> {
    fn register(pipe: OwnedFd) -> io::Result<Self> {
        Self::new(pipe)
    }

    async fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.readable().await?;
            if let Ok(read) = ready.try_io(|pipe| Ok(rustix::io::read(pipe.as_fd(), &mut *chunk)?)) {
                return read;
            }
        }
    }
}

/// See [`Arrivals::watch`].
#[derive(Debug)]
pub struct Watched<'a, P> {
    pipe: P,
    arrivals: &'a mut Arrivals,
}

impl<P: Pipe> Watched<'_, P> {
    /// Waits for the next task: `None` after the last. Cancel safe: no task is lost.
    ///
    /// # Errors
    /// When the generator ends too early.
    pub async fn next(&mut self) -> Result<Option<u32>, String> {
        while !self.arrivals.is_over() {
            if let Some(task) = self.arrivals.next_here() {
                return Ok(Some(task));
            }
            let mut chunk = [0; CHUNK_BYTES];
            let read = self.pipe.read(&mut chunk).await;
            self.arrivals.add(read, &chunk)?;
        }
        Ok(None)
    }
}

impl<P> Drop for Watched<'_, P> {
    fn drop(&mut self) {
        // The mode belongs to the pipe, not to the descriptor that goes.
        let _ = rustix::io::ioctl_fionbio(&self.arrivals.pipe, false);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs::File;
    use std::thread::{self, JoinHandle};

    use super::super::generator::generate;
    use super::*;

    /// Arrivals whose generator is a thread of this process.
    pub(crate) fn from_thread(tasks: u32, rate: f64) -> (Arrivals, JoinHandle<io::Result<()>>) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let generator = thread::spawn(move || generate(File::from(writer), tasks, rate));
        (Arrivals::new(reader, None, tasks, rate).unwrap(), generator)
    }

    #[test]
    fn every_task_arrives_once_whether_waited_for_or_awaited() {
        let runtime = crossover_runtime::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for awaited in [false, true] {
            let (mut arrivals, generator) = from_thread(3000, 100_000.0);
            let mut seen = Vec::new();
            if awaited {
                runtime.block_on(async {
                    let mut watched = arrivals.watch().unwrap();
                    while let Some(task) = watched.next().await.unwrap() {
                        seen.push(task);
                    }
                });
            } else {
                while let Some(task) = arrivals.wait().unwrap() {
                    seen.push(task);
                }
            }
            assert!(seen.into_iter().eq(0..3000));
            let told = arrivals.finish().unwrap();
            assert!(told.cpu_ns > 0, "{told:?}");
            generator.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_generator_that_ends_early_is_an_error() {
        let runtime = crossover_runtime::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for bytes in [0, 4, 8, 10, 15, 17] {
            let (reader, writer) = rustix::pipe::pipe().unwrap();
            rustix::io::write(&writer, &vec![0; bytes]).unwrap();
            drop(writer);
            let Ok(mut arrivals) = Arrivals::new(reader, None, 2, 1.0) else {
                assert!(bytes < 8);
                continue;
            };
            let mut next = || match bytes % 2 {
                0 => arrivals.wait(),
                _ => runtime.block_on(async { arrivals.watch()?.next().await }),
            };
            let error = loop {
                match next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break arrivals.finish().unwrap_err(),
                    Err(error) => break error,
                }
            };
            let come = (bytes - 8) / 4;
            assert!(error.contains(&format!("ended when {come} of 2 tasks")), "{bytes}: {error}");
        }
    }

    #[test]
    fn a_slow_reader_does_not_lose_what_arrived_meanwhile() {
        let (mut arrivals, generator) = from_thread(100, 1e6);
        // The generator has written everything and gone before the first task is taken.
        generator.join().unwrap().unwrap();
        let mut count = 0;
        while let Some(task) = arrivals.wait().unwrap() {
            assert_eq!(task, count);
            arrivals.latencies().done(task, 0);
            count += 1;
        }
        assert_eq!(count, 100);
        assert!(arrivals.latencies().wall_ns() > 99_000);
        arrivals.finish().unwrap();
    }
}
