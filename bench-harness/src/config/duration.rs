//! Lengths of time as a person writes them: `90s`, `5m`, `1h`, `1m30s`, `500ms`.
use std::time::Duration;

/// Longest budget that is taken seriously.
const MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Units with their lengths in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a length of time.
///
/// # Errors
/// The reason, as a sentence that shows `text`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let shown = super::suggest::shown(text);
    let form = format!("\"{shown}\" is not a length of time: write 90s, 5m, 1m30s or 1h");
    let trimmed = text.trim();
    if let Some(rest) = trimmed.strip_prefix('-')
        && rest.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(format!("\"{shown}\" is impossible: time cannot be negative"));
    }
    let mut rest = trimmed;
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(form);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        if number.is_empty() {
            return Err(form);
        }
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(letters);
        if unit.is_empty() && next.is_empty() {
            return Err(format!("\"{shown}\" has no unit at its end: write 90s, 5m, 1m30s or 1h"));
        }
        let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else { return Err(form) };
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*length));
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| u128::from(*total) <= MAX.as_millis())
            .ok_or_else(|| format!("\"{shown}\" is too long: at most 720h"))?;
        rest = next.trim_start();
    }
    if total == 0 {
        return Err(format!("\"{shown}\" is impossible: nothing can be measured in no time"));
    }
    Ok(Duration::from_millis(total))
}

/// Writes a length of time so that [`parse`] reads it back, to the millisecond.
#[must_use]
pub fn show(length: Duration) -> String {
    let mut rest = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, size) in UNITS {
        if rest >= size {
            text += &format!("{}{unit}", rest / size);
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("500ms", 500),
            (" 2s ", 2000),
        ] {
            let length = parse(text).expect(text);
            assert_eq!(length, Duration::from_millis(ms), "{text}");
            assert_eq!(parse(&show(length)), Ok(length), "{text}");
        }
    }

    #[test]
    fn refuses_with_the_reason() {
        for (text, reason) in [
            ("", "not a length"),
            ("-5m", "negative"),
            ("0s", "no time"),
            ("5", "no unit"),
            ("1m30", "no unit"),
            ("5 parsecs", "not a length"),
            ("5d", "not a length"),
            ("1.5h", "not a length"),
            ("99999999999999999999s", "too long"),
            ("18446744073709551615h", "too long"),
            ("721h", "too long"),
            ("nan", "not a length"),
            ("∞", "not a length"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
