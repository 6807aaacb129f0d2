//! [`Blob`]: bytes that cross to a worker and back without being copied.
//!
//! From [`segment::LEAST`] bytes on, a blob lies in a segment of shared memory; a message to another process then says where,
//! and the receiver maps the segment once and reads it there. Shorter blobs lie on the heap and are copied into the
//! message.
//!
//! Who owns what: a `Blob` has a reference to its memory ([`Shared`]). `segment` makes the memory, `cache` keeps what is
//! spare, `link` knows which peer has mapped or uses what, `lease` is a use of a peer's segment, `passing` carries a blob
//! through serde unseen.
//!
//! Lock order: the locks of `cache` and `lease` are leaves, and neither is taken under the other.

mod cache;
mod lease;
mod link;
mod passing;
mod segment;
mod wire;

#[cfg(test)]
mod tests;

pub(in crate::process_pool) use cache::{CacheUse, trim};
pub(in crate::process_pool) use link::{Link, Side, UnwrapError, WrapError};
pub(in crate::process_pool) use passing::{pass, passed};
pub(in crate::process_pool) use segment::{LEAST, Shared};
pub(in crate::process_pool) use wire::head_bytes;

use bytes::Bytes;
use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    mem,
    ops::{Bound, Deref, RangeBounds},
};

/// Owned, immutable bytes that need not be copied to get to a worker process and back.
///
/// From 32 KiB on the bytes lie in memory that the worker processes of a [`ProcessPool`](super::ProcessPool) map and
/// read in place: as an argument, as a result, or anywhere inside one, a `Blob` then costs the same whatever its
/// length. The memory is reused: it goes back when the last clone is dropped, here and in the worker (which may keep
/// one in a static for as long as it likes). A clone is a reference, and so is a [`slice`](Self::slice).
///
/// To make one, write the bytes where they will stay, with [`with_len`](Self::with_len); the conversions from a `Vec<u8>`
/// or a slice copy once. When the process is out of file descriptors the bytes are kept on the heap, and copied into
/// each message.
///
/// With any other serde format a `Blob` is plain bytes, as `serde_bytes` would write them.
///
/// The processes of a pool trust each other: a worker that is corrupted could still write to the memory of the blobs that it
/// made itself (never to another's).
///
/// # Example
/// ```no_run
/// use crossover_runtime::process_pool::{Blob, ProcessPool, job};
///
/// #[job]
/// fn invert(image: Blob) -> Blob {
///     Blob::with_len(image.len(), |inverted| {
///         for (to, from) in inverted.iter_mut().zip(image.iter()) {
///             *to = !from;
///         }
///     })
/// }
///
/// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
/// let image = Blob::from(std::fs::read("image.raw")?);
/// let inverted = pool.call(invert, (image.clone(),)).await?;
/// assert_eq!(inverted[0], !image[0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Blob(Kept);

/// Where the bytes are.
#[derive(Clone)]
enum Kept {
    Heap(Bytes),
    /// `start + len` is no more than the segment's size.
    Shared {
        shared: Shared,
        start: usize,
        len: usize,
    },
}

impl Blob {
    /// An empty blob.
    ///
    /// ```
    /// assert!(crossover_runtime::process_pool::Blob::new().is_empty());
    /// ```
    pub const fn new() -> Self {
        Self(Kept::Heap(Bytes::new()))
    }

    /// A blob of `len` bytes, written by `fill` where they will stay.
    ///
    /// What the slice holds before is arbitrary: zeros, or bytes of earlier blobs. `fill` should write all of it.
    ///
    /// # Panics
    /// If `fill` does, or there is no memory for `len` bytes.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::process_pool::Blob;
    ///
    /// let ramp = Blob::with_len(100_000, |bytes| {
    ///     for (place, byte) in bytes.iter_mut().enumerate() {
    ///         *byte = place as u8;
    ///     }
    /// });
    /// assert_eq!((ramp.len(), ramp[257]), (100_000, 1));
    /// ```
    pub fn with_len(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut fill = Some(fill);
        if len >= LEAST
            && let Ok(shared) = Shared::new(len, |bytes| fill.take().map_or((), |fill| fill(bytes)))
        {
            return Self(Kept::Shared { shared, start: 0, len });
        }
        let mut bytes = vec![0; len];
        if let Some(fill) = fill {
            fill(&mut bytes);
        }
        Self(Kept::Heap(bytes.into()))
    }

    /// The bytes of the range, as a blob that shares this one's memory (and keeps all of it alive).
    ///
    /// # Panics
    /// The range goes beyond the end, or ends before it begins.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::process_pool::Blob;
    ///
    /// let message = Blob::from(b"head|body".as_slice());
    /// assert_eq!(message.slice(5..), *b"body");
    /// ```
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let first = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => self.len(),
        };
        assert!(
            first <= end && end <= self.len(),
            "a slice {first}..{end} of a blob of {} bytes",
            self.len()
        );
        match &self.0 {
            Kept::Heap(bytes) => Self(Kept::Heap(bytes.slice(first..end))),
            Kept::Shared { shared, start, .. } => {
                Self(Kept::Shared { shared: shared.clone(), start: start + first, len: end - first })
            }
        }
    }

    /// How many bytes there are.
    ///
    /// ```
    /// assert_eq!(crossover_runtime::process_pool::Blob::from(vec![7; 5]).len(), 5);
    /// ```
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::Heap(bytes) => bytes.len(),
            Kept::Shared { len, .. } => *len,
        }
    }

    /// Whether there are none.
    ///
    /// ```
    /// assert!(!crossover_runtime::process_pool::Blob::from(vec![7]).is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes as a slice.
    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Kept::Heap(bytes) => bytes,
            Kept::Shared { shared, start, len } => &shared.bytes()[*start..*start + *len],
        }
    }

    /// The segment it lies in and where it begins there, if it does lie in one.
    pub(in crate::process_pool) fn shared(&self) -> Option<(&Shared, usize)> {
        match &self.0 {
            Kept::Heap(_) => None,
            Kept::Shared { shared, start, .. } => Some((shared, *start)),
        }
    }

    /// A part of a segment; `None` if the segment is smaller.
    pub(in crate::process_pool) fn part(shared: &Shared, start: usize, len: usize) -> Option<Self> {
        let end = start.checked_add(len)?;
        (end <= shared.bytes().len()).then(|| Self(Kept::Shared { shared: shared.clone(), start, len }))
    }
}

impl Default for Blob {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes()
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Borrow<[u8]> for Blob {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

/// Copies the bytes to where they can be shared, if there are enough of them.
impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Self::with_len(bytes.len(), |to| to.copy_from_slice(bytes))
    }
}

/// Copies the bytes to where they can be shared, if there are enough of them; else takes them as they are.
impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

/// As from a `Vec<u8>`.
impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        if bytes.len() < LEAST { Self(Kept::Heap(bytes)) } else { Self::from(&*bytes) }
    }
}

impl From<Blob> for Vec<u8> {
    fn from(mut blob: Blob) -> Self {
        match &mut blob.0 {
            Kept::Heap(bytes) => mem::take(bytes).into(),
            Kept::Shared { .. } => blob.to_vec(),
        }
    }
}

/// The memory may go back to the cache, and make it too large.
impl Drop for Blob {
    fn drop(&mut self) {
        if let Kept::Shared { .. } = self.0 {
            self.0 = Kept::Heap(Bytes::new());
            trim();
        }
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Blob {}

impl PartialEq<[u8]> for Blob {
    fn eq(&self, other: &[u8]) -> bool {
        self.bytes() == other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Blob {
    fn eq(&self, other: &[u8; N]) -> bool {
        self.bytes() == other
    }
}

impl PartialEq<Vec<u8>> for Blob {
    fn eq(&self, other: &Vec<u8>) -> bool {
        self.bytes() == other
    }
}

impl Hash for Blob {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

/// The length and the first bytes.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        write!(f, "Blob({} bytes", self.len())?;
        let shown = &self.bytes()[..self.len().min(SHOWN)];
        if !shown.is_empty() {
            write!(f, ": {}", shown.escape_ascii())?;
        }
        f.write_str(if self.len() > SHOWN { "…)" } else { ")" })
    }
}
