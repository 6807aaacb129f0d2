//! Medians, and the interval of a median of ratios.

/// One contestant's costs per operation, in the order of the rounds.
#[derive(Clone, Debug)]
pub struct Samples(Vec<f64>);

/// The median of paired ratios with its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Samples {
    pub fn new(by_round: Vec<f64>) -> Samples {
        Samples(by_round)
    }

    pub fn by_round(&self) -> &[f64] {
        &self.0
    }

    pub fn median(&self) -> f64 {
        median(&sorted(self.0.iter().copied()))
    }

    /// How `self` compares with `reference` in the same rounds; below 1, `self` is cheaper.
    pub fn ratio_to(&self, reference: &Samples) -> Ratio {
        let ratios = sorted(self.0.iter().zip(&reference.0).map(|(own, other)| own / other));
        let rank = interval_rank(ratios.len());
        Ratio { median: median(&ratios), low: ratios[rank], high: ratios[ratios.len() - 1 - rank] }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// How many of `n` sorted values to leave out at each end, so that the rest spans the median with 95 % confidence whatever
/// their distribution: the count of values below the median is binomial. None may be left out of fewer than nine.
fn interval_rank(n: usize) -> usize {
    if n >= 100 {
        // The binomial's normal approximation; further down it is not good enough.
        return ((n as f64 - 1.96 * (n as f64).sqrt()) / 2.0) as usize - 1;
    }
    // The probability of `below` values below the median, and of at most so many.
    let mut probability = 0.5f64.powi(n as i32);
    let mut at_most = probability;
    let mut rank = 0;
    for below in 1..n / 2 {
        probability *= (n - below + 1) as f64 / below as f64;
        at_most += probability;
        if at_most > 0.025 {
            break;
        }
        rank = below;
    }
    rank
}
