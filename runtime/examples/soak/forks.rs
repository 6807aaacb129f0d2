//! Deeds with `join`: trees of all shapes, on workers and from everywhere else, with panics and tasks in between.

use crate::base::{Hub, OnPurpose, Rng, Value};
use crate::tasks::start;
use crossover_runtime::runtime::Handle;
use crossover_runtime::{join, spawn, spawn_blocking};
use std::panic::panic_any;

/// Sums numbers in halves of random size; each leaf adds to its own place too. It may panic anywhere.
fn tree(numbers: &mut [u64], rng: &mut Rng, hub: &Hub, panics: bool) -> u64 {
    let value = Value::new();
    match rng.below(32) {
        0 => hub.wake_some(rng),
        1 if panics => panic_any(OnPurpose(Value::new())),
        2 if Handle::try_current().is_ok() => drop(start(rng, hub)),
        _ => {}
    }
    if numbers.len() < 2 {
        numbers.iter_mut().for_each(|number| *number += 1);
        return numbers.iter().sum();
    }
    let middle = 1 + rng.below(numbers.len() as u64 - 1) as usize;
    let (left, right) = numbers.split_at_mut(middle);
    let (mut one, mut other) = (rng.fork(), rng.fork());
    let (left, right) = join(|| tree(left, &mut one, hub, panics), || tree(right, &mut other, hub, panics));
    value.check();
    left + right
}

fn grow(rng: &mut Rng, hub: &Hub) {
    let count = rng.below(300);
    let mut numbers: Vec<u64> = (0..count).collect();
    let panics = rng.below(4) == 0;
    let sum = tree(&mut numbers, rng, hub, panics);
    assert_eq!(sum, count * (count + 1) / 2);
    assert!((1..).zip(&numbers).all(|(expected, number)| expected == *number));
}

/// In a task, in a job, on a thread of nobody's, which may outlive the runtime.
pub(crate) async fn fork_and_join(rng: &mut Rng, hub: &Hub) {
    let (mut inner, hub) = (rng.fork(), hub.clone());
    match rng.below(4) {
        0 => drop(spawn_blocking(move || grow(&mut inner, &hub)).await),
        1 => {
            let seat = Handle::current();
            std::thread::spawn(move || {
                let _guard = seat.enter();
                grow(&mut inner, &hub);
            });
        }
        2 => drop(spawn(async move { grow(&mut inner, &hub) })),
        _ => drop(spawn(async move { grow(&mut inner, &hub) }).await),
    }
}
