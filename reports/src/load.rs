//! Reads a run's folder: `samples.jsonl` and `config.toml` are needed; `env.json`, `warmups.jsonl` and
//! `timelines.jsonl` are used where present.
//!
//! `samples.jsonl` is a journal that a kill may cut short. A last line that is not JSON, and NULs at the end
//! (a file extended before its data reached the disk), are the mark of such a cut and are left out; the
//! length of the part that holds is [`Journal::valid_len`]. Everything else that is broken is an error with its
//! line number: a hole in the middle means that the file was damaged, and no verdict may rest on it.
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ReportError;
use crate::record::{Look, SCHEMA, Sample, Timeline, Warmup};
use crate::settings::Settings;

/// A run's folder, read.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it is.
    pub dir: PathBuf,
    /// What `config.toml` says.
    pub settings: Settings,
    /// All samples, in the order of the file.
    pub samples: Vec<Sample>,
    /// `env.json`: machine, kernel, toolchain, strategies; `None` where the folder has none.
    pub env: Option<serde_json::Value>,
    /// `warmups.jsonl`; empty where the folder has none.
    pub warmups: Vec<Warmup>,
    /// `timelines.jsonl`; empty where the folder has none.
    pub timelines: Vec<Timeline>,
    /// `looks.jsonl`; empty where the folder has none.
    pub looks: Vec<Look>,
}

impl Folder {
    /// Reads a single run's folder.
    ///
    /// # Errors
    /// A needed file is missing, unreadable or broken; see [`ReportError`].
    pub fn read(dir: &Path) -> Result<Self, ReportError> {
        let config = dir.join("config.toml");
        let bytes = fs::read(&config).map_err(|e| ReportError::io("read", &config, e))?;
        let text = String::from_utf8(bytes).map_err(|e| ReportError::Config {
            path: config.clone(),
            line: Some(line_count(e.as_bytes(), e.utf8_error().valid_up_to())),
            reason: "is not UTF-8".to_owned(),
        })?;
        let name = dir.file_name().map_or_else(|| "run".to_owned(), |n| n.to_string_lossy().into_owned());
        let settings = Settings::parse(&text, &config, &name)?;
        let journal = Journal::read(&dir.join("samples.jsonl"))?;
        Ok(Self {
            dir: dir.to_owned(),
            settings,
            samples: journal.samples,
            env: read_env(dir)?,
            warmups: read_lines(&dir.join("warmups.jsonl"))?,
            timelines: read_lines(&dir.join("timelines.jsonl"))?,
            looks: read_lines(&dir.join("looks.jsonl"))?,
        })
    }
}

/// The samples of a journal, and how much of the file they take.
#[derive(Clone, Debug)]
pub struct Journal {
    /// All samples, in the order of the file.
    pub samples: Vec<Sample>,
    /// Length in bytes of the part that holds whole lines; what lies beyond is a torn line or NULs.
    pub valid_len: usize,
}

impl Journal {
    /// Reads `samples.jsonl`.
    ///
    /// # Errors
    /// The file cannot be read, a line before the end is not a sample, a line has a later schema, or lines of two
    /// runs are mixed.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let bytes = fs::read(path).map_err(|e| ReportError::io("read", path, e))?;
        Self::parse(&bytes, path)
    }

    /// Reads the bytes of a journal; `path` appears in errors.
    ///
    /// # Errors
    /// As [`Journal::read`], without the I/O.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, ReportError> {
        let end = bytes.iter().rposition(|&b| b != 0 && !b.is_ascii_whitespace()).map_or(0, |i| i + 1);
        let mut samples: Vec<Sample> = Vec::new();
        let mut start = 0;
        let mut line = 0;
        while start < end {
            line += 1;
            let stop = bytes[start..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |i| start + i);
            let last = stop >= end;
            let content = if last { &bytes[start..end] } else { &bytes[start..stop] };
            if !content.iter().all(u8::is_ascii_whitespace) {
                match parse_line(content, line, path, last)? {
                    Some(sample) => samples.push(sample),
                    None => return Ok(Self { samples, valid_len: start }),
                }
                same_run(&samples, line, path)?;
            }
            start = stop + 1;
        }
        let newline = usize::from(bytes.get(end) == Some(&b'\n'));
        Ok(Self { samples, valid_len: end + newline })
    }
}

/// One line: a sample, `None` for a torn last line, or an error.
fn parse_line(content: &[u8], line: usize, path: &Path, last: bool) -> Result<Option<Sample>, ReportError> {
    let broken = |reason: String| ReportError::Line { path: path.to_owned(), line, reason };
    match serde_json::from_slice::<Sample>(content) {
        Ok(sample) if sample.schema == SCHEMA => Ok(Some(sample)),
        Ok(sample) => Err(other_schema(u64::from(sample.schema), line, path)),
        Err(error) => match serde_json::from_slice::<serde_json::Value>(content) {
            Ok(value) => match value.get("schema").and_then(serde_json::Value::as_u64) {
                Some(found) if found != u64::from(SCHEMA) => Err(other_schema(found, line, path)),
                _ => Err(broken(format!("not a sample: {error}"))),
            },
            Err(_) if last => Ok(None),
            Err(error) => {
                Err(broken(format!("broken line, not JSON: {error}; restore the file or measure again")))
            }
        },
    }
}

fn other_schema(found: u64, line: usize, path: &Path) -> ReportError {
    if found > u64::from(SCHEMA) {
        ReportError::LaterSchema { path: path.to_owned(), line, found, newest: SCHEMA }
    } else {
        ReportError::Line { path: path.to_owned(), line, reason: format!("there is no schema {found}") }
    }
}

/// All samples of a folder carry one run id: two runs in one file would be paired with each other.
fn same_run(samples: &[Sample], line: usize, path: &Path) -> Result<(), ReportError> {
    match samples {
        [first, .., newest] if first.run != newest.run => Err(ReportError::Line {
            path: path.to_owned(),
            line,
            reason: format!("belongs to run '{}', but the file began with run '{}'", newest.run, first.run),
        }),
        _ => Ok(()),
    }
}

/// `env.json`, where present.
fn read_env(dir: &Path) -> Result<Option<serde_json::Value>, ReportError> {
    let path = dir.join("env.json");
    match fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(ReportError::io("read", &path, e)),
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| ReportError::Line {
            path,
            line: e.line(),
            reason: format!("not JSON: {e}"),
        }),
    }
}

/// The lines of a file beside the journal, of which each is a `T`; none where there is no file. As in the journal, the torn
/// end of a killed run is left out, and a later schema or a hole in the middle is an error.
fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ReportError> {
    let bytes = match fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(ReportError::io("read", path, e)),
        Ok(bytes) => bytes,
    };
    let end = bytes.iter().rposition(|&b| b != 0 && !b.is_ascii_whitespace()).map_or(0, |i| i + 1);
    let lines: Vec<&[u8]> = bytes[..end].split(|&b| b == b'\n').collect();
    let mut found = Vec::new();
    for (at, content) in lines.iter().enumerate().filter(|(_, l)| !l.iter().all(u8::is_ascii_whitespace)) {
        let line = at + 1;
        let value: serde_json::Value = match serde_json::from_slice(content) {
            Ok(value) => value,
            Err(_) if line == lines.len() => break,
            Err(error) => {
                let reason = format!("broken line, not JSON: {error}; restore or remove the file");
                return Err(ReportError::Line { path: path.to_owned(), line, reason });
            }
        };
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(newer) if newer > u64::from(SCHEMA) => return Err(other_schema(newer, line, path)),
            _ => found.push(serde_json::from_value(value).map_err(|error| ReportError::Line {
                path: path.to_owned(),
                line,
                reason: format!("not what stands in this file: {error}"),
            })?),
        }
    }
    Ok(found)
}

fn line_count(bytes: &[u8], offset: usize) -> usize {
    1 + bytes.iter().take(offset).filter(|&&b| b == b'\n').count()
}

/// `suite.json` of a folder that holds several experiments.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Suite {
    /// Version of the schema.
    pub schema: u32,
    /// The run's id.
    pub run: String,
    /// Names of the experiments, each a folder with a run of its own.
    pub experiments: Vec<String>,
}

impl Suite {
    /// Reads `suite.json`, or `None` where the folder is a single run's.
    ///
    /// # Errors
    /// The file is unreadable, not JSON, of a later schema, empty of experiments, or names a folder outside.
    pub fn read(dir: &Path) -> Result<Option<Self>, ReportError> {
        let path = dir.join("suite.json");
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(ReportError::io("read", &path, e)),
            Ok(bytes) => bytes,
        };
        let suite: Self = serde_json::from_slice(&bytes).map_err(|e| ReportError::Line {
            path: path.clone(),
            line: e.line(),
            reason: format!("not a suite: {e}"),
        })?;
        let wrong = |reason: String| Err(ReportError::Config { path: path.clone(), line: None, reason });
        if suite.schema > SCHEMA {
            return Err(ReportError::LaterSchema {
                path,
                line: 1,
                found: suite.schema.into(),
                newest: SCHEMA,
            });
        }
        if suite.experiments.is_empty() {
            return wrong("names no experiment".to_owned());
        }
        for name in &suite.experiments {
            let mut parts = Path::new(name).components();
            if !matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None)) {
                return wrong(format!("'{name}' is not the name of a folder inside"));
            }
        }
        Ok(Some(suite))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"schema":1,"run":"r-1","cell":"n=1","params":{"n":1},"strategy":"threads","process":0,"round":0,"order":7,"seed":42,"batch":1,"tasks":8,"wall_ns":1000,"ok":true}"#;

    fn parse(bytes: &[u8]) -> Result<Journal, ReportError> {
        Journal::parse(bytes, Path::new("samples.jsonl"))
    }

    #[test]
    fn optional_fields_may_be_absent_and_unknown_ones_present() {
        let more = LINE.replace("\"ok\":true", "\"ok\":true,\"invented_later\":[1,2]");
        let journal = parse(format!("{LINE}\n{more}\n").as_bytes()).unwrap();
        assert_eq!(journal.samples.len(), 2);
        assert_eq!(journal.samples[0].quarantined, None);
    }

    #[test]
    fn every_cut_of_the_last_line_is_ignored() {
        let whole = format!("{LINE}\n{LINE}\n");
        for cut in LINE.len() + 1..whole.len() - 2 {
            let journal = parse(&whole.as_bytes()[..cut]).unwrap();
            assert_eq!((journal.samples.len(), journal.valid_len), (1, LINE.len() + 1), "cut at {cut}");
        }
    }

    #[test]
    fn nuls_at_the_end_are_ignored() {
        for tail in ["\0\0\0\0", "{\"schema\":1,\"ru\0\0\0", "\0\0\n"] {
            let journal = parse(format!("{LINE}\n{tail}").as_bytes()).unwrap();
            assert_eq!((journal.samples.len(), journal.valid_len), (1, LINE.len() + 1), "{tail:?}");
        }
        let journal = parse(format!("{LINE}\0\0").as_bytes()).unwrap();
        assert_eq!((journal.samples.len(), journal.valid_len), (1, LINE.len()));
        assert!(parse(b"").unwrap().samples.is_empty());
        assert_eq!(parse(&[0; 4096]).unwrap().valid_len, 0);
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_with_its_number() {
        for broken in ["{\"schema\":1,\"run\":\"r-1\"", "\0\0\0", "hello", "{\"schema\":1}", "[]", "\u{fffd}"]
        {
            let error = parse(format!("{LINE}\n{broken}\n{LINE}\n").as_bytes()).unwrap_err();
            assert!(matches!(error, ReportError::Line { line: 2, .. }), "{broken:?}: {error}");
            assert!(error.to_string().starts_with("samples.jsonl:2: "), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn json_that_is_no_sample_is_an_error_even_on_the_last_line() {
        let error = parse(format!("{LINE}\n{{\"schema\":1}}").as_bytes()).unwrap_err();
        assert!(matches!(error, ReportError::Line { line: 2, .. }), "{error}");
    }

    #[test]
    fn a_later_schema_is_refused_wherever_it_stands() {
        let later = LINE.replace("\"schema\":1", "\"schema\":2");
        let strange = r#"{"schema":3,"everything":"else"}"#;
        for line in [later.as_str(), strange] {
            let error = parse(format!("{LINE}\n{line}\n").as_bytes()).unwrap_err();
            assert!(matches!(error, ReportError::LaterSchema { line: 2, .. }), "{error}");
        }
    }

    #[test]
    fn two_runs_in_one_file_are_refused() {
        let other = LINE.replace("r-1", "r-2");
        let error = parse(format!("{LINE}\n{other}\n").as_bytes()).unwrap_err();
        assert!(error.to_string().contains("'r-2'"), "{error}");
    }

    #[test]
    fn a_folder_needs_two_files_and_says_which_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Folder::read(dir.path()).unwrap_err().to_string().contains("config.toml"));
        fs::write(dir.path().join("config.toml"), "[experiment]\nname = \"x\"").unwrap();
        assert!(Folder::read(dir.path()).unwrap_err().to_string().contains("samples.jsonl"));
        fs::write(dir.path().join("samples.jsonl"), format!("{LINE}\n")).unwrap();
        let folder = Folder::read(dir.path()).unwrap();
        assert_eq!((folder.settings.name.as_str(), folder.samples.len(), folder.env), ("x", 1, None));
    }

    #[test]
    fn warm_ups_are_read_where_present_and_a_torn_end_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("warmups.jsonl");
        assert_eq!(read_lines::<Warmup>(&path).unwrap(), []);
        let line = r#"{"schema":1,"run":"r","process":0,"cell":"n=1","strategy":"a","wall_ns":7,"steady":null,"later":1}"#;
        for (text, count) in [
            (String::new(), 0),
            (format!("{line}\n{line}\n"), 2),
            (format!("{line}\n{}", &line[..40]), 1),
            (format!("{line}\n\0\0\0"), 1),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(read_lines::<Warmup>(&path).unwrap().len(), count);
        }
        for (text, why) in [
            (format!("{}\n{line}\n", &line[..40]), "warmups.jsonl:1: broken"),
            (format!("{line}\n{{\"schema\":1}}\n"), "warmups.jsonl:2: not what"),
            (format!("{}\n", line.replace(":1,\"run", ":9,\"run")), "warmups.jsonl:1: schema 9"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read_lines::<Warmup>(&path).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_suite_names_folders_inside_only() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Suite::read(dir.path()).unwrap(), None);
        let write = |names: &str| {
            let text = format!(r#"{{"schema":1,"run":"r-1","experiments":{names}}}"#);
            fs::write(dir.path().join("suite.json"), text).unwrap();
        };
        write(r#"["a","b"]"#);
        assert_eq!(Suite::read(dir.path()).unwrap().unwrap().experiments, ["a", "b"]);
        for bad in ["[]", r#"["../x"]"#, r#"["/etc"]"#, r#"["a/b"]"#, r#"[""]"#, "3"] {
            write(bad);
            assert!(Suite::read(dir.path()).is_err(), "{bad}");
        }
    }
}
