//! Holm's step-down adjustment: the chance of one false claim among all claims stays below α.

/// Which hypotheses are rejected at `alpha` together, given their p-values.
///
/// With m hypotheses the smallest p must pass α/m, the next α/(m-1), and so on to the first that fails.
pub(crate) fn rejected(p_values: &[f64], alpha: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut rejected = vec![false; p_values.len()];
    for (passed, i) in order.into_iter().enumerate() {
        // A NaN fails the comparison and ends the descent.
        if p_values[i] <= alpha / (p_values.len() - passed) as f64 {
            rejected[i] = true;
        } else {
            break;
        }
    }
    rejected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_pays_for_all_and_the_first_failure_ends_it() {
        assert_eq!(rejected(&[0.01, 0.04, 0.03, 0.005], 0.05), [true, false, false, true]);
        assert_eq!(rejected(&[0.02, 0.04], 0.05), [true, true]);
        assert_eq!(rejected(&[0.03, 0.04], 0.05), [false, false]);
        assert_eq!(rejected(&[f64::NAN, 0.001], 0.05), [false, true]);
        assert!(rejected(&[], 0.05).is_empty());
    }
}
