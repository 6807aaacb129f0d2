//! One type for all kinds: prepare once, then run each task in the style that a strategy needs.
//!
//! A [`Workload`] is immutable apart from the connection pools of its HTTP clients. It is cheap to clone and may be
//! used from any number of threads and tasks at once.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{self, KindInfo};
use crate::cpu::Cpu;
use crate::mixed::Mixed;
use crate::{Spec, WorkloadError};

/// The whole work with its inputs, ready to run.
#[derive(Clone, Debug)]
pub struct Workload {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tasks: u32,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Cpu(Cpu),
    Mixed(Mixed),
}

impl Workload {
    /// Checks the spec and builds all inputs. This is the untimed part.
    ///
    /// # Errors
    /// Those of [`WorkloadError::is_spec`]: an unknown kind, a parameter that the catalog refuses, a missing server or
    /// speed.
    pub fn prepare(spec: &Spec) -> Result<Self, WorkloadError> {
        let kind = catalog::find_or_explain(&spec.kind)?;
        let params = Params::resolve(kind, spec)?;
        let work = match kind.name {
            "cpu" => {
                // The catalog limits input_bytes to 2²⁸.
                let input_bytes = params.number("input_bytes")? as usize;
                Work::Cpu(Cpu::prepare(params.text("kernel")?, input_bytes, spec.seed))
            }
            _ => {
                let spin = usable_spin(spec)?;
                let (cpu_us, wait_us) = (params.number("cpu_us")?, params.number("wait_us")?);
                Work::Mixed(Mixed::prepare(spec.seed, cpu_us, wait_us, spin))
            }
        };
        Ok(Self { inner: Arc::new(Inner { tasks: spec.tasks, work }) })
    }

    /// How many tasks one run of the whole work has; they are numbered from 0.
    #[must_use]
    pub fn tasks(&self) -> u32 {
        self.inner.tasks
    }

    /// Whether this kind needs a test server. `false` for a kind that does not exist.
    #[must_use]
    pub fn needs_server(kind: &str) -> bool {
        kind == "http"
    }

    /// Runs one task in blocking style: waits block the calling thread. Returns the task's digest.
    ///
    /// # Errors
    /// [`WorkloadError::NoSuchTask`], or what the kind's work can meet.
    pub fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        self.check(task)?;
        match &self.inner.work {
            Work::Cpu(cpu) => cpu.run(task),
            Work::Mixed(mixed) => {
                mixed.wait_blocking();
                Ok(mixed.compute(task))
            }
        }
    }

    fn check(&self, task: u32) -> Result<(), WorkloadError> {
        let tasks = self.inner.tasks;
        if task < tasks { Ok(()) } else { Err(WorkloadError::NoSuchTask { task, tasks }) }
    }
}

/// The speed of a core as the spec states it, if a number of steps can be computed from it.
fn usable_spin(spec: &Spec) -> Result<f64, WorkloadError> {
    match spec.spin_per_us {
        // A million steps per µs is a thousand times faster than any core.
        Some(x) if x > 0.0 && x <= 1e6 => Ok(x),
        other => Err(WorkloadError::NeedsSpin {
            kind: spec.kind.clone(),
            found: other.map_or_else(|| "none".to_owned(), |x| x.to_string()),
        }),
    }
}

/// The parameters of a spec, checked and completed.
struct Params<'a> {
    kind: &'a KindInfo,
    all: std::collections::BTreeMap<String, crate::Value>,
}

impl<'a> Params<'a> {
    fn resolve(kind: &'a KindInfo, spec: &Spec) -> Result<Self, WorkloadError> {
        let params = Self { kind, all: kind.resolve(&spec.params)? };
        let tasks = i64::from(spec.tasks);
        if let Some(info) = kind.param("tasks") {
            info.check(&crate::Value::Int(tasks)).map_err(|reason| params.error("tasks", reason))?;
        }
        match spec.params.get("tasks").and_then(crate::Value::as_i64) {
            Some(other) if other != tasks => {
                Err(params.error("tasks", format!("the parameter says {other}, the request {tasks}")))
            }
            _ => Ok(params),
        }
    }

    fn number(&self, name: &str) -> Result<f64, WorkloadError> {
        let value = self.all.get(name).and_then(crate::Value::as_f64);
        value.ok_or_else(|| self.error(name, "it must be a number".to_owned()))
    }

    fn text(&self, name: &str) -> Result<&str, WorkloadError> {
        let value = self.all.get(name).and_then(crate::Value::as_str);
        value.ok_or_else(|| self.error(name, "it must be a name".to_owned()))
    }

    fn error(&self, param: &str, reason: String) -> WorkloadError {
        WorkloadError::Param { kind: self.kind.name.to_owned(), param: param.to_owned(), reason }
    }
}

/// What one run of the whole work costs when its tasks run one after another: rough, from the parameters alone, for
/// the ETA of a dry run. Zero for a kind that does not exist.
#[must_use]
pub fn estimate(spec: &Spec) -> Duration {
    let Some(kind) = catalog::find(&spec.kind) else { return Duration::ZERO };
    let value = |name: &str| {
        let default = || kind.param(name).and_then(|p| p.default).map(catalog::DefaultValue::value);
        spec.params.get(name).cloned().or_else(default)
    };
    let number = |name: &str| value(name).and_then(|v| v.as_f64()).unwrap_or(0.0).max(0.0);
    let task_us = match kind.name {
        // A round trip over loopback between two processes, and what a timer adds.
        "http" => number("delay_ms") * 1000.0 + 150.0,
        "cpu" => {
            let shrinks = value("kernel").is_some_and(|v| v.as_str() == Some("resize"));
            // SHA-256 with the CPU's own instructions: 1.5 GB/s. The resize: 5 GB/s of source.
            let (fixed, per_byte) = if shrinks { (2.0, 0.000_2) } else { (0.2, 0.000_7) };
            fixed + per_byte * number("input_bytes")
        }
        _ => {
            let wait = number("wait_us");
            // A sleeping thread wakes about 60 µs late on Linux (50 µs of them timer slack).
            number("cpu_us") + if wait > 0.0 { wait + 60.0 } else { 0.0 }
        }
    };
    // A year at most: no input makes this panic.
    Duration::from_secs_f64((task_us * f64::from(spec.tasks) / 1e6).min(31_536_000.0))
}
