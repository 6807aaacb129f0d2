//! A buffer that all tasks share, and the eight bytes by which each message, file or page made from it differs.
//!
//! Whoever gets one back compares most of it by one call of `memcmp`, and takes the first eight bytes for its digest:
//! next to I/O that costs nothing, in any language.

use crate::checksum::{random_bytes, word};

/// The smallest buffer: the stamp alone.
pub(crate) const STAMP_BYTES: usize = 8;

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct Stamped {
    seed: u64,
    buffer: Vec<u8>,
}

impl Stamped {
    /// A buffer of `bytes`, at least [`STAMP_BYTES`].
    pub(crate) fn new(seed: u64, bytes: usize) -> Self {
        Self { seed, buffer: random_bytes(seed, bytes.max(STAMP_BYTES)) }
    }

    /// How long each copy is.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The copy of this number.
    pub(crate) fn copy(&self, number: u64) -> Vec<u8> {
        let mut copy = self.buffer.clone();
        self.stamp(&mut copy, number);
        copy
    }

    /// Makes a copy of another number into that of this one.
    pub(crate) fn stamp(&self, copy: &mut [u8], number: u64) {
        copy[..STAMP_BYTES].copy_from_slice(&word(self.seed, number).to_le_bytes());
    }

    /// The stamp that was read.
    ///
    /// # Errors
    /// Where and how `copy` is not that of this number.
    pub(crate) fn check(&self, copy: &[u8], number: u64) -> Result<u64, String> {
        let (found, expected) = (copy.len(), self.buffer.len());
        if found != expected {
            return Err(format!("found {found} bytes, expected {expected}"));
        }
        let (stamp, rest) = copy.split_at(STAMP_BYTES);
        if rest != &self.buffer[STAMP_BYTES..] {
            let at = rest.iter().zip(&self.buffer[STAMP_BYTES..]).position(|(a, b)| a != b).unwrap_or(0);
            return Err(format!("byte {} of {expected} is wrong", at + STAMP_BYTES));
        }
        let mut bytes = [0; STAMP_BYTES];
        bytes.copy_from_slice(stamp);
        let (found, expected) = (u64::from_le_bytes(bytes), word(self.seed, number));
        if found == expected {
            Ok(found)
        } else {
            Err(format!("stamped {found:016x}, expected {expected:016x}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_accepted_and_no_other() {
        for bytes in [8, 9, 1000] {
            let stamped = Stamped::new(7, bytes);
            let mut copy = stamped.copy(3);
            assert_eq!(stamped.check(&copy, 3), Ok(word(7, 3)));
            assert!(stamped.check(&copy, 4).unwrap_err().contains("stamped"));
            stamped.stamp(&mut copy, 4);
            assert_eq!((copy.len(), stamped.check(&copy, 4)), (bytes, Ok(word(7, 4))));
            assert!(stamped.check(&copy[1..], 4).unwrap_err().contains("expected"));
            *copy.last_mut().unwrap() ^= 1;
            assert!(stamped.check(&copy, 4).is_err());
        }
        let stamped = Stamped::new(7, 1000);
        let mut copy = stamped.copy(0);
        copy[500] ^= 1;
        assert_eq!(stamped.check(&copy, 0).unwrap_err(), "byte 500 of 1000 is wrong");
    }
}
