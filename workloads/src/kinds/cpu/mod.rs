//! Kind `cpu`: pure computing on inputs that are prepared once, outside the timed window.
//!
//! All tasks share one read-only buffer; each computes something else from it, because its number enters the
//! kernel. A task allocates what its kernel needs and frees it again, the same under every strategy.

mod resize;
mod sha256;

use super::Kind;
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// A kernel with its input.
#[derive(Debug)]
pub(crate) enum Cpu {
    Sha256(sha256::Sha256Work),
    Resize(resize::ResizeWork),
}

impl Kind for Cpu {
    const INFO: KindInfo = KindInfo {
        about: "a task computes: SHA-256 of a buffer, or an RGBA image reduced to half its size",
        params: &[
            catalog::tasks(100_000),
            ParamInfo {
                name: "kernel",
                about: "what is computed",
                value: ParamKind::Choice(&["sha256", "resize"]),
                default: Some(DefaultValue::Text("sha256")),
            },
            ParamInfo {
                name: "input_bytes",
                about: "size of a task's input: of the buffer, or of the image before it shrinks",
                value: ParamKind::Int { min: 16, max: 1 << 28 },
                default: Some(DefaultValue::Int(65_536)),
            },
        ],
        ..KindInfo::new("cpu", Class::Cpu)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let (seed, input_bytes) = (setup.seed(), setup.params.count("input_bytes")?);
        Ok(match setup.params.text("kernel")? {
            "resize" => Self::Resize(resize::ResizeWork::prepare(input_bytes, seed)),
            _ => Self::Sha256(sha256::Sha256Work::prepare(input_bytes, seed)),
        })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        match self {
            Self::Sha256(work) => Ok(work.run(task)),
            Self::Resize(work) => work.run(task),
        }
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_blocking(task)
    }

    fn estimate_us(params: &Params) -> f64 {
        let shrinks = params.text("kernel").is_ok_and(|kernel| kernel == "resize");
        // SHA-256 with the CPU's own instructions: 1.2 GB/s. The resize: 5 GB/s of source.
        let (fixed, per_byte) = if shrinks { (0.6, 0.000_2) } else { (0.2, 0.000_8) };
        fixed + per_byte * params.guess("input_bytes")
    }

    fn input_bytes(&self) -> usize {
        match self {
            Self::Sha256(work) => work.buffer.len(),
            Self::Resize(work) => work.buffer.len(),
        }
    }
}
