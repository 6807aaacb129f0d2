//! What looks at, or exhausts, things that belong to the whole process. So each of these runs in a process of its own.

use super::*;
use crate::process_pool::descriptor::{LOWEST, high_copy};
use nix::libc;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    collections::HashSet,
    env, fs, io,
    os::{
        fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
    thread,
};

/// Runs `body` in a copy of this program in which nothing else happens.
fn alone(body: impl FnOnce()) {
    const MARK: &str = "CROSSOVER_TEST_ALONE";
    if env::var_os(MARK).is_some() {
        return body();
    }
    let name = thread::current().name().expect("the test's").to_owned();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([&name, "--exact", "--nocapture", "--test-threads=1"]).env(MARK, "1");
    // What was passed on to us has no part in it: which numbers are free is the same wherever it runs.
    let forget_inherited = || {
        // SAFETY: async-signal-safe, and it closes nothing before the exec.
        match unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: see there.
    unsafe { command.pre_exec(forget_inherited) };
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

/// Descriptors and mappings of segments.
fn holdings() -> (usize, usize) {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let ours = descriptors.filter(|entry| {
        let target = entry.as_ref().ok().and_then(|entry| fs::read_link(entry.path()).ok());
        target.is_some_and(|target| target.to_string_lossy().contains("crossover-blob"))
    });
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (ours.count(), maps.lines().filter(|line| line.contains("crossover-blob")).count())
}

/// Runs `body` without a descriptor to spare.
fn without_descriptors<T>(body: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Nofile);
    // Some of the lower numbers are free, too: those do not count, as they are not used in the end.
    let next = high_copy(io::stdin()).unwrap().as_raw_fd();
    let limit = Rlimit { current: Some(next as u64), maximum: before.maximum };
    setrlimit(Resource::Nofile, limit).unwrap();
    let result = body();
    setrlimit(Resource::Nofile, before).unwrap();
    result
}

#[test]
fn nothing_is_left_when_all_is_over() {
    alone(|| {
        let start = holdings();
        let cached = CacheUse::new(64 << 20);
        let (mut a, mut b) = (Pair::new(), Pair::new());
        let mut statics = Vec::new();
        for round in 0..200 {
            let blob = Blob::from(bytes(LEAST << (round % 4)));
            let argument: (Blob, Vec<u8>) = decode(&a.down(&(&blob, bytes(LEAST + round)))).unwrap();
            let result: Blob = decode(&a.up(&(&argument.0))).unwrap();
            let made: Vec<Blob> = decode(&a.up(&vec![Blob::from(argument.1), argument.0.clone()])).unwrap();
            let forwarded: Vec<Blob> = decode(&b.down(&made)).unwrap();
            assert!(forwarded[1] == result && forwarded[0].len() == LEAST + round);
            if round % 10 == 0 {
                statics.push(forwarded[0].clone());
            }
            a.settle();
            b.settle();
        }
        assert!(holdings().0 > start.0);
        drop((a, b));
        let sum: usize = statics.iter().map(|blob| blob.len()).sum();
        assert_eq!(sum, (0..20).map(|n| LEAST + 10 * n).sum::<usize>());
        drop(statics);
        drop(cached);
        trim();
        assert_eq!(holdings(), start);
    });
}

#[test]
fn a_steady_state_uses_the_same_memory_again_and_again() {
    alone(|| {
        let _cached = CacheUse::new(64 << 20);
        let mut pair = Pair::new();
        let mut places = HashSet::new();
        for _ in 0..50 {
            let blob = Blob::from(bytes(8 * LEAST));
            places.insert(blob.as_ptr());
            let message = pair.down(&blob);
            drop(blob);
            let argument: Blob = decode(&message).unwrap();
            drop(message);
            let made = Blob::from(bytes(4 * LEAST));
            drop(argument);
            let answer = pair.up(&made);
            places.insert(made.as_ptr());
            drop(made);
            assert_eq!(decode::<Blob>(&answer).unwrap().len(), 4 * LEAST);
        }
        assert_eq!(places.len(), 2, "one for arguments, one for results");
        assert_eq!((pair.parent.mapped(), pair.worker.mapped()), (1, 1));
    });
}

#[test]
fn the_cache_keeps_no_more_than_it_may_and_forgets_the_oldest() {
    alone(|| {
        let cached = CacheUse::new(4 << 20);
        let small = CacheUse::new(1 << 20);
        let mut pair = Pair::new();
        let blobs: Vec<Blob> = (0..10).map(|_| Blob::from(vec![1; 1 << 20])).collect();
        let last = blobs[9].as_ptr();
        let arrived: Vec<Blob> = decode(&pair.down(&blobs)).unwrap();
        assert_eq!((pair.worker.mapped(), holdings()), (10, (20, 20)));
        drop((blobs, arrived));
        pair.settle();
        assert_eq!(holdings(), (20, 20), "nothing is destroyed where it might be under a lock");
        trim();
        // Four are kept, each mapped here and "there"; of the six others the worker is told.
        assert_eq!(holdings(), (14, 14), "before the worker knows");
        assert_eq!(pass_notes(&mut pair.parent, &mut pair.worker).len(), 6);
        trim();
        assert_eq!((pair.worker.mapped(), holdings()), (4, (8, 8)));
        assert_eq!(Blob::from(vec![2; 1 << 20]).as_ptr(), last, "the one used last");
        drop(cached);
        trim();
        assert_eq!(holdings().0, 1 + 4, "the smaller bound counts");
        drop(small);
        assert_eq!(holdings().0, 4, "the worker does not know yet");
        // Without a user nothing is kept.
        drop(Blob::from(vec![3; 1 << 20]));
        assert_eq!(holdings().0, 4);
    });
}

#[test]
fn dropping_blobs_keeps_the_cache_within_its_bound() {
    alone(|| {
        let _cached = CacheUse::new(4 << 20);
        let mut blobs: Vec<Blob> = (0..10).map(|_| Blob::from(vec![1; 1 << 20])).collect();
        while blobs.pop().is_some() {
            assert_eq!(holdings().0, blobs.len() + (10 - blobs.len()).min(4));
        }
    });
}

#[test]
fn without_descriptors_blobs_are_on_the_heap_and_long_messages_fail_by_name() {
    alone(|| {
        let long = bytes(4 * LEAST);
        // With a limit of the lowest number that counts, and with a higher one.
        for held in 0..2 {
            let _held: Vec<OwnedFd> = (0..held).map(|_| high_copy(io::stdin()).unwrap()).collect();
            let blob = without_descriptors(|| {
                let blob = Blob::from(long.clone());
                assert!(blob.shared().is_none());
                let reason = encode(&blob).unwrap_err();
                assert!(reason.contains("shared memory") && reason.contains("os error 24"), "{reason}");
                assert_eq!(decode::<Vec<u8>>(&encode(&long[..1000]).unwrap()).unwrap(), long[..1000]);
                blob
            });
            let message = encode(&blob).unwrap();
            assert_eq!(message.segments.len(), 1, "later it can be shared");
            assert_eq!(decode::<Blob>(&message).unwrap(), long);
        }
    });
}

#[test]
fn the_cache_gives_up_its_descriptors_for_another_size() {
    alone(|| {
        let _cached = CacheUse::new(64 << 20);
        drop(Blob::from(bytes(LEAST)));
        assert_eq!(holdings().0, 1);
        let blob = without_descriptors(|| Blob::from(bytes(2 * LEAST)));
        assert!(blob.shared().is_some());
        assert_eq!(holdings().0, 1);
    });
}

#[test]
fn a_receiver_without_descriptors_loses_that_message_only() {
    alone(|| {
        let mut pair = Pair::new();
        let message = encode(&Blob::from(bytes(LEAST))).unwrap();
        let (flags, payload) = frame(&mut pair.parent, &message);
        let (flags2, payload2) = frame(&mut pair.parent, &message);
        let error = without_descriptors(|| pair.worker.unwrap(flags, payload)).unwrap_err();
        assert!(matches!(&error, UnwrapError::Unavailable(reason) if reason.contains("1 of 1")), "{error}");
        // The next one was under way already.
        let error = pair.worker.unwrap(flags2, payload2).unwrap_err();
        assert!(matches!(error, UnwrapError::Unavailable(_)), "{error}");
        pair.settle();
        assert_eq!(pair.parent.outstanding(), 0);
        let again = send(&mut pair.parent, &mut pair.worker, &message);
        assert_eq!(decode::<Blob>(&again).unwrap(), bytes(LEAST));
    });
}

#[test]
fn segments_stay_away_from_the_standard_streams() {
    alone(|| {
        let saved = high_copy(io::stdin()).unwrap();
        // SAFETY: the number is put back below, and nothing reads from it meanwhile.
        drop(unsafe { OwnedFd::from_raw_fd(0) });
        let blob = Blob::from(bytes(LEAST));
        assert!(blob.shared().unwrap().0.map().file().as_raw_fd() >= LOWEST);
        assert_eq!(rustix::io::dup(&saved).unwrap().into_raw_fd(), 0);
    });
}

#[test]
fn a_forked_child_writes_to_memory_of_its_own() {
    alone(|| {
        let _cached = CacheUse::new(64 << 20);
        drop(Blob::from(bytes(LEAST)));
        let place = Blob::from(bytes(LEAST)).as_ptr();
        // SAFETY: this process has one thread besides the harness's, which waits; the child only allocates and exits.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                let other = Blob::from(vec![0xff; LEAST]);
                let code = i32::from(other != [0xff; LEAST]);
                // SAFETY: nothing has to run before the end, least of all the exit handlers, which are the parent's.
                unsafe { libc::_exit(code) }
            }
            nix::unistd::ForkResult::Parent { child } => {
                let status = nix::sys::wait::waitpid(child, None).unwrap();
                assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
            }
        }
        let again = Blob::with_len(LEAST, |_| {});
        assert_eq!((again.as_ptr(), &again[..]), (place, &bytes(LEAST)[..]));
    });
}
