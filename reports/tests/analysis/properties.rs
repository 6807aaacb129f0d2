//! Whatever valid samples say, the analysis neither panics nor breaks its promises.
use crossover_reports::analysis::model::Analysis;
use crossover_reports::load::Folder;
use crossover_reports::record::{ParamValue, Params, Sample, VerdictKind};
use proptest::prelude::*;

use crate::synthetic::{Synthetic, run, sample};

fn value() -> impl Strategy<Value = ParamValue> {
    prop_oneof![
        (-3i64..6).prop_map(ParamValue::Int),
        Just(ParamValue::Int(i64::MAX)),
        prop_oneof![Just(0.5), Just(-0.0), Just(1e300), Just(-1e300), Just(5e-324), Just(f64::MAX)]
            .prop_map(ParamValue::Float),
        "[ab]?".prop_map(ParamValue::Text),
    ]
}

fn wall() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), 900u64..1100, any::<u64>()]
}

prop_compose! {
    fn any_sample()(
        params in proptest::collection::btree_map("[xy]", value(), 0..3),
        strategy in "[abc]",
        process in prop_oneof![0u32..3, Just(u32::MAX)],
        round in prop_oneof![0u32..3, Just(u32::MAX)],
        order in 0u64..50,
        wall_ns in wall(),
        cpu in wall(),
        odd in 0u32..40,
    ) -> Sample {
        let params: Params = params;
        let mut s = sample(&params, &strategy, [process, round], order, wall_ns);
        (s.user_ns, s.sys_ns, s.tasks) = (cpu, cpu, u64::from(odd));
        match odd {
            0 => s.quarantined = Some("load".to_owned()),
            1 => s.foreign_cores = 1e308,
            2 => (s.ok, s.error) = (false, Some("failed".to_owned())),
            3 => s.checksum = "odd".to_owned(),
            4 => (s.ok, s.checksum) = (false, String::new()),
            5 => s.server_cpu_ns = Some(u64::MAX),
            _ => {}
        }
        s
    }
}

fn check(analysis: &Analysis) {
    assert!(!analysis.headline.is_empty() && !analysis.headline.contains("NaN"));
    for verdict in analysis.cells.iter().filter_map(|c| c.verdict.as_ref()) {
        let winner = verdict.winner.as_ref().unwrap();
        assert!(verdict.best.contains(winner), "{verdict:?}");
        assert!(!verdict.versus.contains_key(winner));
        assert_eq!(verdict.best.len() == 1, verdict.verdict == VerdictKind::Wins, "{verdict:?}");
        for versus in verdict.versus.values() {
            let [low, high] = versus.ci;
            assert!(
                low.is_finite() && high.is_finite() && low < versus.ratio && versus.ratio < high,
                "{versus:?}"
            );
        }
    }
    for c in &analysis.crossovers {
        assert!((0.0..=1.0).contains(&c.p_none), "{c:?}");
        if let (Some(at), Some([low, high])) = (c.at, c.ci) {
            assert!(low < at && at < high, "{c:?}");
        }
        assert_eq!(c.at.is_some(), c.ci.is_some());
    }
    let text = serde_json::to_string(&analysis.crossovers).unwrap();
    assert!(analysis.crossovers.iter().all(|c| c.at.is_none_or(f64::is_finite)), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_samples(samples in proptest::collection::vec(any_sample(), 0..120)) {
        let folder = Folder { samples, ..Synthetic::one_cell(&[]).measure(0) };
        check(&run(&folder));
    }

    #[test]
    fn arbitrary_times_on_a_full_grid(walls in proptest::collection::vec(wall(), 3 * 2 * 2 * 5)) {
        let mut folder = Synthetic::sweep(&[0.0, 1.0, 2.0, 1e6, 1e300], &[("a", |n| n), ("b", |n| n)]).shape(3, 2).measure(0);
        for (sample, wall_ns) in folder.samples.iter_mut().zip(walls) {
            sample.wall_ns = wall_ns;
        }
        check(&run(&folder));
    }
}
