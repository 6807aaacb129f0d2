//! Kind `sqlite`: a task queries an embedded database, SQLite, which every process that runs the workload has for itself.
//!
//! SQLite is a library of blocking calls, so the async form hands the whole task to the threads that its runtime keeps for
//! such calls: there is no other way. The database is in WAL mode, where readers do not wait for a writer; writers wait for
//! each other, in SQLite's own way, by trying again. A task has a connection to itself, which is kept for the next task.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::Kind;
use super::idle::IdleBlocking;
use super::scratch::Scratch;
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::{fold, word};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// How long a connection tries again while another one writes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Makes both tables.
const SCHEMA: &str = "
    create table item (id integer primary key, value integer not null);
    create table note (id integer primary key, value integer not null);";
const READ: &str = "select value from item where id = ?1";
const WRITE: &str = "insert or replace into note (id, value) values (?1, ?2) returning value";

/// The database of one workload.
#[derive(Debug)]
pub(crate) struct Sqlite {
    // Shared with the jobs of async tasks.
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Closed before their files go.
    idle: IdleBlocking<Connection>,
    folder: Scratch,
    seed: u64,
    writes: bool,
    /// The value of SQLite's `synchronous`.
    sync: &'static str,
    rows: u64,
    statements: u64,
}

impl Kind for Sqlite {
    const INFO: KindInfo = KindInfo {
        about: "a task queries a database file by SQLite, within its process; async code does so on threads for blocking calls",
        params: &[
            catalog::tasks(10_000),
            ParamInfo {
                name: "op",
                about: "whether a task looks up rows by their keys, or writes rows in a transaction",
                value: ParamKind::Choice(&["read", "write"]),
                default: Some(DefaultValue::Text("read")),
            },
            ParamInfo {
                name: "rows",
                about: "rows of the table that is read",
                value: ParamKind::Int { min: 1, max: 1_000_000 },
                default: Some(DefaultValue::Int(10_000)),
            },
            ParamInfo {
                name: "statements",
                about: "rows that a task looks up or writes, one statement each",
                value: ParamKind::Int { min: 1, max: 100_000 },
                default: Some(DefaultValue::Int(10)),
            },
            ParamInfo {
                name: "sync",
                about: "when a transaction is on the disk: never asked for, or before the transaction ends",
                value: ParamKind::Choice(&["none", "full"]),
                default: Some(DefaultValue::Text("none")),
            },
        ],
        ..KindInfo::new("sqlite", Class::Io)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let failed = |reason: String| WorkloadError::Unprepared { kind: Self::INFO.name.to_owned(), reason };
        let params = &setup.params;
        let folder = Scratch::new().map_err(|error| failed(format!("a folder for it: {error}")))?;
        let shared = Shared {
            idle: IdleBlocking::default(),
            folder,
            seed: setup.seed(),
            writes: params.text("op")? == "write",
            sync: if params.text("sync")? == "full" { "full" } else { "off" },
            rows: params.count("rows")? as u64,
            statements: params.count("statements")? as u64,
        };
        shared.fill().map_err(|error| failed(error.to_string()))?;
        Ok(Self { shared: Arc::new(shared) })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        self.shared.run(task)
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        let shared = Arc::clone(&self.shared);
        // Boxed, because of its size: see the table of kinds.
        let result = Box::pin(R::unblock(move || shared.run(task))).await;
        result.unwrap_or_else(|reason| Err(WorkloadError::Offload { task, reason }))
    }

    fn estimate_us(params: &Params) -> f64 {
        let sync = if params.is("op", "write") && params.is("sync", "full") { 1000.0 } else { 0.0 };
        params.guess("statements") * 3.0 + 10.0 + sync
    }
}

impl Shared {
    fn fill(&self) -> rusqlite::Result<()> {
        let mut connection = self.open()?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.execute_batch(SCHEMA)?;
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare("insert into item (id, value) values (?1, ?2)")?;
            for id in 0..self.rows {
                insert.execute(params![id.cast_signed(), word(self.seed, id).cast_signed()])?;
            }
        }
        transaction.commit()?;
        // Readers find the table itself, not its journal.
        connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
        self.idle.put(connection);
        Ok(())
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        // Only one thread has a connection at a time: it needs no lock of its own.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(self.folder.path().join("database"), flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "synchronous", self.sync)?;
        Ok(connection)
    }

    fn run(&self, task: u32) -> Result<u64, WorkloadError> {
        let failed = |what: &'static str| {
            move |error: rusqlite::Error| WorkloadError::Storage { task, what, reason: error.to_string() }
        };
        let mut connection = match self.idle.take() {
            Some(connection) => connection,
            None => self.open().map_err(failed("opening the database"))?,
        };
        let digest = if self.writes {
            self.write(&mut connection, task).map_err(failed("a transaction"))?
        } else {
            self.read(&connection, task).map_err(failed("a query"))?
        };
        self.idle.put(connection);
        Ok(digest)
    }

    fn read(&self, connection: &Connection, task: u32) -> rusqlite::Result<u64> {
        let mut statement = connection.prepare_cached(READ)?;
        let keys = word(self.seed, task.into());
        (0..self.statements).try_fold(0, |digest, index| {
            let id = (word(keys, index) % self.rows).cast_signed();
            statement.query_row([id], |row| row.get(0)).map(|value: i64| fold(digest, value.cast_unsigned()))
        })
    }

    /// Each task writes rows of its own, the same ones each time.
    fn write(&self, connection: &mut Connection, task: u32) -> rusqlite::Result<u64> {
        let first = u64::from(task) * self.statements;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let digest = {
            let mut statement = transaction.prepare_cached(WRITE)?;
            (first..first + self.statements).try_fold(0, |digest, id| {
                let row = params![id.cast_signed(), word(self.seed, id).cast_signed()];
                statement
                    .query_row(row, |row| row.get(0))
                    .map(|value: i64| fold(digest, value.cast_unsigned()))
            })?
        };
        transaction.commit()?;
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Spec, Value};

    #[test]
    fn rows_are_there_after_a_write_and_the_files_go() {
        let params = [
            ("op".to_owned(), Value::Text("write".into())),
            ("statements".to_owned(), Value::Int(4)),
            ("sync".to_owned(), Value::Text("full".into())),
        ];
        let spec = Spec {
            kind: "sqlite".into(),
            params: params.into(),
            tasks: 8,
            seed: 3,
            server: None,
            spin_per_us: None,
        };
        let sqlite = Sqlite::prepare(&Setup::new(&Sqlite::INFO, &spec).unwrap(), None).unwrap();
        // Writers meet; each waits for its turn.
        std::thread::scope(|scope| {
            for task in 0..8 {
                let sqlite = &sqlite;
                scope.spawn(move || sqlite.run_blocking(task).unwrap());
            }
        });
        sqlite.run_blocking(0).unwrap();
        let connection = sqlite.shared.open().unwrap();
        let count: i64 = connection.query_row("select count(*) from note", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 32);
        let mode: String = connection.query_row("pragma journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        let path = sqlite.shared.folder.path().to_owned();
        drop((connection, sqlite));
        assert!(!path.exists());
    }
}
