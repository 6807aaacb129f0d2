//! The load of the whole machine over a block: how much of it was ours, and how much was not.
//!
//! foreign cores = (time in which CPUs were busy − CPU time of our own process tree) / wall time.
//!
//! The private database of `scripts/postgres.sh`, which tells its process by `CROSSOVER_POSTGRES_PID`, is no child of ours and is ours
//! all the same, as the test server is.
//!
//! `/proc/stat` tells the busy time in two ways, and each errs on its own side. The sum of the busy columns is
//! sampled by the tick and misses short bursts; what remains beside the idle columns also holds the cost of
//! waking an idle CPU, up to a tenth of a core at ten thousand wake-ups a second. Foreign work that matters runs
//! long enough to be seen by both, so the smaller estimate counts. Both stand in ticks of 10 ms, which is why a
//! window is never shorter than [`WINDOW_MIN`].
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::process::{own_tree_cpu_ns, ticks_ns, tree_cpu_ns};

/// The variable that names the process of the database.
const DATABASE_VARIABLE: &str = "CROSSOVER_POSTGRES_PID";

/// A shorter block is followed by a pause that fills its window: one tick of 10 ms is then 0.04 cores.
const WINDOW_MIN: Duration = Duration::from_millis(250);

/// An open measurement of the machine's load.
#[derive(Debug)]
pub struct LoadWindow {
    start: Instant,
    cpu: Option<CpuTicks>,
    own_ns: u64,
    waiting_us: Option<u64>,
}

/// The machine's load over a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Cores that were busy with work that is not ours; 0 where `/proc/stat` cannot be read.
    pub foreign_cores: f64,
    /// Ticks that the hypervisor took from all CPUs together.
    pub steal_ticks: u64,
    /// `steal_ticks` as a share of the CPUs' time.
    pub steal_share: f64,
    /// Share of the window in which some task waited for a CPU, in percent; `None` without PSI.
    pub psi_cpu: Option<f64>,
}

impl LoadWindow {
    /// Opens a window.
    #[must_use]
    pub fn open() -> Self {
        Self {
            start: Instant::now(),
            cpu: CpuTicks::read(),
            own_ns: ours_ns(),
            waiting_us: pressure_total_us(),
        }
    }

    /// Closes the window, after a pause when it is shorter than 250 ms.
    #[must_use]
    pub fn close(self) -> Load {
        thread::sleep(WINDOW_MIN.saturating_sub(self.start.elapsed()));
        // Read in the order of `open`, so that the three intervals are equally long.
        let wall = self.start.elapsed();
        let cpu = CpuTicks::read();
        let own_ns = ours_ns().saturating_sub(self.own_ns);
        let waited_us = pressure_total_us().zip(self.waiting_us).map(|(now, then)| now.saturating_sub(then));
        let mut load = match (self.cpu, cpu) {
            (Some(before), Some(after)) => after.load_since(before, wall, own_ns),
            _ => Load::default(),
        };
        load.psi_cpu = waited_us.map(|us| (us as f64 / wall.as_micros().max(1) as f64 * 100.0).min(100.0));
        load
    }
}

impl Load {
    /// Why samples of this window do not count, if so.
    #[must_use]
    pub fn contamination(&self, max_foreign_cores: f64) -> Option<String> {
        if self.foreign_cores > max_foreign_cores {
            return Some(format!(
                "foreign load of {:.2} cores, more than {max_foreign_cores}",
                self.foreign_cores
            ));
        }
        // A single tick in a short window is within what the counter can tell.
        if self.steal_share > 0.01 && self.steal_ticks > 1 {
            return Some(format!("the hypervisor took {:.1} % of the CPUs' time", self.steal_share * 100.0));
        }
        None
    }
}

/// CPU time of what belongs to the measurement.
fn ours_ns() -> u64 {
    let database = std::env::var(DATABASE_VARIABLE).ok().and_then(|pid| pid.parse().ok());
    own_tree_cpu_ns() + database.map_or(0, tree_cpu_ns)
}

/// Ticks of all CPUs together since boot.
#[derive(Clone, Copy, Debug, Default)]
struct CpuTicks {
    busy: u64,
    idle: u64,
    steal: u64,
    cpus: u64,
}

impl CpuTicks {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// `cpu user nice system idle iowait irq softirq steal guest guest_nice`; user and nice hold the guests.
    fn parse(text: &str) -> Option<Self> {
        let all = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = all.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
        let cpus = text.lines().skip(1).take_while(|line| line.starts_with("cpu")).count() as u64;
        let busy = at(0) + at(1) + at(2) + at(5) + at(6);
        (ticks.len() >= 4).then_some(Self { busy, idle: at(3) + at(4), steal: at(7), cpus: cpus.max(1) })
    }

    fn load_since(self, before: Self, wall: Duration, own_ns: u64) -> Load {
        let seconds = |ticks: u64| ticks_ns(ticks) as f64 / 1e9;
        let wall = wall.as_secs_f64().max(1e-9);
        let steal_ticks = self.steal.saturating_sub(before.steal);
        let sampled = seconds(self.busy.saturating_sub(before.busy));
        let all = self.cpus as f64 * wall - seconds(steal_ticks);
        let not_idle = all - seconds(self.idle.saturating_sub(before.idle));
        let foreign = sampled.min(not_idle) - own_ns as f64 / 1e9;
        Load {
            foreign_cores: (foreign / wall).max(0.0),
            steal_ticks,
            steal_share: seconds(steal_ticks) / (self.cpus as f64 * wall),
            psi_cpu: None,
        }
    }
}

/// Microseconds in which some task waited for a CPU, since boot.
fn pressure_total_us() -> Option<u64> {
    let text = fs::read_to_string("/proc/pressure/cpu").ok()?;
    text.lines().find(|line| line.starts_with("some"))?.rsplit_once("total=")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_load_is_what_is_busy_and_not_ours() {
        let before = CpuTicks::parse("cpu 0 0 0 0 0 0 0 0 0 0\ncpu0 0\ncpu1 0\nintr 5\n").unwrap();
        let after = CpuTicks::parse("cpu 90 0 40 60 5 0 0 5 0 0\ncpu0 0\ncpu1 0\nintr 5\n").unwrap();
        assert_eq!(after.cpus, 2);
        let load = after.load_since(before, Duration::from_secs(1), 800_000_000);
        assert!((load.foreign_cores - 0.5).abs() < 1e-9, "{load:?}");
        assert_eq!(load.steal_ticks, 5);
        assert!(load.contamination(0.15).unwrap().contains("0.50 cores"));
        assert!(load.contamination(0.6).unwrap().contains("hypervisor took 2.5 %"));
        let more_than_busy = after.load_since(before, Duration::from_secs(1), 5_000_000_000);
        assert_eq!(more_than_busy.foreign_cores, 0.0);
    }

    #[test]
    fn a_short_window_is_filled_up() {
        let start = Instant::now();
        let load = LoadWindow::open().close();
        assert!(start.elapsed() >= WINDOW_MIN);
        assert!(load.foreign_cores.is_finite() && load.foreign_cores >= 0.0, "{load:?}");
    }
}
