//! Reading, writing and seeking, also by calls that are given up.

use super::*;

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

pub(crate) trait RewindAndRead {
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
