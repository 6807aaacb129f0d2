//! The table of jobs, and the link between a function and its entry in it.
//!
//! `#[job]` puts one [`Declared`] per function into the distributed slice [`JOBS`]; a [`Registry`] adds entries
//! without it. Parent and worker run the same binary, so both build the same [`Table`]: entries sorted by name and
//! place, numbered densely from zero. A frame carries the number; the worker is told [`Table::fingerprint`], so two
//! different binaries, or two registries, never talk past each other.
//!
//! The caller hands over a function item or a closure that captures nothing; its `TypeId` is the key, because such a
//! type is unique to the function. No name is guessed and no address is compared.

use super::{
    codec::{self, Encoded, Encoder},
    error::CodecStage,
    map::chunk,
    registry::Registry,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    any::TypeId,
    collections::HashMap,
    fmt,
    marker::PhantomData,
    sync::{Arc, OnceLock},
};

/// Every `#[job]` function of the program, in link order (which nobody may rely on).
#[linkme::distributed_slice]
pub static JOBS: [Declared];

/// Why a job could not be run to a result, apart from its own panic: which value failed and the reason.
pub(super) type RunError = (CodecStage, String);

/// One `#[job]` function, as the linker can hold it.
#[derive(Debug)]
pub struct Declared {
    name: &'static str,
    signature: &'static str,
    place: (&'static str, u32, u32),
    run: fn() -> &'static dyn Run,
}

impl Declared {
    /// Called by the expansion of `#[job]`.
    pub const fn new(
        name: &'static str,
        signature: &'static str,
        place: (&'static str, u32, u32),
        run: fn() -> &'static dyn Run,
    ) -> Self {
        Self { name, signature, place, run }
    }

    fn entry(&self) -> Entry {
        let Self { name, signature, place, run } = *self;
        Entry { name, signature, place, explicit: false, run: run() }
    }
}

/// The worker's side of a job, on bytes.
pub trait Run: Send + Sync {
    /// The type of the function.
    fn function(&self) -> TypeId;

    /// Decodes the arguments, calls the function, encodes the result, in memory of which `recycled` may be a part. A
    /// panic of the job unwinds through.
    ///
    /// # Errors
    /// The arguments do not decode to exactly what the function takes, or the result does not encode.
    fn run_message(&self, input: &Encoded, recycled: Vec<u8>) -> Result<Encoded, (CodecStage, String)>;

    /// The same for every item of a chunk; `each` is called before each. A panic or a bad value is the answer for its
    /// item alone.
    ///
    /// # Errors
    /// The chunk is none, or there is no memory for the answer.
    fn run_chunk(
        &self,
        input: &Encoded,
        recycled: Vec<u8>,
        each: Option<&mut dyn FnMut()>,
    ) -> Result<Encoded, (CodecStage, String)>;
}

/// A function together with the tuple of its arguments.
struct Typed<F, Args> {
    function: F,
    arguments: PhantomData<fn(Args)>,
}

impl<F, Args> Run for Typed<F, Args>
where
    F: JobFn<Args>,
    Args: DeserializeOwned + 'static,
{
    fn function(&self) -> TypeId {
        TypeId::of::<F>()
    }

    fn run_message(&self, input: &Encoded, recycled: Vec<u8>) -> Result<Encoded, RunError> {
        let arguments = codec::decode(input).map_err(|reason| (CodecStage::DecodeArguments, reason))?;
        let result = self.function.invoke(arguments);
        let mut output = Encoder::new(recycled);
        output
            .put(&result)
            .and_then(|()| output.finish())
            .map_err(|reason| (CodecStage::EncodeResult, reason))
    }

    fn run_chunk(
        &self,
        input: &Encoded,
        recycled: Vec<u8>,
        each: Option<&mut dyn FnMut()>,
    ) -> Result<Encoded, RunError> {
        chunk::run(input, recycled, each, |arguments| self.function.invoke(arguments))
    }
}

/// The worker's side of `function`. Called by the expansion of `#[job]`.
///
/// Only a function whose type says all there is to it has one: anything else fails to compile.
pub fn runner<F, Args>(function: F) -> &'static dyn Run
where
    F: JobFn<Args>,
    Args: DeserializeOwned + 'static,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "a job must be a function item or a closure that captures nothing: only its type crosses to the worker"
        );
    }
    // Nothing is leaked: a value without size is not allocated.
    Box::leak(Box::new(Typed { function, arguments: PhantomData }))
}

/// One job that the program knows.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    name: &'static str,
    signature: &'static str,
    place: (&'static str, u32, u32),
    /// From a [`Registry`].
    explicit: bool,
    run: &'static dyn Run,
}

impl Entry {
    /// The entry of a job that a [`Registry`] names.
    pub(super) fn explicit<F, Args>(name: &'static str, function: F) -> Self
    where
        F: JobFn<Args>,
        Args: DeserializeOwned + 'static,
    {
        // The types stand for the signature, as they are compared between runs of one binary only.
        let signature = std::any::type_name::<fn(Args) -> F::Output>();
        Self { name, signature, place: ("", 0, 0), explicit: true, run: runner(function) }
    }

    /// The job's name, for messages: a `#[job]` function's path, or what the registry calls it.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the job on this thread: the message is the argument tuple, what comes back the result. A panic of the job
    /// unwinds through.
    pub(super) fn run_message(&self, input: &Encoded, recycled: Vec<u8>) -> Result<Encoded, RunError> {
        self.run.run_message(input, recycled)
    }

    /// Runs the job for every item of a chunk of a [`Map`](super::Map). An error concerns the whole chunk.
    pub(super) fn run_chunk(
        &self,
        input: &Encoded,
        recycled: Vec<u8>,
        each: Option<&mut dyn FnMut()>,
    ) -> Result<Encoded, RunError> {
        self.run.run_chunk(input, recycled, each)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("signature", &self.signature).finish()
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

/// The jobs that a pool and its workers know, numbered.
#[derive(Debug)]
pub(super) struct Table {
    entries: Vec<Entry>,
    numbers: HashMap<TypeId, u16>,
    fingerprint: u64,
}

impl Table {
    /// The table of the `#[job]` functions alone, built at first use.
    pub(super) fn get() -> &'static Arc<Self> {
        static TABLE: OnceLock<Arc<Table>> = OnceLock::new();
        TABLE.get_or_init(|| Arc::new(Self::number(JOBS.iter().map(Declared::entry).collect())))
    }

    /// The `#[job]` functions together with those of a registry, if there is one.
    ///
    /// # Errors
    /// What the registry names twice.
    pub(super) fn with(registry: Option<&Registry>) -> Result<Arc<Self>, String> {
        match registry {
            None => Ok(Arc::clone(Self::get())),
            Some(registry) => {
                let declared = JOBS.iter().map(Declared::entry);
                Self::build(declared.chain(registry.entries().iter().copied()).collect()).map(Arc::new)
            }
        }
    }

    /// The table that a worker of a pool with this fingerprint uses: with its registry, or without.
    ///
    /// # Errors
    /// Neither is what the pool has.
    pub(super) fn for_worker(registry: Option<&Registry>, fingerprint: u64) -> Result<Arc<Self>, String> {
        let table = Self::with(registry)?;
        [&table, Self::get()].into_iter().find(|table| table.fingerprint == fingerprint).cloned().ok_or_else(
            || {
                "the pool has other jobs than this worker: call `worker_entry_with` with the same `Registry` as \
                 `Builder::registry`"
                    .to_owned()
            },
        )
    }

    fn build(entries: Vec<Entry>) -> Result<Self, String> {
        let table = Self::number(entries);
        for pair in table.entries.windows(2) {
            if pair[0].name == pair[1].name && pair.iter().any(|entry| entry.explicit) {
                return Err(format!("two jobs are named `{}`: names must be unique", pair[0].name));
            }
        }
        for (number, entry) in (0..=u16::MAX).zip(&table.entries) {
            // Of the entries of one function, the last is in the map.
            let known = table.numbers[&entry.run.function()];
            if known != number {
                let other = table.entries[usize::from(known)].name;
                return Err(format!(
                    "one function is registered twice: as `{}` and as `{other}`",
                    entry.name
                ));
            }
        }
        Ok(table)
    }

    fn number(mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| (entry.name, entry.place));
        // A frame has 16 bits for the number. Jobs beyond that stay unknown, which their callers are told.
        entries.truncate(usize::from(u16::MAX) + 1);
        let numbers =
            (0..=u16::MAX).zip(&entries).map(|(number, entry)| (entry.run.function(), number)).collect();
        let mut hash = Fnv::default();
        hash.write(env!("CARGO_PKG_VERSION"));
        for entry in &entries {
            hash.write(entry.name);
            hash.write(entry.signature);
        }
        Self { entries, numbers, fingerprint: hash.0 }
    }

    /// The number of the function type `F`, with its entry; `None` when it is no job.
    pub(super) fn find<F: 'static>(&self) -> Option<(u16, &Entry)> {
        self.find_type(TypeId::of::<F>())
    }

    /// The same for a type that is known by its id only.
    pub(super) fn find_type(&self, function: TypeId) -> Option<(u16, &Entry)> {
        let number = *self.numbers.get(&function)?;
        Some((number, &self.entries[usize::from(number)]))
    }

    /// The entry behind a number that came in a frame.
    pub(super) fn entry(&self, number: u16) -> Option<&Entry> {
        self.entries.get(usize::from(number))
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

    static DECLARED: [Declared; 2] = [
        Declared::new("t::greet", "(String, u8) -> String", ("f", 2, 1), || runner(greet)),
        Declared::new("t::double", "(u32,) -> u32", ("f", 1, 1), || runner(double)),
    ];

    fn entries() -> Vec<Entry> {
        DECLARED.iter().map(Declared::entry).collect()
    }

    fn table(entries: impl IntoIterator<Item = Entry>) -> Table {
        Table::build(entries.into_iter().collect()).expect("no name stands there twice")
    }

    fn number_of<F: JobFn<Args>, Args>(table: &Table, _: F) -> Option<(u16, &Entry)> {
        table.find::<F>()
    }

    #[test]
    fn numbers_follow_the_names_and_not_the_link_order() {
        let forwards = table(entries());
        let backwards = table(entries().into_iter().rev());
        for table in [&forwards, &backwards] {
            assert_eq!(number_of(table, double).map(|(n, e)| (n, e.name())), Some((0, "t::double")));
            assert_eq!(number_of(table, greet).map(|(n, e)| (n, e.name())), Some((1, "t::greet")));
            assert!(table.entry(2).is_none());
        }
        assert_eq!(forwards.fingerprint(), backwards.fingerprint());
    }

    #[test]
    fn another_set_of_jobs_has_another_fingerprint() {
        let all = table(entries());
        let one = table(entries().into_iter().take(1));
        assert_ne!(all.fingerprint(), one.fingerprint());
    }

    #[test]
    fn a_function_without_the_attribute_is_not_found() {
        fn stranger(x: u32) -> u32 {
            x
        }
        let table = table(entries());
        assert!(number_of(&table, stranger).is_none());
    }

    #[test]
    fn a_job_runs_from_message_to_message() {
        let input = codec::encode(&("ab", 3_u8)).unwrap();
        let output = entries()[0].run_message(&input, vec![9]).unwrap();
        assert_eq!(codec::decode::<String>(&output).unwrap(), "ababab", "nothing of the buffer's is left");
    }

    #[test]
    fn arguments_of_another_shape_are_refused() {
        for input in [&[][..], &[1, 2, 3, 4, 5, 6, 7][..]] {
            let (stage, _) =
                entries()[1].run_message(&Encoded::plain(input.to_vec()), Vec::new()).unwrap_err();
            assert_eq!(stage, CodecStage::DecodeArguments);
        }
    }

    #[test]
    fn a_registry_adds_functions_and_closures_by_name() {
        fn half(x: u32) -> u32 {
            x / 2
        }
        let triple = |x: u64| 3 * x;
        let registry = Registry::new().job("half", half).job("triple", triple);
        let table = Table::with(Some(&registry)).unwrap();
        assert_eq!(number_of(&table, half).map(|(_, entry)| entry.name()), Some("half"));
        let (number, entry) = number_of(&table, triple).unwrap();
        assert_eq!(table.entry(number).map(Entry::name), Some("triple"));
        let output = entry.run_message(&codec::encode(&(14_u64,)).unwrap(), Vec::new()).unwrap();
        assert_eq!(codec::decode::<u64>(&output), Ok(42));
    }

    #[test]
    fn a_name_or_a_function_that_is_registered_twice_is_refused() {
        let twice = Registry::new().job("x", double).job("x", greet);
        assert!(Table::with(Some(&twice)).unwrap_err().contains("two jobs are named `x`"));
        let taken = entries().into_iter().chain([Entry::explicit("t::greet", |x: u8| x)]);
        assert!(Table::build(taken.collect()).unwrap_err().contains("two jobs are named `t::greet`"));
        let again = Registry::new().job("x", double).job("y", double);
        assert!(Table::with(Some(&again)).unwrap_err().contains("as `x` and as `y`"));
    }

    #[test]
    fn a_worker_takes_the_table_of_its_pool() {
        let registry = Registry::new().job("double", double);
        let with = Table::with(Some(&registry)).unwrap().fingerprint();
        let without = Table::get().fingerprint();
        assert_ne!(with, without);
        for fingerprint in [with, without] {
            assert_eq!(Table::for_worker(Some(&registry), fingerprint).unwrap().fingerprint(), fingerprint);
        }
        assert!(Table::for_worker(None, without).is_ok());
        assert!(Table::for_worker(None, with).unwrap_err().contains("worker_entry_with"));
    }
}
