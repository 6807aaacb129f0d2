//! What the operating system is asked: one CPU, kills, what a process has and whether it lives.

use std::fs;
use std::hint::black_box;
use std::process::{Command, Stdio};

use nix::sched::{CpuSet, sched_setaffinity};
use rustix::process::{Pid, Signal, kill_process};

use crate::args::Args;
use crate::harness::Measured;

/// Holds this process, and all that it starts from now on, on its first CPU.
pub fn pin_to_one_cpu() -> Result<(), String> {
    let mut cpus = CpuSet::new();
    let own = nix::unistd::Pid::from_raw(0);
    let allowed = nix::sched::sched_getaffinity(own).map_err(|error| error.to_string())?;
    let first = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu) == Ok(true)).unwrap_or(0);
    cpus.set(first).and_then(|()| sched_setaffinity(own, &cpus)).map_err(|error| format!("one CPU: {error}"))
}

/// The rows on one CPU, measured by a copy of this program.
pub fn on_one_cpu(args: &Args) -> Result<Vec<Measured>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    let output = command.args(args.for_one_cpu()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("this program on one CPU: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| format!("on one CPU ({}): {error}", output.status))
}

/// SIGKILL.
pub fn kill(pid: u32) -> Result<(), String> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("no such process")?;
    kill_process(pid, Signal::KILL).map_err(|error| error.to_string())
}

/// The field of `smaps_rollup` that counts what the process alone has written to.
pub fn private_dirty(pid: u32) -> Result<f64, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).map_err(|error| error.to_string())?;
    let field = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kib: Option<f64> = field.and_then(|field| field.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.map(|kib| kib * 1024.0).ok_or_else(|| "no Private_Dirty in smaps_rollup".to_owned())
}

/// Whether the process runs: it is there, and not a zombie.
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Memory in use: every page of it was written to.
pub fn fill_memory(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0; bytes];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    black_box(memory)
}

/// Bytes that are easy to sum and not all equal.
pub fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

/// The sum, as the jobs compute it: in blocks, so that the compiler uses vector instructions.
pub fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(4096).map(|chunk| u64::from(chunk.iter().map(|&byte| u32::from(byte)).sum::<u32>())).sum()
}
