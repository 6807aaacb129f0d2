//! Serde's `Serializer`: postcard's format, long runs in segments.

use super::{
    ELSEWHERE, Encoder, Error, MOST_SEGMENTS,
    exact::{self, Plain},
};
use crate::process_pool::blob::{self, LEAST, Shared};
use serde::{Serialize, Serializer, ser};

/// The longest encoding of a number.
const VARINT_MAX: usize = 19;

impl Encoder {
    /// Seven bits a byte, lowest first; the top bit says that more follow.
    #[inline]
    fn varint(&mut self, mut number: u64) {
        if number < 0x80 {
            self.body.push(number as u8);
        } else if number < 1 << 56 {
            // All bytes at once: the groups of seven bits are moved apart in three steps.
            let bytes = (70 - number.leading_zeros()) / 7;
            number = number & 0x0fff_ffff | (number & 0x00ff_ffff_f000_0000) << 4;
            number = number & 0x3fff_0000_3fff | (number & 0x0fff_c000_0fff_c000) << 2;
            number = number & 0x007f_007f_007f_007f | (number & 0x3f80_3f80_3f80_3f80) << 1;
            let more = 0x8080_8080_8080_8080 & ((1 << (8 * (bytes - 1))) - 1);
            let start = self.body.len();
            self.body.extend_from_slice(&(number | more).to_le_bytes());
            self.body.truncate(start + bytes as usize);
        } else {
            while number >= 0x80 {
                self.body.push(number as u8 | 0x80);
                number >>= 7;
            }
            self.body.push(number as u8);
        }
    }

    fn varint_wide(&mut self, mut number: u128) {
        for _ in 0..VARINT_MAX {
            if number < 0x80 {
                break;
            }
            self.body.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.body.push(number as u8);
    }

    /// Zigzag: small numbers of either sign get short.
    #[inline]
    fn signed(&mut self, number: i64) {
        self.varint(((number << 1) ^ (number >> 63)) as u64);
    }

    fn run<P: Plain>(&mut self, run: &[P]) {
        let len = size_of_val(run);
        if !self.share(run.len(), len, |to| P::write(run, to)) {
            self.varint(run.len() as u64);
            let start = self.body.len();
            self.body.resize(start + len, 0);
            P::write(run, &mut self.body[start..]);
        }
    }

    /// Puts a long run into a segment of its own. False: it is short, or there is no segment to be had.
    fn share(&mut self, elements: usize, len: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        if len < LEAST || self.segments.len() >= MOST_SEGMENTS {
            return false;
        }
        let Ok(shared) = Shared::new(len, fill) else { return false };
        self.refer(elements, &shared, 0, len)
    }

    /// Refers to bytes in a segment. False: the message has too many already.
    fn refer(&mut self, elements: usize, shared: &Shared, start: usize, len: usize) -> bool {
        let number = match self.segments.iter().rposition(|known| known.is(shared)) {
            Some(number) => number,
            None if self.segments.len() >= MOST_SEGMENTS => return false,
            None => {
                self.segments.push(shared.clone());
                self.segments.len() - 1
            }
        };
        self.varint(ELSEWHERE);
        for number in [elements, number, start, len] {
            self.varint(number as u64);
        }
        self.elsewhere = self.elsewhere.saturating_add(len);
        true
    }

    fn length(&mut self, len: Option<usize>) -> Result<(), Error> {
        self.varint(len.ok_or(Error::UnknownLength)? as u64);
        Ok(())
    }
}

impl Serializer for &mut Encoder {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.serialize_u8(u8::from(value))
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_u8(value.cast_unsigned())
    }

    #[inline]
    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(i64::from(value))
    }

    #[inline]
    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(i64::from(value))
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.signed(value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.varint_wide(((value << 1) ^ (value >> 127)).cast_unsigned());
        Ok(())
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.body.push(value);
        Ok(())
    }

    #[inline]
    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(u64::from(value))
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(u64::from(value))
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.varint(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.varint_wide(value);
        Ok(())
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.body.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.body.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.run(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        let blob = blob::passed(value);
        let referred = blob.as_ref().and_then(|blob| blob.shared()).is_some_and(|(shared, start)| {
            // A few bytes of a segment do not have to keep all of it in use.
            value.len() >= LEAST && self.refer(value.len(), shared, start, value.len())
        });
        if !referred {
            self.run(value);
        }
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_u8(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.body.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), Error> {
        self.serialize_u32(index)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.varint(u64::from(index));
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self, Error> {
        self.length(len)?;
        Ok(self)
    }

    /// What sequences of any kind come through; long ones of bytes and floats come whole.
    #[inline]
    fn collect_seq<I>(self, sequence: I) -> Result<(), Error>
    where
        I: IntoIterator<Item: Serialize>,
    {
        if let Some(run) = exact::as_run::<I, u8>(&sequence) {
            self.run(run);
        } else if let Some(run) = exact::as_run::<I, f32>(&sequence) {
            self.run(run);
        } else if let Some(run) = exact::as_run::<I, f64>(&sequence) {
            self.run(run);
        } else {
            let mut elements = sequence.into_iter();
            let len = match elements.size_hint() {
                (least, Some(most)) if least == most => Some(least),
                _ => None,
            };
            self.length(len)?;
            return elements.try_for_each(|element| element.serialize(&mut *self));
        }
        Ok(())
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        self.varint(u64::from(index));
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self, Error> {
        self.length(len)?;
        Ok(self)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        self.varint(u64::from(index));
        Ok(self)
    }
}

/// The parts of a compound value: one after the other, with nothing in between or at the end.
macro_rules! compound {
    ($($name:ident $part:ident)*) => { $(
        impl<'a> ser::$name for &'a mut Encoder {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn $part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        }
    )* };
}

compound!(SerializeSeq serialize_element SerializeTuple serialize_element);
compound!(SerializeTupleStruct serialize_field SerializeTupleVariant serialize_field);

/// As `compound`, where the parts have names, which are not written.
macro_rules! named {
    ($($name:ident)*) => { $(
        impl<'a> ser::$name for &'a mut Encoder {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Error> {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        }
    )* };
}

named!(SerializeStruct SerializeStructVariant);

impl ser::SerializeMap for &mut Encoder {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        key.serialize(&mut **self)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}
