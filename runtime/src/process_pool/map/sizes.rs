//! How many items go into the next chunk.
//!
//! A chunk should take a worker one to two milliseconds: then what surrounds it (two hand-overs, a wake-up, the pool's
//! lock) costs next to nothing, and workers still end together. How long an item takes is measured with every
//! answer; building a chunk counts as well, so that a slow iterator is not asked for a thousand items at a time.

use super::Chunk;
use std::time::Duration;

/// What a chunk should take, on either side.
const TARGET: Duration = Duration::from_micros(1500);

/// A chunk is so many times the last at most: the first measurements are coarse.
const GROWTH: usize = 8;

/// The most bytes of a chunk, and about the most of its answer.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// A worker gets the end of a known number of items in so many chunks, so that all end together; but in no smaller
/// ones than a so many times smaller one than usual.
const LAST_CHUNKS: usize = 2;
const LEAST_PART: usize = 16;

/// What a chunk came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) items: usize,
    /// The worker's time for it.
    pub(super) ran: Duration,
    /// Our time to build it, iterator included.
    pub(super) built: Duration,
    /// The bytes of its answer.
    pub(super) bytes: usize,
}

/// The sizes of a map's chunks.
#[derive(Debug)]
pub(super) struct Sizes {
    chunk: Chunk,
    next: usize,
}

impl Sizes {
    pub(super) fn new(chunk: Chunk) -> Self {
        Self { chunk, next: 1 }
    }

    /// How many items the next chunk should have, at least one. `left`: so many are surely still to come, for so many
    /// workers.
    pub(super) fn next(&self, left: usize, workers: usize) -> usize {
        match self.chunk {
            Chunk::Fixed(items) => items.max(1),
            Chunk::Auto => {
                let part = (left / (workers * LAST_CHUNKS)).max(self.next / LEAST_PART);
                // Nothing known of the end: no reason to be careful.
                let part = if left == 0 { self.next } else { part };
                self.next.min(part).max(1)
            }
        }
    }

    /// Whether the caller has chosen.
    pub(super) fn are_fixed(&self) -> bool {
        matches!(self.chunk, Chunk::Fixed(_))
    }

    /// Takes note of what a chunk came to.
    pub(super) fn learn(&mut self, cost: Cost) {
        let Cost { items, ran, built, bytes } = cost;
        let by_time = TARGET.as_nanos() * items as u128 / ran.max(built).as_nanos().max(1);
        let by_bytes = (MOST_BYTES * items / bytes.max(1)) as u128;
        let wanted = usize::try_from(by_time.min(by_bytes)).unwrap_or(usize::MAX);
        // A late answer of a small chunk says little about large ones: it never makes them smaller by itself.
        let most = self.next.max(items.saturating_mul(GROWTH));
        self.next = wanted.clamp(1, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(items: usize, nanos_per_item: u64, bytes_per_item: usize) -> Cost {
        let ran = Duration::from_nanos(nanos_per_item * items as u64);
        Cost { items, ran, built: Duration::ZERO, bytes: items * bytes_per_item }
    }

    #[test]
    fn cheap_items_come_to_the_target_within_a_few_chunks() {
        let mut sizes = Sizes::new(Chunk::Auto);
        let mut seen = Vec::new();
        for _ in 0..8 {
            let items = sizes.next(usize::MAX, 2);
            seen.push(items);
            sizes.learn(cost(items, 100, 9));
        }
        assert_eq!(seen, [1, 8, 64, 512, 4096, 15_000, 15_000, 15_000]);
    }

    #[test]
    fn dear_items_go_one_by_one() {
        let mut sizes = Sizes::new(Chunk::Auto);
        for nanos in [10, 10, 5_000_000] {
            sizes.learn(cost(sizes.next(usize::MAX, 2), nanos, 1));
        }
        assert_eq!(sizes.next(usize::MAX, 2), 1);
    }

    #[test]
    fn a_slow_iterator_counts_like_a_slow_job() {
        let mut sizes = Sizes::new(Chunk::Auto);
        sizes.learn(Cost { built: TARGET, ..cost(1, 10, 1) });
        assert_eq!(sizes.next(usize::MAX, 2), 1);
    }

    #[test]
    fn large_results_keep_chunks_small() {
        let mut sizes = Sizes::new(Chunk::Auto);
        for _ in 0..9 {
            sizes.learn(cost(sizes.next(usize::MAX, 2), 10, MOST_BYTES / 4));
        }
        assert_eq!(sizes.next(usize::MAX, 2), 4);
    }

    #[test]
    fn the_end_is_shared_out() {
        let mut sizes = Sizes::new(Chunk::Auto);
        for _ in 0..9 {
            sizes.learn(cost(sizes.next(usize::MAX, 2), 1500, 1));
        }
        assert_eq!(sizes.next(usize::MAX, 2), 1000);
        assert_eq!(sizes.next(1000, 2), 250);
        assert_eq!(sizes.next(3, 2), 62, "no crumbs: a sixteenth of the usual at least");
        assert_eq!(sizes.next(0, 2), 1000, "the iterator does not know its end");
    }

    #[test]
    fn a_fixed_size_is_fixed() {
        let mut sizes = Sizes::new(Chunk::Fixed(7));
        sizes.learn(cost(7, 1_000_000_000, 1));
        assert_eq!(sizes.next(1, 2), 7);
        assert_eq!(Sizes::new(Chunk::Fixed(0)).next(1, 2), 1);
    }
}
