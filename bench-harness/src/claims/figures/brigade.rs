//! ctx-switch: a byte goes round a brigade of pipes, each handled by a task or by a thread of its own.
//!
//! As in jimblandy/context-switch: 500 pipes; whoever reads a byte from one writes it into the next, and a turn is one such step. All
//! on the cores that there are, then pinned to one. A figure is the middle of several passes over the same brigade.
use std::io::{Read as _, Write as _};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::engine::Engine;
use super::{Outcome, Setup, Trouble, found, median, seconds, seconds_of};

/// Pipes of the brigade.
const PIPES: usize = 500;

/// Bytes that go round in a pass, one after the other: in full, and in the quick pass.
const ROUNDS: usize = 50;
const ROUNDS_QUICK: usize = 10;

/// Passes.
const PASSES: usize = 5;

/// A turn among tasks and among threads, in µs, free and pinned.
pub(crate) fn context_switch<E: Engine>(setup: &Setup) -> Outcome {
    let rounds = if setup.full { ROUNDS } else { ROUNDS_QUICK };
    let (task, thread) = (tasks::<E>(setup.cores, rounds)?, threads(rounds)?);
    pin()?;
    let (task_pinned, thread_pinned) = (tasks::<E>(1, rounds)?, threads(rounds)?);
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

/// µs per turn among tasks, on a runtime with so many workers.
fn tasks<E: Engine>(workers: usize, rounds: usize) -> Result<f64, Trouble> {
    let runtime = E::workers(workers)?;
    E::block_on(&runtime, async {
        let (mut first, mut last) = E::pipe()?;
        let mut brigade = Vec::with_capacity(PIPES);
        for _ in 1..PIPES {
            let (mut next, following) = E::pipe()?;
            let mut from = std::mem::replace(&mut last, following);
            brigade.push(E::spawn(async move {
                // The end of the pipe before ends the one behind.
                while E::receive(&mut from).await? {
                    E::send(&mut next).await?;
                }
                std::io::Result::Ok(())
            }));
        }
        // The first byte finds everybody at their first read.
        rounds_of_tasks::<E>(&mut first, &mut last, 1).await?;
        let mut passes = Vec::with_capacity(PASSES);
        for _ in 0..PASSES {
            let (wall, done) = seconds_of(rounds_of_tasks::<E>(&mut first, &mut last, rounds)).await;
            done?;
            passes.push(per_turn(wall, rounds));
        }
        drop(first);
        for member in brigade {
            member.await??;
        }
        Ok(median(&mut passes))
    })
}

async fn rounds_of_tasks<E: Engine>(
    first: &mut E::Sender,
    last: &mut E::Receiver,
    rounds: usize,
) -> std::io::Result<()> {
    for _ in 0..rounds {
        E::send(first).await?;
        if !E::receive(last).await? {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// µs per turn among threads.
fn threads(rounds: usize) -> Result<f64, Trouble> {
    let (mut last, mut first) = std::io::pipe()?;
    let mut brigade = Vec::with_capacity(PIPES);
    for _ in 1..PIPES {
        let (following, mut next) = std::io::pipe()?;
        let mut from = std::mem::replace(&mut last, following);
        let member = std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
            let mut byte = [0];
            while from.read(&mut byte)? == 1 {
                next.write_all(&byte)?;
            }
            std::io::Result::Ok(())
        })?;
        brigade.push(member);
    }
    let mut round = || {
        first.write_all(b"x")?;
        last.read_exact(&mut [0])
    };
    round()?;
    let mut passes = Vec::with_capacity(PASSES);
    for _ in 0..PASSES {
        let (wall, done) = seconds(|| (0..rounds).try_for_each(|_| round()));
        done?;
        passes.push(per_turn(wall, rounds));
    }
    drop(first);
    for member in brigade {
        member.join().map_err(|_| "a member of the brigade panicked")??;
    }
    Ok(median(&mut passes))
}
