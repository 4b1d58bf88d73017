//! Streams that end where nobody looks, or that cannot be had.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_ended_while_nobody_watched_is_not_there() {
    let cluster = Cluster::new(|_, config| config.publish.grace = Duration::ZERO).await;
    for mark in 1..=10 {
        let encoder = Encoder::accepted(&cluster.o1, "a", mark).await;
        let mut player = cluster.e1.play("a").await;
        assert_eq!(next_picture(&mut player).await.0, mark);
        player.close().await;
        until("the viewer has left", async || {
            cluster.e1.node.connections().await == 0
        })
        .await;
        drop(encoder);
        until("the edge has let go of it", async || {
            cluster.e1.streams().await == 0
        })
        .await;
    }
    let why = cluster.e1.refuses_play("a").await;
    assert!(why.contains("nobody publishes live/a"), "{why}");
    cluster.drain().await;
}

#[tokio::test]
async fn who_waits_for_what_cannot_be_pulled_is_told_in_the_end() {
    let cluster = Cluster::new(|name, config| {
        config.publish.grace = Duration::from_millis(300);
        if name == "o1" {
            // Nobody listens there.
            config.relay.advertise = Some("127.0.0.1:1".to_owned());
        }
    })
    .await;
    let _encoder = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.e1.play("a").await;
    let ended = async { while !matches!(player.next().await, Ok(Some(Event::StreamEnded))) {} };
    timeout(PATIENCE, ended).await.expect("in time");
    cluster.drain().await;
}
