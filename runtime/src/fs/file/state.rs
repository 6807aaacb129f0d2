//! A file's protocol: at most one job under way, and a buffer that goes with it.
//!
//! | state | who has the buffer | what is in it |
//! |---|---|---|
//! | `Idle` | the file | bytes read ahead: the cursor of the open file is behind them, where its owner is before them |
//! | `Busy` | the job | the job's matter: bytes to be written, or the room for a read |
//!
//! Each operation first *settles* what is under way, which may be what an earlier, given-up call has started: the bytes
//! of such a read are there for the next one, the position of such a seek counts. What would move the cursor, or the end
//! of the file, first takes the cursor back over the bytes read ahead, and forgets them. Where there is no cursor (a
//! pipe, a terminal) they stay: nobody could read them again.
//!
//! **Writes** are done when their bytes are in the buffer: the job goes on by itself. An error that it meets is kept in
//! `write_error` until the next write or flush returns it; there is at most one, as writes settle the job before them.
//!
//! **On the spot.** On Linux a file that is `ours` alone reads what is in the system's cache by `RWF_NOWAIT`, which does
//! not wait for a disk, into the reader's memory: the job's way ends with a copy of the same bytes by the same thread, so
//! this holds up a worker no longer. A seek of such a file to a place that is known is a few instructions in the kernel.
//! It has to be ours alone because both take the lock of the cursor, which another handle of the same open file may hold
//! for as long as its disk takes.

use super::super::buffer::Buffer;
use super::super::{no_result, start, start_job};
use super::lease::Lease;
use crate::scheduler::budget::poll_proceed;
use crate::task::JoinHandle;
use std::io::{self, IoSlice, IoSliceMut, Seek, SeekFrom};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The most that one call reads on the spot.
#[cfg(target_os = "linux")]
const AT_ONCE_MAX: usize = 256 << 10;

/// All of a file but the file.
#[derive(Debug)]
pub(super) struct Inner {
    state: State,
    /// Of a write that counted as done, for the next write or flush.
    write_error: Option<io::Error>,
    /// Where the last seek led to.
    position: u64,
    /// The seek under way, of those by `poll_seek`.
    seeking: Option<SeekFrom>,
    /// No other handle has the same open file, as far as we know.
    ours: bool,
    /// It may be possible to read what the system has in memory.
    #[cfg(target_os = "linux")]
    reads_at_once: bool,
}

#[derive(Debug)]
enum State {
    Idle(Buffer),
    Busy(JoinHandle<(Outcome, Buffer)>),
}

/// What a job came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Read(io::Result<()>),
    Write(io::Result<()>),
    Seek(io::Result<u64>),
    SetLen(io::Result<()>),
}

impl Inner {
    pub(super) fn new(ours: bool) -> Inner {
        Inner {
            state: State::Idle(Buffer::default()),
            write_error: None,
            position: 0,
            seeking: None,
            ours,
            #[cfg(target_os = "linux")]
            reads_at_once: true,
        }
    }

    /// There are other handles of the same open file from now on.
    pub(super) fn shared(&mut self) {
        self.ours = false;
    }

    /// How many bytes are read ahead. Only while idle, else 0.
    pub(super) fn ahead(&self) -> usize {
        match &self.state {
            State::Idle(buffer) => buffer.len(),
            State::Busy(_) => 0,
        }
    }

    /// Waits for what is under way; `None`: nothing. An error: no outcome, for want of a runtime or thread.
    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Outcome>>> {
        let State::Busy(job) = &mut self.state else { return Poll::Ready(Ok(None)) };
        let result = ready!(Pin::new(job).poll(cx));
        self.seeking = None;
        let (outcome, buffer) = match result {
            Ok((outcome, buffer)) => (Ok(Some(outcome)), buffer),
            Err(error) => (Err(no_result(error)), Buffer::default()),
        };
        self.state = State::Idle(buffer);
        if let Ok(Some(Outcome::Seek(Ok(position)))) = &outcome {
            self.position = *position;
        }
        Poll::Ready(outcome)
    }

    /// As `poll_outcome`, for operations that have no use for the outcome; a write's error waits for a write or flush.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(Outcome::Write(Err(error))) = ready!(self.poll_outcome(cx))? {
            self.write_error.get_or_insert(error);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for what is under way, whatever it comes to; any error waits for a write or flush.
    pub(super) fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.poll_quiet(cx)) {
            self.write_error.get_or_insert(error);
        }
        Poll::Ready(())
    }

    /// The buffer, where nothing is under way; leaves an empty one.
    fn take_buffer(&mut self) -> Buffer {
        match &mut self.state {
            State::Idle(buffer) => std::mem::take(buffer),
            State::Busy(_) => unreachable!("every operation settles the one before"),
        }
    }

    fn begin(
        &mut self,
        location: &'static Location<'static>,
        job: impl FnOnce() -> (Outcome, Buffer) + Send + 'static,
    ) {
        self.state = State::Busy(start(location, job));
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        file: impl FnOnce() -> Lease,
        max: usize,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = buffers.iter().fold(0, |sum: usize, buffer| sum.saturating_add(buffer.len()));
        if let Some(Outcome::Read(result)) = ready!(self.poll_read_outcome(cx))? {
            result?;
            let State::Idle(buffer) = &mut self.state else { unreachable!("it has just ended") };
            if buffer.is_empty() || wanted > 0 {
                return Poll::Ready(Ok(buffer.take(buffers)));
            }
        }
        let charge = ready!(poll_proceed(cx));
        let file = if let State::Idle(buffer) = &mut self.state
            && (wanted == 0 || !buffer.is_empty())
        {
            charge.made_progress();
            return Poll::Ready(Ok(buffer.take(buffers)));
        } else {
            file()
        };
        if let Some(count) = self.read_at_once(&file, max, buffers) {
            charge.made_progress();
            return Poll::Ready(Ok(count));
        }
        drop(charge);
        let mut buffer = self.take_buffer();
        let max = wanted.min(max);
        self.begin(Location::caller(), move || {
            let result = buffer.read_from(&*file, max);
            (Outcome::Read(result), buffer)
        });
        self.poll_read_begun(cx, buffers)
    }

    /// The outcome, if it is a read's.
    fn poll_read_outcome(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Outcome>>> {
        Poll::Ready(Ok(match ready!(self.poll_outcome(cx))? {
            Some(Outcome::Write(Err(error))) => {
                self.write_error.get_or_insert(error);
                None
            }
            outcome => outcome,
        }))
    }

    fn poll_read_begun(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(Outcome::Read(result)) = ready!(self.poll_outcome(cx))? {
            result?;
        }
        let State::Idle(buffer) = &mut self.state else { unreachable!("it has just ended") };
        Poll::Ready(Ok(buffer.take(buffers)))
    }

    /// Reads what is in the system's memory. `None`: nothing is, or it may be the end, which only a job can tell: Linux
    /// 5.9 and 5.10 say so for what is not in memory, too.
    #[cfg(target_os = "linux")]
    fn read_at_once(&mut self, file: &Lease, max: usize, buffers: &mut [IoSliceMut<'_>]) -> Option<usize> {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};
        if !self.ours || !self.reads_at_once {
            return None;
        }
        let buffer = buffers.iter_mut().find(|buffer| !buffer.is_empty())?;
        let len = buffer.len().min(max).min(AT_ONCE_MAX);
        let mut target = [IoSliceMut::new(&mut buffer[..len])];
        // This offset is the cursor, which moves on.
        match preadv2(&**file, &mut target, u64::MAX, ReadWriteFlags::NOWAIT) {
            Ok(count) => (count > 0).then_some(count),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(_) => {
                // This file cannot do it, or cannot be read at all, which the job will report.
                self.reads_at_once = false;
                None
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn read_at_once(&mut self, _: &Lease, _: usize, _: &mut [IoSliceMut<'_>]) -> Option<usize> {
        None
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        file: impl FnOnce() -> Lease,
        max: usize,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        if data.iter().all(|piece| piece.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let charge = ready!(poll_proceed(cx));
        let mut buffer = self.take_buffer();
        let ahead = if buffer.is_empty() { None } else { Some(std::mem::take(&mut buffer)) };
        let count = buffer.fill(data, max);
        let file = file();
        let job = start_job(Location::caller(), true, move || write_job(&file, ahead, buffer));
        self.state = State::Busy(job);
        charge.made_progress();
        // A runtime that is shut down refuses it at once: this is not accepted then.
        if let State::Busy(job) = &self.state
            && job.is_finished()
        {
            ready!(self.poll_quiet(cx))?;
        }
        Poll::Ready(Ok(count))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.write_error.take() {
            return Poll::Ready(Err(error));
        }
        match ready!(self.poll_outcome(cx))? {
            Some(Outcome::Write(result)) => Poll::Ready(result),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Is a job under way?
    #[cfg(feature = "tokio-io")]
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.state, State::Busy(_))
    }

    /// Seeks on the spot, or starts a job for it. Only while idle.
    pub(super) fn begin_seek(&mut self, file: Lease, to: SeekFrom) -> io::Result<()> {
        let mut buffer = self.take_buffer();
        if self.ours && !matches!(to, SeekFrom::End(_)) {
            let result = seek(&file, &mut buffer, to);
            self.state = State::Idle(buffer);
            self.position = result?;
            return Ok(());
        }
        self.begin(Location::caller(), move || {
            let result = seek(&file, &mut buffer, to);
            (Outcome::Seek(result), buffer)
        });
        Ok(())
    }

    pub(super) fn poll_seek(
        &mut self,
        cx: &mut Context<'_>,
        file: impl FnOnce() -> Lease,
        to: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        if self.seeking == Some(to) {
            return self.poll_sought(cx);
        }
        ready!(self.poll_quiet(cx))?;
        let charge = ready!(poll_proceed(cx));
        self.begin_seek(file(), to)?;
        if let State::Idle(_) = self.state {
            charge.made_progress();
            return Poll::Ready(Ok(self.position));
        }
        drop(charge);
        self.seeking = Some(to);
        self.poll_sought(cx)
    }

    /// Waits for a seek that has begun. Without one: where the last one led to.
    pub(super) fn poll_sought(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        match ready!(self.poll_outcome(cx))? {
            Some(Outcome::Seek(result)) => return Poll::Ready(result),
            Some(Outcome::Write(Err(error))) => {
                self.write_error.get_or_insert(error);
            }
            _ => {}
        }
        Poll::Ready(Ok(self.position))
    }

    /// Starts to set the length. Only while idle.
    pub(super) fn begin_set_len(&mut self, location: &'static Location<'static>, file: Lease, size: u64) {
        let mut buffer = self.take_buffer();
        self.begin(location, move || {
            let result = rewind(&file, &mut buffer).and_then(|()| file.set_len(size));
            (Outcome::SetLen(result), buffer)
        });
    }

    pub(super) fn poll_set_len(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.poll_outcome(cx))? {
            Some(Outcome::SetLen(result)) => Poll::Ready(result),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// Takes the cursor back over the bytes read ahead, and forgets them; where there is no cursor they stay.
fn rewind(mut file: &std::fs::File, ahead: &mut Buffer) -> io::Result<()> {
    if ahead.is_empty() {
        return Ok(());
    }
    match file.seek(SeekFrom::Current(back(ahead))) {
        Ok(_) => {
            ahead.clear();
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotSeekable => Ok(()),
        Err(error) => Err(error),
    }
}

/// The way back over the bytes read ahead, of which there are fewer than 2^31.
fn back(ahead: &Buffer) -> i64 {
    -i64::try_from(ahead.len()).unwrap_or(i64::MAX)
}

/// Seeks from the owner's point of view. A seek that fails leaves all as it was.
fn seek(mut file: &std::fs::File, ahead: &mut Buffer, to: SeekFrom) -> io::Result<u64> {
    let to = match to {
        SeekFrom::Current(offset) => match offset.checked_add(back(ahead)) {
            Some(offset) => SeekFrom::Current(offset),
            None => {
                rewind(file, ahead)?;
                to
            }
        },
        absolute => absolute,
    };
    let position = file.seek(to)?;
    ahead.clear();
    Ok(position)
}

fn write_job(file: &std::fs::File, ahead: Option<Buffer>, mut data: Buffer) -> (Outcome, Buffer) {
    let Some(mut ahead) = ahead else {
        return (Outcome::Write(data.write_to(file)), data);
    };
    let result = rewind(file, &mut ahead).and_then(|()| data.write_to(file));
    (Outcome::Write(result), if ahead.is_empty() { data } else { ahead })
}
