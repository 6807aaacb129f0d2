//! A TCP server that sends back what it gets, a task for each connection.
//!
//! ```text
//! cargo run -p crossover-runtime --example echo                    # then, in another terminal: nc 127.0.0.1 7777
//! cargo run -p crossover-runtime --example echo -- localhost:9000
//! cargo run -p crossover-runtime --example echo -- --check         # a hundred clients, and out
//! ```

use crossover_runtime::net::{TcpListener, TcpStream};
use crossover_runtime::runtime::Runtime;
use crossover_runtime::spawn;
use crossover_runtime::task::JoinSet;
use futures::{AsyncReadExt, AsyncWriteExt};
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

const USAGE: &str = "usage: echo [ADDRESS | --check]   ADDRESS is 127.0.0.1:7777 unless given";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--check"] => check(),
        [] => listen("127.0.0.1:7777"),
        [address] if !address.starts_with('-') => listen(address),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn listen(address: &str) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
        println!("listening on {}; end it by Ctrl-C", listener.local_addr()?);
        serve(listener).await;
        Ok(())
    })
}

/// Accepts for ever.
async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            // The handle is dropped: the task goes on by itself, and its memory is freed when it ends.
            Ok((stream, peer)) => drop(spawn(async move {
                match echo(stream).await {
                    Ok(bytes) => println!("{peer}: echoed {bytes} bytes"),
                    Err(error) => println!("{peer}: {error}"),
                }
            })),
            // A client that has given up, or no descriptor left: `accept` pauses by itself in that case, and the
            // connections that are there must not suffer for it.
            Err(error) => eprintln!("accept: {error}"),
        }
    }
}

/// Sends everything back until the client has no more; returns how many bytes that were.
async fn echo(stream: TcpStream) -> io::Result<u64> {
    // `&TcpStream` reads and writes, so that one stream can be both ends of the copy.
    futures::io::copy(&stream, &mut &stream).await
}

fn check() -> io::Result<()> {
    const CLIENTS: usize = 100;
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?; // port 0: any free one
        let address = listener.local_addr()?;
        let server = spawn(serve(listener));
        let mut clients: JoinSet<io::Result<()>> =
            (0..CLIENTS).map(|number| client(address, number)).collect();
        while let Some(client) = clients.join_next().await {
            client.expect("a client does not panic")?;
        }
        server.abort();
        println!("{CLIENTS} clients: ok");
        Ok(())
    })
}

/// Writes and reads at the same time: for much data one after the other would be a deadlock.
async fn client(address: SocketAddr, number: usize) -> io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    let sent = vec![number as u8; 1 + number * 5000];
    let mut received = Vec::new();
    let (mut reader, mut writer) = (&stream, &stream);
    let writing = async {
        writer.write_all(&sent).await?;
        writer.close().await // the end of what we send; the other direction stays open
    };
    futures::try_join!(writing, reader.read_to_end(&mut received))?;
    if received != sent {
        return Err(io::Error::other(format!("client {number} did not get back what it had sent")));
    }
    Ok(())
}
