//! A picture reduced to half its width and height and written as a JPEG of quality 85, 4:2:0: see [`image`](super::image).
//!
//! A step is a stripe that is shrunk or a line of blocks that is encoded, which begins when the encoder asks for the first
//! of its 16 rows. JPEG encoders round each in their own way, so the digest is that of the small picture and of the width and height that
//! the JPEG says it has. The picture is a slope with a little noise: pure noise would cost the encoder several times as
//! much as pictures do.

use std::cell::RefCell;

use fast_image_resize::ImageView;
use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::U8x4;
use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor, rgb_to_ycbcr};

use super::Kernel;
use super::image::{Image, PIXEL, weigh_pixels};
use super::steps::Steps;
use crate::checksum::{random_bytes, seal};

/// Rows of a line of blocks at 4:2:0.
const LINE: u16 = 16;
const QUALITY: u8 = 85;
/// Bits of noise in each channel.
const NOISE: u8 = 15;

/// The picture that all tasks shrink, each through its own window.
#[derive(Debug)]
pub(super) struct ThumbnailWork {
    seed: u64,
    image: Image,
}

impl Kernel for ThumbnailWork {
    const NAME: &'static str = "thumbnail";
    const COST_US: (f64, f64) = (4.0, 0.001);

    fn prepare(input_bytes: usize, seed: u64) -> Self {
        Self { seed, image: Image::new(input_bytes, |width, bytes| paint(seed, width, bytes)) }
    }

    fn run(&self, task: u32, steps: &mut impl Steps) -> Result<u64, String> {
        let small = self.image.shrink(task, steps)?;
        let jpeg = encode(&small, steps)?;
        let (width, height) = frame_size(&jpeg).ok_or("the encoder wrote no frame header")?;
        let frame = u64::from(height) << 16 | u64::from(width);
        Ok(seal(weigh_pixels(small.pixels()).wrapping_add(frame), self.seed, task))
    }

    fn bytes(&self) -> usize {
        self.image.bytes()
    }
}

/// The JPEG of a picture.
fn encode(picture: &TypedImage<'_, U8x4>, steps: &mut impl Steps) -> Result<Vec<u8>, String> {
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let rows = Rows { picture, state: RefCell::new((steps, 0)) };
    encoder.encode_image(rows).map_err(|e| e.to_string())?;
    Ok(jpeg)
}

/// A picture, as the encoder asks for it: from the first row to the last, each in order.
struct Rows<'a, S> {
    picture: &'a TypedImage<'a, U8x4>,
    /// Who is told of steps, and the row that begins the next one.
    state: RefCell<(&'a mut S, u16)>,
}

impl<S: Steps> ImageBuffer for Rows<'_, S> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        // At most half of 2¹⁴: the catalog limits input_bytes to 2²⁸.
        self.picture.width() as u16
    }

    fn height(&self) -> u16 {
        self.picture.height() as u16
    }

    /// The last row is asked for again and again where the last line of blocks is not full.
    fn fill_buffers(&self, row: u16, channels: &mut [Vec<u8>; 4]) {
        let (steps, next) = &mut *self.state.borrow_mut();
        if row == *next {
            steps.begin();
            *next += LINE;
        }
        let width = usize::from(self.width());
        for pixel in &self.picture.pixels()[usize::from(row) * width..][..width] {
            let [red, green, blue, _] = pixel.0;
            let (y, cb, cr) = rgb_to_ycbcr(red, green, blue);
            channels[0].push(y);
            channels[1].push(cb);
            channels[2].push(cr);
        }
    }
}

/// A slope in each channel that starts over at 256, with noise.
fn paint(seed: u64, width: usize, bytes: usize) -> Vec<u8> {
    let mut buffer = random_bytes(seed, bytes);
    for (index, byte) in buffer.iter_mut().enumerate() {
        let (pixel, channel) = (index / PIXEL, index % PIXEL);
        *byte = ((pixel % width + pixel / width) / 2 + 85 * channel + usize::from(*byte & NOISE)) as u8;
    }
    buffer
}

/// Width and height as the frame header of a baseline JPEG states them.
fn frame_size(jpeg: &[u8]) -> Option<(u16, u16)> {
    let number = |at: usize| Some(u16::from_be_bytes([*jpeg.get(at)?, *jpeg.get(at + 1)?]));
    let mut at = 2;
    while *jpeg.get(at)? == 0xFF {
        if *jpeg.get(at + 1)? == 0xC0 {
            return Some((number(at + 7)?, number(at + 5)?));
        }
        at += 2 + usize::from(number(at + 2)?);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::cpu::steps::Free;

    fn small(input_bytes: usize) -> TypedImage<'static, U8x4> {
        ThumbnailWork::prepare(input_bytes, 5).image.shrink(9, &mut Free).unwrap()
    }

    #[test]
    fn the_jpeg_is_complete_and_has_the_size_of_the_small_picture() {
        for (input_bytes, size) in [(16, (1, 1)), (1000, (15, 4)), (8192, (32, 16)), (65_536, (64, 64))] {
            let jpeg = encode(&small(input_bytes), &mut Free).unwrap();
            assert_eq!(frame_size(&jpeg), Some(size));
            assert!(jpeg.starts_with(&[0xFF, 0xD8]) && jpeg.ends_with(&[0xFF, 0xD9]));
        }
    }

    /// Told apart from a picture of another kind by what the encoder makes of it.
    #[test]
    fn the_picture_compresses_as_pictures_do() {
        let picture = small(1 << 20);
        let jpeg = encode(&picture, &mut Free).unwrap();
        let bits = jpeg.len() as f64 * 8.0 / picture.pixels().len() as f64;
        assert!((0.5..4.0).contains(&bits), "{bits} bits per pixel");
    }

    #[test]
    fn every_line_of_blocks_is_a_step() {
        struct Count(u32);
        impl Steps for Count {
            const MATTER: bool = true;
            fn begin(&mut self) {
                self.0 += 1;
            }
        }
        for input_bytes in [16, 1000, 5000, 65_536, 300_000] {
            let (picture, mut count) = (small(input_bytes), Count(0));
            encode(&picture, &mut count).unwrap();
            assert_eq!(count.0, picture.height().div_ceil(u32::from(LINE)), "{input_bytes}");
        }
    }

    #[test]
    fn what_is_no_jpeg_has_no_size() {
        for bytes in [&b""[..], b"\xFF\xD8", b"\xFF\xD8\xFF\xC0\x00", b"\xFF\xD8\xFF\xE0\xFF\xFF", b"hello"] {
            assert_eq!(frame_size(bytes), None);
        }
    }
}
