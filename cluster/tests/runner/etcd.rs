//! Real etcds.

use weir_cluster::Etcd;

#[tokio::test]
async fn what_is_written_survives_a_kill_of_all_members() {
    let etcd = Etcd::alone(1).await;
    etcd.put("/weir/test/streams/live/cam", r#"{"node":"o1"}"#)
        .await
        .expect("written");
    etcd.kill_all().await;
    assert!(!etcd.is_running(0));
    etcd.get("/weir/").await.expect_err("nobody is there");
    etcd.restart_all().await;
    let found = etcd.get("/weir/test/").await.expect("an answer");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "/weir/test/streams/live/cam");
    assert_eq!(found[0].json()["node"], "o1");
    assert_eq!((found[0].version, found[0].lease), (1, 0));
    assert!(etcd.get("/weir/tesu").await.expect("an answer").is_empty());
    assert_eq!(etcd.delete("/weir/").await, Ok(1));
}

#[tokio::test]
async fn three_members_do_without_one_and_not_without_two() {
    let etcd = Etcd::alone(3).await;
    let leader = etcd.leader().await.expect("there is a leader");
    etcd.kill(leader).await;
    testkit::wait::until("another leader", async || {
        etcd.put("/a", "1").await.is_ok().then_some(())
    })
    .await;
    let other = (leader + 1) % 3;
    etcd.pause(other).await;
    etcd.put("/a", "2").await.expect_err("there is no majority");
    etcd.resume(other);
    etcd.restart(leader).await;
    etcd.ready().await;
    let found = etcd.get("/a").await.expect("an answer");
    // The write that was refused may have been kept for later.
    assert!(["1", "2"].contains(&found[0].value.as_str()), "{found:?}");
}

#[tokio::test]
async fn a_snapshot_brings_the_past_back() {
    let etcd = Etcd::alone(3).await;
    etcd.put("/a", "old").await.expect("written");
    let snapshot = etcd.snapshot().await;
    let endpoints = etcd.endpoints();
    etcd.put("/a", "new").await.expect("written");
    etcd.put("/b", "new").await.expect("written");
    let before = etcd.revision().await.expect("an answer");
    etcd.restore(&snapshot).await;
    assert_eq!(etcd.endpoints(), endpoints);
    let found = etcd.get("/").await.expect("an answer");
    let found: Vec<_> = found
        .iter()
        .map(|found| (found.key.as_str(), found.value.as_str()))
        .collect();
    assert_eq!(found, [("/a", "old")]);
    assert!(etcd.revision().await.expect("an answer") < before);
}

#[tokio::test]
async fn a_compaction_forgets_the_past() {
    let etcd = Etcd::alone(1).await;
    for value in ["1", "2", "3"] {
        etcd.put("/a", value).await.expect("written");
    }
    let revision = etcd.compact().await.expect("compacted");
    assert_eq!(etcd.compact().await, Ok(revision), "again is no fault");
    let found = etcd.get("/a").await.expect("an answer");
    assert_eq!((found[0].value.as_str(), found[0].version), ("3", 3));
    assert_eq!(etcd.leases().await, Ok(Vec::new()));
}
