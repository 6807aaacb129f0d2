//! I2 with an event queue for each worker: descriptors go where their tasks wait, and these are never the same for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossover_runtime::net::{TcpListener, TcpStream, UnixStream};
use crossover_runtime::runtime::{Handle, Runtime};
use crossover_runtime::spawn;
use crossover_runtime::task::{block_in_place, yield_now};
use crossover_runtime::time::{sleep, timeout};
use futures::future::{join, join_all};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::watchdog;

/// Odd, so that chunks begin anywhere in the sockets' buffers.
const CHUNK: usize = 3_001;

fn byte_at(seed: usize, place: usize) -> u8 {
    (seed + place / 7) as u8
}

/// Sends `chunks` of them, each by a task of its own.
async fn send<W: AsyncWrite + Unpin + Send + 'static>(mut half: W, seed: usize, chunks: usize) -> W {
    for chunk in 0..chunks {
        let task = spawn(async move {
            let from = chunk * CHUNK;
            let data: Vec<_> = (from..from + CHUNK).map(|place| byte_at(seed, place)).collect();
            half.write_all(&data).await.expect("write");
            half
        });
        half = task.await.expect("writer");
    }
    half
}

/// Receives what `send` has sent, each chunk by a task of its own.
async fn receive<R: AsyncRead + Unpin + Send + 'static>(mut half: R, seed: usize, chunks: usize) -> R {
    for chunk in 0..chunks {
        let task = spawn(async move {
            let mut data = vec![0; CHUNK];
            half.read_exact(&mut data).await.expect("read");
            let from = chunk * CHUNK;
            let first_wrong = (0..CHUNK).find(|&place| data[place] != byte_at(seed, from + place));
            assert_eq!(first_wrong, None, "of chunk {chunk}");
            half
        });
        half = task.await.expect("reader");
    }
    half
}

/// Tasks that come, yield and end, so that there is always something to steal; now and then one that keeps its worker.
async fn unrest(over: Arc<AtomicBool>) {
    let mut round = 0_u32;
    while !over.load(Ordering::Relaxed) {
        round += 1;
        let tasks = (0..8).map(|_| {
            spawn(async {
                for _ in 0..4 {
                    yield_now().await;
                }
            })
        });
        join_all(tasks).await;
        if round.is_multiple_of(64) {
            spawn(async { std::thread::sleep(Duration::from_millis(2)) }).await.expect("a long poll");
            // Another thread takes the seat and the queue over; this one may wait for sockets meanwhile.
            let away = spawn(async {
                block_in_place(|| {
                    Handle::current().block_on(async {
                        let (mut a, mut b) = tcp_pair().await;
                        a.write_all(b"x").await.expect("write");
                        b.read_exact(&mut [0]).await.expect("read");
                    });
                });
                let (mut a, mut b) = tcp_pair().await;
                a.write_all(b"x").await.expect("write");
                b.read_exact(&mut [0]).await.expect("read");
            });
            away.await.expect("one that is away from its seat");
        }
        if round.is_multiple_of(8) {
            sleep(Duration::from_micros(300)).await;
        }
    }
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (client, server) = join(TcpStream::connect(address), listener.accept()).await;
    (client.expect("connect"), server.expect("accept").0)
}

/// Both directions of a connection at once, from both ends.
macro_rules! traffic {
    ($a:expr, $b:expr, $seed:expr, $chunks:expr) => {{
        let ((ar, aw), (br, bw)) = ($a.into_split(), $b.into_split());
        let (seed, chunks) = ($seed, $chunks);
        [
            spawn(async move { drop(send(aw, seed, chunks).await) }),
            spawn(async move { drop(receive(br, seed, chunks).await) }),
            spawn(async move { drop(send(bw, seed + 99, chunks).await) }),
            spawn(async move { drop(receive(ar, seed + 99, chunks).await) }),
        ]
    }};
}

fn run(runtime: &Runtime, connections: usize, chunks: usize) {
    let over = Arc::new(AtomicBool::new(false));
    let noise = runtime.spawn(unrest(over.clone()));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for seed in 0..connections {
            let (a, b) = tcp_pair().await;
            tasks.extend(traffic!(a, b, seed, chunks));
            let (a, b) = UnixStream::pair().expect("pair");
            tasks.extend(traffic!(a, b, seed, chunks));
        }
        // Registered and awaited by this thread, which is no worker.
        let (mut a, mut b) = tcp_pair().await;
        let echo = spawn(async move {
            let mut byte = [0];
            while b.read(&mut byte).await.expect("read") > 0 {
                b.write_all(&byte).await.expect("write");
            }
        });
        for round in 0..4 * chunks as u8 {
            let mut byte = [0];
            a.write_all(&[round]).await.expect("write");
            a.read_exact(&mut byte).await.expect("read");
            assert_eq!(byte, [round]);
        }
        drop(a);
        echo.await.expect("echo");
        for task in join_all(tasks).await {
            task.expect("all bytes arrive, and are right");
        }
    });
    over.store(true, Ordering::Relaxed);
    runtime.block_on(noise).expect("noise");
}

/// Each chunk is written or read by a new task, on whichever worker takes it: descriptors move all the time, and are dropped
/// in the middle of it.
#[test]
fn i2_streams_of_tasks_that_change_workers() {
    watchdog(|watch| {
        for (workers, connections, chunks) in [(2, 8, 40), (4, 8, 40), (1, 4, 20)] {
            run(&watch.multi(workers), connections, chunks);
        }
    });
}

/// A worker in a long poll: what its queue gets is served by another, and timers go on, whoever waited for them.
#[test]
fn f2_events_and_timers_beside_a_long_poll() {
    watchdog(|watch| {
        let runtime = watch.multi(2);
        for _ in 0..8 {
            let over = Arc::new(AtomicBool::new(false));
            // On a worker: its descriptors are at home there, or at the other one's; one of the two gets stuck.
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    runtime.spawn(async {
                        let (mut a, mut b) = tcp_pair().await;
                        for round in 0..20_u8 {
                            let mut byte = [0];
                            let (written, read) = join(a.write_all(&[round]), b.read_exact(&mut byte)).await;
                            written.expect("write");
                            read.expect("read");
                            assert_eq!(byte, [round]);
                            sleep(Duration::from_millis(1)).await;
                        }
                    })
                })
                .collect();
            let stuck = runtime.spawn({
                let over = over.clone();
                async move {
                    while !over.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
            });
            // From a thread that is no worker, too.
            let all = async {
                let ended = timeout(Duration::from_secs(4), join_all(tasks)).await;
                over.store(true, Ordering::Relaxed);
                for task in ended.expect("the other worker serves them all") {
                    task.expect("task");
                }
            };
            runtime.block_on(all);
            runtime.block_on(stuck).expect("stuck");
        }
    });
}

/// Nobody runs but for moments: each timer is armed by a thread that is no worker, or by a worker on its way to sleep.
#[test]
fn t1_timers_armed_while_the_workers_fall_asleep() {
    watchdog(|watch| {
        let runtime = watch.multi(3);
        for round in 0..300_u64 {
            let time = Duration::from_micros(50 * (round % 40));
            runtime.block_on(async {
                let tasks = (0..3).map(|which| {
                    spawn(async move {
                        for _ in 0..which {
                            yield_now().await;
                        }
                        sleep(time).await;
                    })
                });
                let tasks: Vec<_> = tasks.collect();
                timeout(Duration::from_secs(5), sleep(time)).await.expect("a timer of this thread is lost");
                for task in timeout(Duration::from_secs(5), join_all(tasks)).await.expect("a timer is lost") {
                    task.expect("task");
                }
            });
        }
    });
}
