//! Kind `file`: a task reads or writes a file of its own, whole.
//!
//! Files that were just made are in the system's memory: a read takes microseconds and never waits for a disk, which is
//! what most reads of a program are. A write truncates the file and fills it again, as `std::fs::write` does; ext4 begins to
//! write such a file to the disk when it is closed, so even a write without `sync` may wait there. With `sync` it ends when the
//! disk says so. The async form uses the functions for files of its
//! runtime. The folder is below `TMPDIR`; where that is in memory, so are the files, and a sync is nothing.

use std::io;
use std::path::PathBuf;

use super::Kind;
use super::scratch::Scratch;
use super::stamp::{STAMP_BYTES, Stamped};
use crate::async_runtime::write_file_blocking;
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::word;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// The longest file.
const FILE_BYTES_MAX: usize = 1 << 26;
/// Bytes of all files of a workload: they are made in every process that runs it.
const ALL_BYTES_MAX: usize = 1 << 28;

/// The files of one workload.
#[derive(Debug)]
pub(crate) struct Files {
    seed: u64,
    tasks: u32,
    stamped: Stamped,
    writes: bool,
    sync: bool,
    folder: Scratch,
}

impl Kind for Files {
    const INFO: KindInfo = KindInfo {
        about: "a task reads or writes a file of its own, whole; async code by the runtime's functions for files",
        params: &[
            catalog::tasks(10_000),
            ParamInfo {
                name: "op",
                about: "what a task does with its file; what is read was written just before, and is in memory",
                value: ParamKind::Choice(&["read", "write"]),
                default: Some(DefaultValue::Text("read")),
            },
            ParamInfo {
                name: "file_bytes",
                about: "length of a file; those of all tasks may take 256 MiB",
                value: ParamKind::Int { min: STAMP_BYTES as i64, max: FILE_BYTES_MAX as i64 },
                default: Some(DefaultValue::Int(4096)),
            },
            ParamInfo {
                name: "sync",
                about: "whether a write ends only when the file is on the disk",
                value: ParamKind::Choice(&["none", "fsync"]),
                default: Some(DefaultValue::Text("none")),
            },
        ],
        ..KindInfo::new("file", Class::Io)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let params = &setup.params;
        let bytes = params.count("file_bytes")?;
        if bytes.saturating_mul(setup.tasks() as usize) > ALL_BYTES_MAX {
            let reason = format!("{} files of {bytes} bytes are more than 256 MiB", setup.tasks());
            return Err(params.error("file_bytes", reason));
        }
        let failed = |error: io::Error| WorkloadError::Unprepared {
            kind: Self::INFO.name.to_owned(),
            reason: format!("files in {}: {error}", std::env::temp_dir().display()),
        };
        let files = Self {
            seed: setup.seed(),
            tasks: setup.tasks(),
            stamped: Stamped::new(setup.seed(), bytes),
            writes: params.text("op")? == "write",
            sync: params.text("sync")? == "fsync",
            folder: Scratch::new().map_err(failed)?,
        };
        // Those that are written exist as well: each write of a sample is one over an older file.
        for task in 0..setup.tasks() {
            write_file_blocking(&files.path(task), &files.stamped.copy(task.into()), false)
                .map_err(failed)?;
        }
        Ok(files)
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        if self.writes {
            let copy = self.stamped.copy(task.into());
            self.written(task, write_file_blocking(&self.path(task), &copy, self.sync))
        } else {
            self.read(task, std::fs::read(self.path(task)))
        }
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        // Boxed, because of its size: see the table of kinds.
        Box::pin(async {
            if self.writes {
                let copy = self.stamped.copy(task.into());
                self.written(task, R::write_file(self.path(task), copy, self.sync).await)
            } else {
                self.read(task, R::read_file(self.path(task)).await)
            }
        })
        .await
    }

    fn estimate_us(params: &Params) -> f64 {
        // A disk that answers within a millisecond, where it is asked.
        let sync = if params.is("op", "write") && params.is("sync", "fsync") { 1000.0 } else { 0.0 };
        8.0 + params.guess("file_bytes") / 3000.0 + sync
    }

    /// Those of the files: they take room as well, though not in this process.
    fn input_bytes(&self) -> usize {
        self.stamped.len() * self.tasks as usize
    }
}

impl Files {
    fn path(&self, task: u32) -> PathBuf {
        self.folder.path().join(task.to_string())
    }

    /// The digest of a write: the stamp that was written.
    fn written(&self, task: u32, result: io::Result<()>) -> Result<u64, WorkloadError> {
        match result {
            Ok(()) => Ok(word(self.seed, task.into())),
            Err(error) => Err(WorkloadError::Storage { task, what: "writing", reason: error.to_string() }),
        }
    }

    /// The digest of a read: the stamp that was read, if the rest of the file is right, too.
    fn read(&self, task: u32, result: io::Result<Vec<u8>>) -> Result<u64, WorkloadError> {
        let failed = |reason| WorkloadError::Storage { task, what: "reading", reason };
        let bytes = result.map_err(|error| failed(error.to_string()))?;
        self.stamped.check(&bytes, task.into()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Crossover, Spec, Value};

    fn files(params: &[(&str, Value)], tasks: u32) -> Result<Files, WorkloadError> {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let spec = Spec { kind: "file".into(), params, tasks, seed: 9, server: None, spin_per_us: None };
        Files::prepare(&Setup::new(&Files::INFO, &spec)?, None)
    }

    /// What a digest cannot show.
    #[test]
    fn what_is_written_stands_in_the_file() {
        let runtime = crossover_runtime::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        for sync in ["none", "fsync"] {
            let params = [
                ("op", Value::Text("write".into())),
                ("file_bytes", Value::Int(5000)),
                ("sync", Value::Text(sync.into())),
            ];
            let files = files(&params, 2).unwrap();
            let check = |task: u32| files.read(task, std::fs::read(files.path(task))).unwrap();
            for task in [0, 1] {
                std::fs::write(files.path(task), vec![7; 100_000]).unwrap();
            }
            assert_eq!(files.run_blocking(0).unwrap(), check(0));
            assert_eq!(runtime.block_on(files.run_async::<Crossover>(1)).unwrap(), check(1));
        }
    }

    #[test]
    fn what_is_read_is_checked() {
        let files = files(&[], 2).unwrap();
        std::fs::copy(files.path(0), files.path(1)).unwrap();
        let error = files.run_blocking(1).unwrap_err().to_string();
        assert!(error.starts_with("task 1: reading failed: stamped"), "{error}");
        std::fs::remove_file(files.path(1)).unwrap();
        assert!(files.run_blocking(1).unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn the_folder_goes_with_the_workload_and_its_size_is_bounded() {
        let one = files(&[], 3).unwrap();
        let path = one.folder.path().to_owned();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 3);
        drop(one);
        assert!(!path.exists());
        let error = files(&[("file_bytes", Value::Int(1 << 20))], 257).unwrap_err();
        assert!(error.is_spec() && error.to_string().contains("257 files of 1048576 bytes"), "{error}");
    }
}
