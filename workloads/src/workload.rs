//! One type for all kinds: prepare once, then run each task in the style that a strategy needs.
//!
//! A [`Workload`] is immutable apart from the connection pools of its HTTP clients. It is cheap to clone and may be
//! used from any number of threads and tasks at once.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{self, KindInfo};
use crate::checksum::word;
use crate::cpu::Cpu;
use crate::http::{Clients, Http};
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
    Http(Http),
    Mixed(Arc<Mixed>),
    /// Nothing to do; the digest follows from this seed.
    Empty(u64),
}

impl Workload {
    /// Checks the spec and builds all inputs. This is the untimed part.
    ///
    /// # Errors
    /// Those of [`WorkloadError::is_spec`]: an unknown kind, a parameter that the catalog refuses, a missing server or
    /// speed.
    pub fn prepare(spec: &Spec) -> Result<Self, WorkloadError> {
        Self::prepare_like(spec, None)
    }

    /// Like [`prepare`](Self::prepare), with the HTTP clients of `relative`, if it has any.
    pub(crate) fn prepare_like(spec: &Spec, relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let kind = catalog::find_or_explain(&spec.kind)?;
        let params = Params::resolve(kind, spec)?;
        let work = match kind.name {
            "http" => {
                let server =
                    spec.server.ok_or_else(|| WorkloadError::NeedsServer { kind: spec.kind.clone() })?;
                let clients = relative
                    .and_then(Self::clients)
                    .map_or_else(|| Arc::new(Clients::new(server, spec.tasks)), Arc::clone);
                Work::Http(Http::prepare(clients, params.number("delay_ms")?, spec.seed))
            }
            "cpu" => {
                // The catalog limits input_bytes to 2²⁸.
                let input_bytes = params.number("input_bytes")? as usize;
                Work::Cpu(Cpu::prepare(params.text("kernel")?, input_bytes, spec.seed))
            }
            "empty" => Work::Empty(spec.seed),
            _ => {
                let spin = usable_spin(spec)?;
                let (cpu_us, wait_us) = (params.number("cpu_us")?, params.number("wait_us")?);
                Work::Mixed(Arc::new(Mixed::prepare(spec.seed, cpu_us, wait_us, spin)))
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

    /// Whether each task waits for an answer from elsewhere, beside which two readings of a clock are nothing.
    #[must_use]
    pub fn waits_for_answers(&self) -> bool {
        matches!(self.inner.work, Work::Http(_))
    }

    /// Runs one task in blocking style: waits block the calling thread. Returns the task's digest.
    ///
    /// # Errors
    /// [`WorkloadError::NoSuchTask`], or what the kind's work can meet.
    pub fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        self.check(task)?;
        match &self.inner.work {
            Work::Cpu(cpu) => cpu.run(task),
            Work::Http(http) => http.run_blocking(task),
            Work::Mixed(mixed) => {
                mixed.wait_blocking();
                Ok(mixed.compute(task))
            }
            Work::Empty(seed) => Ok(word(*seed, u64::from(task))),
        }
    }

    /// Runs one task in async style: waits are awaited, computing happens inline in the task, as an async program
    /// does that offloads nothing.
    ///
    /// Cancel safety: a dropped future leaves nothing behind but, for `http`, a closed connection.
    ///
    /// # Errors
    /// [`WorkloadError::NoSuchTask`], or what the kind's work can meet.
    ///
    /// # Panics
    /// Outside a runtime, where the task waits.
    pub async fn run_async(&self, task: u32) -> Result<u64, WorkloadError> {
        self.check(task)?;
        match &self.inner.work {
            Work::Cpu(cpu) => cpu.run(task),
            Work::Http(http) => http.run_async(task).await,
            Work::Mixed(mixed) => {
                mixed.wait_async().await;
                Ok(mixed.compute(task))
            }
            Work::Empty(seed) => Ok(word(*seed, u64::from(task))),
        }
    }

    /// Runs one task from async code with every blocking or heavy part on the blocking pool: kernels, chains, and the
    /// whole request of the blocking client. Timers are awaited. A chain of no steps is not offloaded; an empty task is,
    /// because handing over is all that there is to it.
    ///
    /// Cancel safety: a part that already runs on the blocking pool runs to its end; its result is dropped.
    ///
    /// # Errors
    /// Those of [`run_blocking`](Self::run_blocking), and [`WorkloadError::Offload`] when the pool gives no result.
    ///
    /// # Panics
    /// Outside a runtime.
    pub async fn run_offloaded(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_offloaded_within(task, || ()).await
    }

    /// Like [`run_offloaded`](Self::run_offloaded); `around` is called on the thread of the blocking pool when a part of
    /// the task begins there, and what it gives is dropped there when the part has ended.
    ///
    /// Cancel safety: as there.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub async fn run_offloaded_within<G>(
        &self,
        task: u32,
        around: impl FnOnce() -> G + Send + 'static,
    ) -> Result<u64, WorkloadError> {
        self.check(task)?;
        let handle = match &self.inner.work {
            Work::Cpu(_) | Work::Http(_) | Work::Empty(_) => {
                let this = self.clone();
                crossover_runtime::spawn_blocking(move || {
                    let _around = around();
                    this.run_blocking(task)
                })
            }
            Work::Mixed(mixed) => {
                mixed.wait_async().await;
                if mixed.steps == 0 {
                    return Ok(mixed.compute(task));
                }
                let mixed = Arc::clone(mixed);
                crossover_runtime::spawn_blocking(move || {
                    let _around = around();
                    Ok(mixed.compute(task))
                })
            }
        };
        handle.await.unwrap_or_else(|error| Err(WorkloadError::Offload { task, reason: error.to_string() }))
    }

    /// The HTTP clients, where the kind has some.
    pub(crate) fn clients(&self) -> Option<&Arc<Clients>> {
        match &self.inner.work {
            Work::Http(http) => Some(http.clients()),
            Work::Cpu(_) | Work::Mixed(_) | Work::Empty(_) => None,
        }
    }

    /// Whether both share their inputs.
    #[cfg(test)]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Bytes that the inputs take.
    pub(crate) fn input_bytes(&self) -> usize {
        match &self.inner.work {
            Work::Cpu(cpu) => cpu.input_bytes(),
            Work::Http(_) | Work::Mixed(_) | Work::Empty(_) => 0,
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
            // SHA-256 with the CPU's own instructions: 1.2 GB/s. The resize: 5 GB/s of source.
            let (fixed, per_byte) = if shrinks { (0.6, 0.000_2) } else { (0.2, 0.000_8) };
            fixed + per_byte * number("input_bytes")
        }
        "empty" => 0.02,
        _ => {
            let wait = number("wait_us");
            // A sleeping thread wakes about 60 µs late on Linux (50 µs of them timer slack).
            number("cpu_us") + if wait > 0.0 { wait + 60.0 } else { 0.0 }
        }
    };
    // A year at most: no input makes this panic.
    Duration::from_secs_f64((task_us * f64::from(spec.tasks) / 1e6).min(31_536_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    fn spec(kind: &str, tasks: u32, params: &[(&str, Value)]) -> Spec {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Spec { kind: kind.into(), params, tasks, seed: 1, server: None, spin_per_us: None }
    }

    fn refused(spec: &Spec) -> String {
        let error = Workload::prepare(spec).unwrap_err();
        assert!(error.is_spec() && !error.is_server(), "{error}");
        error.to_string()
    }

    #[test]
    fn a_wrong_spec_is_refused_with_the_reason() {
        assert!(refused(&spec("gpu", 1, &[])).contains("known: http, cpu, mixed"));
        assert!(refused(&spec("cpu", 0, &[])).contains("from 1 to 100000, found 0"));
        assert!(refused(&spec("http", 10_001, &[])).contains("from 1 to 10000"));
        let text = refused(&spec("cpu", 2, &[("tasks", Value::Int(3))]));
        assert!(text.contains("the parameter says 3, the request 2"), "{text}");
        assert!(refused(&spec("http", 1, &[])).contains("crossover serve"));
        assert!(refused(&spec("mixed", 1, &[])).contains("found none"));
        for spin in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e7] {
            let mut spec = spec("mixed", 1, &[]);
            spec.spin_per_us = Some(spin);
            assert!(refused(&spec).contains(&format!("found {spin}")));
        }
    }

    #[test]
    fn tasks_end_where_they_end() {
        let workload = Workload::prepare(&spec("cpu", 2, &[("tasks", Value::Int(2))])).unwrap();
        assert_eq!(workload.tasks(), 2);
        assert!(workload.run_blocking(1).is_ok());
        let error = workload.run_blocking(2).unwrap_err();
        assert!(!error.is_spec() && !error.is_server());
        assert_eq!(error.to_string(), "task 2 does not exist: the workload has 2 tasks, numbered from 0");
    }

    #[test]
    fn the_catalog_says_who_needs_a_server() {
        for kind in catalog::KINDS {
            let alone = Workload::prepare(&Spec { spin_per_us: Some(1.0), ..spec(kind.name, 1, &[]) });
            let needs = matches!(alone, Err(WorkloadError::NeedsServer { .. }));
            assert_eq!(Workload::needs_server(kind.name), needs, "{}", kind.name);
        }
        assert!(!Workload::needs_server("gpu"));
    }

    #[test]
    fn estimates_grow_with_the_work() {
        let ms = |spec: &Spec| estimate(spec).as_secs_f64() * 1e3;
        let http = |tasks, delay| spec("http", tasks, &[("delay_ms", Value::Float(delay))]);
        assert!((ms(&http(10, 5.0)) - 51.5).abs() < 1.0);
        let wait = |us| ms(&spec("mixed", 10, &[("cpu_us", Value::Int(100)), ("wait_us", Value::Int(us))]));
        assert!((wait(0) - 1.0).abs() < 0.01 && wait(500) > 6.0);
        let bytes = |n| ms(&spec("cpu", 10, &[("input_bytes", Value::Int(n))]));
        assert!(bytes(1 << 20) > 50.0 * bytes(1 << 14));
        assert_eq!(estimate(&spec("gpu", 10, &[])), Duration::ZERO);
        // Whatever stands in a spec that was never checked.
        for value in
            [Value::Float(f64::NAN), Value::Float(f64::INFINITY), Value::Int(i64::MAX), Value::Int(-1)]
        {
            assert!(
                estimate(&spec("mixed", u32::MAX, &[("cpu_us", value)])) <= Duration::from_secs(31_536_000)
            );
        }
    }
}
