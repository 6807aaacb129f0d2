//! tokio's I/O traits on our streams and files, and what `tokio::io` builds on them.

use std::io::{ErrorKind, IoSlice, SeekFrom};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossover_runtime::fs;
use crossover_runtime::net::unix::pipe;
use crossover_runtime::net::{TcpListener, TcpStream, UnixStream};
use crossover_runtime::spawn;
use futures::future::poll_fn;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter,
    ReadBuf, copy, copy_bidirectional, split,
};

use crate::on_both;

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("an address");
    let (ours, theirs) = futures::join!(TcpStream::connect(address), listener.accept());
    (ours.expect("connected"), theirs.expect("accepted").0)
}

/// Far more than the sockets hold.
fn much() -> Vec<u8> {
    (0..3_000_000_u32).map(|number| (number % 251) as u8).collect()
}

/// What one side writes the other one reads, up to its end.
async fn transfer(mut writer: impl AsyncWrite + Unpin, mut reader: impl AsyncRead + Unpin) {
    let data = much();
    let mut received = Vec::new();
    let writing = async {
        writer.write_all(&data).await.expect("written");
        writer.flush().await.expect("flushed");
        writer.shutdown().await.expect("shut down");
        writer.shutdown().await.expect("and once more");
    };
    let (_, count) = futures::join!(writing, reader.read_to_end(&mut received));
    assert_eq!(count.expect("read"), data.len());
    assert!(received == data);
}

#[test]
fn streams_and_their_halves_transfer() {
    on_both(|| async {
        let (ours, theirs) = tcp_pair().await;
        transfer(ours, theirs).await;
        let (mut ours, mut theirs) = tcp_pair().await;
        transfer(ours.split().1, theirs.split().0).await;
        let (ours, theirs) = (ours.into_split(), theirs.into_split());
        transfer(theirs.1, ours.0).await;

        let (ours, theirs) = UnixStream::pair().expect("a pair");
        transfer(ours, theirs).await;
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        transfer(ours.split().1, theirs.split().0).await;
        let (ours, theirs) = (ours.into_split(), theirs.into_split());
        transfer(theirs.1, ours.0).await;
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        transfer(split(ours).1, split(theirs).0).await;
    });
}

/// The end of a pipe is its last sender's drop.
#[test]
fn pipes_transfer() {
    on_both(|| async {
        let (mut sender, mut receiver) = pipe::pipe().expect("a pipe");
        let writing = spawn(async move {
            sender.write_all(&much()).await.expect("written");
            sender.shutdown().await.expect("nothing to do");
            sender.write_all(b"!").await.expect("and more");
        });
        let mut received = Vec::new();
        receiver.read_to_end(&mut received).await.expect("read");
        assert_eq!(received.pop(), Some(b'!'));
        assert!(received == much());
        writing.await.expect("the writer");
        let (mut sender, receiver) = pipe::pipe().expect("a pipe");
        drop(receiver);
        assert_eq!(sender.write(b"x").await.expect_err("gone").kind(), ErrorKind::BrokenPipe);
    });
}

/// A proxy: two connections, copied both ways until both have ended.
#[test]
fn copying_both_ways() {
    on_both(|| async {
        let ((client, mut near), (mut far, server)) = (tcp_pair().await, UnixStream::pair().expect("a pair"));
        let proxy = spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        let echo = spawn(async move {
            let (mut reader, mut writer) = server.into_split();
            let count = copy(&mut reader, &mut writer).await;
            writer.shutdown().await.expect("shut down");
            count
        });
        let (reader, writer) = client.into_split();
        transfer(writer, reader).await;
        let count = much().len() as u64;
        assert_eq!(echo.await.expect("the echo").expect("copied"), count);
        assert_eq!(proxy.await.expect("the proxy").expect("copied"), (count, count));
    });
}

#[test]
fn lines_of_a_buffered_reader() {
    on_both(|| async {
        let (ours, theirs) = tcp_pair().await;
        let writing = spawn(async move {
            let mut writer = BufWriter::new(theirs);
            for number in 0..10_000 {
                writer.write_all(format!("line {number}\n").as_bytes()).await.expect("written");
            }
            writer.shutdown().await.expect("flushed and shut down");
        });
        let mut lines = BufReader::new(ours).lines();
        for number in 0..10_000 {
            let line = lines.next_line().await.expect("read").expect("a line");
            assert_eq!(line, format!("line {number}"));
        }
        assert_eq!(lines.next_line().await.expect("read"), None);
        writing.await.expect("the writer");
    });
}

/// A read adds to what the buffer holds, touches nothing behind that, and 0 bytes more mean the end.
#[test]
fn a_read_fills_the_unfilled_part() {
    on_both(|| async {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        theirs.write_all(b"world, and more").await.expect("written");
        let mut memory = [b'.'; 11];
        let mut buffer = ReadBuf::new(&mut memory);
        buffer.put_slice(b"hello ");
        poll_fn(|cx| Pin::new(&mut ours).poll_read(cx, &mut buffer)).await.expect("read");
        assert_eq!((buffer.filled(), buffer.remaining()), (&b"hello world"[..], 0));

        theirs.shutdown().await.expect("shut down");
        let mut memory = [b'.'; 20];
        let mut buffer = ReadBuf::new(&mut memory);
        poll_fn(|cx| Pin::new(&mut ours).poll_read(cx, &mut buffer)).await.expect("read");
        assert_eq!(buffer.filled(), b", and more");
        poll_fn(|cx| Pin::new(&mut ours).poll_read(cx, &mut buffer)).await.expect("the end");
        assert_eq!(buffer.filled(), b", and more");
        assert_eq!(&memory[10..], b"..........");
    });
}

#[test]
fn vectored_writes_write_all_slices() {
    on_both(|| async {
        let (mut ours, mut theirs) = tcp_pair().await;
        assert!(ours.is_write_vectored());
        let slices = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")];
        assert_eq!(ours.write_vectored(&slices).await.expect("written"), 7);
        drop(ours);
        let mut text = String::new();
        theirs.read_to_string(&mut text).await.expect("read");
        assert_eq!(text, "one two");
    });
}

/// The reader of a half-closed connection reads on; the writer to one that is gone hears of it.
#[test]
fn ends_are_told_apart() {
    on_both(|| async {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        ours.shutdown().await.expect("shut down");
        assert_eq!(theirs.read(&mut [0; 8]).await.expect("the end"), 0);
        theirs.write_all(b"still").await.expect("this direction is open");
        let mut word = [0; 5];
        ours.read_exact(&mut word).await.expect("read");
        assert_eq!(&word, b"still");
        assert_eq!(ours.write(b"x").await.expect_err("shut down").kind(), ErrorKind::BrokenPipe);
        drop(ours);
        assert_eq!(theirs.write(b"x").await.expect_err("gone").kind(), ErrorKind::BrokenPipe);
    });
}

fn file_path() -> std::path::PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("crossover-interop-{}-{number}", std::process::id()))
}

#[test]
fn files_are_written_sought_and_read() {
    on_both(|| async {
        let path = file_path();
        let mut file = fs::File::create_new(&path).await.expect("created");
        fs::remove_file(&path).await.expect("it lives on while it is open");
        file.write_all(&much()).await.expect("written");
        file.shutdown().await.expect("flushed");
        file.rewind().await.expect("sought");
        let mut received = Vec::new();
        file.read_to_end(&mut received).await.expect("read");
        assert!(received == much());
        let end = much().len() as u64;
        assert_eq!(file.stream_position().await.expect("told"), end);
        assert_eq!(file.seek(SeekFrom::End(-2)).await.expect("sought"), end - 2);
        let slices = [IoSlice::new(b"a"), IoSlice::new(b"bc")];
        assert_eq!(file.write_vectored(&slices).await.expect("written"), 3);
        assert_eq!(file.seek(SeekFrom::Current(-2)).await.expect("sought, after the write"), end - 1);
        let mut memory = [b'.'; 4];
        let mut buffer = ReadBuf::new(&mut memory);
        poll_fn(|cx| Pin::new(&mut file).poll_read(cx, &mut buffer)).await.expect("read");
        assert_eq!(buffer.filled(), b"bc");
        file.seek(SeekFrom::Current(-10_000_000)).await.expect_err("before the start");
    });
}

/// A seek is done on the spot mostly, and must charge the budget all the same.
#[test]
fn a_task_that_only_seeks_lets_others_run() {
    on_both(|| async {
        let mut file = fs::File::open("/proc/self/exe").await.expect("open");
        let other = spawn(async {});
        let mut seeks = 0;
        while !other.is_finished() {
            file.rewind().await.expect("sought");
            seeks += 1;
            assert!(seeks < 1_000_000, "nobody else is let in");
        }
    });
}
