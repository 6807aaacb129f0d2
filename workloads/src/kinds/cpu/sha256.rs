//! SHA-256 of a buffer. Uses the CPU's SHA instructions where it has them, as `sha2` finds out by itself.
//! A step is a piece of the buffer.

use sha2::{Digest, Sha256};

use super::Kernel;
use super::steps::{Steps, piece};
use crate::checksum::{first_word, random_bytes};

/// Pieces of the buffer are multiples of it: some µs each.
const UNIT: usize = 4096;

/// The buffer that all tasks hash, each behind its own prefix.
#[derive(Debug)]
pub(super) struct Sha256Work {
    seed: u64,
    buffer: Vec<u8>,
}

impl Kernel for Sha256Work {
    const NAME: &'static str = "sha256";
    /// With the CPU's own instructions: 1.2 GB/s.
    const COST_US: (f64, f64) = (0.2, 0.000_8);

    fn prepare(input_bytes: usize, seed: u64) -> Self {
        Self { seed, buffer: random_bytes(seed, input_bytes) }
    }

    /// The first eight bytes, as a little-endian number, of SHA-256 over seed, task and buffer. Allocates nothing.
    fn run(&self, task: u32, steps: &mut impl Steps) -> Result<u64, String> {
        let mut hasher = Sha256::new();
        hasher.update(self.seed.to_le_bytes());
        hasher.update(task.to_le_bytes());
        for chunk in self.buffer.chunks(piece(self.buffer.len(), UNIT)) {
            steps.begin();
            hasher.update(chunk);
        }
        Ok(first_word(&hasher.finalize()))
    }

    fn bytes(&self) -> usize {
        self.buffer.len()
    }
}
