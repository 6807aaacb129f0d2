//! Plain text for a terminal: columns, numbers with their units, and printing that survives a closed pipe.
use std::io::{self, ErrorKind, Write as _};
use std::time::Duration;

/// Prints to standard output. A reader that has gone away (`crossover list | head`) is no error.
///
/// # Errors
/// Any other failure of writing.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Rows as columns two blanks apart; the columns from `right` on are aligned to the right.
#[must_use]
pub fn columns(rows: &[Vec<String>], right: usize) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            line += " ";
            line += &if column < right { format!("{cell}{pad}") } else { format!("{pad}{cell}") };
            line += " ";
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// A length of time with about three digits: `850 ns`, `12.3 µs`, `4.56 ms`, `7.8 s`, `12 min`, `3.4 h`.
#[must_use]
pub fn time(length: Duration) -> String {
    let seconds = length.as_secs_f64();
    let (value, unit) = match seconds {
        s if s >= 7200.0 => (s / 3600.0, "h"),
        s if s >= 120.0 => (s / 60.0, "min"),
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s if s >= 1e-6 => (s * 1e6, "µs"),
        s => (s * 1e9, "ns"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// `1 core`, `2 cores`.
#[must_use]
pub fn count(n: impl Into<u64>, noun: &str) -> String {
    let n = n.into();
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// `text` on lines of at most `width` characters, every line but the first indented by `indent`.
#[must_use]
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_rows_hold() {
        let rows = vec![vec!["a".into(), "µs".into()], vec!["long".into(), "1".into()], vec![]];
        assert_eq!(columns(&rows, 1), "  a     µs\n  long   1\n\n");
        assert_eq!(columns(&[], 0), "");
    }

    #[test]
    fn times_have_three_digits_and_a_unit() {
        for (nanos, shown) in [
            (0, "0.00 ns"),
            (850, "850 ns"),
            (12_340, "12.3 µs"),
            (4_560_000, "4.56 ms"),
            (90_000_000_000, "90.0 s"),
            (720_000_000_000, "12.0 min"),
        ] {
            assert_eq!(time(Duration::from_nanos(nanos)), shown);
        }
    }

    #[test]
    fn text_wraps_at_words() {
        assert_eq!(wrap("aa bb  cc", 5, 2), "aa bb\n  cc");
        assert_eq!(wrap("", 5, 2), "");
    }
}
