//! An encoder comes to another origin than the one that has its stream.

use tokio::time::Instant;

use super::*;

const SILENCE: Duration = Duration::from_millis(400);

#[tokio::test]
async fn who_is_known_takes_its_stream_over_at_once() {
    let cluster = Cluster::new(|_, config| {
        with_token(config);
        (config.publish.silence, config.publish.grace) = (NEVER, NEVER);
    })
    .await;
    let first = Encoder::accepted(&cluster.o1, "a?token=token", 1).await;
    let mut player = cluster.e1.play("a").await;
    goes_over(&mut player, 1, 1).await;
    let before = cluster.e1.held("a").expect("it plays it").record.epoch;
    let _second = Encoder::accepted(&cluster.o2, "a?token=token", 2).await;
    let why = first.ended().await;
    assert!(why.contains("published at another node"), "{why}");
    goes_over(&mut player, 1, 2).await;
    cluster.e1.hears_of("a", "o2").await;
    let after = cluster.e1.held("a").expect("it plays it").record.epoch;
    assert!(after > before);
    cluster.drain().await;
}

#[tokio::test]
async fn a_stranger_is_refused_while_the_publisher_sends() {
    let cluster = Cluster::new(|_, config| config.publish.grace = NEVER).await;
    let first = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.e1.play("a").await;
    goes_over(&mut player, 1, 1).await;
    let why = Encoder::refused(&cluster.o2, "a").await;
    assert!(why.contains("being published by someone else"), "{why}");
    goes_over(&mut player, 1, 1).await;
    assert!(!first.task.is_finished());
    assert_eq!(cluster.o2.streams().await, 0);
    cluster.drain().await;
}

#[tokio::test]
async fn anybody_takes_the_place_of_one_who_is_silent() {
    let cluster = Cluster::new(|_, config| {
        (config.publish.silence, config.publish.grace) = (SILENCE, NEVER);
    })
    .await;
    let first = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.e1.play("a").await;
    goes_over(&mut player, 1, 1).await;
    first.falls_silent();
    // What it sent before counts against the newcomer.
    tokio::time::sleep(SILENCE / 4).await;
    let asked = Instant::now();
    let _second = Encoder::accepted(&cluster.o2, "a", 2).await;
    assert!(asked.elapsed() > SILENCE / 4, "{:?}", asked.elapsed());
    let why = first.ended().await;
    assert!(why.contains("published at another node"), "{why}");
    goes_over(&mut player, 1, 2).await;
    cluster.drain().await;
}

#[tokio::test]
async fn anybody_takes_the_place_of_one_who_has_left() {
    let cluster = Cluster::new(|_, config| {
        (config.publish.silence, config.publish.grace) = (NEVER, NEVER);
    })
    .await;
    let first = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.e1.play("a").await;
    goes_over(&mut player, 1, 1).await;
    drop(first);
    until("it has left", async || {
        cluster.o1.node.connections().await == 0
    })
    .await;
    let _second = Encoder::accepted(&cluster.o2, "a", 2).await;
    goes_over(&mut player, 1, 2).await;
    // Nothing of it stays where it was.
    until("o1 has nothing left of it", async || {
        cluster.o1.streams().await == 0
    })
    .await;
    cluster.drain().await;
}
