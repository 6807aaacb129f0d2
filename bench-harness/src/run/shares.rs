//! How much CPU time the test server and the load generator took beside the strategies: said when it is more than a
//! fifth of a core, because what serves a contestant then also slows it down.
use std::collections::BTreeSet;

use crossover_reports::record::Sample;

use crate::text;

/// A larger share of a core is said.
const SHARE_MAX: f64 = 0.2;

/// The largest share that was seen, and where it was too much.
#[derive(Debug, Default)]
struct Share {
    largest: f64,
    cells: BTreeSet<String>,
}

impl Share {
    fn note(&mut self, cpu_ns: Option<u64>, sample: &Sample) {
        let Some(cpu_ns) = cpu_ns else { return };
        let share = cpu_ns as f64 / sample.wall_ns.max(1) as f64;
        self.largest = self.largest.max(share);
        if share > SHARE_MAX {
            self.cells.insert(sample.cell.clone());
        }
    }

    fn line(&self, who: &str) -> Option<String> {
        let cells = text::count(self.cells.len() as u64, "cell");
        (!self.cells.is_empty()).then(|| {
            format!(
                "{who} kept up to {:.0} % of a core busy, more than {:.0} % in {cells}: part of their time is its own",
                self.largest * 100.0,
                SHARE_MAX * 100.0
            )
        })
    }
}

/// The shares of both.
#[derive(Debug, Default)]
pub(super) struct Shares {
    server: Share,
    generator: Share,
}

impl Shares {
    /// Takes a sample into account.
    pub(super) fn note(&mut self, sample: &Sample) {
        self.server.note(sample.server_cpu_ns, sample);
        let per_run = |ns: u64| ns / u64::from(sample.batch.max(1));
        self.generator.note(sample.generator_cpu_ns.map(per_run), sample);
    }

    /// The sentences to say.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        [self.server.line("the test server"), self.generator.line("the load generator")].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_fifth_of_a_core_is_said_with_its_cells() {
        let sample = |cell: &str, server: u64, generator: Option<u64>| {
            let line = format!(
                r#"{{"schema":1,"run":"r-1","cell":"{cell}","params":{{"x":1}},"strategy":"s","process":0,"round":0,
                "order":0,"seed":1,"batch":2,"tasks":1,"wall_ns":1000,"ok":true}}"#
            );
            let sample: Sample = serde_json::from_str(&line).unwrap();
            Sample { server_cpu_ns: Some(server), generator_cpu_ns: generator, ..sample }
        };
        let mut shares = Shares::default();
        shares.note(&sample("x=1", 200, Some(400)));
        assert_eq!(shares.lines().count(), 0);
        for _ in 0..2 {
            shares.note(&sample("x=1", 340, None));
        }
        shares.note(&sample("x=2", 250, Some(460)));
        let lines: Vec<String> = shares.lines().collect();
        assert!(lines[0].contains("the test server kept up to 34 % of a core busy"), "{lines:?}");
        assert!(lines[0].contains("2 cells") && lines[1].contains("1 cell"), "{lines:?}");
        assert!(lines[1].starts_with("the load generator kept up to 23 %"), "{lines:?}");
    }
}
