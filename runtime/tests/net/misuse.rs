//! Outside of a runtime: whatever needs one panics, and says where it was called.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crossover_runtime::net::unix::pipe;
use crossover_runtime::net::{
    AsyncFd, TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixSocket, UnixStream,
};

use super::Folder;

thread_local! {
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The file in which `f` panics, by the panic's own account.
fn panics_in<R>(f: impl FnOnce() -> R) -> String {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let former = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let location = info.location().map(|location| location.file().to_owned());
            LOCATION.with_borrow_mut(|last| *last = location);
            former(info);
        }));
    });
    let result = panic::catch_unwind(AssertUnwindSafe(|| drop(f())));
    assert!(result.is_err(), "it needs a runtime");
    LOCATION.take().expect("the hook has run")
}

macro_rules! assert_panics_here {
    ($($call:expr),+ $(,)?) => {
        $(assert_eq!(panics_in(|| $call), file!(), stringify!($call));)+
    };
}

fn tcp() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").expect("bind")
}

#[test]
fn taking_over_a_socket_of_std_panics_at_the_caller() {
    let (a, b) = std::os::unix::net::UnixStream::pair().expect("pair");
    let listener = tcp();
    let stream = std::net::TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
    let datagram = std::os::unix::net::UnixDatagram::unbound().expect("unbound");
    let folder = Folder::new();
    let unix = std::os::unix::net::UnixListener::bind(folder.path("std")).expect("bind");
    assert_panics_here!(
        TcpListener::from_std(tcp()),
        TcpListener::try_from(tcp()),
        TcpStream::from_std(stream.try_clone().expect("clone")),
        TcpStream::try_from(stream),
        UdpSocket::from_std(udp.try_clone().expect("clone")),
        UdpSocket::try_from(udp),
        UnixStream::from_std(a),
        UnixStream::try_from(b),
        UnixDatagram::from_std(datagram.try_clone().expect("clone")),
        UnixDatagram::try_from(datagram),
        UnixListener::from_std(unix.try_clone().expect("clone")),
        UnixListener::try_from(unix),
    );
}

#[test]
fn making_a_socket_panics_at_the_caller_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let bound = TcpSocket::new_v4().expect("socket");
    bound.bind("127.0.0.1:0".parse().expect("an address")).expect("bind");
    let unix = UnixSocket::new_stream().expect("socket");
    unix.bind(folder.path("socket")).expect("bind");
    let fifo = folder.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let address = std::os::unix::net::SocketAddr::from_pathname(folder.path("b")).expect("address").into();
    let (read, write) = std::io::pipe().expect("pipe");
    assert_panics_here!(
        UnixListener::bind(folder.path("a")),
        UnixListener::bind_addr(&address),
        UnixDatagram::bind(folder.path("c")),
        UnixDatagram::unbound(),
        UnixDatagram::pair(),
        UnixStream::pair(),
        bound.listen(1),
        unix.listen(1),
        UnixSocket::new_datagram().expect("socket").datagram(),
        pipe::pipe(),
        pipe::OpenOptions::new().open_receiver(&fifo),
        pipe::OpenOptions::new().read_write(true).open_sender(&fifo),
        pipe::Receiver::from_owned_fd(read.try_clone().expect("clone").into()),
        pipe::Sender::from_owned_fd(write.into()),
        AsyncFd::new(read.try_clone().expect("clone")),
        AsyncFd::try_new(read),
    );
    let mut left: Vec<_> = std::fs::read_dir(&folder.0)
        .expect("folder")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["fifo", "socket"]);
}

#[test]
fn futures_that_need_a_runtime_panic_when_they_are_polled() {
    let listener = tcp();
    let address = listener.local_addr().expect("address");
    let folder = Folder::new();
    let _unix = std::os::unix::net::UnixListener::bind(folder.path("std")).expect("bind");
    use futures::executor::block_on;
    panics_in(|| block_on(TcpStream::connect(address)));
    panics_in(|| block_on(TcpListener::bind("127.0.0.1:0")));
    panics_in(|| block_on(UdpSocket::bind("127.0.0.1:0")));
    panics_in(|| block_on(UnixStream::connect(folder.path("std"))));
    panics_in(|| block_on(TcpSocket::new_v4().expect("socket").connect(address)));
    panics_in(|| block_on(TcpStream::connect("localhost:1")));
}
