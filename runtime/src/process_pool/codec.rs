//! Values to bytes and back: the payloads of jobs and answers.
//!
//! The format is postcard's, values one after the other, with one addition: the elements of a long run of bytes or
//! floats, or of a string, may lie in a segment of shared memory instead. In place of the run's length then stands the
//! impossible length [`ELSEWHERE`], followed by
//!
//! ```text
//! number of elements | number of the segment in the message | first byte | number of bytes        (varints)
//! ```
//!
//! What lies there is what would have stood here. So it makes no difference which type wrote a run and which type
//! reads it (`Vec<u8>`, `serde_bytes`, [`Blob`](super::blob::Blob), a `VecDeque<u8>`), as in postcard.
//!
//! Files: `exact` finds the runs that can be copied whole, wherever in a value they are; `ser` and `de` are serde's
//! sides; an [`Encoded`] is what travels, and `blob::Link` makes it travel.
//!
//! Invariants: encoding does all copying, so that nothing long is copied under a pool's lock; an `Encoded` refers
//! to at most [`MOST_SEGMENTS`] segments and what of it goes into a frame fits into one; decoding neither panics on any bytes
//! nor allocates in proportion to a length that is merely claimed.

mod de;
mod exact;
mod items;
mod ser;

#[cfg(test)]
mod tests;

pub(super) use items::ItemCursor;

use super::{
    blob::{Shared, head_bytes},
    channel::{INLINE_MAX, Payload},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

/// Stands for a length: the elements lie in a segment.
const ELSEWHERE: u64 = u64::MAX;

/// A message refers to no more segments; what further runs there are stands in the body.
const MOST_SEGMENTS: usize = 128;

/// Encodes one value.
///
/// # Errors
/// The value's own `Serialize` fails, or there is no memory to share for a long body; the reason as text.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Encoded, String> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.put(value)?;
    encoder.finish()
}

/// Decodes the one value that a message consists of.
///
/// # Errors
/// It is no `T`; the reason as text.
pub(super) fn decode<T: DeserializeOwned>(message: &Encoded) -> Result<T, String> {
    let mut decoder = Decoder::new(message);
    let value = decoder.take()?;
    decoder.finish()?;
    Ok(value)
}

/// An encoded message: a body, and the segments that it refers to. They stay as they are while this lives.
#[derive(Clone)]
pub struct Encoded {
    pub(super) body: Body,
    /// No segment twice; that of the body comes last.
    pub(super) segments: Vec<Shared>,
    /// All bytes that were encoded, wherever they lie; of a received message, those of the body.
    pub(super) total: usize,
}

#[derive(Clone)]
pub(super) enum Body {
    /// The bytes from `start` on.
    Here { bytes: Payload, start: usize },
    /// So many bytes from the start of the last segment.
    Segment { len: usize },
}

impl Encoded {
    /// A message without segments.
    pub(super) fn plain(bytes: impl Into<Payload>) -> Self {
        let bytes = bytes.into();
        let total = bytes.len();
        Self { body: Body::Here { bytes, start: 0 }, segments: Vec::new(), total }
    }

    /// How many bytes the message is worth, wherever they lie: what limits are about.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// The encoded bytes, without those that lie in segments of their own.
    #[inline]
    pub(super) fn body(&self) -> &[u8] {
        match &self.body {
            Body::Here { bytes, start } => &bytes[*start..],
            Body::Segment { len } => self.segments.last().map_or(&[], |segment| &segment.bytes()[..*len]),
        }
    }

    /// What goes into the frame itself.
    pub(super) fn inline(&self) -> &[u8] {
        match &self.body {
            Body::Here { .. } => self.body(),
            Body::Segment { .. } => &[],
        }
    }

    /// The body's buffer, to be used again by the next encoder.
    pub(super) fn recycle(self) -> Vec<u8> {
        match self.body {
            Body::Here { bytes, .. } => bytes.into_vec(),
            Body::Segment { .. } => Vec::new(),
        }
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} bytes, {} segments)", self.body().len(), self.segments.len())
    }
}

/// Encodes values one after the other into one message.
pub struct Encoder {
    body: Vec<u8>,
    segments: Vec<Shared>,
    /// The bytes that lie in segments.
    elsewhere: usize,
}

/// A place between two values, to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    body: usize,
    segments: usize,
    elsewhere: usize,
}

impl Encoder {
    /// Starts an empty message. `recycled` is a buffer whose memory is used; its content is dropped.
    pub fn new(mut recycled: Vec<u8>) -> Self {
        recycled.clear();
        Self { body: recycled, segments: Vec::new(), elsewhere: 0 }
    }

    /// Appends a value. If that fails, the message holds a part of it, until [`rollback`](Self::rollback).
    ///
    /// # Errors
    /// The value's own `Serialize` fails; the reason as text.
    #[inline]
    pub fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), String> {
        value.serialize(self).map_err(Error::into_text)
    }

    /// The place after the last value.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { body: self.body.len(), segments: self.segments.len(), elsewhere: self.elsewhere }
    }

    /// Takes back all values after the mark.
    #[inline]
    pub fn rollback(&mut self, mark: Mark) {
        self.body.truncate(mark.body);
        self.segments.truncate(mark.segments);
        self.elsewhere = mark.elsewhere;
    }

    /// Completes the message.
    ///
    /// # Errors
    /// The body is too long for a frame and there is no memory to share; the reason as text.
    pub fn finish(self) -> Result<Encoded, String> {
        self.finish_and_recycle().0
    }

    /// As [`finish`](Self::finish); also gives back the buffer, if the message does not need it.
    pub(super) fn finish_and_recycle(mut self) -> (Result<Encoded, String>, Vec<u8>) {
        let len = self.body.len();
        let total = len.saturating_add(self.elsewhere);
        if len + head_bytes(self.segments.len(), false) <= INLINE_MAX {
            let body = Body::Here { bytes: self.body.into(), start: 0 };
            return (Ok(Encoded { body, segments: self.segments, total }), Vec::new());
        }
        let encoded = match Shared::new(len, |to| to.copy_from_slice(&self.body)) {
            Ok(shared) => {
                self.segments.push(shared);
                Ok(Encoded { body: Body::Segment { len }, segments: self.segments, total })
            }
            Err(error) => Err(format!("{len} bytes need shared memory, but there is none: {error}")),
        };
        (encoded, self.body)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({} bytes, {} segments)", self.body.len(), self.segments.len())
    }
}

/// Decodes the values of a message one after the other.
pub struct Decoder<'a> {
    /// What is left of the body, or of a run in a segment.
    input: &'a [u8],
    /// Another process could write to the input, if it broke the rules.
    exposed: bool,
    segments: &'a [Shared],
}

impl<'a> Decoder<'a> {
    /// Starts at the message's first value.
    pub fn new(message: &'a Encoded) -> Self {
        let exposed = matches!(message.body, Body::Segment { .. });
        Self { input: message.body(), exposed, segments: &message.segments }
    }

    /// The next value.
    ///
    /// # Errors
    /// It is no `T`; the reason as text. Where the next value begins is unknown then.
    #[inline]
    pub fn take<T: Deserialize<'a>>(&mut self) -> Result<T, String> {
        T::deserialize(self).map_err(Error::into_text)
    }

    /// Whether all values have been taken.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// Ends the message.
    ///
    /// # Errors
    /// There is more in it; as text.
    #[inline]
    pub fn finish(self) -> Result<(), String> {
        match self.input.len() {
            0 => Ok(()),
            rest => Err(format!("{rest} bytes are left over after the value")),
        }
    }
}

impl fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder({} bytes left, {} segments)", self.input.len(), self.segments.len())
    }
}

/// Why a value cannot be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Text(Box<str>),
    #[error("the data ends early")]
    End,
    #[error("a number is too large for its type")]
    Number,
    #[error("{0} where {1} was expected")]
    Byte(u8, &'static str),
    #[error("a text is not UTF-8")]
    Utf8,
    #[error("a reference to memory that the message does not have")]
    Reference,
    #[error("the format does not describe itself: a type that must know what comes cannot be read from it")]
    NotSelfDescribing,
    #[error("a sequence or a map must know its length before it is written")]
    UnknownLength,
}

impl Error {
    #[cold]
    fn into_text(self) -> String {
        self.to_string()
    }
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Text(text.to_string().into())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Text(text.to_string().into())
    }
}
