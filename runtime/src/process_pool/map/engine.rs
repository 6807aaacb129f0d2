//! The machine behind a [`Map`](super::Map): items to chunks, chunks to the pool, answers to results.
//!
//! It knows the pool only as a [`Seam`] that takes chunks, so that the tests put another in its place.
//!
//! Invariants: every item of the iterator has one slot, in one part, and every slot gives one result. At most
//! `buffer` parts are out, but for those that a dead worker's chunk is split into. Nothing is pulled from the iterator
//! unless there is room for it.

use super::{
    Chunk,
    chunk::{ARGUMENTS, next_result, time_of},
    sizes::{Cost, MOST_BYTES, Sizes},
};
use crate::process_pool::{
    CallError,
    codec::{Encoded, Encoder, ItemCursor},
    error::CodecStage,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// How long chunks are built in a row while answers may be waiting.
const FILL: Duration = Duration::from_micros(500);

/// A dead worker's chunk is run again in so many parts.
const PARTS: usize = 16;

/// Where chunks go.
pub(super) trait Seam {
    type Call: Future<Output = Result<Encoded, CallError>> + Unpin;

    /// Submits a chunk. Dropping the call takes it back, if it has not started.
    fn submit(&self, chunk: Encoded, timeout: Option<Duration>) -> Self::Call;
}

/// What can be set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) job: &'static str,
    pub(super) workers: usize,
    /// The longest chunk that the pool takes, in bytes.
    pub(super) max_bytes: usize,
    /// At least one.
    pub(super) buffer: usize,
    pub(super) ordered: bool,
    /// What an item may take.
    pub(super) timeout: Option<Duration>,
    /// Items whose worker died are run once more.
    pub(super) retry: bool,
}

pub(super) struct Engine<I: Iterator, S: Seam> {
    /// Or why there is none: the result of every item.
    seam: Result<S, CallError>,
    pub(super) settings: Settings,
    pub(super) sizes: Sizes,
    /// `None` once it has ended.
    items: Option<I>,
    /// Was pulled, and did not fit into the chunk before.
    carried: Option<I::Item>,
    /// What is out, oldest first.
    out: VecDeque<Part<S::Call>>,
    /// What is being handed out.
    current: Option<Results>,
    /// Memory for the next chunk.
    recycled: Vec<u8>,
}

/// A row of items on its way.
struct Part<C> {
    slots: Slots,
    stage: Stage<C>,
    /// Kept in case that the worker dies.
    message: Option<Encoded>,
    /// It is not run again.
    last: bool,
    /// The time that it took to build.
    built: Duration,
}

/// The places of a row of items, and which of them failed before they left.
#[derive(Debug)]
struct Slots {
    count: usize,
    bad: VecDeque<(usize, CallError)>,
}

enum Stage<C> {
    /// To be submitted when somebody looks at it.
    Held(Encoded),
    Sent(C),
    /// There is nothing to wait for, as no item of it can be run; or none at all, for this reason.
    Over(Option<CallError>),
}

/// An answered part: its results are decoded as they are asked for.
struct Results {
    slots: Slots,
    next: usize,
    answer: Result<Encoded, CallError>,
    cursor: ItemCursor,
}

impl Slots {
    /// How many items are to be run.
    fn good(&self) -> usize {
        self.count - self.bad.len()
    }

    /// Takes the first so many slots out.
    fn take(&mut self, count: usize) -> Self {
        let split = self.bad.partition_point(|(slot, _)| *slot < count);
        let rest = self.bad.split_off(split);
        let first = std::mem::replace(&mut self.bad, rest);
        self.bad.iter_mut().for_each(|(slot, _)| *slot -= count);
        self.count -= count;
        Self { count, bad: first }
    }
}

impl Results {
    #[inline]
    fn next<R: DeserializeOwned>(&mut self, job: &'static str) -> Option<Result<R, CallError>> {
        if self.next == self.slots.count {
            return None;
        }
        let slot = self.next;
        self.next += 1;
        if self.slots.bad.front().is_some_and(|(bad, _)| *bad == slot) {
            return self.slots.bad.pop_front().map(|(_, error)| Err(error));
        }
        Some(match &self.answer {
            Ok(answer) => next_result(answer, &mut self.cursor, job),
            Err(error) => Err(error.again()),
        })
    }
}

impl<I, S> Engine<I, S>
where
    I: Iterator<Item: Serialize>,
    S: Seam,
{
    pub(super) fn new(seam: Result<S, CallError>, settings: Settings, items: I) -> Self {
        Self {
            seam,
            settings,
            sizes: Sizes::new(Chunk::Auto),
            items: Some(items),
            carried: None,
            out: VecDeque::new(),
            current: None,
            recycled: Vec::new(),
        }
    }

    /// The next result; `None` after the last.
    #[inline]
    pub(super) fn poll_next<R: DeserializeOwned>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<R, CallError>>> {
        loop {
            if let Some(current) = &mut self.current
                && let Some(result) = current.next(self.settings.job)
            {
                return Poll::Ready(Some(result));
            }
            match self.poll_part(cx) {
                Poll::Ready(Some(results)) => self.current = Some(results),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The next answered part. The place that it leaves is filled at once: the workers go on while its results are
    /// handed out.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Results>> {
        self.recycle();
        let full = self.fill();
        if self.out.is_empty() {
            return Poll::Ready(None);
        }
        match self.poll_out(cx) {
            Poll::Ready(results) => {
                self.fill();
                Poll::Ready(Some(results))
            }
            Poll::Pending => {
                if !full {
                    // Others get their turn, then it goes on.
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    /// Builds and submits chunks for at most [`FILL`]. True when there is no room left, or nothing to build from.
    fn fill(&mut self) -> bool {
        let since = Instant::now();
        while self.out.len() < self.settings.buffer {
            if !self.out.is_empty() && since.elapsed() > FILL {
                return false;
            }
            match self.build() {
                Some(part) => self.out.push_back(part),
                None => break,
            }
        }
        true
    }

    fn build(&mut self) -> Option<Part<S::Call>> {
        let started = Instant::now();
        let left = self.items.as_ref().map_or(0, |items| items.size_hint().0);
        let wanted = self.sizes.next(left, self.settings.workers);
        let most = self.settings.max_bytes.min(if self.sizes.are_fixed() { usize::MAX } else { MOST_BYTES });
        let mut encoder = Encoder::new(std::mem::take(&mut self.recycled));
        let mut slots = Slots { count: 0, bad: VecDeque::new() };
        while slots.count < wanted && encoder.len() < most {
            let Some(item) = self.carried.take().or_else(|| self.pull()) else { break };
            let mark = encoder.mark();
            let put = encoder.put_item(ARGUMENTS, &item);
            let bad = match put {
                Ok(()) if encoder.len() <= self.settings.max_bytes => None,
                Ok(()) => {
                    let bytes = encoder.len();
                    encoder.rollback(mark);
                    if slots.good() > 0 {
                        self.carried = Some(item);
                        break;
                    }
                    let limit = self.settings.max_bytes;
                    Some(format!(
                        "an item of {bytes} bytes exceeds the limit of {limit} bytes (Builder::max_frame_bytes)"
                    ))
                }
                Err(reason) => Some(reason),
            };
            if let Some(reason) = bad {
                slots.bad.push_back((slots.count, self.unencoded(reason)));
            }
            slots.count += 1;
        }
        if slots.count == 0 {
            return None;
        }
        let finished = if slots.good() == 0 {
            Ok(None)
        } else {
            let (message, spare) = encoder.finish_and_recycle();
            self.recycled = spare;
            message.map(Some)
        };
        let (stage, message) = match finished {
            Ok(None) => (Stage::Over(None), None),
            Ok(Some(message)) => {
                let copy = self.settings.retry.then(|| message.clone());
                (self.send(message), copy)
            }
            Err(reason) => (Stage::Over(Some(self.unencoded(reason))), None),
        };
        Some(Part { slots, stage, message, last: false, built: started.elapsed() })
    }

    fn unencoded(&self, reason: String) -> CallError {
        CallError::Codec { job: self.settings.job, stage: CodecStage::EncodeArguments, reason }
    }

    fn pull(&mut self) -> Option<I::Item> {
        let item = self.items.as_mut()?.next();
        if item.is_none() {
            self.items = None;
        }
        item
    }

    fn send(&self, message: Encoded) -> Stage<S::Call> {
        match &self.seam {
            Ok(seam) => Stage::Sent(seam.submit(message, self.settings.timeout)),
            Err(error) => Stage::Over(Some(error.again())),
        }
    }

    /// The oldest part if it is answered, or any in no order.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Results> {
        let mut index = 0;
        while index < self.out.len() {
            match self.poll_at(index, cx) {
                Poll::Ready(Some(results)) => return Poll::Ready(results),
                // It was split: look at what stands in its place.
                Poll::Ready(None) => {}
                Poll::Pending if self.settings.ordered => return Poll::Pending,
                Poll::Pending => index += 1,
            }
        }
        Poll::Pending
    }

    /// The results of one part; `None` when others have taken its place.
    fn poll_at(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<Option<Results>> {
        let part = &mut self.out[index];
        if let Stage::Held(_) = part.stage
            && let Stage::Held(message) = std::mem::replace(&mut part.stage, Stage::Over(None))
        {
            let sent = self.send(message);
            self.out[index].stage = sent;
        }
        let part = &mut self.out[index];
        let answer = match &mut part.stage {
            Stage::Sent(call) => match Pin::new(call).poll(cx) {
                Poll::Ready(answer) => answer,
                Poll::Pending => return Poll::Pending,
            },
            Stage::Over(None) => Ok(Encoded::plain(Vec::new())),
            Stage::Over(Some(error)) => Err(error.again()),
            Stage::Held(_) => return Poll::Pending,
        };
        let Some(part) = self.out.remove(index) else { return Poll::Pending };
        if answer.as_ref().is_err_and(CallError::is_worker_died) && part.message.is_some() && !part.last {
            self.split(index, part);
            return Poll::Ready(None);
        }
        let Part { slots, built, .. } = part;
        let mut cursor = ItemCursor::default();
        let items = slots.good();
        if let Ok(answer) = &answer
            && items > 0
        {
            let ran = time_of(answer, &mut cursor);
            self.sizes.learn(Cost { items, ran, built, bytes: answer.total() });
        }
        Poll::Ready(Some(Results { slots, next: 0, answer, cursor }))
    }

    /// Puts smaller parts in the place of one whose worker died, so that in the end only the item that killed it
    /// fails. One item alone is run once more.
    fn split(&mut self, mut index: usize, part: Part<S::Call>) {
        let Part { mut slots, message: Some(message), .. } = part else { return };
        let size = slots.count.div_ceil(PARTS);
        let mut at = Ok(ItemCursor::default());
        while slots.count > 0 {
            let taken = slots.take(size.min(slots.count));
            let last = taken.good() <= 1;
            let cut = at.and_then(|at| message.items(at, taken.good()));
            let (stage, message) = match &cut {
                Ok(_) if taken.good() == 0 => (Stage::Over(None), None),
                Ok((piece, _)) => (Stage::Held(piece.clone()), Some(piece.clone())),
                // There is no memory to share any more: what is left fails.
                Err(reason) => (Stage::Over(Some(self.unencoded(reason.clone()))), None),
            };
            at = cut.map(|(_, end)| end);
            self.out.insert(index, Part { slots: taken, stage, message, last, built: Duration::ZERO });
            index += 1;
        }
    }

    /// Keeps the memory of the part that was handed out.
    fn recycle(&mut self) {
        if let Some(Results { answer: Ok(answer), .. }) = self.current.take() {
            let spare = answer.recycle();
            if spare.capacity() > self.recycled.capacity() {
                self.recycled = spare;
            }
        }
    }

    /// How many results are surely still to come, and how many at most.
    pub(super) fn size_hint(&self) -> (usize, Option<usize>) {
        let current = self.current.as_ref().map_or(0, |current| current.slots.count - current.next);
        let out: usize = self.out.iter().map(|part| part.slots.count).sum();
        let known = current + out + usize::from(self.carried.is_some());
        let (least, most) = self.items.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        (least.saturating_add(known), most.and_then(|most| most.checked_add(known)))
    }
}
