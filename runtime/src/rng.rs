//! A small random generator for choosing steal victims. Not for anything that has to be unpredictable.

/// Marsaglia's xorshift64*: three shifts and a multiplication.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// Equal seeds give equal sequences; any seed will do.
    pub(crate) fn new(seed: u64) -> Rng {
        // Spread small seeds over all bits; the state must not be zero.
        Rng(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`, or zero when `bound` is zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        // Multiply-shift instead of a remainder; high < 2^32, so the product fits for any real bound.
        (high.wrapping_mul(bound as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_victim_is_chosen_about_equally_often() {
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            let mut seen = [0_u32; 7];
            for _ in 0..7000 {
                seen[rng.below(7)] += 1;
            }
            assert!(seen.iter().all(|&n| (700..1300).contains(&n)), "seed {seed}: {seen:?}");
        }
    }
}
