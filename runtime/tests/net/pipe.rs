//! Pipes and FIFOs.

use std::fs::File;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;

use crossover_runtime::io::Interest;
use crossover_runtime::net::unix::pipe;
use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt};

use super::{Folder, assert_pending, runtimes};

fn fifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
}

#[test]
fn a_pipe_carries_a_megabyte_and_ends() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (mut sender, mut receiver) = pipe::pipe().expect("pipe");
            let data: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
            let mut received = Vec::new();
            let sending = async {
                sender.write_all(&data).await.expect("write");
                sender.close().await.expect("closing is for dropping");
                drop(sender);
            };
            let (_, count) = join(sending, receiver.read_to_end(&mut received)).await;
            assert_eq!(count.expect("read"), 1 << 20);
            assert!(received == data);
        });
    }
}

#[test]
fn ends_try_and_wait() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (sender, receiver) = pipe::pipe().expect("pipe");
            assert_eq!(receiver.try_read(&mut [0]).expect_err("empty").kind(), ErrorKind::WouldBlock);
            assert_pending(pin!(receiver.readable())).await;
            assert_eq!(sender.try_write(b"abc").expect("no turn of the driver is needed"), 3);
            assert_eq!(
                sender.try_write_vectored(&[IoSlice::new(b"de"), IoSlice::new(b"f")]).expect("write"),
                3
            );
            poll_fn(|cx| receiver.poll_read_ready(cx)).await.expect("readable");
            let (mut one, mut two) = ([0; 1], [0; 2]);
            let mut parts = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
            assert_eq!(receiver.try_read_vectored(&mut parts).expect("read"), 3);
            assert_eq!((&one, &two), (b"a", b"bc"));
            assert_eq!(receiver.try_io(|| Ok(rustix::io::ioctl_fionread(&receiver)?)).expect("ready"), 3);
            let mut rest = Vec::with_capacity(16);
            assert_eq!(receiver.try_read_buf(&mut rest).expect("read"), 3);
            assert_eq!(rest, b"def");
            let mut sent = 0;
            while let Ok(count) = sender.try_write(&[0; 4096]) {
                sent += count;
            }
            assert!(sent > 0);
            assert_pending(pin!(sender.writable())).await;
            let unasked = sender.try_io(|| -> std::io::Result<()> { panic!("not ready") });
            assert_eq!(unasked.expect_err("full").kind(), ErrorKind::WouldBlock);
            drop(receiver);
            poll_fn(|cx| sender.poll_write_ready(cx)).await.expect("the error is worth an attempt");
            assert!(sender.ready(Interest::WRITABLE).await.expect("ready").is_writable());
            assert_eq!(sender.try_write(b"x").expect_err("nobody reads").kind(), ErrorKind::BrokenPipe);
        });
    }
}

#[test]
fn a_fifo_opens_from_either_end() {
    let folder = Folder::new();
    for (number, runtime) in runtimes().into_iter().enumerate() {
        let path = folder.path(&number.to_string());
        fifo(&path);
        runtime.block_on(async {
            let lonely = pipe::OpenOptions::new().open_sender(&path).expect_err("no receiver");
            assert_eq!(lonely.raw_os_error(), Some(rustix::io::Errno::NXIO.raw_os_error()));
            let mut sender =
                pipe::OpenOptions::new().read_write(true).open_sender(&path).expect("its own receiver");
            sender.write_all(b"early").await.expect("write");
            let mut receiver = pipe::OpenOptions::new().open_receiver(&path).expect("open");
            drop(sender);
            let mut text = String::new();
            receiver.read_to_string(&mut text).await.expect("read");
            assert_eq!(text, "early");
            drop(receiver);
            // A receiver that is its own sender never sees the end.
            let mut receiver = pipe::OpenOptions::new().read_write(true).open_receiver(&path).expect("open");
            for text in [b"one", b"two"] {
                let mut sender = pipe::OpenOptions::new().open_sender(&path).expect("open");
                sender.write_all(text).await.expect("write");
                drop(sender);
                let mut buffer = [0; 3];
                receiver.read_exact(&mut buffer).await.expect("read");
                assert_eq!(&buffer, text);
                assert_pending(pin!(receiver.read(&mut buffer))).await;
            }
        });
    }
}

#[test]
fn what_is_no_pipe_or_the_other_end_of_one_is_refused() {
    let folder = Folder::new();
    let plain = folder.path("plain");
    std::fs::write(&plain, "x").expect("write");
    for runtime in runtimes() {
        runtime.block_on(async {
            let options = pipe::OpenOptions::new();
            assert_eq!(options.open_receiver(&plain).expect_err("a file").kind(), ErrorKind::InvalidInput);
            assert_eq!(options.open_sender(&plain).expect_err("a file").kind(), ErrorKind::InvalidInput);
            assert_eq!(
                options.open_sender(folder.path("absent")).expect_err("absent").kind(),
                ErrorKind::NotFound
            );
            let unwatched = pipe::OpenOptions::new().unchecked(true).open_receiver(&plain);
            assert_eq!(unwatched.expect_err("cannot be watched").kind(), ErrorKind::PermissionDenied);
            let file = || File::open(&plain).expect("open");
            assert_eq!(
                pipe::Receiver::from_file(file()).expect_err("a file").kind(),
                ErrorKind::InvalidInput
            );
            assert_eq!(
                pipe::Sender::from_owned_fd(file().into()).expect_err("a file").kind(),
                ErrorKind::InvalidInput
            );
            let (read, write) = std::io::pipe().expect("pipe");
            let error = pipe::Receiver::from_owned_fd(OwnedFd::from(write)).expect_err("the end to write to");
            assert!(
                error.kind() == ErrorKind::InvalidInput && error.to_string().contains("O_RDONLY"),
                "{error}"
            );
            let error = pipe::Sender::from_owned_fd(OwnedFd::from(read)).expect_err("the end to read from");
            assert!(
                error.kind() == ErrorKind::InvalidInput && error.to_string().contains("O_WRONLY"),
                "{error}"
            );
        });
    }
}

#[test]
fn descriptors_go_in_and_come_out_in_the_mode_that_is_asked_for() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (read, write) = std::io::pipe().expect("pipe");
            let mut sender = pipe::Sender::from_owned_fd(write.into()).expect("sender");
            let mut receiver = pipe::Receiver::from_file(File::from(OwnedFd::from(read))).expect("receiver");
            let mut buffer = [0; 4];
            assert_pending(pin!(receiver.read(&mut buffer))).await;
            sender.write_all(b"data").await.expect("write");
            receiver.read_exact(&mut buffer).await.expect("read");
            let mut read = File::from(receiver.into_nonblocking_fd().expect("descriptor"));
            assert_eq!(read.read(&mut buffer).expect_err("non-blocking").kind(), ErrorKind::WouldBlock);
            let receiver = pipe::Receiver::from_owned_fd_unchecked(read.into()).expect("receiver");
            let mut read = File::from(receiver.into_blocking_fd().expect("descriptor"));
            let mut write = File::from(sender.into_blocking_fd().expect("descriptor"));
            let writer = std::thread::spawn(move || write.write_all(b"late"));
            read.read_exact(&mut buffer).expect("blocks until it is there");
            assert_eq!(&buffer, b"late");
            writer.join().expect("thread").expect("write");
        });
    }
}
