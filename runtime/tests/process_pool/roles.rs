//! Parts that this program plays in a process of its own: parents that are killed, signalled or watched from outside.

use crate::{
    jobs,
    runner::SOON,
    support::{Gate, err, kill, ok, pool, warm_pool},
};
use crossover_runtime::process_pool::CallError;
use futures::executor::block_on;
use nix::sys::signal::{SigHandler, Signal as NixSignal, signal};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{self, Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// The argument that asks for a role.
const ARGUMENT: &str = "role=";

/// What a process of this program may be asked to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Role {
    BusyPool,
    IdlePool,
    BusyPoolWithoutDeathSignal,
    SurvivesCtrlC,
    Prints,
    IgnoresChildren,
    Respawns,
    KeepsStarting,
    Panics,
    Floods,
    RunsOutOfMemory,
    RunsOutOfDescriptors,
}

const ROLES: [(Role, fn()); 12] = [
    (Role::BusyPool, || busy_pool(false)),
    (Role::IdlePool, idle_pool),
    (Role::BusyPoolWithoutDeathSignal, || busy_pool(true)),
    (Role::SurvivesCtrlC, survives_ctrl_c),
    (Role::Prints, prints),
    (Role::IgnoresChildren, ignores_children),
    (Role::Respawns, respawns),
    (Role::KeepsStarting, keeps_starting),
    (Role::Panics, panics),
    (Role::Floods, floods),
    (Role::RunsOutOfMemory, runs_out_of_memory),
    (Role::RunsOutOfDescriptors, runs_out_of_descriptors),
];

/// Plays the role that the arguments name, and exits; returns when they name none.
pub(crate) fn play_if_asked() {
    let Some(wanted) =
        env::args().nth(1).and_then(|argument| argument.strip_prefix(ARGUMENT).map(str::to_owned))
    else {
        return;
    };
    let role = ROLES.iter().find(|(role, _)| format!("{role:?}") == wanted);
    let (_, play) = role.unwrap_or_else(|| panic!("no role {wanted}"));
    play();
    process::exit(0);
}

/// A process in a role, as the test holds it. Killed when dropped.
pub(crate) struct Actor {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Role {
    pub(crate) fn start(self) -> Actor {
        self.start_with(&[])
    }

    /// The same with variables in the environment.
    pub(crate) fn start_with(self, variables: &[(&str, &str)]) -> Actor {
        self.start_as(&env::current_exe().expect("this program"), variables)
    }

    /// The same from another file, a copy of this program. The process leads a group of its own.
    pub(crate) fn start_as(self, program: &Path, variables: &[(&str, &str)]) -> Actor {
        let mut child = self
            .command(program)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("a process for the role");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Actor { child, stdout }
    }

    /// Runs the role to its end: what it wrote to stdout and stderr.
    pub(crate) fn output(self) -> (String, String) {
        let output = self.command(&env::current_exe().expect("this program")).output().expect("its output");
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8_lossy(&output.stdout).into(), String::from_utf8_lossy(&output.stderr).into())
    }

    fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg(format!("{ARGUMENT}{self:?}"));
        command
    }
}

impl Actor {
    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("its stdout");
        assert!(line.ends_with('\n'), "it ended after {line:?}");
        line.trim_end().to_owned()
    }

    /// Sends it a line.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{line}").expect("it listens");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and reaped.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it lives");
        self.child.wait().expect("its end");
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Fails when the test has killed it already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints a line that a test reads at once.
fn tell(line: &str) {
    println!("{line}");
    io::stdout().flush().expect("the test reads");
}

/// Waits for a line of the test; its end counts as one.
fn listen() {
    io::stdin().lock().read_line(&mut String::new()).expect("stdin");
}

fn busy_pool(without_death_signal: bool) {
    let pool = warm_pool(2);
    let gate = Gate::new();
    let call = |name| match without_death_signal {
        true => pool.call(jobs::endless_without_death_signal, (name,)),
        false => pool.call(jobs::endless, (name,)),
    };
    let calls = [call(gate.name()), call(gate.name())];
    tell(&format!("{} {}", gate.guest().pid, gate.guest().pid));
    listen();
    drop(calls);
}

fn idle_pool() {
    let pool = warm_pool(2);
    let pids: Vec<String> = pool.worker_pids().iter().map(u32::to_string).collect();
    tell(&pids.join(" "));
    listen();
}

fn survives_ctrl_c() {
    static INTERRUPTED: AtomicBool = AtomicBool::new(false);
    extern "C" fn note(_: i32) {
        // Release pairs with the Acquire in the loop below; nothing but the flag is shared.
        INTERRUPTED.store(true, Ordering::Release);
    }
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
    unsafe { signal(NixSignal::SIGINT, SigHandler::Handler(note)) }.expect("a handler");
    let pool = pool(1);
    let group = ok(pool.call(jobs::worker_group, ()));
    let gate = Gate::new();
    let call = pool.call(jobs::gate, (gate.name(),));
    let guest = gate.guest();
    tell(&format!("{group} {}", guest.pid));
    while !INTERRUPTED.load(Ordering::Acquire) {
        thread::yield_now();
    }
    tell("interrupted");
    listen();
    guest.release();
    tell(&format!("the job ended in {}", ok(call)));
}

fn prints() {
    let pool = pool(1);
    ok(pool.call(jobs::prints, ("printed by a job".into(),)));
    println!("and the result is {}", ok(pool.call(jobs::add, (1, 2))));
}

fn ignores_children() {
    // SAFETY: ignoring SIGCHLD installs no handler; this process waits for no child of its own.
    unsafe { signal(NixSignal::SIGCHLD, SigHandler::SigIgn) }.expect("a disposition");
    let pool = pool(1);
    let gate = Gate::new();
    let call = pool.call(jobs::gate, (gate.name(),));
    kill(gate.guest().pid, Signal::KILL);
    let error = err(call);
    tell(&format!("{error}, then {}", ok(pool.call(jobs::add, (1, 2)))).replace('\n', " "));
}

fn respawns() {
    let pool = pool(1);
    tell(&ok(pool.call(jobs::worker_pid, ())).to_string());
    listen();
    // The worker was killed while idle: this needs a new one, from a program file that is gone.
    tell(&ok(pool.call(jobs::worker_pid, ())).to_string());
}

/// Starts workers without end.
fn keeps_starting() {
    tell("starting");
    loop {
        drop(warm_pool(3));
    }
}

fn panics() {
    let pool = pool(1);
    match err(pool.call(jobs::panics, ("no pixels".into(),))) {
        CallError::Panic { backtrace: Some(text), .. } => {
            tell(&format!("backtrace: {}", text.replace('\n', " ")));
        }
        _ => tell("no backtrace"),
    }
}

fn floods() {
    const BYTES: usize = 4 << 20;
    let pool = pool(1);
    assert_eq!(ok(pool.call(jobs::floods_stderr, (BYTES,))), BYTES);
    assert_eq!(ok(pool.call(jobs::reads_stdin, ())), 0);
    block_on(pool.close(SOON));
}

fn runs_out_of_memory() {
    let pool = pool(1);
    let error = err(pool.call(jobs::runs_out_of_memory, (1 << 30,)));
    tell(&format!("{error}, then {}", ok(pool.call(jobs::add, (1, 2)))).replace('\n', " "));
}

fn runs_out_of_descriptors() {
    let pool = pool(1);
    ok(pool.call(jobs::unit, ()));
    let few = Rlimit { current: Some(64), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, few).expect("a lower limit");
    let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // The worker at hand serves on; what is too large for its lane may fail, but only its own call.
    assert_eq!(ok(pool.call(jobs::add, (1, 1))), 2);
    match block_on(pool.call(jobs::echo, (vec![7; 1 << 20].into(),))) {
        Ok(bytes) => assert!(bytes.len() == 1 << 20 && bytes.iter().all(|byte| *byte == 7)),
        Err(error) => assert!(error.is_codec(), "{error}"),
    }
    // Fewer than the pool's own thread waits for, which poll(2) refuses: deaths are noticed nevertheless.
    setrlimit(Resource::Nofile, Rlimit { current: Some(1), maximum: few.maximum }).expect("a lower limit");
    assert!(err(pool.call(jobs::exits, (0,))).is_worker_died());
    setrlimit(Resource::Nofile, few).expect("a higher limit");
    let error = err(pool.call(jobs::add, (1, 2)));
    assert!(error.is_spawn(), "{error}");
    drop(held);
    let sum = loop {
        match block_on(pool.call(jobs::add, (1, 2))) {
            // Until the breaker tries again.
            Err(error) if error.is_breaker_open() => thread::sleep(Duration::from_millis(20)),
            other => break other.expect("a worker"),
        }
    };
    tell(&format!("{error}, then {sum}").replace('\n', " "));
}
