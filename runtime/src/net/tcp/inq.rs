//! Reading with the question "how much is left?" (Linux, `TCP_INQ`).
//!
//! A reader whose buffer is just as large as the messages fills it each time, so that only one more read, which finds
//! nothing, says that the socket is empty: half of all reads of a request-response protocol. The kernel can say so
//! along with the data. The answer costs a little more per read, so it is asked for only on a connection whose reads
//! have repeatedly found nothing.

use std::io;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use nix::libc;

/// Room for one control message that holds one `c_int`.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    value: libc::c_int,
}

/// From now on, `read_and_ask` is answered; or not any more.
pub(in crate::net) fn set_answers(stream: &TcpStream, on: bool) -> io::Result<()> {
    let value = libc::c_int::from(on);
    let size = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open, and `value` is as large as said.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INQ,
            (&raw const value).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads, and says how many bytes are left to be read (the end of the stream counts as one), if the kernel does.
pub(in crate::net) fn read_and_ask(
    stream: &TcpStream,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<usize>)> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = MaybeUninit::<Control>::zeroed();
    // SAFETY: all zeroes is a valid message header: null pointers, lengths of zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: the descriptor is open; the header describes `buffer` and `control`, which both outlive the call.
    let count = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut message, 0) };
    // Negative on an error, and then errno says which.
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: it was zeroed, which is a value of its integers, and the kernel may have written others.
    let control = unsafe { control.assume_init() };
    let answered = message.msg_controllen >= size_of::<libc::cmsghdr>() + size_of::<libc::c_int>()
        && control.header.cmsg_level == libc::IPPROTO_TCP
        && control.header.cmsg_type == libc::TCP_INQ;
    Ok((count, answered.then(|| usize::try_from(control.value).unwrap_or(usize::MAX))))
}

/// Is this the end of a connection within this machine that moves to where the other end is? The one with the smaller
/// port, mostly the server's.
pub(in crate::net) fn follows(stream: &TcpStream) -> bool {
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return false };
    local.ip() == peer.ip() && local.port() < peer.port()
}

#[cfg(all(test, not(any(runtime_loom, runtime_shuttle))))]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};

    #[test]
    fn the_kernel_says_how_much_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let mut a = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (b, _) = listener.accept().expect("accept");
        let mut buffer = [0; 4];
        a.write_all(b"12345678").expect("write");
        assert_eq!(read_and_ask(&b, &mut buffer).expect("read"), (4, None), "nobody asked");
        set_answers(&b, true).expect("TCP_INQ");
        assert_eq!(read_and_ask(&b, &mut buffer).expect("read"), (4, Some(0)));
        assert_eq!(&buffer, b"5678");
        a.write_all(b"123456").expect("write");
        assert_eq!(read_and_ask(&b, &mut buffer).expect("read"), (4, Some(2)));
        a.shutdown(Shutdown::Write).expect("shutdown");
        assert_eq!(read_and_ask(&b, &mut buffer).expect("read").0, 2);
        assert_eq!(read_and_ask(&b, &mut buffer).expect("read").0, 0);
        set_answers(&b, false).expect("TCP_INQ");
    }
}
