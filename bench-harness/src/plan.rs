//! An experiment's plan: every sample that is to be taken, in the order in which it is taken.
//!
//! A block is one (process, round) pair; within it every (cell, strategy) pair stands once, in a random order of
//! the block's own. The base plan follows from the experiment, the seed and the counts alone, so that it can be told
//! again from what `plan.jsonl` and `config.resolved.toml` record. What a look at the samples adds ([`extend_plan`])
//! is a process round of its own over some cells, whose order follows from the seed and the process round's index.
use std::collections::BTreeMap;
use std::time::Duration;

use crossover_reports::record::Params;
use crossover_workloads::Spec;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::config::{Cell, Experiment, Measure, Value, duration};
use crate::{notes, run, text};

/// One planned sample: a line of `plan.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Position in the plan, from 0.
    pub order: u64,
    /// Index of the process round, from 0.
    pub process: u32,
    /// Index of the round within the process round, from 0.
    pub round: u32,
    /// The cell's name.
    pub cell: String,
    /// The cell's swept parameters.
    pub params: Params,
    /// The strategy's name.
    pub strategy: String,
    /// How many times the whole work runs within the sample.
    pub batch: u32,
    /// Seed of the workload's input: the same for every strategy and round, so that one oracle judges all.
    pub seed: u64,
    /// Tasks in one run of the whole work.
    pub tasks: u32,
    /// 0 in the base plan, else the number of the look at the samples that added this one.
    #[serde(default, skip_serializing_if = "is_base")]
    pub look: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_base(look: &u32) -> bool {
    *look == 0
}

/// Plans `processes` × `rounds` blocks, each one random permutation of all (cell, strategy) pairs.
///
/// `batch` gives the batch per cell name, the same for every strategy; a cell without one gets 1.
#[must_use]
pub fn build_plan(
    exp: &Experiment,
    seed: u64,
    processes: u32,
    rounds: u32,
    batch: &BTreeMap<String, u32>,
) -> Vec<Planned> {
    let cells: Vec<Cell> = exp.cells();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut plan =
        Vec::with_capacity(cells.len() * exp.strategies.include.len() * processes as usize * rounds as usize);
    let mut pairs = pairs(exp, &cells);
    for process in 0..processes {
        for round in 0..rounds {
            pairs.shuffle(&mut rng);
            let place = Planned { process, round, ..blank(seed) };
            plan_block(&mut plan, &pairs, &place, batch);
        }
    }
    plan
}

/// Adds a process round of `rounds` blocks over `cells` to `plan`, because look number `look` asked for it.
///
/// It gets the first free index, so that its processes are fresh ones. The plan so far stays as it is.
pub fn extend_plan(
    plan: &mut Vec<Planned>,
    exp: &Experiment,
    seed: u64,
    look: u32,
    rounds: u32,
    cells: &[Cell],
    batch: &BTreeMap<String, u32>,
) {
    let process = plan.iter().map(|planned| planned.process + 1).max().unwrap_or(0);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The base plan uses stream 0.
    rng.set_stream(u64::from(process) + 1);
    let mut pairs = pairs(exp, cells);
    for round in 0..rounds {
        pairs.shuffle(&mut rng);
        plan_block(plan, &pairs, &Planned { process, round, look, ..blank(seed) }, batch);
    }
}

/// Every (cell, strategy) pair.
fn pairs<'a>(exp: &'a Experiment, cells: &'a [Cell]) -> Vec<(&'a Cell, &'a String)> {
    cells.iter().flat_map(|cell| exp.strategies.include.iter().map(move |name| (cell, name))).collect()
}

/// A planned sample of nothing yet.
fn blank(seed: u64) -> Planned {
    Planned {
        order: 0,
        process: 0,
        round: 0,
        cell: String::new(),
        params: Params::new(),
        strategy: String::new(),
        batch: 1,
        seed,
        tasks: 1,
        look: 0,
    }
}

/// Adds the block of `place` in the order of `pairs`.
fn plan_block(
    plan: &mut Vec<Planned>,
    pairs: &[(&Cell, &String)],
    place: &Planned,
    batch: &BTreeMap<String, u32>,
) {
    for (cell, strategy) in pairs {
        plan.push(Planned {
            order: plan.len() as u64,
            cell: cell.name.clone(),
            params: cell.params.clone(),
            strategy: (*strategy).clone(),
            batch: batch.get(&cell.name).copied().unwrap_or(1),
            tasks: cell.tasks,
            ..place.clone()
        });
    }
}

/// What a dry run tells about an experiment: estimates from the parameters alone, nothing is measured.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// The cells with the estimated time of one sample per strategy, in the order of `include`.
    pub cells: Vec<(Cell, Vec<Duration>)>,
    /// One block: every cell under every strategy.
    pub block: Duration,
    /// The pilot, all blocks, and the starts of the trial processes.
    pub total: Duration,
    /// Blocks of the plan as it is configured.
    pub blocks: u64,
    /// Blocks that fit half of the budget, if that is not enough for all. The other half is for what they leave
    /// undecided.
    pub blocks_in_budget: Option<u64>,
}

/// A sample lasts at least this long, by its batch, whatever else is to be measured.
pub(crate) const SAMPLE_FLOOR: Duration = Duration::from_micros(50);
/// No sample is made longer than this: what varies beyond it varies from sample to sample, and more rounds show more.
const SAMPLE_CEILING: Duration = Duration::from_millis(4);
/// The samples of the fastest fill a block of about this length between them.
const BLOCK_OF_SAMPLES: Duration = Duration::from_millis(200);
/// The samples of a cell take on average this many times what the fastest is to take, at most: where one strategy is
/// far slower than another, a batch that suits the fast one would spend everyone's time on the slow one.
const STRETCH_MAX: u32 = 2;
/// No sample runs the work more often than this.
const BATCH_MAX: f64 = 100_000.0;
/// What starting and warming up the trial processes of a process round takes, per strategy.
const START: Duration = Duration::from_millis(60);
/// A block's window for the foreign load is at least this long.
const BLOCK_MIN: Duration = Duration::from_millis(250);

/// Estimates how long `exp` takes.
#[must_use]
pub fn forecast(exp: &Experiment) -> Forecast {
    let include = &exp.strategies.include;
    let mut block = Duration::ZERO;
    let mut pilot = Duration::ZERO;
    let mut cells = Vec::new();
    for cell in exp.cells() {
        let runs: Vec<Duration> = include.iter().map(|name| run_time(exp, &cell, name)).collect();
        let fastest = runs.iter().min().copied().unwrap_or_default();
        let together = runs.iter().fold(Duration::ZERO, |sum, run| sum.saturating_add(*run));
        let batch = match exp.measure.rate {
            Some(_) => 1,
            None => batch_of(sample_min(exp), fastest, together, runs.len(), SAMPLE_FLOOR),
        };
        let samples: Vec<Duration> =
            runs.iter().map(|run| at_most_a_year(run.as_secs_f64() * f64::from(batch))).collect();
        block = samples.iter().fold(block, |sum, sample| sum.saturating_add(*sample));
        pilot = runs.iter().fold(pilot, |sum, run| sum.saturating_add(*run));
        cells.push((cell, samples));
    }
    let block = block.max(BLOCK_MIN);
    let starts = START * u32::try_from(include.len()).unwrap_or(u32::MAX);
    let blocks = u64::from(exp.measure.processes) * u64::from(exp.measure.rounds);
    let fixed =
        pilot.saturating_add(at_most_a_year(starts.as_secs_f64() * f64::from(exp.measure.processes + 1)));
    let total = fixed.saturating_add(at_most_a_year(block.as_secs_f64() * blocks as f64));
    let blocks_in_budget = exp.measure.budget.filter(|budget| *budget / 2 < total).map(|budget| {
        let fitting = (budget / 2).saturating_sub(fixed).div_duration_f64(block).floor();
        (fitting as u64).clamp(BLOCKS_MIN, blocks.max(BLOCKS_MIN))
    });
    Forecast { cells, block, total, blocks, blocks_in_budget }
}

/// How long the fastest strategy of a cell should take for a sample: the first run after a wake-up is slow, and a tick of the
/// scheduler's clock (4 ms at 250 Hz) that falls into some samples and not into others is noise, so a sample is as long as the
/// number of pairs in a block allows. It is the same for all cells of a run, refined ones too.
pub(crate) fn sample_min(exp: &Experiment) -> Duration {
    let cells = exp.cell_count().unwrap_or(usize::MAX);
    let pairs = cells.saturating_mul(exp.strategies.include.len()).max(1);
    BLOCK_OF_SAMPLES.div_f64(pairs as f64).clamp(SAMPLE_FLOOR, SAMPLE_CEILING)
}

/// How many runs make a sample of a cell, the same for all its strategies: as many as the `fastest` needs to fill `wanted`, as
/// far as all `strategies`, which take `together` for one run each, remain within [`STRETCH_MAX`] times of it; and in any
/// case as many as the fastest needs to fill `floor`.
pub(crate) fn batch_of(
    wanted: Duration,
    fastest: Duration,
    together: Duration,
    strategies: usize,
    floor: Duration,
) -> u32 {
    let nanosecond = Duration::from_nanos(1);
    let (fastest, together) = (fastest.max(nanosecond), together.max(nanosecond));
    let runs = wanted.div_duration_f64(fastest).ceil();
    let affordable = (wanted * STRETCH_MAX).div_duration_f64(together) * strategies as f64;
    let least = floor.div_duration_f64(fastest).ceil();
    runs.min(affordable.floor()).max(least).clamp(1.0, BATCH_MAX) as u32
}

/// Fewer blocks than two rounds in two process rounds are never measured, whatever the budget.
const BLOCKS_MIN: u64 = 4;

/// Time of one run of a cell's whole work under a strategy: waits overlap as far as the strategy's cap allows,
/// computing as far as workers and cores allow, and handing a task over has its price.
fn run_time(exp: &Experiment, cell: &Cell, strategy: &str) -> Duration {
    let mut spec = Spec {
        kind: exp.workload.kind.clone(),
        params: cell.all.clone(),
        tasks: cell.tasks,
        seed: 0,
        server: None,
        spin_per_us: None,
    };
    let whole = crossover_workloads::estimate(&spec).as_secs_f64();
    for (name, value) in &mut spec.params {
        if name.starts_with("wait_") || name.starts_with("delay_") {
            *value = Value::Int(0);
        }
    }
    let computing = crossover_workloads::estimate(&spec).as_secs_f64().min(whole);
    let tasks = cell.tasks.max(1);
    let limits = exp.strategies.limits_of(strategy);
    // A program of someone else's: as slow as one task after another, to be on the safe side.
    let (workers, cap) = limits.map_or((1, Some(1)), |limits| (limits.workers, limits.concurrency_cap));
    let waves = tasks.div_ceil(cap.unwrap_or(tasks).max(1));
    let cores = u32::try_from(num_cpus::get()).unwrap_or(1);
    let parallel = if workers == 0 { cores } else { workers.min(cores) }.clamp(1, tasks);
    let handing_over_us = match exp.strategies.base_of(strategy) {
        "sequential" => 0.0,
        "event-loop" | "work-stealing" => 0.5,
        "threads" | "blocking-pool" => 5.0,
        _ => 25.0,
    };
    let waiting = match crossover_workloads::Workload::waits_together(&exp.workload.kind) {
        true => whole - computing,
        false => (whole - computing) * f64::from(waves) / f64::from(tasks),
    };
    // No run ends before its last task has arrived.
    let arriving = exp.measure.rate.map_or(0.0, |rate| f64::from(tasks) / rate);
    let living = if exp.measure.startup.is_included() { life_us(exp, strategy) / 1e6 } else { 0.0 };
    let working =
        living + waiting + computing / f64::from(parallel) + f64::from(tasks) * handing_over_us / 1e6;
    at_most_a_year(working.max(arriving))
}

/// What starting and ending a strategy takes, roughly.
fn life_us(exp: &Experiment, strategy: &str) -> f64 {
    let workers = f64::from(exp.strategies.workers_of(strategy));
    match exp.strategies.base_of(strategy) {
        "sequential" | "thread-per-task" => 0.0,
        "event-loop" | "tokio-current-thread" => 40.0,
        "processes" => 3000.0 * workers,
        // A program of someone else's: as slow as an interpreter that starts processes.
        name if crate::strategy::find(name).is_none() => 50_000.0,
        _ => 50.0 * workers,
    }
}

fn at_most_a_year(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 31_536_000.0))
}

/// The dry run as text: what would be measured, how long it may take, and what limits each strategy.
#[must_use]
pub fn render(exp: &Experiment) -> String {
    let forecast = forecast(exp);
    let (cells, strategies) = (forecast.cells.len(), exp.strategies.include.len());
    let mut out = format!("{}: {}\n\n", exp.name, text::wrap(&exp.question, 100, 2));
    out += &settings(exp);
    let Measure { processes, rounds, .. } = exp.measure;
    out += &format!(
        "\n{} × {} = {} per block\n{} × {} = {}: {}, and a pilot of one sample each\n",
        text::count(cells as u64, "cell"),
        if strategies == 1 { "1 strategy".to_owned() } else { format!("{strategies} strategies") },
        text::count((cells * strategies) as u64, "sample"),
        if processes == 1 { "1 process round".to_owned() } else { format!("{processes} process rounds") },
        text::count(rounds, "round"),
        text::count(forecast.blocks, "block"),
        text::count(forecast.blocks * (cells * strategies) as u64, "sample"),
    );
    out += &format!(
        "about {} per block and {} in all: an estimate from the parameters; nothing was measured\n",
        text::time(forecast.block),
        text::time(forecast.total)
    );
    out += &budget_line(exp, &forecast);
    out += &refining_line(exp);
    for note in notes::notes(exp) {
        out += &format!("note: {note}\n");
    }
    out += "\nstrategies and what limits them\n";
    out += &limits_table(exp);
    out += "\nestimated time of a sample\n";
    out += &cells_table(exp, &forecast);
    out
}

/// How the budget is spent.
fn budget_line(exp: &Experiment, forecast: &Forecast) -> String {
    let Some(budget) = exp.measure.budget.map(duration::show) else {
        return "no budget: all blocks are measured\n".to_owned();
    };
    match forecast.blocks_in_budget {
        None => format!(
            "the budget of {budget} may be enough; what is left of it is spent on cells that are still undecided\n"
        ),
        Some(fit) => format!(
            "the budget of {budget}: about {fit} of the {} blocks take half of it, and the other half is spent on cells \
             that are still undecided\n",
            forecast.blocks
        ),
    }
}

/// How crossings are refined.
fn refining_line(exp: &Experiment) -> String {
    if !exp.analysis_opts.refine_crossover {
        return String::new();
    }
    let end = match exp.measure.budget {
        Some(_) => "or the budget ends".to_owned(),
        None => format!(
            "in at most {} looks, each with {} of new cells",
            run::LOOKS_WITHOUT_BUDGET,
            text::count(exp.measure.processes, "process round")
        ),
    };
    format!(
        "crossings are refined: new cells between two that differ in sign, until each is known to 10 %, {end}\n"
    )
}

/// Kind and parameters of the workload.
fn settings(exp: &Experiment) -> String {
    let mut rows = vec![vec!["kind".to_owned(), exp.workload.kind.clone()]];
    for (name, value) in &exp.workload.constants {
        rows.push(vec![name.clone(), shown(value)]);
    }
    for axis in &exp.workload.axes {
        const VALUES_MAX: usize = 24;
        let mut values: Vec<String> = axis.values.iter().take(VALUES_MAX).map(shown).collect();
        if axis.values.len() > VALUES_MAX {
            values.push(format!("… ({} values)", axis.values.len()));
        }
        rows.push(vec![axis.param.clone(), values.join(", ")]);
    }
    if let Some(rate) = exp.measure.rate {
        rows.push(vec!["load".to_owned(), format!("open: {rate} tasks arrive per second")]);
    }
    if exp.measure.startup.is_included() {
        let words = "included: every run starts its strategy and ends it";
        rows.push(vec!["start-up".to_owned(), words.to_owned()]);
    }
    text::columns(&rows, 2)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(name) => name.clone(),
        number => number.to_string(),
    }
}

fn limits_table(exp: &Experiment) -> String {
    let mut rows = vec![vec!["strategy".to_owned(), "workers".to_owned(), "tasks at once".to_owned()]];
    for name in &exp.strategies.include {
        let (workers, cap) = match exp.strategies.limits_of(name) {
            Some(limits) => {
                let workers =
                    if limits.workers == 0 { "one per task".to_owned() } else { limits.workers.to_string() };
                (workers, limits.concurrency_cap.map_or("all".to_owned(), |cap| cap.to_string()))
            }
            None => (format!("told {}", exp.strategies.workers_of(name)), "its own matter".to_owned()),
        };
        rows.push(vec![name.clone(), workers, cap]);
    }
    text::columns(&rows, 1)
}

fn cells_table(exp: &Experiment, forecast: &Forecast) -> String {
    /// Cells that are shown; a plan may have thousands.
    const CELLS_MAX: usize = 100;
    let mut rows = vec![vec!["cell".to_owned()]];
    rows[0].extend(exp.strategies.include.iter().cloned());
    for (cell, samples) in forecast.cells.iter().take(CELLS_MAX) {
        let mut row = vec![cell.name.clone()];
        row.extend(samples.iter().map(|sample| text::time(*sample)));
        rows.push(row);
    }
    let mut out = text::columns(&rows, 1);
    if forecast.cells.len() > CELLS_MAX {
        out += &format!("  … and {} more cells\n", forecast.cells.len() - CELLS_MAX);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;

    fn built_in(name: &str) -> Experiment {
        let text = crossover_workloads::experiments::find(name).expect("built in");
        Experiment::parse(text, name, Path::new("/")).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_plan_follows_from_its_seed() {
        let exp = built_in("mixed");
        let batch = BTreeMap::from([(exp.cells()[0].name.clone(), 8)]);
        let plan = build_plan(&exp, 7, 2, 3, &batch);
        assert_eq!(plan, build_plan(&exp, 7, 2, 3, &batch));
        let order =
            |plan: &[Planned]| plan.iter().map(|p| (p.cell.clone(), p.strategy.clone())).collect::<Vec<_>>();
        assert_ne!(order(&plan), order(&build_plan(&exp, 8, 2, 3, &batch)), "another seed, another order");
        assert!(plan.iter().all(|p| p.batch == if p.cell == exp.cells()[0].name { 8 } else { 1 }));
    }

    #[test]
    fn every_block_is_a_permutation_of_all_pairs_of_its_own() {
        let exp = built_in("io-bound");
        let plan = build_plan(&exp, 1, 3, 4, &BTreeMap::new());
        let pairs = exp.cells().len() * exp.strategies.include.len();
        assert_eq!(plan.len(), pairs * 12);
        assert!(plan.iter().enumerate().all(|(i, p)| p.order == i as u64));
        let mut orders = BTreeSet::new();
        for (index, block) in plan.chunks(pairs).enumerate() {
            let place = (index as u32 / 4, index as u32 % 4);
            assert!(block.iter().all(|p| (p.process, p.round) == place));
            let order: Vec<_> = block.iter().map(|p| (&p.cell, &p.strategy)).collect();
            assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), pairs, "each pair once");
            orders.insert(order);
        }
        assert_eq!(orders.len(), 12, "no two blocks share an order");
    }

    #[test]
    fn a_plan_grows_by_a_process_round_of_its_own_and_keeps_what_it_was() {
        let exp = built_in("mixed");
        let base = build_plan(&exp, 7, 2, 2, &BTreeMap::new());
        let cells = &exp.cells()[3..5];
        let batch = BTreeMap::from([(cells[0].name.clone(), 8)]);
        let mut plan = base.clone();
        for look in 1..=2 {
            extend_plan(&mut plan, &exp, 7, look, 3, cells, &batch);
        }
        assert_eq!(plan[..base.len()], base);
        let part = 2 * exp.strategies.include.len() * 3;
        assert_eq!(plan.len(), base.len() + 2 * part);
        assert!(plan.iter().enumerate().all(|(i, p)| p.order == i as u64));
        let (first, second) = plan[base.len()..].split_at(part);
        assert!(first.iter().all(|p| (p.process, p.look) == (2, 1)), "{first:?}");
        assert!(second.iter().all(|p| (p.process, p.look) == (3, 2)), "{second:?}");
        let order = |part: &[Planned]| {
            part.iter().map(|p| (p.round, p.cell.clone(), p.strategy.clone())).collect::<Vec<_>>()
        };
        assert_ne!(order(first), order(second), "each has an order of its own");
        let mut again = base;
        extend_plan(&mut again, &exp, 7, 1, 3, cells, &batch);
        assert_eq!(again, plan[..again.len()], "which follows from the seed");
        assert!(plan.iter().all(|p| (p.batch == 8) == (p.look > 0 && p.cell == cells[0].name)));
    }

    #[test]
    fn a_dry_run_tells_how_a_budget_is_spent_and_what_refining_adds() {
        let mut exp = built_in("mixed");
        exp.measure.budget = None;
        exp.analysis_opts.refine_crossover = true;
        let shown = render(&exp);
        assert!(shown.contains("no budget") && shown.contains("at most 3 looks"), "{shown}");
        exp.measure.budget = Some(Duration::from_secs(1));
        let shown = render(&exp);
        assert!(shown.contains("half of it") && shown.contains("or the budget ends"), "{shown}");
        exp.measure.budget = Some(Duration::from_hours(9));
        exp.analysis_opts.refine_crossover = false;
        let shown = render(&exp);
        assert!(shown.contains("may be enough; what is left") && !shown.contains("refined"), "{shown}");
    }

    #[test]
    fn samples_are_as_long_as_the_number_of_pairs_allows() {
        let mut exp = built_in("mixed");
        let pairs = exp.cells().len() * exp.strategies.include.len();
        assert_eq!(sample_min(&exp), BLOCK_OF_SAMPLES.div_f64(pairs as f64));
        exp.strategies.include.truncate(1);
        exp.workload.axes.clear();
        assert_eq!(sample_min(&exp), SAMPLE_CEILING);
    }

    #[test]
    fn a_batch_suits_the_fastest_and_does_not_waste_time_on_the_slowest() {
        let us = Duration::from_micros;
        let batch = |wanted, fastest, together, strategies| {
            batch_of(us(wanted), us(fastest), us(together), strategies, SAMPLE_FLOOR)
        };
        assert_eq!(batch(4000, 100, 300, 2), 40, "what the fastest needs");
        assert_eq!(batch(4000, 10_000, 30_000, 2), 1);
        assert_eq!(batch(4000, 10, 1010, 2), 15, "2 samples of 8 ms on average");
        assert_eq!(batch(4000, 10, 1_000_000, 2), 5, "50 µs in any case");
        assert_eq!(batch(0, 0, 0, 0), 50_000, "nothing is divided by zero");
    }

    #[test]
    fn a_line_of_the_plan_reads_back() {
        let exp = built_in("cpu-bound");
        for planned in build_plan(&exp, u64::MAX, 1, 1, &BTreeMap::new()) {
            let line = serde_json::to_string(&planned).expect("written");
            assert_eq!(serde_json::from_str::<Planned>(&line).expect("read"), planned);
        }
    }

    #[test]
    fn a_forecast_knows_who_overlaps_waits() {
        let mut exp = built_in("io-bound");
        let slow = |exp: &Experiment| {
            let forecast = forecast(exp);
            let (cell, samples) = forecast.cells.last().expect("a cell").clone();
            assert_eq!(cell.name, "delay_ms=10,tasks=32");
            exp.strategies.include.iter().cloned().zip(samples).collect::<BTreeMap<_, _>>()
        };
        let times = slow(&exp);
        assert!(times["sequential"] > times["event-loop"] * 5, "{times:?}");
        assert!(times["threads"] > times["event-loop"], "a pool waits in waves: {times:?}");
        exp.measure.budget = Some(Duration::from_millis(1));
        assert_eq!(forecast(&exp).blocks_in_budget, Some(BLOCKS_MIN));
        exp.measure.budget = None;
        assert_eq!(forecast(&exp).blocks_in_budget, None);
    }

    #[test]
    fn who_waits_for_one_moment_takes_as_long_as_everybody_else() {
        let exp = built_in("idle");
        for (cell, samples) in forecast(&exp).cells {
            for (name, sample) in exp.strategies.include.iter().zip(samples) {
                let ms = sample.as_secs_f64() * 1e3;
                assert!((200.0..600.0).contains(&ms), "{name} in {}: {ms} ms", cell.name);
            }
        }
    }

    #[test]
    fn the_dry_run_shows_cells_limits_and_that_it_estimates() {
        let exp = built_in("io-bound");
        let (cells, strategies) = (exp.cells().len(), exp.strategies.include.len());
        let block =
            format!("{cells} cells × {strategies} strategies = {} samples per block", cells * strategies);
        let shown = render(&exp);
        for part in [&exp.cells()[0].name, &block, "one per task", "estimate"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }
}
