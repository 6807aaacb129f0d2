//! Jobs over the cores, with the same result on any number of them.
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does jobs `0..jobs` on all cores, each thread with a state of its own; results are in the order of the jobs.
pub(crate) fn spread<S, T: Send>(
    jobs: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    let done: Vec<Mutex<Option<T>>> = (0..jobs).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let run = || {
        let mut state = state();
        loop {
            // Relaxed: the counter only hands out numbers; results are published by the scope's join.
            let job = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = done.get(job) else { break };
            let result = work(&mut state, job);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.max(1));
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    // A job that panicked has taken the scope with it, so every slot is filled.
    done.into_iter().filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_are_in_the_order_of_the_jobs() {
        for jobs in [0, 1, 7, 500] {
            let squares = super::spread(jobs, || 1, |one, job| job * job * *one);
            assert_eq!(squares, (0..jobs).map(|n| n * n).collect::<Vec<_>>());
        }
    }
}
