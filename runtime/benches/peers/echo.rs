//! Echo over loopback TCP: clients and servers are tasks of the same runtime, or plain blocking threads.
//!
//! N connections stay open for the whole row. In an iteration each client sends its messages one after the other and awaits
//! the echo of each; the server has one task per connection. An operation is a round trip: four socket calls. Each message is
//! numbered, and its echo checked.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;

use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::contestants::{Ours, Runtime, SmolIo, Spawn, Tokio, Who};
use crate::harness::{Case, Countdown, Entry, Setup, Trial};

const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// What a row does.
#[derive(Clone, Copy)]
struct Load {
    connections: usize,
    bytes: usize,
    /// Round trips of each connection in an iteration.
    trips: usize,
}

pub fn cases() -> Vec<Case> {
    let case = |row, connections, bytes, trips| {
        let load = Load { connections, bytes, trips };
        let entries = vec![
            Entry::new(Who::Ours, move |setup| echo::<Ours>(setup, load)),
            Entry::new(Who::Tokio, move |setup| echo::<Tokio>(setup, load)),
            Entry::new(Who::Smol, move |setup| echo::<SmolIo>(setup, load)),
            Entry::new(Who::Threads, move |setup| echo_threads(setup, load)),
        ];
        Case::new(row, entries)
    };
    vec![
        case("echo_1x64B", 1, 64, 1_000),
        case("echo_100x64B", 100, 64, 100),
        case("echo_1000x64B", 1_000, 64, 10),
        case("echo_100x16KiB", 100, 16 << 10, 100),
    ]
}

/// A contestant with sockets.
trait Net: Runtime {
    type Listener: Send + 'static;
    type Stream: Send + 'static;

    fn bind() -> impl Future<Output = io::Result<(Self::Listener, SocketAddr)>> + Send;
    /// The next connection, without Nagle's delay.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// A connection without Nagle's delay.
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    fn read_exact(
        stream: &mut Self::Stream,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<()>> + Send;
    fn write_all(stream: &mut Self::Stream, data: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
}

impl Net for Ours {
    type Listener = crossover_runtime::net::TcpListener;
    type Stream = crossover_runtime::net::TcpStream;

    async fn bind() -> io::Result<(Self::Listener, SocketAddr)> {
        let listener = Self::Listener::bind(ANY_PORT).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = Self::Stream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read_exact(stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<()> {
        stream.read_exact(buffer).await
    }

    async fn write_all(stream: &mut Self::Stream, data: &[u8]) -> io::Result<()> {
        stream.write_all(data).await
    }
}

impl Net for Tokio {
    type Listener = tokio::net::TcpListener;
    type Stream = tokio::net::TcpStream;

    async fn bind() -> io::Result<(Self::Listener, SocketAddr)> {
        let listener = Self::Listener::bind(ANY_PORT).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = Self::Stream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read_exact(stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<()> {
        tokio::io::AsyncReadExt::read_exact(stream, buffer).await.map(drop)
    }

    async fn write_all(stream: &mut Self::Stream, data: &[u8]) -> io::Result<()> {
        tokio::io::AsyncWriteExt::write_all(stream, data).await
    }
}

impl Net for SmolIo {
    type Listener = async_io::Async<std::net::TcpListener>;
    type Stream = async_io::Async<std::net::TcpStream>;

    async fn bind() -> io::Result<(Self::Listener, SocketAddr)> {
        let listener = Self::Listener::bind(ANY_PORT)?;
        let address = listener.get_ref().local_addr()?;
        Ok((listener, address))
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        let (stream, _) = listener.accept().await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = Self::Stream::connect(address).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(stream)
    }

    async fn read_exact(stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<()> {
        stream.read_exact(buffer).await
    }

    async fn write_all(stream: &mut Self::Stream, data: &[u8]) -> io::Result<()> {
        stream.write_all(data).await
    }
}

/// Numbers a message at both ends.
fn stamp(message: &mut [u8], number: usize) {
    let number = number.to_ne_bytes();
    message[..number.len()].copy_from_slice(&number);
    let last = message.len() - number.len();
    message[last..].copy_from_slice(&number);
}

fn check(message: &[u8], number: usize) {
    let number = number.to_ne_bytes();
    assert!(message.starts_with(&number) && message.ends_with(&number), "the echo is not what was sent");
}

/// Connections that are open, each with a client that waits for the word to go.
struct Clients<S> {
    go: Vec<S>,
    countdown: Countdown,
    over: mpsc::Receiver<()>,
    /// Every client and server holds the sender; when the last one has ended, this fails.
    ended: mpsc::Receiver<()>,
}

impl<S> Clients<S> {
    fn round(&self, go: impl Fn(&S)) {
        self.countdown.set(self.go.len());
        self.go.iter().for_each(go);
        self.over.recv().expect("the last client says so");
    }

    /// Lets the clients end, then waits for their servers, too.
    fn end(&mut self) {
        self.go.clear();
        while self.ended.recv().is_ok() {}
    }
}

impl<S> Drop for Clients<S> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Clients and their runtime; dropped in this order, so that the connections end while it still runs.
struct Served<R> {
    clients: Clients<async_channel::Sender<()>>,
    _rt: R,
}

impl<R> Served<R> {
    fn round(&self) {
        self.clients.round(|go| go.try_send(()).expect("the client waits"));
    }
}

fn echo<R: Net>(setup: &Setup, load: Load) -> Trial {
    let rt = R::start(setup.workers);
    let load = Load { connections: setup.size(load.connections), ..load };
    let (held, ended) = mpsc::channel();
    let (countdown, over) = Countdown::new();
    let inside = rt.inside();
    let go = rt.block_on(async {
        let (listener, address) = R::bind().await.expect("a port is free");
        let hold = held.clone();
        let acceptor = inside.spawn(async move {
            for _ in 0..load.connections {
                let stream = R::accept(&listener).await.expect("a client connects");
                inside.detach(serve::<R>(stream, load, hold.clone()));
            }
        });
        let mut go = Vec::with_capacity(load.connections);
        for _ in 0..load.connections {
            let stream =
                R::connect(address).await.expect("the server accepts; are there descriptors enough?");
            let (say, told) = async_channel::bounded(1);
            inside.detach(client::<R>(stream, load, told, countdown.clone(), held.clone()));
            go.push(say);
        }
        acceptor.await;
        go
    });
    let served = Served { clients: Clients { go, countdown, over, ended }, _rt: rt };
    Trial::wall(load.connections * load.trips, move || served.round())
}

async fn serve<R: Net>(mut stream: R::Stream, load: Load, _held: mpsc::Sender<()>) {
    let mut message = vec![0; load.bytes];
    while R::read_exact(&mut stream, &mut message).await.is_ok() {
        R::write_all(&mut stream, &message).await.expect("the client reads");
    }
}

async fn client<R: Net>(
    mut stream: R::Stream,
    load: Load,
    told: async_channel::Receiver<()>,
    countdown: Countdown,
    _held: mpsc::Sender<()>,
) {
    let mut message = vec![7; load.bytes];
    let mut number = 0;
    while told.recv().await.is_ok() {
        for _ in 0..load.trips {
            number += 1;
            stamp(&mut message, number);
            R::write_all(&mut stream, &message).await.expect("the server reads");
            message.fill(0);
            R::read_exact(&mut stream, &mut message).await.expect("the server answers");
            check(&message, number);
        }
        countdown.count();
    }
}

/// The same with two blocking threads for each connection.
fn echo_threads(setup: &Setup, load: Load) -> Trial {
    let load = Load { connections: setup.size(load.connections), ..load };
    let (held, ended) = mpsc::channel();
    let (countdown, over) = Countdown::new();
    let listener = std::net::TcpListener::bind(ANY_PORT).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let mut go = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        let client =
            std::net::TcpStream::connect(address).expect("the server accepts; are there descriptors enough?");
        let (server, _) = listener.accept().expect("a client connects");
        let hold = held.clone();
        start_thread(move || serve_blocking(server, load, hold));
        let (say, told) = mpsc::sync_channel(1);
        let (countdown, hold) = (countdown.clone(), held.clone());
        start_thread(move || client_blocking(client, load, told, countdown, hold));
        go.push(say);
    }
    drop(held);
    let clients = Clients { go, countdown, over, ended };
    Trial::wall(load.connections * load.trips, move || {
        clients.round(|go| go.send(()).expect("the client waits"));
    })
}

fn start_thread(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(128 << 10).spawn(work).expect("the system has threads enough");
}

fn serve_blocking(mut stream: std::net::TcpStream, load: Load, _held: mpsc::Sender<()>) {
    stream.set_nodelay(true).expect("TCP knows the option");
    let mut message = vec![0; load.bytes];
    while stream.read_exact(&mut message).is_ok() {
        stream.write_all(&message).expect("the client reads");
    }
}

fn client_blocking(
    mut stream: std::net::TcpStream,
    load: Load,
    told: mpsc::Receiver<()>,
    countdown: Countdown,
    _held: mpsc::Sender<()>,
) {
    stream.set_nodelay(true).expect("TCP knows the option");
    let mut message = vec![7; load.bytes];
    let mut number = 0;
    while told.recv().is_ok() {
        for _ in 0..load.trips {
            number += 1;
            stamp(&mut message, number);
            stream.write_all(&message).expect("the server reads");
            message.fill(0);
            stream.read_exact(&mut message).expect("the server answers");
            check(&message, number);
        }
        countdown.count();
    }
}
