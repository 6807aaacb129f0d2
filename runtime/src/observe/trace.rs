//! Recording a run: which worker polled which task when, and when it slept; for looking at as a timeline.
//!
//! While it is on, a worker reads the clock around each poll and puts a span into its own [`Track`], under a lock that it
//! shares only with whoever starts and stops the recording. A track has room for a fixed number of spans; what comes
//! when it is full is counted and lost, so a forgotten recorder does not eat the machine's memory.

use super::Subject;
use crate::handle::Handle;
use crate::sync::prim::{Mutex, now};
use crate::task::Id;
use std::fmt;
use std::io::{self, Write};
use std::panic::Location;
use std::time::{Duration, Instant};

/// Room for so many spans of each worker, unless asked for otherwise; a span takes 48 bytes.
const CAPACITY: usize = 1 << 18;

/// What a worker was doing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Activity {
    Poll(Subject),
    Park,
}

/// The spans of one worker.
#[derive(Default)]
pub(crate) struct Track(Mutex<Option<Recorded>>);

/// What was recorded of one worker.
pub(crate) struct Recorded {
    start: Instant,
    capacity: usize,
    spans: Vec<Span>,
    lost: u64,
}

/// One stretch of a worker's time; its times are counted from the start of the recording.
///
/// ```
/// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
/// let recorder = runtime.handle().record()?;
/// runtime.block_on(runtime.spawn(async {})).unwrap();
/// let trace = recorder.stop();
/// for span in trace.spans(0) {
///     println!("{:?} from {:?} on: {:?}", span.duration(), span.start(), span.spawned_at());
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Span {
    activity: Activity,
    start: Duration,
    duration: Duration,
}

impl Span {
    /// When it began.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// for span in trace.spans(0) {
    ///     println!("{:?}", span.start());
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn start(&self) -> Duration {
        self.start
    }

    /// How long it lasted.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// let busy: std::time::Duration =
    ///     trace.spans(0).iter().filter(|span| !span.is_park()).map(|span| span.duration()).sum();
    /// println!("worker 0 was busy for {busy:?}");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The task that was polled; `None` when the worker slept, and for the future of a current-thread runtime's `block_on`.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// for span in trace.spans(0) {
    ///     println!("{:?}", span.task());
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn task(&self) -> Option<Id> {
        match self.activity {
            Activity::Poll(subject) => subject.task,
            Activity::Park => None,
        }
    }

    /// Where the polled task was spawned, or `block_on` called; `None` when the worker slept.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// for span in trace.spans(0) {
    ///     if let Some(place) = span.spawned_at() {
    ///         println!("{}:{}", place.file(), place.line());
    ///     }
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        match self.activity {
            Activity::Poll(subject) => Some(subject.location),
            Activity::Park => None,
        }
    }

    /// Did the worker sleep?
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// println!("worker 0 slept {} times", trace.spans(0).iter().filter(|span| span.is_park()).count());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_park(&self) -> bool {
        matches!(self.activity, Activity::Park)
    }
}

impl Track {
    pub(super) fn start(&self, start: Instant, capacity: usize) {
        *self.0.lock() = Some(Recorded { start, capacity, spans: Vec::new(), lost: 0 });
    }

    pub(super) fn stop(&self) -> Option<Recorded> {
        self.0.lock().take()
    }

    #[cold]
    pub(super) fn record(&self, activity: Activity, start: Instant, end: Instant) {
        let mut place = self.0.lock();
        // Not begun for this worker, or over already.
        let Some(recorded) = &mut *place else { return };
        if recorded.spans.len() >= recorded.capacity {
            recorded.lost += 1;
            return;
        }
        // What began before the recording is cut off there.
        let start = start.max(recorded.start);
        let duration = end.saturating_duration_since(start);
        recorded.spans.push(Span { activity, start: start.duration_since(recorded.start), duration });
    }
}

/// Records a runtime's polls from [`Handle::record`](crate::runtime::Handle::record) until [`stop`](Recorder::stop). Dropping
/// it ends the recording, too, and throws it away.
///
/// ```
/// use crossover_runtime::{runtime::Builder, spawn};
///
/// let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
/// let recorder = runtime.handle().record()?;
/// runtime.block_on(async { spawn(async { 1 + 1 }).await }).unwrap();
/// let trace = recorder.stop();
/// let mut json = Vec::new();
/// trace.write_chrome_json(&mut json)?;
/// assert!(json.starts_with(b"{\"displayTimeUnit\""));
/// # std::io::Result::Ok(())
/// ```
#[must_use = "dropping the recorder ends the recording"]
pub struct Recorder {
    handle: Handle,
    start: Instant,
    stopped: bool,
}

impl Recorder {
    pub(crate) fn start(handle: Handle, capacity: Option<usize>) -> io::Result<Recorder> {
        let start = now();
        if !handle.inner.scheduler.observers().start_trace(start, capacity.unwrap_or(CAPACITY)) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "this runtime is being recorded already: stop or drop the other `Recorder` first",
            ));
        }
        Ok(Recorder { handle, start, stopped: false })
    }

    /// Ends the recording. A poll that is under way is not in it.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// println!("{trace:?}");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stop(mut self) -> Trace {
        self.stopped = true;
        let tracks = self.handle.inner.scheduler.observers().stop_trace();
        // Read last: no span ends after it.
        let duration = now().duration_since(self.start);
        Trace { tracks, duration }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.stopped {
            drop(self.handle.inner.scheduler.observers().stop_trace());
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// A recorded stretch of a runtime's life, made by [`Recorder::stop`].
///
/// ```
/// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
/// let recorder = runtime.handle().record()?;
/// runtime.block_on(runtime.spawn(async {})).unwrap();
/// let trace = recorder.stop();
/// trace.write_chrome_json(std::io::sink())?;
/// # std::io::Result::Ok(())
/// ```
pub struct Trace {
    tracks: Vec<Recorded>,
    duration: Duration,
}

impl Trace {
    /// How long was recorded.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// println!("{:?} recorded", trace.duration());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// How many workers there are.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// assert_eq!(trace.num_workers(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn num_workers(&self) -> usize {
        self.tracks.len()
    }

    /// What a worker did, in order; nothing for a worker that does not exist.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// for worker in 0..trace.num_workers() {
    ///     println!("worker {worker}: {} spans", trace.spans(worker).len());
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spans(&self, worker: usize) -> &[Span] {
        self.tracks.get(worker).map_or(&[], |track| &track.spans)
    }

    /// How many spans found no room, over all workers; they are the latest of their worker.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// assert_eq!(trace.lost(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn lost(&self) -> u64 {
        self.tracks.iter().map(|track| track.lost).sum()
    }

    /// Writes the trace in Chrome's trace event format (JSON), for `chrome://tracing`, Perfetto or Speedscope. A worker
    /// is a thread there; a poll is named by the place of its task's `spawn`. Times have a resolution of a nanosecond.
    ///
    /// The writer gets many small pieces: give it a buffer. The format: "Trace Event Format", by the Chromium authors,
    /// "complete" and "metadata" events.
    ///
    /// # Errors
    /// Those of the writer.
    ///
    /// # Example
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// let trace = recorder.stop();
    /// let mut json = Vec::new(); // or a `BufWriter` around a file
    /// trace.write_chrome_json(&mut json)?;
    /// assert!(json.ends_with(b"]}\n"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn write_chrome_json(&self, mut to: impl Write) -> io::Result<()> {
        write!(
            to,
            "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"lost\":{}}},\"traceEvents\":[",
            self.lost()
        )?;
        let mut separator = "";
        for (worker, track) in self.tracks.iter().enumerate() {
            write!(to, "{separator}\n{{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":{worker},")?;
            write!(to, "\"args\":{{\"name\":\"worker {worker}\"}}}}")?;
            separator = ",";
            for span in &track.spans {
                write_span(&mut to, worker, span)?;
            }
        }
        to.write_all(b"\n]}\n")?;
        to.flush()
    }
}

fn write_span(to: &mut impl Write, worker: usize, span: &Span) -> io::Result<()> {
    let (ts, dur) = (Micros(span.start), Micros(span.duration));
    write!(to, ",\n{{\"ph\":\"X\",\"pid\":1,\"tid\":{worker},\"ts\":{ts},\"dur\":{dur},")?;
    match span.activity {
        Activity::Park => to.write_all(b"\"cat\":\"park\",\"name\":\"parked\"}"),
        Activity::Poll(Subject { location, task }) => {
            let file = Escaped(location.file());
            write!(to, "\"cat\":\"poll\",\"name\":\"{file}:{}\",\"args\":{{", location.line())?;
            match task {
                Some(task) => write!(to, "\"task\":{}}}}}", task.to_bits()),
                None => to.write_all(b"\"task\":\"block_on\"}}"),
            }
        }
    }
}

/// In microseconds, as the format wants it.
struct Micros(Duration);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        write!(f, "{}.{:03}", nanos / 1000, nanos % 1000)
    }
}

/// A text inside of a JSON string.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' | '\\' => write!(f, "\\{c}"),
            c if (c as u32) < 0x20 => write!(f, "\\u{:04x}", c as u32),
            c => fmt::Write::write_char(f, c),
        })
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans: usize = self.tracks.iter().map(|track| track.spans.len()).sum();
        f.debug_struct("Trace")
            .field("duration", &self.duration)
            .field("workers", &self.num_workers())
            .field("spans", &spans)
            .field("lost", &self.lost())
            .finish()
    }
}

#[cfg(all(test, not(runtime_loom), not(runtime_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn what_json_cannot_hold_is_escaped() {
        assert_eq!(Escaped("C:\\src\\\"a\"\n.rs").to_string(), "C:\\\\src\\\\\\\"a\\\"\\u000a.rs");
        assert_eq!(Micros(Duration::from_nanos(1_234_005)).to_string(), "1234.005");
    }

    #[test]
    fn a_full_track_counts_what_it_loses_and_a_span_begins_with_the_recording() {
        let track = Track::default();
        let start = now();
        track.record(Activity::Park, start, start);
        track.start(start + Duration::from_secs(1), 1);
        track.record(Activity::Park, start, start + Duration::from_secs(3));
        track.record(Activity::Park, start, start);
        let recorded = track.stop().unwrap();
        assert_eq!((recorded.spans.len(), recorded.lost), (1, 1));
        assert_eq!(
            (recorded.spans[0].start(), recorded.spans[0].duration()),
            (Duration::ZERO, Duration::from_secs(2))
        );
        assert!(track.stop().is_none());
    }
}
