//! [`Link`]: one side's books about the segments that it shares with one peer.
//!
//! # Protocol
//! A segment's descriptor goes over the control socket once, before the first message that names it; the receiver keeps
//! it mapped. Every message that names a segment begins a *use* of it, which has a number. As long as a use is
//! outstanding the owner keeps the segment as it is. A use ends
//! - with the receiver's note `Release`, sent once its last blob of that use is gone (a [`Lease`] notices),
//! - by coming back inside a message ([`Owner::Returned`]), which spares the note,
//! - or with the peer: then its link is dropped.
//!
//! A note `Forget` says that a segment is no more (the cache gave it up), so that the receiver can unmap it; or asks the
//! owner to send a descriptor again that could not be received. A `Release` of [`NUDGE`] only makes the other side look at its
//! socket, because it is full.
//!
//! Notes and messages go through the same lane, in order. Descriptors overtake them, which is harmless. A worker passes
//! segments of the parent's back by the number of their use, without a descriptor; the parent passes one worker's segments
//! on to another as if they were its own, and holds its lease meanwhile.
//!
//! # Owners
//! A link has no lock: it is used under the pool's lock in the parent, and by the one thread that serves in the worker. It never blocks,
//! copies no content, and destroys nothing that takes long (`cache::bury`).

use super::{
    cache,
    lease::{Lease, Outbox},
    segment::{self, Map, Shared},
    wire::{self, Entry, Name, Owner},
};
use crate::process_pool::{
    channel::{
        Payload,
        pass::{Passed, Wait, receive_descriptors, send_descriptors},
    },
    codec::{Body, Encoded},
    frame::Kind,
};
use rustix::io::Errno;
use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Weak},
};

/// Not a use: a `Release` of it makes the receiver look at its socket.
const NUDGE: u64 = 0;

/// The descriptors of one message on the socket: as many names fit into its tag.
const BATCH: usize = 8;

/// A peer may have us map so many segments. (A process may have 65,530 mappings in all.)
const MOST_MAPPED: usize = 16 * 1024;

/// Which side of the lane this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process_pool) enum Side {
    /// It may take back a message, and send it again, here or elsewhere.
    Parent,
    /// What it sends is sent: it can return uses with its messages.
    Worker,
}

/// Why a message cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(in crate::process_pool) enum WrapError {
    /// Not now: the socket is full, and the next notes make the peer read it. Or the peer has hung up, which whoever watches
    /// it finds out, and then what waits for it goes elsewhere.
    #[error("the socket is full")]
    WouldBlock,
    #[error("shared memory cannot be passed on: {0}")]
    Failed(io::Error),
}

/// Why a message cannot be received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::process_pool) enum UnwrapError {
    /// The peer does not keep to the protocol.
    #[error("{0}")]
    Broken(String),
    /// Only this message is lost: there are not enough descriptors or memory here.
    #[error("shared memory cannot be received: {0}")]
    Unavailable(String),
}

fn broken(text: &str) -> UnwrapError {
    UnwrapError::Broken(text.to_owned())
}

/// A message that is ready to be sent. It needs its [`Encoded`], which has to live until it is published.
#[derive(Debug)]
#[must_use = "its uses are outstanding: send it or take it back"]
pub(in crate::process_pool) struct Wire {
    /// To be set in the frame's header.
    pub(in crate::process_pool) flags: u8,
    head: Vec<u8>,
    uses: Vec<u64>,
}

impl Wire {
    /// The payload's parts; together they fit into a frame.
    pub(in crate::process_pool) fn parts<'a>(&'a self, message: &'a Encoded) -> [&'a [u8]; 2] {
        [&self.head, message.inline()]
    }
}

/// See the module's description.
#[derive(Debug)]
pub(in crate::process_pool) struct Link {
    /// Names this link among all of the process.
    number: u64,
    side: Side,
    socket: Arc<OwnedFd>,
    /// The segments whose descriptors were sent.
    sent: HashMap<Name, Weak<Map>>,
    /// The peer's uses of what was sent.
    uses: HashMap<u64, Shared>,
    next_use: u64,
    /// The count of ended maps when `sent` was last searched for such.
    ended: u64,
    /// The peer's segments.
    mapped: HashMap<Name, Arc<Map>>,
    /// Segments whose descriptor was received but could not be used, until it comes again.
    lost: HashSet<Name>,
    /// Descriptors were lost, nobody knows whose.
    overlooked: bool,
    outbox: Arc<Outbox>,
    /// Notes to send, besides those in the outbox.
    notes: Vec<(Kind, u64)>,
}

impl Link {
    /// `socket` carries the descriptors; nobody else sends or receives on it.
    pub(in crate::process_pool) fn new(socket: Arc<OwnedFd>, side: Side) -> Self {
        Self {
            number: segment::fresh_number(),
            side,
            socket,
            sent: HashMap::new(),
            uses: HashMap::new(),
            next_use: NUDGE + 1,
            ended: segment::ended(),
            mapped: HashMap::new(),
            lost: HashSet::new(),
            overlooked: false,
            outbox: Arc::default(),
            notes: Vec::new(),
        }
    }

    /// Prepares a message: sends the descriptors that the peer lacks, and begins its uses.
    ///
    /// # Errors
    /// See [`WrapError`]. No use has begun then.
    pub(in crate::process_pool) fn wrap(&mut self, message: &Encoded) -> Result<Wire, WrapError> {
        if message.segments.is_empty() {
            return Ok(Wire { flags: 0, head: Vec::new(), uses: Vec::new() });
        }
        self.send_missing(message)?;
        let mut uses = Vec::new();
        let entries: Vec<Entry> =
            message.segments.iter().map(|shared| self.begin_use(shared, &mut uses)).collect();
        let body = match message.body {
            Body::Here { .. } => None,
            Body::Segment { len } => Some(len),
        };
        let (flags, head) = wire::write(&entries, body);
        Ok(Wire { flags, head, uses })
    }

    /// Ends the uses of a message that was not sent after all. (For the parent: what a worker wraps it sends.)
    pub(in crate::process_pool) fn take_back(&mut self, wire: Wire) {
        for number in wire.uses {
            self.uses.remove(&number);
        }
    }

    fn send_missing(&mut self, message: &Encoded) -> Result<(), WrapError> {
        let missing: Vec<&Arc<Map>> = message
            .segments
            .iter()
            .filter(|shared| self.returning(shared).is_none())
            .map(Shared::map)
            .filter(|map| !self.sent.contains_key(&name(map)))
            .collect();
        for batch in missing.chunks(BATCH) {
            let tag: Vec<u8> = batch.iter().flat_map(|map| name(map).word().to_le_bytes()).collect();
            let files: Vec<BorrowedFd<'_>> = batch.iter().map(|map| map.file()).collect();
            if let Err(error) = send_descriptors(self.socket.as_fd(), &tag, &files, Wait::No) {
                return Err(self.refused(error));
            }
            self.sent.extend(batch.iter().map(|map| (name(map), Arc::downgrade(map))));
        }
        Ok(())
    }

    /// A send that failed. Too many descriptors under way is a full socket, too.
    fn refused(&mut self, error: io::Error) -> WrapError {
        let later = [Errno::AGAIN, Errno::TOOMANYREFS, Errno::PIPE, Errno::CONNRESET];
        if !later.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
            return WrapError::Failed(error);
        }
        if !self.notes.contains(&(Kind::Release, NUDGE)) {
            self.notes.push((Kind::Release, NUDGE));
        }
        WrapError::WouldBlock
    }

    /// The lease by which a segment of the peer's is held.
    fn returning<'a>(&self, shared: &'a Shared) -> Option<(&'a Arc<Lease>, u64)> {
        match shared {
            Shared::Own(_) => None,
            Shared::Lent(lease) => Some((lease, lease.number_at(self.number)?)),
        }
    }

    fn begin_use(&mut self, shared: &Shared, uses: &mut Vec<u64>) -> Entry {
        if let Some((lease, number)) = self.returning(shared) {
            // Nobody but the message has it: it need not come back.
            let last = self.side == Side::Worker && Arc::strong_count(lease) == 1;
            if last {
                lease.give_back();
            }
            let owner = if last { Owner::Returned } else { Owner::Receiver };
            return Entry { owner, number, name: Name::NONE };
        }
        let number = self.next_use;
        self.next_use += 1;
        self.uses.insert(number, shared.clone());
        uses.push(number);
        Entry { owner: Owner::Sender, number, name: name(shared.map()) }
    }

    /// Takes in a message.
    ///
    /// # Errors
    /// See [`UnwrapError`]. What the message used is not used any more then.
    pub(in crate::process_pool) fn unwrap(
        &mut self,
        flags: u8,
        payload: impl Into<Payload>,
    ) -> Result<Encoded, UnwrapError> {
        let payload = payload.into();
        let Some(head) = wire::read(flags, &payload) else {
            return Err(broken("a frame whose list of segments makes no sense"));
        };
        if head.entries.is_empty() {
            return Ok(Encoded::plain(payload));
        }
        self.receive_unknown(&head.entries)?;
        let mut segments = Vec::with_capacity(head.entries.len());
        let mut missing = 0;
        for entry in &head.entries {
            match self.segment(*entry)? {
                Some(shared) => segments.push(shared),
                None => missing += 1,
            }
        }
        if missing > 0 {
            return Err(UnwrapError::Unavailable(format!(
                "this process could not take {missing} of {} segments (out of file descriptors or mappings)",
                head.entries.len()
            )));
        }
        let total = payload.len() - head.end;
        let Some(len) = head.body else {
            return Ok(Encoded { body: Body::Here { bytes: payload, start: head.end }, segments, total });
        };
        let size = segments.last().map_or(0, |shared| shared.map().size());
        match usize::try_from(len) {
            Ok(len) if len <= size => Ok(Encoded { body: Body::Segment { len }, segments, total: len }),
            _ => Err(UnwrapError::Broken(format!("{len} bytes in a segment of {size}"))),
        }
    }

    /// Ends the uses of a message that nobody wants any more, without a look at it. Its descriptors are taken from the
    /// socket all the same, so that they do not fill it.
    ///
    /// # Errors
    /// Only [`UnwrapError::Broken`].
    pub(in crate::process_pool) fn skip(&mut self, flags: u8, payload: &[u8]) -> Result<(), UnwrapError> {
        let Some(head) = wire::read(flags, payload) else {
            return Err(broken("a frame whose list of segments makes no sense"));
        };
        self.receive_unknown(&head.entries)?;
        for entry in head.entries {
            match entry.owner {
                Owner::Sender => self.outbox.push(entry.number),
                Owner::Receiver => {}
                Owner::Returned => drop(self.uses.remove(&entry.number)),
            }
        }
        Ok(())
    }

    /// The segment that an entry names. `None`: it could not be received.
    fn segment(&mut self, entry: Entry) -> Result<Option<Shared>, UnwrapError> {
        let unknown = || UnwrapError::Broken(format!("a frame that names an unknown segment: {entry:?}"));
        match entry.owner {
            Owner::Receiver => self.uses.get(&entry.number).cloned().map(Some).ok_or_else(unknown),
            Owner::Returned => self.uses.remove(&entry.number).map(Some).ok_or_else(unknown),
            Owner::Sender => {
                if let Some(map) = self.mapped.get(&entry.name) {
                    let outbox = Arc::clone(&self.outbox);
                    let lease = Lease::new(Arc::clone(map), entry.number, self.number, outbox);
                    return Ok(Some(Shared::Lent(Arc::new(lease))));
                }
                if !self.lost.contains(&entry.name) && !self.overlooked {
                    return Err(unknown());
                }
                self.outbox.push(entry.number);
                // Send it again next time.
                self.notes.push((Kind::Forget, note(entry.name, true)));
                Ok(None)
            }
        }
    }

    /// Takes in what has arrived, if there is a segment among these that is not mapped yet.
    fn receive_unknown(&mut self, entries: &[Entry]) -> Result<(), UnwrapError> {
        let known = |entry: &Entry| entry.owner != Owner::Sender || self.mapped.contains_key(&entry.name);
        if entries.iter().all(known) { Ok(()) } else { self.look_at_socket() }
    }

    /// Takes in all descriptors that have arrived.
    fn look_at_socket(&mut self) -> Result<(), UnwrapError> {
        loop {
            match receive_descriptors(self.socket.as_fd(), Wait::No) {
                Ok(Some(passed)) => self.import(passed)?,
                // Closed: its end is somebody else's business.
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_loss(&error) => self.overlooked = true,
                Err(error) => {
                    return Err(UnwrapError::Broken(format!("the control socket fails: {error}")));
                }
            }
        }
    }

    fn import(&mut self, passed: Passed) -> Result<(), UnwrapError> {
        let (names, []) = passed.tag().as_chunks() else {
            return Err(broken("descriptors of something else than segments"));
        };
        if names.len() != passed.descriptors.len() {
            return Err(broken("more or fewer descriptors than segments"));
        }
        let names: Vec<Name> = names.iter().map(|word| Name::from_word(u64::from_le_bytes(*word))).collect();
        for (name, file) in names.into_iter().zip(passed.descriptors) {
            if self.mapped.len() >= MOST_MAPPED {
                self.lost.insert(name);
                continue;
            }
            match Map::import(file, name.bits()) {
                Ok(map) => {
                    self.lost.remove(&name);
                    self.mapped.insert(name, Arc::new(map));
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(UnwrapError::Broken(error.to_string()));
                }
                Err(_) => {
                    self.lost.insert(name);
                }
            }
        }
        Ok(())
    }

    /// What the peer has to be told, to be sent as frames whose `id` is the number. Often nothing; best asked for before
    /// every message, and may be sent at any time.
    pub(in crate::process_pool) fn notes(&mut self) -> Vec<(Kind, u64)> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(self.outbox.take().into_iter().map(|number| (Kind::Release, number)));
        let ended = segment::ended();
        if ended != self.ended {
            self.ended = ended;
            let gone = self.sent.extract_if(|_, map| map.strong_count() == 0);
            notes.extend(gone.map(|(name, _)| (Kind::Forget, note(name, false))));
        }
        notes
    }

    /// Takes in a note of the peer's.
    ///
    /// # Errors
    /// Only [`UnwrapError::Broken`].
    pub(in crate::process_pool) fn on_note(&mut self, kind: Kind, value: u64) -> Result<(), UnwrapError> {
        match kind {
            Kind::Release if value == NUDGE => self.look_at_socket(),
            Kind::Release => match self.uses.remove(&value) {
                Some(_) => Ok(()),
                None => Err(broken("the end of a use that never began")),
            },
            Kind::Forget => {
                let name = Name::from_word(value >> 1);
                if value & 1 == 1 {
                    self.sent.remove(&name);
                } else {
                    self.lost.remove(&name);
                    cache::bury(self.mapped.remove(&name));
                }
                Ok(())
            }
            _ => Err(broken("a note of an unknown kind")),
        }
    }
}

#[cfg(test)]
impl Link {
    /// How many uses the peer has.
    pub(super) fn outstanding(&self) -> usize {
        self.uses.len()
    }

    /// How many of the peer's segments are mapped.
    pub(super) fn mapped(&self) -> usize {
        self.mapped.len()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.outbox.close();
        cache::bury(self.mapped.drain().map(|(_, map)| map));
    }
}

/// Whether a message on the socket was lost with its descriptors, because this process can have no more.
fn is_loss(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    error.kind() == io::ErrorKind::InvalidData
        || code == Some(Errno::MFILE.raw_os_error())
        || code == Some(Errno::NFILE.raw_os_error())
}

/// What a message calls a segment of ours.
fn name(map: &Map) -> Name {
    Name::new(map.number(), map.bits())
}

/// The value of a `Forget`: the sender's own segment is gone, or it lacks one of the receiver's.
fn note(name: Name, lacking: bool) -> u64 {
    name.word() << 1 | u64::from(lacking)
}
