//! Kind `cpu`: pure computing on inputs that are prepared once, outside the timed window.
//!
//! All tasks share one read-only buffer; each computes something else from it, because its number enters the
//! kernel. A task allocates what its kernel needs and frees it again, the same under every strategy.

mod resize;
mod sha256;

use crate::WorkloadError;

/// A kernel with its input.
#[derive(Debug)]
pub(crate) enum Cpu {
    Sha256(sha256::Sha256Work),
    Resize(resize::ResizeWork),
}

impl Cpu {
    /// Builds the input of the kernel of this name; the catalog has checked the name and the size.
    pub(crate) fn prepare(kernel: &str, input_bytes: usize, seed: u64) -> Self {
        match kernel {
            "resize" => Self::Resize(resize::ResizeWork::prepare(input_bytes, seed)),
            _ => Self::Sha256(sha256::Sha256Work::prepare(input_bytes, seed)),
        }
    }

    /// Bytes that the input takes.
    pub(crate) fn input_bytes(&self) -> usize {
        match self {
            Self::Sha256(work) => work.buffer.len(),
            Self::Resize(work) => work.buffer.len(),
        }
    }

    /// Computes one task.
    pub(crate) fn run(&self, task: u32) -> Result<u64, WorkloadError> {
        match self {
            Self::Sha256(work) => Ok(work.run(task)),
            Self::Resize(work) => work.run(task),
        }
    }
}
