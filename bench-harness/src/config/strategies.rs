//! The table `[strategies]`: who takes part, with how many workers, and the programs of other people.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::lookup;
use super::schema::{Reader, Section};
use super::suggest::{did_you_mean, shown};
use super::tree::{Entry, Kind, Node};
use super::{External, Strategies, StrategyOptions, Variant, limits};
use crate::strategy::{self, BUILT_IN, Info};

/// Reads `[strategies]`; a relative command or folder starts from `dir`.
pub(super) fn read(reader: Reader<'_>, node: &Node, dir: &Path) -> Result<Strategies, ConfigError> {
    let mut known = vec!["include", "workers", "variants", "external"];
    known.extend(strategy::choices().map(|info| info.name));
    let section = Section::open(reader, "strategies", node, &known)?;
    let mut external = BTreeMap::new();
    let mut programs = BTreeMap::new();
    if let Some(node) = section.get("external") {
        for entry in Section::open_any(reader, "strategies.external", node)?.entries() {
            let (command, program) = read_external(reader, entry, dir)?;
            external.insert(entry.key.clone(), command);
            programs.insert(entry.key.clone(), program);
        }
    }
    let mut variants = BTreeMap::new();
    if let Some(node) = section.get("variants") {
        for entry in Section::open_any(reader, "strategies.variants", node)?.entries() {
            variants.insert(entry.key.clone(), read_variant(reader, entry, &external)?);
        }
    }
    let own: Vec<&str> = variants.keys().chain(external.keys()).map(String::as_str).collect();
    let mut include = match section.get("include") {
        Some(node) => read_include(reader, node, &own)?,
        None => BUILT_IN.iter().map(|info| info.name.to_owned()).collect(),
    };
    let skipped = skip_missing(reader, &section, &mut include, &external, &programs)?;
    let mut overrides = BTreeMap::new();
    for entry in section.entries() {
        if let Some(info) = strategy::choices().find(|info| info.name == entry.key) {
            overrides.insert(entry.key.clone(), read_override(reader, entry, info)?);
        }
    }
    let workers = match section.get("workers") {
        Some(node) => read_workers(reader, node, "strategies.workers")?,
        None => cores(),
    };
    Ok(Strategies { include, skipped, workers, overrides, variants, external })
}

/// Looks for the programs of those that take part. One that is not there is an error, or, where it is optional, takes no
/// part: gives their names with the reasons.
fn skip_missing(
    reader: Reader<'_>,
    section: &Section<'_>,
    include: &mut Vec<String>,
    external: &BTreeMap<String, External>,
    programs: &BTreeMap<String, &Node>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut skipped = BTreeMap::new();
    for (name, command) in external.iter().filter(|(name, _)| include.contains(name)) {
        match find_program(command).map_err(|missing| missing.seen_from(reader.sources.label())) {
            Ok(()) => {}
            Err(missing) if command.optional => drop(skipped.insert(name.clone(), missing.reason)),
            Err(missing) => {
                let key = section.key(&format!("external.{name}.{}", missing.key));
                let error = reader.error(programs[name], &key, missing.reason);
                return Err(missing.help.into_iter().fold(error, ConfigError::help));
            }
        }
    }
    include.retain(|name| !skipped.contains_key(name));
    match section.get("include") {
        Some(node) if include.is_empty() => {
            let error = reader.error(node, "strategies.include", "nobody is left to take part");
            Err(skipped
                .iter()
                .fold(error, |error, (name, reason)| error.help(format!("skipped: {name}: {reason}"))))
        }
        _ => Ok(skipped),
    }
}

/// The cores that this process may use, as far as it can be told.
fn cores() -> u32 {
    u32::try_from(num_cpus::get()).unwrap_or(limits::WORKERS).clamp(1, limits::WORKERS)
}

fn read_workers(reader: Reader<'_>, node: &Node, key: &str) -> Result<u32, ConfigError> {
    if let Kind::Text(text) = &node.kind {
        if text == "cores" {
            return Ok(cores());
        }
        let near = did_you_mean(text, ["cores"]);
        return Err(reader.error(
            node,
            key,
            format!("expected \"cores\" or a number; found {}{near}", node.found()),
        ));
    }
    let n = reader.int(node, key, 1, i64::from(limits::WORKERS))?;
    Ok(u32::try_from(n).unwrap_or(limits::WORKERS))
}

fn read_override(reader: Reader<'_>, entry: &Entry, info: &Info) -> Result<StrategyOptions, ConfigError> {
    let path = format!("strategies.{}", entry.key);
    let section = Section::open(reader, &path, &entry.node, &["workers", "jobs_per_worker"])?;
    Ok(StrategyOptions {
        workers: own_workers(&section, info)?,
        jobs_per_worker: jobs_per_worker(&section, info)?,
    })
}

/// The `workers` of a table about the built-in strategy `info`.
fn own_workers(section: &Section<'_>, info: &Info) -> Result<Option<u32>, ConfigError> {
    let Some(node) = section.get("workers") else { return Ok(None) };
    let key = section.key("workers");
    if info.workers.is_none() {
        let message = format!("{} has no workers to set ({})", info.name, info.about);
        return Err(section.reader.error(node, &key, message));
    }
    read_workers(section.reader, node, &key).map(Some)
}

/// The `jobs_per_worker` of a table about the built-in strategy `info`.
fn jobs_per_worker(section: &Section<'_>, info: &Info) -> Result<Option<u32>, ConfigError> {
    let Some(node) = section.get("jobs_per_worker") else { return Ok(None) };
    let key = section.key("jobs_per_worker");
    if info.name != strategy::PROCESSES {
        let message = format!("{} has no worker processes to replace ({})", info.name, info.about);
        return Err(section.reader.error(node, &key, message));
    }
    let jobs = section.reader.int(node, &key, 1, i64::from(limits::JOBS_PER_WORKER))?;
    Ok(u32::try_from(jobs).ok())
}

/// Reads `[strategies.variants.NAME]`.
fn read_variant(
    reader: Reader<'_>,
    entry: &Entry,
    external: &BTreeMap<String, External>,
) -> Result<Variant, ConfigError> {
    let path = format!("strategies.variants.{}", shown(&entry.key));
    check_name(reader, entry, &path)?;
    if external.contains_key(&entry.key) {
        let message = "this name belongs to an external strategy: give the variant another one";
        return Err(reader.sources.error(&entry.place, &path, message));
    }
    let section = Section::open(reader, &path, &entry.node, &["strategy", "workers", "jobs_per_worker"])?;
    let names = || strategy::choices().map(|info| info.name);
    let known = || format!("known: {}", names().collect::<Vec<_>>().join(", "));
    let key = section.key("strategy");
    let node = section
        .required("strategy", "the built-in strategy that it is a variant of, such as strategy = \"threads\"")
        .map_err(|error| error.help(known()))?;
    let name = reader.text(node, &key)?;
    let Some(info) = strategy::find(name) else {
        let message =
            format!("there is no built-in strategy \"{}\"{}", shown(name), did_you_mean(name, names()));
        return Err(reader.error(node, &key, message).help(known()));
    };
    Ok(Variant {
        strategy: name.to_owned(),
        workers: own_workers(&section, info)?,
        jobs_per_worker: jobs_per_worker(&section, info)?,
    })
}

/// Refuses a name that is no name, or that belongs to a built-in strategy.
fn check_name(reader: Reader<'_>, entry: &Entry, path: &str) -> Result<(), ConfigError> {
    /// Longest name, in bytes.
    const NAME_BYTES: usize = 64;
    let name = &entry.key;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > NAME_BYTES || !name.chars().all(plain) {
        let message = "a strategy's name has 1 to 64 letters, digits, `-`, `_` or `.`";
        return Err(reader.sources.error(&entry.place, path, message));
    }
    if strategy::choices().any(|info| info.name == name) {
        return Err(reader.sources.error(&entry.place, path, "this name belongs to a built-in strategy"));
    }
    Ok(())
}

fn read_include(reader: Reader<'_>, node: &Node, own: &[&str]) -> Result<Vec<String>, ConfigError> {
    let key = "strategies.include";
    let known = || strategy::choices().map(|info| info.name).chain(own.iter().copied());
    let list = || format!("known: {}", known().collect::<Vec<_>>().join(", "));
    let names = reader.texts(node, key)?;
    if names.is_empty() {
        return Err(reader.error(node, key, "the list is empty: nobody takes part").help(list()));
    }
    let mut seen = BTreeSet::new();
    for (item, name) in &names {
        if !known().any(|other| other == *name) {
            let message = format!("there is no strategy \"{}\"{}", shown(name), did_you_mean(name, known()));
            let variant =
                "another number of workers: [strategies.variants.NAME] strategy = \"threads\", workers = 32";
            let program = "a program of your own: [strategies.external.NAME] run = [\"./program\"]";
            return Err(reader.error(item, key, message).help(list()).help(variant).help(program));
        }
        if !seen.insert(*name) {
            return Err(reader.error(item, key, format!("\"{name}\" stands in the list twice")));
        }
    }
    Ok(names.into_iter().map(|(_, name)| name.to_owned()).collect())
}

/// Reads `[strategies.external.NAME]`; returns the command and the node that names its program.
fn read_external<'a>(
    reader: Reader<'a>,
    entry: &'a Entry,
    dir: &Path,
) -> Result<(External, &'a Node), ConfigError> {
    let path = format!("strategies.external.{}", shown(&entry.key));
    check_name(reader, entry, &path)?;
    let section = Section::open(reader, &path, &entry.node, &["run", "dir", "optional"])?;
    let key = section.key("run");
    let node = section.required("run", "the program and its arguments, such as run = [\"./my-trial\"]")?;
    let words = reader.texts(node, &key)?;
    let Some((program, first)) = words.first() else {
        return Err(reader.error(node, &key, "the list is empty: the program is missing"));
    };
    if first.is_empty() {
        return Err(reader.error(program, &key, "the program's name is empty"));
    }
    if let Some((item, _)) = words.iter().find(|(_, word)| word.contains('\0')) {
        return Err(reader.error(item, &key, "a program's argument cannot hold a NUL character"));
    }
    let program = *program;
    let run = words.into_iter().map(|(_, word)| word.to_owned()).collect();
    let dir = match section.get("dir") {
        Some(node) => {
            let text = reader.text(node, &section.key("dir"))?;
            if text.contains('\0') {
                return Err(reader.error(node, &section.key("dir"), "a path cannot hold a NUL character"));
            }
            dir.join(text)
        }
        None => dir.to_owned(),
    };
    let optional = match section.get("optional") {
        Some(node) => reader.boolean(node, &section.key("optional"))?,
        None => false,
    };
    Ok((External { run, dir, optional }, program))
}

/// Why a program cannot be run.
struct Missing {
    /// The key that is at fault.
    key: &'static str,
    reason: String,
    help: Option<String>,
}

impl Missing {
    /// Adds where the paths of the experiment `label` start, if that is not beside its file.
    fn seen_from(mut self, label: &str) -> Self {
        if label.starts_with(lookup::BUILT_IN) && self.key == "dir" {
            self.reason += " (paths of a built-in experiment start from ";
            self.reason += lookup::FOLDER;
            self.reason += " of the current folder)";
        }
        self
    }
}

/// Looks for a program: it must be there, and executable.
fn find_program(command: &External) -> Result<(), Missing> {
    let program = &command.run[0];
    if !command.dir.is_dir() {
        let reason = format!("there is no folder {}", command.dir.display());
        return Err(Missing { key: "dir", reason, help: None });
    }
    let missing = |reason, help| Err(Missing { key: "run", reason, help });
    if program.contains('/') {
        let path = command.dir.join(program);
        return executable(&path).or_else(|reason| missing(format!("{}: {reason}", path.display()), None));
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&paths).any(|folder| executable(&folder.join(program)).is_ok()) {
        return Ok(());
    }
    let help = command
        .dir
        .join(program)
        .exists()
        .then(|| format!("for the file in {}, write \"./{}\"", command.dir.display(), shown(program)));
    missing(format!("there is no program `{}` in the folders of PATH", shown(program)), help)
}

fn executable(path: &PathBuf) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK)
        .map_err(|_| "is not executable: chmod +x makes it so".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::BUILT_IN;
    use crate::config::Experiment;
    use crate::config::tests::{GOOD, parse, round_trip, with_sets};

    #[test]
    fn a_variant_is_a_built_in_strategy_under_another_name() {
        let more = "[strategies.threads]\nworkers = 9\n[strategies.variants.t-32]\nstrategy = \"threads\"\n\
                    workers = 32\n[strategies.variants.again]\nstrategy = \"threads\"\n\
                    [strategies.variants.\"loop.2\"]\nstrategy = \"event-loop\"\n[measure]";
        let text = GOOD
            .replace("\"threads\"]", "\"threads\", \"t-32\", \"again\", \"loop.2\"]")
            .replace("[measure]", more);
        let exp = parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let strategies = &exp.strategies;
        for (name, base, workers, cap) in [
            ("sequential", "sequential", 1, Some(1)),
            ("threads", "threads", 9, Some(9)),
            ("t-32", "threads", 32, Some(32)),
            ("again", "threads", 9, Some(9)),
            ("loop.2", "event-loop", 1, None),
        ] {
            assert_eq!(strategies.base_of(name), base);
            let limits = strategies.limits_of(name).expect("known");
            assert_eq!((limits.workers, limits.concurrency_cap), (workers, cap), "{name}");
        }
        round_trip(&exp);
        let set = with_sets(&text, &["strategies.variants.t-32.workers=8"]).expect("valid");
        assert_eq!(set.strategies.workers_of("t-32"), 8);
    }

    #[test]
    fn worker_processes_may_be_replaced_after_so_many_jobs() {
        let with = |lines: &str| {
            GOOD.replace("\"threads\"]", "\"processes\", \"fresh\", \"other\"]").replace("[measure]", lines)
        };
        let variants = "[strategies.variants.fresh]\nstrategy = \"processes\"\nworkers = 3\n\
                        jobs_per_worker = 64\n[strategies.variants.other]\nstrategy = \"processes\"\n[measure]";
        let exp = parse(&with(variants)).unwrap_or_else(|error| panic!("{error}"));
        let jobs =
            |exp: &Experiment, names: [&str; 4]| names.map(|name| exp.strategies.jobs_per_worker_of(name));
        let names = ["sequential", "processes", "fresh", "other"];
        assert_eq!(jobs(&exp, names), [None, None, Some(64), None]);
        assert_eq!(exp.strategies.workers_of("fresh"), 3);
        round_trip(&exp);
        let all = format!("[strategies.processes]\njobs_per_worker = 9\n{variants}");
        let exp = parse(&with(&all)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(jobs(&exp, names), [None, Some(9), Some(64), Some(9)]);
        round_trip(&exp);
        let set = with_sets(&with(&all), &["strategies.variants.fresh.jobs_per_worker=1"]).expect("valid");
        assert_eq!(set.strategies.jobs_per_worker_of("fresh"), Some(1));
    }

    #[test]
    fn nobody_else_has_worker_processes_and_numbers_have_limits() {
        for (strategy, number, words) in [
            ("processes", "0", "0 is impossible: must be at least 1"),
            ("processes", "1000001", "too large: must be at most 1000000"),
            ("processes", "\"many\"", "expected a whole number"),
            ("threads", "64", "threads has no worker processes to replace"),
        ] {
            let table = format!("[strategies.{strategy}]\njobs_per_worker = {number}\n[measure]");
            let error = parse(&GOOD.replace("[measure]", &table)).expect_err(number).to_string();
            let place = format!("strategies.{strategy}.jobs_per_worker");
            for word in [words, &place, "t.toml:13:"] {
                assert!(error.contains(word), "lacks {word:?}: {error}");
            }
        }
    }

    #[test]
    fn peers_are_named_like_any_other_and_take_no_part_unasked() {
        let more = "[strategies.tokio]\nworkers = 3\n[strategies.variants.rayon-8]\nstrategy = \"rayon\"\n\
                    workers = 8\n[measure]";
        let text = GOOD
            .replace("\"threads\"]", "\"tokio\", \"tokio-current-thread\", \"smol\", \"rayon-8\"]")
            .replace("[measure]", more);
        let exp = parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let cap = |name: &str| exp.strategies.limits_of(name).map(|l| (l.workers, l.concurrency_cap));
        assert_eq!(cap("tokio"), Some((3, None)));
        assert_eq!(cap("tokio-current-thread"), Some((1, None)));
        assert_eq!(cap("smol"), Some((2, None)));
        assert_eq!(cap("rayon-8"), Some((8, Some(8))));
        round_trip(&exp);
        let all = parse(&GOOD.replace("include = [\"sequential\", \"threads\"]\n", "")).expect("valid");
        assert!(all.strategies.include.iter().eq(BUILT_IN.iter().map(|info| info.name)));
        let error = parse(&GOOD.replace("\"threads\"]", "\"tokoi\"]")).expect_err("a slip").to_string();
        assert!(error.contains("did you mean `tokio`"), "{error}");
    }

    /// `GOOD` with the optional program `mine`, described by `lines`, beside `sequential`.
    fn optional(lines: &str) -> String {
        GOOD.replace("\"threads\"]", "\"mine\"]")
            .replace("[measure]", &format!("[strategies.external.mine]\n{lines}\noptional = true\n[measure]"))
    }

    #[test]
    fn an_optional_program_that_is_not_there_takes_no_part() {
        for (lines, reason) in [
            (
                "run = [\"no-such-program-anywhere\"]",
                "no program `no-such-program-anywhere` in the folders of PATH",
            ),
            ("run = [\"./no/such/file\"]", "/./no/such/file: No such file"),
            ("run = [\"./proc\"]", "is not a file"),
            ("run = [\"sh\"]\ndir = \"no/such/folder\"", "there is no folder /no/such/folder"),
        ] {
            let exp = parse(&optional(lines)).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(exp.strategies.include, ["sequential"], "{lines}");
            let said = &exp.strategies.skipped["mine"];
            assert!(said.contains(reason), "{lines}: {said}");
            assert!(exp.text.contains(&format!("\n# skipped: mine: {said}\n")), "{}", exp.text);
            round_trip(&exp);
            let again = parse(&exp.text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(again.strategies.include, ["sequential"]);
            assert!(again.strategies.skipped.is_empty() && again.text == exp.text, "as it was written");
        }
    }

    #[test]
    fn an_optional_program_that_is_there_takes_part() {
        let text = optional("run = [\"sh\"]");
        let exp = parse(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(exp.strategies.include, ["sequential", "mine"]);
        assert!(exp.strategies.skipped.is_empty() && exp.text == text);
        assert!(exp.strategies.external["mine"].optional);
        round_trip(&exp);
    }

    #[test]
    fn what_cannot_be_skipped_is_refused() {
        let gone = "run = [\"no-such-program-anywhere\"]";
        let baseline = optional(gone) + "[analysis]\nbaseline = \"mine\"\n";
        let alone = optional(gone).replace("\"sequential\", ", "");
        let wrong = optional(gone).replace("optional = true", "optional = 1");
        let needed = optional(gone).replace("optional = true", "optional = false");
        for (text, words) in [
            (baseline, ["analysis.baseline", "skipped here", "cannot be optional"]),
            (alone, ["strategies.include", "nobody is left", "skipped: mine: there is no program"]),
            (wrong, ["strategies.external.mine.optional", "true or false", "t.toml:14:12"]),
            (needed, ["strategies.external.mine.run", "t.toml:13:8", "PATH"]),
        ] {
            let error = parse(&text).expect_err(words[0]).to_string();
            for word in words {
                assert!(error.contains(word), "lacks {word:?}: {error}");
            }
        }
    }

    #[test]
    fn paths_of_a_built_in_experiment_start_where_its_file_lies() {
        let text = optional("run = [\"sh\"]\ndir = \"../../no-such-folder\"");
        let load = |label: &str| Experiment::parse(&text, label, Path::new("/x/workloads/experiments"));
        let said = |label: &str| load(label).expect("it is optional").strategies.skipped["mine"].clone();
        let place = "there is no folder /x/workloads/experiments/../../no-such-folder";
        assert_eq!(said("mine.toml"), place);
        let start = "paths of a built-in experiment start from workloads/experiments of the current folder";
        assert_eq!(said("<built-in mine>"), format!("{place} ({start})"));
        let built_in = Experiment::load("mixed", &[]).expect("built in");
        assert!(built_in.dir.is_absolute() && built_in.dir.ends_with("workloads/experiments"));
    }
}
