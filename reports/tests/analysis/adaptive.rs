//! Runs that measure more where it is needed: ragged process rounds, refined points, and looks that stop when they please.
use std::collections::BTreeSet;

use crossover_reports::analysis::model::Analysis;
use crossover_reports::load::Folder;
use crossover_reports::record::{Params, VerdictKind, cell_name};
use crossover_reports::{Options, needs};

use crate::synthetic::{Synthetic, run};

const OPTIONS: Options = Options { bootstrap: 200, seed: 7 };

/// Measures the base, then looks and measures what is needed, up to `looks` more process rounds.
fn adapt(base: &Synthetic, seed: u64, looks: u32) -> (Folder, u32) {
    let mut folder = base.measure(seed);
    let mut plan = base.clone();
    for look in 0..looks {
        let needs = needs(&folder.samples, &folder.settings, &OPTIONS);
        if needs.is_empty() {
            return (folder, look);
        }
        let known: Vec<Params> = plan.cells.clone();
        plan.cells.extend(needs.refine.iter().cloned());
        let open: BTreeSet<&String> = needs.undecided.iter().collect();
        let again = known.into_iter().filter(|cell| open.contains(&cell_name(cell)));
        let part = Synthetic { cells: again.chain(needs.refine).collect(), processes: 1, ..base.clone() };
        let (process, order) = (base.processes + look, folder.samples.len() as u64);
        let part = part.measure(seed ^ (u64::from(look) + 1) << 40).samples;
        folder.samples.extend(
            part.into_iter().zip(order..).map(|(s, order)| crossover_reports::record::Sample {
                process,
                order,
                ..s
            }),
        );
    }
    (folder, looks)
}

fn kinds(analysis: &Analysis, kind: VerdictKind) -> usize {
    analysis.cells.iter().filter(|c| c.verdict.as_ref().is_some_and(|v| v.verdict == kind)).count()
}

#[test]
fn identical_code_ties_after_any_number_of_looks() {
    // A quiet machine's noise, from a base as small as a base may be.
    let same = Synthetic::sweep(&[1.0, 2.0, 3.0, 4.0], &[("a", |_| 1000.0), ("b", |_| 1000.0)]).shape(2, 4);
    let (mut cells, mut ties, mut wins) = (0, 0, 0);
    for seed in 0..50 {
        let (folder, _) = adapt(&same, seed, 12);
        let analysis = run(&folder);
        cells += analysis.cells.len();
        ties += kinds(&analysis, VerdictKind::Tie);
        wins += kinds(&analysis, VerdictKind::Wins);
    }
    assert!(
        cells == 200 && ties * 100 >= cells * 95 && wins * 100 <= cells,
        "{ties} ties, {wins} wins of {cells}"
    );
}

#[test]
fn looking_often_makes_no_false_wins() {
    // Noise in which nothing is decided soon: between rounds, between processes, and both.
    for (name, noise) in [("rounds", [0.005, 0.06]), ("processes", [0.02, 0.01]), ("both", [0.02, 0.06])] {
        let same = Synthetic::sweep(&[1.0, 2.0, 3.0, 4.0], &[("a", |_| 1000.0), ("b", |_| 1000.0)])
            .shape(3, 4)
            .noise(noise[0], noise[1]);
        let (mut cells, mut wins, mut looked) = (0, 0, 0);
        for seed in 0..50 {
            let (folder, looks) = adapt(&same, seed, 12);
            let analysis = run(&folder);
            cells += analysis.cells.len();
            wins += kinds(&analysis, VerdictKind::Wins);
            looked += looks;
        }
        println!("{name}: {wins} wins of {cells}, {looked} looks");
        assert!(wins * 100 <= cells && looked > 100, "{name}: {wins} wins of {cells}, {looked} looks");
    }
}

#[test]
fn a_real_difference_is_found_by_more_rounds() {
    let slower =
        Synthetic::sweep(&[1.0, 2.0], &[("a", |_| 1000.0), ("b", |_| 1100.0)]).shape(2, 3).noise(0.01, 0.04);
    let (mut before, mut after) = (0, 0);
    for seed in 0..30 {
        before += kinds(&slower.analyse(seed), VerdictKind::Wins);
        after += kinds(&run(&adapt(&slower, seed, 15).0), VerdictKind::Wins);
    }
    assert!(after >= 54 && after > 2 * before, "{before} of 60 at the base, {after} with looks");
}

#[test]
fn refined_crossings_cover_the_truth_and_become_narrow() {
    let xs: Vec<f64> = (0..7).map(|i| 0.3 * 4f64.powi(i)).collect();
    let mut sweep =
        Synthetic::sweep(&xs, &[("sequential", |n| 8.0 * n), ("threads", |n| 80.0 + 4.0 * n)]).shape(3, 5);
    sweep.config = "[analysis]\nrefine_crossover = true\n".to_owned();
    let (mut covered, mut narrow, mut points) = (0, 0, 0);
    for seed in 0..100 {
        let (folder, _) = adapt(&sweep, seed, 10);
        let analysis = run(&folder);
        let [c] = analysis.crossovers.as_slice() else { panic!("{:?}", analysis.crossovers) };
        let [low, high] = c.ci.unwrap();
        covered += u32::from(low <= 20.0 && 20.0 <= high);
        narrow += u32::from(high / low < 1.1);
        points += analysis.cells.len() - xs.len();
    }
    println!("{covered} covered, {narrow} narrower than 10 %, {points} points in 100 runs");
    assert!(covered >= 92, "{covered} of 100");
    assert!(narrow >= 90, "{narrow} of 100 are narrower than 10 %");
    assert!(points <= 800, "{points} points in 100 runs");
}

#[test]
fn whole_numbers_stay_whole_and_distinct() {
    let mut sweep = Synthetic::sweep(&[], &[("a", |n| 8.0 * n), ("b", |n| 80.0 + 4.0 * n)]).shape(3, 4);
    sweep.config = "[analysis]\nrefine_crossover = true\n".to_owned();
    for n in [1, 8, 64, 512] {
        sweep.cells.push(Params::from([("n".to_owned(), crossover_reports::record::ParamValue::Int(n))]));
    }
    let (folder, _) = adapt(&sweep, 3, 10);
    let names: BTreeSet<&str> = folder.samples.iter().map(|s| s.cell.as_str()).collect();
    assert!(names.len() > 4, "{names:?}");
    assert!(names.iter().all(|name| !name.contains('.')), "{names:?}");
    let lone = Synthetic { config: String::new(), ..sweep };
    let folder = lone.measure(3);
    assert!(
        needs(&folder.samples, &folder.settings, &OPTIONS).refine.is_empty(),
        "only where the file asks for it"
    );
}

#[test]
fn what_cannot_be_judged_is_not_measured_again() {
    let two = Synthetic::one_cell(&[("a", |_| 1000.0), ("b", |_| 1010.0)]).noise(0.03, 0.2).shape(3, 3);
    let mut folder = two.measure(1);
    assert_eq!(needs(&folder.samples, &folder.settings, &OPTIONS).undecided, [""]);
    folder.samples[4].checksum = "odd".to_owned();
    assert!(needs(&folder.samples, &folder.settings, &OPTIONS).is_empty(), "a mismatch");
    let one = Synthetic::one_cell(&[("a", |_| 1000.0)]).measure(1);
    assert!(needs(&one.samples, &one.settings, &OPTIONS).is_empty(), "nothing to compare with");
    assert!(needs(&[], &folder.settings, &OPTIONS).is_empty());
}
