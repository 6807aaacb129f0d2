//! TOML text as a tree in which every key and value knows its place, and `--set` applied to it.
//!
//! The parser limits nesting (80 levels per key and per value), so recursion over a tree is bounded.
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place, Sources};
use super::suggest::shown;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Date,
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table with its value, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Node {
    /// The value of `key`, if this is a table that has it.
    pub(super) fn child(&self, key: &str) -> Option<&Node> {
        let Kind::Table(entries) = &self.kind else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// What the value is, for "expected …, found …".
    pub(super) fn found(&self) -> String {
        match &self.kind {
            Kind::Int(n) => format!("the whole number {n}"),
            Kind::Float(x) => format!("the number {x}"),
            Kind::Bool(b) => format!("the boolean {b}"),
            Kind::Text(text) => format!("the text \"{}\"", shown(text)),
            Kind::Date => "a date".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Table(_) => "a table".to_owned(),
        }
    }
}

/// Parses a whole file.
pub(super) fn parse(sources: &Sources, source: usize, text: &str) -> Result<Node, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| syntax_error(sources, source, text, &error))?;
    let place = Place { source, span: 0..0 };
    Ok(Node { kind: Kind::Table(entries(sources, source, "", table.get_ref())?), place })
}

/// A syntax error at its place, with the key of its line where there is one.
fn syntax_error(sources: &Sources, source: usize, text: &str, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or_else(|| {
        // Only "recursion limit" comes without a span: show the first key with that many dots.
        let deep = text.split_inclusive('\n').scan(0, |at, line| {
            let start = *at;
            *at += line.len();
            Some((start, line.matches('.').count()))
        });
        let start = deep.into_iter().find(|(_, dots)| *dots >= 79).map_or(0, |(start, _)| start);
        start..start + 1
    });
    let key = key_at(text, span.start);
    let message = match error.message() {
        "recursion limit" => "keys are nested too deeply",
        other => other,
    };
    sources.error(&Place { source, span }, &key, format!("not valid TOML: {message}"))
}

/// The key of the line that holds byte `at`, below the header that it stands under, as far as a file that is not
/// TOML has one.
fn key_at(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let Some((key, _)) = text[line_start..].lines().next().and_then(|line| line.split_once('=')) else {
        return String::new();
    };
    let headers = text[..line_start].lines().rev().map(str::trim_start).find(|line| line.starts_with('['));
    let header =
        headers.and_then(|line| line.trim_start_matches('[').split_once(']')).map(|(name, _)| name.trim());
    let header = header.map_or(String::new(), |name| format!("{name}."));
    shown(&format!("{header}{}", key.trim()))
}

/// The entries of the table at the dotted path `path`.
fn entries(
    sources: &Sources,
    source: usize,
    path: &str,
    table: &DeTable<'_>,
) -> Result<Vec<Entry>, ConfigError> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        let place = Place { source, span: key.span() };
        let path =
            if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
        let node = node(sources, source, &path, value.span(), value.get_ref())?;
        entries.push(Entry { key: key.get_ref().to_string(), place, node });
    }
    entries.sort_by_key(|entry| entry.place.span.start);
    Ok(entries)
}

/// The value at the dotted path `path`.
fn node(
    sources: &Sources,
    source: usize,
    path: &str,
    span: std::ops::Range<usize>,
    value: &DeValue<'_>,
) -> Result<Node, ConfigError> {
    let place = Place { source, span };
    let too_large = |text: &str| {
        sources.error(&place, &shown(path), format!("the number {} does not fit 64 bits", shown(text)))
    };
    let kind = match value {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(n) => {
            Kind::Int(i64::from_str_radix(n.as_str(), n.radix()).map_err(|_| too_large(n.as_str()))?)
        }
        DeValue::Float(x) => Kind::Float(x.as_str().parse().map_err(|_| too_large(x.as_str()))?),
        DeValue::Boolean(b) => Kind::Bool(*b),
        DeValue::Datetime(_) => Kind::Date,
        DeValue::Array(list) => Kind::List(
            list.iter()
                .map(|item| node(sources, source, path, item.span(), item.get_ref()))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Kind::Table(entries(sources, source, path, table)?),
    };
    Ok(Node { place, kind })
}

/// Applies one `--set path=value`: the value replaces what stands at the dotted path, or is added there.
pub(super) fn set(sources: &mut Sources, root: &mut Node, argument: &str) -> Result<(), ConfigError> {
    let source = sources.add_set(argument);
    let whole = Place { source, span: 0..argument.len() };
    let Some((path, value)) = argument.split_once('=') else {
        return Err(sources
            .error(&whole, "", "expected key=value")
            .help("for example --set measure.rounds=3"));
    };
    if argument.contains(['\n', '\r']) {
        return Err(sources.error(&whole, "", "one key=value on one line is expected"));
    }
    let path = keys(path).ok_or_else(|| {
        sources.error(&whole, "", format!("`{}` is not a dotted key such as measure.rounds", shown(path)))
    })?;
    let mut leaf = set_value(sources, source, &path.join("."), value.trim())?;
    leaf.relocate(&whole);
    insert(sources, root, &path, leaf, &whole)
}

impl Node {
    /// Gives the whole subtree one place.
    fn relocate(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.kind {
            Kind::List(items) => items.iter_mut().for_each(|item| item.relocate(place)),
            Kind::Table(entries) => entries.iter_mut().for_each(|entry| {
                entry.place = place.clone();
                entry.node.relocate(place);
            }),
            _ => {}
        }
    }
}

/// The parts of a dotted key, read as TOML reads it.
fn keys(path: &str) -> Option<Vec<String>> {
    let text = format!("{path}=0");
    let document = DeTable::parse(&text).ok()?;
    let mut table = document.get_ref();
    let mut keys = Vec::new();
    loop {
        let (key, value) = table.iter().next()?;
        keys.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(keys),
        }
    }
}

/// The value of a `--set`: TOML, or a bare word that stands for a text.
fn set_value(sources: &Sources, source: usize, path: &str, value: &str) -> Result<Node, ConfigError> {
    let place = Place { source, span: 0..0 };
    match DeValue::parse(value) {
        Ok(parsed) => node(sources, source, path, parsed.span(), parsed.get_ref()),
        Err(_) if is_bare(value) => Ok(Node { place, kind: Kind::Text(value.to_owned()) }),
        Err(error) => {
            let message = format!("`{}` is not a TOML value: {}", shown(value), error.message());
            Err(sources.error(&place, path, message))
        }
    }
}

fn is_bare(value: &str) -> bool {
    !value.is_empty() && !value.contains(['"', '\'', '[', ']', '{', '}', '=', '#', ','])
}

fn insert(
    sources: &Sources,
    at: &mut Node,
    path: &[String],
    leaf: Node,
    whole: &Place,
) -> Result<(), ConfigError> {
    let Some((key, rest)) = path.split_first() else {
        *at = leaf;
        return Ok(());
    };
    let found = at.found();
    let Kind::Table(entries) = &mut at.kind else {
        return Err(sources.error(whole, key, format!("there is no table to hold it: found {found}")));
    };
    let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
        let node = Node { place: whole.clone(), kind: Kind::Table(Vec::new()) };
        entries.push(Entry { key: key.clone(), place: whole.clone(), node });
        entries.len() - 1
    });
    if rest.is_empty() {
        entries[index].place = whole.clone();
    }
    insert(sources, &mut entries[index].node, rest, leaf, whole)
}
