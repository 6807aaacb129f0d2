//! Sockets through the public door, a file per kind: what carries data, what fails and how.

mod async_fd;
mod datagram;
mod halves;
mod misuse;
mod pipe;
mod socket;
mod tcp;
mod types;
mod udp;
mod unix;

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use crossover_runtime::net::{TcpListener, TcpStream};
use crossover_runtime::runtime::{Builder, Runtime};
use futures::future::join;

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().build().expect("runtime"),
        Builder::new_multi_thread().worker_threads(2).build().expect("runtime"),
    ]
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (client, server) = join(TcpStream::connect(address), listener.accept()).await;
    (client.expect("connect"), server.expect("accept").0)
}

/// Polls `future` once, which must be pending.
async fn assert_pending<F: Future>(mut future: Pin<&mut F>) {
    let pending = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
    assert!(pending, "nothing can be ready here yet");
}

/// A folder of one test's own, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("crossover-net-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a new folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
