//! What every picture has: the headline, the conditions under it, and labels that keep clear of each other.
use super::canvas::{Scene, Text};
use super::font::{self, Weight};
use super::style::Colour;

/// Draws headline and subtitle; returns the y below which the picture has room.
pub(crate) fn head(scene: &mut Scene, title: &str, subtitle: &str) -> f64 {
    let form = scene.form;
    let (left, room) = (scene.left(), scene.right() - scene.left());
    let (few, most) = form.title_lines();
    let sizes = form.title_sizes();
    let fits = |size: &f64| font::wrap(title, *size, Weight::Bold, room).len() <= few;
    let size = sizes.into_iter().find(fits).unwrap_or(sizes[2]);
    let mut y = 10.0;
    for line in balanced(title, size, room, most) {
        y += size * 1.3;
        scene.text(Text::new(line, (left, y), size).bold().colour(Colour::Ink));
    }
    y += 7.0;
    for line in font::wrap_at_most(subtitle, 12.5, Weight::Regular, room, form.subtitle_lines()) {
        y += 17.0;
        scene.text(Text::new(line, (left, y), 12.5));
    }
    y + 8.0
}

/// The lines of a headline, of about the same length.
fn balanced(title: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let lines = font::wrap_at_most(title, size, Weight::Bold, room, most);
    let narrower = |share: f64| font::wrap_at_most(title, size, Weight::Bold, room * share, most);
    if lines.len() < 2 || lines.len() == most {
        return lines;
    }
    // As many lines, and no word broken that was whole.
    let good = |tried: &Vec<String>| tried.len() == lines.len() && tried.join(" ") == lines.join(" ");
    [0.6, 0.7, 0.8, 0.9].map(narrower).into_iter().find(good).unwrap_or(lines)
}

/// Positions as near to `wanted` as possible that keep `gap` between neighbours and stay within `low..=high`.
///
/// Neighbours that would collide form a block around the middle of their wishes. Where `gap` does not fit at all, the
/// positions are spread evenly.
pub(crate) fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]).then(a.cmp(b)));
    let gap = gap.min((high - low) / wanted.len().max(2).saturating_sub(1) as f64);
    // A block is its first position and its number of members, kept within the limits.
    let mut blocks: Vec<(f64, usize, f64)> = Vec::new();
    for &index in &order {
        let mut block = (wanted[index], 1, wanted[index]);
        block.0 = block.0.clamp(low, high);
        while let Some(&(start, count, sum)) = blocks.last() {
            if start + count as f64 * gap <= block.0 {
                break;
            }
            blocks.pop();
            // The members' wishes, each less its offset in the block, average to the best start.
            let offset = gap * count as f64 * block.1 as f64;
            let members = count + block.1;
            let sum = sum + block.2 - offset;
            let last = high - gap * (members - 1) as f64;
            block = ((sum / members as f64).clamp(low, last.max(low)), members, sum);
        }
        blocks.push(block);
    }
    let mut placed = vec![0.0; wanted.len()];
    let positions =
        blocks.iter().flat_map(|(start, count, _)| (0..*count).map(move |k| start + k as f64 * gap));
    for (&index, position) in order.iter().zip(positions) {
        placed[index] = position;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lone_labels_stay_where_they_want_to_be() {
        assert_eq!(spread(&[50.0, 10.0, 90.0], 15.0, 0.0, 100.0), [50.0, 10.0, 90.0]);
        assert_eq!(spread(&[50.0, 50.0], 10.0, 0.0, 100.0), [45.0, 55.0]);
        assert!(spread(&[], 10.0, 0.0, 100.0).is_empty());
    }

    proptest! {
        #[test]
        fn labels_never_collide(wanted in prop::collection::vec(-50.0..450.0_f64, 1..24), gap in 1.0..40.0_f64) {
            let placed = spread(&wanted, gap, 0.0, 400.0);
            let gap = gap.min(400.0 / wanted.len().max(2).saturating_sub(1) as f64);
            let mut sorted = placed.clone();
            sorted.sort_by(f64::total_cmp);
            prop_assert!(sorted.windows(2).all(|p| p[1] - p[0] >= gap - 1e-6), "{sorted:?}");
            prop_assert!(sorted[0] >= -1e-6 && sorted[sorted.len() - 1] <= 400.0 + 1e-6, "{sorted:?}");
            for (a, b) in wanted.iter().zip(&placed) {
                for (c, d) in wanted.iter().zip(&placed) {
                    prop_assert!(a >= c || b <= d, "order kept");
                }
            }
        }
    }
}
