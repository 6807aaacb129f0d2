//! `futures` and `async-lock` on our runtime.

use std::sync::Arc;
use std::time::Duration;

use crossover_runtime::net::{TcpListener, TcpStream, UnixStream};
use crossover_runtime::time::{Instant, sleep};
use crossover_runtime::{spawn, task};
use futures::future::{self, Either, FutureExt, join_all};
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, copy};
use futures::stream::{self, FuturesUnordered, StreamExt, TryStreamExt};

use crate::on_both;

#[test]
fn select_takes_the_first_and_drops_the_rest() {
    on_both(|| async {
        let mut slow = std::pin::pin!(sleep(Duration::from_secs(3600)).fuse());
        let mut quick = std::pin::pin!(sleep(Duration::from_millis(1)).fuse());
        futures::select! {
            () = slow => panic!("an hour has passed"),
            () = quick => {}
        }
        let task = spawn(async { 7 });
        match future::select(task, std::pin::pin!(sleep(Duration::from_secs(3600)))).await {
            Either::Left((seven, _)) => assert_eq!(seven.expect("the task"), 7),
            Either::Right(_) => panic!("an hour has passed"),
        }
    });
}

#[test]
fn join_waits_for_all() {
    on_both(|| async {
        let start = Instant::now();
        let (a, b, c) = futures::join!(
            async { 1 },
            spawn(async { 2 }).map(|two| two.expect("the task")),
            sleep(Duration::from_millis(5)).map(|()| 3)
        );
        assert_eq!((a, b, c), (1, 2, 3));
        assert!(start.elapsed() >= Duration::from_millis(5));
        let failed = futures::try_join!(future::pending::<Result<(), u8>>(), future::err::<(), u8>(9));
        assert_eq!(failed, Err(9), "the first error does not wait for the other one");
    });
}

#[test]
fn streams_of_tasks_and_timers() {
    on_both(|| async {
        let tasks: FuturesUnordered<_> = (0..1000_u64).map(|number| spawn(async move { number })).collect();
        let sum = tasks.try_fold(0, |sum, number| future::ok(sum + number)).await;
        assert_eq!(sum.expect("the tasks"), 499_500);
        let mut timers = (0..1000)
            .map(|number| sleep(Duration::from_micros(number * 10)).map(move |()| number))
            .collect::<FuturesUnordered<_>>();
        let mut seen = 0;
        while timers.next().await.is_some() {
            seen += 1;
        }
        assert_eq!(seen, 1000);
        let doubled = stream::iter(0..1000).map(|number| spawn(async move { number * 2 })).buffered(16);
        let doubled: Vec<i32> = doubled.try_collect().await.expect("the tasks");
        assert!(doubled.into_iter().eq((0..1000).map(|number| number * 2)));
    });
}

#[test]
fn copying_until_the_end() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        let echo = spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let count = copy(&stream, &mut &stream).await.expect("copied");
            (&stream).close().await.expect("closed");
            count
        });
        let data: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        let stream = TcpStream::connect(address).await.expect("connect");
        let (mut reader, mut writer) = (&stream, &stream);
        let mut received = Vec::new();
        let (written, read) = futures::join!(
            async {
                writer.write_all(&data).await?;
                writer.close().await
            },
            reader.read_to_end(&mut received)
        );
        written.expect("written");
        assert_eq!(read.expect("read"), data.len());
        assert!(received == data);
        assert_eq!(echo.await.expect("the echo"), data.len() as u64);
    });
}

#[test]
fn lines_of_a_buffered_reader() {
    on_both(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let writing = spawn(async move {
            let mut writer = BufWriter::new(theirs);
            for number in 0..10_000 {
                writer.write_all(format!("line {number}\n").as_bytes()).await.expect("written");
            }
            writer.close().await.expect("flushed and closed");
        });
        let lines: Vec<String> = BufReader::new(ours).lines().try_collect().await.expect("read");
        assert!(lines.into_iter().eq((0..10_000).map(|number| format!("line {number}"))));
        writing.await.expect("the writer");
    });
}

/// Outside of the runtime, by another executor: the sockets' events come from our driver all the same.
#[test]
fn another_executor_drives_our_sockets() {
    on_both(|| async {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        let thread = std::thread::spawn(move || {
            futures::executor::block_on(async {
                let mut word = [0; 4];
                theirs.read_exact(&mut word).await.expect("read");
                theirs.write_all(&word).await.expect("written");
            });
        });
        ours.write_all(b"ping").await.expect("written");
        let mut word = [0; 4];
        ours.read_exact(&mut word).await.expect("read");
        assert_eq!(&word, b"ping");
        thread.join().expect("the thread");
    });
}

#[test]
fn async_locks_between_workers() {
    on_both(|| async {
        let mutex = Arc::new(async_lock::Mutex::new(0));
        let lock = Arc::new(async_lock::RwLock::new(0));
        let semaphore = Arc::new(async_lock::Semaphore::new(3));
        let barrier = Arc::new(async_lock::Barrier::new(100));
        let cell = Arc::new(async_lock::OnceCell::new());
        let tasks = (0..100).map(|_| {
            let (mutex, lock, semaphore) = (mutex.clone(), lock.clone(), semaphore.clone());
            let (barrier, cell) = (barrier.clone(), cell.clone());
            spawn(async move {
                let permit = semaphore.acquire().await;
                let mut guard = mutex.lock().await;
                let seen = *guard;
                task::yield_now().await;
                *guard = seen + 1;
                drop(guard);
                drop(permit);
                *lock.write().await += 1;
                let leader = barrier.wait().await.is_leader();
                assert_eq!(*lock.read().await, 100, "all have come to the barrier");
                (leader, *cell.get_or_init(|| async { 7 }).await)
            })
        });
        let outcomes = join_all(tasks).await.into_iter().map(|outcome| outcome.expect("a task"));
        let (leaders, cells): (Vec<bool>, Vec<i32>) = outcomes.unzip();
        assert_eq!(leaders.into_iter().filter(|leader| *leader).count(), 1);
        assert!(cells.into_iter().all(|cell| cell == 7));
        assert_eq!(*mutex.lock().await, 100);
    });
}
