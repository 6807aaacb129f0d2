//! Errors, clones, other owners of the open file, and the end of file or runtime.

use super::file::RewindAndRead;
use super::*;

#[test]
fn a_full_device_is_reported_by_the_next_write_or_flush_and_once() {
    on_both(async |_| {
        let open = || OpenOptions::new().write(true).open("/dev/full");
        let mut file = open().await.unwrap();
        assert_eq!(file.write(b"lost").await.unwrap(), 4);
        let error = file.flush().await.unwrap_err();
        assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::StorageFull, Some(28)));
        file.flush().await.unwrap();

        file.write_all(b"lost").await.unwrap();
        assert_eq!(file.write(b"not accepted").await.unwrap_err().kind(), ErrorKind::StorageFull);
        file.flush().await.unwrap();

        // Kept through operations that are no writes, also through those by `&self`.
        file.write_all(b"lost").await.unwrap();
        let _ = file.sync_all().await;
        let _ = file.seek(SeekFrom::Start(0)).await;
        assert_eq!(file.close().await.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(fs::write("/dev/full", "lost").await.unwrap_err().kind(), ErrorKind::StorageFull);
    });
}

#[test]
fn a_file_that_is_dropped_in_the_middle_of_a_write_is_written() {
    let runtime = one_thread();
    let folder = Folder::new();
    let path = folder.path("file");
    runtime.block_on(async {
        let mut file = File::create(&path).await.unwrap();
        let busy = keep_pool_busy().await;
        file.write_all(b"written").await.unwrap();
        assert!(poll_once(pin!(file.write(b"given up"))).await.is_pending());
        drop(file);
        drop(busy);
        // The pool's only thread takes the jobs in their order.
        spawn_blocking(|| ()).await.unwrap();
    });
    assert_eq!(std::fs::read(&path).unwrap(), b"written");
}

/// A write that was accepted is done, even if the runtime ends before a thread has come to it.
#[test]
fn a_shutdown_loses_no_write() {
    let folder = Folder::new();
    let path = folder.path("file");
    let runtime = one_thread();
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let mut file = File::create(&path).await.unwrap();
        // Keeps the only thread until the shutdown refuses the jobs that wait.
        let (started, has_started) = futures::channel::oneshot::channel();
        drop(spawn_blocking(move || {
            let _ = started.send(());
            let refused = futures::executor::block_on(handle.spawn_blocking(|| ()));
            assert!(refused.unwrap_err().is_cancelled());
        }));
        has_started.await.unwrap();
        file.write_all(b"written").await.unwrap();
    });
    drop(runtime);
    assert_eq!(std::fs::read(&path).unwrap(), b"written");
}

/// As a named temporary file: removed when it is dropped.
struct Removed(PathBuf);

impl AsRef<Path> for Removed {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn what_gives_the_path_lives_until_the_operation_is_done() {
    on_both(async |folder| {
        let mut file = File::open(Removed(folder.file("file", "text"))).await.unwrap();
        assert!(!fs::try_exists(folder.path("file")).await.unwrap());
        assert_eq!(file.read(&mut [0; 8]).await.unwrap(), 4);
        assert_eq!(fs::read(Removed(folder.file("file", "text"))).await.unwrap(), b"text");
        assert_eq!(fs::copy(Removed(folder.file("file", "text")), folder.path("copy")).await.unwrap(), 4);
    });
}

#[test]
fn clones_share_the_cursor() {
    on_both(async |folder| {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut first = File::open(folder.file("file", &bytes)).await.unwrap();
        first.set_max_buf_size(16);
        let mut second = first.try_clone().await.unwrap();
        assert_eq!(second.max_buf_size(), 16);
        let read = async |file: &mut File| {
            let (mut read, mut room) = (Vec::new(), [0; 16]);
            loop {
                match file.read(&mut room).await.unwrap() {
                    0 => return read,
                    count => read.extend_from_slice(&room[..count]),
                }
            }
        };
        let (one, two) = futures::join!(read(&mut first), read(&mut second));
        let mut all = [one, two].concat();
        all.sort();
        assert_eq!(all, bytes, "each byte went to one of them");
        assert_eq!(second.seek(SeekFrom::Current(0)).await.unwrap(), 256);
        first.seek(SeekFrom::Start(1)).await.unwrap();
        assert_eq!(second.seek(SeekFrom::Current(0)).await.unwrap(), 1);
    });
}

#[test]
fn a_file_removed_while_open_lives_on() {
    on_both(async |folder| {
        let path = folder.path("file");
        let mut file = File::create_new(&path).await.unwrap();
        fs::remove_file(&path).await.unwrap();
        file.write_all(b"still here").await.unwrap();
        file.rewind_and_read(b"still here").await;
        assert_eq!(file.metadata().await.unwrap().nlink(), 0);
    });
}

#[test]
fn files_go_to_std_and_back() {
    let runtime = one_thread();
    let folder = Folder::new();
    let path = folder.path("file");
    runtime.block_on(async {
        let mut file = File::create(&path).await.unwrap();
        assert_eq!(file.as_fd().as_raw_fd(), file.as_raw_fd());
        let busy = keep_pool_busy().await;
        file.write_all(b"async, ").await.unwrap();
        let file = file.try_into_std().unwrap_err();
        // Jobs of calls that were given up hold the open file, too.
        assert!(poll_once(pin!(file.metadata())).await.is_pending());
        let mut into = pin!(file.into_std());
        assert!(poll_once(into.as_mut()).await.is_pending());
        drop(busy);
        let mut std = into.await;
        std.write_all(b"std").unwrap();
        let file = File::from(std);
        assert!(format!("{file:?}").starts_with("File { std: File {"));
        drop(file.try_into_std().unwrap());
    });
    assert_eq!(std::fs::read(&path).unwrap(), b"async, std");
    // Without a job to wait for, no runtime is needed.
    let file = File::from_std(std::fs::File::open(&path).unwrap());
    assert!(file.into_std().now_or_never().is_some());
}

/// A job that has ended counts as nothing under way, and what it has read ahead goes back to the cursor.
#[test]
fn a_read_that_ended_unseen_is_given_back_to_std_without_waiting() {
    let runtime = one_thread();
    let folder = Folder::new();
    let path = folder.file("file", "0123456789");
    runtime.block_on(async {
        let mut file = File::from_std(std::fs::File::open(&path).unwrap());
        let busy = keep_pool_busy().await;
        assert!(poll_once(pin!(file.read(&mut [0; 6]))).await.is_pending());
        let mut file = file.try_into_std().unwrap_err();
        drop(busy);
        // The pool's only thread takes the jobs in their order.
        spawn_blocking(|| ()).await.unwrap();
        assert_eq!(file.read(&mut []).await.unwrap(), 0);
        assert!(poll_once(pin!(file.read(&mut [0; 2]))).await.is_ready());
        let busy = keep_pool_busy().await;
        assert!(poll_once(pin!(file.seek(SeekFrom::End(-4)))).await.is_pending());
        drop(busy);
        spawn_blocking(|| ()).await.unwrap();
        let mut rest = String::new();
        file.try_into_std().unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "6789");

        let mut file = File::from_std(std::fs::File::open(&path).unwrap());
        let busy = keep_pool_busy().await;
        assert!(poll_once(pin!(file.read(&mut [0; 6]))).await.is_pending());
        drop(busy);
        spawn_blocking(|| ()).await.unwrap();
        rest.clear();
        file.try_into_std().unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "0123456789");
    });
}

/// What cannot seek keeps the bytes of a read that was given up, also across a write.
#[test]
fn a_pipe_is_read_and_written_without_a_cursor() {
    let runtime = Runtime::new().unwrap();
    let folder = Folder::new();
    make_fifo(&folder.path("fifo"));
    runtime.block_on(async {
        let mut file = OpenOptions::new().read(true).write(true).open(folder.path("fifo")).await.unwrap();
        let mut room = [0; 8];
        assert!(poll_once(pin!(file.read(&mut room))).await.is_pending());
        let mut other = std::fs::OpenOptions::new().write(true).open(folder.path("fifo")).unwrap();
        other.write_all(b"one").unwrap();
        file.write_all(b"two").await.unwrap();
        file.flush().await.unwrap();
        let mut six = [0; 6];
        file.read_exact(&mut six).await.unwrap();
        assert_eq!(&six, b"onetwo");
        assert_eq!(file.seek(SeekFrom::Start(0)).await.unwrap_err().kind(), ErrorKind::NotSeekable);
        assert_eq!(file.seek(SeekFrom::End(0)).await.unwrap_err().kind(), ErrorKind::NotSeekable);
    });
}

#[test]
fn a_shutdown_in_mid_operation_is_an_error_not_a_hang() {
    let folder = Folder::new();
    let path = folder.file("file", "0123456789");
    let runtime = one_thread();
    let (mut file, listing, busy) = runtime.block_on(async {
        let mut file = File::from_std(std::fs::File::open(&path).unwrap());
        let listing = Box::pin(fs::read_dir(folder.0.clone()));
        let busy = keep_pool_busy().await;
        assert!(poll_once(pin!(file.read(&mut [0; 4]))).await.is_pending());
        let mut listing = listing;
        assert!(poll_once(listing.as_mut()).await.is_pending());
        (file, listing, busy)
    });
    runtime.shutdown_background();
    let other = Runtime::new().unwrap();
    other.block_on(async {
        assert!(is_rt_shutdown_err(&file.read(&mut [0; 4]).await.unwrap_err()));
        assert!(is_rt_shutdown_err(&listing.await.unwrap_err()));
        // The file is whole, and goes on with another runtime.
        let mut four = [0; 4];
        file.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"0123");
    });
    drop(busy);
}

#[test]
fn after_the_shutdown_every_operation_is_an_error() {
    let folder = Folder::new();
    let path = folder.file("file", "text");
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let mut file = File::from_std(std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap());
    handle.block_on(async {
        for _ in 0..2 {
            assert!(is_rt_shutdown_err(&file.read(&mut [0]).await.unwrap_err()));
            assert!(is_rt_shutdown_err(&file.write(b"x").await.unwrap_err()), "nothing is accepted");
            assert!(is_rt_shutdown_err(&file.seek(SeekFrom::Start(0)).await.unwrap_err()));
            assert!(is_rt_shutdown_err(&file.set_len(0).await.unwrap_err()));
            assert!(is_rt_shutdown_err(&file.sync_all().await.unwrap_err()));
            assert!(is_rt_shutdown_err(&fs::read(&path).await.unwrap_err()));
            file.flush().await.unwrap();
        }
        file.into_std().await;
    });
    assert_eq!(std::fs::read(&path).unwrap(), b"text");
}

#[test]
fn outside_of_a_runtime_the_panic_names_the_caller() {
    let line = line!() + 1;
    let future = fs::read("/dev/null");
    let payload = catch_unwind(AssertUnwindSafe(|| future.now_or_never())).unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    assert!(message.contains("there is no runtime"), "{message}");
    assert!(message.contains(&format!("ends.rs:{line}:")), "{message}");
    // Made outside, awaited inside.
    let future = fs::read("/dev/null");
    assert_eq!(Runtime::new().unwrap().block_on(future).unwrap(), b"");
}

#[test]
fn files_and_futures_may_go_to_other_threads() {
    fn movable<T: Send + Sync + Unpin>() {}
    movable::<File>();
    movable::<OpenOptions>();
    movable::<fs::ReadDir>();
    movable::<fs::DirEntry>();
    movable::<fs::DirBuilder>();
    let file = File::from_std(std::fs::File::open("/dev/null").unwrap());
    fn send<T: Send>(_: T) {}
    send(file.sync_all());
    send(file.try_clone());
    send(file.set_len(0));
    send(File::open(String::from("/dev/null")));
    send(file.into_std());
}
