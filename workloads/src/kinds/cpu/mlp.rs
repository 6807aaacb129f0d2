//! Inference of a small network: rows of 64 inputs through layers of 128, 128 and 16, by `ndarray` in single precision.
//!
//! Every value is a whole number small enough that single precision holds it and every sum of products exactly (below 2²⁴;
//! here 36,000 at most), as in a quantised network. So it does not matter in which order a library adds, how wide its
//! vectors are, or whether it fuses products with sums: all of them compute the same outputs. After each hidden layer comes
//! `min(floor(max(x, 0) / 64), 15)`.
//!
//! A step is a block of rows that goes through the whole network.

use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};

use super::Kernel;
use super::steps::{Steps, piece};
use crate::checksum::{random_bytes, seal, weigh};

/// Inputs of a row.
const INPUTS: usize = 64;
/// Outputs of each layer.
const LAYERS: [usize; 3] = [128, 128, 16];
/// Blocks are multiples of so many rows, so that a block's products are worth the setting up.
const UNIT: usize = 16;
/// Task `t` sees the rows from `t % WINDOWS` on: different input, no copy, equal work.
const WINDOWS: usize = 64;
/// Inputs and hidden values are from 0 to this.
const VALUE_MAX: u8 = 15;
/// What a hidden value is divided by; a power of two, so that the quotient is exact.
const SCALE: f32 = 64.0;
/// Biases are so many times a weight.
const BIAS: f32 = 512.0;

/// A layer: a column of weights and a bias for each output.
#[derive(Debug)]
struct Layer {
    weights: Array2<f32>,
    biases: Array1<f32>,
}

/// The network and the rows that all tasks feed it, each from another row on.
#[derive(Debug)]
pub(super) struct MlpWork {
    seed: u64,
    layers: Vec<Layer>,
    /// `rows` and `WINDOWS` more.
    inputs: Array2<f32>,
    rows: usize,
}

impl Kernel for MlpWork {
    const NAME: &'static str = "mlp";
    const COST_US: (f64, f64) = (8.0, 0.004_5);

    /// 256 bytes are a row, and there is at least one.
    fn prepare(input_bytes: usize, seed: u64) -> Self {
        let rows = (input_bytes / (INPUTS * size_of::<f32>())).max(1);
        let sizes = [INPUTS].into_iter().chain(LAYERS).zip(LAYERS);
        let count: usize = sizes.clone().map(|(from, to)| (from + 1) * to).sum();
        let bytes = random_bytes(seed, count + (rows + WINDOWS) * INPUTS);
        let mut bytes = bytes.into_iter();
        let mut take = || f32::from(bytes.next().unwrap_or_default() & VALUE_MAX);
        let mut layers = Vec::new();
        for (from, to) in sizes {
            // Odd numbers from −15 to 15.
            let mut weight = || 2.0 * take() - f32::from(VALUE_MAX);
            layers.push(Layer {
                weights: Array2::from_shape_simple_fn((from, to), &mut weight),
                biases: Array1::from_shape_simple_fn(to, || BIAS * weight()),
            });
        }
        let inputs = Array2::from_shape_simple_fn((rows + WINDOWS, INPUTS), take);
        Self { seed, layers, inputs, rows }
    }

    fn run(&self, task: u32, steps: &mut impl Steps) -> Result<u64, String> {
        let start = task as usize % WINDOWS;
        let inputs = self.inputs.slice_axis(Axis(0), Slice::from(start..start + self.rows));
        let block = piece(self.rows, UNIT);
        let (mut sum, mut first) = (0u64, 0);
        for from in (0..self.rows).step_by(block) {
            steps.begin();
            let outputs =
                self.infer(inputs.slice_axis(Axis(0), Slice::from(from..self.rows.min(from + block))));
            // Negative numbers in two's complement of 32 bits.
            sum = sum.wrapping_add(weigh(first, outputs.iter().map(|x| u64::from(*x as i32 as u32))));
            first += outputs.len() as u64;
        }
        Ok(seal(sum, self.seed, task))
    }

    fn bytes(&self) -> usize {
        size_of::<f32>() * self.inputs.len()
    }
}

impl MlpWork {
    /// The outputs for these rows.
    fn infer(&self, inputs: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut values = self.layers[0].apply(inputs);
        for layer in &self.layers[1..] {
            values.mapv_inplace(|x| (x.max(0.0) / SCALE).floor().min(f32::from(VALUE_MAX)));
            values = layer.apply(values.view());
        }
        values
    }
}

impl Layer {
    fn apply(&self, values: ArrayView2<'_, f32>) -> Array2<f32> {
        values.dot(&self.weights) + &self.biases
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::cpu::steps::Free;

    /// The same in integers, element by element.
    fn reference(work: &MlpWork, row: usize) -> Vec<i32> {
        let mut values: Vec<i32> = work.inputs.row(row).iter().map(|x| *x as i32).collect();
        for (index, layer) in work.layers.iter().enumerate() {
            if index > 0 {
                values.iter_mut().for_each(|x| *x = ((*x).max(0) / 64).min(15));
            }
            let output = |to: usize| {
                let products =
                    values.iter().enumerate().map(|(from, x)| x * layer.weights[[from, to]] as i32);
                products.sum::<i32>() + layer.biases[to] as i32
            };
            values = (0..LAYERS[index]).map(output).collect();
        }
        values
    }

    #[test]
    fn single_precision_is_exact() {
        for input_bytes in [16, 256, 256 * 33, 100_000] {
            let work = MlpWork::prepare(input_bytes, 11);
            for task in [0, 5, 63, 64] {
                let start = task as usize % WINDOWS;
                let outputs = (start..start + work.rows).flat_map(|row| reference(&work, row));
                let sum = weigh(0, outputs.map(|x| u64::from(x as u32)));
                assert_eq!(work.run(task, &mut Free).unwrap(), seal(sum, 11, task), "{input_bytes}, {task}");
            }
        }
    }

    /// No layer is stuck at its ends, which would make the rest of the network idle.
    #[test]
    fn the_network_is_alive() {
        let work = MlpWork::prepare(1 << 16, 11);
        let outputs = work.infer(work.inputs.view());
        let mut distinct: Vec<i32> = outputs.iter().map(|x| *x as i32).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 1000, "{}", distinct.len());
        assert!(outputs.iter().all(|x| x.abs() < 16_777_216.0));
    }
}
