//! Whole files in one job.
//!
//! [`read`] returns the memory that the job has read into, and [`write()`] gives away the memory of what owns its bytes: no
//! byte is copied but by the system.

use super::{keep, run};
use bytes::Bytes;
use std::any::TypeId;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::path::Path;

/// Reads a whole file; as [`std::fs::read`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `NotFound` if there is no such file; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-read-{}", std::process::id()));
/// fs::write(&path, [1, 2, 3]).await?;
/// assert_eq!(fs::read(&path).await?, [1, 2, 3]);
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Vec<u8>>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::read(owned)))
}

/// Reads a whole file of text; as [`std::fs::read_to_string`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `InvalidData` if it is no UTF-8, `NotFound` if there is no such file; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-text-{}", std::process::id()));
/// fs::write(&path, "text").await?;
/// assert_eq!(fs::read_to_string(&path).await?, "text");
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn read_to_string(path: impl AsRef<Path>) -> impl Future<Output = io::Result<String>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::read_to_string(owned)))
}

/// Makes a file of these bytes, in the place of one that may be there; as [`std::fs::write`].
///
/// A `Vec<u8>`, `String`, `Box<[u8]>` or `Bytes` is given to the job as it is; anything else is copied first. All bytes are
/// handed to the system when it is done, though not yet safe on the disk: see [`File::sync_all`](super::File::sync_all).
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// As std's. The file may then have a part of the bytes.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-write-{}", std::process::id()));
/// fs::write(&path, "the old and long").await?;
/// fs::write(&path, String::from("the new")).await?;
/// assert_eq!(fs::read_to_string(&path).await?, "the new");
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> impl Future<Output = io::Result<()>> {
    let owned = path.as_ref().to_owned();
    let contents = own(contents);
    keep(path, run(move || std::fs::write(owned, contents.as_slice())))
}

/// Bytes that may go to another thread.
enum Owned {
    Vec(Vec<u8>),
    Boxed(Box<[u8]>),
    Bytes(Bytes),
}

impl Owned {
    fn as_slice(&self) -> &[u8] {
        match self {
            Owned::Vec(bytes) => bytes,
            Owned::Boxed(bytes) => bytes,
            Owned::Bytes(bytes) => bytes,
        }
    }
}

/// Takes over the memory of the types that own theirs; copies that of others.
fn own<T: AsRef<[u8]>>(contents: T) -> Owned {
    let contents = match cast::<T, Vec<u8>>(contents) {
        Ok(bytes) => return Owned::Vec(bytes),
        Err(contents) => contents,
    };
    let contents = match cast::<T, String>(contents) {
        Ok(text) => return Owned::Vec(text.into_bytes()),
        Err(contents) => contents,
    };
    let contents = match cast::<T, Box<[u8]>>(contents) {
        Ok(bytes) => return Owned::Boxed(bytes),
        Err(contents) => contents,
    };
    match cast::<T, Bytes>(contents) {
        Ok(bytes) => Owned::Bytes(bytes),
        Err(contents) => Owned::Vec(contents.as_ref().to_vec()),
    }
}

/// `value` as a `U` if that is what it is. `U` must be a type in which no lifetime occurs.
fn cast<T, U: 'static>(value: T) -> Result<U, T> {
    if erased_id::<T>() != TypeId::of::<U>() {
        return Err(value);
    }
    let value = ManuallyDrop::new(value);
    // SAFETY: the ids agree, so `T` is `U` but for lifetimes, of which `U` has none; the value moves, and is not dropped here.
    Ok(unsafe { std::mem::transmute_copy::<ManuallyDrop<T>, U>(&value) })
}

/// The id of `T` with all of its lifetimes taken for `'static`.
fn erased_id<T>() -> TypeId {
    trait Ask {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }
    impl<T> Ask for PhantomData<T> {
        fn id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }
    let ask = PhantomData::<T>;
    let ask: &dyn Ask = &ask;
    // SAFETY: the object has no data, and `id` looks at the type's name only, which lifetimes are no part of.
    unsafe { std::mem::transmute::<&dyn Ask, &(dyn Ask + 'static)>(ask) }.id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_owns_its_bytes_is_not_copied() {
        let bytes = vec![1, 2, 3];
        let memory = bytes.as_ptr();
        assert_eq!(own(bytes).as_slice().as_ptr(), memory);
        let text = String::from("text");
        let memory = text.as_ptr();
        assert_eq!(own(text).as_slice().as_ptr(), memory);
        let boxed: Box<[u8]> = vec![1, 2, 3].into();
        let memory = boxed.as_ptr();
        assert_eq!(own(boxed).as_slice().as_ptr(), memory);
        let shared = Bytes::from(vec![1, 2, 3]);
        let memory = shared.as_ptr();
        assert_eq!(own(shared).as_slice().as_ptr(), memory);
    }

    #[test]
    fn what_borrows_them_is_copied() {
        struct Wrapped<'a>(&'a Vec<u8>);
        impl AsRef<[u8]> for Wrapped<'_> {
            fn as_ref(&self) -> &[u8] {
                self.0
            }
        }
        let bytes = vec![1, 2, 3];
        for owned in [own(&bytes), own(&bytes[..]), own([1, 2, 3]), own(Wrapped(&bytes))] {
            assert_eq!(owned.as_slice(), [1, 2, 3]);
            assert_ne!(owned.as_slice().as_ptr(), bytes.as_ptr());
        }
        assert_eq!(own("").as_slice(), b"");
    }
}
