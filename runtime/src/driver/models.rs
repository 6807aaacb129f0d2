//! Model checks of the driver's protocols under loom; see `src/models.rs` for the bounds and for how they are run.
//!
//! **The readiness word.** `Source` is the real one. The kernel's side is a locked socket (`Wire`) with an edge: a
//! change asks for an event; the turn *fetches* it, state and all, and *serves* it a moment later. The reader does
//! what `Registration::poll_transfer` does. If a readiness or the end of the stream were lost, the reader would sleep
//! for ever, which loom reports as a deadlock.
//!
//! **Home.** `Home` and `Queues` are the real ones, down to the kernel's event queues and a pair of sockets: none of these
//! calls waits, so loom's threads may make them.

use super::io::{Direction, Outcome, Source};
use super::poller::{Events, Key, Limit};
use super::queues::{Home, Queues};
use crate::io::Ready;
use crate::models::model;
use crate::sync::prim::{Condvar, Mutex};
use loom::sync::Arc;
use loom::thread;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, Wake, Waker};

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

/// A descriptor with its home, in two queues' hands.
struct Resident {
    // Only compared by address and looked at: the last to be dropped.
    queues: std::sync::Arc<Queues>,
    home: Home,
    source: Source,
    fd: UnixStream,
}

impl Resident {
    /// At home in the first queue, and the other end.
    fn new(queues: &std::sync::Arc<Queues>) -> (Resident, UnixStream) {
        let (fd, peer) = UnixStream::pair().expect("socketpair");
        fd.set_nonblocking(true).expect("O_NONBLOCK");
        queues.get(0).add(fd.as_fd(), Resident::key()).expect("add");
        let source = Source::new(Ready::EMPTY);
        (Resident { queues: queues.clone(), home: Home::new(0), source, fd }, peer)
    }

    fn key() -> Key {
        Key::new(0, 0)
    }

    /// The worker of `queue` runs its task, which has to wait, `times` times.
    fn wait_at(&self, queue: usize, times: usize) {
        self.queues.enter(queue);
        (0..times).for_each(|_| self.home.waits_here(&self.queues, self.fd.as_fd(), Resident::key()));
    }

    /// A turn of `queue`; between fetching and serving others may do anything.
    fn turn(&self, queue: usize) {
        let mut events = Events::with_capacity(super::BATCH);
        self.queues.get(queue).poller.wait(&mut events, Limit::Poll).expect("wait");
        thread::yield_now();
        for event in events.iter() {
            self.source.set(event.ready, &mut Vec::new());
        }
    }

    /// Reads what there is, for as long as it counts as readable.
    fn read(&self) -> usize {
        let mut total = 0;
        while let Poll::Ready(event) =
            self.source.poll_ready(&mut Context::from_waker(Waker::noop()), Direction::Read)
        {
            match (&self.fd).read(&mut [0; 8]) {
                Ok(count) => total += count,
                Err(_) => self.source.note(event.expect("no shutdown"), Outcome::WouldBlock),
            }
        }
        total
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let (home, other) = (self.home.last(), 1 - self.home.last());
        self.queues.get(other).poller.delete(self.fd.as_fd()).expect_err("it is in one queue only");
        self.queues.get(home).poller.delete(self.fd.as_fd()).expect("it is where it says");
        // Again, for the count.
        self.queues.get(home).delete(self.fd.as_fd());
        assert!(self.queues.iter().all(|queue| queue.is_empty()));
    }
}

/// Two workers between which a task goes to and fro, each moving its descriptor to itself, while its peer writes: the bytes
/// are read, or announced by the queue that is its home in the end.
#[test]
fn no_event_is_lost_while_a_descriptor_moves() {
    model(2, || {
        let queues = std::sync::Arc::new(Queues::new(2).expect("event queues"));
        let (resident, mut peer) = Resident::new(&queues);
        let resident = Arc::new(resident);
        let workers = [0, 1].map(|queue| {
            let resident = resident.clone();
            thread::spawn(move || {
                // The first move is to the second queue, for the first wait away from home.
                resident.wait_at(queue, if queue == 1 { 1 } else { 4 });
                resident.turn(queue);
            })
        });
        let mut read = 0;
        for _ in 0..2 {
            peer.write_all(b"x").expect("write");
            read += resident.read();
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        resident.turn(resident.home.last());
        read += resident.read();
        assert_eq!(read, 2);
    });
}

/// The owner goes when the last one who uses the descriptor does, right after a move or instead of one: it is in its home
/// then and nowhere else, also in the eyes of whoever has not seen the move.
#[test]
fn deregistration_finds_what_has_just_moved() {
    model(3, || {
        let queues = std::sync::Arc::new(Queues::new(2).expect("event queues"));
        let resident = Arc::new(Resident::new(&queues).0);
        let movers = [0, 1].map(|queue| {
            let resident = resident.clone();
            thread::spawn(move || resident.wait_at(queue, 4))
        });
        drop(resident);
        movers.into_iter().for_each(|mover| mover.join().unwrap());
    });
}
