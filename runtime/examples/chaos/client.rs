//! The callers: each takes the next jobs of the plan, calls them and compares what comes back with what must.

use crate::{
    books::{Books, Runs, Verdict},
    jobs::{self, Answer, Stubborn},
    plan::{Carrier, Deed, Ending, Fault, Rng, mapped, payload, stamp, sum_of},
};
use async_io::Timer;
use crossover_runtime::process_pool::{
    Call, CallError, Chunk, CodecStage, OnDrop, ProcessPool, Rejection, Retry, TimedOut,
};
use futures::{StreamExt, future::join_all};
use futures_lite::future::{poll_once, yield_now};
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    time::Duration,
};

/// The most jobs that a client calls at a time.
const TOGETHER: u64 = 16;

/// The jobs of an epoch, as the clients share them.
pub(crate) struct Work {
    next: AtomicU64,
    ids: Range<u64>,
    /// When this job is taken, somebody is told.
    cut_at: u64,
    cut: Mutex<Option<Sender<()>>>,
}

impl Work {
    pub(crate) fn new(ids: Range<u64>, cut_at: u64, cut: Sender<()>) -> Self {
        Self { next: AtomicU64::new(ids.start), ids, cut_at, cut: Mutex::new(Some(cut)) }
    }

    fn take(&self, count: u64) -> Range<u64> {
        // Relaxed: each number is handed out once; the jobs share nothing else.
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let taken = first.min(self.ids.end)..(first + count).min(self.ids.end);
        if taken.end >= self.cut_at {
            // Dropping it is the message.
            drop(self.cut.lock().unwrap().take());
        }
        taken
    }
}

/// Calls jobs until there are no more.
pub(crate) async fn client(books: &Books, work: &Work, mut rng: Rng) {
    loop {
        let ids = work.take(1 + rng.below(TOGETHER));
        if ids.is_empty() {
            return;
        }
        join_all(ids.map(|id| perform(books, id))).await;
    }
}

async fn perform(books: &Books, id: u64) {
    let deed = Deed::draw(books.seed, id);
    books.begin(id, deed);
    let verdict = loop {
        let Some(pool) = books.pool() else { break Verdict::CutOff(Runs::Never) };
        match attempt(books, pool, id, deed).await {
            Some(verdict) => break verdict,
            None => {
                // The breaker is open: the job was not taken. Any caller would come back later.
                books.refusals.fetch_add(1, Ordering::Relaxed);
                Timer::after(Duration::from_millis(100)).await;
            }
        }
    };
    books.end(id, deed, verdict);
}

/// What must come of a call.
enum Plan<T> {
    Value(T),
    /// The value, or it was not started in time.
    ValueOrNot(T),
    /// The value, at its second try.
    Second(T, Ending),
    TooMuchMemory,
    Panic,
    Death(Ending),
    Codec(CodecStage),
    Timeout,
}

/// A call with its plan. The pool's handle is let go as soon as the call is made.
struct Attempt<'a> {
    books: &'a Books,
    id: u64,
}

/// `None`: the pool refused the call.
async fn attempt(books: &Books, pool: ProcessPool, id: u64, deed: Deed) -> Option<Verdict> {
    let this = Attempt { books, id };
    let numbers = (id, id.wrapping_mul(2), id.wrapping_add(7));
    match deed {
        Deed::Add => this.finish(pool.call(jobs::add, numbers), Plan::Value(sum_of(id))).await,
        Deed::AddInTime => {
            let call = pool.call(jobs::add, numbers).timeout(Duration::from_secs(600));
            this.finish(call, Plan::Value(sum_of(id))).await
        }
        Deed::Work(micros) => this.finish(pool.call(jobs::work, (id, micros)), Plan::Value(micros)).await,
        Deed::Echo(carrier, bytes) => {
            let question = payload(id, bytes);
            let mut answer = question.clone();
            stamp(id, &mut answer);
            match carrier {
                Carrier::Plain => {
                    this.finish(pool.call(jobs::echo_plain, (id, question)), Plan::Value(answer)).await
                }
                Carrier::Bytes => {
                    let call = pool.call(jobs::echo_bytes, (id, question.into()));
                    this.finish(call, Plan::Value(answer.into())).await
                }
                Carrier::Blob => {
                    let call = pool.call(jobs::echo_blob, (id, question.into()));
                    this.finish(call, Plan::Value(answer.into())).await
                }
            }
        }
        Deed::Produce(carrier, bytes) => match carrier {
            Carrier::Plain => {
                this.finish(pool.call(jobs::produce_plain, (id, bytes)), Plan::Value(payload(id, bytes)))
                    .await
            }
            Carrier::Bytes => {
                let call = pool.call(jobs::produce_bytes, (id, bytes));
                this.finish(call, Plan::Value(payload(id, bytes).into())).await
            }
            Carrier::Blob => {
                let call = pool.call(jobs::produce_blob, (id, bytes));
                this.finish(call, Plan::Value(payload(id, bytes).into())).await
            }
        },
        Deed::Print(bytes) => this.finish(pool.call(jobs::print, (id, bytes)), Plan::Value(bytes)).await,
        Deed::CloseStdio => this.finish(pool.call(jobs::close_stdio, (id,)), Plan::Value(())).await,
        Deed::Grandchild => this.finish(pool.call(jobs::grandchild, (id,)), Plan::Value(())).await,
        Deed::Panic => this.finish(pool.call(jobs::panic, (id,)), Plan::Panic).await,
        Deed::End(ending) => this.finish(pool.call(jobs::end, (id, ending)), Plan::Death(ending)).await,
        Deed::Endless(limit) => {
            this.finish(pool.call(jobs::endless, (id,)).timeout(limit), Plan::Timeout).await
        }
        Deed::Hog => this.finish(pool.call(jobs::hog, (id,)), Plan::TooMuchMemory).await,
        Deed::Keyed(key) => {
            this.finish(pool.affinity(&key).call(jobs::add, numbers), Plan::Value(sum_of(id))).await
        }
        Deed::Impatient(limit) => {
            let call = pool.call(jobs::add, numbers).queue_timeout(limit);
            this.finish(call, Plan::ValueOrNot(sum_of(id))).await
        }
        Deed::Retried(ending) => {
            let call = pool.call(jobs::end_once, (id, ending)).retry(Retry::OnDeath);
            this.finish(call, Plan::Second(id, ending)).await
        }
        Deed::Map { items, chunk, ordered, taken } => this.map(pool, items, chunk, ordered, taken).await,
        Deed::Fault(fault) => this.stumble(pool, fault).await,
        Deed::Drop { polls, kill, work } => this.abandon(pool, polls, kill, work).await,
    }
}

impl Attempt<'_> {
    async fn finish<T: DeserializeOwned + PartialEq>(
        self,
        call: Call<Answer<T>>,
        plan: Plan<T>,
    ) -> Option<Verdict> {
        let result = call.await;
        self.compare(plan, result)
    }

    /// A value that does not cross.
    async fn stumble(self, pool: ProcessPool, fault: Fault) -> Option<Verdict> {
        let id = self.id;
        match fault {
            Fault::EncodeArguments => {
                let call = pool.call(jobs::take_stubborn, (id, Stubborn::Mute));
                self.finish(call, Plan::Codec(CodecStage::EncodeArguments)).await
            }
            Fault::DecodeArguments => {
                let call = pool.call(jobs::take_stubborn, (id, Stubborn::Garbled));
                self.finish(call, Plan::Codec(CodecStage::DecodeArguments)).await
            }
            Fault::EncodeResult => {
                let call = pool.call(jobs::give_stubborn, (id, false));
                self.finish(call, Plan::Codec(CodecStage::EncodeResult)).await
            }
            Fault::DecodeResult => {
                let call = pool.call(jobs::give_stubborn, (id, true));
                self.finish(call, Plan::Codec(CodecStage::DecodeResult)).await
            }
        }
    }

    /// A stream of results. Its items do not enter the ledger: what is counted is what comes out.
    async fn map(
        self,
        pool: ProcessPool,
        items: u64,
        chunk: usize,
        ordered: bool,
        taken: u64,
    ) -> Option<Verdict> {
        let id = self.id;
        let chunk = if chunk == 0 { Chunk::Auto } else { Chunk::Fixed(chunk) };
        let mut results =
            pool.map(jobs::map_item, (0..items).map(|item| (id, item))).chunk(chunk).ordered(ordered);
        drop(pool);
        let mut missing: HashMap<Option<u64>, u64> = HashMap::new();
        (0..items).for_each(|item| *missing.entry(mapped(id, item)).or_default() += 1);
        let mut hit = false;
        for place in 0..taken {
            let value = match results.next().await {
                Some(Ok(value)) => Some(value),
                Some(Err(CallError::Panic { .. })) => None,
                // The item that it was at, or the whole chunk.
                Some(Err(CallError::WorkerDied { signal: Some(9), .. })) => {
                    hit = true;
                    continue;
                }
                Some(Err(error)) => {
                    let plan: Plan<()> = Plan::Value(());
                    return self.compare(plan, Err(error));
                }
                None => return Some(Verdict::Wrong(format!("{place} results for {items} items"))),
            };
            if ordered && value != mapped(id, place) {
                return Some(Verdict::Wrong(format!("result {place} is another item's")));
            }
            match missing.get_mut(&value) {
                Some(count) if *count > 0 => *count -= 1,
                _ => {
                    return Some(Verdict::Wrong(format!(
                        "a result, {value:?}, that no item has, or once too often"
                    )));
                }
            }
        }
        if taken < items {
            return Some(Verdict::Dropped);
        }
        if results.next().await.is_some() {
            return Some(Verdict::Wrong(format!("more than {items} results")));
        }
        Some(if hit { Verdict::Hit } else { Verdict::AsPlanned(Runs::Never) })
    }

    /// A call that is dropped after some polls.
    async fn abandon(self, pool: ProcessPool, polls: u64, kill: bool, work: u64) -> Option<Verdict> {
        let mut call = pool.call(jobs::work, (self.id, work));
        drop(pool);
        if kill {
            call = call.on_drop(OnDrop::Kill);
        }
        for _ in 0..polls {
            if let Some(result) = poll_once(&mut call).await {
                return self.compare(Plan::Value(work), result);
            }
            yield_now().await;
        }
        Some(Verdict::Dropped)
    }

    fn compare<T: PartialEq>(self, plan: Plan<T>, result: Result<Answer<T>, CallError>) -> Option<Verdict> {
        let id = self.id;
        let cut = self.books.is_cut();
        Some(match (plan, result) {
            (Plan::Value(expected), Ok((from, worker, got))) if from == id && got == expected => {
                self.books.served(worker);
                Verdict::AsPlanned(Runs::Once)
            }
            (Plan::ValueOrNot(expected), Ok((from, _, got))) if from == id && got == expected => {
                Verdict::AsPlanned(Runs::Once)
            }
            (Plan::ValueOrNot(_), Err(CallError::Timeout { phase: TimedOut::Queued, .. })) => {
                Verdict::AsPlanned(Runs::Never)
            }
            (Plan::Second(expected, _), Ok((from, _, got))) if from == id && got == expected => {
                // Once more than twice if a kill from outside came before its first line.
                Verdict::AsPlanned(Runs::AtMostTwice)
            }
            // A kill from outside took one of its two tries.
            (Plan::Second(_, ending), Err(CallError::WorkerDied { signal, code, .. }))
                if signal == Some(9) || ending.is(signal, code) =>
            {
                Verdict::HitTwice
            }
            (_, Ok((from, worker, _))) => {
                Verdict::Wrong(format!("a value that it should not have, of job {from} in process {worker}"))
            }
            (_, Err(CallError::Rejected(Rejection::BreakerOpen) | CallError::Spawn(_))) => return None,
            (Plan::Panic, Err(CallError::Panic { message, .. })) if message == format!("job {id} panics") => {
                Verdict::AsPlanned(Runs::Once)
            }
            (Plan::TooMuchMemory, Err(CallError::MemoryLimit { .. })) => Verdict::AsPlanned(Runs::Once),
            // One that kills itself with SIGKILL may have been hit before, which cannot be told apart.
            (Plan::Death(ending), Err(CallError::WorkerDied { signal, code, .. }))
                if ending.is(signal, code) =>
            {
                Verdict::AsPlanned(if signal == Some(9) { Runs::AtMostOnce } else { Runs::Once })
            }
            (Plan::Codec(wanted), Err(CallError::Codec { stage, .. })) if stage == wanted => {
                Verdict::AsPlanned(match stage {
                    CodecStage::EncodeArguments | CodecStage::DecodeArguments => Runs::Never,
                    _ => Runs::Once,
                })
            }
            // Killed at its deadline, perhaps before it came to its first line.
            (Plan::Timeout, Err(CallError::Timeout { .. })) => Verdict::AsPlanned(Runs::AtMostOnce),
            (_, Err(CallError::WorkerDied { signal: Some(9), .. })) => Verdict::Hit,
            (_, Err(CallError::Rejected(Rejection::Closed))) if cut => Verdict::CutOff(Runs::Never),
            (_, Err(CallError::Cancelled { .. })) if cut => Verdict::CutOff(Runs::AtMostOnce),
            (_, Err(error)) => Verdict::Wrong(error.to_string()),
        })
    }
}
