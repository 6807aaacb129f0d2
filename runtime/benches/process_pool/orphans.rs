//! A parent that is killed: how many of its workers live 100 ms later.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::python::{self, Python};
use crate::rows::{WORKERS, Who};
use crate::{ours, procspawn_pool, system};

/// The first argument of a process that is to be killed.
const ROLE: &str = "--parent-of-orphans";

/// Plays the parent if the arguments say so; returns only when they do not, or when nobody kills it.
pub fn play(arguments: &[String]) -> bool {
    let [role, who, state] = arguments else { return false };
    if role != ROLE {
        return false;
    }
    let (busy, print) = (state == "busy", |pids: Vec<u32>| {
        // The jobs are at their workers by then.
        thread::sleep(Duration::from_millis(100));
        println!("{}", pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "));
        thread::sleep(Duration::from_secs(1000));
    });
    if who == Who::Procspawn.name() {
        let pool = procspawn_pool::warm_pool(WORKERS).expect("procspawn's pool starts");
        let pids = procspawn_pool::pids(&pool, WORKERS).expect("its workers answer");
        if busy {
            procspawn_pool::keep_busy(&pool);
        }
        print(pids);
    } else {
        let pool = ours::warm_pool(WORKERS).expect("our pool starts");
        if busy {
            ours::keep_busy(&pool);
        }
        print(pool.worker_pids());
    }
    true
}

/// Starts a parent of contestant `who`, kills it, and counts.
pub fn count(who: Who, busy: bool, python: Option<&Python>) -> Result<Vec<f64>, String> {
    let state = if busy { "busy" } else { "idle" };
    let mut command = match who {
        Who::Ppe | Who::PpeSpawn | Who::Loky if python.is_none() => {
            return Err("there is no Python".to_owned());
        }
        Who::Ppe | Who::PpeSpawn | Who::Loky => {
            let mut command = python::command();
            command.args(["orphans", who.name(), state]);
            command
        }
        _ => {
            let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
            command.args([ROLE, who.name(), state]);
            command
        }
    };
    let text = |error: std::io::Error| error.to_string();
    let mut parent = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(text)?;
    let mut line = String::new();
    let told = BufReader::new(parent.stdout.take().expect("a pipe")).read_line(&mut line).map_err(text);
    parent.kill().map_err(text)?;
    thread::sleep(Duration::from_millis(100));
    let pids: Vec<u32> = line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let alive: Vec<u32> = pids.iter().copied().filter(|&pid| system::lives(pid)).collect();
    parent.wait().map_err(text)?;
    // What is left of a peer would disturb the rows after this one.
    alive.iter().for_each(|&pid| drop(system::kill(pid)));
    told?;
    match pids.len() {
        WORKERS => Ok(vec![alive.len() as f64]),
        _ => Err(format!("the parent said {line:?}")),
    }
}
