//! ctx-switch: a byte goes round a brigade of pipes, each handled by a task or by a thread of its own.
//!
//! As in jimblandy/context-switch: 500 pipes; whoever reads a byte from one writes it into the next, and a turn is one such step. All
//! on the cores that there are, then pinned to one.
use std::io::{Read as _, Write as _};

use crossover_runtime::net::unix::pipe;
use crossover_runtime::spawn;
use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::{Outcome, Setup, Trouble, found, seconds, seconds_of, workers};

/// Pipes of the brigade.
const PIPES: usize = 500;

/// Bytes that go round, one after the other: in full, and in the quick pass.
const ROUNDS: usize = 50;
const ROUNDS_QUICK: usize = 10;

/// A turn among tasks and among threads, in µs, free and pinned.
pub(crate) fn context_switch(setup: &Setup) -> Outcome {
    let rounds = if setup.full { ROUNDS } else { ROUNDS_QUICK };
    let (task, thread) = (tasks(setup, rounds)?, threads(rounds)?);
    pin()?;
    let one = Setup { cores: 1, ..*setup };
    let (task_pinned, thread_pinned) = (tasks(&one, rounds)?, threads(rounds)?);
    Ok(found("thread_over_task", thread / task)
        .and("async_us", task)
        .and("thread_us", thread)
        .and("pinned_async_us", task_pinned)
        .and("pinned_thread_us", thread_pinned)
        .and("pinned_thread_over_task", thread_pinned / task_pinned))
}

/// Leaves this process a single core.
fn pin() -> Result<(), Trouble> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let first = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu).unwrap_or(false)).unwrap_or(0);
    let mut one = CpuSet::new();
    one.set(first)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}

/// µs per turn of `rounds` bytes that go round.
fn per_turn(wall: f64, rounds: usize) -> f64 {
    wall * 1e6 / (PIPES * rounds) as f64
}

fn tasks(setup: &Setup, rounds: usize) -> Result<f64, Trouble> {
    workers(setup)?.block_on(async {
        let (mut first, mut reader) = pipe::pipe()?;
        let mut brigade = Vec::with_capacity(PIPES);
        for _ in 1..PIPES {
            let (mut next, following) = pipe::pipe()?;
            let mut from = std::mem::replace(&mut reader, following);
            brigade.push(spawn(async move {
                let mut byte = [0];
                // The end of the pipe before ends the one behind.
                while from.read(&mut byte).await? == 1 {
                    next.write_all(&byte).await?;
                }
                std::io::Result::Ok(())
            }));
        }
        // The first byte finds everybody at their first read.
        round_of_tasks(&mut first, &mut reader).await?;
        let (wall, done) = seconds_of(async {
            for _ in 0..rounds {
                round_of_tasks(&mut first, &mut reader).await?;
            }
            std::io::Result::Ok(())
        })
        .await;
        done?;
        drop(first);
        for member in brigade {
            member.await??;
        }
        Ok(per_turn(wall, rounds))
    })
}

async fn round_of_tasks(first: &mut pipe::Sender, last: &mut pipe::Receiver) -> std::io::Result<()> {
    first.write_all(b"x").await?;
    last.read_exact(&mut [0]).await
}

fn threads(rounds: usize) -> Result<f64, Trouble> {
    let (mut reader, mut first) = std::io::pipe()?;
    let mut brigade = Vec::with_capacity(PIPES);
    for _ in 1..PIPES {
        let (following, mut next) = std::io::pipe()?;
        let mut from = std::mem::replace(&mut reader, following);
        let member = std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
            let mut byte = [0];
            while from.read(&mut byte)? == 1 {
                next.write_all(&byte)?;
            }
            std::io::Result::Ok(())
        })?;
        brigade.push(member);
    }
    round_of_threads(&mut first, &mut reader)?;
    let (wall, done) = seconds(|| (0..rounds).try_for_each(|_| round_of_threads(&mut first, &mut reader)));
    done?;
    drop(first);
    for member in brigade {
        member.join().map_err(|_| "a member of the brigade panicked")??;
    }
    Ok(per_turn(wall, rounds))
}

fn round_of_threads(first: &mut std::io::PipeWriter, last: &mut std::io::PipeReader) -> std::io::Result<()> {
    first.write_all(b"x")?;
    last.read_exact(&mut [0])
}
