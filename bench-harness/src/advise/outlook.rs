//! What the measured times mean for the whole work as it was asked for.
//!
//! No implementation can beat the least time of its strategy ([`Contender::least`]), which is known of the measured work and of the
//! whole. What was measured beyond it is what the strategy costs: handing items over, switching, being late. That grows with the number of
//! items and not with how long they wait and compute, so the whole takes its least time and that cost for all of its items.
use std::collections::BTreeMap;

use crossover_reports::record::{Verdict, Versus};

use super::question::{Contender, Scaled, Work};

/// Who is the fastest in the whole work, and how the others compare.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outlook {
    pub(super) fastest: String,
    /// Against the fastest: how many times its time, with the interval.
    pub(super) versus: BTreeMap<String, Versus>,
    /// Whether there were enough rounds for intervals to prove anything.
    pub(super) is_proven: bool,
}

/// Seconds of the whole work by `contender`, who took `measured` seconds for the scaled one.
pub(super) fn seconds(contender: &Contender, scaled: &Scaled, whole: &Work, measured: f64) -> f64 {
    if !scaled.is_scaled() {
        return measured;
    }
    contender.least(whole) + (measured - contender.least(&scaled.work)).max(0.0) * scaled.items
}

impl Outlook {
    /// Carries `verdict`, on the scaled work, over to the whole; `took` gives the seconds that a contender took for the scaled
    /// one. `None` where nobody did it.
    pub(super) fn of(
        verdict: &Verdict,
        is_proven: bool,
        contenders: &[Contender],
        scaled: &Scaled,
        whole: &Work,
        took: impl Fn(&Contender) -> Option<f64>,
    ) -> Option<Self> {
        let is_reference = |c: &&Contender| match &verdict.winner {
            Some(winner) => c.name == *winner,
            None => !verdict.versus.contains_key(&c.name) && verdict.best.contains(&c.name),
        };
        let reference = contenders.iter().find(is_reference)?;
        let mut outlook = Self { fastest: reference.name.clone(), versus: verdict.versus.clone(), is_proven };
        if scaled.is_scaled() {
            let measured = took(reference)?;
            let fastest = seconds(reference, scaled, whole, measured);
            outlook.versus.retain(|name, _| contenders.iter().any(|c| c.name == *name));
            for contender in contenders {
                if let Some(versus) = outlook.versus.get_mut(&contender.name) {
                    let times = |ratio: f64| seconds(contender, scaled, whole, ratio * measured) / fastest;
                    *versus =
                        Versus { ratio: times(versus.ratio), ci: [times(versus.ci[0]), times(versus.ci[1])] };
                }
            }
            outlook.rebase();
        }
        Some(outlook)
    }

    /// Compares with who is the fastest now, if that is another one; intervals against it are as wide as both together.
    fn rebase(&mut self) {
        let least = self.versus.iter().min_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio));
        let Some((name, fastest)) = least.filter(|(_, versus)| versus.ratio < 1.0) else { return };
        let (name, fastest) = (name.clone(), fastest.clone());
        self.versus.remove(&name);
        let before = std::mem::replace(&mut self.fastest, name);
        self.versus.insert(before, Versus { ratio: 1.0, ci: [1.0, 1.0] });
        for versus in self.versus.values_mut() {
            let [low, high] = versus.ci;
            *versus = Versus {
                ratio: versus.ratio / fastest.ratio,
                ci: [low / fastest.ci[1], high / fastest.ci[0]],
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossover_reports::record::{Params, VerdictKind};

    use super::super::question::{Question, fit, hopeful};
    use super::*;

    fn verdict(winner: &str, versus: &[(&str, f64)]) -> Verdict {
        let versus = versus
            .iter()
            .map(|&(name, ratio)| (name.to_owned(), Versus { ratio, ci: [ratio * 0.98, ratio * 1.02] }));
        Verdict {
            cell: "all".to_owned(),
            params: Params::new(),
            metric: "wall".to_owned(),
            verdict: VerdictKind::Wins,
            winner: Some(winner.to_owned()),
            best: vec![winner.to_owned()],
            versus: versus.collect(),
        }
    }

    /// 100 000 items that wait a minute each, all at once.
    fn minutes() -> (Vec<Contender>, Scaled, Work) {
        let (wait, compute) = (Duration::from_secs(60), Duration::ZERO);
        let question = Question { wait, compute, items: 100_000, workers: Vec::new(), payload: 0 };
        let (contenders, _) = hopeful(question.contenders(2), &question.work());
        let scaled = fit(question.work(), &contenders);
        (contenders, scaled, question.work())
    }

    #[test]
    fn waits_that_overlap_take_one_wait_however_much_was_shortened() {
        let (contenders, scaled, whole) = minutes();
        assert!(scaled.times > 1000.0, "{scaled:?}");
        // Handing over takes some microseconds per item.
        let took = |c: &Contender| {
            let each = if c.name == "event-loop" { 1.5e-6 } else { 1e-6 };
            Some(scaled.work.wait + f64::from(scaled.work.items) * each)
        };
        for contender in &contenders {
            let all = seconds(contender, &scaled, &whole, took(contender).unwrap());
            assert!((60.0..60.2).contains(&all), "{}: {all} s", contender.name);
        }
        let event_loop = contenders.iter().find(|c| c.name == "event-loop").unwrap();
        let other = contenders.iter().find(|c| c.name == "work-stealing").unwrap();
        let ratio = took(event_loop).unwrap() / took(other).unwrap();
        assert!(ratio > 1.01, "{ratio}");
        let found = verdict("work-stealing", &[("event-loop", ratio)]);
        let outlook = Outlook::of(&found, true, &contenders, &scaled, &whole, took).unwrap();
        assert_eq!(outlook.fastest, "work-stealing");
        let versus = &outlook.versus["event-loop"];
        assert!(versus.ratio > 1.0 && versus.ci[1] < 1.03, "{versus:?}");
    }

    #[test]
    fn who_is_the_fastest_in_the_whole_need_not_be_in_the_part() {
        let mut outlook = Outlook {
            fastest: "a".to_owned(),
            versus: verdict("a", &[("b", 0.5), ("c", 2.0)]).versus,
            is_proven: true,
        };
        outlook.rebase();
        assert_eq!(outlook.fastest, "b");
        assert!(!outlook.versus.contains_key("b"));
        let ratios: Vec<f64> = outlook.versus.values().map(|versus| versus.ratio).collect();
        assert_eq!(ratios, [2.0, 4.0]);
        let [low, high] = outlook.versus["c"].ci;
        assert!(low < 3.9 && high > 4.1, "{low} {high}");
    }

    #[test]
    fn what_was_measured_as_a_whole_stays_as_it_is() {
        let (contenders, _, whole) = minutes();
        let scaled = Scaled { work: whole, times: 1.0, items: 1.0 };
        let found = verdict("work-stealing", &[("event-loop", 1.5)]);
        let outlook = Outlook::of(&found, true, &contenders, &scaled, &whole, |_| Some(1.0)).unwrap();
        assert_eq!(outlook.versus, found.versus);
        assert!((seconds(&contenders[0], &scaled, &whole, 61.5) - 61.5).abs() < 1e-9);
    }
}
