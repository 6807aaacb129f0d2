//! Descriptors over a socket (SCM_RIGHTS): a message is a tag of a few bytes, which says what they are, and the descriptors.
//!
//! Every message carries both, so on a stream socket too a message is received alone: the kernel ends a read at
//! descriptors. What arrives is owned before anything can fail, so nothing leaks.

use super::super::descriptor::kept_high;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Most bytes of a tag.
pub(crate) const TAG_MAX: usize = 64;

/// Most descriptors of a message.
pub(crate) const MOST_DESCRIPTORS: usize = 16;

/// Whether a call waits for the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It fails with `WouldBlock` instead.
    No,
    /// It does, unless the socket is set not to.
    Yes,
}

/// What was received.
#[derive(Debug)]
pub(crate) struct Passed {
    tag: [u8; TAG_MAX],
    tag_bytes: usize,
    /// Close-on-exec, and none of them is in the place of a standard stream.
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Passed {
    pub(crate) fn tag(&self) -> &[u8] {
        &self.tag[..self.tag_bytes]
    }
}

/// Sends copies of the descriptors, 1 to [`MOST_DESCRIPTORS`], with a tag of 1 to [`TAG_MAX`] bytes. All or nothing.
///
/// # Errors
/// The socket's; `InvalidInput` when there are none or too many of either.
pub(crate) fn send_descriptors(
    socket: BorrowedFd<'_>,
    tag: &[u8],
    descriptors: &[BorrowedFd<'_>],
    wait: Wait,
) -> io::Result<()> {
    if !(1..=TAG_MAX).contains(&tag.len()) || !(1..=MOST_DESCRIPTORS).contains(&descriptors.len()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = match wait {
        Wait::No => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        Wait::Yes => SendFlags::NOSIGNAL,
    };
    loop {
        match sendmsg(socket, &[IoSlice::new(tag)], &mut control, flags) {
            Ok(sent) if sent == tag.len() => return Ok(()),
            // So few bytes are never divided.
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one message. `None`: the other side has closed the socket.
///
/// # Errors
/// The socket's; `InvalidData` when it is no such message, or this process is out of descriptors: what came of it is
/// closed again.
pub(crate) fn receive_descriptors(socket: BorrowedFd<'_>, wait: Wait) -> io::Result<Option<Passed>> {
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    flags.set(RecvFlags::DONTWAIT, wait == Wait::No);
    let mut passed = Passed { tag: [0; TAG_MAX], tag_bytes: 0, descriptors: Vec::new() };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut reset = false;
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut passed.tag)], &mut control, flags) {
            Err(Errno::INTR) => {}
            // Closed with something unread in the other direction. Linux says so once, and before it hands out what lies here.
            Err(Errno::CONNRESET) if !reset => reset = true,
            Err(Errno::CONNRESET) => return Ok(None),
            result => break result?,
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            passed.descriptors.extend(descriptors);
        }
    }
    let arrived = std::mem::take(&mut passed.descriptors);
    passed.descriptors = arrived.into_iter().map(kept_high).collect::<io::Result<_>>()?;
    passed.tag_bytes = received.bytes;
    let cut = received.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC);
    match (received.bytes, passed.descriptors.len()) {
        (0, 0) if !cut => Ok(None),
        (1.., 1..) if !cut => Ok(Some(passed)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a message without descriptors, or with more than can be received here",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process_pool::descriptor::LOWEST;
    use rustix::io::{FdFlags, fcntl_getfd, read, write};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, send, socketpair};
    use rustix::pipe::pipe;
    use std::os::fd::{AsFd, AsRawFd};

    fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn descriptors_arrive_message_by_message() {
        for kind in [SocketType::SEQPACKET, SocketType::STREAM] {
            let (ours, theirs) = pair(kind);
            let (reader, writer) = pipe().unwrap();
            send_descriptors(ours.as_fd(), b"first", &[reader.as_fd()], Wait::No).unwrap();
            let many = [writer.as_fd(); MOST_DESCRIPTORS];
            send_descriptors(ours.as_fd(), &[7; TAG_MAX], &many, Wait::Yes).unwrap();

            let first = receive_descriptors(theirs.as_fd(), Wait::Yes).unwrap().unwrap();
            assert_eq!((first.tag(), first.descriptors.len()), (&b"first"[..], 1));
            let second = receive_descriptors(theirs.as_fd(), Wait::No).unwrap().unwrap();
            assert_eq!((second.tag(), second.descriptors.len()), (&[7; TAG_MAX][..], MOST_DESCRIPTORS));
            for descriptor in first.descriptors.iter().chain(&second.descriptors) {
                assert!(fcntl_getfd(descriptor).unwrap().contains(FdFlags::CLOEXEC));
                assert!(descriptor.as_raw_fd() >= LOWEST);
            }
            write(&second.descriptors[15], b"through").unwrap();
            let mut text = [0; 10];
            assert_eq!(read(&first.descriptors[0], &mut text), Ok(7));

            let error = receive_descriptors(theirs.as_fd(), Wait::No).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            drop(ours);
            assert!(receive_descriptors(theirs.as_fd(), Wait::Yes).unwrap().is_none());
        }
    }

    #[test]
    fn what_a_peer_sent_before_it_left_without_reading_arrives() {
        for kind in [SocketType::SEQPACKET, SocketType::STREAM] {
            let (ours, theirs) = pair(kind);
            let (reader, _writer) = pipe().unwrap();
            send_descriptors(ours.as_fd(), b"unread", &[reader.as_fd()], Wait::No).unwrap();
            send_descriptors(theirs.as_fd(), b"last", &[reader.as_fd()], Wait::No).unwrap();
            drop(theirs);
            let last = receive_descriptors(ours.as_fd(), Wait::No).unwrap().expect("it was sent");
            assert_eq!((last.tag(), last.descriptors.len()), (&b"last"[..], 1), "{kind:?}");
            assert!(receive_descriptors(ours.as_fd(), Wait::No).unwrap().is_none());
        }
    }

    #[test]
    fn a_peer_that_left_without_reading_has_hung_up() {
        let (ours, theirs) = pair(SocketType::SEQPACKET);
        send(&ours, b"unread", SendFlags::empty()).unwrap();
        drop(theirs);
        assert!(receive_descriptors(ours.as_fd(), Wait::Yes).unwrap().is_none());
    }

    #[test]
    fn sending_to_a_full_or_closed_socket_fails() {
        let (ours, _theirs) = pair(SocketType::SEQPACKET);
        let (reader, _) = pipe().unwrap();
        let error = loop {
            if let Err(error) = send_descriptors(ours.as_fd(), b"x", &[reader.as_fd()], Wait::No) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let (ours, theirs) = pair(SocketType::SEQPACKET);
        drop(theirs);
        let error = send_descriptors(ours.as_fd(), b"x", &[ours.as_fd()], Wait::Yes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_is_no_such_message_is_refused() {
        let (ours, theirs) = pair(SocketType::SEQPACKET);
        let fd = ours.as_fd();
        for (tag, fds) in [(&b""[..], &[fd][..]), (&[0; 65], &[fd]), (b"x", &[]), (b"x", &[fd; 17])] {
            let error = send_descriptors(fd, tag, fds, Wait::No).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        send(fd, b"no descriptors", SendFlags::empty()).unwrap();
        send(fd, &[0; 100], SendFlags::empty()).unwrap();
        for _ in 0..2 {
            let error = receive_descriptors(theirs.as_fd(), Wait::No).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
