//! Kind `queue`: a task is a pipeline: a producer, a bounded queue, and k consumers that work on each message for a while.
//!
//! The whole pipeline is one task, because a message goes to whichever consumer is free, and a task's digest must not depend
//! on that. So the consumers are what a program of the strategy's style would have: futures of one task, or scoped threads.
//! The work is a wait on a timer; it stands for a call to something slow.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crossover_runtime::sync::channel::{self, Receiver, Sender};
use futures_util::future::join_all;

use super::Kind;
use super::http::whole_us;
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::{combine, word};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// Messages that may wait in the queue, for each consumer.
const WAITING_PER_CONSUMER: usize = 2;

/// A message: its number and its contents.
type Message = (u32, u64);

/// The pipelines of one workload.
#[derive(Debug)]
pub(crate) struct Queue {
    seed: u64,
    messages: u32,
    wait: Duration,
    consumers: usize,
}

impl Kind for Queue {
    const INFO: KindInfo = KindInfo {
        about: "a task is a pipeline: one producer, a bounded queue in memory, and consumers (futures of the task, or threads) that wait on a timer for each message",
        params: &[
            catalog::tasks(1000),
            ParamInfo {
                name: "messages",
                about: "messages that go through a queue",
                value: ParamKind::Int { min: 1, max: 1_000_000 },
                default: Some(DefaultValue::Int(200)),
            },
            ParamInfo {
                name: "wait_ms",
                about: "how long a consumer is busy with a message; 0 makes no timer call at all",
                value: ParamKind::Float { min: 0.0, max: 60_000.0 },
                default: Some(DefaultValue::Float(20.0)),
            },
            ParamInfo {
                name: "consumers",
                about: "consumers of a queue: so many messages are worked on at once",
                value: ParamKind::Int { min: 1, max: 1000 },
                default: Some(DefaultValue::Int(10)),
            },
        ],
        ..KindInfo::new("queue", Class::Shape)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let params = &setup.params;
        Ok(Self {
            seed: setup.seed(),
            messages: u32::try_from(params.count("messages")?).unwrap_or(u32::MAX),
            wait: Duration::from_micros(whole_us(params.number("wait_ms")?)),
            consumers: params.count("consumers")?,
        })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let (sender, receiver) = self.channel();
        let failed = |reason: String| WorkloadError::Storage { task, what: "a thread of the queue", reason };
        std::thread::scope(|scope| {
            let mut consumers = Vec::with_capacity(self.consumers);
            for _ in 0..self.consumers {
                let receiver = receiver.clone();
                let consumer =
                    std::thread::Builder::new().spawn_scoped(scope, move || self.consume_blocking(&receiver));
                // Those that run already end with the queue.
                consumers.push(consumer.map_err(|error| failed(error.to_string()))?);
            }
            drop(receiver);
            for message in self.all_messages(task) {
                // Fails only where no consumer is left, and then one of them has panicked.
                if sender.send_blocking(message).is_err() {
                    break;
                }
            }
            drop(sender);
            consumers.into_iter().try_fold(0_u64, |digest, consumer| {
                let part = consumer.join().map_err(|_| failed("it panicked".to_owned()))?;
                Ok(digest.wrapping_add(part))
            })
        })
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        let (sender, receiver) = self.channel();
        let mut parts: Vec<Pin<Box<dyn Future<Output = u64> + Send + '_>>> =
            vec![Box::pin(self.produce(task, sender))];
        for _ in 0..self.consumers {
            parts.push(Box::pin(self.consume::<R>(receiver.clone())));
        }
        drop(receiver);
        Ok(Box::pin(join_all(parts)).await.into_iter().fold(0, u64::wrapping_add))
    }

    fn estimate_us(params: &Params) -> f64 {
        let wait = params.guess("wait_ms") * 1000.0 + 60.0;
        wait * (params.guess("messages") / params.guess("consumers").max(1.0)).ceil()
    }
}

impl Queue {
    fn channel(&self) -> (Sender<Message>, Receiver<Message>) {
        channel::bounded(self.consumers * WAITING_PER_CONSUMER)
    }

    fn all_messages(&self, task: u32) -> impl Iterator<Item = Message> + use<> {
        let key = word(self.seed, task.into());
        (0..self.messages).map(move |number| (number, word(key, number.into())))
    }

    async fn produce(&self, task: u32, sender: Sender<Message>) -> u64 {
        for message in self.all_messages(task) {
            // The consumers are polled beside it, and end after it.
            let _ = sender.send(message).await;
        }
        0
    }

    /// A consumer's share of the digest, whichever messages it has got.
    async fn consume<R: AsyncRuntime>(&self, receiver: Receiver<Message>) -> u64 {
        let mut digest = 0;
        while let Ok((number, contents)) = receiver.recv().await {
            if !self.wait.is_zero() {
                R::sleep(self.wait).await;
            }
            digest = combine(digest, number, contents);
        }
        digest
    }

    fn consume_blocking(&self, receiver: &Receiver<Message>) -> u64 {
        let mut digest = 0;
        while let Ok((number, contents)) = receiver.recv_blocking() {
            if !self.wait.is_zero() {
                std::thread::sleep(self.wait);
            }
            digest = combine(digest, number, contents);
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Crossover;
    use std::time::Instant;

    #[test]
    fn every_message_is_worked_on_once_by_as_many_as_there_are() {
        let queue = |consumers| Queue { seed: 1, messages: 30, wait: Duration::from_millis(2), consumers };
        let runtime = crossover_runtime::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let expected =
            queue(1).all_messages(5).fold(0, |digest, (number, contents)| combine(digest, number, contents));
        for consumers in [1, 3, 50] {
            // Timers are never early.
            let least = Duration::from_millis(2) * 30_u32.div_ceil(consumers as u32);
            let start = Instant::now();
            assert_eq!(queue(consumers).run_blocking(5).unwrap(), expected);
            assert!(start.elapsed() >= least);
            let start = Instant::now();
            assert_eq!(runtime.block_on(queue(consumers).run_async::<Crossover>(5)).unwrap(), expected);
            assert!(start.elapsed() >= least);
        }
    }
}
