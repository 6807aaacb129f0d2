//! Claims about CPU work under each strategy: the suite's own strategies run the suite's own kernels, in turn with
//! the plain loop.
use crossover_workloads::{Spec, Value, Workload};

use super::{Found, Outcome, Setup, Trouble, found, median, seconds, spec};
use crate::strategy::{self, Job, Strategy};

/// How often the plain loop and a strategy run in turn within a repeat of the full size; once in the quick pass.
const TURNS: usize = 3;

/// Jobs of a kernel in one run.
const JOBS: u32 = 8;

/// A kernel: what it is called among the workloads, and its figures.
struct Kernel {
    name: &'static str,
    /// Bytes of input per job, so that a job takes some ten milliseconds.
    bytes: i64,
    threads: &'static str,
    processes: &'static str,
    event_loop: &'static str,
}

impl Kernel {
    const fn new(name: &'static str, bytes: i64, figures: [&'static str; 3]) -> Self {
        let [threads, processes, event_loop] = figures;
        Self { name, bytes, threads, processes, event_loop }
    }
}

/// The kernels that are compared. Those that a build has not got are left out, and named.
const KERNELS: [Kernel; 6] = [
    // Arithmetic in registers: what Python's loop over primes is.
    Kernel::new(STEPS, 0, ["steps_threads", "steps_processes", "steps_async"]),
    Kernel::new("sha256", 32 << 20, ["sha256_threads", "sha256_processes", "sha256_async"]),
    Kernel::new(IMAGE, 8 << 20, ["image_threads", "image_processes", "image_async"]),
    Kernel::new("json", 1 << 20, ["json_threads", "json_processes", "json_async"]),
    Kernel::new("mlp", 1 << 20, ["mlp_threads", "mlp_processes", "mlp_async"]),
    Kernel::new("sort", 8 << 20, ["sort_threads", "sort_processes", "sort_async"]),
];

/// The kernel that is a kind of its own.
const STEPS: &str = "steps";

/// An image that is shrunk and written as a JPEG.
const IMAGE: &str = "thumbnail";

impl Kernel {
    /// Its work, if this build has it.
    fn spec(&self, setup: &Setup) -> Option<Spec> {
        let spec = if self.name == STEPS {
            spec("mixed", &[("cpu_us", Value::Int(20_000)), ("wait_us", Value::Int(0))], JOBS, setup)
        } else {
            let kernel = Value::Text(self.name.to_owned());
            spec("cpu", &[("kernel", kernel), ("input_bytes", Value::Int(self.bytes))], JOBS, setup)
        };
        spec.ok().filter(|spec| Workload::prepare(spec).is_ok())
    }
}

fn kernel(name: &str, setup: &Setup) -> Result<Spec, Trouble> {
    let kernel = KERNELS.iter().find(|kernel| kernel.name == name);
    kernel
        .and_then(|kernel| kernel.spec(setup))
        .ok_or_else(|| Trouble::Skipped(format!("this build has no kernel `{name}`")))
}

/// The plain loop, and one strategy beside it.
struct Pair {
    plain: Box<dyn Strategy>,
    other: Box<dyn Strategy>,
    job: Job,
}

impl Pair {
    fn start(name: &str, spec: Spec, setup: &Setup) -> Result<Self, Trouble> {
        let workers = u32::try_from(setup.cores).unwrap_or(1);
        let (plain, other) = (strategy::start(strategy::SEQUENTIAL, 1)?, strategy::start(name, workers)?);
        let mut pair = Self { plain, other, job: Job::prepare(spec)? };
        // Once for nothing: worker processes prepare their inputs at their first job.
        pair.turn()?;
        Ok(pair)
    }

    /// The plain loop's time over the strategy's. Both must return the same checksum.
    fn turn(&mut self) -> Result<f64, Trouble> {
        let (plain, expected) = seconds(|| self.plain.run(&self.job));
        let (other, checksum) = seconds(|| self.other.run(&self.job));
        if expected? != checksum? {
            return Err(Trouble::Failed("the checksums differ".to_owned()));
        }
        Ok(plain / other)
    }
}

/// The middle of the turns.
fn speedup(name: &str, spec: &Spec, setup: &Setup) -> Result<f64, Trouble> {
    let mut pair = Pair::start(name, spec.clone(), setup)?;
    let count = if setup.full { TURNS } else { 1 };
    let mut turns = (0..count).map(|_| pair.turn()).collect::<Result<Vec<_>, _>>()?;
    Ok(median(&mut turns))
}

/// 16, 59: the kernels as tasks of one event loop: each speed-up, and the middle of them.
pub(crate) fn in_async(setup: &Setup) -> Outcome {
    let mut out = Found::default();
    let mut all = Vec::new();
    for kernel in &KERNELS {
        let Some(spec) = kernel.spec(setup) else { continue };
        let times = speedup("event-loop", &spec, setup)?;
        all.push(times);
        out = out.and(kernel.event_loop, times);
    }
    Ok(out.and("async_speedup", median(&mut all)))
}

/// The speed-up of arithmetic (a fractal, in plain code) on a thread per core, where a lock of the whole process is held for `share` of
/// it: at 1 it is Python's global lock, at 0 there is none.
fn locked(share: f64, setup: &Setup) -> Result<f64, Trouble> {
    let kernel = Value::Text("mandelbrot".to_owned());
    let params =
        [("kernel", kernel), ("input_bytes", Value::Int(1 << 17)), ("lock_fraction", Value::Float(share))];
    speedup("threads", &spec("cpu", &params, JOBS, setup)?, setup)
}

/// 17: arithmetic on a thread per core, behind a lock that is held all the time, and without one.
pub(crate) fn threads_under_lock(setup: &Setup) -> Outcome {
    Ok(found("threads_speedup", locked(1.0, setup)?).and("unlocked_speedup", locked(0.0, setup)?))
}

/// 18: arithmetic in the process pool.
pub(crate) fn processes(setup: &Setup) -> Outcome {
    Ok(found("processes_speedup", speedup("processes", &kernel(STEPS, setup)?, setup)?))
}

/// 36: arithmetic on threads behind the global lock, without it, and in processes.
pub(crate) fn threads_or_processes(setup: &Setup) -> Outcome {
    let out = threads_under_lock(setup)?;
    Ok(out.and("processes_speedup", speedup("processes", &kernel(STEPS, setup)?, setup)?))
}

/// 60: a kernel that holds no lock, as a native extension that lets go of it.
pub(crate) fn extension(setup: &Setup) -> Outcome {
    Ok(found("threads_speedup", speedup("threads", &kernel("sha256", setup)?, setup)?))
}

fn both(name: &str, setup: &Setup) -> Outcome {
    let spec = kernel(name, setup)?;
    let threads = speedup("threads", &spec, setup)?;
    Ok(found("threads_speedup", threads).and("processes_speedup", speedup("processes", &spec, setup)?))
}

/// 64: images on threads and in processes.
pub(crate) fn images(setup: &Setup) -> Outcome {
    both(IMAGE, setup)
}

/// 78: a small neural network on threads and in processes.
pub(crate) fn inference(setup: &Setup) -> Outcome {
    both("mlp", setup)
}

/// kernels: every kernel on threads and in processes; and how a lock held for part of the time shows.
pub(crate) fn all(setup: &Setup) -> Outcome {
    let mut out = Found::default();
    let mut missing = Vec::new();
    for kernel in &KERNELS {
        let Some(spec) = kernel.spec(setup) else {
            missing.push(kernel.name);
            continue;
        };
        out = out
            .and(kernel.threads, speedup("threads", &spec, setup)?)
            .and(kernel.processes, speedup("processes", &spec, setup)?);
    }
    for (name, share) in [("lock_0", 0.0), ("lock_50", 0.5), ("lock_75", 0.75), ("lock_100", 1.0)] {
        out = out.and(name, locked(share, setup)?);
    }
    Ok(if missing.is_empty() { out } else { out.note(format!("this build has no {}", missing.join(", "))) })
}

/// gil-free: arithmetic on a thread per core, without a lock and behind one.
pub(crate) fn gil_free(setup: &Setup) -> Outcome {
    let (free, behind) = (locked(0.0, setup)?, locked(1.0, setup)?);
    Ok(found("threads_speedup", free)
        .and("per_thread", free / setup.cores as f64)
        .and("locked_speedup", behind))
}
