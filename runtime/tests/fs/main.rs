//! `crossover_runtime::fs`: what each name does, and what a file makes of calls that are given up, fail, or come too late.

mod ends;
mod file;
mod names;

use crossover_runtime::fs::{self, File, OpenOptions};
use crossover_runtime::runtime::{Builder, Runtime, is_rt_shutdown_err};
use crossover_runtime::spawn_blocking;
use futures::FutureExt;
use futures::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("crossover-fs-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test on both flavours.
fn on_both(test: impl AsyncFn(Folder)) {
    for runtime in
        [Builder::new_current_thread().build(), Builder::new_multi_thread().worker_threads(2).build()]
    {
        runtime.unwrap().block_on(test(Folder::new()));
    }
}

/// A pool with one thread, which a job keeps until the sender is dropped.
async fn keep_pool_busy() -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel::<()>();
    let (started, has_started) = futures::channel::oneshot::channel();
    drop(spawn_blocking(move || {
        let _ = started.send(());
        let _ = receiver.recv();
    }));
    has_started.await.unwrap();
    sender
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().max_blocking_threads(1).build().unwrap()
}

async fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    let mut future = Some(future);
    poll_fn(|cx| Poll::Ready(future.take().unwrap().poll(cx))).await
}

fn make_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}
