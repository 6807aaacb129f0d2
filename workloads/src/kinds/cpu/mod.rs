//! Kind `cpu`: pure computing on inputs that are prepared once, outside the timed window.
//!
//! All tasks share one read-only input; each computes something else from it, because its number enters the kernel. A
//! task runs on one thread, allocates what its kernel needs and frees it again, the same under every strategy. What the
//! kernels compute is exact on every machine (integers, or floating point that cannot round differently), so that the
//! digests are.
//!
//! With a `lock_fraction` above 0 a share of each kernel's steps holds a lock of the whole process, as an interpreter's code
//! does: see [`steps`] and [`global_lock`].

mod blake3;
mod global_lock;
mod image;
mod json;
mod mandelbrot;
mod mlp;
mod resize;
mod sha256;
mod sort;
mod steps;
mod thumbnail;

use self::global_lock::GlobalLock;
use self::steps::{Free, Locked, Share, Steps};
use super::Kind;
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// The lock that all tasks of this process share.
static LOCK: GlobalLock = GlobalLock::new();

/// What is computed: inputs that are prepared once, and one task.
trait Kernel: std::fmt::Debug + Send + Sync + Sized {
    /// Its name, as `kernel = "…"`.
    const NAME: &'static str;
    /// What a task takes, in µs: so much, and so much per byte of `input_bytes`. Rough, for the ETA of a dry run.
    const COST_US: (f64, f64);

    /// Builds the input.
    fn prepare(input_bytes: usize, seed: u64) -> Self;

    /// Computes one task and tells `steps` when each step begins.
    ///
    /// # Errors
    /// What a library refuses.
    fn run(&self, task: u32, steps: &mut impl Steps) -> Result<u64, String>;

    /// Bytes that the input takes.
    fn bytes(&self) -> usize;
}

/// Makes the table of kernels.
macro_rules! kernels {
    ($($variant:ident: $kernel:ty),+ $(,)?) => {
        const NAMES: &[&str] = &[$(<$kernel as Kernel>::NAME),+];

        /// A kernel with its input.
        #[derive(Debug)]
        enum Prepared {
            $($variant($kernel)),+
        }

        impl Prepared {
            /// The kernel of this name; `None` if there is none.
            fn new(name: &str, input_bytes: usize, seed: u64) -> Option<Self> {
                $(if name == <$kernel as Kernel>::NAME {
                    return Some(Self::$variant(Kernel::prepare(input_bytes, seed)));
                })+
                None
            }

            fn run(&self, task: u32, steps: &mut impl Steps) -> Result<u64, WorkloadError> {
                match self { $(Self::$variant(work) => work.run(task, steps).map_err(|reason| {
                    WorkloadError::Kernel { task, kernel: <$kernel as Kernel>::NAME, reason }
                })),+ }
            }

            fn bytes(&self) -> usize {
                match self { $(Self::$variant(work) => work.bytes()),+ }
            }
        }

        /// See [`Kernel::COST_US`]; that of the first kernel for a name that is unknown.
        fn cost_us(name: &str) -> (f64, f64) {
            $(if name == <$kernel as Kernel>::NAME {
                return <$kernel as Kernel>::COST_US;
            })+
            <sha256::Sha256Work as Kernel>::COST_US
        }
    };
}

kernels! {
    Sha256: sha256::Sha256Work,
    Resize: resize::ResizeWork,
    Blake3: blake3::Blake3Work,
    Thumbnail: thumbnail::ThumbnailWork,
    Json: json::JsonWork,
    Mlp: mlp::MlpWork,
    Mandelbrot: mandelbrot::MandelbrotWork,
    Sort: sort::SortWork,
}

/// A kernel with its input, and the share of its steps that holds the lock.
#[derive(Debug)]
pub(crate) struct Cpu {
    kernel: Prepared,
    share: Option<Share>,
}

impl Kind for Cpu {
    const INFO: KindInfo = KindInfo {
        about: "a task computes: hashes, shrinks an image (and writes a JPEG), transforms JSON, runs a small network, \
                draws a fractal, or sorts",
        params: &[
            catalog::tasks(100_000),
            ParamInfo {
                name: "kernel",
                about: "what is computed",
                value: ParamKind::Choice(NAMES),
                default: Some(DefaultValue::Text("sha256")),
            },
            ParamInfo {
                name: "input_bytes",
                about: "size of a task: of the buffer to hash, the RGBA image, the JSON text, the network's input (256 bytes \
                        a row), the fractal (a byte per pixel), or the keys to sort (8 bytes each)",
                value: ParamKind::Int { min: 16, max: 1 << 28 },
                default: Some(DefaultValue::Int(65_536)),
            },
            ParamInfo {
                name: "lock_fraction",
                about: "share of each task's steps that holds a lock of the whole process; 1 is an interpreter's global \
                        lock, 0 has no lock at all",
                value: ParamKind::Float { min: 0.0, max: 1.0 },
                default: Some(DefaultValue::Float(0.0)),
            },
        ],
        ..KindInfo::new("cpu", Class::Cpu)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let (params, name) = (&setup.params, setup.params.text("kernel")?);
        let kernel = Prepared::new(name, params.count("input_bytes")?, setup.seed())
            .ok_or_else(|| params.error("kernel", "there is no such kernel".to_owned()))?;
        Ok(Self { kernel, share: Share::new(params.number("lock_fraction")?) })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        match self.share {
            None => self.kernel.run(task, &mut Free),
            Some(share) => self.kernel.run(task, &mut Locked::new(&LOCK, share, task)),
        }
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_blocking(task)
    }

    fn estimate_us(params: &Params) -> f64 {
        let (fixed, per_byte) = cost_us(params.text("kernel").unwrap_or_default());
        fixed + per_byte * params.guess("input_bytes")
    }

    fn input_bytes(&self) -> usize {
        self.kernel.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Spec, Value, Workload};

    fn workload(kernel: &str, lock_fraction: f64) -> Workload {
        let params = [
            ("kernel".to_owned(), Value::Text(kernel.to_owned())),
            ("lock_fraction".to_owned(), Value::Float(lock_fraction)),
        ];
        let (kind, params) = ("cpu".to_owned(), params.into());
        let spec = Spec { kind, params, tasks: 4, seed: 1, server: None, spin_per_us: None };
        Workload::prepare(&spec).unwrap()
    }

    /// A task that asked for the lock would never end here.
    #[test]
    fn without_a_fraction_there_is_no_lock() {
        let turn = LOCK.take();
        for kernel in NAMES {
            workload(kernel, 0.0).run_blocking(1).unwrap();
        }
        assert!(LOCK.is_held());
        drop(turn);
    }

    #[test]
    fn every_kernel_gives_the_lock_back_and_computes_the_same_under_it() {
        for kernel in NAMES {
            let free = workload(kernel, 0.0);
            for fraction in [0.01, 0.5, 1.0] {
                let locked = workload(kernel, fraction);
                for task in 0..4 {
                    let digest = locked.run_blocking(task).unwrap();
                    assert_eq!(digest, free.run_blocking(task).unwrap(), "{kernel}, {fraction}");
                }
            }
        }
        // Nobody who is through holds it: it can be had.
        drop(LOCK.take());
    }
}
