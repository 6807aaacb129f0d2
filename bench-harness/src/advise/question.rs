//! What `crossover advise` is asked, who may answer, and how the work is made to fit into the time.
use std::time::Duration;

/// Threads or connections at once that are taken seriously.
pub(super) const POOL_MAX: u32 = 512;

/// More items than this get no thread of their own each.
const THREAD_EACH_MAX: u32 = 2000;

/// The longest wait or computing of one item.
pub(super) const LENGTH_MAX: Duration = Duration::from_secs(3600);

/// Estimated time that all measuring may take.
const TIME: f64 = 6.0;

/// How often everything runs: the pilot, the warm-ups of each process round, its rounds, the trace.
const PASSES: f64 = 20.0;

/// Who cannot be faster than this many times the least possible time is not measured.
const HOPELESS: f64 = 2.5;

/// Waits and computing are not made shorter than this: handing an item over costs some microseconds, a timer is late
/// by some dozens, and neither shrinks.
const WAIT_MIN: f64 = 0.002;
const COMPUTE_MIN: f64 = 0.000_1;

/// The work that somebody describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// How long an item waits.
    pub wait: Duration,
    /// How long it computes then.
    pub compute: Duration,
    /// How many items there are, all at hand at once.
    pub items: u32,
    /// Sizes of pools to try; empty tries what may fit.
    pub workers: Vec<u32>,
    /// Bytes that an item carries, to where it is computed and back.
    pub payload: u64,
}

/// A strategy with its size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contender {
    /// Its name in the experiment.
    pub(super) name: String,
    /// The built-in strategy behind it.
    pub(super) base: &'static str,
    /// The size of its pool, where it is this contender's own.
    pub(super) workers: Option<u32>,
    /// What it is, in words.
    pub(super) told: String,
    /// Items in progress at once.
    at_once: u32,
    /// Items that compute at once.
    computing: u32,
}

impl Contender {
    /// About what handing one item over takes, in seconds.
    fn handing_over(&self) -> f64 {
        match self.base {
            "sequential" => 0.0,
            "event-loop" | "work-stealing" => 0.5e-6,
            "threads" | "blocking-pool" => 5e-6,
            _ => 25e-6,
        }
    }

    /// No implementation of it can be faster, in seconds.
    pub(super) fn least(&self, work: &Work) -> f64 {
        let items = f64::from(work.items);
        let computing = items * work.compute / f64::from(self.computing) + work.wait;
        let turns = (items / f64::from(self.at_once)).ceil();
        computing.max(turns * (work.wait + work.compute))
    }
}

/// The work as numbers: seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Work {
    pub(super) wait: f64,
    pub(super) compute: f64,
    pub(super) items: u32,
}

/// The work that is measured, and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scaled {
    pub(super) work: Work,
    /// Waits and computing are this many times as long in truth.
    pub(super) times: f64,
    /// There are this many times as many items in truth.
    pub(super) items: f64,
}

impl Scaled {
    /// Whether it is another work than the one that it stands for.
    pub(super) fn is_scaled(&self) -> bool {
        self.times > 1.0 || self.items > 1.0
    }
}

impl Question {
    pub(super) fn work(&self) -> Work {
        Work { wait: self.wait.as_secs_f64(), compute: self.compute.as_secs_f64(), items: self.items }
    }

    /// Everybody who may answer, the simplest first; `cores` are those that may be used.
    pub(super) fn contenders(&self, cores: u32) -> Vec<Contender> {
        let one = |name: &str, base, workers, told: String, at_once: u32, computing: u32| Contender {
            name: name.to_owned(),
            base,
            workers,
            told,
            at_once: at_once.clamp(1, self.items),
            computing: computing.clamp(1, cores),
        };
        let all = self.items;
        let mut found = vec![
            one("sequential", "sequential", None, "one item after another on one thread".into(), 1, 1),
            one("event-loop", "event-loop", None, "an event loop on one thread".into(), all, 1),
        ];
        for size in self.sizes(cores) {
            let (name, told) = (format!("threads-{size}"), format!("a pool of {}", count(size, "thread")));
            found.push(one(&name, "threads", Some(size), told, size, size));
        }
        if all <= THREAD_EACH_MAX {
            found.push(one(
                "thread-per-task",
                "thread-per-task",
                None,
                "a thread for every item".into(),
                all,
                all,
            ));
        }
        let workers = count(cores, "worker");
        found.push(one("work-stealing", "work-stealing", None, format!("async on {workers}"), all, cores));
        let told = format!("async on {workers} with a blocking pool");
        found.push(one("blocking-pool", "blocking-pool", None, told, all, cores));
        let processes = if self.workers.is_empty() { vec![cores] } else { self.workers.clone() };
        // A process is a far larger thing than a thread.
        for size in processes.into_iter().filter(|&size| size <= 4 * cores) {
            let told = format!("a pool of {} worker process{}", size, if size == 1 { "" } else { "es" });
            found.push(one(&format!("processes-{size}"), "processes", Some(size), told, size, size));
        }
        found
    }

    /// Sizes of thread pools: as many as cores, as many as keep all cores busy by the ratio of waiting to computing, and
    /// steps between and beyond.
    fn sizes(&self, cores: u32) -> Vec<u32> {
        if !self.workers.is_empty() {
            return self.workers.clone();
        }
        let most = self.items.clamp(1, POOL_MAX);
        let work = self.work();
        let busy = f64::from(cores) * (1.0 + work.wait / work.compute.max(1e-9));
        let busy = if busy >= f64::from(most) { most } else { busy.ceil() as u32 };
        let mut sizes: Vec<u32> = [cores, busy / 4, busy, busy.saturating_mul(2)]
            .into_iter()
            .filter(|&size| size >= cores)
            .map(|size| size.min(most))
            .collect();
        if work.wait == 0.0 {
            sizes = vec![cores.min(most)];
        }
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

/// Splits the contenders into those worth measuring and those that cannot come near.
pub(super) fn hopeful(contenders: Vec<Contender>, work: &Work) -> (Vec<Contender>, Vec<Contender>) {
    let least = contenders.iter().map(|c| c.least(work)).fold(f64::INFINITY, f64::min);
    contenders.into_iter().partition(|c| c.least(work) <= HOPELESS * least)
}

/// Makes the work fit into the time: first shorter waits and computing, alike, then fewer items, and where that is not enough,
/// because one of wait and computing is by far the longer, even shorter ones.
pub(super) fn fit(work: Work, contenders: &[Contender]) -> Scaled {
    let mut scaled = Scaled { work, times: 1.0, items: 1.0 };
    let excess = cost(&work, contenders) / TIME;
    if excess > 1.0 {
        let room = |length: f64, least: f64| if length > least { length / least } else { 1.0 };
        let most = room(work.wait, WAIT_MIN).min(match work.compute {
            c if c > COMPUTE_MIN => room(c, COMPUTE_MIN),
            // Too short to matter beside the waits.
            _ => f64::INFINITY,
        });
        // Without a wait only the computing limits it.
        let most = if work.wait == 0.0 { room(work.compute, COMPUTE_MIN) } else { most };
        scaled.times = excess.clamp(1.0, most.max(1.0));
        scaled.work.wait = work.wait / scaled.times;
        scaled.work.compute = work.compute / scaled.times;
    }
    let excess = cost(&scaled.work, contenders) / TIME;
    if excess > 1.0 {
        // Pools must still have several turns, or all sizes look alike; those far beyond what keeps the cores busy do anyway.
        let pool = contenders.iter().filter_map(|c| c.workers).max().unwrap_or(1);
        let cores = contenders.iter().map(|c| c.computing).max().unwrap_or(1);
        let busy = f64::from(cores) * (1.0 + work.wait / work.compute.max(1e-9));
        let pool = pool.min((2.0 * busy).ceil() as u32);
        let least = pool.saturating_mul(2).clamp(16, work.items.max(16));
        let items = ((f64::from(work.items) / excess) as u32).max(least).min(work.items);
        scaled.work.items = items;
        scaled.items = f64::from(work.items) / f64::from(items);
    }
    let excess = cost(&scaled.work, contenders) / TIME;
    if excess > 1.0 {
        let most = (scaled.work.wait / WAIT_MIN).max(scaled.work.compute / COMPUTE_MIN);
        let times = excess.clamp(1.0, most.max(1.0));
        scaled.times *= times;
        scaled.work.wait /= times;
        scaled.work.compute /= times;
    }
    scaled
}

/// Estimated time of measuring: all contenders, and the oracle once.
fn cost(work: &Work, contenders: &[Contender]) -> f64 {
    let oracle = f64::from(work.items) * (work.wait + work.compute);
    let handing_over = |c: &Contender| f64::from(work.items) * c.handing_over();
    oracle + PASSES * contenders.iter().map(|c| c.least(work) + handing_over(c)).sum::<f64>()
}

/// Reads a length of time as people write it for an item: `200ms`, `50us`, `1.5s`, `0`.
///
/// # Errors
/// The reason, as a sentence that shows `text`.
pub fn parse_length(text: &str) -> Result<Duration, String> {
    let shown = crate::config::shown(text);
    let form = || format!("\"{shown}\" is not a length of time: write 200ms, 50us, 1.5s or 0");
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    let at = trimmed.find(|c: char| c.is_alphabetic()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(at);
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "" => return Err(format!("\"{shown}\" has no unit: write 200ms, 50us or 1.5s")),
        _ => return Err(form()),
    };
    let number: f64 = number.trim().parse().map_err(|_| form())?;
    if number < 0.0 {
        return Err(format!("\"{shown}\" is impossible: time cannot be negative"));
    }
    let length = number * seconds;
    if length > LENGTH_MAX.as_secs_f64() {
        return Err(format!("\"{shown}\" is too long for one item: at most an hour"));
    }
    if !length.is_finite() {
        return Err(form());
    }
    Ok(Duration::from_secs_f64(length))
}

pub(super) fn count(n: u32, noun: &str) -> String {
    crate::text::count(n, noun)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(wait_ms: u64, compute_us: u64, items: u32) -> Question {
        let (wait, compute) = (Duration::from_millis(wait_ms), Duration::from_micros(compute_us));
        Question { wait, compute, items, workers: Vec::new(), payload: 0 }
    }

    fn names(contenders: &[Contender]) -> Vec<&str> {
        contenders.iter().map(|c| c.name.as_str()).collect()
    }

    #[test]
    fn lengths_are_read_as_people_write_them() {
        for (text, nanos) in [
            ("200ms", 200_000_000),
            ("50us", 50_000),
            ("50 µs", 50_000),
            ("1.5s", 1_500_000_000),
            ("0", 0),
            ("0ms", 0),
        ] {
            assert_eq!(parse_length(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for (text, reason) in [
            ("", "no unit"),
            ("5", "no unit"),
            ("-5ms", "negative"),
            ("2h", "not a length"),
            ("61m", "too long"),
            ("1e99s", "not a length"),
            ("99999999s", "too long"),
            ("nans", "not a length"),
            ("inf", "not a length"),
            ("ms", "not a length"),
        ] {
            let error = parse_length(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn pools_have_sizes_that_make_a_difference() {
        assert_eq!(question(200, 5000, 100).sizes(2), [2, 20, 82, 100]);
        assert_eq!(question(0, 5000, 100).sizes(2), [2]);
        assert_eq!(question(0, 5000, 1).sizes(8), [1]);
        assert_eq!(question(1000, 0, 100_000).sizes(2), [2, 128, 512]);
        let own = Question { workers: vec![3, 7], ..question(200, 5000, 100) };
        assert_eq!(own.sizes(2), [3, 7]);
    }

    #[test]
    fn who_cannot_come_near_is_not_measured() {
        let waits = question(200, 5000, 100);
        let (hopeful, hopeless) = hopeful(waits.contenders(2), &waits.work());
        assert!(names(&hopeless).contains(&"sequential") && names(&hopeless).contains(&"processes-2"));
        assert!(names(&hopeful).contains(&"event-loop") && names(&hopeful).contains(&"threads-82"));
        let computes = question(0, 5000, 100);
        let (hopeful, _) = super::hopeful(computes.contenders(2), &computes.work());
        assert!(names(&hopeful).contains(&"sequential") && names(&hopeful).contains(&"processes-2"));
    }

    #[test]
    fn many_sizes_that_must_look_alike_are_measured_with_few_items() {
        let question = Question { workers: vec![1, 2, 4, 8, 16, 32, 64, 128], ..question(50, 50_000, 1000) };
        let (hopeful, _) = hopeful(question.contenders(2), &question.work());
        assert!(names(&hopeful).contains(&"threads-128") && hopeful.len() >= 10, "{hopeful:?}");
        let scaled = fit(question.work(), &hopeful);
        assert!(cost(&scaled.work, &hopeful) <= TIME * 1.5, "{scaled:?}");
        // Where only waits matter, all sizes differ and need their turns.
        let question = Question { workers: vec![64, 512], ..self::question(50, 0, 2000) };
        let scaled = fit(question.work(), &super::hopeful(question.contenders(2), &question.work()).0);
        assert!(scaled.work.items >= 1024, "{scaled:?}");
    }

    #[test]
    fn work_that_fits_is_measured_as_it_is_and_other_work_is_scaled() {
        let fit = |q: &Question| {
            let (hopeful, _) = hopeful(q.contenders(2), &q.work());
            let scaled = super::fit(q.work(), &hopeful);
            (scaled, cost(&scaled.work, &hopeful))
        };
        let (small, _) = fit(&question(1, 20, 20));
        assert_eq!((small.times, small.items), (1.0, 1.0));
        for (wait_ms, compute_us, items) in [
            (200, 5000, 100),
            (0, 50_000, 100),
            (3_600_000, 0, 10),
            (200, 5000, 100_000),
            (0, 3_600_000_000, 100_000),
            (3_600_000, 3_600_000_000, 100_000),
            (1, 1, 100_000),
            (10, 1_000_000, 100),
            (1000, 1000, 100),
            (60_000, 0, 100_000),
        ] {
            let question = question(wait_ms, compute_us, items);
            let (scaled, cost) = fit(&question);
            assert!(cost <= TIME * 2.0, "{question:?}: {scaled:?} takes {cost:.1} s");
            let whole = question.work();
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.max(b);
            assert!(close(scaled.work.wait * scaled.times, whole.wait), "{scaled:?}");
            assert!(close(scaled.work.compute * scaled.times, whole.compute), "{scaled:?}");
            assert!(close(f64::from(scaled.work.items) * scaled.items, f64::from(whole.items)), "{scaled:?}");
        }
    }
}
