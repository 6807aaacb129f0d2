//! What a chunk of a [`Map`](super::Map) and its answer look like, and the worker's loop over one.
//!
//! A chunk is a message of items (`codec::items`), each an argument tuple; the tag is [`ARGUMENTS`]. The answer begins
//! with one of tag [`RAN`], the nanoseconds that the chunk took (8 bytes). Then it has an item for each of the chunk, in
//! order, and its tag says which kind: [`RESULT`] (the value), [`PANIC`] (a [`PanicReport`]) or [`BAD`] (a stage and
//! the codec's reason). An item that fails leaves the others alone.

use crate::process_pool::{
    CallError,
    codec::{Decoder, Encoded, Encoder, ItemCursor, Mark},
    error::CodecStage,
    frame::PanicReport,
    job::RunError,
    worker,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

pub(super) const ARGUMENTS: u8 = 0;
const RESULT: u8 = 0;
const PANIC: u8 = 1;
const BAD: u8 = 2;
const RAN: u8 = 3;

/// Where the time stands in the answer: behind the header of its item.
const RAN_AT: usize = 4;

/// Calls `invoke` with each item of a chunk: the answer's message. `each` is called before each item.
///
/// Panics are caught outside the loop, which is then entered again at the next item.
///
/// # Errors
/// The chunk is none, or there is no memory for the answer.
pub(in crate::process_pool) fn run<Args, R>(
    input: &Encoded,
    recycled: Vec<u8>,
    each: Option<&mut dyn FnMut()>,
    invoke: impl Fn(Args) -> R,
) -> Result<Encoded, RunError>
where
    Args: DeserializeOwned,
    R: Serialize,
{
    let started = Instant::now();
    let mut output = Encoder::new(recycled);
    output.put_item(RAN, &[0_u8; 8]).map_err(|reason| (CodecStage::EncodeResult, reason))?;
    let mark = output.mark();
    let mut chunk = Run { input, cursor: ItemCursor::default(), output, mark, each };
    loop {
        // A job that panicked is over: of the chunk, it can have touched nothing but the result that is taken back.
        match panic::catch_unwind(AssertUnwindSafe(|| chunk.go_on(&invoke))) {
            Ok(result) => break result?,
            Err(payload) => {
                // It may have panicked while its result was written.
                chunk.output.rollback(chunk.mark);
                chunk
                    .output
                    .put_item(PANIC, &worker::take_panic(payload))
                    .map_err(|reason| (CodecStage::EncodeResult, reason))?;
            }
        }
    }
    // 2^64 ns are centuries.
    let ran = started.elapsed().as_nanos() as u64;
    chunk.output.overwrite(RAN_AT, &ran.to_le_bytes());
    chunk.output.finish().map_err(|reason| (CodecStage::EncodeResult, reason))
}

/// A chunk that is being run.
struct Run<'a, 'e> {
    input: &'a Encoded,
    cursor: ItemCursor,
    output: Encoder,
    /// Before the item that is being run.
    mark: Mark,
    each: Option<&'e mut dyn FnMut()>,
}

impl Run<'_, '_> {
    /// Runs items until the last, or the first that panics.
    fn go_on<Args, R>(&mut self, invoke: &impl Fn(Args) -> R) -> Result<(), RunError>
    where
        Args: DeserializeOwned,
        R: Serialize,
    {
        while let Some(item) = self.cursor.next(self.input) {
            let (_, decoder) = item.map_err(|reason| (CodecStage::DecodeArguments, reason))?;
            self.mark = self.output.mark();
            if let Some(each) = &mut self.each {
                each();
            }
            let bad = match whole(decoder) {
                Ok(arguments) => match self.output.put_item(RESULT, &invoke(arguments)) {
                    Ok(()) => continue,
                    Err(reason) => (CodecStage::EncodeResult, reason),
                },
                Err(reason) => (CodecStage::DecodeArguments, reason),
            };
            self.output
                .put_item(BAD, &(bad.0.to_byte(), &bad.1))
                .map_err(|reason| (CodecStage::EncodeResult, reason))?;
        }
        Ok(())
    }
}

/// The one value of an item.
#[inline]
fn whole<T: DeserializeOwned>(mut item: Decoder<'_>) -> Result<T, String> {
    let value = item.take()?;
    item.finish()?;
    Ok(value)
}

/// How long the worker took for the chunk; the cursor then stands before the first result. An answer that does not
/// say, says nothing else either.
pub(super) fn time_of(answer: &Encoded, cursor: &mut ItemCursor) -> Duration {
    match cursor.next(answer) {
        Some(Ok((RAN, item))) => Duration::from_nanos(whole(item).map_or(0, u64::from_le_bytes)),
        _ => Duration::ZERO,
    }
}

/// The next result of an answer.
#[inline]
pub(super) fn next_result<R: DeserializeOwned>(
    answer: &Encoded,
    cursor: &mut ItemCursor,
    job: &'static str,
) -> Result<R, CallError> {
    match cursor.next_of(RESULT, answer) {
        Some(item) => whole(item).map_err(|reason| undecoded(job, reason)),
        None => Err(failure(cursor.next(answer), job)),
    }
}

/// The error that stands in the place of a result.
#[cold]
fn failure(item: Option<Result<(u8, Decoder<'_>), String>>, job: &'static str) -> CallError {
    let (tag, item) = match item {
        Some(Ok(item)) => item,
        Some(Err(reason)) => return undecoded(job, reason),
        None => return undecoded(job, "the worker's answer lacks this item".to_owned()),
    };
    match tag {
        PANIC => match whole::<PanicReport>(item) {
            Ok(PanicReport { message, location, backtrace }) => {
                CallError::Panic { job, message, location, backtrace }
            }
            Err(reason) => undecoded(job, reason),
        },
        BAD => match whole::<(u8, String)>(item) {
            Ok((stage, reason)) => CallError::Codec { job, stage: CodecStage::from_worker(stage), reason },
            Err(reason) => undecoded(job, reason),
        },
        _ => undecoded(job, format!("an item of unknown kind {tag}")),
    }
}

#[cold]
fn undecoded(job: &'static str, reason: String) -> CallError {
    CallError::Codec { job, stage: CodecStage::DecodeResult, reason }
}
