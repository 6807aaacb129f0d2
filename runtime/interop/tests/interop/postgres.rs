//! tokio-postgres over our streams, through tokio's I/O traits and `connect_raw`.
//!
//! The server is a private one: `scripts/postgres.sh` starts it from the system's package, and ends it when this program
//! ends. Where no server is installed these tests say so and are skipped, unless `INTEROP_POSTGRES=required`.

use std::future::poll_fn;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use crossover_runtime::net::{TcpListener, TcpStream, UnixStream};
use crossover_runtime::spawn;
use crossover_runtime::task::JoinHandle;
use crossover_runtime::time::timeout;
use futures::channel::mpsc;
use futures::future::join_all;
use futures::{SinkExt, StreamExt, TryStreamExt};
use tokio::io::copy_bidirectional;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Error, NoTls};

use crate::on_both;

/// What the script ends with where no server is installed.
const NOT_INSTALLED: i32 = 77;

/// The server of this program. Its script lasts as long as the pipe to its input, which we close by ending.
struct Server {
    _script: Child,
    socket: PathBuf,
}

impl Server {
    /// `None`: there is none to be had.
    fn start() -> Option<Server> {
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/postgres.sh"))
            .args(["sh", "-c", r#"echo "$PGHOST/.s.PGSQL.$PGPORT"; cat"#])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let mut socket = String::new();
        let output = script.stdout.as_mut().expect("its output is a pipe");
        BufReader::new(output).read_line(&mut socket).expect("a line, or the end");
        if !socket.is_empty() {
            return Some(Server { _script: script, socket: socket.trim_end().into() });
        }
        let status = script.wait().expect("it has ended");
        assert_eq!(status.code(), Some(NOT_INSTALLED), "the server did not start: {status}");
        let required = std::env::var_os("INTEROP_POSTGRES").is_some_and(|value| value == "required");
        assert!(!required, "no PostgreSQL server is installed");
        None
    }
}

/// The path of the server's socket.
fn socket() -> Option<&'static PathBuf> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref().map(|server| &server.socket)
}

/// Runs a test on both schedulers, if there is a server.
#[track_caller]
fn with_server<F: Future + 'static>(test: fn() -> F) {
    match socket() {
        Some(_) => on_both(test),
        None => eprintln!("skipped: no PostgreSQL server is installed"),
    }
}

async fn stream() -> UnixStream {
    let socket = socket().expect("with_server has looked");
    UnixStream::connect(socket).await.expect("the server accepts connections")
}

fn config() -> Config {
    let mut config = Config::new();
    config.user("postgres").dbname("postgres");
    config
}

/// A client, and the task that drives its connection.
async fn connect() -> (Client, JoinHandle<Result<(), Error>>) {
    let (client, connection) = config().connect_raw(stream().await, NoTls).await.expect("connected");
    (client, spawn(connection))
}

#[test]
fn queries_with_parameters() {
    with_server(|| async {
        let (client, connection) = connect().await;
        let statement = client.prepare("select $1::int8 + 1, $2::text || '!', $3::bytea, null::int4").await;
        let statement = statement.expect("prepared");
        for number in 0..50_i64 {
            let bytes = vec![number as u8; 10_000];
            let row = client.query_one(&statement, &[&number, &"hello", &bytes]).await.expect("a row");
            assert_eq!(row.get::<_, i64>(0), number + 1);
            assert_eq!(row.get::<_, &str>(1), "hello!");
            assert_eq!(row.get::<_, &[u8]>(2), bytes);
            assert_eq!(row.get::<_, Option<i32>>(3), None);
        }
        drop((client, statement));
        connection.await.expect("the task").expect("the connection ends with its client");
    });
}

/// All are sent before the first is answered, first from one task, then from many.
#[test]
fn pipelined_queries() {
    with_server(|| async {
        let (client, _connection) = connect().await;
        let client = Arc::new(client);
        let statement = client.prepare("select $1::int4 * 2").await.expect("prepared");
        let queries = (0..500_i32).map(|number| {
            let (client, statement) = (&client, &statement);
            async move { client.query_one(statement, &[&number]).await.map(|row| row.get::<_, i32>(0)) }
        });
        for (number, answer) in (0..).zip(join_all(queries).await) {
            assert_eq!(answer.expect("a row"), 2 * number);
        }
        let tasks = (0..500_i32).map(|number| {
            let (client, statement) = (client.clone(), statement.clone());
            spawn(async move {
                let row = client.query_one(&statement, &[&number]).await.expect("a row");
                assert_eq!(row.get::<_, i32>(0), 2 * number);
            })
        });
        join_all(tasks).await.into_iter().for_each(|task| task.expect("a task"));
    });
}

/// Much more than the socket holds, both ways; the server waits for us, and we for the server.
#[test]
fn large_results_and_copies() {
    with_server(|| async {
        let (client, _connection) = connect().await;
        let rows =
            client.query_raw("select n, repeat('x', 100) from generate_series(1, 20000) n", [0_i32; 0]);
        let mut rows = pin!(rows.await.expect("rows"));
        let mut expected = 1;
        while let Some(row) = rows.try_next().await.expect("a row") {
            assert_eq!((row.get::<_, i32>(0), row.get::<_, &str>(1).len()), (expected, 100));
            expected += 1;
        }
        assert_eq!(expected, 20_001);

        client.batch_execute("create temporary table words (number int, word text)").await.expect("created");
        let mut sink = pin!(client.copy_in("copy words from stdin").await.expect("the server reads"));
        for batch in 0..200 {
            let lines = (0..100).map(|line| format!("{}\t{}\n", batch * 100 + line, "word".repeat(25)));
            sink.send(Bytes::from(lines.collect::<String>())).await.expect("sent");
        }
        assert_eq!(sink.finish().await.expect("copied"), 20_000);
        let copied = client.copy_out("copy words to stdout").await.expect("the server writes");
        let bytes = copied.try_fold(0, async |sum, chunk| Ok(sum + chunk.len())).await.expect("copied");
        let digits: usize = (0..20_000).map(|number: i32| number.to_string().len()).sum();
        assert_eq!(bytes, digits + 20_000 * ("\t\n".len() + 100));
    });
}

#[test]
fn transactions_commit_roll_back_and_are_dropped() {
    with_server(|| async {
        let (mut client, _connection) = connect().await;
        client.batch_execute("create temporary table numbers (number int)").await.expect("created");
        for (end, count) in [("commit", 1), ("rollback", 1), ("drop", 1), ("commit", 2)] {
            let transaction = client.transaction().await.expect("begun");
            transaction.execute("insert into numbers values (1)", &[]).await.expect("inserted");
            match end {
                "commit" => transaction.commit().await.expect("committed"),
                "rollback" => transaction.rollback().await.expect("rolled back"),
                _ => drop(transaction),
            }
            let row = client.query_one("select count(*) from numbers", &[]).await.expect("a row");
            assert_eq!(row.get::<_, i64>(0), count, "after {end}");
        }
    });
}

/// The process of a client's connection at the server.
async fn backend(client: &Client) -> i32 {
    client.query_one("select pg_backend_pid()", &[]).await.expect("a row").get(0)
}

/// Cancels what `backend` does, once that is to sleep.
async fn cancel_asleep(watcher: &Client, backend: i32, token: &CancelToken) {
    let asleep = "select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'";
    while watcher.query_opt(asleep, &[&backend]).await.expect("an answer").is_none() {}
    token.cancel_query_raw(stream().await, NoTls).await.expect("the server takes it");
}

/// A query is cancelled through a second connection, once the server is at it; the first one stays usable.
#[test]
fn a_query_is_cancelled() {
    with_server(|| async {
        let ((client, _connection), (watcher, _other)) = (connect().await, connect().await);
        let (backend, token) = (backend(&client).await, client.cancel_token());
        let sleeping = client.batch_execute("select pg_sleep(3600)");
        let (slept, ()) = futures::join!(sleeping, cancel_asleep(&watcher, backend, &token));
        assert_eq!(slept.expect_err("cancelled").code(), Some(&SqlState::QUERY_CANCELED));
        // The server signals a process and then its group: the second signal may come late, and meet the next query.
        while let Err(error) = client.query_one("select 1", &[]).await {
            assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        }
    });
}

/// Dropping a query, as a timeout does, only stops waiting: the server goes on, and its answer is thrown away.
#[test]
fn a_query_is_dropped_by_a_timeout() {
    with_server(|| async {
        let ((client, _connection), (other, _other)) = (connect().await, connect().await);
        let lock = "select pg_advisory_lock(5)";
        other.batch_execute(lock).await.expect("locked");
        timeout(Duration::from_millis(5), client.batch_execute(lock))
            .await
            .expect_err("the other one has it");
        other.batch_execute("select pg_advisory_unlock(5)").await.expect("unlocked");
        let row = client.query_one("select 1", &[]).await.expect("it had to wait, and no more");
        assert_eq!(row.get::<_, i32>(0), 1);
    });
}

#[test]
fn errors_are_told_and_survived() {
    with_server(|| async {
        let (client, connection) = connect().await;
        let error = client.query("selekt 1", &[]).await.expect_err("a typo");
        assert_eq!(error.code(), Some(&SqlState::SYNTAX_ERROR));
        let error = client.query("select 1 / $1::int4", &[&0_i32]).await.expect_err("no number");
        assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO));
        client.batch_execute("create temporary table once (number int primary key)").await.expect("created");
        let insert = "insert into once values (1)";
        client.execute(insert, &[]).await.expect("inserted");
        let error = client.execute(insert, &[]).await.expect_err("a duplicate");
        assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));

        // The server ends the connection.
        let (killer, _other) = connect().await;
        let backend = backend(&client).await;
        killer.execute("select pg_terminate_backend($1)", &[&backend]).await.expect("a row");
        connection.await.expect("the task").expect_err("not by us");
        assert!(client.query("select 1", &[]).await.expect_err("gone").is_closed());
    });
}

#[test]
fn notifications_arrive() {
    with_server(|| async {
        let (client, mut connection) = config().connect_raw(stream().await, NoTls).await.expect("connected");
        let (mut sender, mut receiver) = mpsc::unbounded();
        let driving = spawn(async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(note) = message.expect("a message") {
                    sender
                        .send((note.channel().to_owned(), note.payload().to_owned()))
                        .await
                        .expect("wanted");
                }
            }
        });
        // The tests of both schedulers may share the server, but no channel.
        let channel = format!("news_{}", backend(&client).await);
        client.batch_execute(&format!("listen {channel}")).await.expect("listening");
        let (other, _other) = connect().await;
        for number in 0..100 {
            other.query("select pg_notify($1, $2)", &[&channel, &number.to_string()]).await.expect("a row");
        }
        for number in 0..100 {
            assert_eq!(receiver.next().await, Some((channel.clone(), number.to_string())));
        }
        drop(client);
        driving.await.expect("the connection ends with its client");
    });
}

/// Over TCP, by a proxy of ours in front of the server's Unix socket.
#[test]
fn a_proxied_connection() {
    with_server(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        let proxy = spawn(async move {
            let (mut near, _) = listener.accept().await.expect("a connection");
            copy_bidirectional(&mut near, &mut stream().await).await.expect("copied")
        });
        let near = TcpStream::connect(address).await.expect("connect");
        let (client, connection) = config().connect_raw(near, NoTls).await.expect("connected");
        let connection = spawn(connection);
        let row = client.query_one("select repeat('x', 3000000)", &[]).await.expect("a row");
        assert_eq!(row.get::<_, &str>(0).len(), 3_000_000);
        drop(client);
        connection.await.expect("the task").expect("the connection ends with its client");
        let (_, from_server) = proxy.await.expect("the proxy");
        assert!(from_server > 3_000_000);
    });
}
