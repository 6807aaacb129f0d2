//! When to start the next worker: at once, after a back-off, or not for a while (the breaker is open).
//!
//! Two things slow the pool down. A death that achieved nothing doubles a delay (10 ms to 5 s), until a worker
//! serves a job again or none died for a while. So many deaths before hello as `Builder::breaker` says (five), within its
//! window (ten seconds), open the breaker: no worker is started for [`PAUSE`]; then one probe is, and its hello closes the breaker while its death opens it
//! again.
//!
//! So do as many workers in a row that said hello and were dead before a waiting job could be sent to them: such
//! a job goes to the next worker each time, and would do so for ever.

use super::{
    spawn::Exit,
    worker::{EXIT_INITIALIZER, EXIT_NO_HOOK, EXIT_SETUP},
};
use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long an open breaker stays open.
const PAUSE: Duration = Duration::from_secs(5);

const FIRST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Why no worker could be started, kept so that every affected call can be told.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    kind: io::ErrorKind,
    text: Arc<str>,
    /// Trying again is pointless: the program itself must change.
    hopeless: bool,
}

impl Cause {
    pub(super) fn new(kind: io::ErrorKind, text: String) -> Self {
        Self { kind, text: text.into(), hopeless: false }
    }

    /// A worker that ended before hello.
    pub(super) fn early_death(exit: Exit, stderr_tail: &str) -> Self {
        use super::error::{Death, Tail};
        if exit.code == Some(EXIT_NO_HOOK) {
            let text = "`main` does not call `crossover_runtime::process_pool::worker_entry()`: make that its first \
                        line, so that the copies of this program which the pool starts become workers (in a test \
                        program of the standard harness: `crossover_runtime::enable_in_tests!()`)";
            return Self { kind: io::ErrorKind::Unsupported, text: text.into(), hopeless: true };
        }
        // With these codes it was `worker_entry` that gave up, and has said why.
        let advice = match exit.code {
            Some(EXIT_SETUP | EXIT_INITIALIZER) => "",
            _ => " (is `crossover_runtime::process_pool::worker_entry()` the first line of `main`?)",
        };
        let text = format!(
            "a worker ended before it was ready: {}{}{advice}",
            Death(exit.signal, exit.code),
            Tail(stderr_tail),
        );
        Self::new(io::ErrorKind::UnexpectedEof, text)
    }

    /// A worker that ended after hello, before its first job could be sent.
    pub(super) fn stillbirth(exit: Exit, stderr_tail: &str) -> Self {
        use super::error::{Death, Tail};
        let text = format!(
            "worker after worker ended before a job could be sent to it; the last: {}{}",
            Death(exit.signal, exit.code),
            Tail(stderr_tail),
        );
        Self::new(io::ErrorKind::UnexpectedEof, text)
    }

    pub(super) fn to_error(&self) -> io::Error {
        io::Error::new(self.kind, &*self.text)
    }
}

/// See the module's description. Touched under the pool's lock only.
#[derive(Debug)]
pub(super) struct Breaker {
    /// So many deaths before hello within the window open it.
    most_deaths: usize,
    window: Duration,
    /// Deaths before hello, oldest first.
    deaths: VecDeque<Instant>,
    /// Deaths in a row that achieved nothing, and when the last was.
    fruitless: u32,
    last_fruitless: Option<Instant>,
    /// Deaths in a row between hello and the first job, which was waiting.
    stillborn: usize,
    /// No worker may be started before.
    not_before: Option<Instant>,
    /// Set while the breaker is open or half-open.
    open: Option<Cause>,
}

impl Breaker {
    /// A start-up timeout that is longer than the window stretches it, so that wedged starts add up too.
    pub(super) fn new(most_deaths: usize, window: Duration, startup_timeout: Duration) -> Self {
        let starts = u32::try_from(most_deaths).unwrap_or(u32::MAX).saturating_add(1);
        Self {
            most_deaths,
            window: window.max(startup_timeout.saturating_mul(starts)),
            deaths: VecDeque::new(),
            fruitless: 0,
            last_fruitless: None,
            stillborn: 0,
            not_before: None,
            open: None,
        }
    }

    /// Whether a worker may be started now, `starting` being under way. A half-open breaker allows one.
    pub(super) fn allows(&self, now: Instant, starting: usize) -> bool {
        self.not_before.is_none_or(|until| now >= until) && (self.open.is_none() || starting == 0)
    }

    /// The instant before which no worker may be started, if it lies ahead.
    pub(super) fn next_start(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|until| now < *until)
    }

    /// It has tripped and no worker has said hello since. Cheaper to ask than [`refuses`](Self::refuses).
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Why calls are refused now: the breaker is open and its pause not over.
    pub(super) fn refuses(&self, now: Instant) -> Option<&Cause> {
        self.open.as_ref().filter(|_| self.next_start(now).is_some())
    }

    /// A worker said hello.
    pub(super) fn worker_ready(&mut self) {
        self.deaths.clear();
        self.open = None;
    }

    /// A worker answered a job, or died under one: either way the pool got on.
    pub(super) fn progress(&mut self) {
        self.fruitless = 0;
        self.stillborn = 0;
        if self.open.is_none() {
            self.not_before = None;
        }
    }

    /// A worker died after hello without having been given a job.
    pub(super) fn idle_death(&mut self, now: Instant) {
        self.back_off(now);
    }

    /// A worker could not be started, or died before hello. True when that opens the breaker.
    pub(super) fn early_death(&mut self, now: Instant, cause: &Cause) -> bool {
        self.deaths.push_back(now);
        while self.deaths.front().is_some_and(|first| now.duration_since(*first) > self.window) {
            self.deaths.pop_front();
        }
        if self.deaths.len() < self.most_deaths && self.open.is_none() && !cause.hopeless {
            self.back_off(now);
            return false;
        }
        self.trip(now, cause);
        true
    }

    /// A worker said hello and died before the job that waited for it could be sent. True when that opens the
    /// breaker.
    pub(super) fn stillborn(&mut self, now: Instant, cause: &Cause) -> bool {
        self.stillborn += 1;
        if self.stillborn < self.most_deaths {
            self.back_off(now);
            return false;
        }
        self.trip(now, cause);
        true
    }

    fn trip(&mut self, now: Instant, cause: &Cause) {
        self.not_before = now.checked_add(PAUSE);
        self.open = Some(cause.clone());
    }

    fn back_off(&mut self, now: Instant) {
        // Twice the longest delay without one: another story.
        if self.last_fruitless.is_some_and(|last| now.duration_since(last) > LONGEST_DELAY * 2) {
            self.fruitless = 0;
        }
        self.last_fruitless = Some(now);
        let delay = FIRST_DELAY.saturating_mul(1 << self.fruitless.min(16)).min(LONGEST_DELAY);
        self.fruitless += 1;
        self.not_before = now.checked_add(delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> Cause {
        Cause::early_death(Exit { signal: None, code: Some(3) }, "")
    }

    #[test]
    fn five_early_deaths_open_it_and_a_hello_closes_it() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(5, Duration::from_secs(10), Duration::from_secs(1));
        for _ in 0..4 {
            assert!(!breaker.early_death(now, &cause()));
            now = breaker.next_start(now).expect("a back-off");
            assert!(breaker.refuses(now).is_none());
        }
        assert!(breaker.early_death(now, &cause()));
        assert!(breaker.refuses(now).is_some() && !breaker.allows(now, 0));

        now += PAUSE;
        assert!(breaker.refuses(now).is_none(), "half-open");
        assert!(breaker.allows(now, 0) && !breaker.allows(now, 1), "one probe only");
        assert!(breaker.early_death(now, &cause()), "a failed probe opens it at once");
        now += PAUSE;
        breaker.worker_ready();
        assert!(breaker.allows(now, 3));
    }

    #[test]
    fn old_deaths_are_forgotten() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(5, Duration::from_secs(10), Duration::from_secs(1));
        for _ in 0..20 {
            assert!(!breaker.early_death(now, &cause()));
            now += Duration::from_secs(5);
        }
    }

    #[test]
    fn a_missing_hook_opens_it_at_once() {
        let exit = Exit { signal: None, code: Some(EXIT_NO_HOOK) };
        let missing = Cause::early_death(exit, "");
        assert!(
            Breaker::new(5, Duration::from_secs(10), Duration::from_secs(1))
                .early_death(Instant::now(), &missing)
        );
        let text = missing.to_error().to_string();
        assert!(text.contains("worker_entry") && text.contains("enable_in_tests!"), "{text}");
    }

    #[test]
    fn the_hook_is_suspected_only_where_it_may_be_missing() {
        let text = |code| {
            let exit = Exit { signal: None, code: Some(code) };
            Cause::early_death(exit, "no dictionary").to_error().to_string()
        };
        assert!(text(0).contains("the first line of `main`?"));
        for code in [EXIT_SETUP, EXIT_INITIALIZER] {
            assert!(text(code).ends_with("no dictionary"), "{}", text(code));
        }
    }

    #[test]
    fn the_back_off_doubles_to_its_limit_and_progress_ends_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(5, Duration::from_secs(10), Duration::from_secs(1));
        let mut delays = Vec::new();
        for _ in 0..40 {
            breaker.idle_death(now);
            delays.push(breaker.next_start(now).unwrap() - now);
        }
        assert_eq!(delays[0], FIRST_DELAY);
        assert_eq!(delays[1], FIRST_DELAY * 2);
        assert_eq!(delays[39], LONGEST_DELAY);
        breaker.progress();
        assert!(breaker.allows(now, 0));
        breaker.idle_death(now);
        breaker.idle_death(now);
        let later = now + LONGEST_DELAY * 3;
        breaker.idle_death(later);
        assert_eq!(breaker.next_start(later), Some(later + FIRST_DELAY), "old deaths do not count");
    }
}
