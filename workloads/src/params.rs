//! The parameters of one workload, checked against the catalog and completed with its defaults; and what else a kind may
//! ask for when it prepares its inputs.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::catalog::{DefaultValue, KindInfo};
use crate::{Spec, Value, WorkloadError};

/// What a kind prepares its inputs from: a spec that the catalog accepts.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    spec: &'a Spec,
    pub(crate) params: Params,
}

impl<'a> Setup<'a> {
    /// Checks the spec.
    ///
    /// # Errors
    /// [`WorkloadError::Param`] as [`KindInfo::resolve`], and where the number of tasks is out of range or said twice.
    pub(crate) fn new(kind: &'static KindInfo, spec: &'a Spec) -> Result<Self, WorkloadError> {
        let params = Params { kind, all: kind.resolve(&spec.params)? };
        let tasks = i64::from(spec.tasks);
        if let Some(info) = kind.param("tasks") {
            info.check(&Value::Int(tasks)).map_err(|reason| params.error("tasks", reason))?;
        }
        match spec.params.get("tasks").and_then(Value::as_i64) {
            Some(other) if other != tasks => {
                Err(params.error("tasks", format!("the parameter says {other}, the request {tasks}")))
            }
            _ => Ok(Self { spec, params }),
        }
    }

    /// How many tasks one run of the whole work has.
    pub(crate) fn tasks(&self) -> u32 {
        self.spec.tasks
    }

    /// Seed of the inputs.
    pub(crate) fn seed(&self) -> u64 {
        self.spec.seed
    }

    /// Where the test server listens, for a kind that cannot do without.
    ///
    /// # Errors
    /// [`WorkloadError::NeedsServer`].
    pub(crate) fn server(&self) -> Result<SocketAddr, WorkloadError> {
        self.spec.server.ok_or_else(|| WorkloadError::NeedsServer { kind: self.spec.kind.clone() })
    }

    /// The speed of a core as the spec states it, if a number of steps can be computed from it.
    ///
    /// # Errors
    /// [`WorkloadError::NeedsSpin`].
    pub(crate) fn spin_per_us(&self) -> Result<f64, WorkloadError> {
        match self.spec.spin_per_us {
            // A million steps per µs is a thousand times faster than any core.
            Some(x) if x > 0.0 && x <= 1e6 => Ok(x),
            other => Err(WorkloadError::NeedsSpin {
                kind: self.spec.kind.clone(),
                found: other.map_or_else(|| "none".to_owned(), |x| x.to_string()),
            }),
        }
    }
}

/// The value of every parameter of a kind.
#[derive(Debug)]
pub(crate) struct Params {
    kind: &'static KindInfo,
    all: BTreeMap<String, Value>,
}

impl Params {
    /// What a spec says and the defaults, neither of them checked: good enough to guess from.
    pub(crate) fn unchecked(kind: &'static KindInfo, spec: &Spec) -> Self {
        let mut all = spec.params.clone();
        for info in kind.params {
            if let Some(default) = info.default {
                all.entry(info.name.to_owned()).or_insert_with(|| DefaultValue::value(default));
            }
        }
        Self { kind, all }
    }

    /// A number.
    ///
    /// # Errors
    /// [`WorkloadError::Param`] if it is none, which the catalog rules out.
    pub(crate) fn number(&self, name: &str) -> Result<f64, WorkloadError> {
        let value = self.all.get(name).and_then(Value::as_f64);
        value.ok_or_else(|| self.error(name, "it must be a number".to_owned()))
    }

    /// A whole number of bytes, items or the like.
    ///
    /// # Errors
    /// [`WorkloadError::Param`] if it is none, which the catalog rules out.
    pub(crate) fn count(&self, name: &str) -> Result<usize, WorkloadError> {
        let value = self.all.get(name).and_then(Value::as_i64).and_then(|n| usize::try_from(n).ok());
        value.ok_or_else(|| self.error(name, "it must be a whole number and not negative".to_owned()))
    }

    /// A name.
    ///
    /// # Errors
    /// [`WorkloadError::Param`] if it is none, which the catalog rules out.
    pub(crate) fn text(&self, name: &str) -> Result<&str, WorkloadError> {
        let value = self.all.get(name).and_then(Value::as_str);
        value.ok_or_else(|| self.error(name, "it must be a name".to_owned()))
    }

    /// A number to guess from: 0 for what is none, or negative.
    pub(crate) fn guess(&self, name: &str) -> f64 {
        self.all.get(name).and_then(Value::as_f64).unwrap_or(0.0).max(0.0)
    }

    /// Whether a parameter has this name, for guesses.
    pub(crate) fn is(&self, name: &str, text: &str) -> bool {
        self.all.get(name).and_then(Value::as_str) == Some(text)
    }

    /// The error of a parameter that the kind itself refuses.
    pub(crate) fn error(&self, param: &str, reason: String) -> WorkloadError {
        WorkloadError::Param { kind: self.kind.name.to_owned(), param: param.to_owned(), reason }
    }
}
