//! What a job's panic leaves behind: its message, its place and its backtrace, for the caller.
//!
//! The panic hook runs on the panicking thread, before the unwinding; only there are place and backtrace known.
//! It puts them into a slot of that thread, and whoever catches the unwinding takes them out again. A panic that
//! nobody catches here (on a thread of the job's own, or one that aborts) leaves its text on stderr alone.

use super::super::frame::PanicReport;
use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
};

/// What is left of a report that is too long for the limit on payloads.
const SHORT_MESSAGE: usize = 256;

thread_local! {
    /// What the hook saw of this thread's last panic.
    static LAST: RefCell<Option<PanicReport>> = const { RefCell::new(None) };
}

/// Installs the hook that takes notes, in front of the present one: what that prints is all that is left of a
/// panic that aborts.
pub(super) fn install() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let backtrace = Backtrace::capture();
        let report = PanicReport {
            message: message_of(info.payload()),
            location: info.location().map(ToString::to_string),
            backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
        };
        // The slot is gone only while the thread's locals are being destroyed, when no job runs.
        let _ = LAST.try_with(|slot| slot.replace(Some(report)));
        previous(info);
    }));
}

/// Forgets an earlier panic of this thread: one that a job caught by itself is no part of the next job's report.
pub(super) fn forget() {
    LAST.take();
}

/// The report on a panic that was caught on this thread, and the end of its payload.
pub(in super::super) fn report(payload: Box<dyn Any + Send>) -> PanicReport {
    let report = LAST.take().unwrap_or_else(|| PanicReport {
        message: message_of(&*payload),
        location: None,
        backtrace: None,
    });
    // The payload's own drop may panic too.
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // And so may that one's: it is leaked rather than asked.
        std::mem::forget(second);
        forget();
    }
    report
}

/// Cuts a report down to what fits into the smallest payload that a pool may allow.
pub(super) fn shorten(report: &mut PanicReport) {
    report.backtrace = None;
    report.message.truncate(report.message.floor_char_boundary(SHORT_MESSAGE));
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "the panic's payload is not a string".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(job: impl FnOnce()) -> PanicReport {
        forget();
        report(panic::catch_unwind(AssertUnwindSafe(job)).expect_err("a panic"))
    }

    // The hook belongs to the process, and other tests of this program panic on purpose: so it is not installed
    // here, and only what needs no hook is looked at. tests/process_pool covers the rest.
    #[test]
    fn a_report_has_the_message_whatever_the_payload() {
        assert_eq!(caught(|| panic::resume_unwind(Box::new("a literal"))).message, "a literal");
        assert_eq!(caught(|| panic::resume_unwind(Box::new(format!("number {}", 7)))).message, "number 7");
        assert!(caught(|| panic::resume_unwind(Box::new(7_u8))).message.contains("not a string"));
    }

    #[test]
    #[cfg_attr(runtime_asan, ignore = "it leaks on purpose")]
    fn a_payload_whose_drop_panics_does_no_harm() {
        struct Trap;
        impl Drop for Trap {
            fn drop(&mut self) {
                panic::resume_unwind(Box::new("from the drop"));
            }
        }
        assert!(caught(|| panic::resume_unwind(Box::new(Trap))).message.contains("not a string"));
        assert!(LAST.take().is_none(), "the second panic is not taken for the next job's");
    }

    #[test]
    fn a_short_report_is_cut_between_characters() {
        let mut report = PanicReport {
            message: "ä".repeat(SHORT_MESSAGE),
            location: Some("here".to_owned()),
            backtrace: Some("a long story".to_owned()),
        };
        shorten(&mut report);
        assert_eq!(report.message, "ä".repeat(SHORT_MESSAGE / 2));
        assert_eq!((report.location.as_deref(), report.backtrace), (Some("here"), None));
    }
}
