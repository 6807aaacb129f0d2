//! The runtime's basic operations beside tokio's, each on two workers: spawn, join, yield, wake, offload, sleep, echo.
//!
//! `cargo bench -p crossover-runtime --bench basic`. Criterion runs one bench after the other, so a load that comes and
//! goes shifts whole rows: compare rows of one group only, and only on a quiet machine.
use std::hint::black_box;
use std::time::Duration;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use futures::future::join_all;

const WORKERS: usize = 2;
const TASKS: u64 = 1_000;
const YIELDS: u64 = 200;
const ROUND_TRIPS: u64 = 100;
const MESSAGE: [u8; 64] = [7; 64];

fn ours() -> crossover_runtime::runtime::Runtime {
    crossover_runtime::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .build()
        .expect("our runtime starts")
}

fn tokios() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .expect("tokio starts")
}

fn group<'a>(c: &'a mut Criterion, name: &str, elements: u64) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(elements));
    group
}

/// Spawns many tasks from `block_on` and awaits them all.
fn spawn_many(c: &mut Criterion) {
    let mut group = group(c, "spawn_many", TASKS);
    let rt = ours();
    group.bench_function("crossover", |b| {
        b.iter(|| {
            rt.block_on(async {
                let tasks: Vec<_> =
                    (0..TASKS).map(|i| crossover_runtime::spawn(async move { black_box(i) })).collect();
                for task in tasks {
                    task.await.expect("the task ends");
                }
            })
        })
    });
    let rt = tokios();
    group.bench_function("tokio", |b| {
        b.iter(|| {
            rt.block_on(async {
                let tasks: Vec<_> = (0..TASKS).map(|i| tokio::spawn(async move { black_box(i) })).collect();
                for task in tasks {
                    task.await.expect("the task ends");
                }
            })
        })
    });
    group.finish();
}

/// Spawns one task inside a worker and awaits it, again and again.
fn spawn_await(c: &mut Criterion) {
    let mut group = group(c, "spawn_await_in_worker", TASKS);
    let rt = ours();
    group.bench_function("crossover", |b| {
        b.iter(|| {
            let outer = rt.spawn(async {
                for i in 0..TASKS {
                    crossover_runtime::spawn(async move { black_box(i) }).await.expect("the task ends");
                }
            });
            rt.block_on(outer).expect("the outer task ends");
        })
    });
    let rt = tokios();
    group.bench_function("tokio", |b| {
        b.iter(|| {
            let outer = rt.spawn(async {
                for i in 0..TASKS {
                    tokio::spawn(async move { black_box(i) }).await.expect("the task ends");
                }
            });
            rt.block_on(outer).expect("the outer task ends");
        })
    });
    group.finish();
}

/// A hundred tasks that yield two hundred times each.
fn yield_many(c: &mut Criterion) {
    let mut group = group(c, "yield_many", 100 * YIELDS);
    let rt = ours();
    group.bench_function("crossover", |b| {
        b.iter(|| {
            rt.block_on(async {
                join_all((0..100).map(|_| {
                    crossover_runtime::spawn(async {
                        for _ in 0..YIELDS {
                            crossover_runtime::task::yield_now().await;
                        }
                    })
                }))
                .await
            })
        })
    });
    let rt = tokios();
    group.bench_function("tokio", |b| {
        b.iter(|| {
            rt.block_on(async {
                join_all((0..100).map(|_| {
                    tokio::spawn(async {
                        for _ in 0..YIELDS {
                            tokio::task::yield_now().await;
                        }
                    })
                }))
                .await
            })
        })
    });
    group.finish();
}

/// Two tasks that send one message to and fro, over the same channel crate on both runtimes.
fn ping_pong(c: &mut Criterion) {
    let mut group = group(c, "ping_pong", ROUND_TRIPS);
    let rt = ours();
    group.bench_function("crossover", |b| {
        b.iter(|| {
            let (to, from) = async_channel::bounded::<u64>(1);
            let (back, answers) = async_channel::bounded::<u64>(1);
            let echo = rt.spawn(async move {
                while let Ok(n) = from.recv().await {
                    back.send(n).await.expect("the asker listens");
                }
            });
            let ask = rt.spawn(async move {
                for n in 0..ROUND_TRIPS {
                    to.send(n).await.expect("the echo listens");
                    answers.recv().await.expect("the echo answers");
                }
            });
            rt.block_on(async { (ask.await, echo.await) })
        })
    });
    let rt = tokios();
    group.bench_function("tokio", |b| {
        b.iter(|| {
            let (to, from) = async_channel::bounded::<u64>(1);
            let (back, answers) = async_channel::bounded::<u64>(1);
            let echo = rt.spawn(async move {
                while let Ok(n) = from.recv().await {
                    back.send(n).await.expect("the asker listens");
                }
            });
            let ask = rt.spawn(async move {
                for n in 0..ROUND_TRIPS {
                    to.send(n).await.expect("the echo listens");
                    answers.recv().await.expect("the echo answers");
                }
            });
            rt.block_on(async { (ask.await, echo.await) })
        })
    });
    group.finish();
}

/// One job on the blocking pool, awaited from `block_on`.
fn offload(c: &mut Criterion) {
    let mut group = group(c, "spawn_blocking", 1);
    let rt = ours();
    group.bench_function("crossover", |b| b.iter(|| rt.block_on(rt.spawn_blocking(|| black_box(1)))));
    let rt = tokios();
    group.bench_function("tokio", |b| b.iter(|| rt.block_on(rt.spawn_blocking(|| black_box(1)))));
    group.finish();
}

/// A thousand tasks that sleep for one millisecond at once.
fn sleep_many(c: &mut Criterion) {
    const NAP: Duration = Duration::from_millis(1);
    let mut group = group(c, "sleep_1ms_many", TASKS);
    let rt = ours();
    group.bench_function("crossover", |b| {
        b.iter(|| {
            rt.block_on(async {
                join_all(
                    (0..TASKS).map(|_| {
                        crossover_runtime::spawn(async { crossover_runtime::time::sleep(NAP).await })
                    }),
                )
                .await
            })
        })
    });
    let rt = tokios();
    group.bench_function("tokio", |b| {
        b.iter(|| {
            rt.block_on(async {
                join_all((0..TASKS).map(|_| tokio::spawn(async { tokio::time::sleep(NAP).await }))).await
            })
        })
    });
    group.finish();
}

/// One TCP connection over loopback on which 64 bytes go to and fro.
fn echo(c: &mut Criterion) {
    let mut group = group(c, "tcp_echo_64B", ROUND_TRIPS);
    let rt = ours();
    group.bench_function("crossover", |b| b.iter(|| rt.block_on(echo_ours()).expect("the echo works")));
    let rt = tokios();
    group.bench_function("tokio", |b| b.iter(|| rt.block_on(echo_tokio()).expect("the echo works")));
    group.finish();
}

async fn echo_ours() -> std::io::Result<()> {
    use futures::io::{AsyncReadExt, AsyncWriteExt};
    let listener = crossover_runtime::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = crossover_runtime::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut buffer = MESSAGE;
        for _ in 0..ROUND_TRIPS {
            stream.read_exact(&mut buffer).await?;
            stream.write_all(&buffer).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let client = crossover_runtime::spawn(async move {
        let mut stream = crossover_runtime::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut buffer = MESSAGE;
        for _ in 0..ROUND_TRIPS {
            stream.write_all(&MESSAGE).await?;
            stream.read_exact(&mut buffer).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    client.await.expect("the client ends")?;
    server.await.expect("the server ends")
}

async fn echo_tokio() -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut buffer = MESSAGE;
        for _ in 0..ROUND_TRIPS {
            stream.read_exact(&mut buffer).await?;
            stream.write_all(&buffer).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let client = tokio::spawn(async move {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut buffer = MESSAGE;
        for _ in 0..ROUND_TRIPS {
            stream.write_all(&MESSAGE).await?;
            stream.read_exact(&mut buffer).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    client.await.expect("the client ends")?;
    server.await.expect("the server ends")
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = basic;
    config = config();
    targets = spawn_many, spawn_await, yield_many, ping_pong, offload, sleep_many, echo
}
criterion_main!(basic);
