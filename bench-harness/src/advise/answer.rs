//! What `crossover advise` answers: one sentence to act on, then what it rests on.
use std::fmt::Write as _;
use std::time::Duration;

use crossover_reports::analysis::model::{Analysis, StrategyStats};
use crossover_reports::record::Verdict;

use super::outlook::{self, Outlook};
use super::question::{Contender, Question, Scaled, count};
use super::shipping::{self, Shipping};
use crate::text;

/// Columns that a sentence may fill.
const WIDTH: usize = 96;

/// A measured work and the question that it answers.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) question: &'a Question,
    pub(super) scaled: &'a Scaled,
    /// Who was measured, the simplest first.
    pub(super) measured: &'a [Contender],
    /// Who cannot come near.
    pub(super) left_out: &'a [Contender],
    /// What the items' bytes cost those that ship them; it is in `analysis` already.
    pub(super) shipping: &'a [Shipping],
    pub(super) cores: u32,
    pub(super) analysis: &'a Analysis,
}

/// Whom to take, and how the others compare.
#[derive(Debug, PartialEq)]
struct Choice<'a> {
    pick: &'a str,
    /// The fastest by the medians, where it is another one.
    fastest: Option<&'a str>,
    /// The fastest of those that are slower: its ratio and interval against the fastest.
    runner_up: Option<(&'a str, f64, [f64; 2])>,
    /// Neither slower by more than the margin nor as fast within it by their intervals, with these.
    open: Vec<(&'a str, [f64; 2])>,
}

impl Answer<'_> {
    /// The whole answer, ending in a newline.
    pub(super) fn render(&self) -> String {
        let mut out = format!("{}\n\n", self.asked());
        let cell = self.analysis.cells.first();
        let Some(verdict) = cell.and_then(|cell| cell.verdict.as_ref()) else {
            let reason = cell.and_then(|cell| cell.no_verdict.as_deref()).unwrap_or("nothing was measured");
            let _ = writeln!(out, "{}", text::wrap(&format!("No advice: {reason}."), WIDTH, 0));
            return out;
        };
        let names: Vec<&str> = self.measured.iter().map(|c| c.name.as_str()).collect();
        let unproven = cell.and_then(|cell| cell.no_verdict.as_deref());
        let outlook = self.outlook(verdict, unproven.is_none());
        let choice = outlook.as_ref().and_then(|outlook| choose(&names, outlook, self.analysis.margin));
        let (Some(outlook), Some(choice)) = (&outlook, choice) else {
            out += "No advice: nobody did the work.\n";
            return out;
        };
        for sentence in self.sentences(&choice, unproven) {
            let _ = writeln!(out, "{}", text::wrap(&sentence, WIDTH, 0));
        }
        out.push('\n');
        out += &self.table(outlook, choice.pick);
        for sentence in self.reservations() {
            let _ = writeln!(out, "\n{}", text::wrap(&sentence, WIDTH, 0));
        }
        out
    }

    /// What `verdict` means for the whole work.
    fn outlook(&self, verdict: &Verdict, is_proven: bool) -> Option<Outlook> {
        let took = |c: &Contender| Some(self.stats(&c.name)?.wall_ns / 1e9);
        Outlook::of(verdict, is_proven, self.measured, self.scaled, &self.question.work(), took)
    }

    fn asked(&self) -> String {
        let Question { wait, compute, items, .. } = self.question;
        let does = match (wait.is_zero(), compute.is_zero()) {
            (true, _) => format!("each computes {}", text::time(*compute)),
            (_, true) => format!("each waits {}", text::time(*wait)),
            _ => format!("each waits {} and computes {}", text::time(*wait), text::time(*compute)),
        };
        let carries = match self.question.payload {
            0 => String::new(),
            bytes => format!(" and carries {} each way", shipping::told(bytes)),
        };
        format!("{}, {does}{carries}; {}", count(*items, "item"), count(self.cores, "core"))
    }

    fn sentences(&self, choice: &Choice<'_>, unproven: Option<&str>) -> Vec<String> {
        let mut said = Vec::new();
        let takes = match self.whole(choice.pick) {
            Some(seconds) => format!(": {} for all items", self.told_time(seconds)),
            None => String::new(),
        };
        let ahead = match choice.runner_up {
            Some((name, ratio, [low, high])) => {
                format!(", {ratio:.2} times as fast as {} ({low:.2} to {high:.2})", self.told(name))
            }
            None => String::new(),
        };
        said.push(match choice.fastest {
            None => format!("Use {}{takes}{ahead}.", self.told(choice.pick)),
            Some(fastest) => format!(
                "Use {}{takes}{ahead}. It is as fast as {} within {:.0} %, and simpler.",
                self.told(choice.pick),
                self.told(fastest),
                self.analysis.margin * 100.0
            ),
        });
        if let Some(reason) = unproven {
            said.push(format!(
                "Nothing of this is proven: {reason}. Fewer sizes (--workers) leave time for more rounds."
            ));
        }
        if !choice.open.is_empty() {
            let others: Vec<String> = choice
                .open
                .iter()
                .map(|(name, [low, high])| {
                    format!("{} ({low:.2} to {high:.2} times its time)", self.told(name))
                })
                .collect();
            said.push(format!("Undecided in the time there was: {} may be as fast.", others.join(", ")));
        }
        if let Some(stats) = self.stats(choice.pick) {
            let mut costs = format!(
                "It costs {} of CPU per item and {} of memory",
                text::time(self.cpu_per_item(stats)),
                mebibytes(stats)
            );
            let runner_up = choice.runner_up.and_then(|(name, ..)| self.stats(name));
            if let Some(other) = runner_up {
                let cpu = text::time(self.cpu_per_item(other));
                let _ = write!(costs, "; the runner-up {cpu} and {}", mebibytes(other));
            }
            said.push(format!("{costs}."));
        }
        said
    }

    /// A row for everybody who was measured, the fastest first.
    fn table(&self, outlook: &Outlook, pick: &str) -> String {
        let row = |c| -> Option<(&Contender, &StrategyStats, f64)> {
            let c: &Contender = c;
            Some((c, self.stats(&c.name)?, self.whole(&c.name)?))
        };
        let mut measured: Vec<_> = self.measured.iter().filter_map(row).collect();
        measured.sort_by(|a, b| a.2.total_cmp(&b.2));
        let heads = ["", "strategy", "workers", "all items", "times the fastest", "CPU per item", "memory"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for (contender, stats, seconds) in measured {
            let versus = match outlook.versus.get(&contender.name) {
                Some(versus) => format!("{:.2} ({:.2} to {:.2})", versus.ratio, versus.ci[0], versus.ci[1]),
                None => "1".to_owned(),
            };
            rows.push(vec![
                if contender.name == pick { "→" } else { "" }.to_owned(),
                contender.base.to_owned(),
                contender.workers.map_or_else(String::new, |workers| workers.to_string()),
                self.told_time(seconds),
                versus,
                text::time(self.cpu_per_item(stats)),
                mebibytes(stats),
            ]);
        }
        text::columns(&rows, 2)
    }

    /// What limits the answer.
    fn reservations(&self) -> Vec<String> {
        let mut said = Vec::new();
        let Scaled { work, times, items } = *self.scaled;
        if times > 1.0 {
            let length = |seconds: f64| text::time(Duration::from_secs_f64(seconds));
            let measured = match (work.wait > 0.0, work.compute > 0.0) {
                (true, true) => {
                    format!("{} of waiting and {} of computing", length(work.wait), length(work.compute))
                }
                (true, false) => format!("{} of waiting", length(work.wait)),
                (false, _) => format!("{} of computing", length(work.compute)),
            };
            said.push(format!(
                "Extrapolated: {measured} per item were measured, {} times shorter than asked for. The times are the least \
                 possible of the whole work, with what was measured beyond the least of the shorter one: that does not grow \
                 with the lengths.",
                factor(times)
            ));
        }
        if items > 1.0 {
            said.push(format!(
                "Extrapolated: {} of the {} items were measured, and what they took beyond the least possible time was \
                 multiplied by {}.",
                work.items,
                self.question.items,
                factor(items)
            ));
        }
        if self.question.payload > 0 {
            said.push(self.shipped());
        }
        if !self.left_out.is_empty() {
            let whole = self.question.work();
            let one = |c: &Contender| {
                format!("{} (at least {})", c.told, text::time(Duration::from_secs_f64(c.least(&whole))))
            };
            let all: Vec<String> = self.left_out.iter().map(one).collect();
            said.push(format!("Not measured, because they cannot come near: {}.", all.join(", ")));
        }
        said
    }

    /// What the items' bytes mean for processes.
    fn shipped(&self) -> String {
        let bytes = shipping::told(self.question.payload);
        if self.shipping.is_empty() {
            return format!(
                "Shipping {bytes} to a worker process and back was not measured: no pool of processes was. Threads and \
                 async tasks share memory and ship nothing."
            );
        }
        let prices: Vec<String> = self
            .shipping
            .iter()
            .map(|price| {
                let pool = format!("a pool of {}", price.workers);
                let whole = price.wall.mul_f64(f64::from(self.question.items));
                format!("{} per item on {pool}, {} for all items", text::time(price.wall), text::time(whole))
            })
            .collect();
        format!(
            "Shipping {bytes} to a worker process and {bytes} back takes {} (measured apart and added to the times of \
             processes, as if no other worker computed meanwhile). Threads and async tasks share memory and ship nothing.",
            prices.join("; ")
        )
    }

    fn told(&self, name: &str) -> String {
        match self.measured.iter().find(|c| c.name == name) {
            Some(c) if c.workers.is_some() => {
                format!("{} ({}, workers = {})", c.told, c.base, c.workers.unwrap_or(0))
            }
            Some(c) => format!("{} ({})", c.told, c.base),
            None => name.to_owned(),
        }
    }

    fn stats(&self, name: &str) -> Option<&StrategyStats> {
        let at = self.analysis.strategies.iter().position(|strategy| strategy == name)?;
        self.analysis.cells.first()?.stats.get(at)?.as_ref()
    }

    /// Seconds of the whole work, as asked.
    fn whole(&self, name: &str) -> Option<f64> {
        let contender = self.measured.iter().find(|c| c.name == name)?;
        let measured = self.stats(name)?.wall_ns / 1e9;
        Some(outlook::seconds(contender, self.scaled, &self.question.work(), measured))
    }

    fn told_time(&self, seconds: f64) -> String {
        let about = if self.scaled.is_scaled() { "about " } else { "" };
        format!("{about}{}", text::time(Duration::from_secs_f64(seconds.clamp(0.0, 1e12))))
    }

    /// CPU time of an item, as asked: what was measured, with the computing in its full length.
    fn cpu_per_item(&self, stats: &StrategyStats) -> Duration {
        let left_out = self.question.compute.as_secs_f64() - self.scaled.work.compute;
        Duration::from_secs_f64((stats.cpu_per_task_ns / 1e9 + left_out).clamp(0.0, 1e9))
    }
}

fn mebibytes(stats: &StrategyStats) -> String {
    format!("{:.1} MiB", stats.rss_peak_kib / 1024.0)
}

/// A factor with three digits at most: `1.5`, `33`, `850`, `30 000`, `36 million`.
fn factor(value: f64) -> String {
    let short = |value: f64| {
        let text = format!("{value:.1}");
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    };
    match value {
        v if v < 9.95 => short(v),
        v if v < 999.5 => format!("{v:.0}"),
        v if v < 999_500.0 => {
            let size = 10_f64.powf(v.log10().floor() - 2.0);
            let rounded = ((v / size).round() * size).round() as u64;
            match (rounded / 1000, rounded % 1000) {
                (thousands @ 10.., rest) => format!("{thousands} {rest:03}"),
                _ => rounded.to_string(),
            }
        }
        v if v < 9.95e6 => format!("{} million", short(v / 1e6)),
        v => format!("{:.0} million", v / 1e6),
    }
}

/// Chooses among `names`, the simplest first: the simplest of those that are proven as fast as the fastest.
/// Where nothing is proven, the fastest by the medians.
fn choose<'a>(names: &[&'a str], outlook: &Outlook, margin: f64) -> Option<Choice<'a>> {
    let fastest = names.iter().copied().find(|name| *name == outlook.fastest)?;
    let against = |name: &str| outlook.versus.get(name);
    let is_equal = |name: &str| {
        name == fastest || outlook.is_proven && against(name).is_some_and(|v| v.ci[1] < 1.0 + margin)
    };
    let pick = names.iter().copied().find(|name| is_equal(name))?;
    let mut rest: Vec<(&str, f64, [f64; 2])> = names
        .iter()
        .filter(|name| !is_equal(name))
        .filter_map(|name| against(name).map(|v| (*name, v.ratio, v.ci)))
        .collect();
    rest.sort_by(|a, b| a.1.total_cmp(&b.1));
    let is_open = |ci: &[f64; 2]| ci[0] <= 1.0 + margin;
    let open = rest.iter().filter(|(.., ci)| is_open(ci)).map(|(name, _, ci)| (*name, *ci)).collect();
    let runner_up = rest.iter().copied().find(|(.., ci)| !is_open(ci));
    Some(Choice { pick, fastest: (pick != fastest).then_some(fastest), runner_up, open })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crossover_reports::record::Versus;

    use super::*;

    const NAMES: [&str; 4] = ["sequential", "event-loop", "threads-8", "work-stealing"];

    fn outlook(fastest: &str, versus: &[(&str, f64, [f64; 2])]) -> Outlook {
        let versus: BTreeMap<String, Versus> =
            versus.iter().map(|&(name, ratio, ci)| (name.to_owned(), Versus { ratio, ci })).collect();
        Outlook { fastest: fastest.to_owned(), versus, is_proven: true }
    }

    #[test]
    fn a_winner_is_taken_and_the_runner_up_named() {
        let versus = [
            ("sequential", 4.0, [3.9, 4.1]),
            ("event-loop", 1.9, [1.8, 2.0]),
            ("work-stealing", 1.2, [1.1, 1.3]),
        ];
        let found = outlook("threads-8", &versus);
        let choice = choose(&NAMES, &found, 0.03).unwrap();
        assert_eq!((choice.pick, choice.fastest), ("threads-8", None));
        assert_eq!(choice.runner_up, Some(("work-stealing", 1.2, [1.1, 1.3])));
        assert!(choice.open.is_empty());
    }

    #[test]
    fn of_equals_the_simplest_is_taken() {
        let versus = [
            ("sequential", 4.0, [3.9, 4.1]),
            ("event-loop", 1.01, [1.0, 1.02]),
            ("threads-8", 1.0, [0.99, 1.02]),
        ];
        let mut found = outlook("work-stealing", &versus);
        let choice = choose(&NAMES, &found, 0.03).unwrap();
        assert_eq!((choice.pick, choice.fastest), ("event-loop", Some("work-stealing")));
        assert_eq!(choice.runner_up.map(|(name, ..)| name), Some("sequential"));
        found.is_proven = false;
        let choice = choose(&NAMES, &found, 0.03).unwrap();
        assert_eq!((choice.pick, choice.fastest), ("work-stealing", None), "nobody is proven to be as fast");
        let open: Vec<&str> = choice.open.iter().map(|(name, _)| *name).collect();
        assert_eq!(open, ["threads-8", "event-loop"]);
    }

    #[test]
    fn only_those_may_be_as_fast_whose_intervals_reach_that_far() {
        let versus = [
            ("sequential", 4.0, [3.9, 4.1]),
            ("event-loop", 2.0, [1.91, 2.11]),
            ("work-stealing", 1.01, [0.95, 1.08]),
        ];
        for is_proven in [true, false] {
            let found = Outlook { is_proven, ..outlook("threads-8", &versus) };
            let choice = choose(&NAMES, &found, 0.03).unwrap();
            assert_eq!(choice.pick, "threads-8");
            assert_eq!(choice.open, [("work-stealing", [0.95, 1.08])]);
            assert_eq!(choice.runner_up.map(|(name, ..)| name), Some("event-loop"));
        }
    }

    #[test]
    fn factors_have_three_digits_at_most() {
        for (value, expected) in [
            (1.04, "1"),
            (1.5, "1.5"),
            (9.96, "10"),
            (33.356, "33"),
            (999.7, "1000"),
            (1234.0, "1230"),
            (30_000.0, "30 000"),
            (123_456.0, "123 000"),
            (999_700.0, "1 million"),
            (2_340_000.0, "2.3 million"),
            (36_000_000.0, "36 million"),
        ] {
            assert_eq!(factor(value), expected, "{value}");
        }
    }
}
