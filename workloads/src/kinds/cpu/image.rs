//! What `resize` and `thumbnail` share: an opaque RGBA image of which each task sees another window, reduced to half its
//! width and height by `fast_image_resize`, and the digest of the small one.
//!
//! The filter is the box: every output byte is the mean of a 2×2 square, rounded half up after the vertical pass and
//! again after the horizontal one. Its weights are exact in binary, so that every CPU, and every library that works
//! like Pillow, computes the same bytes and a contestant in another language can reach the same checksum.
//! All pixels are opaque: premultiplied alpha would change nothing.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x4;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::steps::{Steps, piece};
use crate::checksum::weigh;

/// Bytes of a pixel.
pub(super) const PIXEL: usize = 4;
/// Task `t` sees the image that starts at pixel `t % WINDOWS` of the buffer: different input, no copy, equal work.
const WINDOWS: usize = 64;

/// Bytes of the large image that a step shrinks at least: setting up the filter takes the library some 10 µs each time.
const STRIPE_BYTES: usize = 256 * 1024;

/// The pixels that all tasks look at, each through its own window.
#[derive(Debug)]
pub(super) struct Image {
    width: u32,
    height: u32,
    /// The image and `WINDOWS` pixels more.
    buffer: Vec<u8>,
}

impl Image {
    /// An image that fills `input_bytes` as well as its shape allows. `paint` fills the buffer, which has rows of the
    /// given width; opacity is seen to.
    pub(super) fn new(input_bytes: usize, paint: impl FnOnce(usize, usize) -> Vec<u8>) -> Self {
        let (width, height) = dimensions(input_bytes);
        let bytes = (width as usize * height as usize + WINDOWS) * PIXEL;
        let mut buffer = paint(width as usize, bytes);
        for alpha in buffer.iter_mut().skip(PIXEL - 1).step_by(PIXEL) {
            *alpha = 255;
        }
        Self { width, height, buffer }
    }

    /// Width and height of the small image.
    pub(super) fn target(&self) -> (usize, usize) {
        (self.width as usize / 2, self.height as usize / 2)
    }

    pub(super) fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The small image of the window of `task`. A step is a stripe of rows.
    pub(super) fn shrink<S: Steps>(
        &self,
        task: u32,
        steps: &mut S,
    ) -> Result<TypedImage<'static, U8x4>, String> {
        let (width, height) = self.target();
        let unit = STRIPE_BYTES.div_ceil(4 * PIXEL * width);
        let rows = if S::MATTER { piece(height, unit).min(height) } else { height };
        let mut small = TypedImage::new(width as u32, height as u32);
        let mut resizer = Resizer::new();
        for (index, stripe) in small.pixels_mut().chunks_mut(rows * width).enumerate() {
            steps.begin();
            self.shrink_stripe(&mut resizer, task, index * rows, stripe)?;
        }
        Ok(small)
    }

    /// Computes the rows of the small image from `row` on that `stripe` has room for.
    fn shrink_stripe(
        &self,
        resizer: &mut Resizer,
        task: u32,
        row: usize,
        stripe: &mut [U8x4],
    ) -> Result<(), String> {
        let (width, _) = self.target();
        // Whole rows of an image whose height fits.
        let rows = (stripe.len() / width) as u32;
        let start = (task as usize % WINDOWS + 2 * row * self.width as usize) * PIXEL;
        let source = TypedImageRef::<U8x4>::from_buffer(self.width, 2 * rows, &self.buffer[start..])
            .map_err(|e| e.to_string())?;
        let mut target =
            TypedImage::from_pixels_slice(width as u32, rows, stripe).map_err(|e| e.to_string())?;
        let options =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box)).use_alpha(false);
        resizer.resize_typed(&source, &mut target, &options).map_err(|e| e.to_string())
    }
}

/// The weighted sum of pixels, each read as a little-endian number.
pub(super) fn weigh_pixels(pixels: &[U8x4]) -> u64 {
    weigh(0, pixels.iter().map(|pixel| u64::from(u32::from_le_bytes(pixel.0))))
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
    use crate::checksum::random_bytes;
    use crate::kinds::cpu::steps::Free;

    /// The documented rule, written as plainly as possible.
    fn reference(image: &Image, task: u32) -> Vec<U8x4> {
        let (w, h) = (image.width as usize, image.height as usize);
        let source = &image.buffer[(task as usize % WINDOWS) * PIXEL..];
        let at = |x: usize, y: usize, c: usize| u32::from(source[(y * w + x) * PIXEL + c]);
        let mut pixels = Vec::new();
        for y in (0..h).step_by(2) {
            for x in (0..w).step_by(2) {
                let byte = |c| {
                    let left = (at(x, y, c) + at(x, y + 1, c)).div_ceil(2);
                    let right = (at(x + 1, y, c) + at(x + 1, y + 1, c)).div_ceil(2);
                    (left + right).div_ceil(2) as u8
                };
                pixels.push(U8x4::new([byte(0), byte(1), byte(2), byte(3)]));
            }
        }
        pixels
    }

    #[test]
    fn the_library_computes_the_documented_rule() {
        for input_bytes in [16, 64, 100, 256, 1000, 4096, 5000, 32_768, 65_536, 262_144] {
            let image = Image::new(input_bytes, |_, bytes| random_bytes(42, bytes));
            let (width, height) = image.target();
            for task in [0, 1, 7, 63, 64, 1000] {
                let expected = reference(&image, task);
                let whole = image.shrink(task, &mut Free).unwrap();
                assert!(whole.pixels() == expected, "{input_bytes} bytes, task {task}");
                for rows in [1, 3, 8] {
                    let mut target = vec![U8x4::new([0; 4]); width * height];
                    for (piece, part) in target.chunks_mut(rows * width).enumerate() {
                        image.shrink_stripe(&mut Resizer::new(), task, piece * rows, part).unwrap();
                    }
                    assert!(target == expected, "{input_bytes} bytes, task {task}, {rows} rows");
                }
            }
        }
    }

    #[test]
    fn large_images_have_steps() {
        struct Count(usize);
        impl Steps for Count {
            const MATTER: bool = true;
            fn begin(&mut self) {
                self.0 += 1;
            }
        }
        for (input_bytes, steps) in [(16, 1), (1 << 18, 1), (1 << 20, 4), (1 << 22, 16), (100_000, 1)] {
            let image = Image::new(input_bytes, |_, bytes| random_bytes(42, bytes));
            let mut count = Count(0);
            let cut = image.shrink(3, &mut count).unwrap();
            assert!(cut.pixels() == image.shrink(3, &mut Free).unwrap().pixels());
            assert_eq!(count.0, steps, "{input_bytes}");
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
}
