//! What came in a frame.

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Deref;

/// Longest payload that needs no allocation.
pub(crate) const SMALL: usize = 40;

/// A frame's payload, copied out of shared memory: nobody else can change it. Up to [`SMALL`] bytes lie in the value
/// itself, more in a `Vec`.
#[derive(Clone)]
pub(crate) struct Payload(Inner);

#[derive(Clone)]
enum Inner {
    /// The first `length` bytes; the others are zero.
    Small {
        length: u8,
        bytes: [u8; SMALL],
    },
    Large(Vec<u8>),
}

impl Payload {
    /// A payload of `length` bytes, all of which `fill` must write.
    ///
    /// # Safety
    /// `fill` initialises every byte it is given.
    #[inline]
    pub(super) unsafe fn filled(length: usize, fill: impl FnOnce(&mut [MaybeUninit<u8>])) -> Payload {
        if length <= SMALL {
            let mut bytes = [MaybeUninit::new(0); SMALL];
            fill(&mut bytes[..length]);
            // SAFETY: they were zeros, and some have been overwritten with bytes.
            let bytes = bytes.map(|byte| unsafe { byte.assume_init() });
            return Payload(Inner::Small { length: length as u8, bytes });
        }
        let mut bytes = Vec::with_capacity(length);
        fill(&mut bytes.spare_capacity_mut()[..length]);
        // SAFETY: allocated, and just written by `fill`.
        unsafe { bytes.set_len(length) };
        Payload(Inner::Large(bytes))
    }

    /// The bytes in a vector; without a copy when they are many.
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Inner::Small { length, bytes } => bytes[..usize::from(length)].to_vec(),
            Inner::Large(bytes) => bytes,
        }
    }
}

impl Deref for Payload {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Small { length, bytes } => &bytes[..usize::from(*length)],
            Inner::Large(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Payload {
        Payload(Inner::Large(bytes))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}
