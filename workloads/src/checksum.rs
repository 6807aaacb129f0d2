//! The generator of every input, and the rule that folds the digests of all tasks into one checksum.
//!
//! All arithmetic is on unsigned 64-bit integers and wraps. Nothing here allocates, and nothing depends on the
//! order in which tasks finish: strategies that run them in any order reach the same checksum.
//! The crate's front page states the same rules for other languages.

/// The increment of SplitMix64: 2⁶⁴ divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of SplitMix64: a bijection in which every input bit moves every output bit.
#[must_use]
pub(crate) const fn mix64(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The `index`-th output, from 0, of SplitMix64 seeded with `seed`.
#[must_use]
pub(crate) const fn word(seed: u64, index: u64) -> u64 {
    mix64(seed.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN)))
}

/// `len` bytes: the outputs of SplitMix64 seeded with `seed`, each in little-endian order, the last one cut.
#[must_use]
pub(crate) fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
    for index in 0..len.div_ceil(8) as u64 {
        bytes.extend_from_slice(&word(seed, index).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A sum in which value `i`, counted from `first`, has the weight 2i + 1: any single wrong value and any two that are swapped
/// change it, and it costs next to nothing. Sums of parts add up to that of the whole.
#[must_use]
pub(crate) fn weigh(first: u64, values: impl Iterator<Item = u64>) -> u64 {
    values.zip(first..).fold(0, |sum: u64, (value, i)| sum.wrapping_add(value.wrapping_mul(2 * i + 1)))
}

/// The digest of a task whose result comes to `sum`.
#[must_use]
pub(crate) const fn seal(sum: u64, seed: u64, task: u32) -> u64 {
    mix64(sum ^ word(seed, task as u64))
}

/// The digest of a task whose result is these bytes: their CRC-32, as zlib computes it, and above it their number.
#[must_use]
pub(crate) fn seal_bytes(bytes: &[u8], seed: u64, task: u32) -> u64 {
    seal((bytes.len() as u64) << 32 | u64::from(crc32fast::hash(bytes)), seed, task)
}

/// The first eight bytes of a hash, as a little-endian number.
#[must_use]
pub(crate) fn first_word(hash: &[u8]) -> u64 {
    hash.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Folds the digest of one task into the checksum of the whole work, which starts from 0.
///
/// The order of the calls does not matter; which digest belongs to which task does.
///
/// ```
/// use crossover_workloads::combine;
/// assert_eq!(combine(combine(0, 0, 7), 1, 9), combine(combine(0, 1, 9), 0, 7));
/// assert_ne!(combine(combine(0, 0, 7), 1, 9), combine(combine(0, 0, 9), 1, 7));
/// ```
#[must_use]
pub const fn combine(acc: u64, task: u32, digest: u64) -> u64 {
    acc.wrapping_add(word(digest, task as u64))
}

/// Adds one more value to the digest of a task whose values have an order.
#[must_use]
pub(crate) const fn fold(acc: u64, value: u64) -> u64 {
    mix64(acc ^ value)
}

/// The checksum as it stands in records and on the trial protocol: 16 lower-case hexadecimal digits.
#[must_use]
pub fn format_checksum(acc: u64) -> String {
    format!("{acc:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs for seed 0 and 1234567 as published with the reference implementation.
    #[test]
    fn generator_is_splitmix64() {
        assert_eq!(word(0, 0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(word(0, 1), 0x6E78_9E6A_A1B9_65F4);
        assert_eq!(word(1_234_567, 0), 6_457_827_717_110_365_317);
        assert_eq!(word(1_234_567, 4), 16_408_922_859_458_223_821);
    }

    #[test]
    fn bytes_are_little_endian_and_cut() {
        assert_eq!(random_bytes(0, 11), [0xAF, 0xCD, 0x1D, 0x7B, 0x39, 0xA8, 0x20, 0xE2, 0xF4, 0x65, 0xB9]);
        assert!(random_bytes(5, 0).is_empty());
    }

    #[test]
    fn combine_ignores_order_and_sees_everything_else() {
        let digests: Vec<u64> = (0..50).map(|i| word(99, i)).collect();
        let forward = (0..50u32).fold(0, |acc, t| combine(acc, t, digests[t as usize]));
        let backward = (0..50u32).rev().fold(0, |acc, t| combine(acc, t, digests[t as usize]));
        assert_eq!(forward, backward);
        let one_bit = (0..50u32).fold(0, |acc, t| combine(acc, t, digests[t as usize] ^ u64::from(t == 31)));
        let swapped = (0..50u32).fold(0, |acc, t| combine(acc, t, digests[(t as usize) ^ 1]));
        let missing = (0..49u32).fold(0, |acc, t| combine(acc, t, digests[t as usize]));
        let doubled = combine(forward, 0, digests[0]);
        for wrong in [one_bit, swapped, missing, doubled] {
            assert_ne!(forward, wrong);
        }
    }

    #[test]
    fn weights_see_every_value_and_its_place() {
        let values: Vec<u64> = (0..100).map(|i| word(3, i)).collect();
        let right = weigh(0, values.iter().copied());
        for i in 0..100 {
            let mut wrong = values.clone();
            wrong[i] ^= 0x80;
            assert_ne!(right, weigh(0, wrong.into_iter()));
            let mut wrong = values.clone();
            wrong.swap(i, (i + 1) % 100);
            assert_ne!(right, weigh(0, wrong.into_iter()));
            let (head, tail) = values.split_at(i);
            let parts = weigh(0, head.iter().copied()).wrapping_add(weigh(i as u64, tail.iter().copied()));
            assert_eq!(right, parts);
        }
        assert_ne!(seal(right, 1, 2), seal(right, 1, 3));
        assert_ne!(seal(right, 1, 2), seal(right, 2, 2));
    }

    #[test]
    fn bytes_are_sealed_by_crc_and_length() {
        // The check value of CRC-32.
        assert_eq!(seal_bytes(b"123456789", 5, 6), seal(9 << 32 | 0xCBF4_3926, 5, 6));
        assert_eq!(first_word(&[1, 2, 0, 0, 0, 0, 0, 128, 77]), 0x8000_0000_0000_0201);
    }

    #[test]
    fn checksums_keep_their_leading_zeros() {
        assert_eq!(format_checksum(0xAB), "00000000000000ab");
    }
}
