//! When a worker rings the parent's bell.
//!
//! An answer is published by a store; the bell is a system call that may cost the parent a wake-up, so several answers
//! share one where nobody has to wait for it. The answers of a burst are announced together when one of these
//! holds, whichever is first:
//! - nothing more is to be done: the worker is about to sleep;
//! - the next job will take long, or nobody knows how long it will take;
//! - [`MOST_ANSWERS`] are waiting, or the oldest of them waits for [`LONGEST_WAIT`].
//!
//! A job that takes longer than predicted keeps answers waiting for as long as it runs; so the parent looks by itself
//! once per millisecond while a worker has more than one job.
//!
//! Pure arithmetic; the caller has the clock.

/// Answers that may wait for one bell.
const MOST_ANSWERS: u32 = 32;

/// How long an answer may wait for the next jobs, in nanoseconds.
const LONGEST_WAIT: u64 = 100_000;

/// A job that is expected to run longer than this, in nanoseconds, does not keep the answers before it waiting.
const SHORT_JOB: u64 = 20_000;

/// The answers that the parent has not been told of, and what is known of the jobs' durations.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// By job number: the expected duration in nanoseconds; 0 means unknown.
    expected: Vec<u64>,
    /// Answers since the last bell.
    waiting: u32,
    /// When the first of them was published.
    since: u64,
}

impl Bell {
    /// An answer was published at `now`.
    pub(super) fn answered(&mut self, now: u64) {
        if self.waiting == 0 {
            self.since = now;
        }
        self.waiting += 1;
    }

    /// Job number `job` ran for `nanoseconds`.
    pub(super) fn ran(&mut self, job: u16, nanoseconds: u64) {
        let index = usize::from(job);
        if index >= self.expected.len() {
            self.expected.resize(index + 1, 0);
        }
        let expected = &mut self.expected[index];
        *expected = match *expected {
            0 => nanoseconds,
            // Up fast, down slowly: a prediction that is too short makes somebody wait.
            old if nanoseconds > old => old.midpoint(nanoseconds),
            old => old - (old - nanoseconds) / 8,
        }
        .max(1);
    }

    /// Whether answers wait at all.
    pub(super) fn is_due(&self) -> bool {
        self.waiting > 0
    }

    /// Whether the bell must ring before job number `next` starts at `now`.
    pub(super) fn is_due_before(&self, next: u16, now: u64) -> bool {
        self.waiting > 0
            && (self.waiting >= MOST_ANSWERS
                || now.saturating_sub(self.since) >= LONGEST_WAIT
                || !matches!(self.expected.get(usize::from(next)), Some(1..=SHORT_JOB)))
    }

    /// The bell has been rung.
    pub(super) fn rung(&mut self) {
        self.waiting = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: u16 = 3;
    const SLOW: u16 = 0;
    const NEW: u16 = 9;

    fn bell() -> Bell {
        let mut bell = Bell::default();
        bell.ran(FAST, 200);
        bell.ran(SLOW, SHORT_JOB + 1);
        bell
    }

    #[test]
    fn without_answers_there_is_nothing_to_announce() {
        let bell = bell();
        assert!(!bell.is_due());
        for next in [FAST, SLOW, NEW] {
            assert!(!bell.is_due_before(next, u64::MAX));
        }
    }

    #[test]
    fn one_answer_waits_for_a_job_that_is_known_to_be_short_and_for_no_other() {
        let mut bell = bell();
        bell.answered(1_000);
        assert!(bell.is_due(), "before sleep");
        assert!(!bell.is_due_before(FAST, 1_000));
        assert!(bell.is_due_before(SLOW, 1_000));
        assert!(bell.is_due_before(NEW, 1_000));
        bell.rung();
        assert!(!bell.is_due());
    }

    #[test]
    fn a_burst_is_announced_by_its_number_and_by_its_age() {
        let mut bell = bell();
        for _ in 1..MOST_ANSWERS {
            bell.answered(0);
            assert!(!bell.is_due_before(FAST, LONGEST_WAIT - 1));
        }
        assert!(bell.is_due_before(FAST, LONGEST_WAIT));
        bell.answered(0);
        assert!(bell.is_due_before(FAST, 0));
        bell.rung();
        bell.answered(LONGEST_WAIT);
        assert!(!bell.is_due_before(FAST, LONGEST_WAIT + 1), "the age is that of the new burst");
    }

    #[test]
    fn a_job_that_gets_slower_is_believed_at_once_and_one_that_gets_faster_by_and_by() {
        let mut bell = bell();
        bell.ran(FAST, 10 * SHORT_JOB);
        bell.answered(0);
        assert!(bell.is_due_before(FAST, 0));
        let mut runs = 0;
        while bell.is_due_before(FAST, 0) {
            bell.ran(FAST, 200);
            runs += 1;
            assert!(runs < 100);
        }
        assert!(runs > 5);
    }

    #[test]
    fn a_clock_that_shows_the_same_instant_twice_makes_no_job_unknown() {
        let mut bell = Bell::default();
        bell.ran(FAST, 0);
        bell.answered(0);
        assert!(!bell.is_due_before(FAST, 0));
    }
}
