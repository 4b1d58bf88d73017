//! Keys, and who has them.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use media::Epoch;

use super::{Backend, claim, epoch, eventually, id, joined, key, owner, record, revision, two};
use crate::{Change, ClaimError, Directory, Revision, Standing, StreamState, UpdateError};

/// What is claimed on one node is known on all, as it was said, until it is released.
pub async fn a_claim_is_known_to_all_until_it_is_released(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    let said = record(&a, &key);
    assert!(a.lookup(&key).is_none());
    let claim = a.claim(said.clone(), None).await.expect("nobody has it");

    // By whoever claimed it without waiting, by others in a moment or when they ask.
    assert_eq!(a.lookup(&key).expect("is known").record, said);
    assert_eq!(
        b.resolve(&key)
            .await
            .expect("answers")
            .expect("is there")
            .record,
        said
    );
    eventually(&b, "the claim is known", || b.lookup(&key).is_some()).await;
    assert_eq!(b.lookup(&key), a.lookup(&key));
    let held = revision(a.lookup(&key)).expect("is known");
    assert_eq!(a.standing(&claim), Standing::Held(held));
    assert_eq!(b.standing(&claim), Standing::Gone, "it is not b's");
    assert_eq!(b.streams().len(), 1);

    a.release(claim).await.expect("releases");
    assert!(a.lookup(&key).is_none());
    assert_eq!(b.resolve(&key).await.expect("answers"), None);
    eventually(&b, "the release is known", || b.lookup(&key).is_none()).await;
}

/// Of many who claim a key at the same moment exactly one gets it, and the others learn who.
pub async fn of_many_who_claim_a_key_one_gets_it(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let c = joined(backend, "c").await;
    let all = [a, b, c];
    for round in 0..20 {
        let key = key(&format!("cam{round}"));
        let claims = all.iter().map(|node| node.claim(record(node, &key), None));
        let ends = futures::future::join_all(claims).await;
        let won: Vec<_> = ends.iter().filter_map(|end| end.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{ends:?}");
        let (winner, _) = all
            .iter()
            .zip(&ends)
            .find(|(_, end)| end.is_ok())
            .expect("one won");
        for lost in ends.iter().filter_map(|end| end.as_ref().err()) {
            let ClaimError::Held(held) = lost else {
                panic!("{lost}");
            };
            assert_eq!(held.record.node, *winner.node());
            assert!(!lost.is_retryable());
        }
    }
}

/// A key that is held goes to who names the revision that is there and has a higher epoch.
pub async fn only_a_higher_epoch_supersedes_exactly_what_it_saw(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    let of_a = claim(&a, &key).await;
    let before = revision(a.lookup(&key)).expect("is known");
    let mut waiting = record(&a, &key);
    waiting.state = StreamState::Waiting;
    a.update(&of_a, waiting).await.expect("updates");
    let held = b.resolve(&key).await.expect("answers").expect("is there");

    // What was there before is not what is there.
    let error = b
        .claim(record(&b, &key), Some(before))
        .await
        .expect_err("is out of date");
    assert!(matches!(error, ClaimError::Held(now) if now == held));
    // An epoch that is not higher.
    eventually(&b, "the update is known", || {
        b.lookup(&key).as_ref() == Some(&held)
    })
    .await;
    let mut low = record(&b, &key);
    low.epoch = Epoch::new(held.record.epoch.number, 0);
    let error = b
        .claim(low, Some(held.revision))
        .await
        .expect_err("is too low");
    assert!(matches!(error, ClaimError::Held(_)));
    assert_eq!(owner(&b, &key), Some(id("a")));

    let said = record(&b, &key);
    let of_b = b
        .claim(said.clone(), Some(held.revision))
        .await
        .expect("supersedes");
    assert_eq!(
        b.resolve(&key)
            .await
            .expect("answers")
            .expect("is there")
            .record,
        said
    );
    assert!(matches!(b.standing(&of_b), Standing::Held(_)));

    // What was to be superseded is gone by itself: just as well.
    let there = revision(b.lookup(&key));
    b.release(of_b).await.expect("releases");
    assert!(b.claim(record(&b, &key), there).await.is_ok());
}

/// An origin whose key was taken learns of it, once, and can do nothing about it.
pub async fn the_origin_that_is_superseded_learns_of_it(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    let of_a = claim(&a, &key).await;
    let mut changes = a.changes();
    let held = b.resolve(&key).await.expect("answers").expect("is there");
    let _of_b = b
        .claim(record(&b, &key), Some(held.revision))
        .await
        .expect("supersedes");

    eventually(&a, "the loss is known", || {
        a.standing(&of_a) == Standing::Gone
    })
    .await;
    assert_eq!(owner(&a, &key), Some(id("b")));
    let Some(Change::Lost(lost, Some(to))) = changes.next().await else {
        panic!("the loss comes first");
    };
    assert_eq!((lost, &to.record.node), (key.clone(), b.node()));
    assert_eq!(changes.next().await, Some(Change::Stream(key.clone())));

    let error = a
        .update(&of_a, record(&a, &key))
        .await
        .expect_err("is lost");
    assert!(matches!(&error, UpdateError::Lost(Some(held)) if held.record.node == id("b")));
    assert!(!error.is_retryable());
    // To release what is lost takes nothing from who has it.
    a.release(of_a).await.expect("there is nothing to do");
    assert_eq!(owner(&b, &key), Some(id("b")));
    assert_eq!(
        b.resolve(&key)
            .await
            .expect("answers")
            .expect("is there")
            .record
            .node,
        id("b")
    );
    assert_eq!(changes.try_next(), None);
}

/// The encoder leaves and comes back with a new epoch: the same claim says so.
pub async fn an_update_is_seen_and_keeps_the_claim(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    let first = record(&a, &key);
    let claim = a.claim(first.clone(), None).await.expect("nobody has it");
    let mut waiting = first.clone();
    waiting.state = StreamState::Waiting;
    a.update(&claim, waiting.clone()).await.expect("updates");
    assert_eq!(a.lookup(&key).expect("is known").record, waiting);
    eventually(&b, "it waits", || {
        b.lookup(&key).is_some_and(|held| held.record == waiting)
    })
    .await;

    let back = record(&a, &key);
    assert!(back.epoch > first.epoch);
    a.update(&claim, back.clone()).await.expect("updates");
    eventually(&b, "it is back", || {
        b.lookup(&key).is_some_and(|held| held.record == back)
    })
    .await;
    assert_eq!(
        a.standing(&claim),
        Standing::Held(revision(b.lookup(&key)).expect("is known"))
    );
}

/// A claim that is dropped, by a task that panicked say, does not stay for ever.
pub async fn a_claim_that_is_dropped_is_released(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    let claim = claim(&a, &key).await;
    eventually(&b, "the claim is known", || b.lookup(&key).is_some()).await;
    drop(claim);
    eventually(&b, "the release is known", || b.lookup(&key).is_none()).await;
    eventually(&a, "the release is known", || a.lookup(&key).is_none()).await;
}

/// Who claims and does not wait for the answer has claimed nothing in the end.
pub async fn a_claim_that_nobody_waited_for_leaves_nothing(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    for i in 0..20 {
        let key = key(&format!("cam{i}"));
        {
            let mut asked = a.claim(record(&a, &key), None).fuse();
            // Far enough for the question to be on its way, at times for the answer to be there.
            let _ = (&mut asked).now_or_never();
            tokio::time::sleep(Duration::from_micros(i * 50)).await;
            let _ = (&mut asked).now_or_never();
        }
        let taken = claim_when_free(&b, &key).await;
        b.release(taken).await.expect("releases");
    }
}

async fn claim_when_free(node: &Arc<dyn Directory>, key: &media::StreamKey) -> crate::Claim {
    for _ in 0..500 {
        match node.claim(record(node, key), None).await {
            Ok(claim) => return claim,
            Err(ClaimError::Held(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the key does not become free");
}

/// Claims and releases of one key, one after the other: the last word counts.
pub async fn a_key_is_claimed_again_and_again(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    let mut last = None;
    for i in 0..30 {
        let claim = claim(&a, &key).await;
        assert!(epoch(&a, &key) > last, "epochs grow");
        last = epoch(&a, &key);
        // While a key is ours it is not claimed again, unless that is meant.
        let held = a.lookup(&key).expect("is known");
        let error = a.claim(record(&a, &key), None).await.expect_err("is ours");
        assert!(matches!(error, ClaimError::Held(there) if there == held));
        if i % 3 == 0 {
            // The earlier claim is nothing any more.
            let again = a
                .claim(record(&a, &key), Some(held.revision))
                .await
                .expect("is meant");
            assert_eq!(a.standing(&claim), Standing::Gone);
            drop(claim);
            assert!(matches!(a.standing(&again), Standing::Held(_)));
            a.release(again).await.expect("releases");
        } else {
            a.release(claim).await.expect("releases");
        }
    }
    eventually(&b, "all is released", || b.lookup(&key).is_none()).await;
    assert_eq!(b.resolve(&key).await.expect("answers"), None);
}

/// A whole publish is three changes of the directory: claim, waiting, release.
pub async fn a_publish_costs_three_writes(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let number = |revision: Revision| revision.0;
    let mut revisions = Vec::new();
    for i in 0..3 {
        let key = key(&format!("cam{i}"));
        let claim = claim(&a, &key).await;
        revisions.push(number(revision(a.lookup(&key)).expect("is known")));
        let mut waiting = record(&a, &key);
        waiting.state = StreamState::Waiting;
        a.update(&claim, waiting).await.expect("updates");
        // A viewer costs none.
        for _ in 0..10 {
            b.resolve(&key).await.expect("answers");
        }
        a.release(claim).await.expect("releases");
    }
    let steps: Vec<_> = revisions.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps, [3, 3]);
}

/// The next epoch is above all there are, also of nodes whose clocks are ahead.
pub async fn epochs_grow_over_everything_seen(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    let mut ahead = record(&a, &key);
    ahead.epoch.number += 3_600_000;
    let claim = a.claim(ahead.clone(), None).await.expect("nobody has it");
    eventually(&b, "the claim is known", || b.lookup(&key).is_some()).await;
    let next = b.next_epoch(None);
    assert_eq!(next, Epoch::new(ahead.epoch.number + 1, id("b").number()));
    assert!(b.next_epoch(None) > next);
    a.release(claim).await.expect("releases");
    eventually(&b, "the release is known", || b.lookup(&key).is_none()).await;
    assert!(b.next_epoch(None) > next, "what is gone counts too");
    // What is known from elsewhere.
    let known = Epoch::new(next.number + 1000, 7);
    assert_eq!(b.next_epoch(Some(known)).number, known.number + 1);
}
