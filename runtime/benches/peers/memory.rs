//! A million sleeping tasks: memory and CPU time per task.
//!
//! Each sample is a fresh child process, a copy of this program, so that the allocator starts empty. Memory is the growth of
//! the resident set from the started runtime to the moment when all tasks sleep; CPU time runs from there to their end:
//! spawning, sleeping, waking up.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::contestants::{Ours, SmolIo, Spawn, Tokio, Who};
use crate::harness::{Case, Entry, Setup, Trial, Unit, nanoseconds};
use crate::machine::{cpu_time, resident};
use crate::timers::Timers;

const TASKS: usize = 1_000_000;
/// Tasks in a quick run.
const TASKS_QUICK: usize = 200_000;
/// The first argument of a child, followed by a contestant's name, the tasks and the workers.
pub const CHILD: &str = "--child-sleepers";

// In statics, for a task to hold nothing of its own. Relaxed: counts without data behind them.
static WAKE_UP: OnceLock<Instant> = OnceLock::new();
static ASLEEP: AtomicUsize = AtomicUsize::new(0);
static AWAKE: AtomicUsize = AtomicUsize::new(0);

pub fn cases() -> Vec<Case> {
    let rows = vec![("sleepers_1m_memory", Unit::Bytes), ("sleepers_1m_cpu", Unit::CpuNanoseconds)];
    let entry = |who| Entry::new(who, move |setup| sleepers(setup, who));
    vec![
        Case::of_rows(rows, [Who::Ours, Who::Tokio, Who::Smol].map(entry).into())
            .in_fresh_processes()
            .at_most(3),
    ]
}

fn sleepers(setup: &Setup, who: Who) -> Trial {
    let (tasks, workers) = (setup.size(if setup.quick { TASKS_QUICK } else { TASKS }), setup.workers);
    Trial::counted(tasks, move || {
        let program = std::env::current_exe().expect("the program knows itself");
        let arguments = [CHILD, who.name(), &tasks.to_string(), &workers.to_string()];
        let output = Command::new(program).args(arguments).output().expect("a child starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the child of {} failed: {errors}", who.name());
        let answer = String::from_utf8_lossy(&output.stdout);
        let figures: Vec<f64> = answer.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
        assert_eq!(figures.len(), 2, "the child of {} answers `{answer}`", who.name());
        figures
    })
}

/// The child: prints bytes and CPU nanoseconds of all tasks.
pub fn child(arguments: &[String]) {
    let number =
        |index: usize| arguments.get(index).and_then(|n| n.parse().ok()).expect("the parent says how many");
    let (tasks, workers) = (number(1), number(2));
    let (bytes, cpu) = match arguments[0].as_str() {
        "tokio" => sleep_all::<Tokio>(tasks, workers),
        "smol" => sleep_all::<SmolIo>(tasks, workers),
        _ => sleep_all::<Ours>(tasks, workers),
    };
    println!("{bytes} {}", nanoseconds(cpu));
}

/// What `tasks` sleepers take: bytes, CPU time.
fn sleep_all<R: Timers>(tasks: usize, workers: usize) -> (usize, Duration) {
    let rt = R::start(workers);
    rt.block_on(rt.spawn(async { R::sleep(Duration::from_millis(1)).await }));
    let (bytes, cpu) = (resident(), cpu_time());
    // Long enough for all to be spawned, or nothing is said about a million at once.
    let wake_up = Instant::now() + Duration::from_millis(500) + Duration::from_nanos(3_000) * tasks as u32;
    WAKE_UP.set(wake_up).expect("a child sleeps once");
    let inside = rt.inside();
    let spawner = rt.spawn(async move {
        for _ in 0..tasks {
            inside.detach(sleeper::<R>());
        }
    });
    wait_for(&ASLEEP, tasks);
    let bytes = resident().saturating_sub(bytes);
    assert!(
        Instant::now() < wake_up,
        "it took too long to spawn them: some were up before the last one slept"
    );
    wait_for(&AWAKE, tasks);
    rt.block_on(spawner);
    (bytes, cpu_time() - cpu)
}

/// A task with nothing in it but its sleep: what leads to it is not kept across the wait.
async fn sleeper<R: Timers>() {
    R::sleep(fall_asleep()).await;
    AWAKE.fetch_add(1, Relaxed);
}

/// Counts the task as asleep; returns for how long.
fn fall_asleep() -> Duration {
    let wake_up = *WAKE_UP.get().expect("set before the tasks are spawned");
    ASLEEP.fetch_add(1, Relaxed);
    wake_up.saturating_duration_since(Instant::now())
}

/// Waits until all tasks have been counted, and a little longer: the last ones are about to do what they are counted for.
fn wait_for(counter: &AtomicUsize, tasks: usize) {
    while counter.load(Relaxed) < tasks {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(20));
}
