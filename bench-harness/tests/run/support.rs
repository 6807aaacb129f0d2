//! A folder with an experiment in it, and the program to run it.
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crossover_bench::plan::Planned;
use crossover_bench::probe;
use crossover_reports::load::Journal;
use crossover_reports::record::{Sample, Warmup};
use tempfile::TempDir;

/// Turns a hang into a failure.
const LONG: Duration = Duration::from_secs(90);

/// Passes requests on to a trial of ours; at the request that `hang-at` names it stops for good, after saying so. It names the
/// process by its number among the gates that were started, and the request by its number within it: a disturbed block is
/// measured again at the end of its process round, which must not shift those of the next.
const GATE: &str = r#"
import json, os, subprocess, sys, threading
trial = subprocess.Popen([os.environ["CROSSOVER"], "trial", "sequential"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
with open("started", "a") as started:
    started.write("x")
process, asked = os.path.getsize("started"), 0
for line in sys.stdin.buffer:
    asked += 1
    with open("workers", "a") as workers:
        workers.write("%d\n" % json.loads(line)["workers"])
    if os.path.exists("hang-at") and open("hang-at").read() == "%d %d" % (process, asked):
        open("hanging", "w").close()
        threading.Event().wait()
    trial.stdin.write(line)
    trial.stdin.flush()
    sys.stdout.buffer.write(trial.stdout.readline())
    sys.stdout.buffer.flush()
"#;

/// A folder of its own for a test.
pub(crate) struct Lab {
    dir: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Writes `NAME.toml`: two cells of a few microseconds, 2 × 2 blocks, `include` as in TOML, and more lines.
    pub(crate) fn experiment(&self, name: &str, include: &str, more: &str) -> PathBuf {
        let text = format!(
            r#"schema = 1
[experiment]
name = "{name}"
question = "Does it run?"
[workload]
kind = "cpu"
tasks = 3
kernel = "sha256"
input_bytes = [64, 1024]
[strategies]
include = [{include}]
workers = 2
[measure]
processes = 2
rounds = 2
max_foreign_cores = 1000.0
{more}
"#
        );
        self.write(&format!("{name}.toml"), &text)
    }

    /// An experiment with the gate beside our own strategies; `hang_at` is the gate's process and the request to stop at in it.
    ///
    /// The pilot's asks twice; that of each process round warms up and measures both cells in its first block.
    pub(crate) fn gated(&self, hang_at: [u32; 2]) -> PathBuf {
        self.write("gate.py", GATE);
        self.write("hang-at", &format!("{} {}", hang_at[0], hang_at[1]));
        let external = "[strategies.external.gate]\nrun = [\"python3\", \"gate.py\"]";
        self.experiment("gated", r#""sequential", "threads", "gate""#, external)
    }

    /// Lets the gate pass everything from now on.
    pub(crate) fn open_gate(&self) {
        fs::remove_file(self.path("hang-at")).unwrap();
    }

    /// The program, ready to run `arguments` in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossover"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("CROSSOVER", env!("CARGO_BIN_EXE_crossover"))
            // Whatever this user has calibrated is no test's business.
            .env(crossover_bench::calibration_file::VARIABLE, "");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        finish(self.command(arguments).spawn().unwrap())
    }

    /// Starts a gated run into the folder `out` and waits until the gate is closed.
    pub(crate) fn start_until_gate(&self, hang_at: [u32; 2]) -> Child {
        self.start_until_the_gate_closes(&self.gated(hang_at))
    }

    /// The same with the experiment in `file`.
    pub(crate) fn start_until_the_gate_closes(&self, file: &Path) -> Child {
        let mut child = self.command(&["run", &file.to_string_lossy(), "--out", "out"]).spawn().unwrap();
        wait_until("the gate to close", || {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before the gate closed");
            self.exists("hanging")
        });
        child
    }

    pub(crate) fn samples(&self, run: &str) -> Vec<Sample> {
        Journal::read(&self.path(run).join("samples.jsonl")).unwrap().samples
    }

    pub(crate) fn plan(&self, run: &str) -> Vec<Planned> {
        let text = fs::read_to_string(self.path(run).join("plan.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn warmups(&self, run: &str) -> Vec<Warmup> {
        let text = fs::read_to_string(self.path(run).join("warmups.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn json(&self, file: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.path(file)).unwrap()).unwrap()
    }

    /// Every (process round, cell, strategy) of the plan that was measured warmed up once, and nothing else did.
    pub(crate) fn assert_warmed_up(&self, run: &str) {
        let key = |w: &Warmup| (w.process, w.cell.clone(), w.strategy.clone());
        let mut warm: Vec<_> = self.warmups(run).iter().map(key).collect();
        warm.sort();
        let measured = self.samples(run).into_iter().filter(|sample| sample.ok);
        let mut planned: Vec<_> = measured.map(|s| (s.process, s.cell, s.strategy)).collect();
        planned.sort();
        planned.dedup();
        assert_eq!(warm, planned);
    }

    /// Every planned sample was measured, once unless its block was disturbed, and nothing else was.
    pub(crate) fn assert_complete(&self, run: &str) {
        let (plan, samples) = (self.plan(run), self.samples(run));
        let mut counts: HashMap<_, u32> = HashMap::new();
        for sample in samples.iter().filter(|sample| sample.quarantined.is_none()) {
            *counts.entry((&sample.cell, &sample.strategy, sample.process, sample.round)).or_default() += 1;
        }
        for planned in &plan {
            let key = (&planned.cell, &planned.strategy, planned.process, planned.round);
            let all = samples.iter().filter(|s| (&s.cell, &s.strategy, s.process, s.round) == key).count();
            assert!(all > 0, "{planned:?} is missing");
            assert!(counts.remove(&key).unwrap_or(0) <= 1, "{planned:?} was measured again");
        }
        assert!(counts.is_empty(), "not planned: {counts:?}");
        let mut orders: Vec<u64> = samples.iter().map(|sample| sample.order).collect();
        orders.sort_unstable();
        orders.dedup();
        assert_eq!(orders.len(), samples.len(), "`order` is unique");
        assert!(samples.iter().all(|sample| sample.run == samples[0].run), "one run id");
    }
}

/// What a process left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The run was measured: well, or on a machine whose hypervisor took too much of its time.
    #[track_caller]
    pub(crate) fn assert_measured(&self) {
        assert!(matches!(self.code, Some(0 | 4)), "{self:#?}");
    }

    #[track_caller]
    pub(crate) fn assert_refused(&self, word: &str) {
        assert_eq!(self.code, Some(2), "{self:#?}");
        assert!(self.stderr.contains(word), "{self:#?}");
    }
}

/// Waits for the end of a process.
pub(crate) fn finish(child: Child) -> Ended {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Waits for an event that leaves no other trace than a file or a process.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// All processes below `child` are gone within the two seconds that the contract gives them.
#[track_caller]
pub(crate) fn assert_all_end(pids: &[u32]) {
    let start = Instant::now();
    wait_until("the helpers to end", || !pids.iter().any(|&pid| probe::exists(pid)));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "the helpers took {took:?} to end");
}

/// The processes below `child`, at least `least` of them.
#[track_caller]
pub(crate) fn helpers_of(child: &Child, least: usize) -> Vec<u32> {
    let pids = probe::descendants(child.id());
    assert!(pids.len() >= least, "{pids:?}");
    pids
}

/// The first fenced block of `language` that starts with `start` in a Markdown file of this crate.
pub(crate) fn code_block(file: &str, language: &str, start: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(path).unwrap();
    let fence = format!("```{language}\n");
    let block = text.split(&fence).skip(1).find(|block| block.starts_with(start)).unwrap();
    block.split("```").next().unwrap().to_owned()
}
