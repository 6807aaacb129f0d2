//! `crossover_runtime::fs`: what each name does, and what a file makes of calls that are given up, fail, or come too late.

use crossover_runtime::fs::{self, File, OpenOptions};
use crossover_runtime::runtime::{Builder, Runtime, is_rt_shutdown_err};
use crossover_runtime::spawn_blocking;
use futures::FutureExt;
use futures::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("crossover-fs-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test on both flavours.
fn on_both(test: impl AsyncFn(Folder)) {
    for runtime in
        [Builder::new_current_thread().build(), Builder::new_multi_thread().worker_threads(2).build()]
    {
        runtime.unwrap().block_on(test(Folder::new()));
    }
}

/// A pool with one thread, which a job keeps until the sender is dropped.
async fn keep_pool_busy() -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel::<()>();
    let (started, has_started) = futures::channel::oneshot::channel();
    drop(spawn_blocking(move || {
        let _ = started.send(());
        let _ = receiver.recv();
    }));
    has_started.await.unwrap();
    sender
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().max_blocking_threads(1).build().unwrap()
}

async fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    let mut future = Some(future);
    poll_fn(|cx| Poll::Ready(future.take().unwrap().poll(cx))).await
}

fn make_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn whole_files() {
    on_both(async |folder| {
        let path = folder.path("file");
        fs::write(&path, vec![1, 2, 3]).await.unwrap();
        fs::write(&path, b"").await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), b"");
        fs::write(&path, "text").await.unwrap();
        assert_eq!(fs::read_to_string(&path).await.unwrap(), "text");
        fs::write(&path, [0xff]).await.unwrap();
        assert_eq!(fs::read_to_string(&path).await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(fs::read(folder.path("none")).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(fs::write(&folder.0, "").await.unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(fs::read("nul\0inside").await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let big = vec![7; 5 << 20];
        fs::write(&path, &big).await.unwrap();
        assert!(fs::read(&path).await.unwrap() == big);
    });
}

#[test]
fn names_and_links() {
    on_both(async |folder| {
        let (one, two, link) = (folder.file("one", "text"), folder.path("two"), folder.path("link"));
        assert_eq!(fs::copy(&one, &two).await.unwrap(), 4);
        assert_eq!(fs::copy(folder.path("none"), &two).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(fs::hard_link(&one, &two).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::remove_file(&two).await.unwrap();
        assert_eq!(fs::remove_file(&two).await.unwrap_err().kind(), ErrorKind::NotFound);
        fs::hard_link(&one, &two).await.unwrap();
        assert_eq!(fs::metadata(&one).await.unwrap().nlink(), 2);
        fs::rename(&two, folder.path("three")).await.unwrap();
        assert_eq!(fs::rename(&two, &one).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!fs::try_exists(&two).await.unwrap());

        fs::symlink("one", &link).await.unwrap();
        assert_eq!(fs::symlink("one", &link).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_link(&link).await.unwrap(), Path::new("one"));
        assert_eq!(fs::read_link(&one).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(fs::canonicalize(&link).await.unwrap(), one.canonicalize().unwrap());
        assert!(fs::symlink_metadata(&link).await.unwrap().is_symlink());
        assert!(fs::metadata(&link).await.unwrap().is_file());
        fs::remove_file(&one).await.unwrap();
        assert!(!fs::try_exists(&link).await.unwrap());
        assert_eq!(fs::metadata(&link).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(fs::canonicalize(&link).await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn permissions_and_times() {
    on_both(async |folder| {
        let path = folder.file("file", "");
        let mode = async || fs::metadata(&path).await.unwrap().permissions().mode() & 0o777;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).await.unwrap();
        assert_eq!(mode().await, 0o640);
        let file = File::open(&path).await.unwrap();
        file.set_permissions(PermissionsExt::from_mode(0o600)).await.unwrap();
        assert_eq!(mode().await, 0o600);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        file.set_times(fs::FileTimes::new().set_accessed(time)).await.unwrap();
        file.set_modified(time).await.unwrap();
        let metadata = file.metadata().await.unwrap();
        assert_eq!((metadata.accessed().unwrap(), metadata.modified().unwrap()), (time, time));
        assert_eq!(file.set_len(1).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let missing = fs::set_permissions(folder.path("none"), PermissionsExt::from_mode(0o600)).await;
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn folders() {
    on_both(async |folder| {
        let (outer, inner) = (folder.path("outer"), folder.path("outer/inner"));
        assert_eq!(fs::create_dir(&inner).await.unwrap_err().kind(), ErrorKind::NotFound);
        fs::create_dir_all(&inner).await.unwrap();
        fs::create_dir_all(&inner).await.unwrap();
        assert_eq!(fs::create_dir(&inner).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::remove_dir(&outer).await.unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
        assert!(fs::DirBuilder::new().create(&inner).await.is_err());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(inner.join("most")).await.unwrap();
        assert_eq!(fs::metadata(inner.join("most")).await.unwrap().mode() & 0o777, 0o700);
        fs::remove_dir(inner.join("most")).await.unwrap();
        fs::remove_dir_all(&outer).await.unwrap();
        assert_eq!(fs::remove_dir_all(&outer).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(
            fs::remove_dir(folder.file("file", "")).await.unwrap_err().kind(),
            ErrorKind::NotADirectory
        );
    });
}

#[test]
fn a_listing_is_read_in_several_jobs_and_ends_once() {
    on_both(async |folder| {
        let mut entries = fs::read_dir(&folder.0).await.unwrap();
        assert!(entries.next_entry().await.unwrap().is_none());
        for number in 0..100 {
            folder.file(&format!("{number:02}"), "text");
        }
        let mut entries = fs::read_dir(&folder.0).await.unwrap();
        let mut names = Vec::new();
        loop {
            // A call that is given up loses nothing.
            let first = poll_once(pin!(entries.next_entry())).await;
            let entry = match first {
                Poll::Ready(entry) => entry,
                Poll::Pending => entries.next_entry().await,
            };
            let Some(entry) = entry.unwrap() else { break };
            assert!(entry.file_type().await.unwrap().is_file());
            let metadata = entry.metadata().await.unwrap();
            assert_eq!((metadata.len(), metadata.ino()), (4, entry.ino()));
            assert_eq!(entry.path(), folder.0.join(entry.file_name()));
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert!(names.iter().map(|name| name.parse::<i32>().unwrap()).eq(0..100));
        assert!(entries.next_entry().await.unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path("none")).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(fs::read_dir(folder.path("00")).await.unwrap_err().kind(), ErrorKind::NotADirectory);
    });
}

#[test]
fn options() {
    on_both(async |folder| {
        let path = folder.path("file");
        assert_eq!(File::open(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(OpenOptions::new().open(&path).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let mut file = OpenOptions::new().write(true).create(true).mode(0o600).open(&path).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().mode() & 0o777, 0o600);
        assert!(file.read(&mut [0]).await.is_err(), "not open for reading");
        assert_eq!(File::create_new(&path).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        file.write_all(b"abc").await.unwrap();
        file.close().await.unwrap();
        let mut file =
            OpenOptions::from(std::fs::OpenOptions::new().append(true).clone()).open(&path).await.unwrap();
        file.write_all(b"def").await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), b"abcdef");
        let mut file = File::create(&path).await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), b"");
        assert_eq!(file.seek(SeekFrom::End(0)).await.unwrap(), 0);
    });
}

#[test]
fn reads_come_in_order_whoever_reads() {
    on_both(async |folder| {
        let bytes: Vec<u8> = (0..700_000_u32).map(|number| number as u8 ^ (number >> 8) as u8).collect();
        let path = folder.file("file", &bytes);
        for on_the_spot in [true, false] {
            let mut file = File::open(&path).await.unwrap();
            // Out of the system's memory, so that reads have to come from the disk, and then from both.
            file.sync_all().await.unwrap();
            #[cfg(target_os = "linux")]
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
            if !on_the_spot {
                file = File::from_std(file.into_std().await);
            }
            let mut read = Vec::new();
            let mut room = [0; 1000];
            assert_eq!(file.read(&mut []).await.unwrap(), 0);
            loop {
                let (first, second) = room.split_at_mut(3);
                let mut pieces = [IoSliceMut::new(&mut []), IoSliceMut::new(first), IoSliceMut::new(second)];
                let count = file.read_vectored(&mut pieces).await.unwrap();
                if count == 0 {
                    break;
                }
                read.extend_from_slice(&room[..count]);
                if read.len() > 10_000 {
                    file.read_to_end(&mut read).await.unwrap();
                }
            }
            assert!(read == bytes);
        }
    });
}

#[test]
fn seeks_are_seen_from_the_owners_side() {
    on_both(async |folder| {
        let path = folder.file("file", "0123456789");
        for on_the_spot in [true, false] {
            let mut file = File::open(&path).await.unwrap();
            if !on_the_spot {
                file = file.into_std().await.into();
            }
            let mut two = [0; 2];
            file.read_exact(&mut two).await.unwrap();
            assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 2);
            assert_eq!(file.seek(SeekFrom::Current(3)).await.unwrap(), 5);
            file.read_exact(&mut two).await.unwrap();
            assert_eq!(&two, b"56");
            assert_eq!(file.seek(SeekFrom::End(-2)).await.unwrap(), 8);
            assert_eq!(file.seek(SeekFrom::Current(-9)).await.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(
                file.seek(SeekFrom::Start(u64::MAX)).await.unwrap_err().kind(),
                ErrorKind::InvalidInput
            );
            file.read_exact(&mut two).await.unwrap();
            assert_eq!(&two, b"89");
            assert_eq!(file.read(&mut two).await.unwrap(), 0);
            assert_eq!(file.seek(SeekFrom::Start(20)).await.unwrap(), 20);
            assert_eq!(file.read(&mut two).await.unwrap(), 0);
        }
    });
}

/// A read given up in the middle: its bytes are there for the next one, and no seek, write or `set_len` counts them as read.
#[test]
fn what_a_given_up_read_has_fetched_is_not_lost() {
    let runtime = one_thread();
    let folder = Folder::new();
    let path = folder.file("file", "0123456789");
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    runtime.block_on(async {
        let given_up = async |room: usize| {
            let mut file = File::from_std(open());
            let busy = keep_pool_busy().await;
            assert!(poll_once(pin!(file.read(&mut vec![0; room]))).await.is_pending());
            assert_eq!(file.seek(SeekFrom::Start(0)).now_or_never().map(|_| ()), None);
            drop(busy);
            file
        };
        let mut four = [0; 4];

        let mut file = given_up(6).await;
        assert_eq!(file.read(&mut []).await.unwrap(), 0);
        assert_eq!(file.read(&mut four).await.unwrap(), 4);
        assert_eq!(file.read(&mut four).await.unwrap(), 2, "what is left of the first");
        assert_eq!(&four[..2], b"45");

        let mut file = given_up(6).await;
        file.read_exact(&mut four[..1]).await.unwrap();
        assert_eq!(file.seek(SeekFrom::Current(-2)).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(file.seek(SeekFrom::Current(1)).await.unwrap(), 2);

        let mut file = given_up(6).await;
        file.read_exact(&mut four[..1]).await.unwrap();
        assert!(file.seek(SeekFrom::Current(i64::MIN)).await.is_err());
        file.read_exact(&mut four[..1]).await.unwrap();
        assert_eq!(&four[..1], b"1");

        let mut file = given_up(6).await;
        file.write_all(b"ab").await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"ab23456789");

        let mut file = given_up(6).await;
        file.set_len(3).await.unwrap();
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"ab2");

        let mut file = given_up(3).await.into_std().await;
        rest.clear();
        file.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"ab2");
    });
}

#[test]
fn a_given_up_seek_is_done_before_the_next_operation() {
    let runtime = one_thread();
    let folder = Folder::new();
    let path = folder.file("file", "0123456789");
    runtime.block_on(async {
        let mut file = File::from_std(std::fs::File::open(&path).unwrap());
        let busy = keep_pool_busy().await;
        assert!(poll_once(pin!(file.seek(SeekFrom::Start(3)))).await.is_pending());
        assert!(poll_once(pin!(file.seek(SeekFrom::Current(2)))).await.is_pending(), "waits for the first");
        drop(busy);
        let mut one = [0];
        file.read_exact(&mut one).await.unwrap();
        assert_eq!(&one, b"3");
        assert_eq!(file.seek(SeekFrom::Current(2)).await.unwrap(), 6);
    });
}

#[test]
fn writes_are_gathered_bounded_and_in_order() {
    on_both(async |folder| {
        let path = folder.path("file");
        let mut file = File::create_new(&path).await.unwrap();
        assert_eq!(file.max_buf_size(), 2 << 20);
        assert_eq!(file.write(&[]).await.unwrap(), 0);
        assert_eq!(file.write_vectored(&[]).await.unwrap(), 0);
        let pieces = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cd")];
        assert_eq!(file.write_vectored(&pieces).await.unwrap(), 4);
        file.set_max_buf_size(3);
        assert_eq!(file.write_vectored(&pieces).await.unwrap(), 3);
        assert_eq!(file.write(b"0123").await.unwrap(), 3);
        file.rewind_and_read(b"abcdabc012").await;
        file.set_max_buf_size(2 << 20);
        let big = vec![1; 3 << 20];
        assert_eq!(file.write(&big).await.unwrap(), 2 << 20);
        file.sync_all().await.unwrap();
        file.sync_data().await.unwrap();
        assert_eq!(fs::metadata(&path).await.unwrap().len(), 10 + (2 << 20));
        assert!(catch_unwind(AssertUnwindSafe(|| file.set_max_buf_size(0))).is_err());
    });
}

trait RewindAndRead {
    async fn rewind_and_read(&mut self, all: &[u8]);
}

impl RewindAndRead for File {
    async fn rewind_and_read(&mut self, all: &[u8]) {
        assert_eq!(self.seek(SeekFrom::Start(0)).await.unwrap(), 0);
        // One byte at most at a time, as the file allows for no more.
        let mut read = Vec::new();
        self.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, all);
    }
}

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
    assert!(message.contains(&format!("fs.rs:{line}:")), "{message}");
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
