//! What an experiment needs of a runtime: so that claims about tokio are put to the test by the same code, word for word, on tokio
//! and on ours.
//!
//! Neither is tuned, and nothing lies between the experiment and what a user of either would call: every function here is
//! one call of the runtime's own, and the handles and timers are its own types, for their size counts where memory is measured.
use std::fs::Metadata;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crossover_runtime::{fs, net, runtime, task, time};

/// A runtime with what experiments use of it. All but the builders and [`block_on`](Self::block_on) must be called inside of it.
pub(crate) trait Engine: 'static {
    /// What it is called.
    const NAME: &'static str;
    /// The runtime itself.
    type Runtime;
    /// A spawned task or job; detached when it is dropped.
    type Handle<T: Send + 'static>: Future<Output = Result<T, Self::Lost>> + Send + Unpin;
    /// Why there is no output: it panicked, or the runtime ended.
    type Lost: std::error::Error;
    /// The ends of a pipe.
    type Sender: Send + 'static;
    /// See [`Sender`](Self::Sender).
    type Receiver: Send + 'static;
    /// A folder that is being listed.
    type Entries;

    /// A runtime with `count` workers.
    fn workers(count: usize) -> io::Result<Self::Runtime>;
    /// A runtime on the calling thread alone.
    fn one_loop() -> io::Result<Self::Runtime>;
    /// Runs `future` to its end on the calling thread.
    fn block_on<F: Future>(runtime: &Self::Runtime, future: F) -> F::Output;
    fn spawn<F>(future: F) -> Self::Handle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static;
    fn spawn_blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T>;
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send + 'static;
    fn pipe() -> io::Result<(Self::Sender, Self::Receiver)>;
    /// Sends a byte.
    fn send(to: &mut Self::Sender) -> impl Future<Output = io::Result<()>> + Send;
    /// Receives a byte; false at the pipe's end.
    fn receive(from: &mut Self::Receiver) -> impl Future<Output = io::Result<bool>> + Send;
    async fn list(folder: PathBuf) -> io::Result<Self::Entries>;
    async fn next(entries: &mut Self::Entries) -> io::Result<Option<PathBuf>>;
    async fn metadata(path: PathBuf) -> io::Result<Metadata>;
}

/// Our runtime.
#[derive(Debug)]
pub(crate) struct Ours;

impl Engine for Ours {
    const NAME: &'static str = "ours";
    type Runtime = runtime::Runtime;
    type Handle<T: Send + 'static> = task::JoinHandle<T>;
    type Lost = task::JoinError;
    type Sender = net::unix::pipe::Sender;
    type Receiver = net::unix::pipe::Receiver;
    type Entries = fs::ReadDir;

    fn workers(count: usize) -> io::Result<Self::Runtime> {
        runtime::Builder::new_multi_thread().worker_threads(count).build()
    }

    fn one_loop() -> io::Result<Self::Runtime> {
        runtime::Builder::new_current_thread().build()
    }

    fn block_on<F: Future>(runtime: &Self::Runtime, future: F) -> F::Output {
        runtime.block_on(future)
    }

    fn spawn<F>(future: F) -> Self::Handle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        crossover_runtime::spawn(future)
    }

    fn spawn_blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
        crossover_runtime::spawn_blocking(job)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        time::sleep(duration)
    }

    fn pipe() -> io::Result<(Self::Sender, Self::Receiver)> {
        net::unix::pipe::pipe()
    }

    async fn send(to: &mut Self::Sender) -> io::Result<()> {
        futures_util::AsyncWriteExt::write_all(to, b"x").await
    }

    async fn receive(from: &mut Self::Receiver) -> io::Result<bool> {
        Ok(futures_util::AsyncReadExt::read(from, &mut [0]).await? == 1)
    }

    async fn list(folder: PathBuf) -> io::Result<Self::Entries> {
        fs::read_dir(folder).await
    }

    async fn next(entries: &mut Self::Entries) -> io::Result<Option<PathBuf>> {
        Ok(entries.next_entry().await?.map(|entry| entry.path()))
    }

    async fn metadata(path: PathBuf) -> io::Result<Metadata> {
        fs::metadata(path).await
    }
}

/// tokio.
#[derive(Debug)]
pub(crate) struct Tokio;

impl Engine for Tokio {
    const NAME: &'static str = "tokio";
    type Runtime = tokio::runtime::Runtime;
    type Handle<T: Send + 'static> = tokio::task::JoinHandle<T>;
    type Lost = tokio::task::JoinError;
    type Sender = tokio::net::unix::pipe::Sender;
    type Receiver = tokio::net::unix::pipe::Receiver;
    type Entries = tokio::fs::ReadDir;

    fn workers(count: usize) -> io::Result<Self::Runtime> {
        tokio::runtime::Builder::new_multi_thread().worker_threads(count).enable_all().build()
    }

    fn one_loop() -> io::Result<Self::Runtime> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    }

    fn block_on<F: Future>(runtime: &Self::Runtime, future: F) -> F::Output {
        runtime.block_on(future)
    }

    fn spawn<F>(future: F) -> Self::Handle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        tokio::spawn(future)
    }

    fn spawn_blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
        tokio::task::spawn_blocking(job)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep(duration)
    }

    fn pipe() -> io::Result<(Self::Sender, Self::Receiver)> {
        tokio::net::unix::pipe::pipe()
    }

    async fn send(to: &mut Self::Sender) -> io::Result<()> {
        tokio::io::AsyncWriteExt::write_all(to, b"x").await
    }

    async fn receive(from: &mut Self::Receiver) -> io::Result<bool> {
        Ok(tokio::io::AsyncReadExt::read(from, &mut [0]).await? == 1)
    }

    async fn list(folder: PathBuf) -> io::Result<Self::Entries> {
        tokio::fs::read_dir(folder).await
    }

    async fn next(entries: &mut Self::Entries) -> io::Result<Option<PathBuf>> {
        Ok(entries.next_entry().await?.map(|entry| entry.path()))
    }

    async fn metadata(path: PathBuf) -> io::Result<Metadata> {
        tokio::fs::metadata(path).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every experiment relies on, on either side.
    fn does_what_it_says<E: Engine>() {
        for runtime in [E::workers(2).unwrap(), E::one_loop().unwrap()] {
            E::block_on(&runtime, async {
                assert_eq!(E::spawn(async { 1 }).await.unwrap(), 1);
                assert_eq!(E::spawn_blocking(|| 2).await.unwrap(), 2);
                let begun = std::time::Instant::now();
                E::sleep(Duration::from_millis(5)).await;
                assert!(begun.elapsed() >= Duration::from_millis(5));
                let (mut sender, mut receiver) = E::pipe().unwrap();
                E::send(&mut sender).await.unwrap();
                assert!(E::receive(&mut receiver).await.unwrap());
                drop(sender);
                assert!(!E::receive(&mut receiver).await.unwrap());
                let folder = tempfile::tempdir().unwrap();
                std::fs::write(folder.path().join("a"), "text").unwrap();
                let mut entries = E::list(folder.path().to_owned()).await.unwrap();
                let entry = E::next(&mut entries).await.unwrap().unwrap();
                assert_eq!(E::metadata(entry).await.unwrap().len(), 4);
                assert!(E::next(&mut entries).await.unwrap().is_none());
            });
        }
    }

    #[test]
    fn ours_does() {
        does_what_it_says::<Ours>();
    }

    #[test]
    fn tokio_does() {
        does_what_it_says::<Tokio>();
    }
}
