//! The bytes between a job and its file's owner: read ahead of the owner, or still to be written.
//!
//! The memory is used again by the next operation, and is as large as the largest so far: at most the file's `max_buf_size`.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::AsFd;

/// More than any system moves at once; some take larger numbers for an error.
const SYSCALL_MAX: usize = 1 << 30;

/// Bytes, those before `start` used up already.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Moves bytes out, into the buffers in turn.
    pub(super) fn take(&mut self, buffers: &mut [IoSliceMut<'_>]) -> usize {
        let mut taken = 0;
        for buffer in buffers {
            let rest = &self.bytes[self.start..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            self.start += count;
            taken += count;
        }
        if self.is_empty() {
            self.clear();
        }
        taken
    }

    /// Puts a copy of at most `max` of these bytes in the place of what was there.
    pub(super) fn fill(&mut self, data: &[IoSlice<'_>], max: usize) -> usize {
        self.clear();
        let total = data.iter().fold(0, |sum: usize, piece| sum.saturating_add(piece.len()));
        self.bytes.reserve(total.min(max));
        for piece in data {
            let room = max - self.bytes.len();
            self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        self.bytes.len()
    }

    /// Reads once, at most `max` bytes, in the place of what was there. Blocks.
    pub(super) fn read_from(&mut self, source: &impl AsFd, max: usize) -> io::Result<()> {
        self.clear();
        let max = max.min(SYSCALL_MAX);
        self.bytes.reserve(max);
        let count = loop {
            match rustix::io::read(source, &mut self.bytes.spare_capacity_mut()[..max]) {
                Ok((read, _)) => break read.len(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        // SAFETY: the vector is empty, and the read has initialised the first `count` bytes of its memory.
        unsafe { self.bytes.set_len(count) };
        Ok(())
    }

    /// Writes all of it, or until an error, and clears it. Blocks.
    pub(super) fn write_to(&mut self, mut target: impl Write) -> io::Result<()> {
        let result = target.write_all(&self.bytes[self.start..]);
        self.clear();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_of_the_pieces_and_the_memory_stays() {
        let mut buffer = Buffer::default();
        let pieces = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdef")];
        assert_eq!(buffer.fill(&pieces, 5), 5);
        let (mut first, mut second) = ([0; 1], [0; 3]);
        assert_eq!(buffer.take(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)]), 4);
        assert_eq!((&first, &second, buffer.len()), (b"a", b"bcd", 1));
        let memory = buffer.bytes.as_ptr();
        assert_eq!(buffer.fill(&pieces, 1), 1);
        assert_eq!(buffer.bytes.as_ptr(), memory);
        let mut out = Vec::new();
        buffer.write_to(&mut out).unwrap();
        assert_eq!((&out[..], buffer.is_empty()), (&b"a"[..], true));
    }
}
