//! What is wrong with a configuration, and where.
//!
//! Every value of a configuration knows its [`Place`]: a span within one of the [`Sources`], which are the file
//! and every `--set`. An error made from a place shows the file, the line, the column and the line itself; one
//! made from a `--set` shows that argument.
use std::fmt;
use std::ops::Range;

use super::suggest::shown;

/// A configuration that cannot be used: where, which key, why, and what to do.
pub struct ConfigError {
    inner: Box<Inner>,
}

struct Inner {
    /// `FILE:LINE:COLUMN`, a file's path or a `--set` argument.
    location: String,
    key: Option<String>,
    message: String,
    snippet: Option<Snippet>,
    help: Vec<String>,
}

struct Snippet {
    line: usize,
    text: String,
    /// Characters before the caret, and the caret's length.
    caret: (usize, usize),
}

impl ConfigError {
    /// An error about a file or an argument as a whole.
    pub(crate) fn whole(location: impl Into<String>, message: impl Into<String>) -> Self {
        let inner = Inner {
            location: location.into(),
            key: None,
            message: message.into(),
            snippet: None,
            help: vec![],
        };
        Self { inner: Box::new(inner) }
    }

    /// Adds a line of advice below the error.
    #[must_use]
    pub(crate) fn help(mut self, line: impl Into<String>) -> Self {
        self.inner.help.push(line.into());
        self
    }

    /// The key that is at fault, as a dotted path, where it is one key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.inner.key.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.inner;
        write!(f, "{}: ", inner.location)?;
        if let Some(key) = &inner.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&inner.message)?;
        if let Some(snippet) = &inner.snippet {
            let number = snippet.line.to_string();
            let margin = " ".repeat(number.len());
            let (before, length) = snippet.caret;
            write!(f, "\n {margin} |\n {number} | {}", snippet.text)?;
            write!(f, "\n {margin} | {}{}", " ".repeat(before), "^".repeat(length))?;
        }
        for line in &inner.help {
            write!(f, "\n  = {line}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

/// Where a key or a value stands: bytes of one of the sources.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) source: usize,
    pub(super) span: Range<usize>,
}

/// The texts that make up one configuration: the file first, then every `--set` in order.
#[derive(Debug)]
pub(super) struct Sources(Vec<Source>);

#[derive(Debug)]
struct Source {
    label: String,
    text: String,
    is_file: bool,
}

impl Sources {
    pub(super) fn new(label: &str, text: &str) -> Self {
        Self(vec![Source { label: label.to_owned(), text: text.to_owned(), is_file: true }])
    }

    /// What the file is called.
    pub(super) fn label(&self) -> &str {
        &self.0[0].label
    }

    /// Adds a `--set` argument and returns its index.
    pub(super) fn add_set(&mut self, argument: &str) -> usize {
        let label = format!("--set {}", shown(argument));
        self.0.push(Source { label, text: argument.to_owned(), is_file: false });
        self.0.len() - 1
    }

    /// An error about `key`, whose key or value stands at `place`.
    pub(super) fn error(&self, place: &Place, key: &str, message: impl Into<String>) -> ConfigError {
        let source = &self.0[place.source];
        let (location, snippet) = if source.is_file {
            let (line, column, snippet) = locate(&source.text, &place.span);
            (format!("{}:{line}:{column}", source.label), Some(snippet))
        } else {
            (format!("{} (on {})", source.label, self.0[0].label), None)
        };
        let key = (!key.is_empty()).then(|| key.to_owned());
        ConfigError {
            inner: Box::new(Inner { location, key, message: message.into(), snippet, help: vec![] }),
        }
    }
}

/// Line and column (from 1, in characters) of a span's start, and its line with a caret below.
fn locate(text: &str, span: &Range<usize>) -> (usize, usize, Snippet) {
    /// Characters of a line that are shown on either side of the caret's start.
    const CONTEXT: usize = 60;
    let start = floor_boundary(text, span.start);
    let end = floor_boundary(text, span.end.max(start));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line = text[..start].matches('\n').count() + 1;
    let before: Vec<char> = text[line_start..start].chars().collect();
    let column = before.len() + 1;
    let kept = &before[before.len().saturating_sub(CONTEXT)..];
    let marked = text[start..end.min(line_end)].chars().take(CONTEXT).count().max(1);
    let shown: String = kept
        .iter()
        .copied()
        .chain(text[start..line_end].chars().take(CONTEXT))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let snippet = Snippet { line, text: shown.trim_end().to_owned(), caret: (kept.len(), marked) };
    (line, column, snippet)
}

/// The largest character boundary of `text` that is not above `index`.
fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_line_column_key_and_the_line() {
        let text = "schema = 1\n[measure]\nrunds = 3\n";
        let sources = Sources::new("my.toml", text);
        let error = sources
            .error(&Place { source: 0, span: 21..26 }, "measure.runds", "unknown key")
            .help("known: rounds");
        assert_eq!(
            error.to_string(),
            "my.toml:3:1: measure.runds: unknown key\n   |\n 3 | runds = 3\n   | ^^^^^\n  = known: rounds"
        );
        assert_eq!(error.key(), Some("measure.runds"));
    }

    #[test]
    fn spans_may_point_anywhere() {
        let text = "ä = \"ö\"\nlong";
        let sources = Sources::new("x", text);
        for start in 0..text.len() + 3 {
            for end in 0..text.len() + 3 {
                let shown = sources.error(&Place { source: 0, span: start..end }, "", "m").to_string();
                assert!(shown.starts_with("x:"), "{shown}");
            }
        }
    }

    #[test]
    fn a_long_line_is_cut() {
        let text = "a".repeat(1 << 20);
        let shown =
            Sources::new("x", &text).error(&Place { source: 0, span: 5000..9000 }, "k", "m").to_string();
        assert!(shown.len() < 500, "{}", shown.len());
    }
}
