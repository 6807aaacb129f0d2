//! The parts of the messages of [`CallError`](super::CallError): how a process ended, what a limit meant, the end of stderr.

use super::TimedOut;
use nix::sys::signal::Signal;
use std::{fmt, time::Duration};

/// How a process ended: the signal, the exit code, or neither when nobody knows.
#[derive(Clone, Copy)]
pub(in crate::process_pool) struct Death(
    pub(in crate::process_pool) Option<i32>,
    pub(in crate::process_pool) Option<i32>,
);

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(signal), _) => match Signal::try_from(signal) {
                Ok(name) => write!(f, "killed by signal {signal} ({name})"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            (None, Some(code)) => write!(f, "it exited with code {code}"),
            (None, None) => f.write_str("its exit status is unknown (another part of the program reaped it)"),
        }
    }
}

/// What a timeout means to the job.
pub(super) struct Late(pub(super) TimedOut, pub(super) Duration);

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = self.1;
        match self.0 {
            TimedOut::Queued => {
                write!(
                    f,
                    "was not started within {after:?} (`queue_timeout`) and never ran: the workers are busy"
                )
            }
            TimedOut::Running => {
                write!(
                    f,
                    "did not finish within {after:?} of its start (`timeout`) and was killed with its worker"
                )
            }
        }
    }
}

/// A number of bytes for people.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Casts that may round: this is for reading.
        match self.0 {
            bytes if bytes < 1 << 20 => write!(f, "{bytes} bytes"),
            bytes => write!(f, "{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        }
    }
}

/// The tail of a worker's stderr as the end of a message; nothing when there is none.
pub(in crate::process_pool) struct Tail<'a>(pub(in crate::process_pool) &'a str);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.trim_end() {
            "" => Ok(()),
            text => write!(f, "; the end of its stderr:\n{text}"),
        }
    }
}

/// ` at file:line:column`, or nothing.
pub(super) struct At<'a>(pub(super) Option<&'a str>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |place| write!(f, " at {place}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::CallError;
    use super::*;

    #[test]
    fn messages_say_what_happened_and_where() {
        let died = CallError::WorkerDied {
            job: "app::resize",
            signal: Some(9),
            code: None,
            stderr_tail: "out of paper\n".into(),
            jobs_served: 3,
        };
        assert_eq!(
            died.to_string(),
            "the worker died while it ran job `app::resize`: killed by signal 9 (SIGKILL); the end of its stderr:\nout of paper"
        );
        let panic = CallError::Panic {
            job: "app::resize",
            message: "no pixels".into(),
            location: Some("src/app.rs:3:5".into()),
            backtrace: None,
        };
        assert_eq!(panic.to_string(), "job `app::resize` panicked at src/app.rs:3:5: no pixels");
        let unknown = CallError::WorkerDied {
            job: "j",
            signal: None,
            code: None,
            stderr_tail: String::new(),
            jobs_served: 0,
        };
        assert!(unknown.to_string().ends_with("(another part of the program reaped it)"), "{unknown}");
    }

    #[test]
    fn limits_are_named_with_what_they_were_and_where_they_are_set() {
        let late =
            |phase| CallError::Timeout { job: "j", after: Duration::from_millis(20), phase }.to_string();
        assert_eq!(
            late(TimedOut::Running),
            "job `j` did not finish within 20ms of its start (`timeout`) and was killed with its worker"
        );
        assert_eq!(
            late(TimedOut::Queued),
            "job `j` was not started within 20ms (`queue_timeout`) and never ran: the workers are busy"
        );
        let hog = CallError::MemoryLimit { job: "j", limit: 64 << 20, used: (80 << 20) + (1 << 19) };
        let text = hog.to_string();
        assert!(
            text.starts_with("job `j` brought its worker to 80.5 MiB of memory, and 64.0 MiB are"),
            "{text}"
        );
        assert!(text.contains("Builder::memory_limit"), "{text}");
    }
}
