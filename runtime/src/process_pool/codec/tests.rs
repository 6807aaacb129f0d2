//! Round trips, equality with postcard's format, segments, and hostile bytes.

use super::*;
use crate::process_pool::blob::{Blob, LEAST};
use proptest::prelude::*;
use serde::{Serializer, ser::Error as _};
use serde_bytes::ByteBuf;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
};

fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Encoded {
    let message = encode(value).unwrap();
    assert!(decode::<T>(&message).unwrap() == *value);
    message
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|place| (place * 7 + place / 251) as u8).collect()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    New(Vec<u8>),
    Pair(i16, Option<String>),
    Fields { wide: i128, letter: char, map: BTreeMap<String, u64> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    small: (bool, u8, i8, u16, i32),
    large: (u32, u64, i64, u128, f32, f64),
    unit: ((), Unit),
    shapes: Vec<Shape>,
    nested: Option<Result<(Vec<u8>,), Vec<f32>>>,
    bytes: (ByteBuf, Blob, VecDeque<u8>, Box<[u8]>),
    array: [i64; 3],
}

prop_compose! {
    fn any_shape()(
        which in 0..4,
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        (short, text) in (any::<i16>(), any::<Option<String>>()),
        (wide, letter) in (any::<i128>(), any::<char>()),
        map in prop::collection::btree_map(any::<String>(), any::<u64>(), 0..4),
    ) -> Shape {
        match which {
            0 => Shape::Unit,
            1 => Shape::New(bytes),
            2 => Shape::Pair(short, text),
            _ => Shape::Fields { wide, letter, map },
        }
    }
}

prop_compose! {
    fn everything()(
        small in any::<(bool, u8, i8, u16, i32)>(),
        (a, b, c, d) in any::<(u32, u64, i64, u128)>(),
        (e, f) in (-1e9_f32..1e9, -1e99_f64..1e99),
        shapes in prop::collection::vec(any_shape(), 0..5),
        nested in prop::option::of(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Ok((bytes,))),
            prop::collection::vec(-1e9_f32..1e9, 0..300).prop_map(Err),
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        array in any::<[i64; 3]>(),
    ) -> Everything {
        let copies = (bytes.clone().into(), bytes.clone().into(), bytes.clone().into(), bytes.into());
        Everything { small, large: (a, b, c, d, e, f), unit: ((), Unit), shapes, nested, bytes: copies, array }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Runs {
    bytes: Vec<u8>,
    deep: Vec<Option<Result<Vec<u8>, Blob>>>,
    blob: Blob,
    slices: (Blob, Box<Blob>),
    floats: (Vec<f32>, Vec<f64>),
    text: String,
    buf: ByteBuf,
    after: u16,
}

/// Around what matters: nothing, the least segment, more.
fn any_len() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), Just(1), LEAST - 2..LEAST + 2, Just(2 * LEAST), Just(2 * LEAST + 1), 0..4 * LEAST]
}

prop_compose! {
    fn runs()(
        lens in prop::array::uniform8(any_len()),
        deep in prop::collection::vec(prop::option::of(any::<bool>()), 0..4),
        after in any::<u16>(),
    ) -> Runs {
        let blob = Blob::from(pattern(lens[0]));
        let third = blob.len() / 3;
        Runs {
            bytes: pattern(lens[1]),
            deep: deep.into_iter().map(|bytes| bytes.map(|bytes| match bytes {
                true => Ok(pattern(lens[2])),
                false => Err(Blob::from(pattern(lens[3]))),
            })).collect(),
            slices: (blob.slice(third..), Box::new(blob.slice(..third))),
            blob,
            floats: (
                (0..lens[4] / 4).map(|n| n as f32 * 0.5).collect(),
                (0..lens[5] / 8).map(|n| n as f64 * -0.1).collect(),
            ),
            text: "é".repeat(lens[6] / 2),
            buf: pattern(lens[7]).into(),
            after,
        }
    }
}

proptest! {
    #[test]
    fn short_values_are_encoded_as_postcard_does(value in everything()) {
        let message = round(&value);
        prop_assert_eq!(message.body(), postcard::to_stdvec(&value).unwrap());
        prop_assert!(message.segments.is_empty());
        prop_assert_eq!(message.total(), message.body().len());
    }

    #[test]
    fn a_value_cut_off_is_an_error(value in everything(), part in 0.0_f64..1.0) {
        let body = encode(&value).unwrap().body().to_vec();
        let cut = (body.len() as f64 * part) as usize;
        prop_assert!(decode::<Everything>(&Encoded::plain(body[..cut].to_vec())).is_err());
    }

    #[test]
    fn hostile_bytes_are_an_error_or_a_value(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let message = Encoded::plain(bytes);
        let _ = decode::<Everything>(&message);
        let _ = decode::<Vec<String>>(&message);
        let _ = decode::<Vec<f64>>(&message);
        let _ = decode::<BTreeMap<char, Blob>>(&message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn long_runs_anywhere_come_back(value in runs()) {
        let message = round(&value);
        let all = value.bytes.len() + value.text.len() + value.buf.len() + 2 * value.blob.len();
        prop_assert!(message.total() >= all);
        prop_assert!(message.inline().len() + head_bytes(message.segments.len(), false) <= INLINE_MAX);
    }

    #[test]
    fn references_to_what_is_not_there_are_errors(
        elements in prop_oneof![any::<u64>(), 0..100_000_u64],
        number in 0_u64..3,
        start in prop_oneof![any::<u64>(), 0..100_000_u64],
        len in prop_oneof![any::<u64>(), 0..100_000_u64],
    ) {
        let mut message = encode(&Blob::from(pattern(LEAST))).unwrap();
        let mut encoder = Encoder::new(Vec::new());
        encoder.put(&(ELSEWHERE, elements, number, start, len)).unwrap();
        message.body = encoder.finish().unwrap().body;
        let there = number == 0 && start.checked_add(len).is_some_and(|end| end <= LEAST as u64);
        prop_assert_eq!(decode::<Blob>(&message).is_ok(), there);
        prop_assert_eq!(decode::<Vec<u8>>(&message).is_ok(), there && elements == len);
        prop_assert_eq!(decode::<Vec<f64>>(&message).is_ok(), there && Some(len) == elements.checked_mul(8));
        let queue = decode::<VecDeque<u8>>(&message);
        prop_assert_eq!(queue.is_ok(), there && elements == len);
    }
}

#[test]
fn numbers_of_every_length_are_encoded_as_postcard_does() {
    for bits in 0..64 {
        for number in [0, 1, u64::MAX, 0xaaaa_aaaa_aaaa_aaaa].map(|pattern| (pattern >> bits) | 1 << bits) {
            let message = round(&(number, 7_u8));
            assert_eq!(message.body(), postcard::to_stdvec(&(number, 7_u8)).unwrap());
        }
    }
}

#[test]
fn numbers_that_are_too_long_are_refused() {
    for last in [0x80, 0x81, 2, 0x7f] {
        let bytes = [[0xff; 9].as_slice(), &[last], &[0]].concat();
        assert!(decode::<(u64, u8)>(&Encoded::plain(bytes)).is_err(), "{last:#x}");
    }
    assert!(decode::<u64>(&Encoded::plain(vec![0xff; 5])).is_err());
}

#[test]
fn a_run_is_where_its_length_says() {
    for (len, segments) in [(0, 0), (LEAST - 1, 1), (LEAST, 1)] {
        // Just below the threshold the bytes are in the body, which then is too long for a frame.
        let message = round(&pattern(len));
        assert_eq!(message.segments.len(), segments, "{len}");
        assert_eq!(matches!(message.body, Body::Segment { .. }), len == LEAST - 1);
        assert_eq!(matches!(round(&Blob::from(pattern(len))).body, Body::Segment { .. }), len == LEAST - 1);
    }
    assert_eq!(round(&vec![0.5_f64; LEAST / 8]).segments.len(), 1);
    assert_eq!(round(&"x".repeat(LEAST)).segments.len(), 1);
    assert_eq!(round(&Some(Ok::<_, ()>(pattern(LEAST)))).segments.len(), 1);
    assert_eq!(round(&ByteBuf::from(pattern(LEAST))).segments.len(), 1);
}

#[test]
fn a_body_fills_a_frame_to_the_last_byte() {
    for (len, fits) in [(INLINE_MAX - 2, true), (INLINE_MAX - 1, false)] {
        let message = round(&vec![true; len]);
        assert_eq!(message.body().len(), len + 2);
        assert_eq!(matches!(message.body, Body::Here { .. }), fits);
    }
}

#[test]
fn it_does_not_matter_which_type_wrote_a_run() {
    let bytes = pattern(LEAST + 5);
    for message in [
        encode(&bytes).unwrap(),
        encode(&ByteBuf::from(bytes.clone())).unwrap(),
        encode(&Blob::from(&*bytes)).unwrap(),
        encode(&*bytes).unwrap(),
        encode(&VecDeque::from(bytes.clone())).unwrap(),
        encode(&bytes.iter().collect::<Vec<&u8>>()).unwrap(),
    ] {
        assert_eq!(decode::<Vec<u8>>(&message).unwrap(), bytes);
        assert_eq!(decode::<ByteBuf>(&message).unwrap(), bytes);
        assert_eq!(decode::<Box<Blob>>(&message).unwrap()[..], bytes);
        assert_eq!(decode::<VecDeque<u8>>(&message).unwrap(), bytes);
        assert_eq!(decode::<(VecDeque<u8>,)>(&message).unwrap().0, bytes);
    }
    let floats = vec![1.25_f32; LEAST];
    assert_eq!(decode::<VecDeque<f32>>(&encode(&floats).unwrap()).unwrap(), floats);
    assert_eq!(decode::<Vec<f32>>(&encode(&VecDeque::from(floats.clone())).unwrap()).unwrap(), floats);
}

#[test]
fn a_blob_is_passed_on_and_not_copied() {
    let blob = Blob::from(pattern(4 * LEAST));
    let half = blob.slice(LEAST..);
    let message = encode(&(&blob, vec![Box::new(half.clone())], Some(&half))).unwrap();
    assert_eq!(message.segments.len(), 1, "one segment, named once");
    assert_eq!(message.total(), message.body().len() + 10 * LEAST);
    let (whole, parts, other) = decode::<(Blob, Vec<Box<Blob>>, Option<Blob>)>(&message).unwrap();
    let part = &parts[0];
    assert_eq!(whole.as_ptr(), blob.as_ptr());
    assert_eq!((part.as_ptr(), part.len()), (half.as_ptr(), half.len()));
    assert_eq!(other.unwrap().as_ptr(), half.as_ptr());
    // A little of a segment is copied rather than kept.
    assert!(encode(&blob.slice(..LEAST - 20_000)).unwrap().segments.is_empty());
}

#[test]
fn more_segments_than_a_message_may_name_stand_in_the_body() {
    let runs: Vec<Blob> = (0..MOST_SEGMENTS + 5).map(|n| Blob::from(vec![n as u8; LEAST])).collect();
    let message = round(&runs);
    assert_eq!(message.segments.len(), MOST_SEGMENTS + 1, "and that of the body");
}

#[test]
fn an_item_can_be_taken_back() {
    struct Half(Blob);
    impl Serialize for Half {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeTuple;
            let mut tuple = serializer.serialize_tuple(2)?;
            tuple.serialize_element(&self.0)?;
            Err(S::Error::custom("no second half"))
        }
    }
    let mut encoder = Encoder::new(vec![9; 100]);
    encoder.put(&1_u8).unwrap();
    let mark = encoder.mark();
    assert_eq!(encoder.put(&Half(Blob::from(pattern(LEAST)))), Err("no second half".to_owned()));
    encoder.rollback(mark);
    encoder.put(&"two").unwrap();
    let message = encoder.finish().unwrap();
    assert_eq!((message.segments.len(), message.total()), (0, 5));
    let mut decoder = Decoder::new(&message);
    assert_eq!((decoder.take(), decoder.take()), (Ok(1_u8), Ok("two")));
    assert!(decoder.is_empty());
    decoder.finish().unwrap();
    assert_eq!(message.recycle().capacity(), 100);
}

/// Serialises itself with other formats, and with this one, while it is being serialised.
struct Inner(Blob);

impl Serialize for Inner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plain = postcard::to_stdvec(&self.0).map_err(S::Error::custom)?;
        let message = encode(&self.0).map_err(S::Error::custom)?;
        let json = serde_json::to_string(&self.0).map_err(S::Error::custom)?;
        (ByteBuf::from(plain), message.segments.len(), json.len(), &self.0).serialize(serializer)
    }
}

#[test]
fn other_formats_within_this_one_see_plain_bytes() {
    let bytes = vec![7; LEAST];
    let message = encode(&Inner(Blob::from(&*bytes))).unwrap();
    let (plain, segments, json, blob) = decode::<(ByteBuf, usize, usize, Blob)>(&message).unwrap();
    assert_eq!(postcard::from_bytes::<Vec<u8>>(&plain).unwrap(), bytes);
    assert_eq!((segments, json, &blob[..]), (1, 2 * LEAST + 1, &bytes[..]));
    assert_eq!(message.segments.len(), 2);
}

#[test]
fn a_panic_in_the_middle_leaves_nothing_behind() {
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("as it likes")
        }
    }
    let blob = Blob::from(pattern(LEAST));
    let value = (&blob, Panics);
    assert!(catch_unwind(AssertUnwindSafe(|| encode(&value))).is_err());
    assert!(crate::process_pool::blob::passed(&blob).is_none());
    round(&blob);
}

#[test]
fn errors_say_what_is_wrong() {
    let reason = |bytes: &[u8]| decode::<(bool, u8)>(&Encoded::plain(bytes.to_vec())).unwrap_err();
    assert_eq!(reason(&[1]), "the data ends early");
    assert_eq!(reason(&[2, 0]), "2 where a bool (0 or 1) was expected");
    assert_eq!(reason(&[1, 2, 3]), "1 bytes are left over after the value");
    let message = encode(&300_u16).unwrap();
    let text = format!("{:?}", decode::<serde_json::Value>(&message));
    assert!(text.contains("does not describe itself"), "{text}");
    assert_eq!(decode::<char>(&encode("ab").unwrap()).unwrap_err(), "a text is not UTF-8");
    let unknown = std::iter::repeat_n(1_u8, 3).filter(|_| true);
    struct Lazy<I>(std::cell::RefCell<I>);
    impl<I: Iterator<Item = u8> + Clone> Serialize for Lazy<I> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.borrow().clone())
        }
    }
    assert!(encode(&Lazy(unknown.into())).unwrap_err().contains("must know its length"));
}
