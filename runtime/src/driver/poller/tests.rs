//! The same promises of both pollers.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::{Key, Limit};
use crate::driver::BATCH;
use crate::io::Ready;

macro_rules! promises {
    ($imp:ident) => {
        mod $imp {
            use super::super::$imp::{Events, Poller, SAYS_CLOSED};
            use super::*;

            /// The events of one fetch, by key.
            fn fetch(poller: &Poller, events: &mut Events) -> Vec<(Key, Ready)> {
                poller.wait(events, Limit::Poll).expect("wait");
                events.iter().map(|event| (event.key, event.ready)).collect()
            }

            #[test]
            fn a_change_is_announced_once() {
                let (poller, mut events) = (Poller::new().expect("poller"), Events::with_capacity(BATCH));
                let (a, mut b) = UnixStream::pair().expect("pair");
                let key = Key::new(7, 9);
                poller.add(a.as_fd(), key).expect("add");
                assert_eq!(fetch(&poller, &mut events), [(key, Ready::WRITABLE)]);
                assert_eq!(fetch(&poller, &mut events), []);
                b.write_all(b"x").expect("write");
                assert_eq!(fetch(&poller, &mut events), [(key, Ready::READABLE | Ready::WRITABLE)]);
                assert_eq!(fetch(&poller, &mut events), []);
                b.shutdown(std::net::Shutdown::Write).expect("shutdown");
                let [(_, ready)] = fetch(&poller, &mut events)[..] else { panic!("one event") };
                assert!(ready.is_readable());
                assert_eq!(ready.is_read_closed(), SAYS_CLOSED);
                assert!(!ready.is_write_closed());
                drop(b);
                let [(_, ready)] = fetch(&poller, &mut events)[..] else { panic!("one event") };
                assert!(ready.is_read_closed() && ready.is_write_closed());
                poller.delete(a.as_fd()).expect("delete");
                assert!(poller.delete(a.as_fd()).is_err(), "twice");
            }

            #[test]
            fn a_wait_lasts_until_its_deadline_whatever_was_set_before() {
                let (poller, mut events) = (Poller::new().expect("poller"), Events::with_capacity(BATCH));
                let now = Instant::now;
                poller.wait(&mut events, Limit::Until(now())).expect("a deadline that has passed");
                // Later, then earlier than what is set, then later again, and far beyond any clock.
                for micros in [300, 200, 4000, 100, 1000] {
                    let deadline = now() + Duration::from_micros(micros);
                    while now() < deadline {
                        poller.wait(&mut events, Limit::Until(deadline)).expect("wait");
                    }
                    assert!(now() < deadline + Duration::from_secs(5));
                }
                poller.notify();
                let century = now() + Duration::from_secs(100 * 365 * 24 * 3600);
                poller.wait(&mut events, Limit::Until(century)).expect("wait");
            }

            #[test]
            fn a_notification_ends_a_wait_before_or_during_it() {
                let (poller, mut events) =
                    (Arc::new(Poller::new().expect("poller")), Events::with_capacity(BATCH));
                poller.notify();
                poller.notify();
                poller.wait(&mut events, Limit::Forever).expect("wait");
                assert_eq!(events.iter().count(), 0);
                let (step, steps) = mpsc::channel();
                let waiter = {
                    let poller = poller.clone();
                    thread::spawn(move || {
                        for _ in 0..100 {
                            step.send(()).expect("the test waits");
                            poller.wait(&mut events, Limit::Forever).expect("wait");
                        }
                    })
                };
                for () in steps {
                    poller.notify();
                }
                waiter.join().expect("waiter");
            }
        }
    };
}

#[cfg(all(target_os = "linux", not(runtime_shuttle)))]
promises!(epoll);
promises!(portable);
