//! Viewers over HLS whose every request is answered by another edge, and what they notice of what happens to it.

use std::time::Duration;

use testkit::{Clip, Recipe};
use weir_cluster::{Builder, Cluster, Encoder, EncoderOptions, HlsViewer};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn who_alternates_between_edges_notices_nothing() {
    alternate(75).await;
}

#[tokio::test]
#[ignore = "takes five minutes"]
async fn who_alternates_between_edges_for_long_notices_nothing() {
    alternate(5 * 60 * 5).await;
}

async fn alternate(parts: usize) {
    let cluster = cluster(3).start().await;
    let _encoder = publish(&cluster).await;
    let viewers: [_; 3] = std::array::from_fn(|_| play(&cluster));
    for viewer in &viewers {
        let limit = LIMIT + Duration::from_millis(300) * u32::try_from(parts).unwrap_or(u32::MAX);
        viewer.goes_on(parts, limit).await;
        viewer.seen().was_undisturbed("who alternates");
    }
}

#[tokio::test]
async fn an_edge_leaves_and_nobody_notices() {
    let cluster = cluster(2).set("node.drain_timeout=10s").start().await;
    let _encoder = publish(&cluster).await;
    let viewers: [_; 3] = std::array::from_fn(|_| play(&cluster));
    for viewer in &viewers {
        viewer.goes_on(20, LIMIT).await;
    }
    assert_eq!(cluster.drain("e2").await.status, 200);
    cluster.node("e2").gone(LIMIT).await;
    for viewer in &viewers {
        viewer.goes_on(20, LIMIT).await;
        viewer
            .seen()
            .was_undisturbed("a viewer of an edge that leaves");
    }
}

#[tokio::test]
async fn an_origin_leaves_and_nobody_notices_more_than_a_discontinuity() {
    let cluster = cluster(2).set("node.drain_timeout=10s").start().await;
    let encoder = publish(&cluster).await;
    let viewer = play(&cluster);
    viewer.goes_on(20, LIMIT).await;
    assert_eq!(cluster.drain("o1").await.status, 200);
    encoder.accepted_times(2, LIMIT).await;
    viewer.goes_on(30, LIMIT).await;
    let seen = viewer.seen();
    assert!(seen.failures.is_empty(), "{seen:?}");
    assert_eq!((seen.jumps, seen.backwards), (0, None), "{seen:?}");
}

#[tokio::test]
async fn an_origin_dies_and_its_viewers_go_on_with_what_comes() {
    let cluster = cluster(2).start().await;
    let encoder = publish(&cluster).await;
    let viewers: [_; 3] = std::array::from_fn(|_| play(&cluster));
    for viewer in &viewers {
        viewer.goes_on(20, LIMIT).await;
    }
    cluster.node("o1").kill().await;
    encoder.accepted_times(2, LIMIT).await;
    for viewer in &viewers {
        viewer.goes_on(30, LIMIT).await;
        let seen = viewer.seen();
        assert!(seen.failures.is_empty(), "{seen:?}");
        assert_eq!((seen.jumps, seen.backwards), (1, None), "{seen:?}");
    }
}

fn cluster(edges: usize) -> Builder {
    Cluster::builder()
        .etcd(1)
        .origins(2)
        .edges(edges)
        .balanced()
        .set("limits.headroom=1")
        .set(r#"auth.static={"live/*" = { publish = "secret" }}"#)
}

async fn publish(cluster: &Cluster) -> Encoder {
    let clip = Clip::of(Recipe::H264_AAC);
    let urls = ["o1", "o2"].map(|origin| cluster.node(origin).url("live/cam?token=secret"));
    let encoder = EncoderOptions::new(&[&urls[0], &urls[1]], &clip.tags).start();
    encoder.accepted_times(1, LIMIT).await;
    encoder
}

fn play(cluster: &Cluster) -> HlsViewer {
    HlsViewer::play(cluster.balancer().http, "live/cam")
}
