//! Kind `postgres`: a task asks a PostgreSQL server something that takes a while, over a pool of connections.
//!
//! Both forms use tokio-postgres. The async one runs it on the streams of the runtime that it runs on; the connection is polled
//! by the task that uses it. The blocking one does what the crate `postgres` does: each connection has a runtime of its own,
//! on the thread that waits for the answer, here our current-thread one. The time that a query takes is `pg_sleep`, at the server.
//!
//! The server is the user's, or the private one of `scripts/postgres.sh`; `CROSSOVER_POSTGRES` says where.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::sync::Semaphore;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::Kind;
use super::beside::{Mover, beside};
use super::http::{self, PATIENCE, whole_us};
use super::idle::{Idle, IdleBlocking};
use super::tokio_io::TokioIo;
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::word;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, Crossover, WorkloadError};

/// The variable that says where the server is, as a connection URL.
const SERVER_VARIABLE: &str = "CROSSOVER_POSTGRES";
/// `#` is exclusive or.
const AT_ONCE: &str = "select $1::int8 # $2::int8";
const AFTER_A_WHILE: &str = "select $1::int8 # $2::int8 from pg_sleep($3::float8)";
/// Connections that a server as it comes agrees to, but a few.
const CONNECTIONS_MAX: i64 = 90;

/// The queries of one workload, and the connections that they go over.
#[derive(Debug)]
pub(crate) struct Postgres {
    server: SocketAddr,
    config: Config,
    seed: u64,
    delay: Duration,
    limit: Duration,
    /// A place for every connection that may be in use.
    places: Semaphore,
    idle: Idle,
    idle_blocking: IdleBlocking<OwnRuntime>,
}

/// A connection: one part takes queries, the other moves bytes when polled.
struct Connection {
    client: Client,
    statement: Statement,
    mover: Mover,
}

/// A connection of blocking code.
#[derive(Debug)]
struct OwnRuntime {
    // Dropped before the runtime.
    connection: Connection,
    runtime: Runtime,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("closed", &self.client.is_closed()).finish()
    }
}

impl Kind for Postgres {
    const INFO: KindInfo = KindInfo {
        about: "a task asks a PostgreSQL server (CROSSOVER_POSTGRES; scripts/postgres.sh starts one) something that takes a while, over a pool of connections",
        params: &[
            catalog::tasks(10_000),
            http::delay_ms("how long the server sleeps before it answers; 0 answers at once"),
            ParamInfo {
                name: "connections",
                about: "connections of the pool of each process: so many queries are under way at once",
                value: ParamKind::Int { min: 1, max: CONNECTIONS_MAX },
                default: Some(DefaultValue::Int(10)),
            },
        ],
        ..KindInfo::new("postgres", Class::Io)
    };

    const KEEPS_CONNECTIONS: bool = true;

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let (server, config) = find_server(std::env::var(SERVER_VARIABLE).ok())
            .map_err(|reason| WorkloadError::Unprepared { kind: Self::INFO.name.to_owned(), reason })?;
        let delay = Duration::from_micros(whole_us(setup.params.number("delay_ms")?));
        Ok(Self {
            server,
            config,
            seed: setup.seed(),
            delay,
            // A task may wait for all others.
            limit: PATIENCE + delay.saturating_mul(setup.tasks()),
            places: Semaphore::new(setup.params.count("connections")?),
            idle: Idle::default(),
            idle_blocking: IdleBlocking::default(),
        })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let _place = self.places.acquire_blocking();
        let failed = |reason| self.failed(task, reason);
        let mut own = match self.idle_blocking.take() {
            Some(own) => own,
            None => self.connect_blocking().map_err(failed)?,
        };
        let OwnRuntime { connection, runtime } = &mut own;
        let query = async { Crossover::timeout(self.limit, self.query(connection, task)).await };
        let answer = runtime.block_on(query).ok_or_else(|| self.late(task))?.map_err(failed)?;
        self.idle_blocking.put(own);
        self.digest(task, answer)
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        // Boxed, because of its size: see the table of kinds.
        let answer = Box::pin(R::timeout(self.limit, self.ask::<R>(task))).await;
        let answer = answer.ok_or_else(|| self.late(task))?;
        self.digest(task, answer.map_err(|reason| self.failed(task, reason))?)
    }

    fn estimate_us(params: &Params) -> f64 {
        params.guess("delay_ms") * 1000.0 + 200.0
    }

    /// Does not ask whether the server answers.
    fn available() -> Result<(), String> {
        find_server(std::env::var(SERVER_VARIABLE).ok()).map(drop)
    }
}

impl Postgres {
    /// The task in async style. A dropped future closes its connection.
    async fn ask<R: AsyncRuntime>(&self, task: u32) -> Result<u64, String> {
        let _place = self.places.acquire().await;
        let mut connection = match self.idle.take::<R, Connection>() {
            Some(connection) => connection,
            None => self.connect::<R>().await?,
        };
        let answer = self.query(&mut connection, task).await?;
        self.idle.put::<R, Connection>(connection);
        Ok(answer)
    }

    fn statement(&self) -> &'static str {
        if self.delay.is_zero() { AT_ONCE } else { AFTER_A_WHILE }
    }

    async fn connect<R: AsyncRuntime>(&self) -> Result<Connection, String> {
        let stream = R::connect(self.server).await.map_err(|error| error.to_string())?;
        let (client, connection) =
            self.config.connect_raw(TokioIo(stream), NoTls).await.map_err(|error| describe(&error))?;
        let mut mover: Mover = Box::pin(async move { connection.await.map_err(|error| describe(&error)) });
        let prepared = beside(client.prepare(self.statement()), &mut mover).await?;
        let statement = prepared.map_err(|error| describe(&error))?;
        Ok(Connection { client, statement, mover })
    }

    fn connect_blocking(&self) -> Result<OwnRuntime, String> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let connection = runtime.block_on(self.connect::<Crossover>())?;
        Ok(OwnRuntime { connection, runtime })
    }

    async fn query(&self, connection: &mut Connection, task: u32) -> Result<u64, String> {
        let Connection { client, statement, mover } = connection;
        let (number, key) = (i64::from(task), word(self.seed, task.into()).cast_signed());
        let seconds = self.delay.as_secs_f64();
        let row = if self.delay.is_zero() {
            beside(client.query_one(statement, &[&number, &key]), mover).await?
        } else {
            beside(client.query_one(statement, &[&number, &key, &seconds]), mover).await?
        };
        let row = row.map_err(|error| describe(&error))?;
        row.try_get(0).map(i64::cast_unsigned).map_err(|error| describe(&error))
    }

    /// Accepts only this task's answer.
    fn digest(&self, task: u32, answer: u64) -> Result<u64, WorkloadError> {
        let expected = word(self.seed, task.into()) ^ u64::from(task);
        if answer == expected {
            return Ok(answer);
        }
        let reason = format!("found {answer:016x}, expected {expected:016x}");
        Err(WorkloadError::Body { task, server: self.server.to_string(), reason })
    }

    fn failed(&self, task: u32, reason: String) -> WorkloadError {
        WorkloadError::Transport { task, server: self.server.to_string(), reason }
    }

    fn late(&self, task: u32) -> WorkloadError {
        WorkloadError::Timeout { task, server: self.server.to_string(), limit: self.limit }
    }
}

/// What a variable's value says: the address and the rest.
fn find_server(value: Option<String>) -> Result<(SocketAddr, Config), String> {
    let value = value.ok_or_else(|| {
        format!(
            "it needs a PostgreSQL server, and {SERVER_VARIABLE} does not name one; `scripts/postgres.sh COMMAND` starts a private \
             one beside a command"
        )
    })?;
    let wrong =
        |reason: String| format!("{SERVER_VARIABLE} must be postgresql://USER@HOST:PORT/DATABASE: {reason}");
    let config: Config = value.parse().map_err(|error| wrong(describe(&error)))?;
    let host = match config.get_hosts() {
        [Host::Tcp(host)] => host.clone(),
        _ => return Err(wrong("one host, reached by TCP".to_owned())),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let mut addresses = (host.as_str(), port).to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
    let address = addresses.next().ok_or_else(|| wrong(format!("{host} has no address")))?;
    Ok((address, config))
}

/// An error of the client with its cause, which it does not tell by itself.
fn describe(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"));
    format!("{error}{cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_read_or_explained() {
        let (address, config) = find_server(Some("postgresql://me@127.0.0.1:5544/mine".into())).unwrap();
        assert_eq!(address, SocketAddr::from(([127, 0, 0, 1], 5544)));
        assert_eq!((config.get_user(), config.get_dbname()), (Some("me"), Some("mine")));
        for (value, part) in [
            (None, "scripts/postgres.sh"),
            (Some("nonsense"), "must be postgresql://"),
            (Some("postgresql:///mine"), "must be postgresql://"),
        ] {
            let reason = find_server(value.map(str::to_owned)).unwrap_err();
            assert!(reason.contains(part), "{value:?}: {reason}");
        }
    }
}
