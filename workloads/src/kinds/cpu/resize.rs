//! An RGBA8 image reduced to half its width and height by `fast_image_resize`, on one thread.
//!
//! The filter is the box: every output byte is the mean of a 2×2 square, rounded half up after the vertical pass and
//! again after the horizontal one. Its weights are exact in binary, so that every CPU, and every library that works
//! like Pillow, computes the same bytes and a contestant in another language can reach the same checksum.
//! All pixels are opaque: premultiplied alpha would change nothing.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x4;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::WorkloadError;
use crate::checksum::{mix64, random_bytes, word};

/// Bytes of a pixel.
const PIXEL: usize = 4;
/// Task `t` sees the image that starts at pixel `t % WINDOWS` of the buffer: different input, no copy, equal work.
const WINDOWS: usize = 64;

/// The pixels that all tasks look at, each through its own window.
#[derive(Debug)]
pub(crate) struct ResizeWork {
    seed: u64,
    width: u32,
    height: u32,
    /// The image and `WINDOWS` pixels more.
    pub(super) buffer: Vec<u8>,
}

impl ResizeWork {
    pub(crate) fn prepare(input_bytes: usize, seed: u64) -> Self {
        let (width, height) = dimensions(input_bytes);
        let mut buffer = random_bytes(seed, (width as usize * height as usize + WINDOWS) * PIXEL);
        for alpha in buffer.iter_mut().skip(PIXEL - 1).step_by(PIXEL) {
            *alpha = 255;
        }
        Self { seed, width, height, buffer }
    }

    /// Shrinks the task's window into a fresh image, and digests that image.
    pub(crate) fn run(&self, task: u32) -> Result<u64, WorkloadError> {
        let refuse = |reason: String| WorkloadError::Kernel { task, kernel: "resize", reason };
        let start = (task as usize % WINDOWS) * PIXEL;
        let source = TypedImageRef::<U8x4>::from_buffer(self.width, self.height, &self.buffer[start..])
            .map_err(|e| refuse(e.to_string()))?;
        let mut target = TypedImage::<U8x4>::new(self.width / 2, self.height / 2);
        let options =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box)).use_alpha(false);
        Resizer::new().resize_typed(&source, &mut target, &options).map_err(|e| refuse(e.to_string()))?;
        Ok(digest(target.pixels().iter().map(|p| u32::from_le_bytes(p.0)), self.seed, task))
    }
}

/// A sum in which pixel `i`, read as a little-endian number, has the weight 2i + 1: any single wrong pixel and any
/// two that are swapped change it, and it costs a fraction of the resize.
fn digest(pixels: impl Iterator<Item = u32>, seed: u64, task: u32) -> u64 {
    let sum = pixels
        .zip(0u64..)
        .fold(0u64, |sum, (pixel, i)| sum.wrapping_add(u64::from(pixel).wrapping_mul(2 * i + 1)));
    mix64(sum ^ word(seed, u64::from(task)))
}

/// Width and height, both even, of the image that fills `input_bytes` (at least 16) as well as a power of two as
/// height allows: exact for every power of two.
fn dimensions(input_bytes: usize) -> (u32, u32) {
    let pixels = (input_bytes / PIXEL).max(4);
    let height = 1usize << (pixels.ilog2() / 2);
    let width = pixels / height / 2 * 2;
    // The catalog limits input_bytes to 2²⁸, so both fit.
    (width as u32, height as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documented rule, written as plainly as possible.
    fn reference(work: &ResizeWork, task: u32) -> u64 {
        let (w, h) = (work.width as usize, work.height as usize);
        let source = &work.buffer[(task as usize % WINDOWS) * PIXEL..];
        let at = |x: usize, y: usize, c: usize| u32::from(source[(y * w + x) * PIXEL + c]);
        let mut pixels = Vec::new();
        for y in (0..h).step_by(2) {
            for x in (0..w).step_by(2) {
                let byte = |c| {
                    let left = (at(x, y, c) + at(x, y + 1, c)).div_ceil(2);
                    let right = (at(x + 1, y, c) + at(x + 1, y + 1, c)).div_ceil(2);
                    (left + right).div_ceil(2) as u8
                };
                pixels.push(u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]));
            }
        }
        digest(pixels.into_iter(), work.seed, task)
    }

    #[test]
    fn the_library_computes_the_documented_rule() {
        for input_bytes in [16, 64, 100, 256, 1000, 4096, 5000, 32_768, 65_536, 262_144] {
            let work = ResizeWork::prepare(input_bytes, 42);
            for task in [0, 1, 7, 63, 64, 1000] {
                assert_eq!(
                    work.run(task).unwrap(),
                    reference(&work, task),
                    "{input_bytes} bytes, task {task}"
                );
            }
        }
    }

    #[test]
    fn the_image_fills_the_input() {
        for (input_bytes, expected) in [
            (16, (2, 2)),
            (64, (4, 4)),
            (512, (16, 8)),
            (1000, (30, 8)),
            (1 << 20, (512, 512)),
            (1 << 28, (8192, 8192)),
        ] {
            assert_eq!(dimensions(input_bytes), expected, "{input_bytes}");
        }
        for input_bytes in 16..5000 {
            let (w, h) = dimensions(input_bytes);
            let image = w as usize * h as usize * PIXEL;
            assert!(w >= 2 && h >= 2 && w % 2 == 0 && h % 2 == 0, "{input_bytes}");
            assert!(image <= input_bytes && image * 2 > input_bytes, "{input_bytes}: {w}×{h}");
        }
    }

    #[test]
    fn the_digest_sees_every_pixel_and_its_place() {
        let pixels: Vec<u32> = (0..100).map(|i| word(3, i) as u32).collect();
        let right = digest(pixels.iter().copied(), 1, 2);
        for i in 0..100 {
            let mut wrong = pixels.clone();
            wrong[i] ^= 0x80;
            assert_ne!(right, digest(wrong.into_iter(), 1, 2));
            let mut wrong = pixels.clone();
            wrong.swap(i, (i + 1) % 100);
            assert_ne!(right, digest(wrong.into_iter(), 1, 2));
        }
        assert_ne!(right, digest(pixels.iter().copied(), 1, 3));
        assert_ne!(right, digest(pixels.iter().copied(), 2, 2));
    }
}
