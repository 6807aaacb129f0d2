//! Deeds with sockets: whole conversations, and such whose other side goes away in the middle.

use crate::base::{Doing, Rng};
use crossover_runtime::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use crossover_runtime::spawn;
use crossover_runtime::task::yield_now;
use crossover_runtime::time::{sleep, timeout};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::io;
use std::time::Duration;

/// A few bytes through a pair of sockets, until the end or given up in the middle. Errors come with the runtime's end.
pub(crate) async fn talk(rng: &mut Rng) -> io::Result<()> {
    let size = 1 + rng.below(20_000) as usize;
    let give_up = Duration::from_micros(rng.below(3000));
    if rng.below(2) == 0 {
        let (mut near, mut far) = UnixStream::pair()?;
        let echo = spawn(async move {
            let mut buffer = [0; 1000];
            while let Ok(count @ 1..) = far.read(&mut buffer).await {
                far.write_all(&buffer[..count]).await?;
            }
            io::Result::Ok(())
        });
        let mut received = vec![0; size];
        let sent = vec![7; size];
        // Ours, not that of `AsyncReadExt`.
        let (mut read, mut write) = UnixStream::split(&mut near);
        let both = futures::future::try_join(write.write_all(&sent), read.read_exact(&mut received));
        let outcome = if rng.below(2) == 0 { Ok(both.await) } else { timeout(give_up, both).await };
        if outcome.is_ok_and(|done| done.is_ok()) {
            assert_eq!(received, sent);
        }
        drop(near);
        let _ = echo.await;
    } else {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let (mut server, _) = listener.accept().await?;
        client.write_all(&vec![3; size]).await?;
        drop(client);
        let mut all = Vec::new();
        match timeout(give_up, server.read_to_end(&mut all)).await {
            Ok(read) => assert_eq!(read?, size),
            Err(_) => assert!(all.len() <= size),
        }
    }
    Ok(())
}

/// Reads and writes until the other side is gone, which it must notice without any limit of time.
async fn until_gone<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S) {
    let (mut read, mut write) = stream.split();
    let writes = async {
        let data = [5; 4096];
        while write.write_all(&data).await.is_ok() {}
    };
    let reads = async {
        let mut buffer = [0; 4096];
        while let Ok(1..) = read.read(&mut buffer).await {}
    };
    futures::join!(writes, reads);
}

/// Takes part for a moment, and goes: closed, reset, or in the middle of a read, by an abort.
async fn leave(rng: &mut Rng, mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let mut buffer = vec![0; 1 + rng.below(3000) as usize];
    match rng.below(4) {
        0 => drop(stream.read(&mut buffer).await),
        1 => drop(stream.write(&buffer).await),
        2 => {
            let reads = spawn(async move {
                while stream.read_exact(&mut buffer).await.is_ok() {
                    yield_now().await;
                }
            });
            sleep(Duration::from_micros(rng.below(500))).await;
            reads.abort();
            // Only now is the socket surely closed.
            drop(reads.await);
        }
        _ => {}
    }
}

/// A peer that goes away while this side reads and writes; a listener that goes away while somebody connects.
pub(crate) async fn lose_a_peer(rng: &mut Rng, doing: &mut Doing) -> io::Result<()> {
    match rng.below(4) {
        0 => {
            let (near, far) = UnixStream::pair()?;
            let stays = spawn(until_gone(near));
            leave(rng, far).await;
            doing.part(1);
            drop(stays.await);
        }
        1 | 2 => {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let client = TcpStream::connect(listener.local_addr()?).await?;
            let (server, _) = listener.accept().await?;
            drop(listener);
            let stays = spawn(until_gone(server));
            if rng.below(2) == 0 {
                client.set_zero_linger()?;
            }
            doing.part(2);
            leave(rng, client).await;
            doing.part(3);
            drop(stays.await);
        }
        _ => {
            // Another address than elsewhere: a connection that comes too late must not get to somebody else's listener.
            let listener = TcpListener::bind("127.0.0.2:0").await?;
            let address = listener.local_addr()?;
            let accepts = spawn(async move { while listener.accept().await.is_ok() {} });
            let connects = spawn(async move {
                // Ends with the listener. With a limit: of a listener that is closed in the middle of a handshake Linux may
                // leave the client connected to nobody, and say nothing.
                while let Ok(mut stream) = TcpStream::connect(address).await {
                    let _ = timeout(Duration::from_millis(50), stream.read(&mut [0])).await;
                }
            });
            sleep(Duration::from_micros(rng.below(1500))).await;
            accepts.abort();
            drop(accepts.await);
            doing.part(4);
            drop(connects.await);
        }
    }
    Ok(())
}

/// Datagrams to a socket that is there, or was.
pub(crate) async fn send_datagrams(rng: &mut Rng) -> io::Result<()> {
    let here = UdpSocket::bind("127.0.0.1:0").await?;
    let there = UdpSocket::bind("127.0.0.1:0").await?;
    here.connect(there.local_addr()?).await?;
    let mut buffer = [0; 64];
    for n in 0..rng.below(20) as u8 {
        here.send(&[n; 8]).await?;
        let (count, _) = there.recv_from(&mut buffer).await?;
        assert_eq!(buffer[..count], [n; 8]);
    }
    drop(there);
    // Refused at once or a little later; a receive must see it, or wait.
    let _ = here.send(&[1]).await;
    let _ = timeout(Duration::from_micros(rng.below(500)), here.recv(&mut buffer)).await;
    Ok(())
}
