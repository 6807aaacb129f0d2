//! A trial process of a built-in strategy that a test asks by hand.
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use crossover_bench::protocol::Answer;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// See the module. It is killed when it is dropped, unless it has ended before.
pub(crate) struct Trial {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Trial {
    pub(crate) fn start(strategy: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_crossover"))
            .args(["trial", strategy])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { stdin: child.stdin.take(), child, stdout }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ask(&mut self, request: &Value) {
        writeln!(self.stdin.as_ref().unwrap(), "{request}").unwrap();
    }

    /// Its next answer, as a value or as the protocol reads it.
    pub(crate) fn answer<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    pub(crate) fn asked(&mut self, request: &Value) -> Answer {
        self.ask(request);
        self.answer()
    }

    /// Closes its stdin, by which it ends, and waits for that.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.child.wait().unwrap()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // Gone already, or of no use any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
