//! What a report needs to know from `config.toml`: names, prose, the order of axes and strategies, the margin.
//!
//! The harness validates a config in full before it measures; this reader looks only at the keys that it uses,
//! ignores the rest, and has a default for every one of them, so that a folder with a minimal config still
//! yields a report. A key with a wrong type or an impossible value is an error, never a silent default.
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use crate::error::ReportError;
use crate::record::ParamValue;

/// What the report takes from an experiment's file.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The experiment's name.
    pub name: String,
    /// Its question; empty where the file has none.
    pub question: String,
    /// Prose of its author; empty where the file has none.
    pub prose: String,
    /// The workload's kind.
    pub workload: String,
    /// Parameters with one value, in the order of the file.
    pub constants: Vec<(String, ParamValue)>,
    /// Swept parameters in the order of the file, each with its values where they are listed one by one.
    pub axes: Vec<(String, Vec<ParamValue>)>,
    /// Strategies in the order of the file.
    pub strategies: Vec<String>,
    /// The strategy that speed-ups refer to, where the file names one.
    pub baseline: Option<String>,
    /// Equivalence margin (0.03 = 3 %).
    pub margin: f64,
    /// Confidence of every interval (0.95).
    pub confidence: f64,
    /// Foreign load above which a block does not count, in cores.
    pub max_foreign_cores: f64,
    /// Whether new points are wanted where two strategies cross.
    pub refine_crossover: bool,
    /// Whether every run of the work started its strategy and ended it.
    pub startup_included: bool,
}

impl Settings {
    /// Reads the settings from the text of a `config.toml`; `path` appears in errors and `fallback_name` is the
    /// experiment's name where the file has none.
    ///
    /// # Errors
    /// [`ReportError::Config`] for a syntax error (with its line), a wrong type or an impossible value (with the key).
    pub fn parse(text: &str, path: &Path, fallback_name: &str) -> Result<Self, ReportError> {
        let root: Table = toml::from_str(text).map_err(|e| ReportError::Config {
            path: path.to_owned(),
            line: e.span().map(|span| line_of(text, span.start)),
            reason: e.message().to_owned(),
        })?;
        let read = Reader { path, text };
        let schema = read.int(&root, "", "schema")?.unwrap_or(1);
        if schema > i64::from(crate::record::SCHEMA) {
            return Err(read.error(
                "",
                "schema",
                format!("schema {schema} is newer than this program reads"),
            ));
        }
        let experiment = read.table(&root, "experiment")?;
        let workload = read.table(&root, "workload")?;
        let strategies = read.table(&root, "strategies")?;
        let measure = read.table(&root, "measure")?;
        let analysis = read.table(&root, "analysis")?;
        let (constants, axes) = sweep(&workload);
        let settings = Self {
            name: read.text(&experiment, "experiment", "name")?.unwrap_or_else(|| fallback_name.to_owned()),
            question: read.text(&experiment, "experiment", "question")?.unwrap_or_default(),
            prose: read.text(&experiment, "experiment", "analysis")?.unwrap_or_default(),
            workload: read.text(&workload, "workload", "kind")?.unwrap_or_default(),
            constants,
            axes,
            strategies: read.names(&strategies, "strategies", "include")?,
            baseline: read.text(&analysis, "analysis", "baseline")?,
            margin: read.number(&analysis, "analysis", "margin")?.unwrap_or(0.03),
            confidence: read.number(&analysis, "analysis", "confidence")?.unwrap_or(0.95),
            max_foreign_cores: read.number(&measure, "measure", "max_foreign_cores")?.unwrap_or(0.15),
            refine_crossover: read.flag(&analysis, "analysis", "refine_crossover")?.unwrap_or(false),
            startup_included: match read.text(&measure, "measure", "startup")?.as_deref() {
                None | Some("excluded") => false,
                Some("included") => true,
                Some(other) => {
                    let reason =
                        format!("measure.startup must be \"included\" or \"excluded\", not {other:?}");
                    return Err(read.error("measure", "startup", reason));
                }
            },
        };
        // The same bounds as those of the harness, which reads a config before it measures.
        if settings.margin.is_nan() || settings.margin <= 0.0 || settings.margin >= 1.0 {
            let reason = "analysis.margin must lie between 0 and 1, the ends excluded (0.03 is 3 %)";
            return Err(read.error("analysis", "margin", reason));
        }
        if !(0.5..=0.9999).contains(&settings.confidence) {
            let reason = "analysis.confidence must lie between 0.5 and 0.9999 (0.95 is usual)";
            return Err(read.error("analysis", "confidence", reason));
        }
        if settings.max_foreign_cores.is_nan() || settings.max_foreign_cores < 0.0 {
            return Err(read.error(
                "measure",
                "max_foreign_cores",
                "measure.max_foreign_cores must not be negative",
            ));
        }
        Ok(settings)
    }
}

/// Line number, from 1, of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|&&b| b == b'\n').count()
}

/// Line number, from 1, of `key` in `[section]` (empty: the root), else of the section.
fn line_of_key(text: &str, section: &str, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let outer = if section.is_empty() { key } else { section };
    let (name, value) = root.get_ref().iter().find(|(name, _)| name.get_ref() == outer)?;
    let inner = match value.get_ref() {
        DeValue::Table(table) if !section.is_empty() => table.keys().find(|name| name.get_ref() == key),
        _ => None,
    };
    Some(line_of(text, inner.unwrap_or(name).span().start))
}

type Constants = Vec<(String, ParamValue)>;
type Axes = Vec<(String, Vec<ParamValue>)>;

/// Splits `[workload]` into constants (one value) and axes (a list, or a table that generates one).
fn sweep(workload: &Table) -> (Constants, Axes) {
    let mut constants = Vec::new();
    let mut axes = Vec::new();
    for (key, value) in workload.iter().filter(|(key, _)| *key != "kind") {
        match value {
            Value::Array(values) => axes.push((key.clone(), values.iter().filter_map(param).collect())),
            Value::Table(_) => axes.push((key.clone(), Vec::new())),
            other => constants.extend(param(other).map(|v| (key.clone(), v))),
        }
    }
    (constants, axes)
}

fn param(value: &Value) -> Option<ParamValue> {
    match value {
        Value::Integer(n) => Some(ParamValue::Int(*n)),
        Value::Float(x) => Some(ParamValue::Float(*x)),
        Value::String(s) => Some(ParamValue::Text(s.clone())),
        _ => None,
    }
}

/// Typed access to keys, with errors that name them.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn error(&self, section: &str, key: &str, reason: impl Into<String>) -> ReportError {
        let line = line_of_key(self.text, section, key);
        ReportError::Config { path: self.path.to_owned(), line, reason: reason.into() }
    }

    fn wrong(&self, section: &str, key: &str, wanted: &str, found: &Value) -> ReportError {
        let dot = if section.is_empty() { "" } else { "." };
        self.error(section, key, format!("{section}{dot}{key} must be {wanted}, not {}", found.type_str()))
    }

    fn table(&self, root: &Table, key: &str) -> Result<Table, ReportError> {
        match root.get(key) {
            None => Ok(Table::new()),
            Some(Value::Table(table)) => Ok(table.clone()),
            Some(other) => Err(self.wrong("", key, "a table", other)),
        }
    }

    fn text(&self, table: &Table, section: &str, key: &str) -> Result<Option<String>, ReportError> {
        match table.get(key) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s.trim().to_owned())),
            Some(other) => Err(self.wrong(section, key, "a string", other)),
        }
    }

    fn int(&self, table: &Table, section: &str, key: &str) -> Result<Option<i64>, ReportError> {
        match table.get(key) {
            None => Ok(None),
            Some(Value::Integer(n)) => Ok(Some(*n)),
            Some(other) => Err(self.wrong(section, key, "a whole number", other)),
        }
    }

    fn number(&self, table: &Table, section: &str, key: &str) -> Result<Option<f64>, ReportError> {
        match table.get(key) {
            None => Ok(None),
            Some(Value::Integer(n)) => Ok(Some(*n as f64)),
            Some(Value::Float(x)) => Ok(Some(*x)),
            Some(other) => Err(self.wrong(section, key, "a number", other)),
        }
    }

    fn flag(&self, table: &Table, section: &str, key: &str) -> Result<Option<bool>, ReportError> {
        match table.get(key) {
            None => Ok(None),
            Some(Value::Boolean(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(section, key, "true or false", other)),
        }
    }

    fn names(&self, table: &Table, section: &str, key: &str) -> Result<Vec<String>, ReportError> {
        match table.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .iter()
                .map(|v| match v {
                    Value::String(s) => Ok(s.clone()),
                    other => Err(self.wrong(section, key, "a list of names", other)),
                })
                .collect(),
            Some(other) => Err(self.wrong(section, key, "a list of names", other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, ReportError> {
        Settings::parse(text, Path::new("config.toml"), "folder")
    }

    #[test]
    fn everything_has_a_default() {
        let s = parse("").unwrap();
        assert_eq!(
            (s.name.as_str(), s.margin, s.confidence, s.max_foreign_cores),
            ("folder", 0.03, 0.95, 0.15)
        );
        assert!(s.axes.is_empty() && s.strategies.is_empty() && s.baseline.is_none());
        assert!(!s.startup_included && parse("[measure]\nstartup = \"included\"").unwrap().startup_included);
    }

    #[test]
    fn axes_keep_the_order_of_the_file() {
        let s = parse(
            "[workload]\nkind = \"mixed\"\nzeta = [1, 2]\ntasks = 24\nalpha = { log = [0.3, 2000], points = 9 }\nkernel = [\"b\", \"a\"]\n",
        )
        .unwrap();
        assert_eq!(s.axes.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>(), ["zeta", "alpha", "kernel"]);
        assert_eq!(s.axes[2].1, [ParamValue::Text("b".into()), ParamValue::Text("a".into())]);
        assert_eq!(s.constants, [("tasks".to_owned(), ParamValue::Int(24))]);
    }

    #[test]
    fn errors_name_the_line_or_the_key() {
        let syntax = parse("schema = 1\n[experiment\nname = 3").unwrap_err().to_string();
        assert!(syntax.starts_with("config.toml:2: "), "{syntax}");
        for (text, key) in [
            ("[analysis]\nmargin = \"3 %\"", "analysis.margin"),
            ("[analysis]\nmargin = nan", "analysis.margin"),
            ("[analysis]\nconfidence = 95", "analysis.confidence"),
            ("[analysis]\nrefine_crossover = 1", "analysis.refine_crossover"),
            ("[measure]\nmax_foreign_cores = -0.1", "measure.max_foreign_cores"),
            ("[measure]\nstartup = true", "measure.startup"),
            ("[measure]\nstartup = \"sometimes\"", "measure.startup"),
            ("[strategies]\ninclude = \"threads\"", "strategies.include"),
            ("workload = 3", "workload"),
            ("schema = 2", "schema 2"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(key), "{message}");
            let line = text.lines().count();
            assert!(message.starts_with(&format!("config.toml:{line}: ")), "{message}");
        }
    }

    #[test]
    fn a_key_is_found_however_its_table_is_written() {
        for (text, line) in [
            ("# margin = 3\n[workload]\nmargin = 1\n\n[analysis]\n# none\nmargin = 7", 7),
            ("schema = 1\nanalysis = { confidence = 0.9, margin = 7 }", 2),
            ("schema = 1\n\nanalysis.margin = 7", 3),
            ("[analysis]\n\"margin\" = \"\"\"\nx\"\"\"", 2),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.starts_with(&format!("config.toml:{line}: analysis.margin ")), "{message}");
        }
    }

    #[test]
    fn margin_and_confidence_have_the_bounds_of_the_harness() {
        let accepts = |key: &str, value: &str| parse(&format!("[analysis]\n{key} = {value}")).is_ok();
        for (key, good, bad) in [
            ("margin", ["0.001", "0.999"], ["0", "1"]),
            ("confidence", ["0.5", "0.9999"], ["0.49", "0.99999"]),
        ] {
            assert!(good.iter().all(|value| accepts(key, value)), "{key}");
            assert!(!bad.iter().any(|value| accepts(key, value)), "{key}");
        }
    }
}
