//! A long random run against the process pool: workers are killed, stopped and continued from outside while their jobs
//! panic, abort, exit, loop, print, leave children behind, take too much memory, do not encode, carry up to 16 MiB, are
//! retried, mapped or dropped; pools are closed and dropped over them and opened again, with other options.
//!
//! `chaos [--jobs N] [--seed S] [--workers W] [--clients C] [--kill-every K]`. The seed decides what every job is and
//! what is done to the workers after how many jobs, not how the processes run: the same seed makes a failure likely
//! again, not certain. `scripts/chaos.sh` builds and starts it.
//!
//! Every job has a number, and a known outcome. At the end no job may be lost (a hang ends the program, with what was
//! going on), have run twice, or have a result that it should not have; not more jobs may have been hit than kills were
//! sent; and descriptors, memfds, mappings, threads, children and zombies must be back where they were after warm-up.
//! Exit code 0: all held.
//!
//! `plan` draws the jobs, `jobs` are their functions, `client` calls them, `havoc` acts from outside, `books` keeps count.

mod books;
mod client;
mod havoc;
mod jobs;
mod plan;

use books::{Books, Footprint, memory};
use client::{Work, client};
use crossover_runtime::{
    process_pool::{ProcessPool, Stdio},
    runtime,
};
use futures::{executor::block_on, future::join_all};
use plan::{MEMORY, Rng};
use std::{
    env,
    fs::{self, File},
    ops::Range,
    process::{self, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// An epoch is the life of one pool.
const EPOCHS: u64 = 32;

/// Epochs until everything that is made once and kept has been made: each executor with each ending.
const WARM_UP: u64 = 16;

/// Wide: what is still running when a pool closes takes milliseconds.
const GRACE: Duration = Duration::from_secs(60);

struct Options {
    jobs: u64,
    seed: u64,
    workers: usize,
    clients: u64,
    kill_every: u64,
}

fn main() -> ExitCode {
    crossover_runtime::process_pool::worker_entry();
    let options = match parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!(
                "chaos: {reason}\nusage: chaos [--jobs N] [--seed S] [--workers W] [--clients C] [--kill-every K]"
            );
            return ExitCode::from(2);
        }
    };
    let Options { jobs, seed, workers, clients, kill_every } = options;
    println!(
        "chaos: --jobs {jobs} --seed {seed} --workers {workers} --clients {clients} --kill-every {kill_every}"
    );
    let ledger = jobs::ledger_path(process::id());
    File::create(&ledger).expect("the ledger");
    let faults = run(&options);
    let _ = fs::remove_file(ledger);
    for fault in &faults {
        println!("chaos: FAULT: {fault}");
    }
    println!("chaos: {}", if faults.is_empty() { "all held" } else { "FAILED" });
    ExitCode::from(u8::from(!faults.is_empty()))
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    let mut options = Options { jobs: 200_000, seed, workers: 4, clients: 32, kill_every: 200 };
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|text| text.parse::<u64>().ok());
        let value = value.ok_or_else(|| format!("`{name}` needs a number"))?;
        match name.as_str() {
            "--seed" => options.seed = value,
            _ if value == 0 => return Err(format!("`{name}` must be more than zero")),
            "--jobs" => options.jobs = value,
            "--workers" => options.workers = value as usize,
            "--clients" => options.clients = value,
            "--kill-every" => options.kill_every = value,
            _ => return Err(format!("no option `{name}`")),
        }
    }
    Ok(options)
}

/// The whole run; what did not hold.
fn run(options: &Options) -> Vec<String> {
    let books = Arc::new(Books::new(options.seed, options.jobs));
    let started = Instant::now();
    let watched = Arc::clone(&books);
    thread::spawn(move || watched.watch());
    let mut warm = None;
    for number in 0..EPOCHS {
        if number == WARM_UP {
            warm = Some((Footprint::take(), memory("VmRSS")));
        }
        let bound = |part: u64| options.jobs * part / EPOCHS;
        epoch(options, &books, number, bound(number)..bound(number + 1));
    }
    books.stage("the end".to_owned());

    let mut faults = books.verdicts();
    let (warm, rss) = warm.expect("a footprint after warm-up");
    let last = warm.settle();
    if last.exceeds(&warm) {
        faults.push(format!("growth: after warm-up {warm:?}, at the end {last:?}"));
    }
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    println!("{}", books.table());
    println!(
        "{} kills, {} pauses, {} refusals by the breaker; {EPOCHS} pools; {last:?}\nresident: {rss} MiB after \
         warm-up, {} MiB at the end, {} MiB at most; {:.1?}, {:.0} jobs/s",
        count(&books.kills),
        count(&books.pauses),
        count(&books.refusals),
        memory("VmRSS"),
        memory("VmHWM"),
        started.elapsed(),
        options.jobs as f64 / started.elapsed().as_secs_f64(),
    );
    faults
}

/// How a pool ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    /// When every job is done.
    Complete,
    /// Closed over its jobs, which may finish.
    Drained,
    /// Closed over its jobs, with next to no time for them.
    CutShort,
    /// Its last handle is dropped, wherever that is.
    Dropped,
}

/// The life of one pool.
fn epoch(options: &Options, books: &Arc<Books>, number: u64, ids: Range<u64>) {
    let mut rng = Rng::new(options.seed, u64::MAX / 2 + number);
    let ending =
        [Ending::Complete, Ending::Drained, Ending::CutShort, Ending::Dropped][(number / 4 % 4) as usize];
    let workers = 1 + rng.below(options.workers as u64) as usize;
    let queue = 8 + rng.length(4096);
    let mut builder = ProcessPool::builder()
        .workers(workers)
        .queue_limit(queue)
        .memory_limit(MEMORY)
        .stderr(Stdio::Inherit);
    let mut told = format!("epoch {number}: {workers} workers, a queue of {queue}, {ending:?}");
    if rng.below(3) == 0 {
        let jobs = 1 + rng.length(1000) as u64;
        builder = builder.max_jobs_per_worker(jobs);
        told += &format!(", {jobs} jobs per worker");
    }
    if rng.below(3) == 0 {
        let idle = Duration::from_micros(100 + rng.below(5000));
        builder = builder.min_workers(0).idle_timeout(idle);
        told += &format!(", idle for {idle:?}");
    }
    books.stage(told);
    let pool = builder.build().expect("a pool");
    books.open_pool(pool);

    let over = Arc::new(AtomicBool::new(false));
    let havoc = {
        let (books, over, every) = (Arc::clone(books), Arc::clone(&over), options.kill_every);
        thread::spawn(move || havoc::rage(&books, &over, every, number))
    };
    let cut_at = ids.start + (ids.end - ids.start) * 9 / 10;
    let (sender, cut) = mpsc::channel();
    let work = Arc::new(Work::new(ids, cut_at, sender));
    let clients = (0..options.clients).map(|_| {
        let (books, work, rng) = (Arc::clone(books), Arc::clone(&work), Rng::new(rng.next(), 0));
        async move { client(&books, &work, rng).await }
    });
    let clients = start(number, clients);
    // An error: the sender is dropped by the client that comes to the cut.
    let _ = cut.recv();
    match ending {
        Ending::Complete => {
            clients();
            let report = block_on(books.take_pool().expect("the pool").close(GRACE));
            assert_eq!(report.cancelled, 0, "nothing was left to cut off");
        }
        Ending::Drained | Ending::CutShort => {
            let pool = books.take_pool().expect("the pool");
            books.cut();
            let grace = if ending == Ending::Drained { GRACE } else { Duration::from_millis(rng.below(5)) };
            block_on(pool.close(grace));
            drop(pool);
            clients();
        }
        Ending::Dropped => {
            books.cut();
            drop(books.take_pool());
            clients();
        }
    }
    // Release pairs with the Acquire in `rage`.
    over.store(true, Ordering::Release);
    havoc.join().expect("havoc");
}

/// Starts the clients on an executor that depends on the epoch; what is returned waits for them.
fn start<F>(epoch: u64, clients: impl Iterator<Item = F>) -> Box<dyn FnOnce()>
where
    F: Future<Output = ()> + Send + 'static,
{
    match epoch % 4 {
        0 => {
            let runtime = runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
            let tasks: Vec<_> = clients.map(|client| runtime.spawn(client)).collect();
            Box::new(move || {
                for end in runtime.block_on(join_all(tasks)) {
                    end.expect("a client");
                }
            })
        }
        1 => {
            let all: Vec<_> = clients.collect();
            let thread = thread::spawn(move || {
                let mut builder = runtime::Builder::new_current_thread();
                let runtime = builder.build().expect("a runtime");
                runtime.block_on(join_all(all));
            });
            Box::new(move || thread.join().expect("the clients"))
        }
        2 => {
            let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("tokio");
            let tasks: Vec<_> = clients.map(|client| tokio.spawn(client)).collect();
            Box::new(move || {
                for end in tokio.block_on(join_all(tasks)) {
                    end.expect("a client");
                }
            })
        }
        _ => {
            let threads: Vec<_> = clients.map(|client| thread::spawn(|| block_on(client))).collect();
            Box::new(move || threads.into_iter().for_each(|thread| thread.join().expect("a client")))
        }
    }
}
