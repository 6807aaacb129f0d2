//! The calibration file: what `crossover calibrate` found out about this machine, kept for later runs.
//!
//! It stands at `$XDG_STATE_HOME/crossover/calibration.json` (`~/.local/state` where the variable is not set), or
//! where `CROSSOVER_CALIBRATION` says. A run copies it into its `env.json`, from where reports show it; it never
//! decides a verdict, so a file that is missing, torn or not ours is no calibration rather than an error. It
//! is written beside itself and renamed: a reader finds the old one or the new one, whole.
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::environment::Machine;

/// The version of the file that this program writes and reads.
pub const SCHEMA: u64 = 1;

/// Names another place for the file: its path, not its folder. Set and empty, there is no file at all.
pub const VARIABLE: &str = "CROSSOVER_CALIBRATION";

/// A larger file is not ours.
const BYTES_MAX: u64 = 1 << 20;

/// Where the file of this user is; `None` where the environment names no home, or no file is wanted.
///
/// A relative `XDG_STATE_HOME` counts as unset, as its specification demands.
#[must_use]
pub fn path() -> Option<PathBuf> {
    path_of(|name| std::env::var_os(name))
}

fn path_of(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(place) = variable(VARIABLE) {
        return (!place.is_empty()).then(|| place.into());
    }
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("crossover/calibration.json"))
}

/// What is known about this machine; `None` where nothing can be read that is of this version.
#[must_use]
pub fn load() -> Option<Value> {
    read(&path()?)
}

/// What the file says of the machine that it was measured on.
#[must_use]
pub fn machine(machine: &Machine) -> Value {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let kernel = release.map(|release| release.trim().to_owned());
    json!({ "cpu": machine.cpu, "cores": machine.cores_usable, "kernel": kernel })
}

fn read(path: &Path) -> Option<Value> {
    // Neither a pipe nor a device: opening one might wait forever.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let ours = value.get("schema").and_then(Value::as_u64) == Some(SCHEMA)
        && value.get("measured").is_some_and(Value::is_string)
        && value.get("machine").is_some_and(Value::is_object)
        && value.get("rows").is_some_and(Value::is_array);
    ours.then_some(value)
}

/// What became of a calibration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It stands here.
    At(PathBuf),
    /// It was made with fewer experiments than the one that stands here, of the same machine and version, which says more.
    Fuller(PathBuf),
    /// There is no place for it.
    Nowhere,
}

/// Keeps `calibration` for later runs, unless it is a quick one and a full one of the same machine and version is there.
///
/// # Errors
/// When the folder cannot be made or the file cannot be written; the error names the path, and an older file stands as
/// it was.
pub fn store(calibration: &Value) -> io::Result<Stored> {
    let Some(path) = path() else { return Ok(Stored::Nowhere) };
    if read(&path).is_some_and(|stored| says_more(&stored, calibration)) {
        return Ok(Stored::Fuller(path));
    }
    write(&path, calibration)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display())))?;
    Ok(Stored::At(path))
}

/// Whether `stored` is a full calibration and `new` a quick one of the same machine by the same version.
fn says_more(stored: &Value, new: &Value) -> bool {
    let is_quick = |calibration: &Value| calibration.get("quick").and_then(Value::as_bool);
    let is_same = |key: &str| stored.get(key) == new.get(key);
    is_quick(stored) == Some(false) && is_quick(new) == Some(true) && is_same("machine") && is_same("version")
}

fn write(path: &Path, calibration: &Value) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Two that calibrate at once must not write into one draft.
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    let written = (|| {
        let mut file = File::create(&draft)?;
        file.write_all(format!("{calibration:#}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)
    })();
    written.inspect_err(|_| {
        // Best effort: what matters is the error that led here.
        let _ = fs::remove_file(&draft);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Value {
        json!({
            "schema": 1, "measured": "2026-11-21T10:00:00Z", "version": "0.1.0", "quick": false,
            "machine": {"cpu": "a CPU", "cores": 2, "kernel": "6.1"}, "between_runs_sd": 0.008,
            "rows": [{"id": "aa", "name": "identical code", "detail": "197 of 200 ties", "passed": true}],
        })
    }

    fn place(set: &[(&str, &str)]) -> Option<String> {
        let variable =
            |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        path_of(variable).map(|path| path.display().to_string())
    }

    #[test]
    fn the_place_follows_the_environment() {
        let state = Some("/s/crossover/calibration.json".to_owned());
        assert_eq!(place(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]), state);
        let home = Some("/h/.local/state/crossover/calibration.json".to_owned());
        assert_eq!(place(&[("HOME", "/h")]), home);
        assert_eq!(place(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")]), home);
        assert_eq!(place(&[("HOME", "/h"), ("XDG_STATE_HOME", "")]), home);
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[("HOME", "/h"), (VARIABLE, "x.json")]), Some("x.json".to_owned()));
        assert_eq!(place(&[("HOME", "/h"), (VARIABLE, "")]), None);
    }

    #[test]
    fn what_was_written_is_read_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/crossover/calibration.json");
        assert_eq!(read(&path), None);
        for quick in [true, false] {
            let mut calibration = found();
            calibration["quick"] = json!(quick);
            write(&path, &calibration).unwrap();
            assert_eq!(read(&path), Some(calibration));
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn a_full_calibration_is_not_replaced_by_a_quick_one_of_the_same_machine_and_version() {
        let with = |key: &str, value: Value| {
            let mut calibration = found();
            calibration[key] = value;
            calibration
        };
        let (full, quick) = (found(), with("quick", json!(true)));
        assert!(says_more(&full, &quick));
        assert!(!says_more(&quick, &full) && !says_more(&quick, &quick) && !says_more(&full, &full));
        assert!(!says_more(&with("version", json!("0.0.9")), &quick));
        assert!(!says_more(&with("machine", json!({ "cores": 4 })), &quick));
    }

    #[test]
    fn what_is_not_ours_is_no_calibration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calibration.json");
        let whole = found().to_string();
        let later = whole.replace("\"schema\":1", "\"schema\":2");
        let long = format!("{whole}{}", " ".repeat(BYTES_MAX as usize));
        for text in
            ["", "{}", "[1]", "null", &whole[..whole.len() / 2], &later, "\0\0\0", &long[..long.len() - 1]]
        {
            fs::write(&path, text).unwrap();
            let is_ours = text.len() > whole.len() && text.starts_with(&whole);
            assert_eq!(read(&path).is_some(), is_ours, "{:.60}", text);
        }
        fs::write(&path, b"\xff\xfe").unwrap();
        assert_eq!(read(&path), None);
        assert_eq!(read(dir.path()), None);
        assert_eq!(read(Path::new("/dev/zero")), None);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(write(&file.join("calibration.json"), &found()).is_err());
        let taken = dir.path().join("taken");
        fs::create_dir_all(taken.join("inside")).unwrap();
        assert!(write(&taken, &found()).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no draft is left behind");
    }
}
