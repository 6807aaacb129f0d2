//! Model checks of the detector, the real one. Its thread does here what it does at each tick, without the ticks; a
//! threshold and a patience of zero make every poll that is seen twice a stall, whatever the time.

use super::*;
use crate::models::model;
use loom::thread;

/// What was reported: the line, the task, and whether it was over.
type Reports = Arc<std::sync::Mutex<Vec<(u32, Option<Id>, bool)>>>;

/// Of one worker, without patience or with far too much of it; the reports, and two polls that differ in all words.
fn detector(patience: Duration) -> (Arc<Detector>, Reports, [Subject; 2]) {
    let reports = Reports::default();
    let callback: Callback = {
        let reports = Arc::clone(&reports);
        Arc::new(move |stall| {
            let report = (stall.location.line(), stall.task, stall.over);
            reports.lock().expect("no report panics").push(report);
        })
    };
    let detector = Detector::with_patience(1, Duration::ZERO, patience, Some(callback));
    let subjects = [
        Subject { location: Location::caller(), task: Id::from_bits(7) },
        Subject { location: elsewhere(), task: Id::from_bits(9) },
    ];
    (Arc::new(detector), reports, subjects)
}

fn elsewhere() -> &'static Location<'static> {
    Location::caller()
}

/// Each report is of one poll, no poll has two, and every one that was counted has one.
fn check(detector: &Detector, reports: &Reports, subjects: &[Subject]) -> usize {
    let reports = reports.lock().expect("no report panics");
    for (n, &(line, task, _)) in reports.iter().enumerate() {
        assert!(subjects.iter().any(|of| (of.location.line(), of.task) == (line, task)), "of two polls");
        assert!(reports[..n].iter().all(|other| other.0 != line), "reported twice");
    }
    assert!(detector.long_polls(0) <= reports.len() as u64, "a stall that was counted and not reported");
    reports.len()
}

/// The poll ends while the detector loses its patience: one of the two reports it.
#[test]
fn a_stall_is_reported_by_its_end_or_by_the_detector() {
    model(3, || {
        let (detector, reports, subjects) = detector(Duration::ZERO);
        let looks = {
            let detector = Arc::clone(&detector);
            thread::spawn(move || (0..3).for_each(|_| detector.look(0)))
        };
        detector.around(0, subjects[0], || ());
        looks.join().unwrap();
        check(&detector, &reports, &subjects);
    });
}

/// The words of one poll are replaced by those of the next while the detector reads them.
#[test]
fn what_is_reported_belongs_to_one_poll() {
    model(3, || {
        let (detector, reports, subjects) = detector(Duration::ZERO);
        let looks = {
            let detector = Arc::clone(&detector);
            thread::spawn(move || (0..2).for_each(|_| detector.look(0)))
        };
        subjects.iter().for_each(|&subject| detector.around(0, subject, || ()));
        looks.join().unwrap();
        check(&detector, &reports, &subjects);
    });
}

/// A poll that lasts until the detector has looked twice is reported, also by a detector without patience; and only once.
#[test]
fn a_poll_that_is_seen_twice_is_reported() {
    for patience in [Duration::ZERO, Duration::MAX] {
        model(3, move || {
            let (detector, reports, subjects) = detector(patience);
            detector.around(0, subjects[0], || {
                let looks = {
                    let detector = Arc::clone(&detector);
                    thread::spawn(move || (0..3).for_each(|_| detector.look(0)))
                };
                looks.join().unwrap();
            });
            assert_eq!(check(&detector, &reports, &subjects[..1]), 1);
            assert_eq!(detector.long_polls(0), 1);
            assert_eq!(reports.lock().expect("no report panics")[0].2, patience > Duration::ZERO);
        });
    }
}

/// The seat goes to another thread in the middle of a poll: the end of that poll leaves the words alone, which are the
/// other thread's; and what is reported afterwards is of that thread's poll.
#[test]
fn a_seat_that_is_handed_over_in_a_poll_is_the_other_threads() {
    model(3, || {
        let (detector, reports, subjects) = detector(Duration::ZERO);
        let looks = {
            let detector = Arc::clone(&detector);
            thread::spawn(move || (0..2).for_each(|_| detector.look(0)))
        };
        let mut deputy = None;
        detector.around(0, subjects[0], || {
            detector.hand_over(0);
            let detector = Arc::clone(&detector);
            deputy = Some(thread::spawn(move || detector.around(0, subjects[1], || ())));
        });
        deputy.expect("it was started").join().unwrap();
        looks.join().unwrap();
        assert_eq!(detector.workers[0].number.load(Ordering::Relaxed), 4, "two polls");
        check(&detector, &reports, &subjects);
    });
}

/// While a worker is not parked the detector does not sleep: otherwise this ends in a deadlock.
#[test]
fn a_worker_that_wakes_wakes_the_detector() {
    model(3, || {
        let detector = Arc::new(Detector::new(2, Duration::from_secs(1), None));
        [0, 1].into_iter().for_each(|worker| detector.park(worker));
        let sleeper = {
            let detector = Arc::clone(&detector);
            thread::spawn(move || assert!(!*detector.while_all_parked(), "nobody has closed it"))
        };
        // One of them wakes, sleeps and wakes again, and stays awake.
        detector.unpark(0);
        detector.park(0);
        detector.unpark(0);
        sleeper.join().unwrap();
    });
}

/// The end comes while the detector sleeps, or falls asleep, or is about to look.
#[test]
fn the_end_of_the_runtime_ends_the_detector() {
    model(3, || {
        let detector = Arc::new(Detector::new(1, Duration::from_secs(1), None));
        detector.park(0);
        let sleeper = {
            let detector = Arc::clone(&detector);
            thread::spawn(move || while !*detector.while_all_parked() {})
        };
        detector.close();
        sleeper.join().unwrap();
    });
}
