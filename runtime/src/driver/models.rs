//! Model checks of the driver's protocols under loom; see `src/models.rs` for the bounds and for how they are run.
//!
//! **The readiness word.** `Source` is the real one. The kernel's side is a locked socket (`Wire`) with an edge: a
//! change asks for an event; the turn *fetches* it, state and all, and *serves* it a moment later. The reader does
//! what `Registration::poll_transfer` does. If a readiness or the end of the stream were lost, the reader would sleep
//! for ever, which loom reports as a deadlock.

use super::io::{Direction, Outcome, Source};
use crate::io::Ready;
use crate::sync::prim::{Condvar, Mutex};
use loom::sync::Arc;
use loom::thread;
use std::task::{Context, Poll, Wake, Waker};

fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// Puts a thread to sleep until its waker is called.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    signal: Condvar,
}

impl Bell {
    fn new() -> (std::sync::Arc<Bell>, Waker) {
        let bell = std::sync::Arc::new(Bell::default());
        (bell.clone(), bell.into())
    }

    fn wait(&self) {
        let mut rung = self.rung.lock();
        while !std::mem::take(&mut *rung) {
            rung = self.signal.wait(rung);
        }
    }
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        *self.rung.lock() = true;
        self.signal.notify_one();
    }
}

/// One end of a connection as the kernel knows it.
#[derive(Default)]
struct Wire {
    unread: usize,
    ended: bool,
    /// No room for a write.
    full: bool,
    /// A change that no event has announced yet.
    edge: bool,
}

struct Connection {
    wire: Mutex<Wire>,
    source: Source,
}

impl Connection {
    fn new(full: bool) -> Arc<Connection> {
        let wire = Wire { full, ..Wire::default() };
        // As for an accepted socket: that there is room is a guess.
        Arc::new(Connection { wire: Mutex::new(wire), source: Source::new(Ready::WRITABLE) })
    }

    fn change(&self, change: impl FnOnce(&mut Wire)) {
        let mut wire = self.wire.lock();
        change(&mut wire);
        wire.edge = true;
    }

    /// One turn of the driver: the event holds the state at the time of its fetching.
    fn turn(&self) {
        let fetched = {
            let mut wire = self.wire.lock();
            if !std::mem::take(&mut wire.edge) {
                return;
            }
            let mut ready = if wire.full { Ready::EMPTY } else { Ready::WRITABLE };
            if wire.unread > 0 || wire.ended {
                ready |= Ready::READABLE;
            }
            if wire.ended {
                ready |= Ready::READ_CLOSED;
            }
            ready
        };
        let mut woken = Vec::new();
        self.source.set(fetched, &mut woken);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Attempts to write until there is room.
    fn write(&self) {
        let (bell, waker) = Bell::new();
        let mut cx = Context::from_waker(&waker);
        loop {
            match self.source.poll_ready(&mut cx, Direction::Write) {
                Poll::Pending => bell.wait(),
                Poll::Ready(event) => {
                    if !self.wire.lock().full {
                        return;
                    }
                    self.source.note(event.expect("no shutdown"), Outcome::WouldBlock);
                }
            }
        }
    }

    /// Reads up to `wanted` bytes, then the next, until the stream has ended. Returns how many there were.
    fn read_to_end(&self, wanted: usize) -> usize {
        let (bell, waker) = Bell::new();
        let mut cx = Context::from_waker(&waker);
        let mut total = 0;
        loop {
            let event = match self.source.poll_ready(&mut cx, Direction::Read) {
                Poll::Ready(event) => event.expect("no shutdown"),
                Poll::Pending => {
                    bell.wait();
                    continue;
                }
            };
            let (count, ended) = {
                let mut wire = self.wire.lock();
                let count = wire.unread.min(wanted);
                wire.unread -= count;
                (count, wire.ended)
            };
            match count {
                0 if ended => return total,
                0 => self.source.note(event, Outcome::WouldBlock),
                _ if count < wanted => self.source.note(event, Outcome::Drained),
                _ => self.source.note(event, Outcome::MaybeMore),
            }
            total += count;
        }
    }
}

/// Data, more data, the end: whatever of them one event announces, and wherever the reader is meanwhile. Short reads
/// clear the readiness; full ones do not.
#[test]
fn a_short_read_loses_neither_data_nor_the_end() {
    for wanted in [1, 2, 4] {
        model(2, move || {
            let connection = Connection::new(false);
            let driver = {
                let connection = connection.clone();
                thread::spawn(move || {
                    connection.change(|wire| wire.unread += 1);
                    connection.turn();
                    connection.change(|wire| wire.unread += 2);
                    connection.change(|wire| wire.ended = true);
                    connection.turn();
                })
            };
            assert_eq!(connection.read_to_end(wanted), 3);
            driver.join().unwrap();
        });
    }
}

/// The same while the peer goes on between the fetching of an event and its serving.
#[test]
fn changes_between_the_fetch_and_the_serving_are_heard() {
    model(2, || {
        let connection = Connection::new(false);
        let peer = {
            let connection = connection.clone();
            thread::spawn(move || {
                connection.change(|wire| wire.unread += 1);
                connection.change(|wire| wire.ended = true);
            })
        };
        let driver = {
            let connection = connection.clone();
            thread::spawn(move || {
                connection.turn();
                peer.join().unwrap();
                connection.turn();
            })
        };
        assert_eq!(connection.read_to_end(2), 1);
        driver.join().unwrap();
    });
}

/// A reader and a writer on one source, each clearing its own bit while events for the other one are served.
#[test]
fn the_two_directions_do_not_take_each_others_readiness() {
    model(2, || {
        let connection = Connection::new(true);
        let writer = {
            let connection = connection.clone();
            thread::spawn(move || connection.write())
        };
        let driver = {
            let connection = connection.clone();
            thread::spawn(move || {
                connection.change(|wire| wire.unread += 1);
                connection.turn();
                connection.change(|wire| wire.full = false);
                connection.turn();
                connection.change(|wire| wire.ended = true);
                connection.turn();
            })
        };
        assert_eq!(connection.read_to_end(2), 1);
        driver.join().unwrap();
        writer.join().unwrap();
    });
}
