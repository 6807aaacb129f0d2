//! How errors come out: by kind, as values, by the nearest deadline; and what the guide says of Python's calls.
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::spawn;
use crossover_runtime::time::{Instant, sleep, timeout, timeout_at};
use crossover_workloads::{Spec, Value, Workload, WorkloadError};
use futures_util::future::join_all;

use super::{same, text};

/// The guide for those who come from asyncio; its table is the quick reference.
const GUIDE: &str = include_str!("../../../../runtime/docs/from-asyncio.md");

/// The guide's other half, about pools.
const POOLS: &str = include_str!("../../../../runtime/docs/from-concurrent-futures.md");

fn one_loop() -> Result<Runtime, String> {
    Builder::new_current_thread().build().map_err(text)
}

/// `block_on` within a task is a panic that names the mistake, and ends this task alone.
pub(super) fn nested_block_on_says_so() -> Result<String, String> {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().map_err(text)?;
    let handle = runtime.handle().clone();
    let panic = runtime.block_on(async move { spawn(async move { handle.block_on(async {}) }).await });
    let Err(error) = panic else { return Err("a nested block_on returned".to_owned()) };
    let payload = error.try_into_panic().map_err(text)?;
    let said = crate::strategy::panic_message(&*payload);
    same(runtime.block_on(async { 1 }), 1, "the runtime's next value")?;
    if !said.contains("block_on") {
        return Err(format!("the panic does not name the mistake: {said}"));
    }
    Ok(said)
}

/// A server that answers each connection's first request with `answer`, or with nothing.
fn serve(answer: Option<&'static str>, connections: usize) -> Result<std::net::SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
    let address = listener.local_addr().map_err(text)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 1024];
            // A request of ours fits into one segment; whoever sends none gets the answer all the same.
            let _ = stream.read(&mut request);
            match answer {
                Some(answer) => drop(stream.write_all(answer.as_bytes())),
                // Until the client has closed it.
                None => drop(stream.read_to_end(&mut Vec::new())),
            }
        }
    });
    Ok(address)
}

/// A bad status, a server that is slow, and one that is not there are three kinds of error.
pub(super) fn errors_have_kinds() -> Result<String, String> {
    let request = |server| {
        Workload::prepare(&Spec {
            kind: "http".to_owned(),
            params: [("delay_ms".to_owned(), Value::Int(0))].into(),
            tasks: 1,
            seed: 1,
            server: Some(server),
            spin_per_us: None,
        })
        .map_err(text)
    };
    let failing = serve(Some("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"), 1)?;
    let silent = serve(None, 1)?;
    // Bound, then closed: nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(text)?;
    let runtime = one_loop()?;
    let status = runtime.block_on(request(failing)?.run_async(0));
    let refused = runtime.block_on(request(nobody)?.run_async(0));
    let slow = request(silent)?;
    let slow = runtime.block_on(async { timeout(Duration::from_millis(20), slow.run_async(0)).await });
    match (status, refused, slow) {
        (
            Err(WorkloadError::Status { status: 503, .. }),
            Err(WorkloadError::Transport { .. }),
            Err(elapsed),
        ) => {
            Ok(format!("status 503, a refused connection, and a limit ({elapsed}) are three types of error"))
        }
        other => Err(format!("{other:?}")),
    }
}

/// A deadline within a deadline: whichever is nearer ends the wait.
pub(super) fn the_nearest_deadline_wins() -> Result<String, String> {
    let far = Duration::from_secs(600);
    let near = Duration::from_millis(10);
    one_loop()?.block_on(async {
        let start = Instant::now();
        let inner = timeout_at(start + far, timeout_at(start + near, sleep(far * 2))).await;
        same(matches!(inner, Ok(Err(_))), true, "the inner deadline, which is nearer, fires")?;
        let outer = timeout_at(Instant::now() + near, timeout(far, sleep(far * 2))).await;
        same(outer.is_err(), true, "the outer deadline, which is nearer, fires")?;
        same(start.elapsed() < far, true, "neither waits for the other")?;
        Ok("inner 10 ms in outer 600 s: the inner; inner 600 s in outer 10 ms: the outer".to_owned())
    })
}

/// A failure among successes is a value at its place.
pub(super) fn errors_are_values_in_order() -> Result<String, String> {
    let parse = async |text: &'static str| text.parse::<u32>();
    let results = one_loop()?.block_on(join_all(["1", "two", "3"].map(parse)));
    let seen: Vec<Option<u32>> = results.into_iter().map(Result::ok).collect();
    same(seen, vec![Some(1), None, Some(3)], "results")?;
    Ok("ok, error, ok, in the order of the calls".to_owned())
}

/// Python's calls that the claims name: each has a line in the guide's tables.
pub(super) fn every_call_has_its_line() -> Result<String, String> {
    const CALLS: [&str; 29] = [
        "asyncio.run",
        "create_task",
        "gather",
        "return_exceptions",
        "TaskGroup",
        "as_completed",
        "wait_for",
        "timeout_at",
        "task.cancel()",
        "sleep",
        "Queue",
        "Semaphore",
        "to_thread",
        "run_in_executor",
        "ThreadPoolExecutor",
        "ProcessPoolExecutor",
        "new_event_loop",
        "run_until_complete",
        "async with",
        "async for",
        "yield",
        "aiohttp",
        "httpx",
        "asyncpg",
        "aiofiles",
        "websockets",
        "time.sleep",
        "requests.get",
        "sqlite3",
    ];
    let missing: Vec<&str> =
        CALLS.into_iter().filter(|call| !GUIDE.contains(call) && !POOLS.contains(call)).collect();
    if missing.is_empty() {
        Ok(format!("{} calls, each with its counterpart", CALLS.len()))
    } else {
        Err(format!("the guide does not name {}", missing.join(", ")))
    }
}
