//! Where a run takes place: machine, kernel, limits, toolchain. What `env.json` holds, and what `doctor` judges.
//!
//! Everything here reads, and nothing fails: what this system does not tell is `None`.
use std::collections::BTreeMap;
use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Experiment;
use crate::{probe, strategy};

/// The machine and the limits that it sets.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The CPU's name.
    pub cpu: Option<String>,
    /// CPUs that are online.
    pub cores_online: usize,
    /// CPUs that this process may use: its affinity, and a control group's quota.
    pub cores_usable: usize,
    /// Hardware threads that share a core with CPU 0, itself included.
    pub threads_per_core: Option<usize>,
    /// Whether the machine is a guest of a hypervisor.
    pub virtual_machine: bool,
    /// The frequency governor of CPU 0; `None` where the system shows none.
    pub governor: Option<String>,
    /// Memory, all of it.
    pub memory_kib: Option<u64>,
    /// Cores that a control group's quota allows; `None` without one.
    pub cgroup_quota_cores: Option<f64>,
    /// Load average over 1, 5 and 15 minutes.
    pub load_average: Option<[f64; 3]>,
    /// Soft limits of this process.
    pub limits: Limits,
    /// The smallest step of the clock.
    pub timer_resolution_ns: u64,
}

/// Soft limits of this process; `None` is "no limit".
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// File descriptors (`ulimit -n`).
    pub open_files: Option<u64>,
    /// Processes and threads of this user (`ulimit -u`).
    pub processes: Option<u64>,
    /// Address space (`ulimit -v`), in bytes.
    pub address_space_bytes: Option<u64>,
}

impl Machine {
    /// Reads this machine.
    #[must_use]
    pub fn read() -> Self {
        let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
        let first = |key: &str| field(&cpuinfo, key).map(str::to_owned);
        Self {
            cpu: first("model name").or_else(|| first("Model")),
            cores_online: online().max(1),
            cores_usable: num_cpus::get(),
            threads_per_core: read("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
                .map(|list| count_list(&list)),
            virtual_machine: field(&cpuinfo, "flags")
                .is_some_and(|f| f.split(' ').any(|f| f == "hypervisor")),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .map(|g| g.trim().to_owned()),
            memory_kib: read("/proc/meminfo").as_deref().and_then(|m| field(m, "MemTotal")).and_then(kib),
            cgroup_quota_cores: cgroup_quota(),
            load_average: read("/proc/loadavg").as_deref().and_then(load_average),
            limits: Limits {
                open_files: limit(Resource::RLIMIT_NOFILE),
                processes: limit(Resource::RLIMIT_NPROC),
                address_space_bytes: limit(Resource::RLIMIT_AS),
            },
            timer_resolution_ns: u64::try_from(probe::timer_resolution().as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// What `env.json` holds about this machine and the strategies of `exp`. The run adds its own id, seed and so on.
#[must_use]
pub fn describe(exp: &Experiment) -> Value {
    let mut env = machine();
    env["workers"] = json!(exp.strategies.workers);
    env["strategies"] = json!(strategies(exp));
    env["skipped"] = json!(exp.strategies.skipped);
    env
}

/// The same without an experiment: machine, system, toolchain, and when.
#[must_use]
pub fn machine() -> Value {
    let machine = serde_json::to_value(Machine::read()).unwrap_or_default();
    let crates: BTreeMap<&str, &str> =
        env!("CROSSOVER_CRATES").split(',').filter_map(|item| item.split_once(' ')).collect();
    json!({
        "schema": 1,
        "started_at": jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string(),
        "machine": machine,
        "system": {
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "kernel": read("/proc/sys/kernel/osrelease").map(|release| release.trim().to_owned()),
        },
        "toolchain": {
            "rustc": env!("CROSSOVER_RUSTC"),
            "target": env!("CROSSOVER_TARGET"),
            "profile": env!("CROSSOVER_PROFILE"),
            "opt_level": env!("CROSSOVER_OPT_LEVEL"),
            "allocator": allocator(),
        },
        "crates": crates,
    })
}

/// Who gives memory to the strategies: this program sets no allocator of its own, so it is the C library's.
fn allocator() -> &'static str {
    if cfg!(target_env = "gnu") {
        "malloc of glibc"
    } else if cfg!(target_env = "musl") {
        "malloc of musl"
    } else {
        "malloc of the system"
    }
}

/// Name, description and limits of every strategy that takes part.
fn strategies(exp: &Experiment) -> Vec<Value> {
    let one = |name: &String| {
        let base = exp.strategies.base_of(name);
        let about = match strategy::find(base) {
            Some(info) if base == name => info.about.to_owned(),
            Some(info) => format!("{base} under another name: {}", info.about),
            None => {
                let run = exp.strategies.external.get(name).map(|external| external.run.join(" "));
                format!("a program of its own: {}", run.unwrap_or_default())
            }
        };
        match exp.strategies.limits_of(name) {
            Some(limits) => {
                let mut told = json!({
                    "name": name, "about": about,
                    "workers": limits.workers, "concurrency_cap": limits.concurrency_cap,
                });
                if let Some(jobs) = exp.strategies.jobs_per_worker_of(name) {
                    told["jobs_per_worker"] = jobs.into();
                }
                told
            }
            None => {
                let workers = exp.strategies.workers_of(name);
                json!({ "name": name, "about": about, "workers": workers, "concurrency_cap": null })
            }
        }
    };
    exp.strategies.include.iter().map(one).collect()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The value of the first line `key : value`.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
}

/// `123 kB` as a number.
fn kib(value: &str) -> Option<u64> {
    value.split_whitespace().next()?.parse().ok()
}

/// How many numbers a kernel list such as `0-3,8` holds.
fn count_list(list: &str) -> usize {
    let one = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let ends = low.parse::<usize>().ok().zip(high.parse::<usize>().ok());
        ends.map_or(0, |(low, high)| high.saturating_sub(low).saturating_add(1))
    };
    list.trim().split(',').map(one).sum()
}

fn online() -> usize {
    read("/sys/devices/system/cpu/online").map_or(0, |list| count_list(&list))
}

fn load_average(text: &str) -> Option<[f64; 3]> {
    let numbers: Vec<f64> = text.split_whitespace().take(3).filter_map(|n| n.parse().ok()).collect();
    numbers.try_into().ok()
}

fn limit(resource: Resource) -> Option<u64> {
    getrlimit(resource).ok().map(|(soft, _)| soft).filter(|soft| *soft != nix::libc::RLIM_INFINITY)
}

/// The tightest CPU quota among our control group and those above it, in cores.
fn cgroup_quota() -> Option<f64> {
    let groups = read("/proc/self/cgroup")?;
    let mut tightest: Option<f64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        for folder in ancestors(path) {
            let quota = if controllers.is_empty() {
                read(&format!("/sys/fs/cgroup{folder}/cpu.max")).as_deref().and_then(quota_v2)
            } else if controllers.split(',').any(|c| c == "cpu") {
                let file = |name: &str| read(&format!("/sys/fs/cgroup/{controllers}{folder}/{name}"));
                file("cpu.cfs_quota_us").zip(file("cpu.cfs_period_us")).and_then(|(q, p)| quota_v1(&q, &p))
            } else {
                None
            };
            tightest = quota.map_or(tightest, |q| Some(tightest.map_or(q, |t| t.min(q))));
        }
    }
    tightest
}

/// `/a/b` as `/a/b`, `/a` and the root, which is empty.
fn ancestors(path: &str) -> Vec<&str> {
    let mut path = path.trim_end_matches('/');
    let mut all = vec![path];
    while let Some((parent, _)) = path.rsplit_once('/') {
        path = parent;
        all.push(path);
    }
    all
}

/// `150000 100000` is 1.5 cores; `max 100000` is no quota.
fn quota_v2(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    quota_v1(quota, period)
}

fn quota_v1(quota: &str, period: &str) -> Option<f64> {
    let quota: f64 = quota.trim().parse().ok().filter(|q| *q > 0.0)?;
    let period: f64 = period.trim().parse().ok().filter(|p| *p > 0.0)?;
    Some(quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_texts_are_read() {
        assert_eq!(count_list("0-3,8\n"), 5);
        assert_eq!(count_list(""), 0);
        assert_eq!(field("a : b\nMemTotal:   123 kB\n", "MemTotal").and_then(kib), Some(123));
        assert_eq!(load_average("0.10 0.20 0.30 1/2 3"), Some([0.1, 0.2, 0.3]));
        assert_eq!(load_average("nonsense"), None);
        assert_eq!(quota_v2("150000 100000\n"), Some(1.5));
        assert_eq!(quota_v2("max 100000\n"), None);
        assert_eq!(quota_v1("-1\n", "100000\n"), None);
        assert_eq!(ancestors("/a/b"), ["/a/b", "/a", ""]);
        assert_eq!(ancestors("/"), [""]);
    }

    #[test]
    fn an_environment_names_every_strategy_with_its_limits() {
        let (_, text) = crossover_workloads::experiments::ALL[0];
        let exp =
            Experiment::parse(text, "x", std::path::Path::new("/")).expect("a built-in experiment loads");
        let env = describe(&exp);
        let named: Vec<_> =
            env["strategies"].as_array().expect("a list").iter().map(|s| s["name"].clone()).collect();
        assert_eq!(named, exp.strategies.include);
        assert_eq!(env["strategies"][0]["concurrency_cap"], 1);
        assert!(env["toolchain"]["rustc"].as_str().expect("a text").starts_with("rustc "));
        assert!(env["toolchain"]["allocator"].as_str().expect("a text").starts_with("malloc of "));
        assert!(env["crates"]["sha2"].is_string(), "the lock file was read: {env}");
        assert!(env["machine"]["cores_usable"].as_u64() >= Some(1));
        env["started_at"].as_str().expect("a text").parse::<jiff::Timestamp>().expect("a timestamp");
    }
}
