//! What a node says about itself.

use serde_json::Value;
use testkit::wait::until;
use testkit::{Clip, Peer, Publisher, Recipe, sent};
use weir_cluster::Node;

#[tokio::test]
async fn a_node_says_that_it_is_well_and_ready() {
    let node = Node::start(&[]).await;
    let health = node.get("/health").await;
    assert_eq!(health.status, 200);
    let health: Value = serde_json::from_str(&health.body).expect("JSON");
    assert_eq!(
        (&health["status"], &health["role"]),
        (&"ok".into(), &"all".into())
    );
    assert_eq!(health["activeStreams"], 0);
    assert!(
        health["nodeId"].is_string()
            && health["version"].is_string()
            && health["uptimeSeconds"].is_u64()
    );
    let ready = node.get("/ready").await;
    assert_eq!(ready.status, 200);
    let ready: Value = serde_json::from_str(&ready.body).expect("JSON");
    assert_eq!(
        (&ready["ready"], &ready["checks"]["listeners"]),
        (&true.into(), &"ok".into())
    );

    let clip = Clip::of(Recipe::H264_AAC);
    let publisher = Publisher::start(&node.url("live/cam"), sent(&clip.tags, 9), 1.0)
        .await
        .expect("accepted");
    let active = async || {
        serde_json::from_str::<Value>(&node.get("/health").await.body).ok()?["activeStreams"]
            .as_u64()
    };
    until("an active stream", async || {
        (active().await == Some(1)).then_some(())
    })
    .await;
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn the_metrics_have_their_names_and_count() {
    let node = Node::start(&[]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let publisher = Publisher::start(&node.url("live/cam"), sent(&clip.tags, 9), 1.0)
        .await
        .expect("accepted");
    let player = Peer::play(node.rtmp, "live", "cam").await;
    player
        .until("media", |heard| {
            heard.iter().filter(|heard| heard.tag().is_some()).count() > 50
        })
        .await;
    let metrics = node.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    for name in [
        "weir_build_info{",
        "weir_uptime_seconds",
        "weir_connections{protocol=\"rtmp\"} 2",
        "weir_connections_total{protocol=\"rtmp\"} 2",
        "weir_streams{state=\"live\"} 1",
        "weir_publishers{protocol=\"rtmp\"} 1",
        "weir_subscribers{protocol=\"rtmp\"} 1",
        "weir_ingress_bytes_total{protocol=\"rtmp\"}",
        "weir_egress_bytes_total{protocol=\"rtmp\"}",
        "weir_tags_total{kind=\"audio\"}",
        "weir_tags_total{kind=\"video\"}",
        "weir_join_seconds_bucket{protocol=\"rtmp\"",
        "weir_delivery_seconds_bucket{protocol=\"rtmp\"",
        "weir_auth_total{",
    ] {
        assert!(
            metrics.body.lines().any(|line| line.starts_with(name)),
            "{name} in {}",
            metrics.body
        );
    }
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn what_is_sent_to_a_player_alone_counts_in_the_delivery() {
    let node = Node::start(&[]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let publisher = Publisher::start(&node.url("live/cam"), sent(&clip.tags, 9), 1.0)
        .await
        .expect("accepted");
    let mut player = Peer::play(node.rtmp, "live", "cam").await;
    // No group serves one that wants something of its own.
    player.command("receiveAudio", 1, &[false.into()]).await;
    player.settled().await;
    let count = async || {
        node.metric("weir_delivery_seconds_count{protocol=\"rtmp\"}")
            .await
    };
    let before = count().await;
    until("deliveries", async || {
        (count().await >= before + 10.0).then_some(())
    })
    .await;
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn unknown_paths_are_answered_in_json() {
    let node = Node::start(&[]).await;
    let answer = node.get("/nowhere").await;
    assert_eq!(answer.status, 404);
    let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(answer["error"].is_string() && answer["code"].is_string());
    node.stopped().await;
}

#[tokio::test]
async fn a_node_serves_addresses_of_both_kinds() {
    let node = Node::start(&["rtmp.listen=[::1]:0", "http.listen=localhost:0"]).await;
    assert!(node.rtmp.is_ipv6());
    let clip = Clip::of(Recipe::H264_AAC);
    let publisher = Publisher::start(&node.url("live/cam"), sent(&clip.tags, 9), 1.0).await;
    let publisher = publisher.expect("accepted");
    let player = Peer::play(node.rtmp, "live", "cam").await;
    player
        .until("media", |heard| {
            heard.iter().any(|heard| heard.tag().is_some())
        })
        .await;
    assert_eq!(node.get("/health").await.status, 200);
    drop(publisher);
    node.stopped().await;
}
