//! The test server: `crossover serve`, and the handle of the one that a run starts for itself.
//!
//! The server is another process than every contestant, so that no strategy shares its threads. It prints the
//! address that it listens on as its first line. One that a run started dies with the run.
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use crossover_runtime::runtime::Builder;
use crossover_workloads::server::{self, Stall, Stats};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::config::duration;
use crate::interrupt::Interrupt;
use crate::notes;
use crate::probe;
use crate::trial;

/// How long the server may take to say where it listens.
const START_LIMIT: Duration = Duration::from_secs(20);

/// What its first line starts with; the address follows.
const LISTENING: &str = "listening on ";

/// Exit code of a server that had no file left for a connection.
const NO_FILES: u8 = 24;

/// Why a server has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// For ten seconds no connection could be accepted, because no more files could be opened.
    NoFiles,
    /// Anything else.
    Other,
}

/// `crossover serve`: answers requests on `listen` until it is killed, with a `stall` as a server with one hand would. With
/// the process id of its parent it dies with it. The value is the process's exit code.
///
/// # Errors
/// When it cannot listen there, or can no longer.
pub fn serve(listen: SocketAddr, parent: Option<u32>, stall: Option<Stall>) -> Result<u8> {
    if let Some(parent) = parent {
        trial::die_with(parent).map_err(anyhow::Error::msg)?;
    }
    let fail = || format!("cannot listen on {listen}");
    trial::allow_many_files();
    let runtime = Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let listener = server::bind(listen).with_context(fail)?;
    let address = listener.local_addr().with_context(fail)?;
    announce(address)?;
    let stats = stall.map_or_else(Stats::default, Stats::stalling);
    match runtime.block_on(server::serve_counting(listener, Arc::new(stats))) {
        Err(error) if is_out_of_files(&error) => {
            eprintln!("the server on {address} stopped: {error}: {}", notes::more_files());
            Ok(NO_FILES)
        }
        ended => ended.map(|()| 0).with_context(|| format!("the server on {address} stopped")),
    }
}

/// Says where a server listens, as its first line: what [`Server::launch`] waits for.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn announce(address: SocketAddr) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{LISTENING}{address}").and_then(|()| out.flush()).context("cannot tell the address")
}

fn is_out_of_files(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error())
}

/// A server that this run has started. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a server on a free port of the loopback interface.
    ///
    /// # Errors
    /// When it cannot be started, does not say where it listens, or Ctrl-C comes first.
    pub fn start(interrupt: &Interrupt) -> Result<Self> {
        Self::start_with(None, interrupt)
    }

    /// The same, of a server that stalls.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(stall: Option<Stall>, interrupt: &Interrupt) -> Result<Self> {
        let mut arguments = vec!["serve".to_owned(), "127.0.0.1:0".to_owned()];
        if let Some(Stall { every, stall, service }) = stall {
            for (option, time) in [("--every", every), ("--stall", stall), ("--service", service)] {
                arguments.extend([option.to_owned(), duration::show(time)]);
            }
        }
        Self::launch(&arguments, interrupt)
    }

    /// Starts this program with `arguments` and the id of this process as `--parent`, as a server that [`announce`]s itself.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) fn launch(arguments: &[String], interrupt: &Interrupt) -> Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg0("crossover")
            .args(arguments)
            .args(["--parent", &std::process::id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // A terminal's Ctrl-C is for the coordinator alone.
            .process_group(0)
            .spawn()
            .context("cannot start the test server")?;
        match first_line(&mut child, interrupt) {
            Ok(line) => match line.strip_prefix(LISTENING).and_then(|address| address.trim().parse().ok()) {
                Some(address) => Ok(Self { child, address }),
                None => {
                    stop(&mut child);
                    bail!("the test server did not say where it listens but {line:?}")
                }
            },
            Err(error) => {
                stop(&mut child);
                Err(error).context("the test server did not start")
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time that it has used so far; `None` when it is gone.
    #[must_use]
    pub fn cpu_ns(&self) -> Option<u64> {
        probe::cpu_ns(self.child.id())
    }

    /// Why it has ended; `None` while it runs.
    pub fn death(&mut self) -> Option<Death> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) if status.code() == Some(NO_FILES.into()) => Some(Death::NoFiles),
            _ => Some(Death::Other),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

fn stop(child: &mut Child) {
    // Errors mean that it is gone already.
    let _ = child.kill();
    let _ = child.wait();
}

/// The first line of the server's stdout; the pipe stays open in `child`'s place until it is dropped with it.
fn first_line(child: &mut Child, interrupt: &Interrupt) -> Result<String> {
    let stdout = child.stdout.as_mut().context("the process has no stdout")?;
    let mut fds =
        [PollFd::new(&*stdout, PollFlags::IN), PollFd::from_borrowed_fd(interrupt.fd(), PollFlags::IN)];
    poll(&mut fds, Timespec::try_from(START_LIMIT).ok().as_ref())?;
    if !fds[1].revents().is_empty() {
        bail!("interrupted");
    }
    if fds[0].revents().is_empty() {
        bail!("it was silent for {} s", START_LIMIT.as_secs());
    }
    let mut line = String::new();
    // The line is short and written at once.
    BufReader::new(stdout.take(1000)).read_line(&mut line)?;
    if line.is_empty() {
        bail!("it ended at once");
    }
    Ok(line)
}
