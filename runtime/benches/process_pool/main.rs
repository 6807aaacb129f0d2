//! The process pool beside its peers: Python's `ProcessPoolExecutor`, loky, procspawn and a bare loop between two
//! processes, in turns.
//!
//! `cargo bench -p crossover-runtime --bench process_pool`; `-- --help` lists the options. `BENCHMARKS.md` says what each
//! row does; `rows.rs` holds the goals. Without cargo's `--bench` every row is tried out once.
//!
//! This program is also its own helpers: a worker of ours (`worker_entry`), one of procspawn's (`init`), the other side of
//! the bare loop, a parent that will be killed, and itself again on one CPU. `main` sorts them out, in that order.
#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "a program: nothing here is used from elsewhere"
)]
#![allow(unreachable_pub, reason = "`pub` says what a module offers to the others")]

mod args;
mod floor;
mod harness;
mod orphans;
mod ours;
mod procspawn_pool;
mod python;
mod report;
mod rows;
#[path = "../peers/stats.rs"]
mod stats;
mod system;

use std::process::ExitCode;

use args::Args;
use harness::{Measured, Shuffle, Watchdog};
use rows::{Case, Cpus};

fn main() -> ExitCode {
    crossover_runtime::process_pool::worker_entry();
    procspawn::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if floor::play(&arguments) || orphans::play(&arguments) {
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
    let cases: Vec<Case> = rows::cases().into_iter().filter(|case| args.wants_case(case)).collect();
    if args.list {
        cases.iter().flat_map(Case::names).for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let measured = match args.pinned {
        true => measure(&args, &cases, Cpus::One),
        false => in_both_places(&args, &cases),
    };
    match measured {
        Ok(measured) => print(&args, &measured),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Here and, in a copy of this program that may use one CPU only, there.
fn in_both_places(args: &Args, cases: &[Case]) -> Result<Vec<Measured>, String> {
    let mut measured = measure(args, cases, Cpus::All)?;
    if cases.iter().any(|case| case.cpus == Cpus::One) {
        measured.extend(system::on_one_cpu(args)?);
    }
    Ok(measured)
}

fn measure(args: &Args, cases: &[Case], cpus: Cpus) -> Result<Vec<Measured>, String> {
    if cpus == Cpus::One {
        system::pin_to_one_cpu()?;
    }
    let (watch, mut order) = (Watchdog::start(), Shuffle::new(args.seed));
    let mut python = python::Python::start(args);
    let mut measured = Vec::new();
    for case in cases.iter().filter(|case| case.cpus == cpus) {
        measured.extend(harness::measure(case, args, python.as_mut(), &mut order, &watch)?);
    }
    Ok(measured)
}

fn print(args: &Args, measured: &[Measured]) -> ExitCode {
    if args.pinned {
        println!("{}", serde_json::to_string(measured).expect("figures and names become JSON"));
    } else if measured.is_empty() {
        eprintln!("no row has such a name; --list prints them");
    } else if args.smoke {
        println!("{} rows work; `cargo bench -p crossover-runtime` measures them", measured.len());
    } else if args.markdown {
        print!("{}", report::markdown(measured));
    } else {
        print!("\n{}", report::text(measured));
    }
    ExitCode::SUCCESS
}
