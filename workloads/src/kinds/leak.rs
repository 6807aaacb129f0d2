//! Kind `leak`: every task computes a little, and leaks a block that it has written to.
//!
//! The block stays where it is for as long as the run lasts, in the process that ran the task, as what a cache without a limit or
//! a forgotten list holds does. Only a worker process that is replaced takes its own along. After the run whoever runs the work
//! says [`give_back`]: the next sample begins with none of it, and the peak of each tells what that one leaked.
//!
//! That needs memory which goes back to the system at once and whole. What `malloc` gets back in small pieces it keeps, so
//! blocks are cut from reservations so large that every allocator maps them, and unmaps them when their last block is
//! gone. A reservation has addresses and no pages: what is resident is what tasks have written.
//!
//! The lock is held while a block is cut or put away, never while one is written. No other lock is taken meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;

use super::Kind;
use super::mixed::chain;
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::{fold, word};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// Tasks and bytes of each at most: a run leaks up to 256 MiB, in all processes together.
const TASKS_MAX: i64 = 1024;
const BYTES_MAX: i64 = 256 << 10;

/// Bytes of a reservation. glibc maps everything above 32 MiB whatever it has seen before.
const RESERVED: usize = 64 << 20;

/// What tasks of this process have leaked.
static LEAKED: Mutex<Leaked> = Mutex::new(Leaked { left: None, blocks: Vec::new() });

#[derive(Debug)]
struct Leaked {
    /// What is left of the youngest reservation.
    left: Option<BytesMut>,
    blocks: Vec<BytesMut>,
}

/// How much everyone computes and leaks.
#[derive(Debug)]
pub(crate) struct Leak {
    seed: u64,
    steps: u64,
    bytes: usize,
}

impl Kind for Leak {
    const INFO: KindInfo = KindInfo {
        about: "a task computes a chain of integer steps, and leaks memory that it has written to",
        params: &[
            catalog::tasks(TASKS_MAX),
            ParamInfo {
                name: "leak_bytes",
                about: "what a task leaks; given back when the run is over",
                value: ParamKind::Int { min: 0, max: BYTES_MAX },
                default: Some(DefaultValue::Int(65_536)),
            },
            ParamInfo {
                name: "cpu_us",
                about: "computing per task, in µs of one core of this machine when nothing else runs",
                value: ParamKind::Float { min: 0.0, max: 10_000_000.0 },
                default: Some(DefaultValue::Float(50.0)),
            },
        ],
        needs_spin: true,
        ..KindInfo::new("leak", Class::Shape)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let (spin, params) = (setup.spin_per_us()?, &setup.params);
        let steps = (params.number("cpu_us")? * spin).round() as u64;
        Ok(Self { seed: setup.seed(), steps, bytes: params.count("leak_bytes")? })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let end = chain(word(self.seed, u64::from(task)), self.steps);
        let mut block = leaked().cut(self.bytes);
        // Every page of it is written to, and read back.
        block.fill(end as u8);
        let read = (block.len() as u64) << 32 | u64::from(crc32fast::hash(&block));
        leaked().blocks.push(block);
        Ok(fold(end, read))
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_blocking(task)
    }

    fn leaks(&self) -> bool {
        true
    }

    fn estimate_us(params: &Params) -> f64 {
        // A fault per page, and once over it each way.
        params.guess("cpu_us") + 0.000_3 * params.guess("leak_bytes")
    }
}

impl Leaked {
    /// A block of zeros that nobody has touched.
    fn cut(&mut self, bytes: usize) -> BytesMut {
        let mut left = match self.left.take() {
            Some(left) if left.len() >= bytes => left,
            // What is left of the old one goes when its blocks do.
            _ => BytesMut::zeroed(RESERVED.max(bytes)),
        };
        let block = left.split_to(bytes);
        self.left = Some(left);
        block
    }
}

/// A panic cannot leave the blocks half changed.
fn leaked() -> MutexGuard<'static, Leaked> {
    LEAKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives back all that tasks of kind `leak` have leaked in this process. To be called when no run of such work is under way: a
/// task that runs meanwhile keeps its block, and leaves it for the next call.
pub fn give_back() {
    let old = std::mem::replace(&mut *leaked(), Leaked { left: None, blocks: Vec::new() });
    // Unmapped outside of the lock.
    drop(old);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Spec, Value, Workload};

    #[test]
    fn blocks_are_cut_from_one_reservation_until_it_is_used_up() {
        let mut leaked = Leaked { left: None, blocks: Vec::new() };
        let (first, second) = (leaked.cut(1000), leaked.cut(24));
        assert_eq!(first.as_ptr().wrapping_add(1000), second.as_ptr());
        assert!(first.iter().chain(&second).all(|byte| *byte == 0));
        assert_eq!(leaked.left.as_ref().map(|left| left.len()), Some(RESERVED - 1024));
        // What does not fit begins the next one.
        assert_eq!(leaked.cut(RESERVED).len(), RESERVED);
        assert_eq!(leaked.cut(7).len(), 7);
        assert_eq!(leaked.left.map(|left| left.len()), Some(RESERVED - 7));
    }

    #[test]
    fn what_would_fill_the_memory_is_refused() {
        let prepare = |tasks: u32, bytes: i64| {
            let params = [("leak_bytes".to_owned(), Value::Int(bytes))].into();
            let kind = "leak".to_owned();
            Workload::prepare(&Spec { kind, params, tasks, seed: 1, server: None, spin_per_us: Some(1.0) })
        };
        assert!(prepare(1024, 262_144).is_ok());
        for (tasks, bytes, words) in [(1025, 1, "from 1 to 1024"), (1, 262_145, "from 0 to 262144")] {
            let error = prepare(tasks, bytes).unwrap_err();
            assert!(error.is_spec() && error.to_string().contains(words), "{error}");
        }
    }
}
