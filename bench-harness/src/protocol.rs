//! The trial protocol: one JSON line asks, one JSON line answers. `TRIAL.md` is its document for other languages.
//!
//! Both directions are bounded: a line longer than [`LINE_BYTES_MAX`] is an error, never a growing buffer.
//! Unknown keys are ignored both ways, so that version 1 can grow.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crossover_reports::record::Breakdown;
use serde::{Deserialize, Serialize};

use crate::config::{Startup, Value};
use crate::load;

/// The version of the protocol that this program speaks.
pub const SCHEMA: u32 = 1;

/// The longest line that either side accepts, its newline included.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// What the coordinator asks of a trial: run the whole work `batch` times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Version of the protocol.
    pub schema: u32,
    /// Number of the request within this process; its answer carries the same.
    pub id: u64,
    /// The workload's kind (`http`, `cpu`, `mixed`, `empty`).
    pub workload: String,
    /// Every parameter of the workload, constants included.
    pub params: BTreeMap<String, Value>,
    /// Tasks in one run of the whole work.
    pub tasks: u32,
    /// How many times the whole work runs within the sample.
    pub batch: u32,
    /// Seed of the workload's input.
    pub seed: u64,
    /// Workers that the strategy should use.
    pub workers: u32,
    /// A worker process of the built-in strategy `processes` is replaced after so many jobs. Told to nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs_per_worker: Option<u32>,
    /// Address of the test server, where the workload needs one.
    pub server: Option<SocketAddr>,
    /// Steps of the mixed kernel that take one microsecond on this machine, where the workload needs it.
    pub spin_per_us: Option<f64>,
    /// Whether this request only warms up: its answer is checked for errors and not recorded.
    pub warmup: bool,
    /// Arrivals per second: tasks start at their times, whether earlier ones are done or not. `None`: all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Whether to record what each task did when. Such an answer is not a sample.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trace: bool,
    /// Whether each run starts the strategy and ends it, timed; a trace leaves both out. The answer has to say so too.
    #[serde(default, skip_serializing_if = "Startup::is_excluded")]
    pub startup: Startup,
}

/// What a trial answers. Only `id`, `ok`, and either `wall_ns` and `checksum` or `error` are required.
///
/// All times are of one run of the whole work, already divided by `batch`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The request's `id`.
    pub id: u64,
    /// Whether the work was done.
    pub ok: bool,
    /// Wall time of one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_ns: Option<u64>,
    /// Checksum of one run's results; every run of the batch must have given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// CPU time in user mode of one run, of this process and its helpers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_ns: Option<u64>,
    /// CPU time in the kernel of one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sys_ns: Option<u64>,
    /// Peak resident memory while the batch ran, of this process and its helpers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rss_peak_kib: Option<u64>,
    /// Voluntary context switches of the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcsw: Option<u64>,
    /// Involuntary context switches of the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ivcsw: Option<u64>,
    /// For a warm-up: whether the times became steady before its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<bool>,
    /// For a warm-up: time to start the strategy, where this request did so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ns: Option<u64>,
    /// For a warm-up: the first run, cold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ns: Option<u64>,
    /// For a warm-up: how many batches it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<u32>,
    /// For a warm-up: private memory of a worker process, on average, where the strategy has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_private_kib: Option<u64>,
    /// Latency histogram, see [`crossover_reports::record::Sample::latency`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<String>,
    /// Instead of `latency`: what each task took, in any order. Becomes a histogram in [`check_load`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latencies_ns: Option<Vec<u64>>,
    /// Under an open load: tasks completed per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub achieved_rate: Option<f64>,
    /// Under an open load: how late the generator handed tasks over, 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_lag_ns: Option<u64>,
    /// Under an open load: CPU time of the load generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_cpu_ns: Option<u64>,
    /// What each task did when, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// Whether the times include starting and ending the strategy: the sign that it was done, see [`check_startup`].
    #[serde(default, skip_serializing_if = "Startup::is_excluded")]
    pub startup: Startup,
    /// What went wrong where `ok` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where `ok` is false: that nothing went wrong, but that the strategy cannot do such work by its nature, so that there
    /// is no use in asking it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfit: bool,
}

/// The part of a [`Timeline`](crossover_reports::record::Timeline) that a trial knows; times are nanoseconds from the start of
/// the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Names of the workers, which `segments` number.
    pub workers: Vec<String>,
    /// `[task, handed over, started, ended]`.
    pub tasks: Vec<[u64; 4]>,
    /// `[task, worker, from, to]`: the task was on the worker (computing, or blocking it).
    pub segments: Vec<[u64; 4]>,
    /// Whether tasks or segments were left out, because there are too many.
    #[serde(default)]
    pub truncated: bool,
    /// Where the time went, over all tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breakdown: Option<Breakdown>,
}

impl Answer {
    /// An answer that the work was not done.
    #[must_use]
    pub fn failed(id: u64, error: impl Into<String>) -> Self {
        Self { id, error: Some(error.into()), ..Self::default() }
    }
}

/// What a good answer says, once it has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Wall time of one run, as told; [`check_time`] says whether it can be.
    pub wall_ns: u64,
    /// Checksum of one run's results.
    pub checksum: String,
    /// The answer, for its optional parts.
    pub answer: Answer,
}

/// What the reason of a strategy that cannot do some work begins with.
pub const UNFIT: &str = "does not fit: ";

/// The reason of a strategy that cannot do some work, which begins with [`UNFIT`] whether the trial says so or not.
fn unfit(reason: &str) -> String {
    one_line(&format!("{UNFIT}{}", reason.strip_prefix(UNFIT).unwrap_or(reason)))
}

/// Writes `message` as one line.
///
/// # Errors
/// When the message cannot be told in JSON (a number that is not finite).
pub fn line_of<T: Serialize>(message: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads a line that should be the answer to request `id`.
///
/// # Errors
/// A sentence on what is wrong with the line, or the trial's own error.
pub fn read_answer(line: &[u8], id: u64) -> Result<Measured, AnswerError> {
    let answer: Answer = serde_json::from_slice(line).map_err(|error| {
        AnswerError::Broken(format!(
            "answered with a line that is not an answer ({error}): {}",
            excerpt(line)
        ))
    })?;
    if answer.id != id {
        return Err(AnswerError::Broken(format!("answered request {} when asked {id}", answer.id)));
    }
    if !answer.ok {
        let reason = one_line(&answer.error.unwrap_or_else(|| "failed without an `error`".to_owned()));
        return Err(if answer.unfit {
            AnswerError::Unfit(unfit(&reason))
        } else {
            AnswerError::Failed(reason)
        });
    }
    let Some(wall_ns) = answer.wall_ns else {
        return Err(AnswerError::Broken(format!("answered without `wall_ns`: {}", excerpt(line))));
    };
    let Some(checksum) = answer.checksum.clone() else {
        return Err(AnswerError::Broken(format!("answered without `checksum`: {}", excerpt(line))));
    };
    Ok(Measured { wall_ns, checksum: clip(&checksum, 100), answer })
}

/// Whether `batch` runs of `wall_ns` each can have happened within a request that took `elapsed`.
///
/// Clocks may differ by a hundredth and a millisecond: that much a coarse clock of another language is off.
///
/// # Errors
/// A sentence that names both times.
pub fn check_time(wall_ns: u64, batch: u32, elapsed: Duration) -> Result<(), String> {
    let told = u128::from(wall_ns) * u128::from(batch);
    let took = elapsed.as_nanos();
    if wall_ns > 0 && told <= took + took / 100 + 1_000_000 {
        return Ok(());
    }
    Err(format!(
        "told an impossible time: wall_ns {wall_ns} × batch {batch} = {told} ns, but the request took {took} ns"
    ))
}

/// Checks what an answer tells about the load, and brings it into one form: a sample that did not keep to the rate it was
/// asked for must not be taken for one that did.
///
/// # Errors
/// A sentence on what is missing or cannot be.
pub fn check_load(measured: &mut Measured, request: &Request) -> Result<(), String> {
    /// A histogram of millions of tasks takes some kilobytes.
    const HISTOGRAM_BYTES_MAX: usize = 1 << 18;
    /// What a histogram begins with, in base64.
    const HISTOGRAM_START: &str = "HISTFAAA";
    let answer = &mut measured.answer;
    if let Some(times) = answer.latencies_ns.take() {
        let runs = u64::from(request.tasks) * u64::from(request.batch);
        if times.len() as u64 > runs {
            return Err(format!("told {} `latencies_ns` of {runs} tasks", times.len()));
        }
        answer.latency = load::encode(times);
    }
    if let Some(text) = &answer.latency
        && (!text.starts_with(HISTOGRAM_START) || text.len() > HISTOGRAM_BYTES_MAX)
    {
        return Err(format!("told a `latency` that is no histogram: {}", excerpt(text.as_bytes())));
    }
    let Some(rate) = request.rate.filter(|_| !request.warmup && !request.trace) else { return Ok(()) };
    if answer.latency.is_none() {
        return Err("told neither `latency` nor `latencies_ns` under an open load: \
                    without `rate` in mind its times mean something else"
            .to_owned());
    }
    let arriving_ns = f64::from(request.tasks.saturating_sub(1)) / rate * 1e9;
    if (measured.wall_ns as f64) < arriving_ns * 0.99 - 1e6 {
        return Err(format!(
            "told a wall_ns of {} for {} tasks that take {arriving_ns:.0} ns to arrive at {rate} per second",
            measured.wall_ns, request.tasks
        ));
    }
    answer.achieved_rate.get_or_insert(f64::from(request.tasks) / (measured.wall_ns as f64 / 1e9));
    Ok(())
}

/// Checks that an answer is about what it was asked for: a trial that does not know the key `startup` leaves it out, and its
/// times would pass for others.
///
/// # Errors
/// A sentence that names the key.
pub fn check_startup(measured: &Measured, request: &Request) -> Result<(), String> {
    let told = measured.answer.startup;
    // A trace is of a strategy that is up, however it was measured.
    if request.trace || told == request.startup {
        return Ok(());
    }
    Err(match request.startup {
        Startup::Included => "answered without `startup`: \"included\", which it was asked for: \
                              without starting and ending in every run its times mean something else"
            .to_owned(),
        Startup::Excluded => "answered with `startup`: \"included\", which it was not asked for".to_owned(),
    })
}

/// Why an answer is of no use.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerError {
    /// The trial says that it could not do the work: this request fails, the trial may go on.
    Failed(String),
    /// The trial says that its strategy cannot do such work at all. The reason begins with [`UNFIT`].
    Unfit(String),
    /// The trial does not keep to the protocol: nothing that it says can be trusted.
    Broken(String),
}

/// The start of a line for a message: printable, at most 120 characters.
#[must_use]
pub fn excerpt(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(600)]);
    format!("{:?}", clip(text.trim_end(), 120))
}

/// The first `chars` characters of `text`, marked where something was cut off.
#[must_use]
pub fn clip(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The longest reason that a sample's `error` tells, in characters.
pub const REASON_CHARS: usize = 300;

/// A reason on one line without control characters, of at most [`REASON_CHARS`].
#[must_use]
pub fn one_line(reason: &str) -> String {
    let lines: Vec<&str> = reason.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text: String = lines
        .join(" | ")
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(REASON_CHARS + 1)
        .collect();
    // One character is for the mark.
    if text.chars().nth(REASON_CHARS).is_some() { clip(&text, REASON_CHARS - 1) } else { text }
}

/// Takes whole lines out of a stream that arrives in pieces.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are known to hold no newline.
    searched: usize,
}

impl Lines {
    /// Adds what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next whole line, without its newline.
    ///
    /// # Errors
    /// The line's excerpt when it is longer than [`LINE_BYTES_MAX`].
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let found = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n');
        match found {
            Some(at) if self.searched + at < LINE_BYTES_MAX => {
                let mut line: Vec<u8> = self.buffer.drain(..=self.searched + at).collect();
                line.pop();
                self.searched = 0;
                Ok(Some(line))
            }
            None if self.buffer.len() < LINE_BYTES_MAX => {
                self.searched = self.buffer.len();
                Ok(None)
            }
            _ => Err(excerpt(&self.buffer)),
        }
    }

    /// What arrived after the last whole line.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_needs_its_id_its_time_and_its_checksum() {
        let good = br#"{"id":3,"ok":true,"wall_ns":12,"checksum":"ab","extra":[1]}"#;
        let measured = read_answer(good, 3).unwrap();
        assert_eq!((measured.wall_ns, measured.checksum.as_str()), (12, "ab"));
        for (line, word) in [
            (&b"hello"[..], "not an answer"),
            (b"{}", "not an answer"),
            (br#"{"id":2,"ok":true,"wall_ns":12,"checksum":"ab"}"#, "request 2"),
            (br#"{"id":3,"ok":true,"checksum":"ab"}"#, "wall_ns"),
            (br#"{"id":3,"ok":true,"wall_ns":12}"#, "checksum"),
            (br#"{"id":3,"ok":true,"wall_ns":-1,"checksum":"ab"}"#, "not an answer"),
        ] {
            match read_answer(line, 3) {
                Err(AnswerError::Broken(reason)) => assert!(reason.contains(word), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        let failed = read_answer(br#"{"id":3,"ok":false,"error":"no such kernel"}"#, 3);
        assert_eq!(failed, Err(AnswerError::Failed("no such kernel".to_owned())));
    }

    #[test]
    fn whoever_does_not_fit_says_so_and_why() {
        let read =
            |more: &str| read_answer(format!(r#"{{"id":3,"ok":false{more}}}"#).as_bytes(), 3).unwrap_err();
        let unfit = |reason: &str| AnswerError::Unfit(reason.to_owned());
        assert_eq!(read(r#","error":"no GPU","unfit":true"#), unfit("does not fit: no GPU"));
        assert_eq!(read(r#","error":"does not fit: no GPU","unfit":true"#), unfit("does not fit: no GPU"));
        assert_eq!(read(r#","unfit":true"#), unfit("does not fit: failed without an `error`"));
        let long = format!(r#","error":"{}","unfit":true"#, "x".repeat(5000));
        assert!(matches!(read(&long), AnswerError::Unfit(reason) if reason.chars().count() == REASON_CHARS));
        for more in
            [r#","error":"does not fit: the words alone are no sign""#, r#","error":"no","unfit":false"#]
        {
            assert!(matches!(read(more), AnswerError::Failed(_)), "{more}");
        }
        // Who has done it fits.
        assert!(read_answer(br#"{"id":3,"ok":true,"wall_ns":12,"checksum":"ab","unfit":true}"#, 3).is_ok());
    }

    #[test]
    fn a_time_must_fit_into_the_request() {
        let ms = Duration::from_millis;
        for (wall_ns, batch, elapsed) in [(1, 1, ms(0)), (10_000_000, 10, ms(100)), (500_000, 2, ms(0))] {
            assert_eq!(check_time(wall_ns, batch, elapsed), Ok(()));
        }
        for (wall_ns, batch, elapsed, words) in [
            (0, 5, ms(2), ["wall_ns 0 × batch 5", "took 2000000 ns"]),
            (10_400_000, 10, ms(100), ["104000000 ns", "took 100000000 ns"]),
            (u64::MAX, u32::MAX, ms(1), ["18446744073709551615 × batch 4294967295", "took 1000000 ns"]),
        ] {
            let reason = check_time(wall_ns, batch, elapsed).unwrap_err();
            assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
        }
    }

    #[test]
    fn an_open_load_needs_its_latencies_and_its_time() {
        let request = |rate: Option<f64>, warmup: bool| {
            let line = format!(
                r#"{{"schema":1,"id":3,"workload":"empty","params":{{}},"tasks":11,"batch":1,"seed":1,"workers":1,
                "server":null,"spin_per_us":null,"warmup":{warmup},"rate":{}}}"#,
                rate.map_or("null".to_owned(), |rate| rate.to_string())
            );
            serde_json::from_str::<Request>(&line).unwrap()
        };
        let measured = |wall_ns: u64, more: &str| {
            let line = format!(r#"{{"id":3,"ok":true,"wall_ns":{wall_ns},"checksum":"ab"{more}}}"#);
            read_answer(line.as_bytes(), 3).unwrap()
        };
        let (open, closed) = (request(Some(10.0), false), request(None, false));
        let mut good = measured(1_100_000_000, r#","latencies_ns":[1000,2000,3000]"#);
        check_load(&mut good, &open).unwrap();
        assert!(good.answer.latency.as_ref().unwrap().starts_with("HISTFAAA"));
        assert_eq!((good.answer.achieved_rate, good.answer.latencies_ns.clone()), (Some(10.0), None));
        check_load(&mut good, &closed).unwrap();
        for (mut bad, word) in [
            (measured(1_100_000_000, ""), "neither `latency`"),
            (
                measured(900_000_000, r#","latencies_ns":[1]"#),
                "take 1000000000 ns to arrive at 10 per second",
            ),
            (measured(1_100_000_000, r#","latency":"fast""#), "no histogram"),
            (measured(1_100_000_000, r#","latencies_ns":[1,2,3,4,5,6,7,8,9,10,11,12]"#), "12 `latencies_ns`"),
        ] {
            let reason = check_load(&mut bad, &open).unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
        check_load(&mut measured(5, ""), &closed).unwrap();
        check_load(&mut measured(5, ""), &request(Some(10.0), true)).unwrap();
    }

    #[test]
    fn an_answer_says_whether_its_times_include_the_start() {
        let request = |more: &str| {
            let line = format!(
                r#"{{"schema":1,"id":3,"workload":"empty","params":{{}},"tasks":1,"batch":1,"seed":1,"workers":1,
                "server":null,"spin_per_us":null,"warmup":false{more}}}"#
            );
            serde_json::from_str::<Request>(&line).unwrap()
        };
        let answer = |more: &str| {
            let line = format!(r#"{{"id":3,"ok":true,"wall_ns":5,"checksum":"ab"{more}}}"#);
            read_answer(line.as_bytes(), 3)
        };
        let included = r#","startup":"included""#;
        let excluded = r#","startup":"excluded""#;
        for (asked, told, good) in [
            ("", "", true),
            (excluded, "", true),
            ("", excluded, true),
            (included, included, true),
            (included, "", false),
            (included, excluded, false),
            ("", included, false),
            (r#","startup":"included","trace":true"#, "", true),
        ] {
            let checked = check_startup(&answer(told).unwrap(), &request(asked));
            assert_eq!(checked.is_ok(), good, "{asked} {told} {checked:?}");
            assert!(checked.err().is_none_or(|reason| reason.contains("`startup`")));
        }
        assert!(matches!(answer(r#","startup":true"#), Err(AnswerError::Broken(_))));
        let told = serde_json::to_string(&request("")).unwrap();
        assert!(!told.contains("startup"), "who knows nothing of it is not told: {told}");
        assert!(serde_json::to_string(&request(included)).unwrap().contains(included));
    }

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(one_line("  out of luck\n"), "out of luck");
        assert_eq!(one_line("a\r\n\n\tb\x1bc"), "a | b c");
        assert_eq!(one_line(&"ü".repeat(300)), "ü".repeat(300));
        let long = one_line(&"ü\n".repeat(5000));
        assert!(long.chars().count() == 300 && long.ends_with('…') && !long.contains('\n'), "{long}");
    }

    #[test]
    fn lines_come_whole_however_they_arrive() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for byte in b"one\ntwo\n\nthr" {
            lines.push(&[*byte]);
            while let Some(line) = lines.next_line().unwrap() {
                seen.push(String::from_utf8(line).unwrap());
            }
        }
        assert_eq!(seen, ["one", "two", ""]);
        assert_eq!(lines.rest(), b"thr");
    }

    #[test]
    fn a_line_without_an_end_is_refused_at_the_limit() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LINE_BYTES_MAX - 1]);
        assert_eq!(lines.next_line(), Ok(None));
        lines.push(b"x");
        assert!(lines.next_line().unwrap_err().len() < 200);
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LINE_BYTES_MAX + 5]);
        lines.push(b"\n");
        assert!(lines.next_line().is_err(), "a long line is refused even when it ends");
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        let text = excerpt(&[&b"\x1b[31m\xff"[..], &[b'a'; 5000]].concat());
        assert!(text.len() < 500 && text.chars().all(|c| !c.is_control()), "{text}");
    }
}
