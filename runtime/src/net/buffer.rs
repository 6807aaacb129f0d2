//! Where received bytes go: memory that need not be initialised, and the buffers of the `poll_recv` family.
//!
//! All `unsafe` of the `*_buf` functions is in `append`, which only the functions beside it call.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use bytes::BufMut;
use rustix::net::{RecvFlags, SocketAddrAny};

/// What the `poll_recv` family receives into.
///
/// - A slice, from its start; the functions return how many bytes they have received.
/// - With the feature `tokio-io`: `tokio::io::ReadBuf`, behind what is in it already. The functions then
///   return what
///   tokio's return, which is no count.
///
/// Cannot be implemented outside of this crate.
///
/// # Example
/// ```
/// use crossover_runtime::net::UdpSocket;
/// use std::future::poll_fn;
///
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let socket = UdpSocket::bind("127.0.0.1:0").await?;
/// socket.send_to(b"to myself", socket.local_addr()?).await?;
/// let mut buffer = [0; 32];
/// let (count, from) = poll_fn(|cx| socket.poll_recv_from(cx, &mut buffer)).await?;
/// assert_eq!((&buffer[..count], from), (&b"to myself"[..], socket.local_addr()?));
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub trait RecvBuffer: sealed::Space {
    /// What a function returns that has received.
    type Received;
    /// What a function returns that has received, and tells from whom.
    type ReceivedFrom<A>;

    #[doc(hidden)]
    fn received(&mut self, count: usize) -> Self::Received;
    #[doc(hidden)]
    fn received_from<A>(&mut self, count: usize, address: A) -> Self::ReceivedFrom<A>;
}

mod sealed {
    pub trait Space {
        /// Where to receive to.
        #[doc(hidden)]
        fn space(&mut self) -> &mut [u8];
    }
}

impl sealed::Space for [u8] {
    fn space(&mut self) -> &mut [u8] {
        self
    }
}

impl RecvBuffer for [u8] {
    type Received = usize;
    type ReceivedFrom<A> = (usize, A);

    fn received(&mut self, count: usize) -> usize {
        count
    }

    fn received_from<A>(&mut self, count: usize, address: A) -> (usize, A) {
        (count, address)
    }
}

impl<const N: usize> sealed::Space for [u8; N] {
    fn space(&mut self) -> &mut [u8] {
        self
    }
}

impl<const N: usize> RecvBuffer for [u8; N] {
    type Received = usize;
    type ReceivedFrom<A> = (usize, A);

    fn received(&mut self, count: usize) -> usize {
        count
    }

    fn received_from<A>(&mut self, count: usize, address: A) -> (usize, A) {
        (count, address)
    }
}

#[cfg(feature = "tokio-io")]
impl sealed::Space for tokio::io::ReadBuf<'_> {
    fn space(&mut self) -> &mut [u8] {
        self.initialize_unfilled()
    }
}

#[cfg(feature = "tokio-io")]
impl RecvBuffer for tokio::io::ReadBuf<'_> {
    type Received = ();
    type ReceivedFrom<A> = A;

    fn received(&mut self, count: usize) {
        self.advance(count);
    }

    fn received_from<A>(&mut self, count: usize, address: A) -> A {
        self.advance(count);
        address
    }
}

/// Reads into memory that need not be initialised; the first `n` bytes are, when `Ok(n)` is returned.
pub(super) fn read_uninit(source: &impl AsFd, space: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let (read, _) = rustix::io::read(source, space)?;
    Ok(read.len())
}

/// Reads into the next piece of `buffer`.
pub(super) fn read_buf<B: BufMut>(source: &impl AsFd, buffer: &mut B) -> io::Result<usize> {
    let (count, ()) = append(buffer, |space| Ok((read_uninit(source, space)?, ())))?;
    Ok(count)
}

/// Receives a datagram into the next piece of `buffer`, and says whose it is.
pub(super) fn recv_buf_from<B: BufMut, A: Address>(
    socket: &impl AsFd,
    buffer: &mut B,
) -> io::Result<(usize, A)> {
    append(buffer, |space| {
        let ((received, _), _, address) = rustix::net::recvfrom(socket, space, RecvFlags::empty())?;
        // An address that cannot be expressed must not cost the datagram.
        let address = A::from_system(address).or_else(|| A::from_system(None));
        Ok((received.len(), address.ok_or(io::ErrorKind::InvalidData)?))
    })
}

/// Lets one of the functions above fill the next piece of `buffer`: as many bytes from its start as it says.
fn append<B: BufMut, R>(
    buffer: &mut B,
    fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> io::Result<(usize, R)>,
) -> io::Result<(usize, R)> {
    // SAFETY: `fill` only passes the memory to the kernel, which initialises what it writes.
    let space = unsafe { buffer.chunk_mut().as_uninit_slice_mut() };
    let (count, rest) = fill(space)?;
    // SAFETY: `fill` has had the kernel initialise that many bytes of the chunk.
    unsafe { buffer.advance_mut(count) };
    Ok((count, rest))
}

/// The address of a kind of socket.
pub(super) trait Address: Sized {
    /// From what the system wrote, if it wrote one at all; `None`: it cannot be expressed.
    fn from_system(address: Option<SocketAddrAny>) -> Option<Self>;
}

impl Address for std::net::SocketAddr {
    fn from_system(address: Option<SocketAddrAny>) -> Option<std::net::SocketAddr> {
        address?.try_into().ok()
    }
}

/// The address of an IP socket.
pub(super) fn socket_addr(address: &socket2::SockAddr) -> io::Result<std::net::SocketAddr> {
    address
        .as_socket()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an address of IPv4 or IPv6"))
}

/// Whose the next datagram is, which stays in the queue, its data unread.
pub(super) fn peek_sender(socket: &impl AsFd) -> io::Result<std::net::SocketAddr> {
    let (_, _, address) = rustix::net::recvfrom(socket, &mut [0_u8; 0], RecvFlags::PEEK)?;
    Ok(Address::from_system(address).ok_or(io::ErrorKind::InvalidData)?)
}
