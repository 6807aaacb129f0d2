//! Samples with a known truth: true costs, an effect per process, noise per round, slow outliers.
use crossover_reports::Options;
use crossover_reports::analysis::{analyse, model::Analysis};
use crossover_reports::load::Folder;
use crossover_reports::record::{ParamValue, Params, Sample, Verdict, cell_name};
use crossover_reports::settings::Settings;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A strategy's name, and its true cost in microseconds by n.
pub(crate) type Contender = (&'static str, fn(f64) -> f64);

/// An experiment that can be measured any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Synthetic {
    pub(crate) config: String,
    pub(crate) cells: Vec<Params>,
    pub(crate) strategies: Vec<Contender>,
    pub(crate) processes: u32,
    pub(crate) rounds: u32,
    /// Standard deviations of a strategy's time between processes and between rounds.
    pub(crate) noise: [f64; 2],
    /// Share of samples that are up to 30 % slower.
    pub(crate) outliers: f64,
}

impl Synthetic {
    /// One cell without parameters; 5 processes of 8 rounds with 0.5 % and 1 % of noise and some outliers.
    pub(crate) fn one_cell(strategies: &[Contender]) -> Self {
        Self {
            config: String::new(),
            cells: vec![Params::new()],
            strategies: strategies.to_vec(),
            processes: 5,
            rounds: 8,
            noise: [0.005, 0.01],
            outliers: 0.03,
        }
    }

    /// A sweep of `n` over `xs`; a strategy's cost is its function of n, in microseconds.
    pub(crate) fn sweep(xs: &[f64], strategies: &[Contender]) -> Self {
        let cells = xs.iter().map(|&x| Params::from([("n".to_owned(), ParamValue::Float(x))])).collect();
        Self { cells, ..Self::one_cell(strategies) }
    }

    pub(crate) fn shape(self, processes: u32, rounds: u32) -> Self {
        Self { processes, rounds, ..self }
    }

    pub(crate) fn noise(self, process: f64, round: f64) -> Self {
        Self { noise: [process, round], ..self }
    }

    /// Measures everything once.
    pub(crate) fn measure(&self, seed: u64) -> Folder {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut samples = Vec::new();
        for process in 0..self.processes {
            let layout: Vec<f64> = (0..self.cells.len() * self.strategies.len())
                .map(|_| normal(&mut rng) * self.noise[0])
                .collect();
            for round in 0..self.rounds {
                for (c, params) in self.cells.iter().enumerate() {
                    for (s, (strategy, cost)) in self.strategies.iter().enumerate() {
                        let x = params.get("n").and_then(ParamValue::as_f64).unwrap_or(1.0);
                        let mut log =
                            layout[c * self.strategies.len() + s] + normal(&mut rng) * self.noise[1];
                        if rng.random::<f64>() < self.outliers {
                            log += 0.3 * rng.random::<f64>();
                        }
                        let wall_ns = (cost(x) * 1e3 * log.exp()).round() as u64;
                        let order = samples.len() as u64;
                        samples.push(sample(params, strategy, [process, round], order, wall_ns));
                    }
                }
            }
        }
        Folder {
            dir: "synthetic".into(),
            settings: Settings::parse(&self.config, "config.toml".as_ref(), "synthetic").unwrap(),
            samples,
            env: None,
            warmups: Vec::new(),
            timelines: Vec::new(),
            looks: Vec::new(),
        }
    }

    pub(crate) fn analyse(&self, seed: u64) -> Analysis {
        run(&self.measure(seed))
    }
}

/// One good sample.
pub(crate) fn sample(
    params: &Params,
    strategy: &str,
    [process, round]: [u32; 2],
    order: u64,
    wall_ns: u64,
) -> Sample {
    Sample {
        schema: 1,
        run: "r-test".to_owned(),
        cell: cell_name(params),
        params: params.clone(),
        strategy: strategy.to_owned(),
        process,
        round,
        order,
        seed: 42,
        batch: 1,
        tasks: 8,
        wall_ns,
        user_ns: wall_ns,
        sys_ns: 0,
        rss_peak_kib: 4096,
        vcsw: 3,
        ivcsw: 1,
        steal_ticks: 0,
        foreign_cores: 0.02,
        psi_cpu: None,
        server_cpu_ns: None,
        checksum: "9c1f".to_owned(),
        ok: true,
        error: None,
        unfit: false,
        quarantined: None,
        latency: None,
        rate: None,
        achieved_rate: None,
        generator_lag_ns: None,
        generator_cpu_ns: None,
        overhead_ns: None,
    }
}

/// Analyses with fewer replicates than usual: these tests run unoptimised.
pub(crate) fn run(folder: &Folder) -> Analysis {
    analyse(folder, &Options { bootstrap: 300, seed: 7 })
}

/// The verdict of the only cell.
pub(crate) fn verdict(analysis: &Analysis) -> &Verdict {
    assert_eq!(analysis.cells.len(), 1);
    analysis.cells[0].verdict.as_ref().unwrap()
}

pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
