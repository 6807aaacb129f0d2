//! One job, from its arguments to its answer, whatever happens in it.
//!
//! Nothing that a job does makes an error here: a panic, values that do not decode or encode, a result beyond the
//! limit each become an answer of their own kind, and the worker goes on.

use super::{
    super::{
        codec::{self, Encoded},
        error::CodecStage,
        frame::{Header, Kind, PanicReport, TIMED},
        job::{RunError, Table},
    },
    panic,
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Longest reason of a codec error, in bytes.
const LONGEST_REASON: usize = 1024;

/// What the caller gets.
#[derive(Debug)]
pub(super) enum Answer {
    /// The result, or the results of a chunk.
    Done(Encoded),
    /// A [`PanicReport`].
    Panic(Encoded),
    Codec(CodecStage, String),
}

impl Answer {
    /// The answer to a job whose values failed.
    pub(super) fn codec(stage: CodecStage, mut reason: String, limit: u32) -> Self {
        let longest = LONGEST_REASON.min(limit as usize);
        reason.truncate(reason.floor_char_boundary(longest));
        Self::Codec(stage, reason)
    }
}

/// Runs the job that `header` names on this thread. The frame's kind tells whether the arguments are one call's or a
/// chunk's; `recycled` is a buffer for the result; no answer is longer than `limit` bytes. Where each item of a chunk
/// has its own time, `restart` is called before each.
pub(super) fn run(
    table: &Table,
    header: Header,
    arguments: &Encoded,
    recycled: Vec<u8>,
    limit: u32,
    restart: &mut dyn FnMut(),
) -> Answer {
    let Some(entry) = table.entry(header.job) else {
        let reason = "the worker does not know this job".to_owned();
        return Answer::codec(CodecStage::DecodeArguments, reason, limit);
    };
    panic::forget();
    // A job that panicked is over: no state of ours is shared with it but its arguments, which are only read.
    let result = catch_unwind(AssertUnwindSafe(|| match header.kind {
        Kind::Chunk => {
            let restart = (header.flags & TIMED != 0).then_some(restart);
            entry.run_chunk(arguments, recycled, restart)
        }
        _ => entry.run_message(arguments, recycled),
    }));
    match result {
        Ok(result) => of_result(result, limit),
        Err(payload) => of_panic(payload, limit),
    }
}

fn of_result(result: Result<Encoded, RunError>, limit: u32) -> Answer {
    match result {
        Ok(encoded) if encoded.total() <= limit as usize => Answer::Done(encoded),
        Ok(encoded) => {
            let length = encoded.total();
            let reason = format!(
                "a payload of {length} bytes exceeds the limit of {limit} bytes (Builder::max_frame_bytes)"
            );
            Answer::codec(CodecStage::EncodeResult, reason, limit)
        }
        Err((stage, reason)) => Answer::codec(stage, reason, limit),
    }
}

/// Without the backtrace where that is too long.
fn of_panic(payload: Box<dyn Any + Send>, limit: u32) -> Answer {
    let fits = |report: &PanicReport| codec::encode(report).ok().filter(|it| it.total() <= limit as usize);
    let mut report = panic::report(payload);
    if let Some(encoded) = fits(&report) {
        return Answer::Panic(encoded);
    }
    panic::shorten(&mut report);
    match fits(&report) {
        Some(encoded) => Answer::Panic(encoded),
        None => Answer::codec(CodecStage::EncodeResult, report.message, limit),
    }
}
