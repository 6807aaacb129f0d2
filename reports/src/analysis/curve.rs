//! Curves through the grid points of a line, and where they cross zero.
//!
//! Places are ln x where every x is positive, else x itself.

/// Number of curves: see [`roots`].
pub(crate) const KINDS: usize = 3;
/// Index of the cubic among the roots.
pub(crate) const CUBIC: usize = 2;

/// A value within this relative distance of a grid point is that point.
const SNAP: f64 = 1e-6;

/// The grid of a line.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    xs: Vec<f64>,
    pub(crate) places: Vec<f64>,
    log: bool,
}

impl Axis {
    /// An axis through ascending, distinct values.
    pub(crate) fn new(xs: &[f64]) -> Self {
        let log = xs.iter().all(|&x| x > 0.0);
        let places = xs.iter().map(|&x| if log { x.ln() } else { x }).collect();
        Self { xs: xs.to_vec(), places, log }
    }

    pub(crate) fn place(&self, x: f64) -> f64 {
        if self.log { x.ln() } else { x }
    }

    pub(crate) fn value(&self, place: f64) -> f64 {
        let x = if self.log { place.exp() } else { place };
        // Logarithms, and the single precision of replicates, lose the last digits: 63.99999999999998 is 64.
        let near = |grid: &&f64| (x - **grid).abs() <= SNAP * grid.abs();
        if let Some(&exact) = self.xs.iter().find(near) {
            return exact;
        }
        // Rounding must not lead out of the grid.
        x.clamp(self.xs[0], self.xs[self.xs.len() - 1])
    }
}

/// Segments of `window` in which `g` leaves the side of `sign` (to zero or beyond).
pub(crate) fn changes(g: &[f64], sign: f64, window: [usize; 2]) -> Vec<usize> {
    (window[0]..window[1]).filter(|&i| g[i] * sign > 0.0 && g[i + 1] * sign <= 0.0).collect()
}

/// Places at which three curves through (`axis`, `g`) cross zero in the segment that starts at point `i`: linear in
/// place; difference of the times linear in x, with `levels` = ln of the first time; monotone cubic in place.
///
/// `g[i]` is not zero and `g[i + 1]` is zero or of the other sign.
pub(crate) fn roots(axis: &Axis, g: &[f64], levels: &[f64], i: usize) -> [f64; KINDS] {
    let [p0, p1] = [axis.places[i], axis.places[i + 1]];
    let share = |d0: f64, d1: f64| (d0 / (d0 - d1)).clamp(0.0, 1.0);
    let linear = p0 + share(g[i], g[i + 1]) * (p1 - p0);
    // The times relative to the left one: differences of e^700 and 1 must not overflow.
    let growth = (levels[i + 1] - levels[i]).clamp(-100.0, 100.0).exp();
    let by_time = share(g[i].exp_m1(), g[i + 1].exp_m1() * growth);
    let affine = axis.place(axis.xs[i] + by_time * (axis.xs[i + 1] - axis.xs[i])).clamp(p0, p1);
    [linear, affine, p0 + cubic_root(&axis.places, g, i) * (p1 - p0)]
}

/// Share of segment `i` at which the monotone cubic through `g` is zero, by bisection.
fn cubic_root(places: &[f64], g: &[f64], i: usize) -> f64 {
    let width = places[i + 1] - places[i];
    let (g0, g1) = (g[i], g[i + 1]);
    let (s0, s1) = (slope(places, g, i) * width, slope(places, g, i + 1) * width);
    let at = |t: f64| {
        let u = 1.0 - t;
        u * u * ((1.0 + 2.0 * t) * g0 + t * s0) + t * t * ((3.0 - 2.0 * t) * g1 - u * s1)
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..26 {
        let middle = f64::midpoint(low, high);
        if at(middle) * g0 > 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// Slope at point `i` after Steffen (1990): never so steep that the cubic overshoots between its points.
fn slope(places: &[f64], g: &[f64], i: usize) -> f64 {
    let secant = |j: usize| (g[j + 1] - g[j]) / (places[j + 1] - places[j]);
    let last = g.len() - 1;
    if i > 0 && i < last {
        let (left, right) = (places[i] - places[i - 1], places[i + 1] - places[i]);
        let (a, b) = (secant(i - 1), secant(i));
        let parabola = (a * right + b * left) / (left + right);
        return (a.signum() + b.signum()) * a.abs().min(b.abs()).min(0.5 * parabola.abs());
    }
    if last == 1 {
        return secant(0);
    }
    let (near, far, at_near, at_far) = if i == 0 {
        (secant(0), secant(1), 0, 1)
    } else {
        (secant(last - 1), secant(last - 2), last - 1, last - 2)
    };
    let (width, next) = (places[at_near + 1] - places[at_near], places[at_far + 1] - places[at_far]);
    let parabola = near + (near - far) * width / (width + next);
    if parabola * near <= 0.0 { 0.0 } else { near.signum() * parabola.abs().min(2.0 * near.abs()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cross(xs: &[f64], a: impl Fn(f64) -> f64, b: impl Fn(f64) -> f64) -> [f64; KINDS] {
        let axis = Axis::new(xs);
        let g: Vec<f64> = xs.iter().map(|&x| (b(x) / a(x)).ln()).collect();
        let levels: Vec<f64> = xs.iter().map(|&x| a(x).ln()).collect();
        let segments = changes(&g, g[0].signum(), [0, xs.len() - 1]);
        assert_eq!(segments.len(), 1);
        roots(&axis, &g, &levels, segments[0]).map(|p| axis.value(p))
    }

    #[test]
    fn a_grid_point_comes_back_as_it_was() {
        let grid = [0.1, 0.3, 3.0, 10.0, 64.0, 1000.0, 1e6];
        let axis = Axis::new(&grid);
        for x in grid {
            let place = axis.place(x);
            assert_eq!([axis.value(place), axis.value(f64::from(place as f32))], [x, x]);
        }
        assert!((axis.value(65f64.ln()) - 65.0).abs() < 1e-9);
    }

    #[test]
    fn each_curve_is_exact_where_it_should_be() {
        let grid: Vec<f64> = (0..9).map(|i| 0.3 * 3f64.powi(i)).collect();
        let [linear, _, cubic] = cross(&grid, |_| 5.0, |x| 5.0 * (x / 20.0).powf(0.7));
        assert!((linear - 20.0).abs() < 1e-6 && (cubic - 20.0).abs() < 1e-5, "{linear} {cubic}");
        let [linear, affine, cubic] = cross(&grid, |x| x, |x| 10.0 + x / 2.0);
        assert!((affine - 20.0).abs() < 1e-6, "{affine}");
        assert!((linear - 20.0).abs() > 0.5, "the point of the others: {linear}");
        assert!((cubic - 20.0).abs() < 0.5, "{cubic}");
    }

    #[test]
    fn roots_stay_in_their_segment_whatever_the_neighbours_do() {
        let xs = [0.0, 1.0, 2.0, 3.0, 10.0];
        let axis = Axis::new(&xs);
        for g in [[1e9, 1.0, -1e-9, -1e9, 5.0], [0.1, 1e-300, -700.0, 3.0, 3.0], [1.0, 1.0, 0.0, 0.0, -1.0]] {
            for root in roots(&axis, &g, &[700.0, -700.0, 44.0, 0.0, 0.0], 1) {
                assert!((1.0..=2.0).contains(&root), "{g:?}: {root}");
            }
        }
        assert_eq!(cross(&[1.0, 4.0], |_| 1.0, |x| x / 2.0).len(), KINDS);
    }

    #[test]
    fn a_change_is_counted_once_even_through_zero() {
        assert_eq!(changes(&[1.0, 0.0, 0.0, -1.0, 1.0, -2.0], 1.0, [0, 5]), [0, 4]);
        assert_eq!(changes(&[1.0, 0.0, 0.0, -1.0, 1.0, -2.0], -1.0, [0, 5]), [3]);
    }
}
