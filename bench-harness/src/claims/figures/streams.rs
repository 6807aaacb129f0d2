//! Claims about connections that hold state: databases and their pools, chats, streams of lines, several waits at once.
//!
//! The other side is [`super::super::stand_in`].
use crossover_runtime::spawn;
use crossover_runtime::sync::channel;
use crossover_runtime::time::sleep;
use crossover_workloads::{Value, Workload};
use futures_util::future::try_join_all;
use futures_util::try_join;

use super::super::stand_in::Connection;
use super::waiting::named_arrivals;
use super::{Outcome, Setup, Trouble, found, ms, one_loop, requests, seconds_of, spec, stand_in, workers};

/// 12: ten queries of 100 ms, on one connection and on a pool of ten: of PostgreSQL where `CROSSOVER_POSTGRES` says where one is.
pub(crate) fn queries(setup: &Setup) -> Outcome {
    if std::env::var_os("CROSSOVER_POSTGRES").is_some() {
        return postgres(setup);
    }
    let address = stand_in(setup)?;
    one_loop()?.block_on(async {
        let mut one = Connection::open(address).await?;
        let (sequential, done) = seconds_of(async {
            for _ in 0..10 {
                one.ask("query 100").await?;
            }
            std::io::Result::Ok(())
        })
        .await;
        done?;
        let mut pool = try_join_all((0..10).map(|_| Connection::open(address))).await?;
        let (pooled, done) =
            seconds_of(try_join_all(pool.iter_mut().map(|connection| connection.ask("query 100")))).await;
        done?;
        Ok(found("pool", pooled).and("sequential", sequential).note(
            "a stand-in for a database: one query of a connection after the other, each 100 ms of a timer; \
             CROSSOVER_POSTGRES names a real one",
        ))
    })
}

fn postgres(setup: &Setup) -> Outcome {
    let work = |connections| {
        let params = [("delay_ms", Value::Int(100)), ("connections", Value::Int(connections))];
        Ok::<_, Trouble>(Workload::prepare(&spec("postgres", &params, 10, setup)?)?)
    };
    let runtime = one_loop()?;
    let wall = |connections| -> Result<f64, Trouble> {
        let work = work(connections)?;
        let queries = || try_join_all((0..10).map(|task| work.run_async(task)));
        // Once for nothing: the connections are open then.
        runtime.block_on(queries())?;
        let (wall, done) = runtime.block_on(seconds_of(queries()));
        done?;
        Ok(wall)
    };
    Ok(found("pool", wall(10)?)
        .and("sequential", wall(1)?)
        .note("PostgreSQL, pg_sleep(.1), by tokio-postgres"))
}

/// x3: two queries of 100 ms gathered on one connection: they wait for each other.
pub(crate) fn one_connection(setup: &Setup) -> Outcome {
    let address = stand_in(setup)?;
    one_loop()?.block_on(async {
        let mut one = Connection::open(address).await?;
        let (both, done) = seconds_of(async {
            // Both are under way at once; the second answer comes after the first.
            one.send("query 100").await?;
            one.send("query 100").await?;
            one.line().await?;
            one.line().await
        })
        .await;
        done?;
        Ok(found("over_one", both / 0.1).note("both queries are sent at once; the server answers in turn"))
    })
}

/// 44: five lines of an answer, 100 ms apart: when each arrives.
pub(crate) fn lines(setup: &Setup) -> Outcome {
    let address = stand_in(setup)?;
    let arrivals = one_loop()?.block_on(async {
        let mut connection = Connection::open(address).await?;
        let begun = std::time::Instant::now();
        connection.send("lines 5 100").await?;
        let mut arrivals = Vec::new();
        for _ in 0..5 {
            connection.line().await?;
            arrivals.push(begun.elapsed());
        }
        std::io::Result::Ok(arrivals)
    })?;
    named_arrivals(&["line1", "line2", "line3", "line4", "line5"], &arrivals)
}

/// 46: a request, a query and a message of 100 ms each, and a file: one after the other, and at once.
pub(crate) fn four_waits(setup: &Setup) -> Outcome {
    let address = stand_in(setup)?;
    let work = requests(ms(100), 2, setup)?;
    let file = super::files::Folder::with_files(1, 64 * 1024)?;
    let path = file.path(0);
    let request = async |task| work.run_async(task).await.map(drop).map_err(|error| error.to_string());
    let query = async || {
        let mut connection = Connection::open(address).await.map_err(|error| error.to_string())?;
        connection.ask("query 100").await.map_err(|error| error.to_string())
    };
    let disk = async || crossover_runtime::fs::read(&path).await.map(drop).map_err(|error| error.to_string());
    let message = async || {
        let (sender, receiver) = channel::bounded(1);
        let producer = spawn(async move {
            sleep(ms(100)).await;
            sender.send(()).await.is_ok()
        });
        let received = receiver.recv().await.map_err(|error| error.to_string());
        let sent = producer.await.map_err(|error| error.to_string())?;
        received.and(if sent { Ok(()) } else { Err("nobody received".to_owned()) })
    };
    workers(setup)?.block_on(async {
        let (sequential, done) = seconds_of(async {
            request(0).await?;
            query().await?;
            disk().await?;
            message().await
        })
        .await;
        done?;
        let (together, done) = seconds_of(async { try_join!(request(1), query(), disk(), message()) }).await;
        done?;
        Ok(found("speedup", sequential / together).and("together", together).and("sequential", sequential))
    })
}
