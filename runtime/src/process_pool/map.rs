//! [`Map`]: one job for many items, in chunks.
//!
//! Files: `engine` turns items into chunks and answers into results; `sizes` says how many items a chunk gets; `chunk`
//! is what crosses to the worker and back, and the worker's loop. This file is the public face, and the way from the
//! engine to the pool.
//!
//! What an item costs beside the job itself: encoding and decoding, twice each. Nothing is allocated for it, no lock
//! taken, no clock read: all that is done once for a chunk.

pub(super) mod chunk;
mod engine;
mod sizes;

#[cfg(test)]
mod tests;

use super::{
    CallError, ProcessPool, Retry, call::RawCall, codec::Encoded, frame::Kind, job::JobFn, state::Terms,
};
use engine::{Engine, Seam, Settings};
use futures_util::Stream;
use serde::Serialize;
use sizes::Sizes;
use std::{
    any::type_name,
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// So many chunks for each worker are out unless the caller says otherwise: one runs, one waits behind it, and one is
/// on its way back.
const CHUNKS_PER_WORKER: usize = 3;

/// How many items of a [`Map`] go to a worker at a time.
///
/// ```no_run
/// use crossover_runtime::process_pool::{Chunk, ProcessPool, job};
///
/// #[job]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// # fn example(pool: ProcessPool) {
/// let squares = pool.map(square, 0..1_000_000).chunk(Chunk::Fixed(10_000));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chunk {
    /// As many as take a worker one to two milliseconds, by what the items before took; less when they or their
    /// results are large (a mebibyte), and towards the end, so that all workers end together. The first chunks have
    /// one item.
    #[default]
    Auto,
    /// So many, but no more than [`Builder::max_frame_bytes`](super::Builder::max_frame_bytes) allow; 0 counts as 1.
    Fixed(usize),
}

/// One job for many items: a stream of their results. Made by [`ProcessPool::map`].
///
/// Items go to the workers in chunks, so that an item may be as cheap as a few nanoseconds. The iterator is asked only
/// for what there is room for: at most [`buffer`](Self::buffer) chunks are out. Nothing happens before the stream is
/// polled.
///
/// # Errors
/// Each item has its own result, in its place. An item that panics, or does not encode or decode, harms no other. The
/// results of a chunk come back together: when its worker dies, is killed for a [`timeout`](Self::timeout) or for its
/// memory, or when they exceed `Builder::max_frame_bytes` together, all items of that chunk fail with that error, also
/// those that had run. Of these, [`retry`](Self::retry) tells apart only what a death did.
///
/// # Cancel safety
/// A result that was not polled out is not lost by dropping the future of `next()`. Dropping the stream cancels the
/// chunks that have not started; those that run go on to their end, and their results are discarded.
///
/// # Example
/// ```no_run
/// use crossover_runtime::process_pool::{ProcessPool, job};
/// use futures::StreamExt;
///
/// #[job]
/// fn count_words(path: String) -> Result<usize, String> {
///     let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
///     Ok(text.split_whitespace().count())
/// }
///
/// # async fn example(pool: ProcessPool, paths: Vec<String>) {
/// let mut counts = pool.map(count_words, paths);
/// while let Some(count) = counts.next().await {
///     match count {
///         Ok(Ok(words)) => println!("{words} words"),
///         Ok(Err(error)) => println!("not read: {error}"), // the job says so
///         Err(error) => println!("not counted: {error}"),  // the pool says so
///     }
/// }
/// # }
/// ```
#[must_use = "a map does nothing until it is polled"]
pub struct Map<F, I: Iterator> {
    engine: Engine<I, Chunks>,
    function: PhantomData<fn() -> F>,
}

impl ProcessPool {
    /// Runs `job` for every item, in chunks: a stream of the results, in the order of the items. `job` takes one
    /// argument.
    ///
    /// # Errors
    /// Every item has its own; see [`Map`].
    ///
    /// # Example
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, job};
    /// use futures::TryStreamExt;
    ///
    /// #[job]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let squares: Vec<u64> = pool.map(square, 1..=1000).try_collect().await?;
    /// assert_eq!(squares[999], 1_000_000);
    ///
    /// // Without a runtime, as an iterator:
    /// let sum: u64 = futures::executor::block_on_stream(pool.map(square, [1, 2, 3])).flatten().sum();
    /// assert_eq!(sum, 14);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<F, I>(&self, job: F, items: I) -> Map<F, I::IntoIter>
    where
        I: IntoIterator<Item: Serialize>,
        F: JobFn<(I::Item,)>,
    {
        // Only the type matters: it is the key to the table of jobs.
        let _ = job;
        let options = self.options();
        let (job, seam) = match options.table.find::<F>() {
            Some((number, entry)) => {
                (entry.name(), Ok(Chunks { pool: self.clone(), number, name: entry.name() }))
            }
            None => (type_name::<F>(), Err(CallError::UnknownJob { function: type_name::<F>() })),
        };
        let settings = Settings {
            job,
            workers: options.workers,
            max_bytes: options.max_frame_bytes as usize,
            buffer: CHUNKS_PER_WORKER * options.workers,
            ordered: true,
            timeout: None,
            retry: false,
        };
        Map { engine: Engine::new(seam, settings, items.into_iter()), function: PhantomData }
    }
}

impl<F, I: Iterator> Map<F, I> {
    /// How many items go to a worker at a time. [`Chunk::Auto`] unless set.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{Chunk, ProcessPool, job};
    ///
    /// #[job]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// # fn example(pool: ProcessPool) {
    /// // Each item takes seconds: none waits behind another.
    /// let squares = pool.map(square, 0..100).chunk(Chunk::Fixed(1));
    /// # }
    /// ```
    pub fn chunk(mut self, chunk: Chunk) -> Self {
        self.engine.sizes = Sizes::new(chunk);
        self
    }

    /// Whether results come in the order of the items (`true` unless set) or as they are ready. A chunk's results stay
    /// together either way.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, job};
    ///
    /// #[job]
    /// fn collatz(start: u64) -> (u64, u32) {
    ///     let (mut n, mut steps) = (start, 0);
    ///     while n != 1 {
    ///         n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
    ///         steps += 1;
    ///     }
    ///     (start, steps) // says which item it was
    /// }
    ///
    /// # fn example(pool: ProcessPool) {
    /// let lengths = pool.map(collatz, 1..1_000_000).ordered(false);
    /// # }
    /// ```
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.engine.settings.ordered = ordered;
        self
    }

    /// At most so many chunks are out at a time: with the workers, or answered and not yet polled out; 0 counts as 1.
    /// Three for each worker unless set.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, job};
    ///
    /// #[job]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// # fn example(pool: ProcessPool) {
    /// let squares = pool.map(square, 0..).buffer(100); // when items take very different times
    /// # }
    /// ```
    pub fn buffer(mut self, chunks: usize) -> Self {
        self.engine.settings.buffer = chunks.max(1);
        self
    }

    /// Kills the worker when an item runs longer than `limit`: that item, and those that share its chunk, then fail
    /// with [`CallError::Timeout`]. Each item has the whole time, counted from its own start.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, job};
    /// use std::time::Duration;
    ///
    /// #[job]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// # fn example(pool: ProcessPool) {
    /// let squares = pool.map(square, 0..100).timeout(Duration::from_secs(1));
    /// # }
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.engine.settings.timeout = Some(limit);
        self
    }

    /// What happens when a worker dies over a chunk. With [`Retry::OnDeath`] the chunk is run again in smaller and
    /// smaller parts, until only the item that kills its worker fails with
    /// [`CallError::WorkerDied`]; an item alone is tried twice. Items that share a chunk with it may run
    /// several times. [`Retry::Never`] unless set: then all items of the chunk fail.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, Retry, job};
    ///
    /// #[job]
    /// fn parse_with_a_c_library(document: String) -> usize {
    ///     document.len()
    /// }
    ///
    /// # fn example(pool: ProcessPool, documents: Vec<String>) {
    /// let lengths = pool.map(parse_with_a_c_library, documents).retry(Retry::OnDeath);
    /// # }
    /// ```
    pub fn retry(mut self, retry: Retry) -> Self {
        self.engine.settings.retry = retry == Retry::OnDeath;
        self
    }
}

impl<F, I> Stream for Map<F, I>
where
    I: Iterator<Item: Serialize>,
    F: JobFn<(I::Item,)>,
{
    type Item = Result<F::Output, CallError>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().engine.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.engine.size_hint()
    }
}

// Neither the iterator nor an item is ever pinned.
impl<F, I: Iterator> Unpin for Map<F, I> {}

impl<F, I: Iterator> fmt::Debug for Map<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("settings", &self.engine.settings).finish_non_exhaustive()
    }
}

/// The engine's way to the pool.
struct Chunks {
    pool: ProcessPool,
    number: u16,
    name: &'static str,
}

impl Seam for Chunks {
    type Call = RawCall;

    fn submit(&self, chunk: Encoded, timeout: Option<Duration>) -> RawCall {
        let terms = Terms { timeout, ..Terms::default() };
        self.pool.call_raw(self.number, self.name, Kind::Chunk, chunk, terms)
    }
}
