//! Bodies of answers: whole ones, and lines that come one after another.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crossover_runtime::time::{Instant, Sleep, sleep_until};
use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::kinds::lines;

/// See the module's comment.
pub(super) enum Answer {
    /// All at once.
    Whole(Full<Bytes>),
    /// Chunk by chunk.
    Lines(Lines),
}

impl Answer {
    /// All at once.
    pub(super) fn whole(body: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(body.into()))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(full) => Pin::new(full).poll_frame(cx),
            Self::Lines(lines) => lines.poll_line(cx).map(|line| line.map(|line| Ok(Frame::data(line)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(full) => full.is_end_stream(),
            Self::Lines(lines) => lines.next == lines.count,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(full) => full.size_hint(),
            // Without a length the body is sent in chunks, each as soon as it is here.
            Self::Lines(_) => SizeHint::default(),
        }
    }
}

/// Lines, each after a delay that begins when the one before was due: delays do not add up what a timer is late.
pub(super) struct Lines {
    key: u64,
    next: u32,
    count: u32,
    delay: Duration,
    due: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Lines {
    /// `count` lines of this seed and task.
    pub(super) fn new(seed: u64, task: u32, count: u32, delay: Duration) -> Self {
        let key = lines::key(seed, task);
        Self { key, next: 0, count, delay, due: Instant::now(), timer: None }
    }

    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.next == self.count {
            return Poll::Ready(None);
        }
        if !self.delay.is_zero() {
            let timer = self.timer.get_or_insert_with(|| {
                self.due += self.delay;
                Box::pin(sleep_until(self.due))
            });
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
        let line = lines::line(self.key, self.next);
        self.next += 1;
        Poll::Ready(Some(line.into()))
    }
}
