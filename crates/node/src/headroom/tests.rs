//! Looks that a test makes up, and what follows from them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use super::look::Descriptors;
use super::memory::{Bound, Memory};
use super::*;
use crate::admission::{Admitted, Permit};

const SECOND: Duration = Duration::from_secs(1);
const MB: u64 = 1_000_000;

/// A node of two processors that may send 10 MB in a second, with 1000 descriptors beside the reserve.
/// It is not ready from 72 % on, and full from 80 %.
struct Fake {
    headroom: Headroom,
    admission: Admission,
    look: Look,
}

impl Fake {
    fn new(full: f64) -> Fake {
        let limits = Limits {
            egress: 10 * MB,
            memory: 0,
            full,
        };
        let admission = Admission::new(0, 0);
        let look = Look {
            at: Instant::now(),
            ran: SECOND,
            waited: SECOND,
            processors: 2.0,
            sent: 5000 * MB,
            descriptors: Descriptors {
                others: 20,
                most: 1256,
            },
            memory: Memory {
                used: 10 * MB,
                limit: 1000 * MB,
                bound: Bound::Configured,
            },
        };
        let headroom = Headroom::new(limits, 2, admission.clone(), Arc::default());
        headroom.note(look.clone());
        Fake {
            headroom,
            admission,
            look,
        }
    }

    /// So many seconds go by, each of which changes a look in the same way.
    fn seconds(&mut self, count: u32, change: impl Fn(&mut Look)) {
        for _ in 0..count {
            self.look.at += SECOND;
            change(&mut self.look);
            self.headroom.note(self.look.clone());
        }
    }

    fn connect(&self, count: usize) -> Vec<Permit> {
        let permit = |_| match self.admission.admit(IpAddr::from(Ipv4Addr::LOCALHOST)) {
            Admitted::Yes(permit) => permit,
            Admitted::Refused(..) | Admitted::Closed => panic!("refused"),
        };
        (0..count).map(permit).collect()
    }

    fn short_of(&self) -> Option<Resource> {
        self.headroom.refuses_viewers().map(|full| full.resource)
    }

    /// What it is short of, before it is so: it is not ready, and refuses nobody.
    fn assert_nearly_full(&self, of: &str) {
        assert_eq!(self.short_of(), None);
        let why = self.headroom.ready().expect_err("not ready");
        assert!(why.contains(of), "{why}");
        assert!(
            why.contains("refused from 80 % on (limits.headroom)"),
            "{why}"
        );
    }

    /// What viewers are told.
    fn assert_full(&self, resource: Resource, of: &str) {
        let full = self.headroom.refuses_viewers().expect("full");
        let told = full.to_string();
        assert_eq!(full.resource, resource);
        assert!(told.starts_with("this node is full: "), "{told}");
        assert!(told.contains(of), "{told}");
        assert!((2..=8).contains(&full.retry_after.as_secs()), "{told}");
        let again = format!("again in {} s", full.retry_after.as_secs());
        assert!(told.ends_with(&again), "{told}");
        assert!(self.headroom.ready().is_err());
    }

    fn assert_free(&self) {
        assert_eq!(self.short_of(), None);
        assert_eq!(self.headroom.ready(), Ok(()));
    }
}

#[test]
fn nobody_is_refused_before_the_first_look() {
    let limits = Limits {
        egress: 1,
        memory: 1,
        full: 0.8,
    };
    let headroom = Headroom::new(limits, 1, Admission::new(0, 0), Arc::default());
    assert_eq!(headroom.refuses_viewers(), None);
    assert_eq!(headroom.refuses_connections(), None);
    assert_eq!(headroom.ready(), Ok(()));
    assert_eq!((headroom.load(), headroom.free()), (0.0, 1.0));
}

#[test]
fn processors_fill_up_and_empty() {
    let mut node = Fake::new(0.8);
    node.seconds(30, |look| look.ran += SECOND);
    node.assert_free();
    assert!((node.headroom.load() - 0.5).abs() < 1e-3);
    node.seconds(30, |look| look.ran += SECOND * 3 / 2);
    node.assert_nearly_full("75 % of its processors");
    node.seconds(30, |look| look.ran += SECOND * 17 / 10);
    node.assert_full(
        Resource::Processors,
        "85 % of its processors are in use (limits.headroom)",
    );
    assert_eq!(node.headroom.refuses_connections(), None);
    // It stays so a little below the threshold, and ends below that.
    node.seconds(30, |look| look.ran += SECOND * 155 / 100);
    node.assert_full(Resource::Processors, "78 %");
    node.seconds(30, |look| look.ran += SECOND * 15 / 10);
    node.assert_nearly_full("75 %");
    node.seconds(30, |look| look.ran += SECOND);
    node.assert_free();
}

#[test]
fn a_burst_of_work_refuses_nobody() {
    let mut node = Fake::new(0.95);
    node.seconds(30, |look| look.ran += SECOND);
    node.seconds(4, |look| look.ran += SECOND * 2);
    assert_eq!(node.short_of(), None);
    node.seconds(6, |look| look.ran += SECOND * 2);
    assert_eq!(node.short_of(), Some(Resource::Processors));
}

#[test]
fn processors_that_others_take_are_not_there() {
    let mut node = Fake::new(0.8);
    // It runs half of the time, and would all of it.
    node.seconds(30, |look| {
        look.ran += SECOND;
        look.waited += SECOND;
    });
    node.assert_full(Resource::Processors, "100 %");
    // It waits for its turn, but seldom wants one.
    node.seconds(30, |look| {
        look.ran += SECOND / 10;
        look.waited += SECOND;
    });
    node.assert_free();
    // Threads that ended have taken their time along.
    node.seconds(1, |look| look.waited = Duration::ZERO);
    node.assert_free();
}

#[test]
fn with_a_threshold_of_1_no_processor_refuses_anybody() {
    let mut node = Fake::new(1.0);
    node.seconds(1000, |look| look.ran += SECOND * 2);
    node.assert_free();
    assert!(node.headroom.free() < 1e-9);
    node.seconds(30, |look| look.sent += 11 * MB);
    assert_eq!(node.short_of(), Some(Resource::Egress));
}

#[test]
fn egress_fills_up_and_empties() {
    let mut node = Fake::new(0.8);
    node.seconds(30, |look| look.sent += 5 * MB);
    node.assert_free();
    node.seconds(30, |look| look.sent += 15 * MB / 2);
    node.assert_nearly_full("7.5 MB of the 10.0 MB a second that it may (limits.egress)");
    node.seconds(30, |look| look.sent += 9 * MB);
    node.assert_full(Resource::Egress, "it sends 9.0 MB of the 10.0 MB");
    assert_eq!(node.headroom.refuses_connections(), None);
    node.seconds(30, |look| look.sent += 5 * MB);
    node.assert_free();
}

#[test]
fn a_node_that_may_send_what_it_likes_is_never_short_of_it() {
    let mut node = Fake::new(0.8);
    node.headroom.limits.egress = 0;
    node.seconds(100, |look| look.sent += u64::MAX / 200);
    node.assert_free();
}

#[test]
fn descriptors_are_counted_as_connections_come_and_the_reserve_is_kept() {
    let node = Fake::new(0.8);
    let mut connections = node.connect(690);
    node.assert_free();
    // No second passes: none of this waits for the next look.
    connections.extend(node.connect(20));
    node.assert_nearly_full("it has 730 of at most 1256 files and connections open (ulimit -n)");
    connections.extend(node.connect(70));
    node.assert_full(Resource::Descriptors, "800 of at most 1256");
    assert_eq!(node.headroom.refuses_connections(), None);
    connections.extend(node.connect(200));
    let full = node.headroom.refuses_connections().expect("in the reserve");
    assert_eq!(full.resource, Resource::Descriptors);
    assert_eq!(node.headroom.load(), 1.0);
    connections.truncate(700);
    assert_eq!(node.headroom.refuses_connections(), None);
    assert_eq!(node.short_of(), None);
}

#[test]
fn a_node_that_was_full_of_connections_waits_a_little_before_it_takes_more() {
    let mut node = Fake::new(0.8);
    let mut connections = node.connect(780);
    node.seconds(1, |_| {});
    connections.truncate(750);
    assert_eq!(node.short_of(), Some(Resource::Descriptors));
    connections.truncate(730);
    node.assert_nearly_full("750 of at most 1256");
}

#[test]
fn memory_fills_up_and_at_the_very_end_nobody_connects() {
    let mut node = Fake::new(0.8);
    node.seconds(1, |look| look.memory.used = 700 * MB);
    node.assert_free();
    node.seconds(1, |look| look.memory.used = 750 * MB);
    node.assert_nearly_full("it uses 750.0 MB of the 1.0 GB of memory that it may (limits.memory)");
    node.seconds(1, |look| look.memory.used = 970 * MB);
    node.assert_full(Resource::Memory, "970.0 MB");
    assert_eq!(node.headroom.refuses_connections(), None);
    node.seconds(1, |look| look.memory.used = 980 * MB);
    let full = node.headroom.refuses_connections().expect("the very end");
    assert_eq!(full.resource, Resource::Memory);
    node.seconds(1, |look| look.memory.used = 600 * MB);
    node.assert_free();
}

#[test]
fn what_is_fullest_is_named() {
    let mut node = Fake::new(0.8);
    node.seconds(30, |look| {
        look.memory.used = 850 * MB;
        look.sent += 9 * MB;
    });
    node.assert_full(Resource::Egress, "limits.egress");
    node.seconds(1, |look| look.memory.used = 950 * MB);
    node.assert_full(Resource::Memory, "limits.memory");
    assert!((node.headroom.load() - 0.95).abs() < 1e-9);
}
