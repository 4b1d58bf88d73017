//! What a node says about its players over HTTP.

use testkit::wait::until;
use testkit::{Clip, Peer, Publisher, Recipe, sent};
use weir_cluster::Node;

use crate::viewer::Viewer;

#[tokio::test]
async fn players_are_counted_by_what_they_are_sent() {
    let node = Node::start(&[]).await;
    let tags = sent(&Clip::of(Recipe::H264_AAC).tags, 9);
    let publisher = Publisher::start(&node.url("live/cam"), tags, 1.0).await;
    let publisher = publisher.expect("accepted");
    let by_rtmp = Peer::play(node.rtmp, "live", "cam").await;
    let files = [0, 1].map(|_| Viewer::get(node.http, "live/cam"));
    let messages = Viewer::websocket(node.http, "live/cam");
    for viewer in files.iter().chain([&messages]) {
        viewer.frames(30).await;
    }
    for (protocol, count) in [("rtmp", 1.0), ("flv", 2.0), ("ws-flv", 1.0)] {
        let of = |name: &str| format!("{name}{{protocol=\"{protocol}\"}}");
        assert_eq!(
            node.metric(&of("weir_subscribers")).await,
            count,
            "{protocol}"
        );
        for name in ["weir_egress_bytes_total", "weir_delivery_seconds_count"] {
            assert!(node.metric(&of(name)).await > 0.0, "{name} {protocol}");
        }
        let joins = node.metric(&of("weir_join_seconds_count")).await;
        assert_eq!(joins, count, "{protocol}");
    }
    for (protocol, count) in [("flv", 2.0), ("ws-flv", 1.0)] {
        let name = format!("weir_connections{{protocol=\"{protocol}\"}}");
        assert_eq!(node.metric(&name).await, count);
    }
    let stream = node.get("/api/v1/streams/live/cam").await.json();
    assert_eq!(stream["viewers"], 4);
    let by_protocol = serde_json::json!({"rtmp": 1, "flv": 2, "ws-flv": 1});
    assert_eq!(stream["viewersByProtocol"], by_protocol);
    drop((files, messages, by_rtmp));
    let nobody = async || (node.sum("weir_subscribers").await == 0.0).then_some(());
    until("all to leave", nobody).await;
    let left = node.metric("weir_disconnects_total{protocol=\"flv\",reason=\"left\"}");
    assert_eq!(left.await, 2.0);
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn players_count_in_the_limits_of_connections_and_viewers() {
    let limits = ["limits.connections=3", "limits.viewers_per_stream=1"];
    let node = Node::start(&limits).await;
    let tags = sent(&Clip::of(Recipe::H264_AAC).tags, 9);
    let publisher = Publisher::start(&node.url("live/cam"), tags, 1.0).await;
    let publisher = publisher.expect("accepted");
    let first = Viewer::get(node.http, "live/cam");
    first.frames(10).await;
    let second = Viewer::get(node.http, "live/cam");
    assert_eq!(second.status().await, 503);
    let said = async || {
        let bytes = second.bytes();
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
    };
    let said = until("a sentence", said).await;
    assert!(said.contains("limits.viewers_per_stream"), "{said}");
    second.ended().await;
    let _idle = Peer::connect(node.rtmp, "live").await;
    let third = Viewer::get(node.http, "live/cam");
    assert_eq!(third.status().await, 503);
    third.ended().await;
    let said = String::from_utf8(third.bytes()).expect("a text");
    assert!(said.contains("limits.connections"), "{said}");
    drop(publisher);
    node.stopped().await;
}
