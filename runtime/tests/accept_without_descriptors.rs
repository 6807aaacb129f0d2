//! Hazard I3: accepting while the process is out of descriptors. Alone in its file, because the limit that it lowers
//! is the whole process's.

use std::time::{Duration, Instant};

use crossover_runtime::net::TcpListener;
use crossover_runtime::runtime::Builder;
use crossover_runtime::time::timeout;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};

#[test]
fn i3_accept_under_emfile_with_a_backlog() {
    let runtime = Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let clients: Vec<_> =
            (0..4).map(|_| std::net::TcpStream::connect(address).expect("connect")).collect();

        let limit = getrlimit(Resource::Nofile);
        let mut hoard = Vec::new();
        let lowered = rustix::process::Rlimit { current: Some(64), maximum: limit.maximum };
        setrlimit(Resource::Nofile, lowered).expect("a lower limit");
        while let Ok(file) = std::fs::File::open("/dev/null") {
            hoard.push(file);
        }

        // The loop that everybody writes: on an error, go on.
        let begin = Instant::now();
        let mut errors = 0;
        while begin.elapsed() < Duration::from_millis(500) {
            let error = listener.accept().await.expect_err("no descriptor is left");
            assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()), "{error}");
            errors += 1;
        }
        let allowed = 1 + begin.elapsed().as_millis() / 20;
        assert!((1..=allowed).contains(&errors), "{errors} attempts, allowed are {allowed}");

        // The same through poll_accept.
        let begin = Instant::now();
        let mut errors = 0;
        while begin.elapsed() < Duration::from_millis(200) {
            std::future::poll_fn(|cx| listener.poll_accept(cx)).await.expect_err("no descriptor is left");
            errors += 1;
        }
        let allowed = 1 + begin.elapsed().as_millis() / 20;
        assert!((1..=allowed).contains(&errors), "{errors} attempts, allowed are {allowed}");

        drop(hoard);
        for _ in &clients {
            timeout(Duration::from_secs(5), listener.accept()).await.expect("recovers").expect("accept");
        }
        setrlimit(Resource::Nofile, limit).expect("the old limit");
    });
}
