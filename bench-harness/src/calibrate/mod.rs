//! `crossover calibrate`: whether the verdicts of this program, on this machine, at this time, can be trusted.
//!
//! Seven tests with known answers, each through the commands that users run (`lab`): identical code ties and slower code is
//! found out (`identical`), a known crossing is covered (`crossing`), a CPU hog is noticed, a killed run goes on,
//! a report is a function of its samples (`recovery`), a stalling server's latency is seen (`open_loop`). What they find is printed as a table, and kept
//! for the reports of later runs ([`crate::calibration_file`]).
//!
//! Where other programs disturb, rows are repeated, then given up; a disturbed row never passes, and an earlier calibration
//! stays on file. A row that fails and a row that was given up both end in exit code 4, not fit to judge on, each with
//! its own sentence.
mod crossing;
mod folder;
mod identical;
pub(crate) mod lab;
mod open_loop;
mod recovery;
mod table;

use std::hint::black_box;
use std::path::PathBuf;

use anyhow::{Result, anyhow};

use self::crossing::Noise;
use self::identical::{Sides, Tally};
use self::lab::{Lab, Stop};
use self::table::Calibration;
use crate::calibration_file::Stored;
use crate::progress::Progress;
use crate::{calibration_file, interrupt, text};

/// Comparisons of identical code: in full, and for a first look.
const EXPERIMENTS: u32 = 200;
const EXPERIMENTS_QUICK: u32 = 20;

/// Sweeps with a known crossing: in full, and for a first look.
const CROSSINGS: u32 = 100;
const CROSSINGS_QUICK: u32 = 40;

/// How to calibrate.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Fewer experiments.
    pub quick: bool,
    /// Comparisons of identical code instead of the usual 200, or 20.
    pub experiments: Option<u32>,
    /// Where the runs are kept; they are removed if left out.
    pub out: Option<PathBuf>,
}

/// Calibrates, prints the table and keeps it. The value is the process's exit code: 0, 4 (a row fails
/// or is disturbed), 130 (interrupted).
///
/// # Errors
/// Whatever keeps the tests from being made: a full disk, a folder that is not empty.
pub fn execute(options: &Options) -> Result<u8> {
    let lab = Lab::open(options.out.as_deref())?;
    let calibration = match calibrate(&lab, options) {
        Ok(calibration) => calibration,
        Err(Stop::Interrupted) => {
            eprintln!("\ninterrupted; nothing was kept of this calibration");
            return Ok(interrupt::EXIT_CODE);
        }
        Err(Stop::Failed(error)) => return Err(error.context("cannot calibrate")),
    };
    text::print(&calibration.render()).map_err(|error| anyhow!("standard output: {error}"))?;
    if calibration.is_complete() {
        match calibration_file::store(&calibration.json())? {
            Stored::At(path) => eprintln!("kept in {}, from where later reports take it", path.display()),
            Stored::Fuller(path) => eprintln!(
                "not kept: {} holds a full calibration of this machine by this version, which says more; remove it to \
                 replace it by a quick one",
                path.display()
            ),
            Stored::Nowhere => eprintln!("kept nowhere: there is no place for the calibration file"),
        }
    } else {
        eprintln!("not kept: an earlier calibration of this machine stays as it was");
    }
    Ok(calibration.exit_code())
}

fn calibrate(lab: &Lab, options: &Options) -> Result<Calibration, Stop> {
    let (usual, crossings) =
        if options.quick { (EXPERIMENTS_QUICK, CROSSINGS_QUICK) } else { (EXPERIMENTS, CROSSINGS) };
    let experiments = options.experiments.unwrap_or(usual);
    let slower_experiments = experiments.div_ceil(2);
    let mut progress = Progress::new("calibrate");
    let mut noise = Noise::default();
    let same = identical::measure(lab, &mut progress, Sides::Same, experiments, &mut noise)?;
    let parallel = identical::measure(
        lab,
        &mut progress,
        Sides::Parallel,
        experiments.div_ceil(5),
        &mut Noise::default(),
    )?;
    let slower = identical::measure(lab, &mut progress, Sides::Slower, slower_experiments, &mut noise)?;
    let crossing = crossing::row(lab, &mut progress, &noise, crossings)?;
    let quiet = recovery::undisturbed(lab, &mut progress)?;
    let hog = recovery::hog(lab, &mut progress, quiet.as_ref())?;
    let open_loop = open_loop::row(lab, &mut progress)?;
    let resume = recovery::resume(lab, &mut progress)?;
    let again = recovery::again(lab, &mut progress, &[recovery::QUIET, recovery::HOG, recovery::KILLED])?;
    drop(progress);
    let rows = vec![
        same.same_row(experiments, &parallel),
        slower.slower_row(slower_experiments),
        crossing,
        hog,
        open_loop,
        resume,
        again,
    ];
    let quick = options.quick || experiments < EXPERIMENTS;
    Ok(Calibration { quick, rows, between_runs_sd: Tally::between_runs_sd(&same, &slower) })
}

/// Keeps one core busy until this process is killed: the hog of the calibration.
pub fn hog() -> ! {
    let mut x = 1_u64;
    loop {
        x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}
