//! Claims about connections that hold state: databases and their pools, streams of lines, several waits at once.
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossover_runtime::net::TcpStream;
use crossover_runtime::spawn;
use crossover_runtime::sync::channel;
use crossover_runtime::time::sleep;
use futures_util::future::try_join_all;
use futures_util::try_join;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;

use super::database::{Connection, Database};
use super::waiting::named_arrivals;
use super::{Outcome, Setup, Trouble, found, ms, one_loop, requests, seconds_of, server, workers};

/// 12: ten queries of 100 ms, on one connection and on a pool of ten.
pub(crate) fn queries(setup: &Setup) -> Outcome {
    let database = Database::find(setup)?;
    one_loop()?.block_on(async {
        let mut one = database.connect().await?;
        let (sequential, done) = seconds_of(async {
            for _ in 0..10 {
                one.query().await?;
            }
            Ok::<_, String>(())
        })
        .await;
        done?;
        let mut pool = try_join_all((0..10).map(|_| database.connect())).await?;
        let (pooled, done) = seconds_of(try_join_all(pool.iter_mut().map(Connection::query))).await;
        done?;
        Ok(found("pool", pooled).and("sequential", sequential).note(one.about()))
    })
}

/// x3: two queries of 100 ms gathered on one connection: they wait for each other.
pub(crate) fn one_connection(setup: &Setup) -> Outcome {
    let database = Database::find(setup)?;
    one_loop()?.block_on(async {
        let mut one = database.connect().await?;
        let (both, done) = seconds_of(one.two_queries()).await;
        done?;
        Ok(found("over_one", both / 0.1)
            .note("both queries are sent at once; the server answers in turn")
            .note(one.about()))
    })
}

/// 44: five lines of an answer, 100 ms apart: when each arrives.
pub(crate) fn lines(setup: &Setup) -> Outcome {
    const NAMES: [&str; 5] = ["line1", "line2", "line3", "line4", "line5"];
    let address = server(setup)?;
    let target = format!("/lines?us=100000&n=0&seed={}&count={}", setup.seed, NAMES.len());
    let arrivals = one_loop()?.block_on(line_arrivals(address, &target))?;
    named_arrivals(&NAMES, &arrivals)
}

/// When each line of an answer is read whole, by hyper's client over our TCP stream, counted from the request.
async fn line_arrivals(address: SocketAddr, target: &str) -> Result<Vec<Duration>, Trouble> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(stream).await?;
    let moving = spawn(connection);
    let request = Request::get(target).header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let begun = Instant::now();
    let mut response = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Err(Trouble::Failed(format!("the server answered {}", response.status())));
    }
    let mut arrivals = Vec::new();
    // A line may come in pieces, and a piece may hold several.
    while let Some(frame) = response.body_mut().frame().await {
        if let Some(piece) = frame?.data_ref() {
            let ends = piece.iter().filter(|byte| **byte == b'\n').count();
            arrivals.extend(std::iter::repeat_n(begun.elapsed(), ends));
        }
    }
    drop(sender);
    moving.await??;
    Ok(arrivals)
}

/// 46: a request, a query and a message of 100 ms each, and a file: one after the other, and at once.
pub(crate) fn four_waits(setup: &Setup) -> Outcome {
    let database = Database::find(setup)?;
    let work = requests(ms(100), 2, setup)?;
    let file = super::files::Folder::with_files(1, 64 * 1024)?;
    let path = file.path(0);
    let request = async |task| work.run_async(task).await.map(drop).map_err(|error| error.to_string());
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
        // Open, as a service's are.
        let mut connection = database.connect().await?;
        let (sequential, done) = seconds_of(async {
            request(0).await?;
            connection.query().await?;
            disk().await?;
            message().await
        })
        .await;
        done?;
        let (together, done) =
            seconds_of(async { try_join!(request(1), connection.query(), disk(), message()) }).await;
        done?;
        Ok(found("speedup", sequential / together)
            .and("together", together)
            .and("sequential", sequential)
            .note(connection.about()))
    })
}
