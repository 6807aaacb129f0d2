//! SHA-256 of a buffer. Uses the CPU's SHA instructions where it has them, as `sha2` finds out by itself.

use sha2::{Digest, Sha256};

use crate::checksum::random_bytes;

/// The buffer that all tasks hash, each behind its own prefix.
#[derive(Debug)]
pub(crate) struct Sha256Work {
    seed: u64,
    pub(super) buffer: Vec<u8>,
}

impl Sha256Work {
    pub(crate) fn prepare(input_bytes: usize, seed: u64) -> Self {
        Self { seed, buffer: random_bytes(seed, input_bytes) }
    }

    /// The first eight bytes, as a little-endian number, of SHA-256 over seed, task and buffer. Allocates nothing.
    pub(crate) fn run(&self, task: u32) -> u64 {
        let mut hasher = Sha256::new();
        hasher.update(self.seed.to_le_bytes());
        hasher.update(task.to_le_bytes());
        hasher.update(&self.buffer);
        let hash = hasher.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        u64::from_le_bytes(first)
    }
}
