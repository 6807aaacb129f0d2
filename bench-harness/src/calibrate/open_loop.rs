//! An open load must see a server's stalls as long as they are ([`crate::stall`]), and a closed one shows what it misses.
use serde_json::json;

use super::lab::{FOREIGN_MAX, Lab, Stop};
use super::table::Row;
use crate::probe::LoadWindow;
use crate::progress::Progress;
use crate::stall::Seen;

const ID: &str = "open-loop";
const NAME: &str = "a server that stalls";
const BAR: &str = "open p99 within 5 % of the computed";

/// Measured once more where other programs disturbed it.
const ATTEMPTS: u32 = 2;

/// The row `open-loop`.
pub(super) fn row(lab: &Lab, progress: &mut Progress) -> Result<Row, Stop> {
    let mut foreign_cores: f64 = 0.0;
    for _ in 0..ATTEMPTS {
        progress.stage("a server that stalls, under an open and a closed load");
        if let Err(foreign) = lab.quiet()? {
            foreign_cores = foreign_cores.max(foreign);
            continue;
        }
        let window = LoadWindow::open();
        let seen = Seen::measure(lab.interrupt());
        lab.go_on()?;
        let load = window.close();
        if load.contamination(FOREIGN_MAX).is_some() {
            foreign_cores = foreign_cores.max(load.foreign_cores);
            continue;
        }
        let seen = seen?;
        let figures = json!({
            "computed_ns": seen.computed_ns, "open_ns": seen.open_ns, "closed_ns": seen.closed_ns,
            "achieved_rate": seen.achieved_rate, "generator_lag_ns": seen.generator_lag_ns,
        });
        return Ok(Row::measured(ID, NAME, BAR, seen.detail(), seen.passed(), figures));
    }
    let detail = format!("gave up: disturbed {ATTEMPTS} times (up to {foreign_cores:.2} foreign cores)");
    Ok(Row::disturbed(ID, NAME, BAR, detail))
}
