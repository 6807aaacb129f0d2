//! "Did you mean": the known name nearest to one that is not known, and names made fit for an error message.

/// Longest name that is compared at all: a key may be as long as the file.
const COMPARED_CHARS: usize = 64;

/// The name of `known` nearest to `name`, if it is near enough to be a slip of the keyboard.
///
/// Case and the choice between `-` and `_` do not count.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.chars().nth(COMPARED_CHARS).is_some() {
        return None;
    }
    let wanted = plain(name);
    let allowed = |candidate: &str| wanted.chars().count().max(candidate.chars().count()).div_ceil(3);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean `X`?`, or nothing where no known name is near.
pub(super) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// `text` as one short line without control characters, for an error message.
#[must_use]
pub fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let mut line: String = text.chars().take(SHOWN_CHARS).flat_map(escaped).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        line.push('…');
    }
    line
}

/// `text` as one line without control characters, whole.
pub(super) fn one_line(text: &str) -> String {
    text.chars().flat_map(escaped).collect()
}

fn escaped(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_leaves_strangers_alone() {
        let known = ["rounds", "processes", "budget", "work-stealing", "tasks"];
        for (typed, meant) in [
            ("runds", Some("rounds")),
            ("Rounds", Some("rounds")),
            ("work_stealing", Some("work-stealing")),
            ("takss", Some("tasks")),
            ("procceses", Some("processes")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!(nearest(&"r".repeat(1 << 20), known), None, "a long name is not compared");
    }

    #[test]
    fn shown_text_is_short_and_without_control_characters() {
        assert_eq!(shown("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
        assert_eq!(shown(&"ä".repeat(100)).chars().count(), 61);
    }
}
