//! What goes wrong between nodes and their directory.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Backend, LEASE, claim, epoch, eventually, id, joined, key, owner, record, revision, two,
};
use crate::{
    Change, ClaimError, Directory, Error, NodeRecord, PATIENCE, Revision, Role, Standing,
    StreamState, UpdateError,
};

/// A connection that breaks and comes back is no news to anybody.
pub async fn a_short_cut_changes_nothing(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    a.announce(NodeRecord::new(id("a"), Role::All));
    let claim = claim(&a, &key).await;
    // Also to the one that says it, which hears of itself as the other does.
    for directory in [&a, &b] {
        eventually(directory, "all is known", || {
            directory.lookup(&key).is_some() && directory.find_node(&id("a")).is_some()
        })
        .await;
    }
    let held = b.lookup(&key);
    let (mut of_a, mut of_b) = (a.changes(), b.changes());
    backend.cut("a", true).await;
    tokio::time::sleep(LEASE / 10).await;
    backend.cut("a", false).await;
    eventually(&a, "a is back", || a.is_up()).await;
    // It works again, and nothing was written anew.
    let other = super::claim(&a, &super::key("other")).await;
    eventually(&b, "the other is known", || b.lookup(other.key()).is_some()).await;
    assert_eq!(b.lookup(&key), held);
    assert_eq!(
        a.standing(&claim),
        Standing::Held(revision(held).expect("was known"))
    );
    for changes in [&mut of_a, &mut of_b] {
        let mut told = Vec::new();
        while let Some(change) = changes.try_next() {
            told.push(change);
        }
        told.retain(|change| !matches!(change, Change::Up(_)));
        assert_eq!(told, [Change::Stream(other.key().clone())]);
    }
}

/// A node whose lease ran out while it was cut off claims again what it still serves.
pub async fn claims_survive_the_loss_of_the_lease(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    a.announce(NodeRecord::new(id("a"), Role::All));
    let mut claims = Vec::new();
    for i in 0..50 {
        claims.push(claim(&a, &key(&format!("cam{i}"))).await);
    }
    let epochs: Vec<_> = claims.iter().map(|claim| epoch(&a, claim.key())).collect();
    backend.cut("a", true).await;
    backend.expire("a").await;
    eventually(&b, "all is free", || {
        b.streams().is_empty() && b.nodes().is_empty()
    })
    .await;
    // On its own node nothing is.
    assert_eq!(a.streams().len(), 50);
    let released = claims.pop().expect("there are some");
    let gone = released.key().clone();
    assert!(
        a.release(released)
            .await
            .is_err_and(|error| error.is_retryable())
    );

    let mut changes = b.changes();
    backend.cut("a", false).await;
    eventually(&b, "all is claimed again", || {
        b.streams().len() == 49 && b.find_node(&id("a")).is_some()
    })
    .await;
    for (claim, epoch_before) in claims.iter().zip(epochs) {
        assert_eq!(epoch(&b, claim.key()), epoch_before);
        eventually(&a, "it is held", || {
            matches!(a.standing(claim), Standing::Held(_))
        })
        .await;
    }
    assert_eq!(b.lookup(&gone), None);
    // Each once.
    let mut told = Vec::new();
    while let Some(change) = changes.try_next() {
        if let Change::Stream(key) = change {
            told.push(key);
        }
    }
    let count = told.len();
    told.sort();
    told.dedup();
    assert_eq!((count, told.len()), (49, 49));
}

/// A publisher that moved on while its old origin was cut off is not pulled back.
pub async fn who_was_superseded_while_cut_off_learns_of_it(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let (first, second) = (key("first"), key("second"));
    let (of_first, of_second) = (claim(&a, &first).await, claim(&a, &second).await);
    eventually(&b, "both are known", || b.streams().len() == 2).await;
    backend.cut("a", true).await;
    eventually(&a, "a is cut off", || !a.is_up()).await;
    // One is taken while it is held, one when it is free.
    let over = revision(b.lookup(&first));
    let _first = b.claim(record(&b, &first), over).await.expect("supersedes");
    backend.expire("a").await;
    eventually(&b, "the second is free", || b.lookup(&second).is_none()).await;
    let _second = claim(&b, &second).await;

    let mut changes = a.changes();
    backend.cut("a", false).await;
    eventually(&a, "both losses are known", || {
        a.standing(&of_first) == Standing::Gone && a.standing(&of_second) == Standing::Gone
    })
    .await;
    let mut lost = Vec::new();
    while let Some(change) = changes.try_next() {
        if let Change::Lost(key, Some(to)) = change {
            assert_eq!(to.record.node, id("b"));
            lost.push(key);
        }
    }
    lost.sort();
    assert_eq!(lost, [first.clone(), second.clone()]);
    for key in [&first, &second] {
        assert_eq!(owner(&a, key), Some(id("b")));
        assert_eq!(owner(&b, key), Some(id("b")));
    }
}

/// Two origins that both took a publisher while the directory was away: the higher epoch stays.
pub async fn two_that_assumed_a_key_agree_on_the_higher_epoch(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    backend.stop(true).await;
    eventually(&a, "a notices", || !a.is_up()).await;
    eventually(&b, "b notices", || !b.is_up()).await;
    let of_a = a.assume(record(&a, &key));
    let mut higher = record(&b, &key);
    higher.epoch.number += 5000;
    let of_b = b.assume(higher.clone());
    assert_eq!(a.standing(&of_a), Standing::Pending);
    assert_eq!(
        (owner(&a, &key), owner(&b, &key)),
        (Some(id("a")), Some(id("b")))
    );
    backend.stop(false).await;
    eventually(&a, "a lost", || a.standing(&of_a) == Standing::Gone).await;
    eventually(&b, "b holds", || {
        matches!(b.standing(&of_b), Standing::Held(_))
    })
    .await;
    assert_eq!(a.lookup(&key).expect("is known").record, higher);
    assert_eq!(
        a.resolve(&key)
            .await
            .expect("answers")
            .expect("is there")
            .record,
        higher
    );
}

/// While the directory is away everything that is known goes on, and new questions are answered
/// quickly. What was done meanwhile is in the directory when it is back.
pub async fn while_the_directory_is_away_work_goes_on(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let (old, new) = (key("old"), key("new"));
    let of_old = claim(&a, &old).await;
    eventually(&b, "the old one is known", || b.lookup(&old).is_some()).await;
    let mut changes = b.changes();
    backend.stop(true).await;
    eventually(&a, "a notices", || !a.is_up()).await;
    eventually(&b, "b notices", || !b.is_up()).await;
    assert_eq!(owner(&b, &old), Some(id("a")), "what was known is known");

    let began = Instant::now();
    let error = a
        .claim(record(&a, &new), None)
        .await
        .expect_err("nobody is there");
    assert!(
        matches!(error, ClaimError::Unreachable(Error::Down)),
        "{error}"
    );
    assert!(error.is_retryable());
    assert!(b.resolve(&old).await.is_err());
    let mut waiting = record(&a, &old);
    waiting.state = StreamState::Waiting;
    let error = a
        .update(&of_old, waiting.clone())
        .await
        .expect_err("nobody is there");
    assert!(matches!(error, UpdateError::Unreachable(_)) && error.is_retryable());
    assert!(
        began.elapsed() < PATIENCE / 2,
        "nobody waits for what is known to be away"
    );
    // Here it counts at once.
    assert_eq!(a.lookup(&old).expect("is known").record, waiting);
    let said = record(&a, &new);
    let of_new = a.assume(said.clone());
    assert_eq!(a.lookup(&new).expect("is known").record, said);
    assert_eq!(a.standing(&of_new), Standing::Pending);

    backend.stop(false).await;
    eventually(&b, "both are there", || {
        let is = |key, record| b.lookup(key).is_some_and(|held| held.record == record);
        is(&old, waiting.clone()) && is(&new, said.clone())
    })
    .await;
    eventually(&a, "both are held", || {
        [&of_old, &of_new]
            .iter()
            .all(|claim| matches!(a.standing(claim), Standing::Held(_)))
    })
    .await;
    let mut told = Vec::new();
    while let Some(change) = changes.try_next() {
        told.push(change);
    }
    for change in [
        Change::Up(false),
        Change::Up(true),
        Change::Stream(old),
        Change::Stream(new),
    ] {
        let count = told.iter().filter(|told| **told == change).count();
        assert_eq!(count, 1, "{change:?} in {told:?}");
    }
}

/// What was given back while the directory was away does not stay for ever.
pub async fn what_was_released_while_it_was_away_is_released(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let (first, second) = (key("first"), key("second"));
    let (of_first, of_second) = (claim(&a, &first).await, claim(&a, &second).await);
    eventually(&b, "both are known", || b.streams().len() == 2).await;
    backend.stop(true).await;
    eventually(&a, "a notices", || !a.is_up()).await;
    assert_eq!(a.release(of_first).await, Err(Error::Down));
    drop(of_second);
    assert_eq!(a.lookup(&first), None, "here it is");
    assert_eq!(a.streams(), []);
    backend.stop(false).await;
    eventually(&b, "both are released", || b.streams().is_empty()).await;
    assert_eq!(b.resolve(&first).await.expect("answers"), None);
}

/// Leases that ran out only because nobody could renew them are no reason to call anything gone.
pub async fn an_outage_that_ends_all_leases_is_no_news(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let c = joined(backend, "c").await;
    a.announce(NodeRecord::new(id("a"), Role::All));
    let mut claims = Vec::new();
    for i in 0..20 {
        claims.push(claim(&a, &key(&format!("cam{i}"))).await);
    }
    eventually(&b, "all is known", || {
        b.streams().len() == 20 && b.nodes().len() == 1
    })
    .await;
    let mut changes = b.changes();
    let before: Vec<_> = claims
        .iter()
        .map(|claim| revision(b.lookup(claim.key())))
        .collect();
    backend.stall(&["a", "b", "c"]).await;
    let all_anew = || {
        claims
            .iter()
            .zip(&before)
            .all(|(claim, before)| revision(b.lookup(claim.key())) > *before)
    };
    eventually(&b, "all is claimed again", all_anew).await;
    for claim in &claims {
        assert!(
            b.lookup(claim.key())
                .is_some_and(|held| held.revision > Revision::NONE)
        );
    }
    eventually(&b, "it is up", || b.is_up()).await;
    let mut told = Vec::new();
    while let Some(change) = changes.try_next() {
        told.push(change);
    }
    told.retain(|change| !matches!(change, Change::Up(_)));
    assert_eq!(told, [], "nothing was gone");
    drop(c);
}

/// What died in an outage is gone when those who live have had time to come back.
pub async fn what_died_in_an_outage_is_gone_in_the_end(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let c = joined(backend, "c").await;
    let (living, dead) = (key("living"), key("dead"));
    let _living = claim(&a, &living).await;
    let of_dead = claim(&c, &dead).await;
    c.announce(NodeRecord::new(id("c"), Role::All));
    eventually(&b, "all is known", || {
        b.streams().len() == 2 && b.nodes().len() == 1
    })
    .await;
    backend.cut("c", true).await;
    drop((of_dead, c));
    backend.stall(&["a", "b", "c"]).await;
    eventually(&b, "b is back", || b.is_up()).await;
    // It is held back at first, also from those who want it.
    if let Some(held) = b.lookup(&dead) {
        let error = b
            .claim(record(&b, &dead), None)
            .await
            .expect_err("is held back");
        assert!(
            matches!(error, ClaimError::Held(_) | ClaimError::Unreachable(_)),
            "{error}"
        );
        drop(held);
    }
    eventually(&b, "the dead are gone", || {
        b.lookup(&dead).is_none() && b.nodes().is_empty()
    })
    .await;
    assert!(b.lookup(&living).is_some());
    assert!(b.claim(record(&b, &dead), None).await.is_ok());
}

/// A directory that is restored from an old snapshot becomes what it was before that, and nobody
/// hears of what was in it: epochs go on growing, and what was released stays released.
pub async fn a_restored_snapshot_brings_nothing_back(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let keys = ["kept", "renewed", "moved", "ended", "new"].map(key);
    let [kept, renewed, moved, ended, new] = &keys;
    a.announce(NodeRecord::new(id("a"), Role::All));
    let of_kept = claim(&a, kept).await;
    let of_renewed = claim(&a, renewed).await;
    let of_moved = claim(&a, moved).await;
    let of_ended = claim(&a, ended).await;
    eventually(&b, "all is known", || {
        b.streams().len() == 4 && b.nodes().len() == 1
    })
    .await;
    backend.back_up().await;
    for node in [&a, &b] {
        eventually(node, "it is back", || node.is_up()).await;
    }

    // An hour goes by.
    let later = |node, key| {
        let mut record = record(node, key);
        record.epoch.number += 3_600_000;
        record
    };
    // Enough for revisions to be far from what they will be.
    for _ in 0..20 {
        a.update(&of_renewed, later(&a, renewed))
            .await
            .expect("updates");
    }
    a.release(of_moved).await.expect("releases");
    eventually(&b, "the release is known", || b.lookup(moved).is_none()).await;
    let of_moved = b.claim(later(&b, moved), None).await.expect("is free");
    a.release(of_ended).await.expect("releases");
    let of_new = b.claim(later(&b, new), None).await.expect("nobody has it");
    let known = |node: &Arc<dyn Directory>| {
        keys.each_ref()
            .map(|key| node.lookup(key).map(|held| held.record.clone()))
    };
    eventually(&a, "all is known", || known(&a) == known(&b)).await;
    let before = known(&a);
    assert_eq!(before.iter().flatten().count(), 4);
    let highest = a
        .streams()
        .iter()
        .map(|held| held.record.epoch)
        .max()
        .expect("some");

    let (mut of_a, mut of_b) = (a.changes(), b.changes());
    backend.restore().await;
    for (node, claim) in [
        (&a, &of_kept),
        (&a, &of_renewed),
        (&b, &of_moved),
        (&b, &of_new),
    ] {
        let held = || matches!(node.standing(claim), Standing::Held(_));
        eventually(node, "it is held", || node.is_up() && held()).await;
    }
    // Later than any lease, and than all that was held back.
    tokio::time::sleep(LEASE * 2).await;
    for node in [&a, &b] {
        eventually(node, "it is as before", || known(node) == before).await;
        assert!(node.next_epoch(None) > highest, "epochs grow");
        for key in &keys {
            let there = node.resolve(key).await.expect("answers");
            assert_eq!(there, node.lookup(key));
        }
    }
    // Not even for a moment was it as it had been an hour ago. The one change that is told is that
    // of a key that had ended, and of which its owner knows better.
    for changes in [&mut of_a, &mut of_b] {
        while let Some(change) = changes.try_next() {
            let expected = match &change {
                Change::Up(_) => true,
                Change::Stream(key) => key == ended,
                _ => false,
            };
            assert!(expected, "{change:?}");
        }
    }
    // And what happens now is heard.
    let over = revision(b.lookup(kept));
    let _kept = b.claim(later(&b, kept), over).await.expect("supersedes");
    eventually(&a, "the loss is known", || {
        a.standing(&of_kept) == Standing::Gone
    })
    .await;
    a.release(of_renewed).await.expect("releases");
    eventually(&b, "the release is known", || b.lookup(renewed).is_none()).await;
}
