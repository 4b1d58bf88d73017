//! Nodes that come and go.

use std::time::Duration;

use super::{Backend, LEASE, claim, eventually, id, join, joined, key, owner, record, two};
use crate::{Change, Clock, NodeRecord, Options, Role, Standing};

/// Nodes see each other, with what they say about themselves.
pub async fn nodes_know_each_other(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let mut said = NodeRecord::new(id("a"), Role::Origin);
    said.addresses
        .insert("relay".to_owned(), "10.0.0.1:7935".to_owned());
    (said.zone, said.software) = (Some("north".to_owned()), "0.1.0".to_owned());
    (said.load, said.started) = (0.25, 5);
    a.announce(said.clone());
    eventually(&b, "the node is known", || b.find_node(&id("a")).is_some()).await;
    let known = b.find_node(&id("a")).expect("is known");
    assert!(known.clock > 1_700_000_000_000, "its clock is filled in");
    assert_eq!(
        *known,
        NodeRecord {
            clock: known.clock,
            ..said.clone()
        }
    );
    assert_eq!(known.address("relay"), Some("10.0.0.1:7935"));
    assert_eq!(b.nodes().len(), 1);

    let mut changes = b.changes();
    a.announce(NodeRecord {
        draining: true,
        ..said
    });
    eventually(&b, "it drains", || {
        b.find_node(&id("a")).is_some_and(|node| node.draining)
    })
    .await;
    assert_eq!(changes.next().await, Some(Change::Node(id("a"))));
    eventually(&a, "it knows itself", || {
        a.find_node(&id("a")).is_some_and(|node| node.draining)
    })
    .await;
}

/// A node that dies says nothing; its lease does.
pub async fn what_a_dead_node_claimed_is_free_after_its_lease(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    a.announce(NodeRecord::new(id("a"), Role::All));
    let claim = claim(&a, &key).await;
    eventually(&b, "all is known", || {
        b.lookup(&key).is_some() && b.find_node(&id("a")).is_some()
    })
    .await;
    backend.cut("a", true).await;
    drop((claim, a));
    // Until then it is held.
    assert!(b.claim(record(&b, &key), None).await.is_err());
    backend.expire("a").await;
    eventually(&b, "its lease is over", || {
        b.lookup(&key).is_none() && b.find_node(&id("a")).is_none()
    })
    .await;
    assert!(b.claim(record(&b, &key), None).await.is_ok());
}

/// A node that leaves does not make others wait for its lease.
pub async fn a_node_that_leaves_is_gone_at_once(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    a.announce(NodeRecord::new(id("a"), Role::All));
    let claim = claim(&a, &key).await;
    let mut changes = a.changes();
    eventually(&b, "all is known", || {
        b.lookup(&key).is_some() && b.find_node(&id("a")).is_some()
    })
    .await;
    let began = tokio::time::Instant::now();
    a.leave().await;
    assert_eq!(b.resolve(&key).await.expect("answers"), None);
    eventually(&b, "it left", || {
        b.lookup(&key).is_none() && b.find_node(&id("a")).is_none()
    })
    .await;
    assert!(began.elapsed() < LEASE, "{:?}", began.elapsed());
    while changes.next().await.is_some() {}
    assert!(!a.is_up());
    drop(claim);
}

/// A process that is started anew takes over what its predecessor left, without waiting for the
/// lease, and keeps it when that runs out.
pub async fn a_node_that_starts_anew_takes_its_keys_back(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    let before = claim(&a, &key).await;
    backend.cut("a", true).await;
    drop((before, a));
    // So that it is dead before its successor starts.
    tokio::time::sleep(Duration::from_millis(50)).await;
    backend.cut("a", false).await;
    let a = joined(backend, "a").await;
    eventually(&a, "what was left is known", || {
        owner(&a, &key) == Some(id("a"))
    })
    .await;
    let said = record(&a, &key);
    let after = a.claim(said.clone(), None).await.expect("it is its own");

    // Longer than the predecessor's lease.
    tokio::time::sleep(LEASE + LEASE / 2).await;
    eventually(&b, "it is known", || {
        b.lookup(&key).is_some_and(|held| held.record == said)
    })
    .await;
    assert_eq!(
        b.resolve(&key)
            .await
            .expect("answers")
            .expect("is there")
            .record,
        said
    );
    assert!(matches!(a.standing(&after), Standing::Held(_)));
}

/// A node whose clock is wrong is noticed by the others, and once.
pub async fn wrong_clocks_are_noticed(backend: &dyn Backend) {
    let a = joined(backend, "a").await;
    let options = |millis| Options {
        clock: Clock::shifted(millis),
        ..Options::default()
    };
    let slow = backend.join("slow", options(-5000));
    let fast = backend.join("fast", options(3000));
    let fine = join(backend, "fine");
    let mut changes = a.changes();
    // Twice each, because once may be chance.
    for draining in [false, true] {
        for node in [&slow, &fast, &fine] {
            let name = node.node().clone();
            let record = NodeRecord {
                draining,
                ..NodeRecord::new(name.clone(), Role::All)
            };
            node.announce(record);
            eventually(&a, "the node is known", || {
                a.find_node(&name)
                    .is_some_and(|node| node.draining == draining)
            })
            .await;
        }
    }
    eventually(&a, "both are noticed", || a.clock_differences().len() == 2).await;
    for difference in a.clock_differences() {
        let expected = if difference.node == id("slow") {
            -5000
        } else {
            3000
        };
        assert!((difference.millis - expected).abs() < 900, "{difference:?}");
    }
    let mut noticed = Vec::new();
    while let Some(change) = changes.try_next() {
        if let Change::Clock(node) = change {
            noticed.push(node);
        }
    }
    noticed.sort();
    assert_eq!(noticed, [id("fast"), id("slow")]);
    slow.leave().await;
    eventually(&a, "it is forgotten", || a.clock_differences().len() == 1).await;
}
