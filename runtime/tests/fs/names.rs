//! What needs no open file: whole files, names, folders.

use super::*;

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
