//! The schema of an experiment's file, version 1: the tree of its values into an [`Experiment`].
//!
//! A table's keys are checked first, so that a misspelt key is called misspelt rather than missing; then every
//! value; then what holds between values (the baseline takes part, the plan is small enough).
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossover_workloads::catalog::{self, KindInfo};

use super::axis::{self, Setting};
use super::error::{ConfigError, Place, Sources};
use super::suggest::{did_you_mean, shown};
use super::tree::{Entry, Kind, Node};
use super::{
    AnalysisOptions, Experiment, Measure, Startup, Strategies, WorkloadConfig, duration, limits, strategies,
};

/// The version of the schema that this program reads.
const SCHEMA: i64 = 1;

/// Reads values out of a tree, and makes errors that know their places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) sources: &'a Sources,
}

impl Reader<'_> {
    /// An error about the value `node` of `key`.
    pub(super) fn error(self, node: &Node, key: &str, message: impl Into<String>) -> ConfigError {
        self.sources.error(&node.place, key, message)
    }

    pub(super) fn int(self, node: &Node, key: &str, min: i64, max: i64) -> Result<i64, ConfigError> {
        let Kind::Int(n) = node.kind else {
            let message = format!("expected a whole number from {min} to {max}; found {}", node.found());
            return Err(self.error(node, key, message));
        };
        if n < min {
            return Err(self.error(node, key, format!("{n} is impossible: must be at least {min}")));
        }
        if n > max {
            return Err(self.error(node, key, format!("{n} is too large: must be at most {max}")));
        }
        Ok(n)
    }

    pub(super) fn number(self, node: &Node, key: &str) -> Result<f64, ConfigError> {
        let x = match node.kind {
            Kind::Int(n) => n as f64,
            Kind::Float(x) => x,
            _ => return Err(self.error(node, key, format!("expected a number; found {}", node.found()))),
        };
        if x.is_finite() { Ok(x) } else { Err(self.error(node, key, format!("{x} is not a finite number"))) }
    }

    pub(super) fn text<'n>(self, node: &'n Node, key: &str) -> Result<&'n str, ConfigError> {
        match &node.kind {
            Kind::Text(text) => Ok(text),
            _ => Err(self.error(node, key, format!("expected a text in quotes; found {}", node.found()))),
        }
    }

    pub(super) fn boolean(self, node: &Node, key: &str) -> Result<bool, ConfigError> {
        match node.kind {
            Kind::Bool(b) => Ok(b),
            _ => Err(self.error(node, key, format!("expected true or false; found {}", node.found()))),
        }
    }

    pub(super) fn texts<'n>(
        self,
        node: &'n Node,
        key: &str,
    ) -> Result<Vec<(&'n Node, &'n str)>, ConfigError> {
        let Kind::List(items) = &node.kind else {
            return Err(self.error(node, key, format!("expected a list of texts; found {}", node.found())));
        };
        items.iter().map(|item| Ok((item, self.text(item, key)?))).collect()
    }
}

/// A table whose keys are all known.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) reader: Reader<'a>,
    path: String,
    place: &'a Place,
    entries: &'a [Entry],
}

impl<'a> Section<'a> {
    /// Reads `node` as the table `path`, whose keys must be among `known`.
    pub(super) fn open(
        reader: Reader<'a>,
        path: &str,
        node: &'a Node,
        known: &[&str],
    ) -> Result<Self, ConfigError> {
        let section = Self::open_any(reader, path, node)?;
        for entry in section.entries {
            if !known.contains(&entry.key.as_str()) {
                let message = format!("unknown key{}", did_you_mean(&entry.key, known.iter().copied()));
                let error = reader.sources.error(&entry.place, &section.key(&shown(&entry.key)), message);
                return Err(error.help(format!("known keys: {}", known.join(", "))));
            }
        }
        Ok(section)
    }

    /// Reads `node` as the table `path` with any keys.
    pub(super) fn open_any(reader: Reader<'a>, path: &str, node: &'a Node) -> Result<Self, ConfigError> {
        let Kind::Table(entries) = &node.kind else {
            return Err(reader.error(node, path, format!("expected a table; found {}", node.found())));
        };
        Ok(Self { reader, path: path.to_owned(), place: &node.place, entries })
    }

    pub(super) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    pub(super) fn required(&self, key: &str, what: &str) -> Result<&'a Node, ConfigError> {
        self.get(key).ok_or_else(|| self.error(&self.key(key), format!("is missing: {what}")))
    }

    /// The dotted path of `key` in this table.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// An error about the table, shown at its head.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> ConfigError {
        self.reader.sources.error(self.place, key, message)
    }

    fn number_or(&self, key: &str, default: f64) -> Result<f64, ConfigError> {
        self.get(key).map_or(Ok(default), |node| self.reader.number(node, &self.key(key)))
    }

    fn count_or(&self, key: &str, default: u32, max: u32) -> Result<u32, ConfigError> {
        let Some(node) = self.get(key) else { return Ok(default) };
        let n = self.reader.int(node, &self.key(key), 1, i64::from(max))?;
        Ok(u32::try_from(n).unwrap_or(max))
    }

    fn text_or_empty(&self, key: &str) -> Result<String, ConfigError> {
        self.get(key)
            .map_or(Ok(String::new()), |node| self.reader.text(node, &self.key(key)).map(str::to_owned))
    }
}

/// Reads a whole file; relative paths in it start from `dir`.
pub(super) fn experiment(
    sources: &Sources,
    root: &Node,
    source: PathBuf,
    text: String,
    dir: &Path,
) -> Result<Experiment, ConfigError> {
    let reader = Reader { sources };
    let empty = Node { place: root.place.clone(), kind: Kind::Table(Vec::new()) };
    let known = ["schema", "experiment", "workload", "strategies", "measure", "analysis"];
    let root = Section::open(reader, "", root, &known)?;
    version(&root)?;

    let head = root.required("experiment", "add [experiment] with a name")?;
    let head = Section::open(reader, "experiment", head, &["name", "question", "analysis"])?;
    let workload = workload(reader, root.required("workload", "add [workload] with a kind")?)?;
    let strategies_node = root.get("strategies").unwrap_or(&empty);
    let strategies = strategies::read(reader, strategies_node, dir)?;
    let measure_node = root.get("measure").unwrap_or(&empty);
    let measure = measure(&Section::open(reader, "measure", measure_node, &MEASURE_KEYS)?)?;
    let analysis_opts = analysis(reader, root.get("analysis").unwrap_or(&empty), &strategies)?;

    let experiment = Experiment {
        name: name(&head)?,
        question: head.text_or_empty("question")?,
        analysis: head.text_or_empty("analysis")?,
        source,
        dir: dir.to_owned(),
        text,
        workload,
        strategies,
        measure,
        analysis_opts,
    };
    bounded(&root, &experiment)?;
    Ok(experiment)
}

fn version(root: &Section<'_>) -> Result<(), ConfigError> {
    let node = root.required("schema", "write schema = 1 at the top of the file")?;
    match node.kind {
        Kind::Int(SCHEMA) => Ok(()),
        Kind::Int(n) if n > SCHEMA => {
            let message = format!("{n} is newer than this program, which reads schema {SCHEMA}");
            Err(root.reader.error(node, "schema", message))
        }
        _ => Err(root.reader.error(node, "schema", format!("expected {SCHEMA}; found {}", node.found()))),
    }
}

fn name(head: &Section<'_>) -> Result<String, ConfigError> {
    /// Longest name, in characters.
    const NAME_CHARS: usize = 100;
    let node = head.required("name", "every experiment has a name")?;
    let name = head.reader.text(node, "experiment.name")?;
    let fault = if name.trim().is_empty() {
        "the name is empty"
    } else if name.chars().any(char::is_control) {
        "a name stands on one line, without control characters"
    } else if name.chars().nth(NAME_CHARS).is_some() {
        "a name has at most 100 characters"
    } else {
        return Ok(name.to_owned());
    };
    Err(head.reader.error(node, "experiment.name", fault))
}

fn workload(reader: Reader<'_>, node: &Node) -> Result<WorkloadConfig, ConfigError> {
    let any = Section::open_any(reader, "workload", node)?;
    let kinds = || catalog::KINDS.iter().map(|kind| kind.name);
    let list = || format!("known kinds: {}", kinds().collect::<Vec<_>>().join(", "));
    let kind_node = match any.get("kind") {
        Some(node) => node,
        None => {
            let near =
                any.entries().iter().find(|entry| super::suggest::nearest(&entry.key, ["kind"]).is_some());
            let place = near.map_or(any.place, |entry| &entry.place);
            let hint = near.map_or(String::new(), |entry| format!("; is `{}` meant?", shown(&entry.key)));
            return Err(reader
                .sources
                .error(place, "workload.kind", format!("is missing{hint}"))
                .help(list()));
        }
    };
    let name = reader.text(kind_node, "workload.kind")?;
    let Some(kind) = catalog::find(name) else {
        let message = format!("there is no kind \"{}\"{}", shown(name), did_you_mean(name, kinds()));
        return Err(reader.error(kind_node, "workload.kind", message).help(list()));
    };
    parameters(reader, node, kind)
}

/// Reads the parameters of `kind`: what the file does not set gets its default.
fn parameters(reader: Reader<'_>, node: &Node, kind: &KindInfo) -> Result<WorkloadConfig, ConfigError> {
    let mut known = vec!["kind"];
    known.extend(kind.params.iter().map(|param| param.name));
    let section = Section::open(reader, "workload", node, &known)?;
    let mut constants = BTreeMap::new();
    let mut axes = Vec::new();
    for entry in section.entries().iter().filter(|entry| entry.key != "kind") {
        let Some(info) = kind.param(&entry.key) else { continue };
        let key = section.key(&entry.key);
        match axis::read(reader, &key, &entry.node, info)? {
            Setting::Constant(value) => drop(constants.insert(info.name.to_owned(), value)),
            Setting::Swept(axis) => axes.push(axis),
        }
    }
    for info in kind.params.iter().filter(|info| section.get(info.name).is_none()) {
        let what = format!("{} needs it ({})", kind.name, info.about);
        let default = info
            .default
            .ok_or_else(|| section.error(&section.key(info.name), format!("is missing: {what}")))?;
        constants.insert(info.name.to_owned(), axis::default_value(default));
    }
    Ok(WorkloadConfig { kind: kind.name.to_owned(), constants, axes })
}

const MEASURE_KEYS: [&str; 6] = ["processes", "rounds", "budget", "max_foreign_cores", "load", "startup"];

fn measure(section: &Section<'_>) -> Result<Measure, ConfigError> {
    let reader = section.reader;
    let budget = match section.get("budget") {
        Some(node) => Some(budget(reader, node)?),
        None => None,
    };
    let max_foreign_cores = section.number_or("max_foreign_cores", 0.15)?;
    if let Some(node) = section.get("max_foreign_cores").filter(|_| max_foreign_cores < 0.0) {
        let message = format!("{max_foreign_cores} is impossible: a load cannot be negative");
        return Err(reader.error(node, "measure.max_foreign_cores", message));
    }
    let rate = section.get("load").map_or(Ok(None), |node| load(reader, node))?;
    let startup = section.get("startup").map_or(Ok(Startup::Excluded), |node| startup(reader, node, rate))?;
    Ok(Measure {
        processes: section.count_or("processes", 5, limits::PROCESSES)?,
        rounds: section.count_or("rounds", 8, limits::ROUNDS)?,
        budget,
        max_foreign_cores,
        rate,
        startup,
    })
}

/// Reads `measure.startup`; `rate` is that of an open load, if it is one.
fn startup(reader: Reader<'_>, node: &Node, rate: Option<f64>) -> Result<Startup, ConfigError> {
    let key = "measure.startup";
    let word = reader.text(node, key)?;
    let known = [Startup::Excluded, Startup::Included];
    let Some(startup) = known.into_iter().find(|startup| startup.word() == word) else {
        let words = known.map(Startup::word);
        let message = format!("unknown word \"{}\"{}", shown(word), did_you_mean(word, words));
        return Err(reader.error(node, key, message).help(format!("known: {}", words.join(", "))));
    };
    if startup.is_included() && rate.is_some() {
        let message = "cannot be included under an open load: tasks arrive at a strategy that is up";
        let help = "remove the line, or measure.load";
        return Err(reader.error(node, key, message).help(help));
    }
    Ok(startup)
}

fn budget(reader: Reader<'_>, node: &Node) -> Result<Duration, ConfigError> {
    let key = "measure.budget";
    if let Kind::Int(_) | Kind::Float(_) = node.kind {
        let message = format!("{} has no unit: write \"90s\", \"5m\", \"1m30s\" or \"1h\"", node.found());
        return Err(reader.error(node, key, message));
    }
    duration::parse(reader.text(node, key)?).map_err(|reason| reader.error(node, key, reason))
}

/// Reads `measure.load`: the arrivals per second of an open load, or `None` for the closed one.
fn load(reader: Reader<'_>, node: &Node) -> Result<Option<f64>, ConfigError> {
    const EXAMPLE: &str = "load = { mode = \"open\", rate = 500 }";
    let section = Section::open(reader, "measure.load", node, &["mode", "rate"])?;
    let mode_node =
        section.required("mode", &format!("write load = {{ mode = \"closed\" }}, or {EXAMPLE}"))?;
    let mode = reader.text(mode_node, "measure.load.mode")?;
    let key = "measure.load.rate";
    match (mode, section.get("rate")) {
        ("closed", None) => Ok(None),
        ("closed", Some(rate)) => {
            let message = "a closed loop has no rate: the next run starts when the last one has ended";
            let help = format!("for tasks that arrive at a rate of their own: {EXAMPLE}");
            Err(reader.error(rate, key, message).help(help))
        }
        ("open", None) => {
            let message = format!("is missing: how many tasks arrive per second, such as {EXAMPLE}");
            Err(section.error(key, message))
        }
        ("open", Some(node)) => {
            let rate = reader.number(node, key)?;
            let fault = if rate <= 0.0 {
                "is impossible: must be above 0 tasks per second".to_owned()
            } else if rate > limits::RATE {
                format!("is too large: must be at most {} tasks per second", limits::RATE)
            } else {
                return Ok(Some(rate));
            };
            Err(reader.error(node, key, format!("{rate} {fault}")))
        }
        _ => {
            let near = did_you_mean(mode, ["closed", "open"]);
            let message = format!("unknown mode \"{}\"{near}", shown(mode));
            Err(reader.error(mode_node, "measure.load.mode", message).help("known: closed, open"))
        }
    }
}

fn analysis(
    reader: Reader<'_>,
    node: &Node,
    strategies: &Strategies,
) -> Result<AnalysisOptions, ConfigError> {
    let keys = ["margin", "confidence", "baseline", "refine_crossover"];
    let section = Section::open(reader, "analysis", node, &keys)?;
    let checked = |key: &str, default: f64, fits: fn(f64) -> bool, rule: &str| {
        let x = section.number_or(key, default)?;
        match section.get(key) {
            Some(node) if !fits(x) => {
                Err(reader.error(node, &section.key(key), format!("{x} is impossible: {rule}")))
            }
            _ => Ok(x),
        }
    };
    let rule = "must lie between 0 and 1, the ends excluded (0.03 is 3 %)";
    let margin = checked("margin", 0.03, |x| x > 0.0 && x < 1.0, rule)?;
    // What the report takes: further out, no number of samples would bear the intervals.
    let rule = "must lie between 0.5 and 0.9999 (0.95 is usual)";
    let confidence = checked("confidence", 0.95, |x| (0.5..=0.9999).contains(&x), rule)?;
    let include = &strategies.include;
    let baseline = match section.get("baseline") {
        None => include
            .iter()
            .find(|name| *name == crate::strategy::SEQUENTIAL)
            .or(include.first())
            .cloned()
            .unwrap_or_default(),
        Some(node) => {
            let name = reader.text(node, "analysis.baseline")?;
            if let Some(reason) = strategies.skipped.get(name) {
                let message = format!("\"{name}\" is skipped here: {reason}");
                let help = "the strategy that all others are compared with cannot be optional";
                return Err(reader.error(node, "analysis.baseline", message).help(help));
            }
            if !include.iter().any(|other| other == name) {
                let near = did_you_mean(name, include.iter().map(String::as_str));
                let message = format!("\"{}\" does not take part{near}", shown(name));
                let help = format!("strategies.include has: {}", include.join(", "));
                return Err(reader.error(node, "analysis.baseline", message).help(help));
            }
            name.to_owned()
        }
    };
    let refine_crossover = match section.get("refine_crossover") {
        Some(node) => reader.boolean(node, "analysis.refine_crossover")?,
        None => false,
    };
    Ok(AnalysisOptions { margin, confidence, baseline, refine_crossover })
}

/// Refuses an experiment whose cells or samples are too many, before any of them is made.
fn bounded(root: &Section<'_>, experiment: &Experiment) -> Result<(), ConfigError> {
    let factors = |join: &str| {
        let sizes: Vec<_> =
            experiment.workload.axes.iter().map(|a| format!("{} {}", a.values.len(), a.param)).collect();
        sizes.join(join)
    };
    let place = |key: &str| root.get(key).map_or(root.place, |node| &node.place);
    let cells = experiment.cell_count().filter(|cells| *cells <= limits::CELLS);
    let Some(cells) = cells else {
        let message = format!("{} make too many cells: at most {}", factors(" × "), limits::CELLS);
        return Err(root.reader.sources.error(place("workload"), "workload", message));
    };
    let measure = &experiment.measure;
    let strategies = experiment.strategies.include.len();
    let samples =
        (cells as u64) * (strategies as u64) * u64::from(measure.processes) * u64::from(measure.rounds);
    if samples > limits::SAMPLES {
        let message = format!(
            "{cells} cells × {strategies} strategies × {} processes × {} rounds are {samples} samples: at most {}",
            measure.processes,
            measure.rounds,
            limits::SAMPLES
        );
        return Err(root.reader.sources.error(place("measure"), "measure", message));
    }
    arrivals_bounded(root, experiment)
}

/// Refuses an open load under which one run of the work would take too long, however fast the strategy is.
fn arrivals_bounded(root: &Section<'_>, experiment: &Experiment) -> Result<(), ConfigError> {
    let Some(rate) = experiment.measure.rate else { return Ok(()) };
    let axis = experiment.workload.axes.iter().find(|axis| axis.param == "tasks");
    let constant = experiment.workload.constants.get("tasks").map_or(&[][..], std::slice::from_ref);
    let values = axis.map_or(constant, |axis| &axis.values);
    let tasks = values.iter().filter_map(super::Value::as_f64).fold(0.0, f64::max);
    let seconds = tasks / rate;
    if seconds <= limits::ARRIVALS_SECONDS {
        return Ok(());
    }
    let message = format!(
        "{tasks} tasks at {rate} per second take {seconds:.0} s to arrive: at most {} s",
        limits::ARRIVALS_SECONDS
    );
    let help = format!(
        "raise the rate to {} or more, or lower workload.tasks",
        (tasks / limits::ARRIVALS_SECONDS).ceil()
    );
    let load = root.get("measure").and_then(|node| node.child("load"));
    let place = load.and_then(|node| node.child("rate")).map_or(root.place, |node| &node.place);
    Err(root.reader.sources.error(place, "measure.load.rate", message).help(help))
}

#[cfg(test)]
mod tests {
    use crate::config::Startup;
    use crate::config::tests::{GOOD, parse, round_trip, with_sets};

    #[test]
    fn an_open_load_has_a_rate() {
        assert_eq!(parse(GOOD).expect("valid").measure.rate, None);
        for (rate, expected) in [("500", 500.0), ("0.5", 0.5), ("1e6", 1e6)] {
            let exp = parse(&format!("{GOOD}load = {{ mode = \"open\", rate = {rate} }}")).expect(rate);
            assert_eq!(exp.measure.rate, Some(expected));
            round_trip(&exp);
        }
        let exp = with_sets(GOOD, &["measure.load.mode=open", "measure.load.rate=7"]).expect("valid");
        assert_eq!(exp.measure.rate, Some(7.0));
        let swept = GOOD.replace("tasks = 4", "tasks = [4, 601]") + "load = { mode = \"open\", rate = 10 }";
        let error = parse(&swept).expect_err("the largest counts").to_string();
        assert!(error.contains("601 tasks at 10 per second take 60 s"), "{error}");
    }

    #[test]
    fn start_up_is_excluded_unless_it_is_included() {
        assert_eq!(parse(GOOD).expect("valid").measure.startup, Startup::Excluded);
        for startup in [Startup::Excluded, Startup::Included] {
            let exp = parse(&format!("{GOOD}startup = \"{}\"", startup.word())).expect("valid");
            assert_eq!(exp.measure.startup, startup);
            round_trip(&exp);
        }
        for (lines, place, words) in [
            ("startup = \"include\"", "t.toml:15:11: measure.startup: unknown word", "did you mean"),
            ("startup = true", "t.toml:15:11: measure.startup: ", "text"),
            (
                "startup = \"included\"\nload = { mode = \"open\", rate = 5 }",
                "t.toml:15:11: measure.startup: cannot be included under an open load",
                "measure.load",
            ),
        ] {
            let error = parse(&format!("{GOOD}{lines}")).expect_err(lines).to_string();
            assert!(error.starts_with(place) && error.contains(words), "{error}");
        }
    }
}
