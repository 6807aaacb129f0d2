//! `crossover doctor`: whether this machine is fit to measure on. It looks, explains and advises; it changes
//! nothing, and whatever it finds is no failure.
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::calibration_file;
use crate::environment::Machine;
use crate::probe::{Load, LoadWindow};
use crate::text;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Good,
    /// Worth knowing when reading a report.
    Note,
    /// Distorts measurements.
    Warning,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What was seen.
    pub what: String,
    /// What it means for a measurement; empty where there is nothing to say.
    pub means: &'static str,
    /// What can be done about it; empty where nothing need be done.
    pub advice: &'static str,
}

/// Everything that the doctor knows of the machine.
#[derive(Clone, Debug)]
pub struct Examination {
    /// What the system says of itself.
    pub machine: Machine,
    /// The load of other programs while this one waited.
    pub load: Load,
    /// Work that two threads do together, in units of what one does alone.
    pub two_threads: f64,
    /// Whether this program was built with optimisation.
    pub optimised: bool,
    /// What the calibration file says of this machine.
    pub calibrated: Calibrated,
}

/// What is known of a calibration of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calibrated {
    /// There is none.
    Never,
    /// There is one of another machine or kernel.
    Elsewhere,
    /// It has rows that failed.
    Failed,
    /// All of its rows passed, with fewer experiments than a full one has.
    Short,
    /// All of its rows passed.
    Passed,
}

impl Calibrated {
    /// Reads the calibration `file` as one of `machine`.
    fn of(file: Option<&Value>, machine: &Value) -> Self {
        let Some(file) = file else { return Self::Never };
        let passed = |row: &Value| row.get("passed").and_then(Value::as_bool) == Some(true);
        match file.get("rows").and_then(Value::as_array) {
            _ if file.get("machine") != Some(machine) => Self::Elsewhere,
            Some(rows) if rows.is_empty() || !rows.iter().all(passed) => Self::Failed,
            None => Self::Failed,
            Some(_) if file.get("quick").and_then(Value::as_bool) == Some(true) => Self::Short,
            Some(_) => Self::Passed,
        }
    }
}

/// How long the load of other programs is watched.
const WATCH: Duration = Duration::from_secs(1);
/// How long a spinning thread counts.
const SPIN: Duration = Duration::from_millis(150);

impl Examination {
    /// Examines this machine, which takes about two seconds.
    #[must_use]
    pub fn take() -> Self {
        let window = LoadWindow::open();
        thread::sleep(WATCH);
        let load = window.close();
        let two_threads = capacity_of_two();
        let machine = Machine::read();
        let here = calibration_file::machine(&machine);
        let calibrated = Calibrated::of(calibration_file::load().as_ref(), &here);
        Self { machine, load, two_threads, optimised: !cfg!(debug_assertions), calibrated }
    }

    /// What was found, thing by thing.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.cores(), self.capacity(), self.foreign_load(), self.steal()];
        findings.extend(self.pressure());
        findings.extend(self.quota());
        findings.extend([self.governor(), self.open_files()]);
        findings.extend(self.processes());
        findings.extend(self.address_space());
        findings.extend([self.clock(), self.build(), self.calibration()]);
        findings
    }

    fn cores(&self) -> Finding {
        let machine = &self.machine;
        let cpu = machine.cpu.as_deref().unwrap_or("a CPU without a name");
        let guest = if machine.virtual_machine { ", in a virtual machine" } else { "" };
        let what = format!(
            "{} of {} usable: {cpu}{guest}",
            machine.cores_usable,
            text::count(machine.cores_online as u64, "core")
        );
        if machine.cores_usable < 2 {
            let means = "no strategy can compute faster than sequential code: only waits can overlap";
            return warning(
                what,
                means,
                "run it where two cores are allowed (taskset, the container's limits)",
            );
        }
        if machine.threads_per_core.is_some_and(|threads| threads > 1) {
            let means = "some of these cores are hardware threads of one core and share its execution units";
            return note(what, means, "read speed-ups of computing against the line on two threads below");
        }
        good(what)
    }

    fn capacity(&self) -> Finding {
        let what = format!("two threads do {:.2} times the work of one", self.two_threads);
        if self.two_threads >= 1.8 || self.machine.cores_usable < 2 {
            return good(what);
        }
        let means = "two cores are not two here: that is the most that any strategy can gain on two workers";
        let advice =
            "end other programs; on a virtual machine its host may be busy, or the cores share hardware";
        if self.two_threads >= 1.5 { note(what, means, advice) } else { warning(what, means, advice) }
    }

    fn foreign_load(&self) -> Finding {
        let average =
            self.machine.load_average.map_or(String::new(), |[one, ..]| format!("; load average {one:.2}"));
        let what = format!("other programs use {:.2} cores{average}", self.load.foreign_cores);
        if self.load.foreign_cores <= 0.15 {
            return good(what);
        }
        let means = "rounds with more than 0.15 foreign cores are repeated, and count for nothing if that does not help";
        warning(what, means, "end or pause what runs beside this (top shows it), or measure at another time")
    }

    fn steal(&self) -> Finding {
        let what = format!("the hypervisor takes {:.1} % of the CPUs' time", self.load.steal_share * 100.0);
        if self.load.steal_share <= 0.01 {
            return good(what);
        }
        warning(
            what,
            "another guest's load stretches measured times",
            "measure at another time or on another host",
        )
    }

    fn pressure(&self) -> Option<Finding> {
        let percent = self.load.psi_cpu?;
        let what = format!("tasks waited for a CPU in {percent:.1} % of the time (PSI)");
        Some(if percent <= 10.0 {
            good(what)
        } else {
            note(what, "more programs want to run than there are cores", "end or pause what runs beside this")
        })
    }

    fn quota(&self) -> Option<Finding> {
        let quota = self.machine.cgroup_quota_cores?;
        let what = format!("a control group allows {quota:.2} cores");
        if quota >= self.machine.cores_online as f64 {
            return Some(good(what));
        }
        let means = "who exceeds it is paused for up to 100 ms at a time, which looks like a slow strategy";
        Some(warning(
            what,
            means,
            "lift the limit (docker run --cpus, CPUQuota=), or pin to whole cores instead",
        ))
    }

    fn governor(&self) -> Finding {
        match self.machine.governor.as_deref() {
            None => note(
                "the CPU's frequency governor is not visible".to_owned(),
                "the clock may change with the load; rounds in random order even it out between strategies",
                "on a virtual machine nothing: its host decides; else load the cpufreq driver to see it",
            ),
            Some("performance") => good("frequency governor: performance".to_owned()),
            Some(other) => note(
                format!("frequency governor: {other}"),
                "the clock follows the load, so that short work may run slower than long work",
                "cpupower frequency-set -g performance, for as long as you measure",
            ),
        }
    }

    fn open_files(&self) -> Finding {
        /// The tour's largest cells hold about 900 connections in the server.
        const ENOUGH: u64 = 2048;
        let Some(limit) = self.machine.limits.open_files else {
            return good("open files: no limit".to_owned());
        };
        let what = format!("open files: at most {limit} (ulimit -n)");
        if limit >= ENOUGH {
            return good(what);
        }
        let means = "every connection of an http workload is a file, at both of its ends";
        warning(what, means, "ulimit -n 4096 in this shell")
    }

    /// Threads count as processes: `thread-per-task` has as many as there are tasks.
    fn processes(&self) -> Option<Finding> {
        const ENOUGH: u64 = 2048;
        let limit = self.machine.limits.processes?;
        let what = format!("processes and threads of this user: at most {limit} (ulimit -u)");
        if limit >= ENOUGH {
            return Some(good(what));
        }
        let means = "a thread per task, a blocking pool or worker processes may fail to start";
        Some(warning(what, means, "ulimit -u 4096 in this shell, or fewer tasks and workers"))
    }

    fn address_space(&self) -> Option<Finding> {
        const ENOUGH: u64 = 8 << 30;
        let limit = self.machine.limits.address_space_bytes?;
        let what = format!(
            "address space: at most {:.1} GiB a process (ulimit -v)",
            limit as f64 / (1_u64 << 30) as f64
        );
        if limit >= ENOUGH {
            return Some(good(what));
        }
        let means = "every thread reserves a stack of 2 MiB or more, so many threads may fail to start";
        Some(warning(what, means, "ulimit -v unlimited in this shell"))
    }

    /// Whether the program was put to the test here.
    fn calibration(&self) -> Finding {
        let means = "how often verdicts are right here was not measured, and reports say so";
        match self.calibrated {
            Calibrated::Never => {
                note("not calibrated on this machine".to_owned(), means, "crossover calibrate (five minutes)")
            }
            Calibrated::Elsewhere => note(
                "the calibration on file is another machine's or another kernel's".to_owned(),
                means,
                "crossover calibrate (five minutes)",
            ),
            Calibrated::Failed => warning(
                "the calibration of this machine has rows that fail".to_owned(),
                "verdicts as close as what failed are not to be trusted",
                "crossover calibrate again when the machine is quiet",
            ),
            Calibrated::Short => note(
                "calibrated: every row passed on this machine, in a short calibration".to_owned(),
                "fewer comparisons say less, and crossover compare may have to assume what differs between runs",
                "crossover calibrate (five minutes)",
            ),
            Calibrated::Passed => good("calibrated: every row passed on this machine".to_owned()),
        }
    }

    fn clock(&self) -> Finding {
        let resolution = self.machine.timer_resolution_ns;
        let what = format!("the clock's smallest step is {resolution} ns");
        if resolution <= 1000 {
            return good(what);
        }
        let means = "a sample must last 1000 times as long, so that each holds many runs of the work";
        note(what, means, "the clock source tsc is finer, where the machine has it")
    }

    fn build(&self) -> Finding {
        if self.optimised {
            return good("this program was built with optimisation".to_owned());
        }
        let means = "an unoptimised runtime loses against libraries that are optimised";
        warning("this program was built without optimisation".to_owned(), means, "cargo run --release")
    }
}

fn good(what: String) -> Finding {
    Finding { level: Level::Good, what, means: "", advice: "" }
}

fn note(what: String, means: &'static str, advice: &'static str) -> Finding {
    Finding { level: Level::Note, what, means, advice }
}

fn warning(what: String, means: &'static str, advice: &'static str) -> Finding {
    Finding { level: Level::Warning, what, means, advice }
}

/// The findings as text.
#[must_use]
pub fn render(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let mark = match finding.level {
            Level::Good => "ok     ",
            Level::Note => "note   ",
            Level::Warning => "warning",
        };
        let _ = writeln!(out, "{mark}  {}", finding.what);
        for (label, text) in [("means", finding.means), ("do", finding.advice)] {
            if !text.is_empty() {
                let _ = writeln!(out, "           {label}: {}", text::wrap(text, 90, 13));
            }
        }
    }
    let warnings = findings.iter().filter(|finding| finding.level == Level::Warning).count();
    out += &match warnings {
        0 => "\nnothing stands against measuring here; nothing was changed\n".to_owned(),
        1 => "\n1 thing to look at before you trust a measurement; nothing was changed\n".to_owned(),
        n => format!("\n{n} things to look at before you trust a measurement; nothing was changed\n"),
    };
    out
}

/// Work of two threads at once, in units of one alone: the median of three tries, because a short disturbance can
/// flatter as well as harm.
fn capacity_of_two() -> f64 {
    let mut tries: Vec<f64> = (0..3).map(|_| spinning(2) / spinning(1).max(1.0)).collect();
    tries.sort_by(f64::total_cmp);
    tries[1]
}

/// Steps that `threads` threads make together while each spins for [`SPIN`].
fn spinning(threads: usize) -> f64 {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let spinners: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    spin_for(SPIN)
                })
            })
            .collect();
        spinners.into_iter().map(|spinner| spinner.join().unwrap_or(0.0)).sum()
    })
}

/// Thousands of steps of an integer chain that fit into `length`.
fn spin_for(length: Duration) -> f64 {
    let end = Instant::now() + length;
    let mut state = 1_u64;
    let mut thousands = 0_u64;
    while Instant::now() < end {
        for _ in 0..1000 {
            state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        thousands += 1;
    }
    thousands as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::environment::Limits;

    fn healthy() -> Examination {
        let machine = Machine {
            cpu: Some("a CPU".to_owned()),
            cores_online: 2,
            cores_usable: 2,
            threads_per_core: Some(1),
            virtual_machine: false,
            governor: Some("performance".to_owned()),
            memory_kib: Some(1 << 22),
            cgroup_quota_cores: None,
            load_average: Some([0.0; 3]),
            limits: Limits { open_files: Some(20_000), processes: None, address_space_bytes: None },
            timer_resolution_ns: 30,
        };
        let calibrated = Calibrated::Passed;
        Examination { machine, load: Load::default(), two_threads: 1.97, optimised: true, calibrated }
    }

    fn warnings(examination: &Examination) -> Vec<String> {
        let findings = examination.findings();
        findings.iter().filter(|f| f.level == Level::Warning).map(|f| f.what.clone()).collect()
    }

    #[test]
    fn a_healthy_machine_has_no_findings() {
        let findings = healthy().findings();
        assert!(findings.iter().all(|finding| finding.level == Level::Good), "{findings:?}");
        assert!(render(&findings).contains("nothing stands against"));
    }

    /// A change to a healthy machine, and what the warning must name.
    type Case = (fn(&mut Examination), &'static str);

    #[test]
    fn each_disturbance_is_named_with_its_remedy() {
        let cases: [Case; 10] = [
            (|e| e.machine.cores_usable = 1, "1 of 2 cores"),
            (|e| e.two_threads = 1.1, "1.10 times"),
            (|e| e.load.foreign_cores = 0.8, "0.80 cores"),
            (|e| e.load.steal_share = 0.05, "5.0 %"),
            (|e| e.machine.cgroup_quota_cores = Some(1.5), "1.50 cores"),
            (|e| e.machine.limits.open_files = Some(256), "256"),
            (|e| e.optimised = false, "without optimisation"),
            (|e| e.machine.limits.processes = Some(100), "at most 100"),
            (|e| e.machine.limits.address_space_bytes = Some(1 << 30), "1.0 GiB"),
            (|e| e.calibrated = Calibrated::Failed, "rows that fail"),
        ];
        for (change, named) in cases {
            let mut examination = healthy();
            change(&mut examination);
            let warned = warnings(&examination);
            assert_eq!(warned.len(), 1, "{named}: {warned:?}");
            assert!(warned[0].contains(named), "{warned:?}");
            let shown = render(&examination.findings());
            assert!(
                shown.contains("means:") && shown.contains("do:") && shown.contains("1 thing to look at"),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_calibration_counts_on_its_own_machine_only() {
        let here = json!({"cpu": "a", "cores": 2, "kernel": "6.1"});
        let file = |machine: &Value, passed: bool| json!({"machine": machine, "rows": [{"passed": passed}]});
        let of = |file: &Value| Calibrated::of(Some(file), &here);
        assert_eq!(Calibrated::of(None, &here), Calibrated::Never);
        assert_eq!(of(&file(&json!({"cpu": "b"}), true)), Calibrated::Elsewhere);
        assert_eq!(of(&file(&here, false)), Calibrated::Failed);
        assert_eq!(of(&file(&here, true)), Calibrated::Passed);
        let quick = |passed: bool| json!({"machine": here, "quick": true, "rows": [{"passed": passed}]});
        assert_eq!((of(&quick(true)), of(&quick(false))), (Calibrated::Short, Calibrated::Failed));
        assert_eq!(of(&json!({"machine": here, "rows": []})), Calibrated::Failed);
    }

    #[test]
    fn a_system_that_tells_nothing_is_no_error() {
        let mut examination = healthy();
        examination.machine.cpu = None;
        examination.machine.governor = None;
        examination.machine.load_average = None;
        examination.machine.limits.open_files = None;
        assert!(warnings(&examination).is_empty());
    }

    #[test]
    fn the_capacity_of_two_threads_is_measured() {
        // About 1 on one core and 2 on two; a busy machine may show nearly anything, but neither nothing nor wonders.
        let capacity = capacity_of_two();
        assert!(capacity > 0.2 && capacity < 20.0, "{capacity}");
    }
}
