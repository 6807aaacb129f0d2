//! `Evented`: a descriptor with its registration, what every type of `net` is made of.
//!
//! It owns both, and ends the registration before the descriptor is closed or handed out. It charges the poll
//! budget: the poll functions only when they got something, the async ones before they begin; waiting for
//! readiness alone is free.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use super::company::Company;
use super::transfer::ReadStyle;
use crate::driver::{self, Direction, ReadyEvent, Registration};
use crate::io::{Interest, Ready};
use crate::runtime::Handle;
use crate::scheduler::budget;

/// A descriptor in non-blocking mode and its registration, which ends before the descriptor is closed.
pub(crate) struct Evented<T: AsFd> {
    /// `None` only inside of `into_inner` and `drop`.
    io: Option<T>,
    pub(super) registration: Registration,
    pub(super) read_style: ReadStyle,
    pub(super) company: Company,
}

impl<T: AsFd> Evented<T> {
    /// Registers with the driver of the current runtime; see `Registration::new` for `initial`.
    #[track_caller]
    pub(crate) fn new(io: T, initial: Ready) -> io::Result<Evented<T>> {
        Evented::new_on(Handle::current().driver(), io, initial)
    }

    /// Registers with a given driver.
    pub(crate) fn new_on(driver: &driver::Handle, io: T, initial: Ready) -> io::Result<Evented<T>> {
        Evented::try_new_on(driver, io, initial).map_err(|(_, error)| error)
    }

    /// Hands `io` back when it cannot be registered.
    pub(super) fn try_new_on(
        driver: &driver::Handle,
        io: T,
        initial: Ready,
    ) -> Result<Evented<T>, (T, io::Error)> {
        match Registration::new(driver, io.as_fd(), initial) {
            Ok(registration) => Ok(Evented {
                io: Some(io),
                registration,
                read_style: ReadStyle::default(),
                company: Company::default(),
            }),
            Err(error) => Err((io, error)),
        }
    }

    pub(crate) fn driver(&self) -> &driver::Handle {
        self.registration.handle()
    }

    pub(crate) fn get(&self) -> &T {
        self.io.as_ref().expect("taken only by into_inner and drop, which end the borrow of self")
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.io.as_mut().expect("taken only by into_inner and drop, which end the borrow of self")
    }

    /// Ends the registration and hands out the descriptor, still in non-blocking mode.
    pub(crate) fn into_inner(mut self) -> T {
        self.deregister().expect("taken only here and in drop, and each consumes self")
    }

    fn deregister(&mut self) -> Option<T> {
        let io = self.io.take()?;
        self.registration.deregister(io.as_fd());
        Some(io)
    }

    /// Any number of waiters. Charges nothing, as in tokio: where there is readiness, it is ready.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<ReadyEvent> {
        self.registration.ready(interest).await
    }

    pub(crate) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<ReadyEvent>> {
        let charge = ready!(budget::poll_proceed(cx));
        let event = ready!(self.registration.poll_ready(cx, direction))?;
        charge.made_progress();
        Poll::Ready(Ok(event))
    }

    pub(crate) fn clear(&self, event: ReadyEvent) {
        self.registration.clear(event);
    }

    pub(crate) fn try_io<R>(
        &self,
        interest: Interest,
        attempt: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.registration.try_io(interest, attempt)
    }

    pub(super) fn try_io_mut<R>(
        &mut self,
        interest: Interest,
        attempt: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let io = self.io.as_mut().expect("taken only by into_inner and drop, which end the borrow of self");
        self.registration.try_io(interest, || attempt(io))
    }

    /// One waiter per direction: the latest.
    pub(crate) fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        attempt: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let charge = ready!(budget::poll_proceed(cx));
        let polled = self.registration.poll_io(cx, direction, attempt);
        match polled.is_ready() {
            true => charge.made_progress(),
            false => self.registration.waits_here(self.get().as_fd()),
        }
        polled
    }

    /// Any number of waiters. The budget is charged before, because after the attempt there is something to
    /// lose.
    pub(crate) async fn async_io<R>(
        &self,
        interest: Interest,
        attempt: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        budget::consume_budget().await;
        let mut io = pin!(self.registration.async_io(interest, attempt));
        let poll = |cx: &mut Context<'_>| {
            let polled = io.as_mut().poll(cx);
            if polled.is_pending() {
                self.registration.waits_here(self.get().as_fd());
            }
            polled
        };
        poll_fn(poll).await
    }

    pub(super) async fn async_io_mut<R>(
        &mut self,
        interest: Interest,
        mut attempt: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        budget::consume_budget().await;
        let io = self.io.as_mut().expect("taken only by into_inner and drop, which end the borrow of self");
        self.registration.async_io(interest, || attempt(io)).await
    }
}

impl<T: AsFd> Drop for Evented<T> {
    fn drop(&mut self) {
        drop(self.deregister());
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Evented<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evented").field("io", &self.io).field("registration", &self.registration).finish()
    }
}
