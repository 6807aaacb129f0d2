//! The keeper's clock: exact to a microsecond instead of fifty.
//!
//! Linux lets an ordinary thread's timers be late by up to its timer slack, 50 us, to save wake-ups. The keeper has a
//! timer only while a deadline or a look is near, and then somebody waits for it.
//!
//! A child inherits the slack of the thread that starts it, as its own default; workers should have the usual one. So the
//! keeper takes it back while it starts one.

use rustix::thread::{current_timer_slack, set_current_timer_slack};
use std::num::NonZeroU64;

/// A thread's timer slack, in ns, made as small as can be.
#[derive(Debug)]
pub(super) struct NoSlack {
    /// What the thread had before; `None` where the system does not say.
    usual: Option<NonZeroU64>,
}

impl NoSlack {
    /// Takes this thread's slack away.
    pub(super) fn here() -> Self {
        let usual = current_timer_slack().ok().and_then(NonZeroU64::new);
        let slack = Self { usual };
        slack.take();
        slack
    }

    /// Runs something with the slack that the thread had before, for the processes that it starts.
    pub(super) fn lifted<R>(&self, work: impl FnOnce() -> R) -> R {
        let _without = self.usual.map(|usual| set_current_timer_slack(Some(usual)));
        let result = work();
        self.take();
        result
    }

    /// Where it is refused, all is as before, and as exact as that.
    fn take(&self) {
        let _refused = self.usual.map(|_| set_current_timer_slack(Some(NonZeroU64::MIN)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_slack_but_for_what_is_started() {
        let before = current_timer_slack().expect("Linux tells");
        let slack = NoSlack::here();
        assert_eq!(current_timer_slack().expect("Linux tells"), 1);
        assert_eq!(slack.lifted(|| current_timer_slack().expect("Linux tells")), before);
        assert_eq!(current_timer_slack().expect("Linux tells"), 1);
    }
}
