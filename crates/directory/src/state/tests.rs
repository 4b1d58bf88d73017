use std::sync::Arc;
use std::time::Duration;

use media::{Epoch, StreamKey};

use super::*;
use crate::claims::Step;
use crate::store::{Event, Item, Listing, Outcome, Put, When, Write};
use crate::{Changes, NodeRecord, Numbering, Revision, Standing, StreamRecord, StreamState, wire};

const LEASE: Lease = Lease(7);
const OTHERS: Lease = Lease(8);
const SETTLING: Duration = Duration::from_secs(6);

fn id(name: &str) -> NodeId {
    NodeId::parse(name).expect("a name")
}

fn key() -> StreamKey {
    StreamKey::parse("live/cam").expect("a key")
}

fn record(node: &str, epoch: u64) -> StreamRecord {
    StreamRecord {
        key: key(),
        node: id(node),
        epoch: Epoch::new(epoch, id(node).number()),
        identity: None,
        protocol: "rtmp".to_owned(),
        state: StreamState::Live,
        since: 0,
        numbering: Numbering::default(),
    }
}

fn item(record: &StreamRecord, revision: i64) -> Item {
    let lease = if record.node == id("a") {
        LEASE
    } else {
        OTHERS
    };
    let key = crate::path::stream(&record.key);
    Item {
        key,
        value: wire::write_stream(record),
        revision,
        lease,
    }
}

fn put(record: &StreamRecord, revision: i64) -> Event {
    Event::Put(item(record, revision))
}

fn gone(revision: i64) -> Event {
    Event::Gone {
        key: crate::path::stream(&key()),
        revision,
    }
}

/// The state of node `a`, which has listed an empty directory.
fn state() -> (State, Changes) {
    let mut state = State::new(
        id("a"),
        Clock::default(),
        SETTLING,
        Arc::new(Metrics::new()),
    );
    state.lease_changed(LEASE);
    state.listed(Listing {
        items: Vec::new(),
        revision: 1,
    });
    let changes = Changes::new(state.subscribe());
    (state, changes)
}

fn ask(state: &mut State, epoch: u64, over: Option<Revision>) -> u64 {
    match state.ask(record("a", epoch), over) {
        Ask::As(id) => id,
        Ask::Held(held) => panic!("{held:?}"),
        Ask::Busy(_) => panic!("nobody else asks"),
    }
}

/// Writes what is to be written; it is done at `revision`.
fn write(state: &mut State, revision: i64) {
    let Step::Write(_, record) = state.step(&key(), LEASE) else {
        panic!("there is something to write");
    };
    let wrote = state.wrote(&key(), record, LEASE, Outcome::Done(revision));
    assert!(wrote.is_ok());
}

fn claimed(state: &mut State, epoch: u64, revision: i64) -> u64 {
    let id = ask(state, epoch, None);
    write(state, revision);
    state.settled(&key(), id);
    id
}

fn when(state: &State) -> When {
    match state.step(&key(), LEASE) {
        Step::Write(Write { when, .. }, _) => when,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_watch_may_be_faster_than_the_answer() {
    let (mut state, _) = state();
    let id = ask(&mut state, 5, None);
    state.happened(put(&record("a", 5), 2));
    write(&mut state, 2);
    assert_eq!(state.standing(&key(), id), Standing::Held(Revision(2)));
}

#[tokio::test]
async fn what_was_written_for_a_claim_that_nobody_waits_for_is_deleted() {
    let (mut state, _) = state();
    let id = ask(&mut state, 5, None);
    state.happened(put(&record("a", 5), 2));
    assert!(state.disown(&key(), id));
    assert_eq!(when(&state), When::At(2));
    let there = ask(&mut state, 6, None);
    state.happened(put(&record("b", 7), 3));
    assert!(state.disown(&key(), there));
    assert!(matches!(state.step(&key(), LEASE), Step::Gone), "another's");
}

#[tokio::test]
async fn a_loss_before_the_answer_is_a_loss() {
    let (mut state, _) = state();
    let id = ask(&mut state, 5, None);
    state.happened(put(&record("a", 5), 2));
    state.happened(put(&record("b", 6), 3));
    write(&mut state, 2);
    assert!(matches!(state.step(&key(), LEASE), Step::Lost(held) if held.record == record("b", 6)));
    assert_eq!(state.standing(&key(), id), Standing::Gone);
    assert_eq!(
        state.stream(&key()).expect("is known").record,
        record("b", 6)
    );
}

#[tokio::test]
async fn a_claim_that_vanished_before_the_answer_is_written_again() {
    let (mut state, _) = state();
    ask(&mut state, 5, None);
    state.happened(put(&record("a", 5), 2));
    state.happened(gone(3));
    write(&mut state, 2);
    assert_eq!(when(&state), When::Absent);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_again() {
    let (mut state, _) = state();
    let id = ask(&mut state, 5, None);
    let there = Outcome::Differs(Some(item(&record("a", 5), 2)));
    assert!(
        state
            .wrote(&key(), Some(Arc::new(record("a", 5))), LEASE, there)
            .is_ok()
    );
    assert_eq!(state.standing(&key(), id), Standing::Held(Revision(2)));
}

#[tokio::test]
async fn what_nobody_claims_any_more_is_deleted() {
    let (mut state, _) = state();
    let id = ask(&mut state, 5, None);
    assert!(state.disown(&key(), id));
    assert!(matches!(state.step(&key(), LEASE), Step::Gone));
    state.forget(&key());
    // It had been written all the same.
    state.happened(put(&record("a", 5), 2));
    assert!(state.dirty.contains(&key()));
    assert_eq!(when(&state), When::At(2));
    let Step::Write(Write { change, .. }, None) = state.step(&key(), LEASE) else {
        panic!("it is deleted");
    };
    assert_eq!(change, Put::Nothing);
    assert_eq!(state.stream(&key()), None, "it is given back");
}

#[tokio::test]
async fn what_an_earlier_process_left_is_superseded() {
    let (mut state, _) = state();
    let left = Item {
        lease: Lease(3),
        ..item(&record("a", 5), 2)
    };
    state.happened(Event::Put(left));
    assert!(state.dirty.is_empty(), "it goes with its lease");
    let id = ask(&mut state, 6, None);
    assert_eq!(when(&state), When::Absent);
    let left = Item {
        lease: Lease(3),
        ..item(&record("a", 5), 2)
    };
    let there = Outcome::Differs(Some(left));
    assert!(
        state
            .wrote(&key(), Some(Arc::new(record("a", 6))), LEASE, there)
            .is_ok()
    );
    assert_eq!(when(&state), When::At(2));
    write(&mut state, 3);
    // The old lease is over, and with it nothing of ours.
    assert_eq!(state.standing(&key(), id), Standing::Held(Revision(3)));
}

#[tokio::test]
async fn a_lower_epoch_does_not_take_a_claim() {
    let (mut state, mut changes) = state();
    let id = claimed(&mut state, 5, 2);
    while changes.try_next().is_some() {}
    state.happened(gone(3));
    state.happened(put(&record("b", 4), 4));
    assert_eq!(state.standing(&key(), id), Standing::Pending);
    assert_eq!(when(&state), When::At(4));
    assert_eq!(
        state.stream(&key()).expect("is known").record,
        record("a", 5)
    );
    assert_eq!(changes.try_next(), None);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_taken_for_nothing() {
    let (mut state, _) = state();
    ask(&mut state, 5, None);
    let value = br#"{"version":9}"#.to_vec();
    let there = Outcome::Differs(Some(Item {
        value,
        ..item(&record("b", 4), 2)
    }));
    let wrote = state.wrote(&key(), Some(Arc::new(record("a", 5))), LEASE, there);
    assert!(wrote.is_err());
}

#[tokio::test]
async fn news_from_before_are_none() {
    let (mut state, mut changes) = state();
    claimed(&mut state, 5, 4);
    state.happened(put(&record("b", 9), 3));
    state.happened(gone(3));
    assert_eq!(
        state.stream(&key()).expect("is known").record,
        record("a", 5)
    );
    assert_eq!(changes.try_next(), Some(Change::Stream(key())));
    assert_eq!(changes.try_next(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_after_an_outage_is_held_back() {
    let (mut state, mut changes) = state();
    state.happened(put(&record("b", 5), 2));
    assert_eq!(changes.try_next(), Some(Change::Stream(key())));
    let silence = Some(Duration::from_secs(3));
    state.contact(silence);
    tokio::time::advance(Duration::from_secs(4)).await;
    state.contact(silence);
    let until = state.settling_until().expect("it settles");
    state.happened(gone(3));
    assert_eq!(
        state.stream(&key()).expect("is known").record,
        record("b", 5)
    );
    // Who wants it must know of it.
    let Ask::As(_) = state.ask(record("a", 6), None) else {
        panic!("it may ask");
    };
    assert!(matches!(state.step(&key(), LEASE), Step::Lost(_)));
    state.claims.remove(&key());
    ask(&mut state, 6, Some(Revision(2)));
    assert_eq!(when(&state), When::Absent);
    state.claims.remove(&key());

    tokio::time::advance(SETTLING - Duration::from_millis(1)).await;
    state.settle();
    assert!(state.stream(&key()).is_some());
    assert_eq!(changes.try_next(), None);
    tokio::time::sleep_until(until).await;
    state.settle();
    assert_eq!(state.stream(&key()), None);
    assert_eq!(changes.try_next(), Some(Change::Stream(key())));
    assert_eq!(state.settling_until(), None);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_from_an_outage_was_never_gone() {
    let (mut state, mut changes) = state();
    state.happened(put(&record("b", 5), 20));
    assert_eq!(changes.try_next(), Some(Change::Stream(key())));
    // Restored from a snapshot: its revisions are lower.
    state.listed(Listing {
        items: vec![item(&record("c", 4), 3)],
        revision: 5,
    });
    assert_eq!(
        state.stream(&key()).expect("is known").record,
        record("b", 5)
    );
    state.happened(put(&record("b", 5), 6));
    tokio::time::advance(SETTLING * 2).await;
    state.settle();
    let known = state.stream(&key()).expect("is known");
    assert_eq!(
        (&known.record, known.revision),
        (&record("b", 5), Revision(6))
    );
    assert_eq!(changes.try_next(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_older_and_stays_so_is_believed_in_the_end() {
    let (mut state, mut changes) = state();
    state.happened(put(&record("b", 5), 20));
    state.listed(Listing {
        items: vec![item(&record("c", 4), 3)],
        revision: 21,
    });
    while changes.try_next().is_some() {}
    tokio::time::advance(SETTLING * 2).await;
    state.settle();
    assert_eq!(
        state.stream(&key()).expect("is known").record,
        record("c", 4)
    );
    assert_eq!(changes.try_next(), Some(Change::Stream(key())));
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_was_not_away_is_believed_at_once() {
    let (mut state, _) = state();
    state.happened(put(&record("b", 5), 2));
    let silence = Some(Duration::from_secs(3));
    for _ in 0..10 {
        tokio::time::advance(Duration::from_secs(2)).await;
        state.contact(silence);
    }
    state.happened(gone(3));
    assert_eq!(state.stream(&key()), None);
}

#[tokio::test]
async fn ours_is_written_anew_under_a_new_lease() {
    let (mut state, _) = state();
    let id = claimed(&mut state, 5, 2);
    assert!(state.dirty.is_empty());
    state.lease_changed(Lease(9));
    assert!(state.dirty.contains(&key()));
    assert_eq!(state.standing(&key(), id), Standing::Pending);
    let Step::Write(Write { when, change, .. }, _) = state.step(&key(), Lease(9)) else {
        panic!("it is written");
    };
    assert_eq!(when, When::At(2));
    assert!(matches!(
        change,
        Put::Value {
            lease: Lease(9),
            ..
        }
    ));
}

#[tokio::test]
async fn what_was_there_at_the_last_try_is_asked_for_anew() {
    let (mut state, _) = state();
    state.happened(put(&record("b", 4), 2));
    let id = ask(&mut state, 5, None);
    let there = Outcome::Differs(Some(item(&record("b", 4), 2)));
    let wrote = state.wrote(&key(), Some(Arc::new(record("a", 5))), LEASE, there);
    assert!(wrote.is_ok());
    assert!(matches!(state.step(&key(), LEASE), Step::Lost(_)));
    assert!(state.disown(&key(), id));
    // Now it is known whose it is, and meant to be superseded.
    ask(&mut state, 5, Some(Revision(2)));
    assert_eq!(when(&state), When::At(2));
}

#[tokio::test]
async fn what_is_ours_is_not_claimed_with_an_epoch_before_its_own() {
    let (mut state, _) = state();
    let id = claimed(&mut state, 5, 2);
    let earlier = state.ask(record("a", 4), Some(Revision(2)));
    assert!(matches!(earlier, Ask::Held(held) if held.record == record("a", 5)));
    assert_eq!(state.standing(&key(), id), Standing::Held(Revision(2)));
}

#[tokio::test]
async fn a_mark_from_the_meantime_stays() {
    let (mut state, _) = state();
    let id = claimed(&mut state, 5, 2);
    // It was as it should be, but the lease is another by now.
    state.lease_changed(Lease(9));
    state.settled(&key(), id);
    assert!(state.dirty.contains(&key()));

    // It was given back, but is claimed again by now.
    let (mut state, _) = self::state();
    let id = ask(&mut state, 5, None);
    assert!(state.disown(&key(), id));
    assert!(matches!(state.step(&key(), LEASE), Step::Gone));
    let id = state.assume(record("a", 6));
    state.forget(&key());
    assert!(state.dirty.contains(&key()));
    assert_eq!(state.standing(&key(), id), Standing::Pending);
}

#[tokio::test]
async fn a_claim_is_not_lost_for_the_one_before_it() {
    let (mut state, mut changes) = state();
    let before = claimed(&mut state, 5, 2);
    while changes.try_next().is_some() {}
    let other = item(&record("b", 6), 3);
    let there = Outcome::Differs(Some(other));
    let wrote = state.wrote(&key(), Some(Arc::new(record("a", 5))), LEASE, there);
    assert!(wrote.is_ok());
    let Step::Lost(held) = state.step(&key(), LEASE) else {
        panic!("it is lost");
    };
    // Before anybody has heard of that.
    let id = state.assume(record("a", 7));
    state.lose_claim(&key(), before, Some(held));
    assert!(!state.conclude(&key(), false), "it is to be written");
    assert_eq!(state.standing(&key(), id), Standing::Pending);
    assert_eq!(changes.try_next(), Some(Change::Stream(key())));
    assert_eq!(changes.try_next(), None);
}

fn said(node: &str, clock: u64, zone: &str) -> NodeRecord {
    NodeRecord {
        clock,
        zone: Some(zone.to_owned()),
        ..NodeRecord::new(id(node), crate::Role::All)
    }
}

fn node_item(record: &NodeRecord, revision: i64) -> Item {
    Item {
        key: crate::path::node(&record.id),
        value: wire::write_node(record),
        revision,
        lease: OTHERS,
    }
}

#[tokio::test]
async fn what_is_given_back_and_cannot_be_read_is_forgotten() {
    let (mut state, mut changes) = state();
    let id = claimed(&mut state, 5, 2);
    assert!(state.disown(&key(), id));
    while changes.try_next().is_some() {}
    let value = br#"{"version":9}"#.to_vec();
    let there = Outcome::Differs(Some(Item {
        value,
        ..item(&record("b", 6), 3)
    }));
    assert!(state.wrote(&key(), None, LEASE, there).is_err());
    state.forget(&key());
    assert_eq!((state.claims.count(), state.dirty.len()), (0, 0));
    assert_eq!(changes.try_next(), None, "nothing of ours is lost");
}

#[tokio::test]
async fn who_asks_for_what_is_ours_hears_what_we_want() {
    let (mut state, _) = state();
    state.assume(record("a", 5));
    let said = |held: Option<Arc<Held>>| held.map(|held| held.record.clone());
    let older = item(&record("b", 4), 2);
    for there in [None, Some(older)] {
        let held = state.resolved(&key(), there, state.generation);
        assert_eq!(said(held), Some(record("a", 5)));
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_an_outage_hears_what_was_known() {
    let (mut state, _) = state();
    state.happened(put(&record("b", 5), 2));
    state.settle_from_now();
    let older = item(&record("c", 4), 3);
    for there in [None, Some(older.clone())] {
        let held = state.resolved(&key(), there, state.generation);
        assert_eq!(held.expect("is known").record, record("b", 5));
    }
    tokio::time::advance(SETTLING).await;
    state.settle();
    let held = state.resolved(&key(), Some(older), state.generation);
    assert_eq!(held.expect("is there").record, record("c", 4));
    assert_eq!(state.resolved(&key(), None, state.generation), None);
}

#[tokio::test(start_paused = true)]
async fn of_ourselves_nothing_is_held_back() {
    let (mut state, mut changes) = state();
    // An earlier process left it.
    let left = Item {
        lease: Lease(3),
        ..item(&record("a", 5), 2)
    };
    state.happened(Event::Put(left));
    state.settle_from_now();
    while changes.try_next().is_some() {}
    state.happened(gone(3));
    assert_eq!(state.stream(&key()), None);
    assert_eq!(changes.try_next(), Some(Change::Stream(key())));
}

#[tokio::test(start_paused = true)]
async fn where_a_node_was_before_a_restored_snapshot_is_not_believed() {
    let (mut state, mut changes) = state();
    let (before, now) = (said("b", 10, "south"), said("b", 20, "north"));
    state.happened(Event::Put(node_item(&now, 20)));
    assert_eq!(changes.try_next(), Some(Change::Node(id("b"))));
    let ours = said("a", 20, "north");
    state.announcing.set(ours.clone());
    state.announcing.said(ours.clone(), LEASE);
    let due = |state: &State| state.announcing.due(LEASE, true).expect("it is set");
    let at_once = tokio::time::Instant::now();

    // The same again is no reason to say anything.
    let same = [node_item(&now, 20), node_item(&ours, 19)];
    state.listed(Listing {
        items: same.to_vec(),
        revision: 20,
    });
    assert!(due(&state) > at_once);

    let items = [node_item(&before, 2), node_item(&said("a", 10, "south"), 3)];
    state.listed(Listing {
        items: items.to_vec(),
        revision: 5,
    });
    assert_eq!(due(&state), at_once, "what we said is said again");
    let known = |state: &State| state.known.node(&id("b")).cloned();
    assert_eq!(known(&state).as_deref(), Some(&now));
    let later = said("b", 30, "north");
    state.happened(Event::Put(node_item(&later, 6)));
    tokio::time::advance(SETTLING * 2).await;
    state.settle();
    assert_eq!(known(&state).as_deref(), Some(&later));
    assert!(
        !std::iter::from_fn(|| changes.try_next()).any(|change| change == Change::Node(id("b")))
    );
}

/// Keeps the only gauge that is asked for.
#[derive(Default)]
struct Gauges(Arc<std::sync::atomic::AtomicU64>);

impl metrics::Recorder for Gauges {
    fn describe_counter(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_gauge(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_histogram(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn register_counter(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::noop()
    }
    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        match key.name() {
            "weir_claims" => metrics::Gauge::from_arc(self.0.clone()),
            _ => metrics::Gauge::noop(),
        }
    }
    fn register_histogram(
        &self,
        _: &metrics::Key,
        _: &metrics::Metadata<'_>,
    ) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[tokio::test]
async fn the_number_of_claims_goes_back_to_none() {
    let gauges = Gauges::default();
    let metrics = metrics::with_local_recorder(&gauges, || Arc::new(Metrics::new()));
    let count = || f64::from_bits(gauges.0.load(std::sync::atomic::Ordering::Relaxed));
    let (mut state, _) = state();
    state.metrics = metrics;

    let claim = claimed(&mut state, 5, 2);
    assert_eq!(count(), 1.0);
    assert!(state.disown(&key(), claim));
    assert!(state.wrote(&key(), None, LEASE, Outcome::Done(3)).is_ok());
    state.forget(&key());
    assert_eq!(count(), 0.0, "it is released");

    state.assume(record("a", 6));
    assert_eq!(count(), 1.0);
    state.happened(put(&record("b", 7), 4));
    assert_eq!(count(), 0.0, "it is lost");

    let claim = claimed(&mut state, 8, 5);
    assert!(state.disown(&key(), claim));
    state.happened(gone(6));
    assert_eq!(count(), 0.0, "it is gone");
}
