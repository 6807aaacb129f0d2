//! Claims about files: small operations on a pool cost a hop each; and a loop beside a database that blocks.
use std::path::{Path, PathBuf};

use crossover_runtime::{fs, spawn};
use crossover_workloads::{Value, Workload};
use futures_util::future::{join_all, try_join_all};

use super::engine::Engine;
use super::{Outcome, Setup, Trouble, found, median, ms, one_loop, seconds, seconds_of, spec, workers};

/// A folder of small files that is removed at the end.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Self, Trouble> {
        let name = format!("crossover-claims-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// With `count` files of `bytes` bytes.
    pub(crate) fn with_files(count: usize, bytes: usize) -> Result<Self, Trouble> {
        let folder = Self::new()?;
        let contents = vec![b'x'; bytes];
        for n in 0..count {
            std::fs::write(folder.path(n), &contents)?;
        }
        Ok(folder)
    }

    pub(crate) fn path(&self, n: usize) -> PathBuf {
        self.path.join(format!("{n}.txt"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Best effort: it is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// 13: 1000 cached files of 4 KiB, read in plain code, and all at once by tasks.
pub(crate) fn small_files(setup: &Setup) -> Outcome {
    const FILES: usize = 1000;
    let folder = Folder::with_files(FILES, 4096)?;
    let runtime = workers(setup)?;
    let plain =
        || (0..FILES).try_fold(0, |sum, n| std::io::Result::Ok(sum + std::fs::read(folder.path(n))?.len()));
    let gathered = || {
        runtime.block_on(async {
            let read = |n| {
                let path = folder.path(n);
                spawn(async move { fs::read(path).await.map(|contents| contents.len()) })
            };
            let all: Vec<_> = (0..FILES).map(read).collect();
            let mut sum = 0;
            for one in join_all(all).await {
                sum += one.map_err(std::io::Error::from)??;
            }
            std::io::Result::Ok(sum)
        })
    };
    // Once for nothing: the files are cached then, and the pool's threads are up.
    plain()?;
    gathered()?;
    let (sync, first) = seconds(plain);
    let (pooled, second) = seconds(gathered);
    if (first?, second?) != (FILES * 4096, FILES * 4096) {
        return Err(Trouble::Failed("a file was not read whole".to_owned()));
    }
    Ok(found("slowdown", pooled / sync).and("sync", sync).and("async", pooled))
}

/// How often the two walks take turns.
const WALKS: usize = 5;

/// tokio-fs: a walk over a tree of folders with small files, which asks for each entry's size: plain, and one async call per step.
pub(crate) fn walk<E: Engine>(setup: &Setup) -> Outcome {
    let (folders, files) = if setup.full { (100_u32, 100_u32) } else { (20, 50) };
    let root = Folder::new()?;
    for folder in 0..folders {
        let folder = root.path.join(format!("folder-{folder}"));
        std::fs::create_dir(&folder)?;
        for file in 0..files {
            std::fs::write(folder.join(format!("file-{file}")), b"some text")?;
        }
    }
    let runtime = E::workers(setup.cores)?;
    let expected = u64::from(folders * files) * 9;
    let (mut plain, mut tasks, mut slowdowns) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..=WALKS {
        let (sync, first) = seconds(|| walk_plain(&root.path));
        let (in_tasks, second) = seconds(|| E::block_on(&runtime, walk_async::<E>(&root.path)));
        if (first?, second?) != (expected, expected) {
            return Err(Trouble::Failed("the walk missed a file".to_owned()));
        }
        // The first is for nothing: the folders are cached then, and the pool's threads are up.
        if turn > 0 {
            slowdowns.push(in_tasks / sync);
            plain.push(sync);
            tasks.push(in_tasks);
        }
    }
    Ok(found("slowdown", median(&mut slowdowns))
        .and("sync", median(&mut plain))
        .and("async", median(&mut tasks)))
}

fn walk_plain(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = std::fs::metadata(entry.path())?;
        bytes += if metadata.is_dir() { walk_plain(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

async fn walk_async<E: Engine>(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    let mut entries = E::list(folder.to_owned()).await?;
    while let Some(entry) = E::next(&mut entries).await? {
        let metadata = E::metadata(entry.clone()).await?;
        bytes += if metadata.is_dir() { Box::pin(walk_async::<E>(&entry)).await? } else { metadata.len() };
    }
    Ok(bytes)
}

/// 79: the longest gap of a 10 ms ticker beside SQLite in the loop, and on the blocking pool.
pub(crate) fn sqlite(setup: &Setup) -> Outcome {
    let params = [("statements", Value::Int(2000))];
    let work = Workload::prepare(&spec("sqlite", &params, 64, setup)?)?;
    let runtime = one_loop()?;
    let inline = || async {
        let work = work.clone();
        let all =
            spawn(async move { (0..work.tasks()).try_for_each(|task| work.run_blocking(task).map(drop)) });
        all.await
    };
    let pooled = || try_join_all((0..work.tasks()).map(|task| work.run_offloaded(task)));
    // Once for nothing: connections are opened at their first use.
    runtime.block_on(pooled())?;
    let (gap, done) = runtime.block_on(super::lags::longest_gap(ms(10), pooled()));
    done?;
    let (blocked, done) = runtime.block_on(super::lags::longest_gap(ms(10), inline()));
    done??;
    let (wall, _) = runtime.block_on(seconds_of(pooled()));
    Ok(found("ticker_gap", gap).and("blocked_gap", blocked).and("wall", wall))
}
