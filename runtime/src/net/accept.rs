//! What TCP and Unix listeners share: accepting, and the back-off when the process has run out of descriptors.
//!
//! `EMFILE` and its kin are returned to the caller, who may want to close something. But the connection stays in the
//! kernel's queue and the listener stays ready, so that the usual loop around `accept` would spin: after such an
//! error the next attempt is put off by `PAUSE`, which makes at most 50 attempts per second, however many tasks
//! accept: each looks for a pause under the lock that it holds during its attempt.
//!
//! Lock order: `pause` is a leaf; `accept(2)` on a non-blocking listener is all that happens under it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};

use super::Evented;
use crate::driver::{Direction, Timer};
use crate::io::Interest;
use crate::sync::prim::Mutex;

const PAUSE: Duration = Duration::from_millis(20);

/// A registered listener `L`.
pub(super) struct Acceptor<L: AsFd> {
    pub(super) inner: Evented<L>,
    pause: Mutex<Pause>,
}

#[derive(Default)]
struct Pause {
    /// No attempt before this instant.
    until: Option<Instant>,
    /// Of the task in `poll_accept`; out of here while it is being polled.
    timer: Option<Pin<Box<Timer>>>,
}

impl<L: AsFd> Acceptor<L> {
    pub(super) fn new(inner: Evented<L>) -> Acceptor<L> {
        Acceptor { inner, pause: Mutex::new(Pause::default()) }
    }

    /// Any number of tasks may wait here.
    pub(super) async fn accept<R>(&self, mut accept: impl FnMut(&L) -> io::Result<R>) -> io::Result<R> {
        loop {
            let until = self.pause.lock().until;
            if let Some(mut timer) = until.map(|until| self.timer(until)) {
                poll_fn(|cx| timer.as_mut().poll(cx)).await?;
            }
            if let Some(accepted) =
                self.inner.async_io(Interest::READABLE, || self.attempt(&mut accept)).await?
            {
                return Ok(accepted);
            }
        }
    }

    /// The task that polled last is the one that is woken.
    pub(super) fn poll_accept<R>(
        &self,
        cx: &mut Context<'_>,
        mut accept: impl FnMut(&L) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            ready!(self.poll_pause(cx))?;
            let attempt = || self.attempt(&mut accept);
            if let Some(accepted) = ready!(self.inner.poll_io(cx, Direction::Read, attempt))? {
                return Poll::Ready(Ok(accepted));
            }
        }
    }

    fn poll_pause(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timer = {
            let mut pause = self.pause.lock();
            let until = pause.until;
            pause.timer.take().or_else(|| until.map(|until| self.timer(until)))
        };
        // Polled outside of the lock, since it clones and drops wakers.
        let Some(mut timer) = timer else { return Poll::Ready(Ok(())) };
        match timer.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(Into::into)),
            Poll::Pending => {
                let other = self.pause.lock().timer.replace(timer);
                drop(other);
                Poll::Pending
            }
        }
    }

    fn timer(&self, until: Instant) -> Pin<Box<Timer>> {
        Box::pin(Timer::new(self.inner.driver(), until))
    }

    /// One attempt; `None`: there is a pause, which another task's attempt has begun.
    fn attempt<R>(&self, accept: &mut impl FnMut(&L) -> io::Result<R>) -> io::Result<Option<R>> {
        let mut pause = self.pause.lock();
        if pause.until.is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        let result = accept(self.inner.get());
        pause.until = match &result {
            Err(error) if is_out_of_resources(error) => Instant::now().checked_add(PAUSE),
            _ => None,
        };
        result.map(Some)
    }
}

/// The next connection, in non-blocking mode by the same system call, and whose it is (`None`: the system does not say).
pub(super) fn accept_nonblocking(listener: &impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    Ok(acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
}

/// The process or the system is out of descriptors or memory: the connection is still queued.
fn is_out_of_resources(error: &io::Error) -> bool {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| exhausted.iter().any(|errno| errno.raw_os_error() == code))
}

impl<L: AsFd + fmt::Debug> fmt::Debug for Acceptor<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
