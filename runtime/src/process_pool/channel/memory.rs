//! Sealed memory: what two processes share must not change its size under the other's feet (a mapping past the end
//! of its file is SIGBUS), so it is sealed when made, and the receiver looks before it maps.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// What keeps the size as it is.
const SIZE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// A new memory file of exactly `bytes` zeros, which nobody can resize; close-on-exec. `name` is only for `/proc`.
///
/// # Errors
/// The system's: out of descriptors or memory.
pub(crate) fn sealed(name: &str, bytes: u64) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, bytes)?;
    fcntl_add_seals(&fd, SIZE | SealFlags::SEAL)?;
    Ok(fd)
}

/// Checks a file that came from somewhere else: its size is exactly `bytes`, and cannot change any more.
///
/// # Errors
/// `InvalidData`, when it is not so, or the descriptor is no memory file at all.
pub(crate) fn verify(fd: BorrowedFd<'_>, bytes: u64) -> io::Result<()> {
    let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidData, text));
    match fcntl_get_seals(fd) {
        Ok(seals) if seals.contains(SIZE) => {}
        Ok(seals) => return invalid(format!("shared memory that can be resized: its seals are {seals:?}")),
        Err(error) => return invalid(format!("not shared memory: {error}")),
    }
    // After the seals: only now is the size final.
    let size = fstat(fd)?.st_size;
    if u64::try_from(size) != Ok(bytes) {
        return invalid(format!("shared memory of {size} bytes where {bytes} were expected"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::os::fd::AsFd;

    #[test]
    fn sealed_memory_keeps_its_size_and_can_be_written() {
        let fd = sealed("test", 8192).unwrap();
        verify(fd.as_fd(), 8192).unwrap();
        for size in [0, 4096, 16384] {
            assert_eq!(ftruncate(&fd, size), Err(Errno::PERM));
        }
        assert_eq!(fcntl_add_seals(&fd, SealFlags::WRITE), Err(Errno::PERM), "nor can it be made read-only");
        assert_eq!(rustix::io::pwrite(&fd, b"here", 8188), Ok(4));
    }

    #[test]
    fn what_could_change_or_has_another_size_is_refused() {
        let refused = |fd: BorrowedFd<'_>| verify(fd, 4096).unwrap_err().kind() == io::ErrorKind::InvalidData;
        assert!(refused(sealed("test", 8192).unwrap().as_fd()));
        let open = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&open, 4096).unwrap();
        assert!(refused(open.as_fd()));
        fcntl_add_seals(&open, SealFlags::GROW).unwrap();
        assert!(refused(open.as_fd()), "it could shrink");
        fcntl_add_seals(&open, SealFlags::SHRINK).unwrap();
        verify(open.as_fd(), 4096).unwrap();
        assert!(refused(rustix::pipe::pipe().unwrap().0.as_fd()));
    }
}
