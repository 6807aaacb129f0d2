//! Kind `payload`: a task is sent bytes, and bytes come back.
//!
//! Whoever hands the task over makes a message of it, a copy of its own; the worker reads it all and makes an answer, which
//! whoever asked reads in full. Between threads both are passed on as they are, because they share memory. To a worker
//! process they cross as [`Blob`]s ([`Workload::shipment`](crate::Workload::shipment)): short ones are copied into the
//! pipe, long ones lie in memory that both sides map. What is computed beside that is a CRC-32 each way.

use crossover_runtime::process_pool::Blob;

use super::{Kind, Shipped};
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::{random_bytes, seal};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// Bytes that a message or an answer has at most.
const BYTES_MAX: i64 = 16 << 20;
/// Bytes that all messages and answers of a run may have together: a program that hands over everything at once holds
/// them all.
const TOTAL_MAX: u64 = 1 << 30;
/// Task `t` sends the bytes from `t % WINDOWS` on.
const WINDOWS: usize = 64;

/// What messages and answers are copied from.
#[derive(Debug)]
pub(crate) struct Payload {
    seed: u64,
    /// `in_bytes` bytes and `WINDOWS` more.
    messages: Vec<u8>,
    /// `out_bytes` bytes and `WINDOWS` more.
    answers: Vec<u8>,
}

impl Kind for Payload {
    const INFO: KindInfo = KindInfo {
        about: "a task is sent bytes, reads them all, and answers with bytes that are read as well",
        params: &[
            catalog::tasks(100_000),
            ParamInfo {
                name: "in_bytes",
                about: "what a task is sent",
                value: ParamKind::Int { min: 1, max: BYTES_MAX },
                default: Some(DefaultValue::Int(65_536)),
            },
            ParamInfo {
                name: "out_bytes",
                about: "what it answers with",
                value: ParamKind::Int { min: 1, max: BYTES_MAX },
                default: Some(DefaultValue::Int(65_536)),
            },
        ],
        ..KindInfo::new("payload", Class::Shape)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let (params, seed) = (&setup.params, setup.seed());
        let (in_bytes, out_bytes) = (params.count("in_bytes")?, params.count("out_bytes")?);
        let total = u64::from(setup.tasks()) * (in_bytes + out_bytes) as u64;
        if total > TOTAL_MAX {
            let reason = format!(
                "with out_bytes, {} tasks come to {total} bytes, which are in memory at once; up to {TOTAL_MAX} may be",
                setup.tasks()
            );
            return Err(params.error("in_bytes", reason));
        }
        Ok(Self {
            seed,
            messages: random_bytes(seed, in_bytes + WINDOWS),
            answers: random_bytes(!seed, out_bytes + WINDOWS),
        })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let message = self.message(task).to_vec();
        let (received, answer) = self.reply(&message);
        // A copy of its own, as the one that crosses to a worker process is.
        let answer = answer.to_vec();
        drop(message);
        Ok(self.digest(task, u64::from(received), &answer))
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_blocking(task)
    }

    fn shipment(&self, task: u32) -> Option<Blob> {
        Some(Blob::from(self.message(task)))
    }

    fn run_shipped(&self, _task: u32, message: &Blob) -> Result<Shipped, WorkloadError> {
        let (received, answer) = self.reply(message);
        Ok(Shipped { part: u64::from(received), answer: Blob::from(answer) })
    }

    fn unpack(&self, task: u32, shipped: &Shipped) -> u64 {
        self.digest(task, shipped.part, &shipped.answer)
    }

    fn estimate_us(params: &Params) -> f64 {
        // A copy and a CRC each way; long messages come from the memory, not from a cache.
        0.3 + 0.000_1 * (params.guess("in_bytes") + params.guess("out_bytes"))
    }

    fn input_bytes(&self) -> usize {
        self.messages.len() + self.answers.len()
    }
}

impl Payload {
    /// What `task` is sent.
    fn message(&self, task: u32) -> &[u8] {
        let start = task as usize % WINDOWS;
        &self.messages[start..start + self.messages.len() - WINDOWS]
    }

    /// Reads a message: its CRC-32, and the answer, which depends on that.
    fn reply(&self, message: &[u8]) -> (u32, &[u8]) {
        let received = crc32fast::hash(message);
        let start = received as usize % WINDOWS;
        (received, &self.answers[start..start + self.answers.len() - WINDOWS])
    }

    /// Reads an answer.
    fn digest(&self, task: u32, received: u64, answer: &[u8]) -> u64 {
        seal(received << 32 | u64::from(crc32fast::hash(answer)), self.seed, task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Spec, Value, Workload};

    fn prepare(tasks: u32, in_bytes: i64, out_bytes: i64) -> Result<Workload, WorkloadError> {
        let params = [("in_bytes", in_bytes), ("out_bytes", out_bytes)];
        let params = params.into_iter().map(|(name, n)| (name.to_owned(), Value::Int(n))).collect();
        let kind = "payload".to_owned();
        Workload::prepare(&Spec { kind, params, tasks, seed: 1, server: None, spin_per_us: None })
    }

    #[test]
    fn what_no_memory_would_hold_is_refused() {
        assert!(prepare(32, BYTES_MAX, BYTES_MAX).is_ok());
        let error = prepare(33, BYTES_MAX, BYTES_MAX).unwrap_err();
        assert!(error.is_spec() && error.to_string().contains("1107296256 bytes"), "{error}");
    }

    #[test]
    fn a_shipment_is_the_message_and_its_answer_has_the_length_asked_for() {
        let workload = prepare(2, 1000, 17).unwrap();
        let message = workload.shipment(1).unwrap();
        let shipped = workload.run_shipped(1, &message).unwrap();
        assert_eq!((message.len(), shipped.answer.len()), (1000, 17));
        assert_eq!(workload.unpack(1, &shipped), workload.run_blocking(1).unwrap());
        // Another message is noticed.
        let other = workload.run_shipped(1, &workload.shipment(0).unwrap()).unwrap();
        assert_ne!(workload.unpack(1, &other), workload.run_blocking(1).unwrap());
    }
}
