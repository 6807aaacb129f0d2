//! Ctrl-C and its relatives: the coordinator decides what they end.
//!
//! A signal handler may do next to nothing, so it only makes a descriptor readable; whoever waits for a trial waits
//! for that as well. Helpers are in process groups of their own, so that a terminal's Ctrl-C reaches the
//! coordinator alone. `SIGXFSZ` (the file-size limit) is caught so that writing reports an error instead.
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

/// The exit code of a run that was interrupted: what a shell gives for Ctrl-C.
pub const EXIT_CODE: u8 = 130;

/// Whether somebody wants the run to end.
#[derive(Debug)]
pub struct Interrupt {
    wake: UnixStream,
    /// Set by the handler before it writes to `wake`. Relaxed suffices: whoever acts on it only reads this flag,
    /// and a reader of `wake` has synchronised through the kernel.
    raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over `SIGINT`, `SIGTERM` and `SIGHUP` for the rest of the process's life.
    ///
    /// # Errors
    /// When the handlers cannot be set up.
    pub fn install() -> Result<Self> {
        Self::set_up().context("cannot listen for Ctrl-C")
    }

    fn set_up() -> io::Result<Self> {
        let (wake, handler) = UnixStream::pair()?;
        let raised = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Handlers run in the order in which they were registered: the flag is set before the wake-up.
            signal_hook::flag::register(signal, Arc::clone(&raised))?;
            signal_hook::low_level::pipe::register(signal, handler.try_clone()?)?;
        }
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        Ok(Self { wake, raised })
    }

    /// Whether a signal came.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Becomes readable when a signal comes, and stays so.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// From now on a signal ends the process at once, with the line on how to go on with the run in `dir`: for
    /// the report, which only reads what is already safe on the disk.
    ///
    /// # Errors
    /// When the thread that waits cannot be started.
    pub fn end_at_once(self, dir: &Path) -> Result<()> {
        let line = how_to_go_on(dir);
        let wait = move || {
            let mut wake = self.wake;
            let interrupted = wake.read(&mut [0]).is_ok_and(|read| read > 0);
            if interrupted {
                eprintln!("\n{line}");
                std::process::exit(EXIT_CODE.into());
            }
        };
        std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(wait)
            .context("cannot start the thread that waits for Ctrl-C")?;
        Ok(())
    }
}

/// The sentence for a run that was interrupted.
#[must_use]
pub fn how_to_go_on(dir: &Path) -> String {
    let text = dir.display().to_string();
    let plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+:,@%=".contains(c));
    let quoted = if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) };
    format!("interrupted; every finished sample is kept. To go on:\ncrossover resume {quoted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_can_be_pasted_into_a_shell() {
        assert!(how_to_go_on(Path::new("runs/a-b_1")).ends_with("\ncrossover resume runs/a-b_1"));
        assert!(how_to_go_on(Path::new("my run's")).ends_with(r"crossover resume 'my run'\''s'"));
    }
}
