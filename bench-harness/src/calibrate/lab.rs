//! The laboratory: a folder for a while, and the program's own commands as child processes in it.
//!
//! Every experiment of the calibration is a `crossover run` of its own, started as a user starts it, so that nothing
//! is calibrated but what users run. All children are started from the main thread and die with this process,
//! whatever ends it; their output goes to files beside the run. The folder is removed at the end unless the user asked to
//! keep it.
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, getppid, pidfd_open};

use crate::calibration_file;
use crate::interrupt::Interrupt;
use crate::probe::LoadWindow;

/// How long a command may take: far beyond what any of ours does, it turns a hang into an error.
const LONG: Duration = Duration::from_secs(300);

/// How long an interrupted child may take to end its own children and leave.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// How long a busy machine may take to become quiet.
const QUIET_LIMIT: Duration = Duration::from_secs(20);

/// Foreign load above which nothing is begun: the limit that experiments have by default.
pub(super) const FOREIGN_MAX: f64 = 0.15;

/// Why calibrating ended before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Somebody wants it to end.
    Interrupted,
    /// It cannot go on.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    keep: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            // Best effort: what cannot be removed is in the system's folder for such things.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Where experiments take place.
#[derive(Debug)]
pub(crate) struct Lab {
    place: Place,
    interrupt: Interrupt,
}

impl Lab {
    /// Makes the folder: `keep`, which must be absent or empty, or one that is removed at the end.
    ///
    /// # Errors
    /// When it cannot be made or is not empty, or Ctrl-C cannot be listened for.
    pub(crate) fn open(keep: Option<&Path>) -> Result<Self> {
        let path = match keep {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!(
                "crossover-{}-{:08x}",
                std::process::id(),
                rand::random::<u32>()
            )),
        };
        // First: a signal that comes after the folder was made must not leave it behind.
        let interrupt = Interrupt::install()?;
        fs::create_dir_all(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
        let mut entries =
            fs::read_dir(&path).with_context(|| format!("cannot read the folder {}", path.display()))?;
        if entries.next().is_some() {
            bail!("{} is not empty; the runs need a new or an empty folder (--out)", path.display());
        }
        Ok(Self { place: Place { path, keep: keep.is_some() }, interrupt })
    }

    /// The path of `name` in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path.join(name)
    }

    /// An error if somebody wants us to end.
    pub(crate) fn go_on(&self) -> Result<(), Stop> {
        if self.interrupt.is_raised() { Err(Stop::Interrupted) } else { Ok(()) }
    }

    /// What is raised when somebody wants us to end.
    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Writes the experiment `NAME.toml`.
    pub(crate) fn write(&self, name: &str, config: &str) -> Result<()> {
        let path = self.path(&format!("{name}.toml"));
        fs::write(&path, config).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Runs the experiment `NAME.toml` into the folder `out`: the exit code of `crossover run`, 0 or 4.
    pub(crate) fn run(&self, name: &str, out: &str, seed: u64) -> Result<u8, Stop> {
        self.finish(self.start_run(name, out, seed)?)
    }

    /// Starts the experiment `NAME.toml` into the folder `out`.
    pub(crate) fn start_run(&self, name: &str, out: &str, seed: u64) -> Result<Running> {
        let (file, seed) = (format!("{name}.toml"), seed.to_string());
        self.start(out, &["run", &file, "--out", out, "--seed", &seed])
    }

    /// Starts the program with `arguments`; `label` names the files that hold its output.
    pub(crate) fn start(&self, label: &str, arguments: &[&str]) -> Result<Running> {
        let words = self.path(&format!("{label}.err"));
        let file = |path: &Path| {
            File::options().create(true).append(true).open(path).with_context(|| path.display().to_string())
        };
        let me = rustix::process::getpid();
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("crossover")
            .args(arguments)
            .current_dir(&self.place.path)
            .env(calibration_file::VARIABLE, "")
            .stdin(Stdio::null())
            .stdout(file(&self.path(&format!("{label}.out")))?)
            .stderr(file(&words)?)
            .process_group(0);
        // SAFETY: between fork and exec only async-signal-safe calls are made: prctl and getppid.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
                if getppid() == Some(me) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
            });
        }
        let command_line = format!("crossover {}", arguments.join(" "));
        let child = command.spawn().with_context(|| format!("cannot start {command_line}"))?;
        Ok(Running { child, command_line, words })
    }

    /// Waits for a command that must do its work: 0, or 4 where the machine was disturbed.
    pub(crate) fn finish(&self, mut running: Running) -> Result<u8, Stop> {
        if !self.wait(&mut running, LONG)? {
            let error = anyhow::anyhow!("{} did not end within {} s", running.command_line, LONG.as_secs());
            return Err(Stop::Failed(error));
        }
        let status = running.child.wait()?;
        match status.code() {
            Some(code @ (0 | 4)) => Ok(if code == 0 { 0 } else { 4 }),
            _ => Err(Stop::Failed(anyhow::anyhow!(
                "{} ended with {status}: {}",
                running.command_line,
                running.last_words()
            ))),
        }
    }

    /// Waits until the command has ended, at most `limit`: whether it has. Ctrl-C ends the command first.
    pub(crate) fn wait(&self, running: &mut Running, limit: Duration) -> Result<bool, Stop> {
        if running.ended_within(limit, Some(&self.interrupt))? {
            return Ok(true);
        }
        if !self.interrupt.is_raised() {
            return Ok(false);
        }
        running.signal(Signal::SIGINT);
        running.ended_within(LEAVE_LIMIT, None)?;
        Err(Stop::Interrupted)
    }

    /// Waits until the machine is quiet; the foreign load in cores where it does not become so.
    pub(crate) fn quiet(&self) -> Result<Result<(), f64>, Stop> {
        let started = Instant::now();
        loop {
            self.go_on()?;
            let load = LoadWindow::open().close();
            if load.contamination(FOREIGN_MAX).is_none() {
                return Ok(Ok(()));
            }
            if started.elapsed() > QUIET_LIMIT {
                return Ok(Err(load.foreign_cores));
            }
        }
    }
}

/// A command that runs. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    command_line: String,
    words: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits for it: whether it was still there.
    pub(crate) fn kill(&mut self) -> bool {
        let ran = matches!(self.child.try_wait(), Ok(None));
        // Errors mean that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        ran
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // Gone already is as good.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Whether it ends within `limit`; stops waiting at a signal to `interrupt`.
    fn ended_within(&mut self, limit: Duration, interrupt: Option<&Interrupt>) -> io::Result<bool> {
        let deadline = Instant::now() + limit;
        let ended = pidfd_open(rustix::process::Pid::from_child(&self.child), PidfdFlags::empty())?;
        loop {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || interrupt.is_some_and(Interrupt::is_raised) {
                return Ok(false);
            }
            let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
            fds.extend(interrupt.map(|interrupt| PollFd::from_borrowed_fd(interrupt.fd(), PollFlags::IN)));
            match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The end of what it wrote to stderr.
    fn last_words(&self) -> String {
        let mut text = String::new();
        // Without its words the exit code must do.
        if let Ok(file) = File::open(&self.words) {
            let _ = file.take(1 << 16).read_to_string(&mut text);
        }
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(2)..].join(" | ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_with_the_lab_unless_it_is_kept() {
        let base = tempfile::tempdir().unwrap();
        let gone = base.path().join("gone");
        drop(Place { path: gone.clone(), keep: false });
        fs::create_dir(&gone).unwrap();
        fs::write(gone.join("file"), "x").unwrap();
        drop(Place { path: gone.clone(), keep: false });
        assert!(!gone.exists());
        let kept = base.path().join("kept");
        fs::create_dir(&kept).unwrap();
        drop(Place { path: kept.clone(), keep: true });
        assert!(kept.exists());
    }
}
