//! Python's pools: `ProcessPoolExecutor` of the machine's `python3`, and loky if it can be imported.
//!
//! One interpreter runs `peers.py` beside this process for as long as this one lives; a request and its answer are lines of JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::args::Args;
use crate::harness::Turn;
use crate::rows::{IN_FLIGHT, LARGE, WORKERS, Who, Work};

/// A file and not a string in here: with the start method `spawn` Python's workers read it again.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/process_pool/peers.py");

/// The interpreter.
pub struct Python {
    child: Child,
    /// `None` once there will be no more.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// `None` without loky.
    loky: Option<String>,
}

/// The interpreter with the script.
pub fn command() -> Command {
    let mut command = Command::new("python3");
    command.arg(SCRIPT);
    command
}

impl Python {
    /// `None`, with a message, where there is no usable `python3`.
    pub fn start(args: &Args) -> Option<Python> {
        if ![Who::Ppe, Who::PpeSpawn, Who::Loky].into_iter().any(|who| args.wants(who)) {
            return None;
        }
        let child = command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                eprintln!("without Python's pools: python3: {error}");
                return None;
            }
        };
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut python = Python { child, requests, answers, loky: None };
        match python.ask(&json!({ "work": "hello" })) {
            Ok(hello) => {
                python.loky = hello["loky"].as_str().map(str::to_owned);
                if !args.smoke && !args.pinned {
                    let loky =
                        python.loky.as_ref().map_or("no loky".to_owned(), |loky| format!("loky {loky}"));
                    eprintln!("python {}, {loky}", hello["python"].as_str().unwrap_or("?"));
                }
                Some(python)
            }
            Err(error) => {
                eprintln!("without Python's pools: {error}");
                None
            }
        }
    }

    pub fn has(&self, who: Who) -> bool {
        who != Who::Loky || self.loky.is_some()
    }

    /// One turn.
    pub fn turn(&mut self, who: Who, work: Work, turn: &Turn) -> Result<Vec<f64>, String> {
        let (work, bytes) = match work {
            Work::Noop => ("noop", 0),
            Work::NoopRate => ("noop_rate", 0),
            Work::EchoRate => ("echo_rate", 4096),
            Work::Echo(bytes) => ("echo", bytes),
            Work::Sum => ("sum", LARGE),
            Work::Map => ("map", 0),
            Work::Cold => ("cold", 0),
            Work::ColdLarge => ("cold", 1 << 30),
            Work::Dirty => ("dirty", 0),
            Work::Death { busy: false } => ("death", 0),
            Work::Death { busy: true } => ("death_busy", 0),
            Work::EchoAs(..) | Work::Revival | Work::Deadline | Work::Orphans { .. } => {
                return Err("it has no such thing".to_owned());
            }
        };
        let answer = self.ask(&json!({
            "work": work,
            "pool": who.name(),
            "bytes": bytes,
            "operations": turn.operations,
            "warm_up": turn.warm_up,
            "seconds": turn.slice.as_secs_f64(),
            "items": turn.items,
            "workers": WORKERS,
            "in_flight": IN_FLIGHT,
        }))?;
        let samples = answer["samples"].as_array().ok_or_else(|| format!("it answered {answer}"))?;
        Ok(samples.iter().filter_map(Value::as_f64).collect())
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let text = |error: std::io::Error| error.to_string();
        let requests = self.requests.as_mut().expect("it takes requests until it is dropped");
        writeln!(requests, "{request}").and_then(|()| requests.flush()).map_err(text)?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(text)?;
        let answer: Value = serde_json::from_str(&line).map_err(|_| format!("python3 answered {line:?}"))?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input lets it shut its pools down. Killed, it would leave their workers behind.
        drop(self.requests.take());
        let _reaped = self.child.wait();
    }
}
