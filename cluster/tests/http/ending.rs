//! How it ends, and what is said where it does not begin.

use std::time::Duration;

use serde_json::Value;
use testkit::wait::until;
use testkit::{Clip, Publisher, Recipe, sent};
use tokio::time::Instant;
use weir_cluster::{Cluster, Node};

use crate::viewer::Viewer;

#[tokio::test]
async fn a_stream_that_is_not_there_is_refused_at_once_by_the_hundred() {
    let node = Node::start(&[]).await;
    let began = Instant::now();
    let viewers: Vec<_> = (0..200)
        .map(|number| Viewer::get(node.http, &format!("live/none{number}")))
        .collect();
    for viewer in &viewers {
        assert_eq!(viewer.status().await, 404);
        viewer.ended().await;
        let said = String::from_utf8(viewer.bytes()).expect("a text");
        assert!(said.contains("nobody publishes live/non"), "{said}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let gone = "weir_connections{protocol=\"flv\"}";
    node.metric_becomes(gone, 0.0).await;
    node.stopped().await;
}

#[tokio::test]
async fn a_stream_that_is_waited_for_in_vain_is_refused_then() {
    let node = Node::start(&["play.wait=300ms"]).await;
    let asked = Instant::now();
    let viewer = Viewer::get(node.http, "live/cam");
    assert_eq!(viewer.status().await, 404);
    assert!(asked.elapsed() >= Duration::from_millis(300));
    node.stopped().await;
}

#[tokio::test]
async fn a_node_without_room_says_when_to_come_back() {
    let node = Node::start(&["limits.memory=1MB"]).await;
    let is_full = async || (node.get("/ready").await.status == 503).then_some(());
    until("the node to find out", is_full).await;
    let viewer = Viewer::get(node.http, "live/cam");
    let head = viewer.head().await;
    assert!(
        head.starts_with("http/1.1 503") && head.contains("\r\nretry-after: "),
        "{head}"
    );
    node.stopped().await;
}

#[tokio::test]
async fn an_operator_disconnects_a_player() {
    let node = Node::start(&[]).await;
    let tags = sent(&Clip::of(Recipe::H264_AAC).tags, 9);
    let publisher = Publisher::start(&node.url("live/cam"), tags, 1.0).await;
    let publisher = publisher.expect("accepted");
    let viewer = Viewer::websocket(node.http, "live/cam");
    viewer.frames(10).await;
    let path = "/api/v1/streams/live/cam/subscribers";
    let watching = node.get(path).await.json();
    assert_eq!(watching["subscribers"][0]["protocol"], "ws-flv");
    let id = watching["subscribers"][0]["id"].as_str().expect("a name");
    let path = format!("{path}/{id}/disconnect");
    assert_eq!(node.post(&path, &Value::Null).await.status, 200);
    let goodbye = (1008, "an operator disconnected this player".to_owned());
    assert_eq!(viewer.ended().await, Some(goodbye));
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn an_edge_that_leaves_ends_its_players_at_a_keyframe() {
    let cluster = Cluster::builder().etcd(1).origins(1).edges(1);
    let cluster = cluster
        .set("limits.headroom=1")
        .set("node.drain_timeout=6s")
        .set("node.drain_delay=500ms");
    let cluster = cluster.start().await;
    let (origin, edge) = (cluster.node("o1"), cluster.node("e1"));
    let tags = sent(&Clip::of(Recipe::H264_AAC).tags, 9);
    let publisher = Publisher::start(&origin.url("live/cam"), tags, 1.0).await;
    let publisher = publisher.expect("accepted");
    let is_there = async || {
        let viewer = Viewer::get(edge.http, "live/cam");
        (viewer.status().await == 200).then_some(viewer)
    };
    let file = until("the stream at the edge", is_there).await;
    let messages = Viewer::websocket(edge.http, "live/cam");
    for viewer in [&file, &messages] {
        viewer.frames(30).await;
    }
    let by_protocol = async || {
        let stream = origin.get("/api/v1/streams/live/cam").await.json();
        let viewers = &stream["viewersByProtocol"];
        (viewers["flv"] == 1 && viewers["ws-flv"] == 1).then_some(())
    };
    until("both to be counted", by_protocol).await;
    edge.terminate();
    let goodbye = messages.ended().await;
    let told = (1001, "this node is shutting down; connect again".to_owned());
    assert_eq!(goodbye, Some(told));
    file.ended().await;
    assert!(file.is_whole(), "it has all that there was for it");
    for viewer in [&file, &messages] {
        // Its last GOP is whole: of so many pictures.
        let tags = viewer.tags();
        let last = tags.iter().rposition(|tag| tag.is_keyframe());
        let rest = tags.iter().skip(last.expect("a keyframe"));
        let pictures = rest.filter(|tag| tag.is_video() && tag.is_frame()).count();
        assert_eq!(pictures, 25);
    }
    let late = Viewer::get(edge.http, "live/cam");
    // Where it listens still, it says so.
    if let Some(head) = late.answered().await {
        assert!(head.starts_with("http/1.1 503"), "{head}");
    }
    assert!(edge.gone(Duration::from_secs(20)).await.success());
    drop(publisher);
}
