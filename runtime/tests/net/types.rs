//! What the types are: `Send`, `Sync`, `Unpin`, safe across an unwinding, descriptors; and what the futures are.

use std::fmt::Debug;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{RefUnwindSafe, UnwindSafe};

use crossover_runtime::io::Interest;
use crossover_runtime::net::unix::pipe;
use crossover_runtime::net::{
    AsyncFd, AsyncFdReadyGuard, AsyncFdReadyMutGuard, AsyncFdRegisterError, TcpListener, TcpSocket,
    TcpStream, TryIoError, UdpSocket, UnixDatagram, UnixListener, UnixSocket, UnixStream, lookup_host, tcp,
    unix,
};
use crossover_runtime::time;

fn shared<T: Send + Sync + Unpin + Debug>() {}

fn descriptor<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + AsFd + AsRawFd + Debug>() {}

fn sends<T: Send>(_: T) {}

fn sends_and_syncs<T: Send + Sync>(_: &T) {}

#[test]
fn sockets_are_descriptors_and_cross_threads_and_unwindings() {
    descriptor::<TcpListener>();
    descriptor::<TcpSocket>();
    descriptor::<TcpStream>();
    descriptor::<UdpSocket>();
    descriptor::<UnixDatagram>();
    descriptor::<UnixListener>();
    descriptor::<UnixSocket>();
    descriptor::<UnixStream>();
    descriptor::<pipe::Sender>();
    descriptor::<pipe::Receiver>();
    descriptor::<AsyncFd<OwnedFd>>();
}

#[test]
fn halves_guards_errors_and_addresses_cross_threads() {
    shared::<tcp::ReadHalf<'_>>();
    shared::<tcp::WriteHalf<'_>>();
    shared::<tcp::OwnedReadHalf>();
    shared::<tcp::OwnedWriteHalf>();
    shared::<tcp::ReuniteError>();
    shared::<unix::ReadHalf<'_>>();
    shared::<unix::WriteHalf<'_>>();
    shared::<unix::OwnedReadHalf>();
    shared::<unix::OwnedWriteHalf>();
    shared::<unix::ReuniteError>();
    shared::<unix::SocketAddr>();
    shared::<unix::UCred>();
    shared::<pipe::OpenOptions>();
    shared::<AsyncFdReadyGuard<'_, OwnedFd>>();
    shared::<AsyncFdReadyMutGuard<'_, OwnedFd>>();
    shared::<AsyncFdRegisterError<OwnedFd>>();
    shared::<TryIoError>();
    shared::<time::Interval>();
    shared::<time::Instant>();
    fn two<T: Send + Sync>() {}
    two::<time::Sleep>();
    two::<time::Timeout<std::future::Ready<()>>>();
}

#[test]
fn futures_cross_threads() {
    sends(TcpListener::bind("127.0.0.1:1"));
    sends(TcpStream::connect("127.0.0.1:1"));
    sends(UdpSocket::bind("127.0.0.1:1"));
    sends(UnixStream::connect("x"));
    sends(lookup_host("localhost:1"));
    // Never run: what matters is that it compiles.
    let _ = async |stream: &TcpStream, listener: &TcpListener, udp: &UdpSocket, datagram: &UnixDatagram| {
        let mut buffer = [0; 4];
        sends_and_syncs(&stream.readable());
        sends_and_syncs(&stream.peek(&mut buffer));
        sends_and_syncs(&listener.accept());
        sends_and_syncs(&udp.send_to(&[], "127.0.0.1:1"));
        sends_and_syncs(&udp.recv_from(&mut buffer));
        sends_and_syncs(&udp.peek_sender());
        sends_and_syncs(&datagram.send_to(&[], "x"));
        sends_and_syncs(&datagram.recv_buf_from(&mut Vec::new()));
    };
}

/// An owner that may be sent, but not shared.
struct Sole(OwnedFd, std::cell::Cell<u8>);

impl AsFd for Sole {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[test]
fn an_owner_that_is_not_sync_is_awaited_by_mutable_reference_on_any_thread() {
    // Never run: what matters is that it compiles.
    let _ = async |fd: &mut AsyncFd<Sole>| {
        sends(fd.readable_mut());
        sends(fd.writable_mut());
        sends(fd.async_io_mut(Interest::READABLE, |owner| {
            owner.1.set(owner.1.get() + 1);
            Ok(())
        }));
    };
}

#[test]
fn a_future_that_reads_by_trying_does_not_hold_its_buffer() {
    let future = async {
        let stream = TcpStream::connect("127.0.0.1:1").await?;
        loop {
            stream.readable().await?;
            let mut buffer = [0; 4096];
            if stream.try_read(&mut buffer)? == 0 {
                return std::io::Result::Ok(());
            }
        }
    };
    assert!(size_of_val(&future) < 1000, "{} bytes", size_of_val(&future));
}
