//! External strategies: programs of their own that speak the trial protocol, each under a guard.
use std::process::Command;

use crate::config::External;

/// The command that runs `external` under `crossover guard`, started from its own folder.
#[must_use]
pub fn command(external: &External) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("guard").args(&external.run).current_dir(&external.dir);
    command
}
