//! The engine against a pool that is played by the test: chunks run on the spot, or when the test says so.

use super::{
    Chunk, chunk,
    engine::{Engine, Seam, Settings},
    sizes::Sizes,
};
use crate::process_pool::{
    CallError,
    codec::{Encoded, ItemCursor},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::{
    cell::RefCell,
    future::Future,
    ops::Range,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// A pool whose workers do what the test says with each chunk that is submitted.
#[derive(Clone, Default)]
struct Fake(Rc<RefCell<Books>>);

#[derive(Default)]
struct Books {
    /// So many items had each chunk, in the order of submission.
    submitted: Vec<usize>,
    /// Chunks, by their place in `submitted`, that are not answered yet.
    held: Vec<usize>,
    dropped: usize,
    /// A worker that runs this item dies.
    deadly: Option<u64>,
}

struct FakeCall {
    pool: Fake,
    chunk: Encoded,
    number: usize,
    answered: bool,
}

/// A value that may fail to cross.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Good(u64),
    Mute,
    Garbled,
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Good(number) => serializer.serialize_u64(*number),
            Self::Mute => Err(ser::Error::custom("mute")),
            Self::Garbled => serializer.serialize_u64(u64::MAX),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            u64::MAX => Err(de::Error::custom("garbled")),
            number => Ok(Self::Good(number)),
        }
    }
}

const PANICS: Value = Value::Good(1_000_090);
const GIVES_MUTE: Value = Value::Good(1_000_091);
const GIVES_GARBLED: Value = Value::Good(1_000_092);

/// The job: gives what it got, but for a few numbers.
fn job((value,): (Value,)) -> Value {
    match value {
        PANICS => panic!("ninety"),
        GIVES_MUTE => Value::Mute,
        GIVES_GARBLED => Value::Garbled,
        other => other,
    }
}

impl Seam for Fake {
    type Call = FakeCall;

    fn submit(&self, chunk: Encoded, _: Option<Duration>) -> FakeCall {
        let mut books = self.0.borrow_mut();
        let number = books.submitted.len();
        books.submitted.push(items(&chunk).len());
        FakeCall { pool: self.clone(), chunk, number, answered: false }
    }
}

fn items(chunk: &Encoded) -> Vec<Option<Value>> {
    let mut cursor = ItemCursor::default();
    std::iter::from_fn(|| cursor.next(chunk)).map(|item| item.unwrap().1.take().ok()).collect()
}

impl Future for FakeCall {
    type Output = Result<Encoded, CallError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.pool.0.borrow().held.contains(&self.number) {
            return Poll::Pending;
        }
        self.answered = true;
        let deadly = self.pool.0.borrow().deadly.map(Value::Good);
        if deadly.is_some() && items(&self.chunk).contains(&deadly) {
            return Poll::Ready(Err(CallError::WorkerDied {
                job: "job",
                signal: Some(9),
                code: None,
                stderr_tail: String::new(),
                jobs_served: 0,
            }));
        }
        let answer = chunk::run(&self.chunk, Vec::new(), None, job);
        Poll::Ready(answer.map_err(|(stage, reason)| CallError::Codec { job: "job", stage, reason }))
    }
}

impl Drop for FakeCall {
    fn drop(&mut self) {
        self.pool.0.borrow_mut().dropped += usize::from(!self.answered);
    }
}

const SETTINGS: Settings = Settings {
    job: "job",
    workers: 2,
    max_bytes: 1 << 20,
    buffer: 3,
    ordered: true,
    timeout: None,
    retry: false,
};

fn engine<I: Iterator<Item = Value>>(
    pool: &Fake,
    settings: Settings,
    chunk: Chunk,
    items: I,
) -> Engine<I, Fake> {
    let mut engine = Engine::new(Ok(pool.clone()), settings, items);
    engine.sizes = Sizes::new(chunk);
    engine
}

fn numbers(range: Range<u64>) -> impl Iterator<Item = Value> {
    range.map(Value::Good)
}

/// What a result is, in a word.
fn word(result: Result<Value, CallError>) -> String {
    match result {
        Ok(Value::Good(number)) => number.to_string(),
        Ok(other) => format!("{other:?}"),
        Err(CallError::Codec { stage, reason, .. }) => format!("{stage:?}: {reason}"),
        Err(CallError::Panic { message, .. }) => format!("panic: {message}"),
        Err(error) if error.is_worker_died() => "died".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// All that is ready now; true at the end of the stream. The engine may ask for another turn before it has built all
/// it can.
fn ready<I: Iterator<Item: Serialize>>(engine: &mut Engine<I, Fake>) -> (Vec<String>, bool) {
    struct Asked(AtomicBool);
    impl Wake for Asked {
        fn wake(self: Arc<Self>) {
            // Relaxed: one thread.
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let asked = Arc::new(Asked(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&asked));
    let mut results = Vec::new();
    loop {
        match engine.poll_next::<Value>(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(result)) => results.push(word(result)),
            Poll::Ready(None) => return (results, true),
            Poll::Pending if asked.0.swap(false, Ordering::Relaxed) => {}
            Poll::Pending => return (results, false),
        }
    }
}

fn all<I: Iterator<Item = Value>>(mut engine: Engine<I, Fake>) -> Vec<String> {
    let (results, ended) = ready(&mut engine);
    assert!(ended, "{} results, then it waits", results.len());
    results
}

fn words(range: Range<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn every_item_has_its_result_whatever_the_chunks() {
    for chunk in [Chunk::Auto, Chunk::Fixed(1), Chunk::Fixed(7), Chunk::Fixed(1000)] {
        for ordered in [true, false] {
            let settings = Settings { ordered, ..SETTINGS };
            let mut results = all(engine(&Fake::default(), settings, chunk, numbers(1000..2001)));
            results.sort();
            assert_eq!(results, words(1000..2001), "{chunk:?}");
        }
    }
}

#[test]
fn an_item_that_fails_fails_alone_in_its_place() {
    let items = [
        Value::Good(1),
        Value::Mute,
        Value::Good(1_000_090),
        Value::Good(1_000_091),
        Value::Good(1_000_092),
        Value::Garbled,
    ];
    for size in 1..8 {
        let items = items.into_iter().chain([Value::Good(2)]);
        let results = all(engine(&Fake::default(), SETTINGS, Chunk::Fixed(size), items));
        let expected = [
            "1",
            "EncodeArguments: mute",
            "panic: ninety",
            "EncodeResult: mute",
            "DecodeResult: garbled",
            "DecodeArguments: garbled",
            "2",
        ];
        assert_eq!(results, expected, "in chunks of {size}");
    }
}

#[test]
fn no_more_than_the_buffer_is_out_or_pulled() {
    let pool = Fake::default();
    pool.0.borrow_mut().held = vec![0];
    let pulled = Rc::new(RefCell::new(0));
    let count = Rc::clone(&pulled);
    let items = numbers(0..1000).inspect(move |_| *count.borrow_mut() += 1);
    let mut engine = engine(&pool, SETTINGS, Chunk::Fixed(10), items);
    assert_eq!(*pulled.borrow(), 0, "nothing happens before the first poll");
    assert_eq!(ready(&mut engine), (vec![], false));
    assert_eq!(*pulled.borrow(), 30);
    assert_eq!(engine.size_hint().0, 1000);
    pool.0.borrow_mut().held = vec![4];
    assert_eq!(ready(&mut engine), (words(0..40), false));
    assert_eq!(*pulled.borrow(), 70);
    drop(engine);
    assert_eq!((pool.0.borrow().submitted.len(), pool.0.borrow().dropped), (7, 3), "three are taken back");
}

#[test]
fn out_of_order_nothing_waits_for_a_slow_chunk() {
    let pool = Fake::default();
    pool.0.borrow_mut().held = vec![1];
    let settings = Settings { ordered: false, ..SETTINGS };
    let mut engine = engine(&pool, settings, Chunk::Fixed(10), numbers(0..50));
    let (results, ended) = ready(&mut engine);
    assert_eq!((results, ended), ([words(0..10), words(20..50)].concat(), false));
    pool.0.borrow_mut().held.clear();
    assert_eq!(ready(&mut engine), (words(10..20), true));
}

#[test]
fn a_dead_worker_fails_its_chunk() {
    let pool = Fake::default();
    pool.0.borrow_mut().deadly = Some(15);
    let results = all(engine(&pool, SETTINGS, Chunk::Fixed(10), numbers(0..30)));
    assert_eq!(results[..10], words(0..10));
    assert!(results[10..20].iter().all(|result| result == "died"));
    assert_eq!(results[20..], words(20..30));
}

#[test]
fn with_retry_only_the_item_that_kills_fails() {
    for (ordered, count, size) in [(true, 1000, 1000), (true, 50, 7), (false, 300, 300), (true, 1, 1)] {
        let pool = Fake::default();
        pool.0.borrow_mut().deadly = Some(count / 2);
        let settings = Settings { retry: true, ordered, ..SETTINGS };
        let bad = std::iter::once(Value::Mute);
        let results = all(engine(&pool, settings, Chunk::Fixed(size), bad.chain(numbers(0..count))));
        let mut expected = words(0..count);
        expected[count as usize / 2] = "died".to_owned();
        expected.insert(0, "EncodeArguments: mute".to_owned());
        assert_eq!(results, expected);
    }
}

#[test]
fn an_item_beyond_the_limit_fails_alone_and_others_share_what_there_is() {
    let settings = Settings { max_bytes: 100, ..SETTINGS };
    let pool = Fake::default();
    let long = [9_u64, 3, 200, 3, 40, 40].map(|length| vec![7_u8; length as usize]);
    let mut engine = Engine::new(Ok(pool.clone()), settings, long.into_iter());
    engine.sizes = Sizes::new(Chunk::Fixed(100));
    // The bytes do not matter to the job of this test, only their way: it fails on all of them.
    let (results, ended) = ready(&mut engine);
    let too_long: Vec<bool> = results
        .iter()
        .map(|result| result.starts_with("EncodeArguments") && result.contains("limit of 100 bytes"))
        .collect();
    assert_eq!((too_long, ended), (vec![false, false, true, false, false, false], true));
    assert_eq!(pool.0.borrow().submitted, [2, 3], "nine and three; two more and the first forty; the last");
}

#[test]
fn without_a_pool_each_item_is_told() {
    let unknown = Err(CallError::UnknownJob { function: "f" });
    let mut engine = Engine::<_, Fake>::new(unknown, SETTINGS, numbers(0..3));
    let (results, ended) = ready(&mut engine);
    assert!(
        ended && results.len() == 3 && results.iter().all(|result| result.contains("is not a job")),
        "{results:?}"
    );
}
