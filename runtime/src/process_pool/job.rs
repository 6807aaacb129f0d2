//! The registry of jobs, and the link between a function item and its entry in it.
//!
//! `#[job]` puts one [`Entry`] per function into the distributed slice [`JOBS`]. Parent and worker run the
//! same binary, so both build the same [`Table`]: entries sorted by name and place, numbered densely from
//! zero. A frame carries the number; the hello frame carries [`Table::fingerprint`], so two different
//! binaries never talk past each other.
//!
//! The caller hands over a function item; its `TypeId` is the key, because the type of a function item is
//! unique to the function. No name is guessed and no address is compared.

use super::error::CodecStage;
use serde::{Serialize, de::DeserializeOwned};
use std::{any::TypeId, collections::HashMap, sync::OnceLock};

/// Every `#[job]` function of the program, in link order (which nobody may rely on).
#[linkme::distributed_slice]
pub static JOBS: [Entry];

/// Why a job could not be run to a result, apart from its own panic: which value failed and the reason.
pub(super) type RunError = (CodecStage, String);

/// Decodes arguments, runs the job and appends the encoded result to the given buffer.
type Run = fn(&[u8], Vec<u8>) -> Result<Vec<u8>, RunError>;

/// One registered function. Built by `#[job]` only.
#[derive(Debug)]
pub struct Entry {
    name: &'static str,
    signature: &'static str,
    place: (&'static str, u32, u32),
    type_id: fn() -> TypeId,
    run: Run,
}

impl Entry {
    /// Called by the expansion of `#[job]`.
    pub const fn new(
        name: &'static str,
        signature: &'static str,
        place: (&'static str, u32, u32),
        type_id: fn() -> TypeId,
        run: Run,
    ) -> Self {
        Self { name, signature, place, type_id, run }
    }

    /// The function's path, for messages.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the job on this thread: `input` is the encoded argument tuple, the encoded result is appended
    /// to `output`. A panic of the job unwinds through.
    pub(super) fn run(&self, input: &[u8], output: Vec<u8>) -> Result<Vec<u8>, RunError> {
        (self.run)(input, output)
    }
}

/// The `TypeId` of a function item. Called by the expansion of `#[job]`.
pub fn type_of<F: 'static>(_: &F) -> TypeId {
    TypeId::of::<F>()
}

/// Decode, call, encode: the worker's side of one job. Called by the expansion of `#[job]`.
///
/// # Errors
/// The arguments do not decode to exactly `Args`, or the result does not encode.
pub fn run<F, Args>(function: F, input: &[u8], output: Vec<u8>) -> Result<Vec<u8>, RunError>
where
    F: JobFn<Args>,
    Args: DeserializeOwned,
{
    let arguments = decode(input).map_err(|reason| (CodecStage::DecodeArguments, reason))?;
    let result = function.invoke(arguments);
    encode(&result, output).map_err(|reason| (CodecStage::EncodeResult, reason))
}

/// Appends the postcard form of `value` to `buffer`.
pub(super) fn encode<T: Serialize>(value: &T, buffer: Vec<u8>) -> Result<Vec<u8>, String> {
    postcard::to_extend(value, buffer).map_err(|error| error.to_string())
}

/// Reads a `T` that takes up all of `bytes`.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes are left over after the value", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

/// A function that can be called in a worker process with the argument tuple `Args`.
///
/// Implemented for every `fn` item of up to six arguments whose arguments and result implement serde's traits;
/// it is `#[job]` that makes such a function known to the workers.
///
/// ```no_run
/// use crossover_runtime::process_pool::{CallError, JobFn, ProcessPool};
///
/// /// Calls a job for each path.
/// async fn for_each<F>(pool: &ProcessPool, job: F, paths: Vec<String>) -> Result<Vec<F::Output>, CallError>
/// where
///     F: JobFn<(String,)>,
/// {
///     let calls = paths.into_iter().map(|path| pool.call(job, (path,)));
///     futures::future::try_join_all(calls).await
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be called in a worker process with the arguments `{Args}`",
    label = "not a job that takes `{Args}`",
    note = "pass a `#[job]` function and a tuple of its arguments: `pool.call(f, (a, b))`, `pool.call(g, ())`",
    note = "its arguments and its result must implement serde's `Serialize` and `DeserializeOwned`"
)]
pub trait JobFn<Args>: Copy + Send + Sync + 'static {
    /// What the function returns.
    type Output: Serialize + DeserializeOwned;

    /// Calls the function with the tuple's fields as its arguments.
    fn invoke(&self, arguments: Args) -> Self::Output;
}

/// `JobFn` for one number of arguments.
macro_rules! job_fn {
    ($($name:ident)*) => {
        impl<Function, Output, $($name),*> JobFn<($($name,)*)> for Function
        where
            Function: Fn($($name),*) -> Output + Copy + Send + Sync + 'static,
            Output: Serialize + DeserializeOwned,
            $($name: Serialize + DeserializeOwned,)*
        {
            type Output = Output;

            #[allow(non_snake_case, reason = "the type parameters' names double as the names of the tuple's fields")]
            fn invoke(&self, ($($name,)*): ($($name,)*)) -> Output {
                self($($name),*)
            }
        }
    };
}

job_fn!();
job_fn!(A);
job_fn!(A B);
job_fn!(A B C);
job_fn!(A B C D);
job_fn!(A B C D E);
job_fn!(A B C D E F);

/// The program's jobs, numbered.
#[derive(Debug)]
pub(super) struct Table {
    entries: Vec<&'static Entry>,
    numbers: HashMap<TypeId, u16>,
    fingerprint: u64,
}

impl Table {
    /// The one table of this process, built at first use.
    pub(super) fn get() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self::build(JOBS.iter().collect()))
    }

    fn build(mut entries: Vec<&'static Entry>) -> Self {
        entries.sort_by_key(|entry| (entry.name, entry.place));
        // A frame has 16 bits for the number. Jobs beyond that stay unknown, which their callers are told.
        entries.truncate(usize::from(u16::MAX) + 1);
        let numbers =
            (0..=u16::MAX).zip(&entries).map(|(number, entry)| ((entry.type_id)(), number)).collect();
        let mut hash = Fnv::default();
        hash.write(env!("CARGO_PKG_VERSION"));
        for entry in &entries {
            hash.write(entry.name);
            hash.write(entry.signature);
        }
        Self { entries, numbers, fingerprint: hash.0 }
    }

    /// The number of the function item type `F`, with its entry; `None` when it carries no `#[job]`.
    pub(super) fn find<F: 'static>(&self) -> Option<(u16, &'static Entry)> {
        let number = *self.numbers.get(&TypeId::of::<F>())?;
        Some((number, self.entries[usize::from(number)]))
    }

    /// The entry behind a number that came in a frame.
    pub(super) fn entry(&self, number: u16) -> Option<&'static Entry> {
        self.entries.get(usize::from(number)).copied()
    }

    /// Equal in two processes exactly when they number the same jobs alike (up to a 64-bit hash).
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// FNV-1a: stable across builds and processes, unlike the standard library's hashers.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn write(&mut self, text: &str) {
        // The terminator keeps ("ab", "c") and ("a", "bc") apart.
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(x: u32) -> u32 {
        x * 2
    }

    fn greet(name: String, times: u8) -> String {
        name.repeat(usize::from(times))
    }

    static ENTRIES: [Entry; 2] = [
        Entry::new(
            "t::greet",
            "(String, u8) -> String",
            ("f", 2, 1),
            || type_of(&greet),
            |i, o| run::<_, (String, u8)>(greet, i, o),
        ),
        Entry::new(
            "t::double",
            "(u32,) -> u32",
            ("f", 1, 1),
            || type_of(&double),
            |i, o| run::<_, (u32,)>(double, i, o),
        ),
    ];

    fn number_of<F: JobFn<Args>, Args>(table: &Table, _: F) -> Option<(u16, &'static Entry)> {
        table.find::<F>()
    }

    #[test]
    fn numbers_follow_the_names_and_not_the_link_order() {
        let forwards = Table::build(ENTRIES.iter().collect());
        let backwards = Table::build(ENTRIES.iter().rev().collect());
        for table in [&forwards, &backwards] {
            assert_eq!(number_of(table, double).map(|(n, e)| (n, e.name())), Some((0, "t::double")));
            assert_eq!(number_of(table, greet).map(|(n, e)| (n, e.name())), Some((1, "t::greet")));
            assert!(table.entry(2).is_none());
        }
        assert_eq!(forwards.fingerprint(), backwards.fingerprint());
    }

    #[test]
    fn another_set_of_jobs_has_another_fingerprint() {
        let all = Table::build(ENTRIES.iter().collect());
        let one = Table::build(ENTRIES[..1].iter().collect());
        assert_ne!(all.fingerprint(), one.fingerprint());
    }

    #[test]
    fn a_function_without_the_attribute_is_not_found() {
        fn stranger(x: u32) -> u32 {
            x
        }
        let table = Table::build(ENTRIES.iter().collect());
        assert!(number_of(&table, stranger).is_none());
    }

    #[test]
    fn a_job_runs_from_bytes_to_bytes() {
        let input = encode(&("ab".to_owned(), 3_u8), Vec::new()).unwrap();
        let output = ENTRIES[0].run(&input, vec![9]).unwrap();
        assert_eq!(output[0], 9, "the result is appended, what stood there is kept");
        assert_eq!(decode::<String>(&output[1..]).unwrap(), "ababab");
    }

    #[test]
    fn arguments_of_another_shape_are_refused() {
        for input in [&[][..], &[1, 2, 3, 4, 5, 6, 7][..]] {
            let (stage, _) = ENTRIES[1].run(input, Vec::new()).unwrap_err();
            assert_eq!(stage, CodecStage::DecodeArguments);
        }
    }
}
