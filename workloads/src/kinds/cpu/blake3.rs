//! BLAKE3 of a buffer, keyed with the task. Uses the CPU's vector instructions where it has them, and one thread.
//! A step is a piece of the buffer.

use super::Kernel;
use super::steps::{Steps, piece};
use crate::checksum::{first_word, random_bytes, word};

/// Pieces of the buffer are multiples of it: BLAKE3 hashes up to 16 chunks of 1 KiB side by side.
const UNIT: usize = 16 * 1024;
/// Bytes of a key.
const KEY: usize = 32;

/// The buffer that all tasks hash, each with its own key.
#[derive(Debug)]
pub(super) struct Blake3Work {
    seed: u64,
    buffer: Vec<u8>,
}

impl Kernel for Blake3Work {
    const NAME: &'static str = "blake3";
    const COST_US: (f64, f64) = (0.2, 0.000_17);

    fn prepare(input_bytes: usize, seed: u64) -> Self {
        Self { seed, buffer: random_bytes(seed, input_bytes) }
    }

    /// The first eight bytes, as a little-endian number, of the keyed hash. Allocates nothing.
    fn run(&self, task: u32, steps: &mut impl Steps) -> Result<u64, String> {
        let mut hasher = blake3::Hasher::new_keyed(&self.key(task));
        for chunk in self.buffer.chunks(piece(self.buffer.len(), UNIT)) {
            steps.begin();
            hasher.update(chunk);
        }
        Ok(first_word(hasher.finalize().as_bytes()))
    }

    fn bytes(&self) -> usize {
        self.buffer.len()
    }
}

impl Blake3Work {
    /// The first outputs of the generator seeded with the task's word.
    fn key(&self, task: u32) -> [u8; KEY] {
        let mut key = [0; KEY];
        let seed = word(self.seed, u64::from(task));
        for (index, bytes) in (0..).zip(key.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word(seed, index).to_le_bytes());
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::cpu::steps::Free;

    #[test]
    fn pieces_do_not_change_the_hash() {
        for input_bytes in [16, 1000, UNIT, UNIT + 1, 70 * UNIT + 77] {
            let work = Blake3Work::prepare(input_bytes, 7);
            let whole = blake3::keyed_hash(&work.key(3), &work.buffer);
            assert_eq!(work.run(3, &mut Free).unwrap(), first_word(whole.as_bytes()));
        }
    }
}
