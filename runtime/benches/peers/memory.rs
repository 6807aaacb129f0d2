//! A million sleeping tasks: memory and CPU time per task.
//!
//! Each sample is a fresh child process, a copy of this program, so that the allocator starts empty. Memory is the growth of
//! the resident set from the started runtime to the moment when all tasks sleep; CPU time runs from there to their end:
//! spawning, sleeping, waking up.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::contestants::{Ours, SmolIo, Spawn, Tokio, Who};
use crate::harness::{Case, Countdown, Entry, Setup, Trial, Unit, nanoseconds};
use crate::machine::{cpu_time, resident};
use crate::timers::Timers;

const TASKS: usize = 1_000_000;
/// Tasks in a quick run.
const TASKS_QUICK: usize = 200_000;
/// The first argument of a child, followed by a contestant's name, the tasks and the workers.
pub const CHILD: &str = "--child-sleepers";

pub fn cases() -> Vec<Case> {
    let rows = vec![("sleepers_1m_memory", Unit::Bytes), ("sleepers_1m_cpu", Unit::CpuNanoseconds)];
    let entry = |who| Entry::new(who, move |setup| sleepers(setup, who));
    vec![Case::of_rows(rows, [Who::Ours, Who::Tokio, Who::Smol].map(entry).into()).at_most(3)]
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
    rt.block_on(rt.spawn(R::sleep(Duration::from_millis(1))));
    let (bytes, cpu) = (resident(), cpu_time());
    // Long enough for all to be spawned, or nothing is said about a million at once.
    let wake_up = Instant::now() + Duration::from_millis(500) + Duration::from_nanos(3_000) * tasks as u32;
    let (countdown, over) = Countdown::new();
    countdown.set(tasks);
    // Relaxed: a count without data behind it.
    let asleep = Arc::new(AtomicUsize::new(0));
    let (inside, sleepers) = (rt.inside(), Arc::clone(&asleep));
    let spawner = rt.spawn(async move {
        for _ in 0..tasks {
            let (countdown, sleepers) = (countdown.clone(), Arc::clone(&sleepers));
            inside.detach(async move {
                let nap = wake_up.saturating_duration_since(Instant::now());
                sleepers.fetch_add(1, Relaxed);
                R::sleep(nap).await;
                countdown.count();
            });
        }
    });
    while asleep.load(Relaxed) < tasks {
        thread::sleep(Duration::from_millis(5));
    }
    // The last few are about to.
    thread::sleep(Duration::from_millis(20));
    let bytes = resident().saturating_sub(bytes);
    assert!(
        Instant::now() < wake_up,
        "it took too long to spawn them: some were up before the last one slept"
    );
    over.recv().expect("the last sleeper says so");
    rt.block_on(spawner);
    (bytes, cpu_time() - cpu)
}
