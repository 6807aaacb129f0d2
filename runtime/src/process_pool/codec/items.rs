//! Many values in one message, each in a frame of its own, so that one that cannot be read hides no other.
//!
//! ```text
//! length << 2 | tag (u32, little-endian) | value (length bytes)
//! ```
//!
//! The chunks of a map and their answers consist of such items. A value that lies in a segment has only its reference
//! in the frame.

use super::{Body, Decoder, Encoded, Encoder};
use serde::Serialize;

/// The bytes before an item's value.
const HEADER: usize = 4;

/// The longest value, in bytes.
const LONGEST: usize = (u32::MAX >> 2) as usize;

impl Encoder {
    /// Appends a value as an item. If that fails, it is as if nothing had been done. `tag` is less than four.
    ///
    /// # Errors
    /// The value's own `Serialize` fails, or it is longer than a gigabyte; the reason as text.
    #[inline]
    pub fn put_item<T: Serialize + ?Sized>(&mut self, tag: u8, value: &T) -> Result<(), String> {
        let mark = self.mark();
        let start = self.body.len() + HEADER;
        self.body.extend_from_slice(&[0; HEADER]);
        let put = self.put(value);
        let length = self.body.len() - start;
        match put {
            Ok(()) if length <= LONGEST => {
                // Cannot truncate: it was just compared.
                let header = (length as u32) << 2 | u32::from(tag & 3);
                self.body[start - HEADER..start].copy_from_slice(&header.to_le_bytes());
                Ok(())
            }
            Ok(()) => {
                self.rollback(mark);
                Err(format!("{length} bytes are too long for an item"))
            }
            Err(reason) => {
                self.rollback(mark);
                Err(reason)
            }
        }
    }

    /// Writes over bytes of the body, from `at` on, that are there already.
    pub fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        self.body[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// How many bytes have been encoded, wherever they lie.
    #[inline]
    pub fn len(&self) -> usize {
        self.body.len().saturating_add(self.elsewhere)
    }
}

/// A place between two items of a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct ItemCursor {
    at: usize,
}

impl ItemCursor {
    /// The tag of the next item and what decodes it; `None` at the end. `message` is the same in each call.
    ///
    /// # Errors
    /// The message does not consist of items; nothing more can be read.
    #[inline]
    pub fn next<'a>(&mut self, message: &'a Encoded) -> Option<Result<(u8, Decoder<'a>), String>> {
        match self.split(message.body()) {
            Next::Item(tag, input) => Some(Ok((tag, message.part(input)))),
            Next::End => None,
            Next::Broken => Some(Err("an item ends early".to_owned())),
        }
    }

    /// As [`next`](Self::next), if the item has this tag; else nothing happens.
    #[inline]
    pub fn next_of<'a>(&mut self, tag: u8, message: &'a Encoded) -> Option<Decoder<'a>> {
        let mut after = *self;
        match after.split(message.body()) {
            Next::Item(found, input) if found == tag => {
                *self = after;
                Some(message.part(input))
            }
            _ => None,
        }
    }

    #[inline]
    fn split<'a>(&mut self, body: &'a [u8]) -> Next<'a> {
        let rest = body.get(self.at..).unwrap_or_default();
        if let Some((header, rest)) = rest.split_first_chunk::<HEADER>() {
            let header = u32::from_le_bytes(*header);
            let length = (header >> 2) as usize;
            if let Some(value) = rest.get(..length) {
                self.at += HEADER + length;
                return Next::Item((header & 3) as u8, value);
            }
        } else if rest.is_empty() {
            return Next::End;
        }
        self.at = usize::MAX;
        Next::Broken
    }
}

/// What stands at a place in a body.
enum Next<'a> {
    Item(u8, &'a [u8]),
    End,
    Broken,
}

impl Encoded {
    /// What decodes a part of the body.
    #[inline]
    fn part<'a>(&'a self, input: &'a [u8]) -> Decoder<'a> {
        let exposed = matches!(self.body, Body::Segment { .. });
        Decoder { input, exposed, segments: &self.segments }
    }

    /// A message of `count` items of this one, from a place on that lies between two of them; and the place after
    /// those.
    ///
    /// # Errors
    /// As [`Encoder::finish`], or there are not so many items.
    pub fn items(&self, from: ItemCursor, count: usize) -> Result<(Encoded, ItemCursor), String> {
        let mut end = from;
        for _ in 0..count {
            end.next(self).ok_or("an item is missing")??;
        }
        // The segment of the body comes last, and no item refers to it.
        let shared = self.segments.len() - usize::from(matches!(self.body, Body::Segment { .. }));
        let part = Encoder {
            body: self.body()[from.at..end.at].to_vec(),
            segments: self.segments[..shared].to_vec(),
            elsewhere: 0,
        };
        Ok((part.finish()?, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Serializer, ser::Error};

    /// Writes something, then fails.
    struct Mute;

    impl Serialize for Mute {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("mute"))
        }
    }

    fn message(texts: &[&str]) -> Encoded {
        let mut encoder = Encoder::new(Vec::new());
        for (text, tag) in texts.iter().zip((0..4).cycle()) {
            encoder.put_item(tag, text).unwrap();
        }
        encoder.finish().unwrap()
    }

    fn read(message: &Encoded, mut cursor: ItemCursor) -> Vec<(u8, String)> {
        std::iter::from_fn(|| cursor.next(message))
            .map(|item| item.unwrap())
            .map(|(tag, mut decoder)| (tag, decoder.take().unwrap()))
            .collect()
    }

    #[test]
    fn items_come_back_in_order_with_their_tags() {
        let items = read(&message(&["a", "", "ccc", "d", "e"]), ItemCursor::default());
        let expected = [(0, "a"), (1, ""), (2, "ccc"), (3, "d"), (0, "e")];
        assert_eq!(items, expected.map(|(tag, text)| (tag, text.to_owned())));
    }

    #[test]
    fn an_item_that_fails_leaves_no_trace() {
        let mut encoder = Encoder::new(Vec::new());
        encoder.put_item(0, "before").unwrap();
        let length = encoder.len();
        assert_eq!(encoder.put_item(1, &("x".repeat(100_000), Mute)), Err("mute".to_owned()));
        assert_eq!(encoder.len(), length);
        encoder.put_item(2, "after").unwrap();
        let items = read(&encoder.finish().unwrap(), ItemCursor::default());
        assert_eq!(items, [(0, "before".to_owned()), (2, "after".to_owned())]);
    }

    #[test]
    fn a_value_that_is_not_read_hides_no_other() {
        let message = message(&["a", "b"]);
        let mut cursor = ItemCursor::default();
        let (_, mut first) = cursor.next(&message).unwrap().unwrap();
        assert!(first.take::<(u64, u64, u64)>().is_err());
        assert_eq!(read(&message, cursor), [(1, "b".to_owned())]);
    }

    #[test]
    fn values_without_bytes_are_items_too() {
        let mut encoder = Encoder::new(Vec::new());
        for _ in 0..3 {
            encoder.put_item(1, &()).unwrap();
        }
        let message = encoder.finish().unwrap();
        let mut cursor = ItemCursor::default();
        assert_eq!(std::iter::from_fn(|| cursor.next(&message)).count(), 3);
    }

    #[test]
    fn a_part_has_what_its_items_refer_to() {
        let long = vec![7_u8; 1 << 20];
        let mut encoder = Encoder::new(Vec::new());
        for n in 0..10_000_u32 {
            encoder.put_item(0, &(n, if n == 5000 { &*long } else { &[] })).unwrap();
        }
        let message = encoder.finish().unwrap();
        let (_, middle) = message.items(ItemCursor::default(), 4999).unwrap();
        let (part, end) = message.items(middle, 3).unwrap();
        let mut cursor = ItemCursor::default();
        let numbers: Vec<(u32, usize)> = std::iter::from_fn(|| cursor.next(&part))
            .map(|item| item.unwrap().1.take::<(u32, Vec<u8>)>().unwrap())
            .map(|(number, bytes)| (number, bytes.len()))
            .collect();
        assert_eq!(numbers, [(4999, 0), (5000, 1 << 20), (5001, 0)]);
        assert!(message.items(end, 10_000).is_err());
    }

    #[test]
    fn what_does_not_consist_of_items_is_refused() {
        for bytes in [&[1_u8, 0, 0][..], &[8, 0, 0, 0, 1], &[0xff; 9]] {
            let message = Encoded::plain(bytes.to_vec());
            let mut cursor = ItemCursor::default();
            assert!(cursor.next(&message).unwrap().is_err());
            assert!(cursor.next(&message).is_none());
        }
    }
}
