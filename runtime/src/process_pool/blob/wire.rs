//! What a frame says about segments, in front of the encoded values that it holds.
//!
//! ```text
//! without the flag SEGMENTS: nothing
//! with it:  count u16 | with the flag BODY: bytes of the body u64 | count × entry
//! entry:    use << 2 | owner u64 | segment << 6 | logarithm of its size u64              little-endian
//! ```
//!
//! With `BODY` the values are not in the frame: they are the first bytes of the last segment.

/// The frame's values refer to segments.
pub(super) const SEGMENTS: u8 = 0x01;
/// The frame's values lie in a segment.
pub(super) const BODY: u8 = 0x02;

const COUNT_BYTES: usize = 2;
const WORD_BYTES: usize = 8;
const ENTRY_BYTES: usize = 2 * WORD_BYTES;

/// So many bytes are in front of the values.
pub(in crate::process_pool) const fn head_bytes(segments: usize, body: bool) -> usize {
    if segments == 0 {
        return 0;
    }
    COUNT_BYTES + if body { WORD_BYTES } else { 0 } + segments * ENTRY_BYTES
}

/// One segment, as a message names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) owner: Owner,
    /// The owner's number for this use.
    pub(super) number: u64,
    /// The sender's name for a segment that the receiver does not own.
    pub(super) name: Name,
}

/// Whose segment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Owner {
    /// The sender's, or somebody's behind it. The receiver tells when it uses it no more.
    Sender = 0,
    /// The receiver's, which the sender goes on using.
    Receiver = 1,
    /// The receiver's, and with this message the sender's use of it ends.
    Returned = 2,
}

/// A segment's number, unique in the process that made it up, and the logarithm of its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name(u64);

impl Name {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn new(number: u64, bits: u32) -> Self {
        Self(number << 6 | u64::from(bits & 63))
    }

    pub(super) fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }

    pub(super) fn bits(self) -> u32 {
        (self.0 & 63) as u32
    }
}

/// Writes what stands in front of the values. `entries` has at most `u16::MAX`.
pub(super) fn write(entries: &[Entry], body: Option<usize>) -> (u8, Vec<u8>) {
    if entries.is_empty() {
        return (0, Vec::new());
    }
    let mut head = Vec::with_capacity(head_bytes(entries.len(), body.is_some()));
    head.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    if let Some(len) = body {
        head.extend_from_slice(&(len as u64).to_le_bytes());
    }
    for entry in entries {
        head.extend_from_slice(&(entry.number << 2 | entry.owner as u64).to_le_bytes());
        head.extend_from_slice(&entry.name.word().to_le_bytes());
    }
    (if body.is_some() { SEGMENTS | BODY } else { SEGMENTS }, head)
}

/// What stood in front of the values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) entries: Vec<Entry>,
    /// The length of a body that lies in the last segment.
    pub(super) body: Option<u64>,
    /// Where the values begin in the payload.
    pub(super) end: usize,
}

/// Reads it. `None`: it is cut off, or makes no sense.
pub(super) fn read(flags: u8, payload: &[u8]) -> Option<Head> {
    if flags & SEGMENTS == 0 {
        return (flags & BODY == 0).then(Head::default);
    }
    let mut rest = payload;
    let (count, after) = rest.split_first_chunk()?;
    rest = after;
    let count = usize::from(u16::from_le_bytes(*count));
    let body = if flags & BODY == 0 { None } else { Some(word(&mut rest)?) };
    // The count is believed only as far as there are bytes.
    if count == 0 || rest.len() < count * ENTRY_BYTES {
        return None;
    }
    let entries = (0..count).map(|_| entry(&mut rest)).collect::<Option<Vec<_>>>()?;
    Some(Head { entries, body, end: payload.len() - rest.len() })
}

fn entry(rest: &mut &[u8]) -> Option<Entry> {
    let (number, name) = (word(rest)?, word(rest)?);
    let owner = match number & 3 {
        0 => Owner::Sender,
        1 => Owner::Receiver,
        2 => Owner::Returned,
        _ => return None,
    };
    Some(Entry { owner, number: number >> 2, name: Name::from_word(name) })
}

fn word(rest: &mut &[u8]) -> Option<u64> {
    let (word, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_entry() -> impl Strategy<Value = Entry> {
        let owner = prop_oneof![Just(Owner::Sender), Just(Owner::Receiver), Just(Owner::Returned)];
        (owner, 0..u64::MAX >> 2, 0..u64::MAX >> 6, 0_u32..64).prop_map(|(owner, number, name, bits)| Entry {
            owner,
            number,
            name: Name::new(name, bits),
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            entries in prop::collection::vec(any_entry(), 0..200),
            body in prop::option::of(any::<u32>()),
        ) {
            let body = body.filter(|_| !entries.is_empty()).map(|len| len as usize);
            let (flags, mut payload) = write(&entries, body);
            prop_assert_eq!(payload.len(), head_bytes(entries.len(), body.is_some()));
            let end = payload.len();
            for cut in 0..end {
                prop_assert_eq!(read(flags, &payload[..cut]), None);
            }
            payload.extend_from_slice(b"values");
            let head = Head { entries, body: body.map(|len| len as u64), end };
            prop_assert_eq!(read(flags, &payload), Some(head));
        }

        #[test]
        fn any_bytes_are_read_or_refused(flags in 0_u8..4, payload in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Some(head) = read(flags, &payload) {
                prop_assert!(head.end <= payload.len());
            }
        }
    }
}
