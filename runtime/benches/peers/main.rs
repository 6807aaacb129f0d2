//! The runtime beside its peers: ours, tokio, smol's executor, rayon and plain threads, in one process, in turns.
//!
//! `cargo bench -p crossover-runtime`; `-- --help` lists the options. `BENCHMARKS.md` says what each row does and why it is
//! measured in this way; `bars.rs` holds the goals. Without cargo's `--bench` every row is tried out once with tiny sizes.
#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "a program: nothing here is used from elsewhere"
)]
#![allow(unreachable_pub, reason = "`pub` says what a module offers to the others")]
mod args;
mod bars;
mod blocking;
mod contestants;
mod echo;
mod fork_join;
mod harness;
mod machine;
mod memory;
mod report;
mod scheduler;
mod stats;
mod timers;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use args::Args;
use harness::{Case, Measured, Setup, Shuffle, Watchdog};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == memory::CHILD) {
        memory::child(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    let args = match Args::parse(arguments.into_iter()) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}; --help lists the options");
            return ExitCode::FAILURE;
        }
    };
    if args.help {
        print!("{}", args::HELP);
        return ExitCode::SUCCESS;
    }
    machine::raise_descriptor_limit();
    let rows = run(&args);
    if rows.is_empty() {
        if !args.list {
            eprintln!("no row has such a name; --list prints them");
        }
        return ExitCode::SUCCESS;
    }
    if let Some(file) = &args.json
        && let Err(error) = std::fs::write(file, report::json(&rows))
    {
        eprintln!("cannot write {file}: {error}");
        return ExitCode::FAILURE;
    }
    if args.smoke {
        println!("{} rows work; `cargo bench -p crossover-runtime` measures them", rows.len());
    } else if args.markdown {
        print!("{}", report::markdown(&rows));
    } else {
        print!("\n{}", report::text(&rows));
    }
    ExitCode::SUCCESS
}

/// Measures, or lists, what is asked for.
fn run(args: &Args) -> Vec<Measured> {
    let (plan, watch) = (args.plan(), Watchdog::start());
    contestants::WATCHED.store(args.watched, Ordering::Relaxed);
    let mut order = Shuffle::new(args.seed);
    let mut measured = Vec::new();
    for workers in [2, 4] {
        let setup = Setup { workers, smoke: args.smoke, quick: args.quick };
        for mut case in cases() {
            let asked = case.rows.iter().any(|(row, _)| args.wants_row(row));
            if !asked || args.workers.is_some_and(|only| only != workers) || workers != 2 && !case.four {
                continue;
            }
            if args.list {
                case.rows.iter().for_each(|(row, _)| println!("{row}, {workers} workers"));
                continue;
            }
            case.entries.retain(|entry| args.wants(entry.who));
            if case.entries.is_empty() {
                continue;
            }
            if !args.smoke {
                eprintln!("{} ({workers} workers)", case.rows[0].0);
            }
            measured.extend(harness::measure(&case, &setup, &plan, &mut order, &watch));
        }
    }
    measured
}

fn cases() -> Vec<Case> {
    [
        scheduler::cases(),
        blocking::cases(),
        timers::cases(),
        fork_join::cases(),
        memory::cases(),
        echo::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
