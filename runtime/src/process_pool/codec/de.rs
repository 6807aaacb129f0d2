//! Serde's `Deserializer`: what `ser` writes.

use super::{
    Decoder, ELSEWHERE, Error,
    exact::{self, Plain},
};
use crate::process_pool::blob::{self, Blob, Shared};
use serde::{
    Deserializer,
    de::{DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor},
};

/// Where a run of elements lies.
enum Run<'a> {
    /// So many elements follow here.
    Here(u64),
    /// They lie in a segment.
    Elsewhere(Elsewhere<'a>),
}

/// A run that lies in a segment.
struct Elsewhere<'a> {
    elements: u64,
    segment: &'a Shared,
    start: usize,
    bytes: &'a [u8],
}

impl<'de> Decoder<'de> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.input.split_first().ok_or(Error::End)?;
        self.input = rest;
        Ok(*first)
    }

    #[inline]
    fn bytes(&mut self, len: u64) -> Result<&'de [u8], Error> {
        let len = usize::try_from(len).map_err(|_| Error::End)?;
        let (first, rest) = self.input.split_at_checked(len).ok_or(Error::End)?;
        self.input = rest;
        Ok(first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (first, rest) = self.input.split_first_chunk().ok_or(Error::End)?;
        self.input = rest;
        Ok(*first)
    }

    /// A number of at most `bits` bits.
    fn wide(&mut self, bits: u32) -> Result<u128, Error> {
        let (mut number, mut shift) = (0_u128, 0);
        loop {
            let byte = self.byte()?;
            let low = u128::from(byte & 0x7f);
            if shift >= bits || low >> (bits - shift).min(7) != 0 {
                return Err(Error::Number);
            }
            number |= low << shift;
            if byte < 0x80 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Error> {
        match self.input {
            // One byte is by far the commonest.
            [first, rest @ ..] if *first < 0x80 => {
                self.input = rest;
                Ok(u64::from(*first))
            }
            _ => self.long_varint(),
        }
    }

    /// A number of up to ten bytes.
    #[inline]
    fn long_varint(&mut self) -> Result<u64, Error> {
        let mut number = 0;
        for (place, byte) in self.input.iter().enumerate() {
            let low = u64::from(byte & 0x7f);
            // The tenth byte has one bit left.
            if place == 9 && *byte > 1 {
                return Err(Error::Number);
            }
            number |= low << (7 * place);
            if *byte < 0x80 {
                self.input = &self.input[place + 1..];
                return Ok(number);
            }
        }
        Err(Error::End)
    }

    #[inline]
    fn unsigned<T: TryFrom<u64>>(&mut self) -> Result<T, Error> {
        T::try_from(self.varint()?).map_err(|_| Error::Number)
    }

    #[inline]
    fn signed<T: TryFrom<i64>>(&mut self) -> Result<T, Error> {
        let number = self.varint()?;
        let number = (number >> 1).cast_signed() ^ -((number & 1).cast_signed());
        T::try_from(number).map_err(|_| Error::Number)
    }

    /// The beginning of a run. `elsewhere` is allowed where a run of bytes, floats or characters can stand.
    #[inline]
    fn run(&mut self) -> Result<Run<'de>, Error> {
        match self.varint()? {
            ELSEWHERE => self.elsewhere(),
            elements => Ok(Run::Here(elements)),
        }
    }

    fn elsewhere(&mut self) -> Result<Run<'de>, Error> {
        let elements = self.varint()?;
        let (number, start, len) = (self.unsigned::<usize>()?, self.unsigned()?, self.unsigned()?);
        let segment = self.segments.get(number).ok_or(Error::Reference)?;
        let bytes = segment.bytes().get(start..).and_then(|rest| rest.get(..len)).ok_or(Error::Reference)?;
        Ok(Run::Elsewhere(Elsewhere { elements, segment, start, bytes }))
    }

    /// A vector of `P`, which is what `T` is.
    fn vector<P: Plain, T>(&mut self) -> Result<T, Error> {
        let bytes = match self.run()? {
            Run::Here(elements) => self.bytes(elements.checked_mul(P::BYTES as u64).ok_or(Error::End)?)?,
            Run::Elsewhere(run) => {
                if run.elements.checked_mul(P::BYTES as u64) != Some(run.bytes.len() as u64) {
                    return Err(Error::Reference);
                }
                run.bytes
            }
        };
        // The visitor was that of a `Vec<P>`, so its value is one.
        exact::from_run(P::read(bytes)).ok_or(Error::Reference)
    }

    /// As many elements as the run says: for a visitor of a sequence or a map.
    fn elements<T>(&mut self, visit: impl FnOnce(Elements<'_, 'de>) -> Result<T, Error>) -> Result<T, Error> {
        match self.run()? {
            Run::Here(left) => visit(Elements { decoder: self, left }),
            Run::Elsewhere(run) => {
                let mut decoder = Decoder { input: run.bytes, exposed: true, segments: self.segments };
                let value = visit(Elements { decoder: &mut decoder, left: run.elements })?;
                if decoder.input.is_empty() { Ok(value) } else { Err(Error::Reference) }
            }
        }
    }

    /// The bytes of a text.
    fn text(&mut self) -> Result<(&'de [u8], bool), Error> {
        match self.run()? {
            Run::Here(len) => Ok((self.bytes(len)?, self.exposed)),
            Run::Elsewhere(run) => Ok((run.bytes, true)),
        }
    }
}

/// What must be known before the value is read.
macro_rules! not_self_describing {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::NotSelfDescribing)
        }
    )* };
}

/// A number, and the visitor's method for it.
macro_rules! number {
    ($($method:ident $visit:ident $read:ident)*) => { $(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.$read()?)
        }
    )* };
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    not_self_describing!(deserialize_any deserialize_identifier deserialize_ignored_any);

    number!(deserialize_u8 visit_u8 byte deserialize_u16 visit_u16 unsigned deserialize_u32 visit_u32 unsigned);
    number!(deserialize_u64 visit_u64 varint deserialize_i16 visit_i16 signed deserialize_i32 visit_i32 signed);
    number!(deserialize_i64 visit_i64 signed);

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.byte()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            byte => Err(Error::Byte(byte, "a bool (0 or 1)")),
        }
    }

    #[inline]
    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i8(self.byte()?.cast_signed())
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u128(self.wide(128)?)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let number = self.wide(128)?;
        visitor.visit_i128((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    #[inline]
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f32(f32::from_le_bytes(self.array()?))
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(f64::from_le_bytes(self.array()?))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = str::from_utf8(self.text()?.0).map(str::chars);
        match text.map(|mut characters| (characters.next(), characters.next())) {
            Ok((Some(character), None)) => visitor.visit_char(character),
            _ => Err(Error::Utf8),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (bytes, exposed) = self.text()?;
        if exposed {
            // Copied first: what has been checked must not change any more.
            return visitor.visit_string(String::from_utf8(bytes.to_vec()).map_err(|_| Error::Utf8)?);
        }
        visitor.visit_borrowed_str(str::from_utf8(bytes).map_err(|_| Error::Utf8)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.run()? {
            Run::Here(len) => visitor.visit_borrowed_bytes(self.bytes(len)?),
            Run::Elsewhere(run) => {
                let blob = Blob::part(run.segment, run.start, run.bytes.len()).ok_or(Error::Reference)?;
                blob::pass(&blob, || visitor.visit_borrowed_bytes(run.bytes))
            }
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.byte()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            byte => Err(Error::Byte(byte, "an Option (0 or 1)")),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if exact::is_visitor::<V, u8>() {
            self.vector::<u8, _>()
        } else if exact::is_visitor::<V, f32>() {
            self.vector::<f32, _>()
        } else if exact::is_visitor::<V, f64>() {
            self.vector::<f64, _>()
        } else {
            self.elements(|elements| visitor.visit_seq(elements))
        }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements { decoder: self, left: len as u64 })
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.elements(|elements| visitor.visit_map(elements))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }
}

/// The elements of a sequence, or the entries of a map.
struct Elements<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: u64,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        // An element that takes up no bytes is not worth a hint.
        usize::try_from(self.left).ok().map(|left| left.min(self.decoder.input.len()))
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.next_element_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        SeqAccess::size_hint(self)
    }
}

impl<'de> EnumAccess<'de> for &mut Decoder<'de> {
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let index: u32 = self.unsigned()?;
        Ok((seed.deserialize(index.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Decoder<'de> {
    type Error = Error;

    #[inline]
    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}
