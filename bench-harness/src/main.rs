//! The program `crossover`: a worker process, a trial process, or the command line.
use std::process::ExitCode;

fn main() -> ExitCode {
    // Neither of these returns when this process was started as one of the program's own helpers.
    crossover_runtime::process_pool::worker_entry();
    crossover_bench::trial::entry();
    crossover_bench::cli::main()
}
