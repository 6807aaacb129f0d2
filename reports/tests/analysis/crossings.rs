//! Crossovers: one, two, none, categorical axes, two axes, contamination.
use crossover_reports::record::{Crossover, ParamValue, Params};

use crate::synthetic::{Contender, Synthetic, run};

fn grid() -> Vec<f64> {
    (0..9).map(|i| 0.3 * 3f64.powi(i)).collect()
}

fn ordered(c: &Crossover) {
    let (at, [low, high]) = (c.at.unwrap(), c.ci.unwrap());
    assert!(low < at && at < high, "{c:?}");
}

#[test]
fn one_crossing_names_who_is_faster_where() {
    let analysis =
        Synthetic::sweep(&grid(), &[("threads", |n| 80.0 + 4.0 * n), ("sequential", |n| 8.0 * n)]).analyse(1);
    let [c] = analysis.crossovers.as_slice() else { panic!("{:?}", analysis.crossovers) };
    assert_eq!((c.from.as_str(), c.to.as_str(), c.param.as_str()), ("sequential", "threads", "n"));
    ordered(c);
    assert!((18.5..21.5).contains(&c.at.unwrap()) && c.p_none < 0.01, "{c:?}");
    let zone = c.indifference.unwrap();
    assert!(zone[0] < c.at.unwrap() && c.at.unwrap() < zone[1], "{c:?}");
    assert!(analysis.headline.starts_with("threads beat sequential from n = "), "{}", analysis.headline);
}

#[test]
fn samples_without_any_noise_have_an_interval_all_the_same() {
    let sweep = Synthetic::sweep(&grid(), &[("a", |n| 8.0 * n), ("b", |n| 80.0 + 4.0 * n)]).noise(0.0, 0.0);
    let sweep = Synthetic { outliers: 0.0, ..sweep };
    for shape in [(2, 2), (5, 8)] {
        let analysis = sweep.clone().shape(shape.0, shape.1).analyse(1);
        let [c] = analysis.crossovers.as_slice() else { panic!("{:?}", analysis.crossovers) };
        ordered(c);
        assert!(c.ci.unwrap()[0] < 20.0 && 20.0 < c.ci.unwrap()[1], "{c:?}");
    }
}

#[test]
fn two_crossings_are_two_rows() {
    let analysis = Synthetic::sweep(
        &grid(),
        &[("a", |_| 100.0), ("b", |n| 100.0 * (0.4 * (n / 20.0).ln().powi(2) - 0.5).exp())],
    )
    .analyse(1);
    let rows: Vec<(&str, f64)> =
        analysis.crossovers.iter().map(|c| (c.from.as_str(), c.at.unwrap())).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    // 0.4·ln²(n/20) = 0.5
    let half = (0.5f64 / 0.4).sqrt();
    assert_eq!((rows[0].0, rows[1].0), ("a", "b"));
    for ((_, at), truth) in rows.iter().zip([20.0 * (-half).exp(), 20.0 * half.exp()]) {
        assert!((at / truth).ln().abs() < 0.15, "{at} instead of {truth}");
    }
    analysis.crossovers.iter().for_each(ordered);
}

#[test]
fn no_crossing_is_an_answer_of_its_own() {
    let analysis = Synthetic::sweep(&grid(), &[("slow", |n| 3.0 * n), ("fast", |n| n)]).analyse(1);
    let [c] = analysis.crossovers.as_slice() else { panic!("{:?}", analysis.crossovers) };
    assert_eq!((c.at, c.ci, c.from.as_str(), c.p_none), (None, None, "fast", 1.0));
    assert_eq!(c.indifference, None);
}

#[test]
fn wiggling_around_zero_is_no_string_of_crossings() {
    let analysis =
        Synthetic::sweep(&grid(), &[("a", |n| 100.0 * n), ("b", |n| 100.0 * n)]).noise(0.01, 0.02).analyse(3);
    let [c] = analysis.crossovers.as_slice() else { panic!("{:?}", analysis.crossovers) };
    assert!(c.at.is_none() && c.p_none < 0.5, "not clear, and it must say so: {c:?}");
}

#[test]
fn a_long_tie_does_not_split_a_crossing() {
    let costs: [Contender; 2] = [
        ("a", |_| 100.0),
        ("b", |n| match n {
            n if n < 5.0 => 120.0,
            n if n > 100.0 => 80.0,
            _ => 100.0,
        }),
    ];
    let analysis = Synthetic::sweep(&grid(), &costs).analyse(2);
    let [c] = analysis.crossovers.as_slice() else { panic!("{:?}", analysis.crossovers) };
    ordered(c);
    assert!(c.ci.unwrap()[0] < 10.0 && c.ci.unwrap()[1] > 30.0, "the place is unknown within the tie: {c:?}");
}

#[test]
fn every_combination_of_the_other_parameters_has_its_line() {
    let mut sweep = Synthetic::sweep(&[], &[("a", |n| n), ("b", |n| 10.0 + n / 2.0)]);
    sweep.config = "[workload]\nkernel = [\"sha256\", \"resize\"]\nn = [5, 50]\n".to_owned();
    for kernel in ["resize", "sha256"] {
        for n in [5, 50] {
            let kernel = ("kernel".to_owned(), ParamValue::Text(kernel.to_owned()));
            sweep.cells.push(Params::from([kernel, ("n".to_owned(), ParamValue::Int(n))]));
        }
    }
    let analysis = sweep.analyse(1);
    assert_eq!(analysis.axes.iter().map(|a| a.param.as_str()).collect::<Vec<_>>(), ["kernel", "n"]);
    let names: Vec<&str> = analysis.cells.iter().map(|c| c.cell.as_str()).collect();
    assert_eq!(names, ["kernel=sha256,n=5", "kernel=sha256,n=50", "kernel=resize,n=5", "kernel=resize,n=50"]);
    let fixed: Vec<String> = analysis.crossovers.iter().map(|c| c.fixed["kernel"].to_string()).collect();
    assert_eq!(fixed, ["sha256", "resize"]);
    assert!(analysis.headline.contains(" at kernel "), "{}", analysis.headline);
}

#[test]
fn a_sweep_from_zero_is_linear() {
    let xs = [0.0, 10.0, 20.0, 40.0, 80.0];
    let analysis =
        Synthetic::sweep(&xs, &[("a", |n| 100.0 + 8.0 * n), ("b", |n| 220.0 + 4.0 * n)]).analyse(1);
    let [c] = analysis.crossovers.as_slice() else { panic!("{:?}", analysis.crossovers) };
    ordered(c);
    assert!((27.0..33.0).contains(&c.at.unwrap()), "{c:?}");
    let near_zero =
        Synthetic::sweep(&xs, &[("a", |n| 100.0 + 8.0 * n), ("b", |n| 120.0 + 4.0 * n)]).analyse(1);
    assert!(near_zero.headline.contains("b overtakes a somewhere below n = 10"), "{}", near_zero.headline);
}

#[test]
fn a_crossing_at_the_edge_has_no_place_and_says_where_the_order_is_open() {
    // Below n = 0.9 they are too close to tell; from there on b is faster.
    let low = Synthetic::sweep(
        &grid(),
        &[("a", |n| 100.0 + n), ("b", |n| if n < 0.5 { 101.0 } else { 80.0 + n / 2.0 })],
    );
    let analysis = low.analyse(1);
    let [c] = analysis.crossovers.as_slice() else { panic!("{:?}", analysis.crossovers) };
    assert!(c.at.is_none() && c.from == "b", "{c:?}");
    let [from, to] = c.edge.unwrap();
    assert!(from == 0.3 && (to - 0.9).abs() < 1e-9, "{c:?}");
    let high = Synthetic::sweep(&grid(), &[("a", |n| if n > 1000.0 { n } else { 0.8 * n }), ("b", |n| n)]);
    let analysis = high.analyse(1);
    let [c] = analysis.crossovers.as_slice() else { panic!("{:?}", analysis.crossovers) };
    let [from, to] = c.edge.unwrap();
    assert!(c.at.is_none() && c.from == "a" && from < 1000.0 && to > 1900.0, "{c:?}");
    let clear = Synthetic::sweep(&grid(), &[("slow", |n| 3.0 * n), ("fast", |n| n)]).analyse(1);
    assert_eq!(clear.crossovers[0].edge, None);
    assert!(
        !serde_json::to_string(&clear.crossovers).unwrap().contains("edge"),
        "absent where it says nothing"
    );
}

#[test]
fn contaminated_or_too_short_runs_have_no_numeric_crossing() {
    let sweep = Synthetic::sweep(&grid(), &[("a", |n| n), ("b", |n| 10.0 + n / 2.0)]);
    let mut folder = sweep.measure(1);
    folder.samples.iter_mut().for_each(|s| s.foreign_cores = 0.5);
    assert!(run(&folder).crossovers.iter().all(|c| c.at.is_none()));
    assert!(sweep.clone().shape(1, 20).analyse(1).crossovers.iter().all(|c| c.at.is_none()));
    assert!(sweep.shape(3, 1).analyse(1).crossovers.iter().all(|c| c.at.is_none()));
}

#[test]
fn one_process_round_yields_a_row_without_a_place_and_says_why() {
    let sweep = |costs: &[Contender]| Synthetic::sweep(&grid(), costs).shape(1, 20).analyse(1);
    let crossing = sweep(&[("a", |n| n), ("b", |n| 10.0 + n / 2.0)]);
    let [c] = crossing.crossovers.as_slice() else { panic!("{:?}", crossing.crossovers) };
    assert!(c.at.is_none() && c.ci.is_none() && c.p_none < 0.1, "the medians do change sides: {c:?}");
    let never = sweep(&[("slow", |n| 3.0 * n), ("fast", |n| n)]);
    let [c] = never.crossovers.as_slice() else { panic!("{:?}", never.crossovers) };
    assert!(c.at.is_none() && c.from == "fast" && c.p_none > 0.9, "{c:?}");
    assert!(
        never.headline.ends_with("only one process round: at least two are needed"),
        "{}",
        never.headline
    );
}
