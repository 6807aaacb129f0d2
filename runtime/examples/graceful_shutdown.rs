//! A server that ends well: on a signal it stops accepting, lets requests that have begun be finished, and gives that a
//! deadline.
//!
//! ```text
//! cargo run -p crossover-runtime --example graceful_shutdown             # nc 127.0.0.1 7778; then Ctrl-C, twice to hurry
//! cargo run -p crossover-runtime --example graceful_shutdown -- --check
//! ```
//!
//! A request is a line, its answer the line in capitals. Between two lines a connection is idle, and closed at once. In the
//! middle of a line it is busy: it may finish that one.

use crossover_runtime::net::{TcpListener, TcpStream, UnixStream};
use crossover_runtime::runtime::Runtime;
use crossover_runtime::spawn;
use crossover_runtime::sync::channel::{Receiver, bounded};
use crossover_runtime::task::JoinSet;
use crossover_runtime::time::timeout;
use futures::future::{Either, select};
use futures::io::BufReader;
use futures::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: graceful_shutdown [ADDRESS | --check]   ADDRESS is 127.0.0.1:7778 unless given";
/// The longest line; a client may not make us keep more.
const LINE_MAX: u64 = 64 << 10;

/// Closed, and nothing else, when the server is to stop. Every connection has a clone.
type Stop = Receiver<Infallible>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--check"] => check(),
        [] => listen("127.0.0.1:7778"),
        [address] if !address.starts_with('-') => listen(address),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("graceful_shutdown: {error}");
            ExitCode::FAILURE
        }
    }
}

fn listen(address: &str) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
        println!("listening on {}; Ctrl-C ends it", listener.local_addr()?);
        let end = serve(listener, Signals::new()?, Duration::from_secs(10)).await;
        println!("{} connections ended by themselves, {} were cut off", end.drained, end.cut_off);
        Ok(())
    })
}

/// SIGINT and SIGTERM as bytes in a socket: a handler may do little more than write one.
struct Signals {
    socket: UnixStream,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let (writer, reader) = std::os::unix::net::UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Signals { socket: UnixStream::from_std(reader)? })
    }

    /// The next signal.
    async fn next(&mut self) {
        let mut byte = [0];
        if let Err(error) = self.socket.read_exact(&mut byte).await {
            eprintln!("signals cannot be heard, the server stops: {error}");
        }
    }
}

/// What became of the connections that were there at the signal.
struct End {
    drained: usize,
    cut_off: usize,
}

async fn serve(listener: TcpListener, mut signals: Signals, deadline: Duration) -> End {
    let (stopper, stop) = bounded::<Infallible>(1);
    let mut connections = JoinSet::new();
    // 1. Serve until the signal. `select` drops the losing future where it waits.
    let accepting = accept_for_ever(&listener, &mut connections, &stop);
    drop(select(Box::pin(accepting), pin!(signals.next())).await);
    // 2. Accept no more; who connects now is refused, and may go to another server at once.
    drop(listener);
    // 3. Tell the connections: a closed channel wakes all who wait for it.
    drop(stopper);
    while connections.try_join_next().is_some() {}
    let open = connections.len();
    println!("stopping: {open} connections open; they have {deadline:?}");
    // 4. Drain, until the deadline or another signal.
    let drained = timeout(deadline, async { while connections.join_next().await.is_some() {} });
    let _ = select(pin!(drained), pin!(signals.next())).await;
    // 5. Abort what is left, and wait until it is gone: after this nothing of a connection runs any more.
    let cut_off = connections.len();
    connections.shutdown().await;
    End { drained: open - cut_off, cut_off }
}

async fn accept_for_ever(listener: &TcpListener, connections: &mut JoinSet<()>, stop: &Stop) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Those that have ended are taken off, so that the set does not grow for ever.
                while connections.try_join_next().is_some() {}
                let stop = stop.clone();
                connections.spawn(async move {
                    if let Err(error) = converse(stream, stop).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            // No descriptor left, or a client that has given up: the others go on. `accept` pauses by itself.
            Err(error) => eprintln!("accept: {error}"),
        }
    }
}

/// Answers line by line until the client ends, or `stop` is closed between two lines.
async fn converse(stream: TcpStream, stop: Stop) -> io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let mut line = Vec::new();
    loop {
        if reader.buffer().is_empty() {
            // Idle: nothing is lost if we go now.
            let arriving = pin!(reader.fill_buf());
            match select(pin!(stop.recv()), arriving).await {
                Either::Left(_) => return Ok(()),
                Either::Right((data, _)) => {
                    if data?.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
        line.clear();
        let read = (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            let reason = if read as u64 == LINE_MAX { "too long a line" } else { "the last line has no end" };
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        line.make_ascii_uppercase();
        (&stream).write_all(&line).await?;
    }
}

/// An idle client, one in the middle of a line that it then ends, and one that never does; and a real signal.
fn check() -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = spawn(serve(listener, Signals::new()?, Duration::from_millis(500)));

        let connect = async |first: &[u8]| {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(first).await?;
            expect(&mut stream, b"HELLO\n").await?;
            io::Result::Ok(stream)
        };
        let mut idle = connect(b"hello\n").await?;
        // What follows the first line came with it, so that the server has it when it answers.
        let mut busy = connect(b"hello\nwor").await?;
        let mut stuck = connect(b"hello\nwor").await?;

        signal_hook::low_level::raise(SIGTERM)?;
        expect_end(&mut idle).await?;
        busy.write_all(b"ld\n").await?;
        expect(&mut busy, b"WORLD\n").await?;
        expect_end(&mut busy).await?;
        expect_end(&mut stuck).await?;

        let end = server.await?;
        if (end.drained, end.cut_off) != (2, 1) {
            return Err(io::Error::other(format!("{} drained, {} cut off", end.drained, end.cut_off)));
        }
        if TcpStream::connect(address).await.is_ok() {
            return Err(io::Error::other("connected to a server that has ended"));
        }
        println!("the idle one closed, the busy one finished, the stuck one cut off: ok");
        Ok(())
    })
}

async fn expect(stream: &mut TcpStream, wanted: &[u8]) -> io::Result<()> {
    let mut line = vec![0; wanted.len()];
    stream.read_exact(&mut line).await?;
    if line == wanted { Ok(()) } else { Err(io::Error::other(format!("got {line:?}"))) }
}

/// The server closes; that it does so with data of ours unread is an end, too.
async fn expect_end(stream: &mut TcpStream) -> io::Result<()> {
    match stream.read(&mut [0]).await {
        Ok(0) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        other => Err(io::Error::other(format!("wanted the end, got {other:?}"))),
    }
}
