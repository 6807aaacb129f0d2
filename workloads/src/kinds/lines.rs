//! Kind `lines`: a task reads a stream of lines that the server sends in chunks, each after a delay, and works on every
//! line as it arrives.

use std::sync::Arc;
use std::time::Duration;

use super::Kind;
use super::http::{self, Clients, Failure, PATIENCE, Sink, whole_us};
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::{fold, word};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// Bytes of a line, its newline included.
const LINE_BYTES: usize = 17;

/// What the lines of a task are made from.
pub(super) fn key(seed: u64, task: u32) -> u64 {
    word(seed, u64::from(task))
}

/// A line of the stream.
pub(super) fn line(key: u64, index: u32) -> String {
    format!("{:016x}\n", word(key, u64::from(index)))
}

/// The streams of one workload.
#[derive(Debug)]
pub(crate) struct Lines {
    clients: Arc<Clients>,
    seed: u64,
    delay_us: u64,
    count: u32,
    limit: Duration,
}

impl Kind for Lines {
    const INFO: KindInfo = KindInfo {
        about: "a task reads a stream of lines over HTTP/1.1 from a server in another process, which sends each after a delay, and digests them as they arrive",
        params: &[
            catalog::tasks(10_000),
            ParamInfo {
                name: "lines",
                about: "lines of a stream, each in a chunk of its own",
                value: ParamKind::Int { min: 1, max: 100_000 },
                default: Some(DefaultValue::Int(5)),
            },
            http::delay_ms("how long the server waits before each line; 0 sends them at once"),
        ],
        needs_server: true,
        ..KindInfo::new("lines", Class::Io)
    };

    fn prepare(setup: &Setup<'_>, relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let params = &setup.params;
        let delay_us = whole_us(params.number("delay_ms")?);
        let count = u32::try_from(params.count("lines")?).unwrap_or(u32::MAX);
        Ok(Self {
            clients: Clients::shared(setup, relative.map(|lines| &lines.clients))?,
            seed: setup.seed(),
            delay_us,
            count,
            limit: PATIENCE + Duration::from_micros(delay_us).saturating_mul(count),
        })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let mut reader = self.reader(task);
        let status = self.clients.get_blocking(task, &self.target(task), self.limit, &mut reader)?;
        self.digest(task, status, &reader)
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        // Boxed, because of its size: see the table of kinds.
        Box::pin(async {
            let mut reader = self.reader(task);
            let status = self.clients.get::<R>(task, &self.target(task), self.limit, &mut reader).await?;
            self.digest(task, status, &reader)
        })
        .await
    }

    fn estimate_us(params: &Params) -> f64 {
        params.guess("lines") * (params.guess("delay_ms") * 1000.0 + 60.0) + 150.0
    }
}

impl Lines {
    fn target(&self, task: u32) -> String {
        format!("/lines?us={}&n={task}&seed={}&count={}", self.delay_us, self.seed, self.count)
    }

    fn reader(&self, task: u32) -> Reader {
        Reader { key: key(self.seed, task), begun: Vec::with_capacity(LINE_BYTES), seen: 0, digest: 0 }
    }

    fn digest(&self, task: u32, status: u16, reader: &Reader) -> Result<u64, WorkloadError> {
        self.clients.expect_ok(task, status)?;
        if reader.seen != self.count || !reader.begun.is_empty() {
            let reason = format!("it ended after {} of {} lines", reader.seen, self.count);
            return Err(self.clients.wrong_body(task, reason));
        }
        Ok(reader.digest)
    }
}

/// Takes lines out of what arrives, wherever it is cut.
#[derive(Debug)]
struct Reader {
    key: u64,
    /// A line of which the end is missing.
    begun: Vec<u8>,
    seen: u32,
    digest: u64,
}

impl Sink for Reader {
    fn take(&mut self, mut piece: &[u8]) -> Result<(), Failure> {
        while !piece.is_empty() {
            let (some, rest) = piece.split_at(piece.len().min(LINE_BYTES - self.begun.len()));
            self.begun.extend_from_slice(some);
            piece = rest;
            if self.begun.len() == LINE_BYTES {
                self.digest = fold(self.digest, self.read_line()?);
                self.seen += 1;
                self.begun.clear();
            }
        }
        Ok(())
    }
}

impl Reader {
    /// The number in a whole line, if it is the one that is due.
    fn read_line(&self) -> Result<u64, Failure> {
        let expected = word(self.key, u64::from(self.seen));
        match self.begun.split_last() {
            Some((b'\n', digits)) => http::read_body(digits, expected)
                .map_err(|reason| Failure::Body(format!("line {}: {reason}", self.seen))),
            _ => Err(Failure::Body(format!("line {} has no end", self.seen))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_pieces_are_cut_says_nothing() {
        let all: Vec<u8> = (0..5).flat_map(|index| line(key(1, 2), index).into_bytes()).collect();
        let mut digests = Vec::new();
        for size in [1, 3, 16, 17, 18, 40, 1000] {
            let mut reader = Reader { key: key(1, 2), begun: Vec::new(), seen: 0, digest: 0 };
            all.chunks(size).for_each(|piece| reader.take(piece).unwrap());
            assert_eq!((reader.seen, reader.begun.len()), (5, 0));
            digests.push(reader.digest);
        }
        digests.dedup();
        assert_eq!(digests.len(), 1);
    }

    #[test]
    fn a_wrong_line_is_told() {
        for (text, part) in [
            (line(key(1, 2), 1), "line 0: found"),
            (line(key(1, 2), 0).replace('\n', "x"), "line 0 has no end"),
        ] {
            let mut reader = Reader { key: key(1, 2), begun: Vec::new(), seen: 0, digest: 0 };
            match reader.take(text.as_bytes()) {
                Err(Failure::Body(reason)) => assert!(reason.contains(part), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
