//! The balancer.

use std::time::Duration;

use testkit::{Clip, Peer, Recipe};
use weir_cluster::{Cluster, EncoderOptions, Viewer};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn connections_go_to_the_nodes_in_turn() {
    let cluster = Cluster::builder().nodes(2).balanced().start().await;
    let mut peers = Vec::new();
    for _ in 0..6 {
        peers.push(Peer::dial(cluster.balancer().rtmp).await);
    }
    cluster.sum_becomes("weir_connections", 6.0, LIMIT).await;
    let each = cluster.sums("weir_connections").await;
    assert_eq!((each["n1"], each["n2"]), (3.0, 3.0), "{each:?}");
}

#[tokio::test]
async fn a_node_that_is_gone_gets_no_connections_until_it_is_back() {
    let cluster = Cluster::builder().nodes(2).balanced().start().await;
    let gone = cluster.node("n1");
    let (rtmp, http) = (gone.rtmp, gone.http);
    gone.kill().await;
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(Peer::dial(cluster.balancer().rtmp).await);
    }
    assert_eq!(cluster.node("n2").sum("weir_connections").await, 4.0);
    gone.restart().await;
    assert_eq!((gone.rtmp, gone.http), (rtmp, http));
    cluster
        .until("the node to get connections again", LIMIT, async || {
            peers.push(Peer::dial(cluster.balancer().rtmp).await);
            (gone.sum("weir_connections").await > 0.0).then_some(())
        })
        .await;
}

#[tokio::test]
async fn encoders_and_viewers_meet_through_it() {
    let cluster = Cluster::builder().nodes(1).balanced().start().await;
    let clip = Clip::of(Recipe::H264_AAC);
    let url = cluster.balancer().ingest_url("live/cam");
    let encoder = EncoderOptions::new(&[&url], &clip.tags).start();
    encoder.accepted_times(1, LIMIT).await;
    let viewer = Viewer::play(&cluster.balancer().url("live/cam"));
    viewer.goes_on(100, LIMIT).await;
    let seen = viewer.seen();
    let sent = encoder.sent();
    for video in [true, false] {
        let seen = seen.hashes(video);
        let sent: Vec<_> = sent
            .iter()
            .filter(|sent| sent.is_video == video)
            .map(|sent| sent.hash)
            .collect();
        let found = sent.windows(seen.len()).any(|part| part == seen);
        assert!(found, "what is seen was sent, in this order");
    }
    assert_eq!(seen.backwards(), None);
    assert_eq!(seen.joins.len(), 1, "{}", seen.summary());
    assert!(seen.closes.is_empty(), "{}", seen.summary());
}
