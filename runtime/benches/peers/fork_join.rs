//! Computing: a tree of tasks, and rows of an image.
//!
//! `fib_spawned`: fib(22), where each call spawns one half as a task and computes the other; an operation is such a call,
//! 28,656 of them. rayon's figure is `rayon::join`, which needs no task. `fib_join`: the same by the scoped
//! `crossover_runtime::join`, beside rayon's. `sum_join`: a million numbers, halved down to 1,024 at a time; an operation is
//! such a leaf. `mandelbrot`: 512 tasks of one row each: all of it is computing, so nobody can win; who loses has a
//! scheduler that gets in the way.

use std::pin::Pin;
use std::sync::Arc;

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use crate::contestants::{Ours, Runtime, Smol, Spawn, Tokio, Who};
use crate::harness::{Case, Entry, Setup, Trial, rayon_pool};

const FIB: u64 = 22;
const ROWS: usize = 512;
const WIDTH: usize = 512;
const DEPTH: u32 = 255;
/// Numbers that are summed up without another fork.
const LEAF: usize = 1_024;

pub fn cases() -> Vec<Case> {
    let mut spawned = crate::everyone!(fib_spawned);
    spawned.push(Entry::new(Who::Rayon, fib_rayon));
    let mut mandelbrot = crate::everyone!(mandelbrot);
    mandelbrot.push(Entry::new(Who::Rayon, mandelbrot_rayon));
    vec![
        Case::new("fib_spawned", spawned).also_with_four(),
        Case::new("fib_join", vec![Entry::new(Who::Ours, fib_ours), Entry::new(Who::Rayon, fib_rayon)]),
        Case::new("sum_join", vec![Entry::new(Who::Ours, sum_ours), Entry::new(Who::Rayon, sum_rayon)]),
        Case::new("mandelbrot", mandelbrot),
    ]
}

fn fib(n: u64) -> u64 {
    if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
}

fn fib_input(setup: &Setup) -> u64 {
    if setup.smoke { 8 } else { FIB }
}

/// How many calls of `fib(n)` have two halves.
fn forks(n: u64) -> usize {
    fib(n + 1) as usize - 1
}

fn fib_task<S: Spawn>(inside: S, n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let half = inside.spawn(fib_task(inside, n - 1));
        fib_task(inside, n - 2).await + half.await
    })
}

fn fib_spawned<R: Runtime>(setup: &Setup) -> Trial {
    let (rt, n) = (R::start(setup.workers), fib_input(setup));
    Trial::wall(forks(n), move || {
        let root = rt.spawn(fib_task(rt.inside(), n));
        assert_eq!(rt.block_on(root), fib(n));
    })
}

fn fib_join_rayon(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = rayon::join(|| fib_join_rayon(n - 1), || fib_join_rayon(n - 2));
    a + b
}

fn fib_rayon(setup: &Setup) -> Trial {
    let (pool, n) = (rayon_pool(setup), fib_input(setup));
    Trial::wall(forks(n), move || assert_eq!(pool.install(|| fib_join_rayon(n)), fib(n)))
}

fn fib_join_ours(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = crossover_runtime::join(|| fib_join_ours(n - 1), || fib_join_ours(n - 2));
    a + b
}

fn fib_ours(setup: &Setup) -> Trial {
    let (rt, n) = (Ours::start(setup.workers), fib_input(setup));
    Trial::wall(forks(n), move || {
        let root = rt.spawn(async move { fib_join_ours(n) });
        assert_eq!(rt.block_on(root), fib(n));
    })
}

/// Numbers, and how many leaves their sum has.
fn numbers(setup: &Setup) -> (Arc<[u64]>, usize) {
    let leaves = if setup.smoke { 8 } else { 1_024 };
    let numbers = (0..(leaves * LEAF) as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32);
    (numbers.collect(), leaves)
}

fn sum_join_ours(numbers: &[u64]) -> u64 {
    if numbers.len() <= LEAF {
        return numbers.iter().sum();
    }
    let (left, right) = numbers.split_at(numbers.len() / 2);
    let (left, right) = crossover_runtime::join(|| sum_join_ours(left), || sum_join_ours(right));
    left + right
}

fn sum_join_rayon(numbers: &[u64]) -> u64 {
    if numbers.len() <= LEAF {
        return numbers.iter().sum();
    }
    let (left, right) = numbers.split_at(numbers.len() / 2);
    let (left, right) = rayon::join(|| sum_join_rayon(left), || sum_join_rayon(right));
    left + right
}

fn sum_ours(setup: &Setup) -> Trial {
    let rt = Ours::start(setup.workers);
    let (numbers, leaves) = numbers(setup);
    let sum: u64 = numbers.iter().sum();
    Trial::wall(leaves, move || {
        let numbers = Arc::clone(&numbers);
        let root = rt.spawn(async move { sum_join_ours(&numbers) });
        assert_eq!(rt.block_on(root), sum);
    })
}

fn sum_rayon(setup: &Setup) -> Trial {
    let pool = rayon_pool(setup);
    let (numbers, leaves) = numbers(setup);
    let sum: u64 = numbers.iter().sum();
    Trial::wall(leaves, move || assert_eq!(pool.install(|| sum_join_rayon(&numbers)), sum))
}

/// The sum of a row's iterations.
fn mandelbrot_row(row: usize) -> u64 {
    let pixel = |column: usize| {
        let (cx, cy) = (column as f64 / WIDTH as f64 * 3.0 - 2.0, row as f64 / ROWS as f64 * 2.0 - 1.0);
        let (mut x, mut y, mut depth) = (0.0, 0.0, 0);
        while depth < DEPTH && x * x + y * y <= 4.0 {
            (x, y) = (x * x - y * y + cx, 2.0 * x * y + cy);
            depth += 1;
        }
        u64::from(depth)
    };
    (0..WIDTH).map(pixel).sum()
}

fn mandelbrot<R: Runtime>(setup: &Setup) -> Trial {
    let rt = R::start(setup.workers);
    let (rows, inside) = (setup.size(ROWS), rt.inside());
    let sum: u64 = (0..rows).map(mandelbrot_row).sum();
    Trial::wall(rows, move || {
        let image = rt.block_on(async {
            let tasks: Vec<_> =
                (0..rows).map(|row| inside.spawn(async move { mandelbrot_row(row) })).collect();
            let mut image = 0;
            for task in tasks {
                image += task.await;
            }
            image
        });
        assert_eq!(image, sum);
    })
}

fn mandelbrot_rayon(setup: &Setup) -> Trial {
    let (pool, rows) = (rayon_pool(setup), setup.size(ROWS));
    let sum: u64 = (0..rows).map(mandelbrot_row).sum();
    Trial::wall(rows, move || {
        let image: u64 = pool.install(|| (0..rows).into_par_iter().with_max_len(1).map(mandelbrot_row).sum());
        assert_eq!(image, sum);
    })
}
