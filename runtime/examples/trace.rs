//! Seeing inside: records which worker polled which task when, and names the task that holds up its worker.
//!
//! ```text
//! cargo run -p crossover-runtime --example trace                  # writes trace.json
//! cargo run -p crossover-runtime --example trace -- run.json
//! cargo run -p crossover-runtime --example trace -- --check       # writes into memory, and reads it back
//! ```
//!
//! The file opens in <https://ui.perfetto.dev>, in `chrome://tracing` and in Speedscope: a row for each worker, a bar for each
//! poll, named by the file and line of its `spawn`.

use crossover_runtime::runtime::{Builder, Stall, Trace};
use crossover_runtime::spawn_blocking;
use crossover_runtime::task::{JoinError, JoinSet, yield_now};
use crossover_runtime::time::sleep;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: trace [FILE | --check]   FILE is trace.json unless given";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--check"] => check(),
        [] => write_to("trace.json"),
        [path] if !path.starts_with('-') => write_to(path),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trace: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the tasks below and records them; returns the stalls as well.
fn record() -> io::Result<(Trace, Vec<Stall>)> {
    let (report, reports) = mpsc::channel();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .stall_threshold(Duration::from_millis(20)) // 10 ms unless set
        .on_stall(move |stall| drop(report.send(stall.clone())))
        .build()?;
    let recorder = runtime.handle().record()?;
    runtime.block_on(work()).map_err(io::Error::other)?;
    let trace = recorder.stop();
    // Ends the runtime, and with it the sender: the reports are complete.
    drop(runtime);
    Ok((trace, reports.iter().collect()))
}

async fn work() -> Result<(), JoinError> {
    let mut tasks = JoinSet::new();
    // Computes where it should not: one long bar, and a stall.
    tasks.spawn(async { compute(Duration::from_millis(60)) });
    for _ in 0..4 {
        // Waits: short polls with gaps between them.
        tasks.spawn(async {
            for _ in 0..5 {
                sleep(Duration::from_millis(3)).await;
            }
        });
        // Computes, and lets others in between.
        tasks.spawn(async {
            for _ in 0..5 {
                compute(Duration::from_millis(1));
                yield_now().await;
            }
        });
    }
    // Computes where it should: the wait is in the trace, the computing is not, it holds up no worker.
    tasks.spawn(async {
        spawn_blocking(|| compute(Duration::from_millis(100))).await.expect("the job does not panic");
    });
    while let Some(task) = tasks.join_next().await {
        task?;
    }
    // A poll that is under way when the recording stops is not in it. That includes, at times, the one that has just woken us.
    Ok(())
}

/// Keeps its thread busy.
fn compute(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn write_to(path: &str) -> io::Result<()> {
    // Before the run, so that a bad path is known at once.
    let file = File::create(path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write {path}: {error}")))?;
    let (trace, stalls) = record()?;
    // A buffer: the trace is written in many small pieces.
    let mut file = BufWriter::new(file);
    trace.write_chrome_json(&mut file)?;
    file.flush()?;
    print(&trace, &stalls);
    println!("open {path} in https://ui.perfetto.dev or chrome://tracing");
    Ok(())
}

fn print(trace: &Trace, stalls: &[Stall]) {
    println!("{:.1} ms recorded", trace.duration().as_secs_f64() * 1e3);
    for worker in 0..trace.num_workers() {
        let (mut polls, mut busy) = (0, Duration::ZERO);
        for span in trace.spans(worker).iter().filter(|span| !span.is_park()) {
            polls += 1;
            busy += span.duration();
        }
        println!("worker {worker}: {polls} polls in {:.1} ms", busy.as_secs_f64() * 1e3);
    }
    for stall in stalls {
        println!("stall: {stall}");
    }
}

fn check() -> io::Result<()> {
    let (trace, stalls) = record()?;
    print(&trace, &stalls);
    let mut json = Vec::new();
    trace.write_chrome_json(&mut json)?;
    let json: serde_json::Value = serde_json::from_slice(&json)?;
    let events = json["traceEvents"].as_array().map_or(0, Vec::len);
    let spans: usize = (0..trace.num_workers()).map(|worker| trace.spans(worker).len()).sum();
    // An event for each span, and one for the name of each worker.
    if events != spans + trace.num_workers() {
        return Err(io::Error::other(format!("{spans} spans, but {events} events")));
    }
    // On a loaded machine a short poll may stall, too; the long one must.
    if !stalls.iter().any(|stall| stall.spawned_at().file() == file!()) {
        return Err(io::Error::other(format!("the stall was not noticed: {stalls:?}")));
    }
    println!("{events} events: ok");
    Ok(())
}
