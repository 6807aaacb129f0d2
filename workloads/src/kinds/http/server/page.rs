//! Generated web pages: paragraphs of words made of syllables, some of which are links. Seed and number decide all of it.

use std::fmt::Write;

use crate::checksum::word;

/// The longest page that the server makes.
pub(crate) const PAGE_BYTES_MAX: usize = 1 << 22;
/// What words are made of: two each.
const SYLLABLES: [&str; 16] =
    ["ka", "re", "mi", "to", "su", "na", "lo", "vi", "pe", "du", "ha", "ri", "mo", "te", "sa", "ni"];
/// Words of a paragraph.
const PARAGRAPH: u32 = 24;

/// The page of this seed and number: paragraphs until `bytes` are reached.
pub(crate) fn page(seed: u64, number: u32, bytes: usize) -> String {
    let key = word(seed, u64::from(number));
    let mut page = String::with_capacity(bytes.min(PAGE_BYTES_MAX) + 1024);
    // Writing to a string cannot fail.
    let _ = write!(page, "<!doctype html>\n<html><head><title>page {number}</title></head><body>\n");
    let mut index = 0;
    while page.len() < bytes.min(PAGE_BYTES_MAX) {
        page.push_str("<p>");
        for place in 0..PARAGRAPH {
            let draw = word(key, index);
            index += 1;
            let [first, second] = [draw, draw >> 4].map(|bits| SYLLABLES[(bits & 15) as usize]);
            if place > 0 {
                page.push(' ');
            }
            // One word in sixteen is a link.
            let _ = match draw >> 8 & 15 {
                0 => write!(page, "<a href=\"/page/{:08x}\">{first}{second}</a>", draw >> 32),
                _ => write!(page, "{first}{second}"),
            };
        }
        page.push_str("</p>\n");
    }
    page.push_str("</body></html>\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_long_as_asked_for_and_its_own() {
        let one = page(1, 2, 10_000);
        assert!(one.len() >= 10_000 && one.len() < 11_000, "{}", one.len());
        assert!(one.starts_with("<!doctype html>\n") && one.ends_with("</p>\n</body></html>\n"));
        assert!(one.contains("<title>page 2</title>") && one.contains("<a href=\"/page/"));
        assert!(one == page(1, 2, 10_000) && one != page(2, 2, 10_000) && one != page(1, 3, 10_000));
        assert!(!page(1, 0, 0).contains("<p>"));
    }
}
