//! Kind `scraper`: a task fetches a web page and parses it: the links, and how often each word stands there.
//!
//! Waiting and computing in one task, as most programs have it. The blocking and the async form parse where they are; the
//! offloaded form awaits the page and parses it on the blocking pool.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::http::server::page::PAGE_BYTES_MAX;
use super::http::{self, Clients, PATIENCE, Whole, whole_us};
use super::{Kind, offload};
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, Crossover, WorkloadError};

/// What a page may be longer than asked for.
const SURPLUS_BYTES: usize = 4096;

/// The pages of one workload.
#[derive(Debug)]
pub(crate) struct Scraper {
    clients: Arc<Clients>,
    seed: u64,
    delay_us: u64,
    page_bytes: usize,
    limit: Duration,
}

impl Kind for Scraper {
    const INFO: KindInfo = KindInfo {
        about: "a task fetches a web page over HTTP/1.1 from a server in another process, which answers after a delay, and collects its links and words",
        params: &[
            catalog::tasks(10_000),
            http::delay_ms("how long the server waits before it answers; 0 answers at once"),
            ParamInfo {
                name: "page_bytes",
                about: "length of a page, which decides how much there is to parse",
                value: ParamKind::Int { min: 0, max: PAGE_BYTES_MAX as i64 },
                default: Some(DefaultValue::Int(16_384)),
            },
        ],
        needs_server: true,
        ..KindInfo::new("scraper", Class::Io)
    };

    fn prepare(setup: &Setup<'_>, relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let delay_us = whole_us(setup.params.number("delay_ms")?);
        Ok(Self {
            clients: Clients::shared(setup, relative.map(|scraper| &scraper.clients))?,
            seed: setup.seed(),
            delay_us,
            page_bytes: setup.params.count("page_bytes")?,
            limit: PATIENCE + Duration::from_micros(delay_us),
        })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let mut page = self.empty();
        let status = self.clients.get_blocking(task, &self.target(task), self.limit, &mut page)?;
        self.clients.expect_ok(task, status)?;
        self.digest(task, &page)
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        // Boxed, because of its size: see the table of kinds.
        let page = Box::pin(self.fetch::<R>(task)).await?;
        self.digest(task, &page)
    }

    async fn run_offloaded<G>(
        self: &Arc<Self>,
        task: u32,
        around: impl FnOnce() -> G + Send + 'static,
    ) -> Result<u64, WorkloadError> {
        let page = Box::pin(self.fetch::<Crossover>(task)).await?;
        let this = Arc::clone(self);
        offload(task, around, move || this.digest(task, &page)).await
    }

    fn estimate_us(params: &Params) -> f64 {
        // Some ten nanoseconds per byte to make, send and parse it.
        params.guess("delay_ms") * 1000.0 + 150.0 + params.guess("page_bytes") / 100.0
    }
}

impl Scraper {
    fn target(&self, task: u32) -> String {
        format!("/page?us={}&n={task}&seed={}&bytes={}", self.delay_us, self.seed, self.page_bytes)
    }

    fn empty(&self) -> Whole {
        Whole::new(self.page_bytes + SURPLUS_BYTES)
    }

    async fn fetch<R: AsyncRuntime>(&self, task: u32) -> Result<Whole, WorkloadError> {
        let mut page = self.empty();
        let status = self.clients.get::<R>(task, &self.target(task), self.limit, &mut page).await?;
        self.clients.expect_ok(task, status)?;
        Ok(page)
    }

    fn digest(&self, task: u32, page: &Whole) -> Result<u64, WorkloadError> {
        let text = std::str::from_utf8(page.bytes())
            .map_err(|error| self.clients.wrong_body(task, format!("not UTF-8: {error}")))?;
        Ok(digest(text))
    }
}

/// The digest of a page: SHA-256 over its links in their order, and over its words in theirs with their numbers.
fn digest(page: &str) -> u64 {
    let (links, words) = parse(page);
    let mut words: Vec<_> = words.into_iter().collect();
    words.sort_unstable();
    let mut hash = Sha256::new();
    for link in links {
        hash.update(link.as_bytes());
        hash.update(b"\n");
    }
    for (word, count) in words {
        hash.update(format!("{word} {count}\n").as_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_le_bytes(first)
}

/// The links of a page, in their order, and how often each word stands outside of its tags.
fn parse(page: &str) -> (Vec<&str>, HashMap<&str, u32>) {
    let mut links = Vec::new();
    let mut words = HashMap::new();
    for part in page.split('<').enumerate() {
        // What stands before the first tag is text.
        let (tag, text) = match part {
            (0, text) => ("", text),
            (_, part) => part.split_once('>').unwrap_or((part, "")),
        };
        if let Some((link, _)) = tag.strip_prefix("a href=\"").and_then(|rest| rest.split_once('"')) {
            links.push(link);
        }
        for word in text.split_ascii_whitespace() {
            *words.entry(word).or_insert(0) += 1;
        }
    }
    (links, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::http::server::page::page;

    #[test]
    fn links_and_words_are_found() {
        let (links, words) = parse("so <b>it</b> is\nso<a href=\"/x\">here</a> <a href=\"/y\">is</a><");
        assert_eq!(links, ["/x", "/y"]);
        assert_eq!(words, [("so", 2), ("it", 1), ("is", 2), ("here", 1)].into());
        assert_eq!(parse(""), (Vec::new(), HashMap::new()));
    }

    #[test]
    fn a_page_is_full_of_both() {
        let text = page(1, 2, 20_000);
        let (links, words) = parse(&text);
        assert_eq!(words["page"], 1);
        let total: u32 = words.values().sum();
        assert!(total > 2000 && links.len() as u32 > total / 32 && (links.len() as u32) < total / 8);
        assert_eq!(digest(&text), digest(&page(1, 2, 20_000)));
        assert_ne!(digest(&text), digest(&page(1, 3, 20_000)));
    }
}
