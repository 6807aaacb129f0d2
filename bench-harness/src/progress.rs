//! How far a run is: a bar with the time left on a terminal, plain lines elsewhere. All of it on stderr.
//!
//! The bar counts estimated milliseconds of work rather than samples, because a sample of one cell may take a
//! thousand times as long as one of another. It is drawn between samples only, never while a trial measures.
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The progress of one experiment.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    label: String,
    /// Nothing is drawn: lines take the bar's place.
    plain: bool,
    done: Duration,
    total: Duration,
}

impl Progress {
    /// Starts with an unknown total.
    #[must_use]
    pub fn new(label: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        set_template(&bar, "{prefix}: {msg}");
        bar.set_prefix(label.to_owned());
        let plain = bar.is_hidden();
        Self { bar, label: label.to_owned(), plain, done: Duration::ZERO, total: Duration::ZERO }
    }

    /// Sets how much there is to do, in estimated time, and starts from nothing done.
    pub fn set_total(&mut self, total: Duration) {
        self.total = total;
        self.done = Duration::ZERO;
        self.bar.set_length(millis(total));
        self.bar.reset();
        set_template(&self.bar, "{prefix}: {msg} {wide_bar:.dim} {percent:>3} %, {eta} left");
    }

    /// Something that was estimated at `estimate` is done.
    pub fn advance(&mut self, estimate: Duration) {
        self.done += estimate;
        self.bar.set_position(millis(self.done.min(self.total)));
    }

    /// A new stage begins.
    pub fn stage(&mut self, text: &str) {
        if self.plain {
            let left = self.total.saturating_sub(self.done);
            if left.is_zero() {
                eprintln!("{}: {text}", self.label);
            } else {
                eprintln!("{}: {text}, about {} left", self.label, rough(left));
            }
        } else {
            self.bar.set_message(text.to_owned());
        }
    }

    /// Says something that stays on the screen.
    pub fn say(&self, text: &str) {
        let line = format!("{}: {text}", self.label);
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A template that does not parse would leave indicatif's own style, which says as much.
fn set_template(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A time for people: seconds, or minutes with seconds, or hours with minutes.
#[must_use]
pub fn rough(time: Duration) -> String {
    match time.as_secs_f64().round() as u64 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_fitting_units() {
        assert_eq!(rough(Duration::from_millis(400)), "0 s");
        assert_eq!(rough(Duration::from_secs(119)), "119 s");
        assert_eq!(rough(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(rough(Duration::from_secs(3 * 3600 + 120)), "3 h 2 min");
    }
}
