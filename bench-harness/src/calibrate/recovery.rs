//! What must hold whatever happens: a hog is noticed, a killed run goes on, a report is what its samples say.
//!
//! One experiment about parallelism serves all three: measured undisturbed it has verdicts, which a hog must take away
//! and a kill must not.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::folder::{self, Finished};
use super::lab::{Lab, Running, Stop};
use super::table::Row;
use crate::probe;
use crate::progress::Progress;

/// The experiment's name.
const NAME: &str = "parallel";

/// The folders of its runs.
pub(super) const QUIET: &str = "parallel-quiet";
pub(super) const HOG: &str = "parallel-hog";
pub(super) const KILLED: &str = "parallel-killed";

const CONFIG: &str = r#"schema = 1
[experiment]
name = "parallel"
question = "When do two threads beat one?"
[workload]
kind = "mixed"
tasks = 8
wait_us = 0
cpu_us = [5, 50, 500]
[strategies]
include = ["sequential", "threads", "work-stealing"]
[measure]
processes = 2
rounds = 4
"#;

/// What a run is given or writes while it measures, beside its `.jsonl` files; everything else in its folder is made
/// from these.
const INPUTS: [&str; 4] = ["config.toml", "env.json", "config.resolved.toml", "pilot.json"];

/// How long processes whose coordinator was killed may live on.
const ORPHANS_LIMIT: Duration = Duration::from_secs(2);

/// How often a run that is to be killed is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Measures the experiment undisturbed: `None` where the machine is not quiet enough for it.
pub(super) fn undisturbed(lab: &Lab, progress: &mut Progress) -> Result<Option<Finished>, Stop> {
    lab.write(NAME, CONFIG)?;
    for attempt in 0..2 {
        progress.stage("parallel work, undisturbed");
        let quiet = lab.quiet()?.is_ok();
        let out = if attempt == 0 { QUIET.to_owned() } else { format!("{QUIET}-again") };
        lab.run(NAME, &out, 1)?;
        let run = Finished::read(&lab.path(&out))?;
        if quiet && run.is_quiet() {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// The row `hog`: with one core busy all the time, the run says so and gives no verdict.
pub(super) fn hog(lab: &Lab, progress: &mut Progress, quiet: Option<&Finished>) -> Result<Row, Stop> {
    const ID: &str = "hog";
    const TITLE: &str = "a CPU hog beside it";
    const BAR: &str = "flagged, no verdict";
    let Some(quiet) = quiet else {
        let detail = "there are verdicts to lose only on a quiet machine".to_owned();
        return Ok(Row::disturbed(ID, TITLE, BAR, detail));
    };
    progress.stage("parallel work beside a CPU hog");
    let hog = lab.start("hog", &["hog"])?;
    let code = lab.run(NAME, HOG, 1)?;
    drop(hog);
    let run = Finished::read(&lab.path(HOG))?;
    let blocks = |only_flagged: bool| {
        let flagged = run.samples.iter().filter(|s| !only_flagged || s.quarantined.is_some());
        flagged.map(|s| (s.process, s.round)).collect::<std::collections::BTreeSet<_>>().len()
    };
    let (flagged, all) = (blocks(true), blocks(false));
    let crossings = run.crossovers.iter().filter(|crossing| crossing.at.is_some()).count();
    let detail = format!(
        "{flagged} of {all} blocks flagged (up to {:.2} foreign cores), {} verdicts instead of {}",
        run.foreign_cores_max(),
        run.verdicts.len(),
        quiet.verdicts.len()
    );
    let passed = flagged == all
        && run.clean_share() == 0.0
        && run.verdicts.is_empty()
        && crossings == 0
        && code == 4
        && !quiet.verdicts.is_empty();
    let figures = json!({ "count": flagged, "of": all, "verdicts": run.verdicts.len(), "exit_code": code });
    Ok(Row::measured(ID, TITLE, BAR, detail, passed, figures))
}

/// The row `resume`: a run that is killed in the middle goes on to the same samples, each once.
pub(super) fn resume(lab: &Lab, progress: &mut Progress) -> Result<Row, Stop> {
    const ID: &str = "resume";
    const TITLE: &str = "kill -9, then resume";
    const BAR: &str = "same cells, no duplicates";
    progress.stage("a run that is killed and resumed");
    lab.write(NAME, CONFIG)?;
    let dir = lab.path(KILLED);
    let mut running = lab.start_run(NAME, KILLED, 1)?;
    let Some(before) = kill_in_the_middle(lab, &mut running, &dir)? else {
        let detail = "the run ended before it could be killed".to_owned();
        return Ok(Row::measured(ID, TITLE, BAR, detail, false, json!({})));
    };
    lab.finish(lab.start(KILLED, &["resume", KILLED])?)?;
    let after = Finished::read(&dir)?;
    let plan_stands = after.plan.starts_with(&before.plan);
    let fault = before
        .survivors
        .then(|| "processes of the killed run lived on".to_owned())
        .or_else(|| (!plan_stands).then(|| "the plan changed".to_owned()))
        .or_else(|| after.fault());
    let kept = before.samples;
    let planned = after.plan.len();
    let detail = match &fault {
        None => format!("killed after {kept} samples; all {planned} planned are there, each counts once"),
        Some(fault) => format!("killed after {kept} samples; {fault}"),
    };
    let figures = json!({ "killed_after": kept, "planned": planned });
    Ok(Row::measured(ID, TITLE, BAR, detail, fault.is_none(), figures))
}

/// What a killed run left.
struct Killed {
    plan: Vec<crate::plan::Planned>,
    samples: usize,
    /// Processes of the run that outlived it.
    survivors: bool,
}

/// Kills a run between its first and its last sample; `None` when it was too fast for that.
fn kill_in_the_middle(lab: &Lab, running: &mut Running, dir: &Path) -> Result<Option<Killed>, Stop> {
    let journal = dir.join("samples.jsonl");
    let lines = || fs::read(&journal).map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count());
    while lines() == 0 {
        if lab.wait(running, LOOK)? {
            return Ok(None);
        }
    }
    let children = probe::descendants(running.pid());
    if !running.kill() {
        return Ok(None);
    }
    let started = Instant::now();
    let mut survivors = true;
    while survivors && started.elapsed() < ORPHANS_LIMIT {
        survivors = children.iter().any(|&pid| probe::exists(pid));
        if survivors {
            std::thread::sleep(LOOK);
        }
    }
    let plan = folder::plan(dir)?;
    let samples = lines();
    Ok((samples < plan.len()).then_some(Killed { plan, samples, survivors }))
}

/// The row `again`: reports made again, from nothing but what was measured, are the same to the byte.
pub(super) fn again(lab: &Lab, progress: &mut Progress, runs: &[&str]) -> Result<Row, Stop> {
    const ID: &str = "again";
    const TITLE: &str = "the report again";
    const BAR: &str = "byte-identical";
    progress.stage("reports made again");
    let (mut count, mut differs) = (0, None);
    let runs: Vec<&str> = runs.iter().copied().filter(|run| lab.path(run).exists()).collect();
    for run in &runs {
        let copy = lab.path("again").join(run);
        fs::create_dir_all(&copy).with_context(|| format!("cannot make the folder {}", copy.display()))?;
        let dir = lab.path(run);
        for entry in fs::read_dir(&dir)? {
            let name = entry?.file_name();
            if is_input(&name.to_string_lossy()) {
                fs::copy(dir.join(&name), copy.join(&name))?;
            }
        }
        lab.finish(lab.start("again", &["report", &copy.to_string_lossy()])?)?;
        let (first, second) = (outputs(&dir)?, outputs(&copy)?);
        count += first.len();
        let other = first.iter().find(|(name, bytes)| second.get(*name) != Some(bytes));
        let added = second.keys().find(|name| !first.contains_key(*name));
        let name = other.map(|(name, _)| name).or(added);
        differs = differs.or_else(|| name.map(|name| format!("{name} of {run} differs")));
    }
    let detail = match &differs {
        None => format!("{count} files of {} reports, byte for byte", runs.len()),
        Some(name) => name.clone(),
    };
    Ok(Row::measured(ID, TITLE, BAR, detail, differs.is_none(), json!({ "count": count })))
}

fn is_input(name: &str) -> bool {
    INPUTS.contains(&name) || name.ends_with(".jsonl")
}

/// The files that a report consists of, with their bytes, by their names below `dir`.
fn outputs(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, Stop> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
            if !is_input(&name) {
                files.insert(name, fs::read(&path)?);
            }
        }
    }
    Ok(files)
}
