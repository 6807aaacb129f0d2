//! How a [`Blob`] gets through serde, which knows only bytes.
//!
//! To any serializer a blob says: here are bytes. While it says so, a thread-local names the blob, and our own serializer,
//! being handed exactly these bytes, takes the blob instead of copying them. Deserialising is the same the other way
//! round. Every other format sees plain bytes, even one that runs inside ours; and as only bytes at the very same place
//! count, a blob that is named too long or by mistake can do no harm.

use super::Blob;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};
use std::{cell::Cell, fmt};

thread_local! {
    /// The blob whose bytes are being handed over on this thread.
    static PASSING: Cell<Option<Blob>> = const { Cell::new(None) };
}

/// Names what was named before when it is dropped, so also after a panic.
struct Restore(Option<Blob>);

impl Drop for Restore {
    fn drop(&mut self) {
        name(self.0.take());
    }
}

/// Names a blob; gives back the one named before. On a thread that is about to end none is named.
fn name(blob: Option<Blob>) -> Option<Blob> {
    PASSING.try_with(|passing| passing.replace(blob)).ok().flatten()
}

/// Runs `hand_over`, which hands over the blob's bytes, with the blob named.
pub(in crate::process_pool) fn pass<T>(blob: &Blob, hand_over: impl FnOnce() -> T) -> T {
    if blob.shared().is_none() {
        return hand_over();
    }
    let _restore = Restore(name(Some(blob.clone())));
    hand_over()
}

/// The blob that these bytes, which have just been handed over, are.
pub(in crate::process_pool) fn passed(bytes: &[u8]) -> Option<Blob> {
    let blob = name(None)?;
    let found = std::ptr::eq::<[u8]>(&*blob, bytes).then(|| blob.clone());
    name(Some(blob));
    found
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        pass(self, || serializer.serialize_bytes(self))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(passed(bytes).unwrap_or_else(|| Blob::from(bytes)))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(Blob::from(bytes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
        Ok(Blob::from(text.as_bytes()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Blob, E> {
        Ok(Blob::from(text.into_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Blob, A::Error> {
        // A claimed length allocates nothing beyond this.
        let expected = elements.size_hint().unwrap_or(0).min(1 << 16);
        let mut bytes = Vec::with_capacity(expected);
        while let Some(byte) = elements.next_element()? {
            bytes.push(byte);
        }
        Ok(Blob::from(bytes))
    }
}
