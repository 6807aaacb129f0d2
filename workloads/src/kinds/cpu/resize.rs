//! An RGBA8 image of noise reduced to half its width and height: see [`image`](super::image).

use super::Kernel;
use super::image::{Image, weigh_pixels};
use super::steps::Steps;
use crate::checksum::{random_bytes, seal};

/// The image that all tasks shrink, each through its own window.
#[derive(Debug)]
pub(super) struct ResizeWork {
    seed: u64,
    image: Image,
}

impl Kernel for ResizeWork {
    const NAME: &'static str = "resize";
    /// 5 GB/s of source.
    const COST_US: (f64, f64) = (0.6, 0.000_2);

    fn prepare(input_bytes: usize, seed: u64) -> Self {
        Self { seed, image: Image::new(input_bytes, |_, bytes| random_bytes(seed, bytes)) }
    }

    /// Shrinks the task's window into a fresh image, and digests that image.
    fn run(&self, task: u32, steps: &mut impl Steps) -> Result<u64, String> {
        let small = self.image.shrink(task, steps)?;
        Ok(seal(weigh_pixels(small.pixels()), self.seed, task))
    }

    fn bytes(&self) -> usize {
        self.image.bytes()
    }
}
