//! Programs whose `main` fails the pool: it does not call `worker_entry`, crashes before it, or never gets there. They
//! must see a clear error, in bounded time and with a bounded number of processes.
//!
//! This program is each of these programs in turn: started by itself with `BEHAVIOUR` set, it plays the user's
//! program; its workers inherit the variable. Its `main` never calls `worker_entry`, on purpose: only a worker of the
//! program that recovers does, once it is allowed to.

use crossover_runtime::process_pool::{CallError, ProcessPool, job, worker_entry};
use futures::{executor::block_on, future::join_all};
use std::{
    env, fs,
    path::PathBuf,
    process::{self, Command},
    thread,
    time::{Duration, Instant},
};

/// The variable that names the file whose existence makes the workers of the program that recovers crash.
const OBSTACLE: &str = "CROSSOVER_TEST_OBSTACLE";

/// The variable that chooses what the program does.
const BEHAVIOUR: &str = "CROSSOVER_TEST_BEHAVIOUR";

/// Nothing here may take longer.
const WATCHDOG: Duration = Duration::from_secs(120);

#[job]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn main() {
    match env::var(BEHAVIOUR) {
        Ok(behaviour) => user_program(&behaviour),
        Err(_) => process::exit(run_tests()),
    }
}

/// The user's program, in the parent and in the workers alike: as no hook is called, both start here.
fn user_program(behaviour: &str) {
    // Only the test may look at this; to the program a worker is no different.
    let is_worker = env::var_os("CROSSOVER_WORKER").is_some();
    match behaviour {
        "forgets" => {}
        "crashes" if is_worker => {
            eprintln!("no licence found");
            process::exit(3);
        }
        "wedges" if is_worker => loop {
            thread::park();
        },
        "recovers" if is_worker && obstacle().exists() => process::exit(4),
        "recovers" => {
            worker_entry();
            return recovers();
        }
        _ => {}
    }
    println!("started");
    let pool = ProcessPool::builder()
        .workers(2)
        .startup_timeout(Duration::from_millis(if behaviour == "wedges" { 50 } else { 30_000 }))
        .build()
        .expect("a pool");
    let (first, second) = (pool.call(add, (1, 2)), pool.call(add, (3, 4)));
    println!("first: {}", block_on(first).expect_err("no worker can start"));
    println!("second: {}", block_on(second).expect_err("no worker can start"));
    // The breaker is open: refused at once, nothing is started for it.
    let spawned = pool.metrics().spawned;
    let refused = block_on(pool.call(add, (5, 6))).expect_err("no worker can start");
    println!("third: {} {refused}", matches!(refused, CallError::Rejected(_)) && refused.is_breaker_open());
    println!("spawned: {spawned} {}", pool.metrics().spawned);
    println!("warm-up: {}", block_on(pool.warm_up()).expect_err("no worker can start"));
}

fn obstacle() -> PathBuf {
    env::var_os(OBSTACLE).expect("the test names a file").into()
}

/// A program whose workers crash for a while: it goes on calling, as a server does.
fn recovers() {
    let pool = ProcessPool::builder().workers(2).build().expect("a pool");
    let first = block_on(pool.call(add, (1, 2))).expect_err("no worker can start");
    println!("first: {first}");
    for obstacle_stays in [true, false] {
        let spawned = pool.metrics().spawned;
        if !obstacle_stays {
            fs::remove_file(obstacle()).expect("the obstacle goes");
        }
        let refusals_began = Instant::now();
        let answer = loop {
            // Two at a time: a second worker would be welcome.
            let calls = [pool.call(add, (1, 2)), pool.call(add, (1, 2))];
            let answers = block_on(join_all(calls));
            let refused =
                |answer: &Result<_, CallError>| answer.as_ref().is_err_and(CallError::is_breaker_open);
            match answers.into_iter().find(|answer| !refused(answer)) {
                Some(answer) => break answer,
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        let (probes, pause) = (pool.metrics().spawned - spawned, refusals_began.elapsed().as_secs());
        println!("obstacle {obstacle_stays}: ok {} after {probes} probes, {pause} s", answer.is_ok());
    }
    println!("then {}", block_on(pool.call(add, (1, 2))).expect("the breaker is closed"));
}

/// Name, behaviour, what the first error must say, and the most processes that may have been started.
const TESTS: [(&str, &str, &[&str], u64); 4] = [
    // Broken by: trying for ever, or failing the queued calls without the cause.
    (
        "p13_a_crash_loop_opens_the_breaker",
        "crashes",
        &["exited with code 3", "no licence found", "worker_entry"],
        6,
    ),
    // Broken by: a breaker that never closes, or one that lets a crowd through instead of one probe.
    ("p13_an_open_breaker_sends_one_probe_at_a_time_until_one_lives", "recovers", &[], 0),
    // Broken by: waiting for a hello without an end.
    ("p14_a_wedged_start_is_killed_and_counts", "wedges", &["not ready within 50ms", "worker_entry"], 6),
    // Broken by: taking the environment's word for being a worker's parent.
    (
        "p27_a_main_without_the_hook_is_a_loud_error_and_no_fork_bomb",
        "forgets",
        &["does not call", "worker_entry"],
        2,
    ),
];

fn run_tests() -> i32 {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen: Vec<_> = TESTS
        .iter()
        .filter(|(name, ..)| {
            filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
        })
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        chosen.iter().for_each(|(name, ..)| println!("{name}: test"));
        return 0;
    }
    println!("\nrunning {} tests", chosen.len());
    let mut failed = 0;
    for (name, behaviour, expected, most) in &chosen {
        let result = match *behaviour {
            "recovers" => check_recovery(),
            behaviour => check(behaviour, expected, *most),
        };
        match result {
            Ok(()) => println!("test {name} ... ok"),
            Err(reason) => {
                println!("test {name} ... FAILED\n{reason}");
                failed += 1;
            }
        }
    }
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out\n",
        if failed == 0 { "ok" } else { "FAILED" },
        chosen.len() - failed,
        TESTS.len() - chosen.len(),
    );
    i32::from(failed > 0)
}

fn check(behaviour: &str, expected: &[&str], most: u64) -> Result<(), String> {
    let started = Instant::now();
    let output = Command::new(env::current_exe().expect("this program"))
        .env(BEHAVIOUR, behaviour)
        .output()
        .expect("the program runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let all =
        format!("{} after {:?}\n--- stdout\n{stdout}--- stderr\n{stderr}", output.status, started.elapsed());
    let require =
        |condition: bool, what: &str| if condition { Ok(()) } else { Err(format!("{what}\n{all}")) };

    require(output.status.success(), "the program failed")?;
    require(started.elapsed() < WATCHDOG, "it took too long")?;
    for text in expected {
        for call in ["first: ", "warm-up: "] {
            // An error may run over several lines.
            let error = stdout.split_once(call).map_or("", |(_, rest)| rest);
            require(error.contains(text), &format!("{call:?} does not say {text:?}"))?;
        }
    }
    require(stdout.contains("second: cannot start a worker process"), "the second call has no cause")?;
    require(stdout.contains("third: true"), "the third call was not refused by the breaker")?;
    let counts = stdout.lines().find_map(|line| line.strip_prefix("spawned: ")).unwrap_or_default();
    let counts: Vec<u64> = counts.split_whitespace().filter_map(|count| count.parse().ok()).collect();
    require(
        matches!(counts[..], [before, after] if before <= most && after == before),
        "too many processes",
    )?;
    // A worker shares the program's stdout: had one got through to the pool, it would have said so too... once
    // for each that ran `main` up to there, which only a missing hook allows.
    let runs = stdout.lines().filter(|line| *line == "started").count() as u64;
    require(runs <= 1 + counts[0], "a worker started workers")
}

fn check_recovery() -> Result<(), String> {
    let obstacle = env::temp_dir().join(format!("crossover-p13-{}", process::id()));
    fs::write(&obstacle, "").expect("a file");
    let output = Command::new(env::current_exe().expect("this program"))
        .env(BEHAVIOUR, "recovers")
        .env(OBSTACLE, &obstacle)
        .output()
        .expect("the program runs");
    // Gone already, unless the program failed.
    let _ = fs::remove_file(&obstacle);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = stdout.lines().filter(|line| !line.starts_with("first: ")).collect();
    // Once a probe lives, others may follow.
    let expected = ["obstacle true: ok false after 1 probes", "obstacle false: ok true", "then 3"];
    let fits = lines.len() == expected.len()
        && lines.iter().zip(expected).all(|(line, start)| line.starts_with(start));
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.success() && stdout.contains("exited with code 4") && fits {
        true => Ok(()),
        false => Err(format!("{}\n--- stdout\n{stdout}--- stderr\n{stderr}", output.status)),
    }
}
