//! What is to be done, as plain data: a [`Spec`] crosses pipes to trials and to worker processes.
//!
//! Two encodings are in use. In JSON and TOML a value is bare (`64`, `0.5`, `"sha256"`); in postcard, which does not
//! describe itself, it carries a tag. Both read back what they wrote.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The value of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A name.
    Text(String),
}

impl Value {
    /// The value as a number, or `None` for a name.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::Float(x) => Some(*x),
            Self::Text(_) => None,
        }
    }

    /// The value as a whole number, or `None` for anything else.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Float(_) | Self::Text(_) => None,
        }
    }

    /// The value as a name, or `None` for a number.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(s) => Some(s),
            Self::Int(_) | Self::Float(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(x) => write!(f, "{x}"),
            Self::Text(s) => write!(f, "{s:?}"),
        }
    }
}

/// [`Value`] in formats that describe themselves.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Bare {
    Int(i64),
    Float(f64),
    Text(String),
}

/// [`Value`] in formats that do not.
#[derive(Serialize, Deserialize)]
enum Tagged {
    Int(i64),
    Float(f64),
    Text(String),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bare = serializer.is_human_readable();
        match self {
            Self::Int(n) if bare => serializer.serialize_i64(*n),
            Self::Float(x) if bare => serializer.serialize_f64(*x),
            Self::Text(s) if bare => serializer.serialize_str(s),
            Self::Int(n) => Tagged::Int(*n).serialize(serializer),
            Self::Float(x) => Tagged::Float(*x).serialize(serializer),
            Self::Text(s) => Tagged::Text(s.clone()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Bare::deserialize(deserializer).map(|value| match value {
                Bare::Int(n) => Self::Int(n),
                Bare::Float(x) => Self::Float(x),
                Bare::Text(s) => Self::Text(s),
            })
        } else {
            Tagged::deserialize(deserializer).map(|value| match value {
                Tagged::Int(n) => Self::Int(n),
                Tagged::Float(x) => Self::Float(x),
                Tagged::Text(s) => Self::Text(s),
            })
        }
    }
}

/// A workload in full: with it, any process prepares the same inputs and computes the same digests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The kind, as the catalog names it.
    pub kind: String,
    /// The parameters that are set; the catalog's defaults hold for the others. Where `tasks` is among them, it is
    /// equal to the field of that name.
    pub params: BTreeMap<String, Value>,
    /// How many tasks one run of the work has.
    pub tasks: u32,
    /// Seed of the inputs.
    pub seed: u64,
    /// Where the test server listens, for kinds that need one.
    pub server: Option<SocketAddr>,
    /// Steps of the `mixed` kernel per µs, as measured once per run by
    /// [`calibrate_spin`](crate::calibrate_spin) and shared by all strategies.
    pub spin_per_us: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            kind: "cpu".into(),
            params: BTreeMap::from([
                ("kernel".into(), Value::Text("sha256".into())),
                ("input_bytes".into(), Value::Int(-4096)),
                ("x".into(), Value::Float(2.0)),
            ]),
            tasks: 7,
            seed: u64::MAX,
            server: Some("127.0.0.1:4711".parse().unwrap()),
            spin_per_us: Some(512.25),
        }
    }

    #[test]
    fn json_is_bare_and_reads_back() {
        let text = serde_json::to_string(&spec()).unwrap();
        assert!(text.contains(r#"{"input_bytes":-4096,"kernel":"sha256","x":2.0}"#), "{text}");
        assert!(text.contains(r#""server":"127.0.0.1:4711""#), "{text}");
        assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec());
    }

    #[test]
    fn postcard_reads_back() {
        let bytes = postcard::to_stdvec(&spec()).unwrap();
        assert_eq!(postcard::from_bytes::<Spec>(&bytes).unwrap(), spec());
    }
}
