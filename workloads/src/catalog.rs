//! Which kinds of workloads there are, and what may be set or swept in each.
//!
//! The list is made from the table of `kinds`, and there is no other: config files are checked against it, `crossover list workloads` prints it, and
//! [`Workload::prepare`](crate::Workload::prepare) checks a [`Spec`](crate::Spec) against it once more, because a
//! spec can arrive from another process. Units stand last in a parameter's name.

use std::collections::BTreeMap;

use crate::{Value, WorkloadError};

/// One kind of workload.
#[derive(Debug)]
pub struct KindInfo {
    /// Its name, as `kind = "…"` in a config file.
    pub name: &'static str,
    /// What one task does, in a sentence.
    pub about: &'static str,
    /// Its parameters; each may be a constant or an axis of the sweep.
    pub params: &'static [ParamInfo],
    /// What its tasks do with their time.
    pub class: Class,
    /// Whether it needs the test server.
    pub needs_server: bool,
    /// Whether it needs the speed of a core, [`Spec::spin_per_us`](crate::Spec::spin_per_us).
    pub needs_spin: bool,
}

/// What the tasks of a kind do with their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Each waits for an answer from outside the process, beside which two readings of a clock are little (about
    /// 0.15 µs where it was measured).
    Io,
    /// They compute.
    Cpu,
    /// Neither stands for itself: they show what a strategy costs, or how it bears a certain mix.
    Shape,
}

/// One parameter of a kind.
#[derive(Debug)]
pub struct ParamInfo {
    /// Its name, with the unit last.
    pub name: &'static str,
    /// What it sets, in a sentence.
    pub about: &'static str,
    /// Which values it takes.
    pub value: ParamKind,
    /// What holds where a config says nothing; `None` means that it must be set.
    pub default: Option<DefaultValue>,
}

/// The type and range of a parameter; both ends belong to the range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParamKind {
    /// A whole number.
    Int {
        /// The smallest value.
        min: i64,
        /// The largest value.
        max: i64,
    },
    /// Any finite number; whole ones may be written without a point.
    Float {
        /// The smallest value.
        min: f64,
        /// The largest value.
        max: f64,
    },
    /// One of these names.
    Choice(&'static [&'static str]),
}

/// The default of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DefaultValue {
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A name.
    Text(&'static str),
}

impl DefaultValue {
    /// The default as a value of a spec.
    #[must_use]
    pub fn value(self) -> Value {
        match self {
            Self::Int(n) => Value::Int(n),
            Self::Float(x) => Value::Float(x),
            Self::Text(s) => Value::Text(s.to_owned()),
        }
    }
}

/// The parameter that every kind has.
pub(crate) const fn tasks(max: i64) -> ParamInfo {
    ParamInfo {
        name: "tasks",
        about: "independent tasks that one run of the work consists of",
        value: ParamKind::Int { min: 1, max },
        default: Some(DefaultValue::Int(16)),
    }
}

/// Every kind of workload.
pub const KINDS: &[KindInfo] = crate::kinds::KINDS;

/// The kind of this name.
#[must_use]
pub fn find(kind: &str) -> Option<&'static KindInfo> {
    KINDS.iter().find(|k| k.name == kind)
}

/// The kind of this name, or an error that lists the known ones.
pub(crate) fn find_or_explain(kind: &str) -> Result<&'static KindInfo, WorkloadError> {
    find(kind).ok_or_else(|| unknown(kind))
}

/// The error that lists the known kinds.
pub(crate) fn unknown(kind: &str) -> WorkloadError {
    let known = KINDS.iter().map(|k| k.name).collect::<Vec<_>>().join(", ");
    WorkloadError::UnknownKind { kind: kind.to_owned(), known }
}

impl KindInfo {
    /// A kind that is yet to be described, and needs nothing.
    pub(crate) const fn new(name: &'static str, class: Class) -> Self {
        Self { name, class, about: "", params: &[], needs_server: false, needs_spin: false }
    }

    /// The parameter of this name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'static ParamInfo> {
        self.params.iter().find(|p| p.name == name)
    }

    /// Checks every parameter and adds the defaults of those that are absent.
    ///
    /// # Errors
    /// [`WorkloadError::Param`] for an unknown parameter, a missing one without default, a wrong type, or a value
    /// out of range.
    pub fn resolve(
        &self,
        params: &BTreeMap<String, Value>,
    ) -> Result<BTreeMap<String, Value>, WorkloadError> {
        let refuse = |param: &str, reason: String| WorkloadError::Param {
            kind: self.name.to_owned(),
            param: param.to_owned(),
            reason,
        };
        for (name, value) in params {
            let info = self.param(name).ok_or_else(|| {
                let known: Vec<_> = self.params.iter().map(|p| p.name).collect();
                refuse(name, format!("there is no such parameter; known: {}", known.join(", ")))
            })?;
            info.check(value).map_err(|reason| refuse(name, reason))?;
        }
        let mut all = params.clone();
        for info in self.params {
            if !all.contains_key(info.name) {
                let default = info.default.ok_or_else(|| refuse(info.name, "it must be set".to_owned()))?;
                all.insert(info.name.to_owned(), default.value());
            }
        }
        Ok(all)
    }
}

impl ParamInfo {
    /// Checks the type and the range of one value.
    ///
    /// # Errors
    /// The reason as half a sentence, such as "must be a whole number from 1 to 10000, found 0".
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let fits = match (self.value, value) {
            (ParamKind::Int { min, max }, Value::Int(n)) => (min..=max).contains(n),
            (ParamKind::Float { min, max }, Value::Int(n)) => (min..=max).contains(&(*n as f64)),
            // NaN is in no range.
            (ParamKind::Float { min, max }, Value::Float(x)) => (min..=max).contains(x),
            (ParamKind::Choice(names), Value::Text(s)) => names.contains(&s.as_str()),
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("must be {}, found {value}", self.value)) }
    }
}

impl std::fmt::Display for ParamKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Float { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Choice(names) => write!(f, "one of {}", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn defaults_are_valid() {
        for kind in KINDS {
            let all = kind.resolve(&BTreeMap::new()).expect("defaults alone make a valid workload");
            assert_eq!(all.len(), kind.params.len(), "{}", kind.name);
            for info in kind.params {
                info.check(&all[info.name]).unwrap_or_else(|e| panic!("{}.{}: {e}", kind.name, info.name));
            }
        }
    }

    #[test]
    fn names_are_unique_and_every_kind_has_tasks() {
        for (i, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..i].iter().all(|k| k.name != kind.name));
            assert!(kind.param("tasks").is_some(), "{}", kind.name);
            for (j, param) in kind.params.iter().enumerate() {
                assert!(kind.params[..j].iter().all(|p| p.name != param.name));
            }
        }
    }

    #[test]
    fn what_is_set_wins_over_defaults() {
        let set = params(&[("tasks", Value::Int(3)), ("kernel", Value::Text("resize".into()))]);
        let all = find("cpu").unwrap().resolve(&set).unwrap();
        assert_eq!(all["tasks"], Value::Int(3));
        assert_eq!(all["kernel"], Value::Text("resize".into()));
        assert_eq!(all["input_bytes"], Value::Int(65_536));
    }

    #[test]
    fn wrong_values_are_refused_with_the_reason() {
        let cases: &[(&str, &str, Value, &str)] = &[
            ("cpu", "tasks", Value::Int(0), "whole number from 1"),
            ("cpu", "tasks", Value::Float(4.0), "whole number"),
            ("cpu", "tasks", Value::Int(i64::MAX), "100000"),
            (
                "cpu",
                "kernel",
                Value::Text("md5".into()),
                "one of sha256, resize, blake3, thumbnail, json, mlp, mandelbrot, sort, found \"md5\"",
            ),
            ("cpu", "kernel", Value::Int(1), "one of"),
            ("cpu", "input_bytes", Value::Int(8), "from 16"),
            ("mixed", "cpu_us", Value::Float(f64::NAN), "found NaN"),
            ("mixed", "wait_us", Value::Float(-1.0), "from 0"),
            ("mixed", "wait_us", Value::Float(f64::INFINITY), "found inf"),
            ("http", "delay_ms", Value::Text("5".into()), "a number from 0 to 60000, found \"5\""),
            ("http", "delay", Value::Int(5), "no such parameter; known: tasks, delay_ms"),
        ];
        for (kind, param, value, part) in cases {
            let error = find(kind).unwrap().resolve(&params(&[(param, value.clone())])).unwrap_err();
            assert!(error.is_spec());
            let text = error.to_string();
            assert!(text.contains(part) && text.contains(param) && text.contains(kind), "{text}");
        }
    }

    #[test]
    fn a_float_may_be_written_as_a_whole_number() {
        let all = find("mixed").unwrap().resolve(&params(&[("wait_us", Value::Int(100))])).unwrap();
        assert_eq!(all["wait_us"].as_f64(), Some(100.0));
    }
}
