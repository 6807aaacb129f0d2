//! The bars: what each row is to reach. They are this project's goals, set before the runtime met them from what a prototype
//! of the design reached beside tokio on two cores.

use crate::contestants::Who;

/// What a row is to reach.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    pub goal: Goal,
    /// A further goal of the same kind.
    pub stretch: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// At most this share of the other contestant's cost.
    Share { of: Who, at_most: f64 },
    /// At most this cost per operation, in the row's unit.
    Absolute { at_most: f64 },
}

/// A proven tie: within 3 %.
const TIE: f64 = 1.03;
/// Scoped fork-join beside rayon's.
const JOIN: f64 = 1.2;
/// The scheduler's rows with 4 workers on 2 cores.
const FOUR_WORKERS: f64 = 0.65;

#[rustfmt::skip]
const TWO_WORKERS: &[(&str, Goal, Option<f64>)] = &[
    ("spawn_many_local", tokio(0.25), Some(0.15)),
    ("spawn_many_inside", tokio(0.30), Some(0.20)),
    ("spawn_await_inside", tokio(0.35), None),
    ("spawn_many_remote_idle", tokio(0.15), None),
    ("spawn_many_remote_busy1", tokio(0.30), None),
    ("spawn_many_remote_busy2", tokio(0.02), None),
    ("yield_many", tokio(0.55), Some(0.40)),
    ("ping_pong", tokio(0.22), None),
    ("chained_spawn", tokio(0.15), None),
    ("spawn_blocking_1", tokio(0.40), Some(0.12)),
    ("spawn_blocking_2", tokio(0.24), Some(0.10)),
    ("remote_spawn_1", tokio(0.12), None),
    ("remote_spawn_2", tokio(0.31), None),
    ("wake_latency", tokio(0.07), None),
    ("timeout_ready", tokio(0.13), None),
    ("timeout_pending", tokio(0.12), None),
    ("sleeps_100k", tokio(0.36), None),
    ("fib_spawned", tokio(0.26), None),
    ("fib_join", Goal::Share { of: Who::Rayon, at_most: JOIN }, None),
    ("sum_join", Goal::Share { of: Who::Rayon, at_most: JOIN }, None),
    ("mandelbrot", tokio(TIE), None),
    ("sleepers_1m_memory", Goal::Absolute { at_most: 160.0 }, Some(110.0)),
    ("echo_1x64B", tokio(0.85), Some(0.80)),
    ("echo_100x64B", tokio(0.78), Some(0.70)),
    ("echo_1000x64B", tokio(0.98), Some(0.85)),
    ("echo_100x16KiB", tokio(0.85), Some(0.75)),
];

const fn tokio(at_most: f64) -> Goal {
    Goal::Share { of: Who::Tokio, at_most }
}

/// The bar of a row, if it has one.
pub fn bar(row: &str, workers: usize) -> Option<Bar> {
    if workers != 2 {
        return Some(Bar { goal: tokio(FOUR_WORKERS), stretch: None });
    }
    let &(_, goal, stretch) = TWO_WORKERS.iter().find(|(name, ..)| *name == row)?;
    Some(Bar { goal, stretch })
}
