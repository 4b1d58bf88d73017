use std::future::Future;
use std::pin::pin;

use super::*;
use crate::store::memory::{Memory, Shared as Hub};
use crate::{Numbering, Role, StreamState};

fn join(hub: &Arc<Hub>, node: &str) -> Member {
    let node = NodeId::parse(node).expect("a name");
    let store = Memory::new(hub.clone(), node.clone());
    Member::start(store, node, Options::default())
}

fn key() -> StreamKey {
    StreamKey::parse("live/cam").expect("a key")
}

fn record(node: &Member) -> StreamRecord {
    StreamRecord {
        key: key(),
        node: node.node().clone(),
        epoch: node.next_epoch(None),
        identity: None,
        protocol: "rtmp".to_owned(),
        state: StreamState::Live,
        since: 0,
        numbering: Numbering::default(),
    }
}

async fn up(node: &Member) {
    let open = node.shared.link.subscribe();
    let mut open = pin!(open);
    let open = open.wait_for(|link| matches!(link, crate::link::Link::Open(_)));
    drop(open.await.expect("the member is there"));
}

/// Waits for `end`, of which it is known how often it may be looked at.
async fn within_polls<T>(most: usize, end: impl Future<Output = T>) -> T {
    let mut end = pin!(end);
    let mut polls = 0;
    std::future::poll_fn(|context| {
        polls += 1;
        assert!(polls <= most, "it goes in circles");
        end.as_mut().poll(context)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_takes_is_not_waited_for_in_circles() {
    let hub = Hub::new();
    let a = join(&hub, "a");
    // Asked for, and never brought to an end.
    let record_of_a = record(&a);
    let asked = a.shared.state().ask(record_of_a, None);
    assert!(matches!(asked, Ask::As(_)));
    let began = Instant::now();
    let claimed = within_polls(500, a.claim(record(&a), None)).await;
    assert!(matches!(
        claimed,
        Err(ClaimError::Unreachable(Error::TimedOut))
    ));
    assert_eq!(began.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_never_good_is_not_asked_for_in_circles() {
    let hub = Hub::new();
    let a = join(&hub, "a");
    let asked = a
        .shared
        .ask(Op::Setting, Instant::now() + PATIENCE, |_| async {
            Err::<(), _>(crate::store::Fault::NoLease)
        });
    assert_eq!(within_polls(500, asked).await, Err(Error::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_to_be_away_is_not_waited_for() {
    let hub = Hub::new();
    let a = join(&hub, "a");
    let held = a.claim(record(&a), None).await.expect("nobody has it");
    hub.down(true);
    let mut changes = a.changes();
    while changes.next().await != Some(crate::Change::Up(false)) {}
    assert!(!a.is_up());
    // It may be tried again at this very moment.
    for _ in 0..20 {
        let began = Instant::now();
        let other = StreamRecord {
            key: StreamKey::parse("live/other").expect("a key"),
            ..record(&a)
        };
        let claimed = a.claim(other, None).await;
        assert!(matches!(claimed, Err(ClaimError::Unreachable(Error::Down))));
        assert_eq!(a.resolve(&key()).await, Err(Error::Down));
        let updated = a.update(&held, record(&a)).await;
        assert!(matches!(
            updated,
            Err(UpdateError::Unreachable(Error::Down))
        ));
        assert_eq!(began.elapsed(), Duration::ZERO);
        sleep(Duration::from_millis(77)).await;
    }
    let began = Instant::now();
    assert_eq!(a.release(held).await, Err(Error::Down));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_done_all_the_same() {
    let hub = Hub::new();
    let (a, b) = (join(&hub, "a"), join(&hub, "b"));
    let claim = a.claim(record(&a), None).await.expect("nobody has it");
    let turn = a
        .shared
        .state()
        .claims
        .get(&key())
        .map(|own| own.turn.clone());
    let turn = turn.expect("it is claimed");
    let there = async || b.resolve(&key()).await.expect("answers");

    let busy = turn.lock().await;
    let back = record(&a);
    assert!(a.update(&claim, back.clone()).now_or_never().is_none());
    drop(busy);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(there().await.expect("is there").record, back);

    let busy = turn.lock().await;
    assert!(a.release(claim).now_or_never().is_none());
    drop(busy);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(there().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_a_leaving_node_had_is_not_claimed_again() {
    let hub = Hub::new();
    let (a, b) = (join(&hub, "a"), join(&hub, "b"));
    let _claim = a.claim(record(&a), None).await.expect("nobody has it");
    up(&b).await;
    // The directory has done as it was told, and the node has not heard of it yet.
    a.shared.leave();
    hub.expire(a.node());
    sleep(Duration::from_secs(10)).await;
    assert_eq!(b.resolve(&key()).await, Ok(None));
    a.leave().await;
    assert!(!a.is_up());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_left_is_not_up_again() {
    let hub = Hub::new();
    let a = join(&hub, "a");
    up(&a).await;
    let link = a.shared.link.borrow().clone();
    let crate::link::Link::Open(open) = link else {
        panic!("it is up");
    };
    a.leave().await;
    // What its driver was about to say.
    a.shared.opened(open.session, open.lease);
    assert!(!a.is_up());
    assert_eq!(a.resolve(&key()).await, Err(Error::Down));
}

#[tokio::test(start_paused = true)]
async fn a_load_is_a_number() {
    let hub = Hub::new();
    let a = join(&hub, "a");
    for (said, load) in [(f64::NAN, 0.0), (-1.0, 0.0), (7.0, 1.0), (0.5, 0.5)] {
        a.announce(NodeRecord {
            load: said,
            draining: load == 0.5,
            ..NodeRecord::new(a.node().clone(), Role::All)
        });
        sleep(Duration::from_secs(5)).await;
        let known = a.find_node(a.node()).expect("is announced");
        assert_eq!(known.load, load, "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_setting_for_no_time_is_one_for_a_second_and_one_for_ever_is_none() {
    let hub = Hub::new();
    let a = join(&hub, "a");
    let name = SettingName::parse("x").expect("a name");
    for life in [Duration::ZERO, Duration::MAX] {
        let (value, life) = (serde_json::json!(1), Life::For(life));
        a.put_setting(Kind::Warm, name.clone(), value, life, Expect::Any)
            .await
            .expect("is set");
    }
    assert_eq!(whole_seconds(Duration::ZERO), Duration::from_secs(1));
    assert_eq!(
        whole_seconds(Duration::from_millis(1001)),
        Duration::from_secs(2)
    );
}

#[tokio::test(start_paused = true)]
async fn who_asked_long_ago_takes_no_doubt_away() {
    let hub = Hub::new();
    let a = join(&hub, "a");
    up(&a).await;
    let now = a.shared.state().generation;
    a.shared.doubt_lease(now);
    a.shared.doubt_lease(now - 1);
    assert!(a.shared.is_doubted(now));
}
