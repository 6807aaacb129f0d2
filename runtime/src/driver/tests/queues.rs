//! Several event queues: where descriptors are at home, when they move, and that nothing is lost on the way.

use super::*;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Of `queues::AWAY`: waits in a row away from home, of which the first comes with three to its credit.
const AWAY: usize = 4;

fn two_drivers() -> ([Driver; 2], Handle) {
    let (drivers, handle) = Driver::for_workers(2, BATCH).expect("drivers");
    (drivers.try_into().expect("two drivers"), handle)
}

/// A task waits on the worker of `queue`, so many times.
fn wait_at(queue: usize, times: usize, handle: &Handle, registration: &Registration, fd: &UnixStream) {
    handle.enter(queue);
    for _ in 0..times {
        registration.waits_here(fd.as_fd());
    }
}

fn are_empty(handle: &Handle) -> [bool; 2] {
    [0, 1].map(|queue| handle.shared.queues.get(queue).is_empty())
}

/// What was announced when it was registered has been fetched and disproved.
fn calm(registration: &Registration, drivers: &mut [Driver; 2]) {
    drivers.iter_mut().for_each(settle);
    let error = registration
        .try_io(Interest::READABLE, || -> std::io::Result<()> { Err(ErrorKind::WouldBlock.into()) });
    assert!(error.is_err());
}

#[test]
fn a_descriptor_is_at_home_where_its_task_waits() {
    let (mut drivers, handle) = two_drivers();
    let (a, _peer) = pair();
    handle.enter(0);
    let registration = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    assert_eq!((registration.queue(), are_empty(&handle)), (0, [false, true]));
    wait_at(1, 1, &handle, &registration, &a);
    assert_eq!((registration.queue(), are_empty(&handle)), (1, [true, false]), "the first wait says where");
    wait_at(0, AWAY - 1, &handle, &registration, &a);
    assert_eq!(registration.queue(), 1, "stolen tasks come back, usually");
    wait_at(1, 1, &handle, &registration, &a);
    wait_at(0, AWAY - 1, &handle, &registration, &a);
    assert_eq!(registration.queue(), 1, "a wait at home begins the count anew");
    wait_at(0, 1, &handle, &registration, &a);
    assert_eq!((registration.queue(), are_empty(&handle)), (0, [false, true]));
    drivers.iter_mut().for_each(settle);
    registration.deregister(a.as_fd());
    assert_eq!((handle.shared.registry.len(), are_empty(&handle)), (0, [true, true]));
}

/// A thread that is no worker of this driver: its descriptors are dealt out, and stay where they are.
#[test]
fn other_threads_registrations_are_dealt_out_and_do_not_move() {
    let (_drivers, handle) = two_drivers();
    let ((a, b), (_others, elsewhere)) = (pair(), two_drivers());
    elsewhere.enter(1);
    let registrations =
        [&a, &b].map(|fd| Registration::new(&handle, fd.as_fd(), Ready::EMPTY).expect("register"));
    assert_eq!(are_empty(&handle), [false, false]);
    for (registration, fd) in registrations.iter().zip([&a, &b]) {
        let queue = registration.queue();
        (0..3 * AWAY).for_each(|_| registration.waits_here(fd.as_fd()));
        assert_eq!(registration.queue(), queue);
        registration.deregister(fd.as_fd());
    }
    assert_eq!(are_empty(&handle), [true, true]);
}

#[test]
fn what_has_moved_gets_its_events_from_the_new_queue() {
    let (mut drivers, handle) = two_drivers();
    let (a, mut peer) = pair();
    handle.enter(0);
    let registration = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    wait_at(1, 1, &handle, &registration, &a);
    calm(&registration, &mut drivers);
    peer.write_all(b"x").expect("write");
    settle(&mut drivers[0]);
    assert!(!is_ready(&registration, Interest::READABLE), "it is not there any more");
    settle(&mut drivers[1]);
    assert!(is_ready(&registration, Interest::READABLE));
    registration.deregister(a.as_fd());
}

/// An event that the old queue holds when the descriptor moves: fetched already, or not.
#[test]
fn an_event_of_the_old_queue_is_served_or_comes_again() {
    let (mut drivers, handle) = two_drivers();
    let mut events = poller::Events::with_capacity(BATCH);
    for fetched in [true, false] {
        let (a, mut peer) = pair();
        handle.enter(0);
        let registration = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
        calm(&registration, &mut drivers);
        peer.write_all(b"x").expect("write");
        if fetched {
            handle.shared.queues.get(0).poller.wait(&mut events, Limit::Poll).expect("wait");
        }
        wait_at(1, 1, &handle, &registration, &a);
        assert_eq!(registration.queue(), 1);
        if fetched {
            handle.shared.registry.dispatch(&events, &mut Vec::new());
            assert!(is_ready(&registration, Interest::READABLE), "fetched before the move");
        }
        settle(&mut drivers[0]);
        settle(&mut drivers[1]);
        assert!(is_ready(&registration, Interest::READABLE));
        registration.deregister(a.as_fd());
    }
}

/// The owner goes while events of both queues are on their way: they find nothing, also not what has its number next.
#[test]
fn i1_stale_events_of_either_queue_find_nothing() {
    let (mut drivers, handle) = two_drivers();
    let mut events = [poller::Events::with_capacity(BATCH), poller::Events::with_capacity(BATCH)];
    for _ in 0..50 {
        let (old, mut peer) = pair();
        handle.enter(0);
        let registration = Registration::new(&handle, old.as_fd(), Ready::EMPTY).expect("register");
        peer.write_all(b"x").expect("write");
        handle.shared.queues.get(0).poller.wait(&mut events[0], Limit::Poll).expect("wait");
        wait_at(1, 1, &handle, &registration, &old);
        handle.shared.queues.get(1).poller.wait(&mut events[1], Limit::Poll).expect("wait");
        registration.deregister(old.as_fd());
        assert_eq!(are_empty(&handle), [true, true]);

        let mut reused = OwnedFd::from(old);
        let (new, _new_peer) = pair();
        rustix::io::dup2(&new, &mut reused).expect("dup2");
        handle.enter(0);
        let registration = Registration::new(&handle, reused.as_fd(), Ready::EMPTY).expect("register");
        for events in &events {
            assert!(events.iter().any(|event| event.ready.is_readable()), "the batch holds the old event");
            handle.shared.registry.dispatch(events, &mut Vec::new());
        }
        assert!(!is_ready(&registration, Interest::READABLE), "a stale event reached the new descriptor");
        drivers.iter_mut().for_each(settle);
        assert!(is_ready(&registration, Interest::WRITABLE));
        registration.deregister(reused.as_fd());
    }
    assert_eq!(handle.shared.registry.len(), 0);
}

/// It goes to the worker that was last seen on the CPU, and nowhere if that one sleeps or nobody was seen there.
#[test]
fn a_follower_moves_to_the_worker_on_that_cpu() {
    let allowed = sched_getaffinity(None).expect("affinity");
    let cpu = (0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu)).expect("a CPU");
    let mut only = CpuSet::new();
    only.set(cpu);
    // This test's own thread.
    sched_setaffinity(None, &only).expect("affinity");

    let (mut drivers, handle) = two_drivers();
    let ((a, _peer), (other, _other_peer)) = (pair(), pair());
    handle.enter(1);
    let there = Registration::new(&handle, other.as_fd(), Ready::EMPTY).expect("register");
    handle.enter(0);
    let follower = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    follower.follow(a.as_fd(), cpu);
    assert_eq!(follower.queue(), 0, "nobody was seen there");
    // Turned by somebody else, which says nothing of where its worker is.
    settle(&mut drivers[1]);
    follower.follow(a.as_fd(), cpu);
    assert_eq!(follower.queue(), 0);
    handle.enter(1);
    settle(&mut drivers[1]);
    handle.shared.queues.sleeps(1);
    follower.follow(a.as_fd(), cpu);
    assert_eq!(follower.queue(), 0, "its worker sleeps");
    settle(&mut drivers[1]);
    follower.follow(a.as_fd(), cpu + 1);
    assert_eq!(follower.queue(), 0, "that is another CPU");
    follower.follow(a.as_fd(), cpu);
    assert_eq!(follower.queue(), 1);
    follower.follow(a.as_fd(), cpu);
    assert_eq!((follower.queue(), are_empty(&handle)), (1, [true, false]));
    there.deregister(other.as_fd());
    follower.deregister(a.as_fd());
}

/// A stream whose reader moves from queue to queue all the time, and waits for an event at each byte, while both queues
/// are turned: each byte arrives.
#[test]
fn i2_no_event_is_lost_while_moving() {
    const BYTES: usize = 20_000;
    let (drivers, handle) = two_drivers();
    let (a, mut peer) = pair();
    handle.enter(0);
    let registration = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let turners = drivers.map(|mut driver| {
        let over = over.clone();
        thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                // With a limit only so that this thread ends.
                driver.turn(Some(Duration::from_millis(20))).expect("turn");
            }
            driver
        })
    });
    let (acknowledge, acknowledged) = mpsc::channel();
    let writer = thread::spawn(move || {
        for _ in 0..BYTES {
            peer.write_all(b"x").expect("write");
            acknowledged.recv_timeout(Duration::from_secs(10)).expect("a byte is lost");
        }
        peer
    });
    let (ring, rung) = mpsc::channel();
    struct Ring(mpsc::Sender<()>);
    impl Wake for Ring {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }
    let waker = Waker::from(Arc::new(Ring(ring)));
    let mut cx = Context::from_waker(&waker);
    let mut moves = 0;
    for byte in 0..BYTES {
        let mut buffer = [0; 8];
        while registration.poll_io(&mut cx, Direction::Read, || (&a).read(&mut buffer)).is_pending() {
            handle.enter((byte / 2) % 2);
            let before = registration.queue();
            (0..AWAY).for_each(|_| registration.waits_here(a.as_fd()));
            moves += usize::from(registration.queue() != before);
            rung.recv_timeout(Duration::from_secs(10)).expect("an event is lost");
        }
        acknowledge.send(()).expect("the writer waits");
    }
    over.store(true, Ordering::SeqCst);
    let _peer = writer.join().expect("writer");
    // Kept until both have ended: the first to be dropped shuts the other down.
    let _drivers = turners.map(|turner| turner.join().expect("turner"));
    assert!(moves > BYTES / 8, "it has moved {moves} times only");
    registration.deregister(a.as_fd());
    assert_eq!(are_empty(&handle), [true, true]);
}
