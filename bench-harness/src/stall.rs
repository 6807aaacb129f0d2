//! What open and closed loads make of a server that stalls: whether this program sees what can be computed.
//!
//! The server has one hand, serves each request for a millisecond, and does nothing for 200 ms every 2 s. With 500 requests
//! a second, evenly spaced, one in a hundred waits for more than 191 ms. A closed loop meets each stall with one request and
//! counts the others, which would have come meanwhile, not at all.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossover_workloads::server::Stall;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::config::{Startup, Value};
use crate::interrupt::Interrupt;
use crate::protocol::{self, Measured, Request};
use crate::run::helper::{AskError, Helper};
use crate::server::Server;

/// The server.
pub const SERVER: Stall = Stall {
    every: Duration::from_millis(2000),
    stall: Duration::from_millis(200),
    service: Duration::from_millis(1),
};

/// Requests per second of the open load.
pub const RATE: f64 = 500.0;

/// Requests of either load: four periods of the open one.
const TASKS: u32 = 4000;

/// Longest time that either load may take; both take less than ten seconds.
const LIMIT: Duration = Duration::from_secs(40);

/// How far the measured percentile may lie from the computed one.
const TOLERANCE: f64 = 0.05;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// 99th percentile of the latency as it is computed.
    pub computed_ns: u64,
    /// The same as an open load has measured it.
    pub open_ns: u64,
    /// The same as a closed load has measured it.
    pub closed_ns: u64,
    /// Requests per second that the open load has had answered.
    pub achieved_rate: f64,
    /// How late its generator was, 99th percentile.
    pub generator_lag_ns: u64,
    /// The generator's CPU time as a share of one core.
    pub generator_share: f64,
}

impl Seen {
    /// Has both loads measure such a server: takes about 15 seconds, and one core only for a small part.
    ///
    /// # Errors
    /// When the server or a strategy does not start or fails, or Ctrl-C comes first.
    pub fn measure(interrupt: &Interrupt) -> Result<Self> {
        let computed = SERVER.latency_beyond(0.01, RATE).context("the percentile cannot be computed")?;
        let closed = ask("sequential", None, interrupt)?;
        let open = ask("event-loop", Some(RATE), interrupt)?;
        let wall_ns = open.wall_ns.max(1) as f64;
        Ok(Self {
            computed_ns: u64::try_from(computed.as_nanos()).unwrap_or(u64::MAX),
            open_ns: p99(&open)?,
            closed_ns: p99(&closed)?,
            achieved_rate: open.answer.achieved_rate.unwrap_or(0.0),
            generator_lag_ns: open.answer.generator_lag_ns.unwrap_or(u64::MAX),
            generator_share: open.answer.generator_cpu_ns.unwrap_or(u64::MAX) as f64 / wall_ns,
        })
    }

    /// Whether the open load saw what was computed, and the closed one, as it must, did not.
    #[must_use]
    pub fn passed(&self) -> bool {
        let computed = self.computed_ns as f64;
        let off = (self.open_ns as f64 - computed).abs() / computed;
        off <= TOLERANCE && (self.closed_ns as f64) < computed / 2.0
    }

    /// The figures, as half a sentence.
    #[must_use]
    pub fn detail(&self) -> String {
        let ms = |ns: u64| ns as f64 / 1e6;
        format!(
            "p99 of an open load {:.1} ms, computed {:.1} ms; a closed loop shows {:.1} ms",
            ms(self.open_ns),
            ms(self.computed_ns),
            ms(self.closed_ns)
        )
    }
}

/// Has `strategy` send all requests to a server of its own.
fn ask(strategy: &str, rate: Option<f64>, interrupt: &Interrupt) -> Result<Measured> {
    let server = Server::start_with(Some(SERVER), interrupt)?;
    let mut trial = Helper::built_in(strategy, 0)?;
    let request = Request {
        schema: protocol::SCHEMA,
        id: 0,
        workload: "http".to_owned(),
        params: BTreeMap::from([("delay_ms".to_owned(), Value::Int(0))]),
        tasks: TASKS,
        batch: 1,
        seed: 1,
        workers: 1,
        jobs_per_worker: None,
        server: Some(server.address()),
        spin_per_us: None,
        warmup: false,
        rate,
        trace: false,
        startup: Startup::Excluded,
    };
    match trial.ask(request, LIMIT, interrupt) {
        Ok((measured, _)) => Ok(measured),
        Err(AskError::Interrupted) => bail!("interrupted"),
        Err(AskError::Failed(reason) | AskError::Unfit(reason) | AskError::Gone(reason)) => {
            Err(anyhow!("{strategy}: {reason}"))
        }
    }
}

/// The 99th percentile of the tasks' latency.
fn p99(measured: &Measured) -> Result<u64> {
    let text = measured.answer.latency.as_deref().context("there is no latency in the answer")?;
    let bytes = STANDARD.decode(text).context("the latency is not base64")?;
    let histogram: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| anyhow!("the latency is no histogram: {error}"))?;
    Ok(histogram.value_at_quantile(0.99))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_loop_that_sees_the_stalls_is_as_wrong_as_an_open_one_that_does_not() {
        let seen = |open_ns, closed_ns| Seen {
            computed_ns: 191_000_000,
            open_ns,
            closed_ns,
            achieved_rate: 500.0,
            generator_lag_ns: 1000,
            generator_share: 0.01,
        };
        assert!(seen(191_400_000, 1_400_000).passed());
        assert!(seen(182_000_000, 1_400_000).passed());
        assert!(!seen(180_000_000, 1_400_000).passed());
        assert!(!seen(1_400_000, 1_400_000).passed());
        assert!(!seen(191_400_000, 191_400_000).passed());
        assert_eq!(SERVER.latency_beyond(0.01, RATE), Some(Duration::from_millis(191)));
        let said = seen(191_400_000, 1_400_000).detail();
        assert_eq!(said, "p99 of an open load 191.4 ms, computed 191.0 ms; a closed loop shows 1.4 ms");
    }
}
