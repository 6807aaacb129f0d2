//! The Mandelbrot set in double precision: for every pixel, how many steps z² + c takes to leave the circle of radius 2, up
//! to 255.
//!
//! Additions and products of IEEE 754 are exactly rounded, in a fixed order, and never fused (Rust does not fuse what is
//! written as two operations): every machine and every language counts the same. Nothing is read from memory. A step is a
//! stripe of rows; those through the set take longer than those beside it.

use super::Kernel;
use super::steps::{Steps, piece};
use crate::checksum::{seal, weigh, word};

/// Steps after which a point is taken to be in the set.
const LIMIT: u8 = 255;
/// Width and height of the window, and its lower left corner before the task moves it.
const SIDE: f64 = 2.5;
const LEFT: f64 = -2.0;
const BOTTOM: f64 = -1.25;
/// A task moves the window by up to 65,535 of these: 0.0039 at most, so that all tasks do about the same work.
const SHIFT: f64 = 1.0 / 16_777_216.0;

/// The size of the picture; each task draws its own window of the plane.
#[derive(Debug)]
pub(super) struct MandelbrotWork {
    seed: u64,
    width: usize,
    height: usize,
}

impl Kernel for MandelbrotWork {
    const NAME: &'static str = "mandelbrot";
    const COST_US: (f64, f64) = (0.1, 0.14);

    /// A byte per pixel: the height is a power of two, and the width at least as much.
    fn prepare(input_bytes: usize, seed: u64) -> Self {
        let height = 1 << (input_bytes.ilog2() / 2);
        Self { seed, width: input_bytes / height, height }
    }

    fn run(&self, task: u32, steps: &mut impl Steps) -> Result<u64, String> {
        let shift = word(self.seed, u64::from(task));
        let (left, bottom) = (LEFT + (shift & 0xFFFF) as f64 * SHIFT, BOTTOM + (shift >> 48) as f64 * SHIFT);
        let (dx, dy) = (SIDE / self.width as f64, SIDE / self.height as f64);
        let mut pixels = vec![0; self.width * self.height];
        let rows = piece(self.height, 1);
        for (index, stripe) in pixels.chunks_mut(rows * self.width).enumerate() {
            steps.begin();
            for (y, row) in (index * rows..).zip(stripe.chunks_mut(self.width)) {
                let imaginary = bottom + y as f64 * dy;
                for (x, pixel) in row.iter_mut().enumerate() {
                    *pixel = escape(left + x as f64 * dx, imaginary);
                }
            }
        }
        Ok(seal(weigh(0, pixels.into_iter().map(u64::from)), self.seed, task))
    }

    fn bytes(&self) -> usize {
        0
    }
}

/// How many steps from 0 stay within the circle of radius 2.
fn escape(real: f64, imaginary: f64) -> u8 {
    let (mut x, mut y) = (0.0, 0.0);
    for count in 0..LIMIT {
        let (xx, yy) = (x * x, y * y);
        if xx + yy > 4.0 {
            return count;
        }
        y = 2.0 * x * y + imaginary;
        x = xx - yy + real;
    }
    LIMIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points() {
        for (real, imaginary, count) in [
            (0.0, 0.0, LIMIT),
            (-1.0, 0.0, LIMIT),
            (-2.0, 0.0, LIMIT),
            (0.25, 0.0, LIMIT),
            (2.0, 2.0, 1),
            (1.0, 0.0, 3),
            (-2.1, 0.0, 1),
        ] {
            assert_eq!(escape(real, imaginary), count, "{real} + {imaginary} i");
        }
    }
}
