//! What changes, as it happens.

use super::{Backend, LEASE, claim, epoch, eventually, joined, key, record, two};
use crate::Change;

/// Changes of one key are heard in the order in which they were made, and end with what is there.
pub async fn changes_come_in_order(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let key = key("cam");
    let mut changes = b.changes();
    let claim = claim(&a, &key).await;
    for _ in 0..50 {
        a.update(&claim, record(&a, &key)).await.expect("updates");
    }
    let last = epoch(&a, &key).expect("is known");
    a.release(claim).await.expect("releases");
    let mut seen = None;
    let mut gone = false;
    while !gone {
        let change = changes.next().await.expect("b is there");
        assert_eq!(change, Change::Stream(key.clone()));
        let now = epoch(&b, &key);
        gone = now.is_none();
        assert!(
            gone || now >= seen && now <= Some(last),
            "{now:?} after {seen:?}"
        );
        seen = now;
    }
    // Those that were told before they were looked at.
    while changes.try_next().is_some() {}
    tokio::time::sleep(LEASE / 10).await;
    assert_eq!(changes.try_next(), None);
    assert_eq!(epoch(&b, &key), None, "what is gone stays gone");
}

/// Who joins later, or listens later, knows what happened before.
pub async fn who_comes_late_knows_all_the_same(backend: &dyn Backend) {
    let a = joined(backend, "a").await;
    let mut claims = Vec::new();
    for i in 0..100 {
        claims.push(claim(&a, &key(&format!("cam{i}"))).await);
    }
    let b = joined(backend, "b").await;
    assert_eq!(b.streams().len(), 100);
    for claim in &claims {
        assert_eq!(b.lookup(claim.key()), a.lookup(claim.key()));
    }
}

/// That the directory forgets what happened does not matter to those who know what there is.
pub async fn a_compacted_history_does_no_harm(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let _first = claim(&a, &key("first")).await;
    eventually(&b, "the first is known", || {
        b.lookup(&key("first")).is_some()
    })
    .await;
    backend.cut("b", true).await;
    eventually(&b, "b is cut off", || !b.is_up()).await;
    let second = claim(&a, &key("second")).await;
    a.update(&second, record(&a, &key("second")))
        .await
        .expect("updates");
    backend.compact().await;
    backend.cut("b", false).await;
    eventually(&b, "the second is known", || {
        b.lookup(&key("second")) == a.lookup(&key("second"))
    })
    .await;
    assert!(b.lookup(&key("first")).is_some());
    let _third = claim(&a, &key("third")).await;
    eventually(&b, "the third is known", || {
        b.lookup(&key("third")).is_some()
    })
    .await;
}
