//! What a node says about its streams and does with them, over HTTP.

use serde_json::{Value, json};
use testkit::wait::until;
use testkit::{Clip, Ffmpeg, Peer, Publisher, Recipe, sent};
use weir_cluster::Node;

/// The answer at a path, once `is_it` says so of it.
async fn answer(node: &Node, path: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    until(path, async || {
        let answer = node.get(path).await.json();
        is_it(&answer).then_some(answer)
    })
    .await
}

#[tokio::test]
async fn a_stream_is_told_as_it_is() {
    let node = Node::start(&[]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let encoder = Ffmpeg::Installed.publish(&clip.file, 1.0, &node.url("live/cam"));
    // Rates are those of the last full second, and keyframes come once a second.
    let measured =
        |stream: &Value| stream["fps"].is_number() && stream["keyframeInterval"].is_number();
    let stream = answer(&node, "/api/v1/streams/live/cam", measured).await;
    for (name, value) in [
        ("streamKey", json!("live/cam")),
        ("app", json!("live")),
        ("name", json!("cam")),
        ("active", json!(true)),
        ("state", json!("live")),
        ("protocol", json!("rtmp")),
        ("viewers", json!(0)),
        ("viewersByProtocol", json!({})),
        ("videoCodec", json!("avc")),
        ("audioCodec", json!("aac")),
        ("resolution", json!("320x180")),
        ("keyframeInterval", json!(1.0)),
        ("audioChannels", json!(2)),
        ("droppedTags", json!(0)),
    ] {
        assert_eq!(stream[name], value, "{name} in {stream:#}");
    }
    let near = |name: &str, wanted: f64| {
        let value = stream[name].as_f64().unwrap_or(0.0);
        assert!(
            (value - wanted).abs() < wanted / 2.0,
            "{name} in {stream:#}"
        );
    };
    near("fps", 25.0);
    near("bitrate", 200_000.0);
    assert!(
        stream["epoch"]
            .as_u64()
            .is_some_and(|epoch| epoch > 1_700_000_000_000)
    );
    assert!(
        stream["publisherAddr"]
            .as_str()
            .is_some_and(|it| it.starts_with("127.0.0.1:"))
    );
    assert!(
        stream["startedAt"]
            .as_str()
            .is_some_and(|it| it.ends_with('Z'))
    );
    assert!(
        stream["bytesIn"]
            .as_u64()
            .is_some_and(|bytes| bytes > 10_000)
    );

    let _first = Peer::play(node.rtmp, "live", "cam").await;
    let _second = Peer::play(node.rtmp, "live", "cam").await;
    let watched = |streams: &Value| streams["streams"][0]["viewers"] == 2;
    let streams = answer(&node, "/api/v1/streams", watched).await;
    assert_eq!(
        (&streams["total"], streams.get("unreachable")),
        (&json!(1), None)
    );
    assert_eq!(streams["streams"][0]["viewersByProtocol"]["rtmp"], 2);
    let why = node.get("/api/v1/streams/cam/why").await.json();
    let verdict = why["verdict"].as_str().expect("a sentence");
    assert!(verdict.contains("2 viewers watch"), "{verdict}");
    assert!(
        why["lastTagAge"].as_f64().is_some_and(|age| age < 2.0),
        "{why:#}"
    );
    assert_eq!(why["codecs"][1], "mp4a.40.2", "{why:#}");
    let nodes = node.get("/api/v1/nodes").await.json();
    let me = &nodes["nodes"][0];
    assert_eq!(
        [
            &me["ready"],
            &me["streams"],
            &me["publishers"],
            &me["viewers"]
        ],
        [&json!(true), &json!(1), &json!(1), &json!(2)]
    );

    encoder.kill().await;
    let awaited = |stream: &Value| stream["state"] == "waiting";
    let stream = answer(&node, "/api/v1/streams/live%2Fcam", awaited).await;
    assert_eq!(
        (&stream["active"], stream.get("fps")),
        (&json!(false), None)
    );
    node.stopped().await;
}

#[tokio::test]
async fn viewers_are_disconnected_and_streams_stopped_by_order() {
    let node = Node::start(&[]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let publisher = Publisher::start(&node.url("live/cam"), sent(&clip.tags, 99), 1.0)
        .await
        .expect("accepted");
    let leaves = Peer::play(node.rtmp, "live", "cam").await;
    let path = "/api/v1/streams/live/cam/subscribers";
    let one = |viewers: &Value| viewers["total"] == 1;
    let viewers = answer(&node, path, one).await;
    let id = viewers["subscribers"][0]["id"].as_str().expect("a name");
    let stays = Peer::play(node.rtmp, "live", "cam").await;
    answer(&node, path, |viewers| viewers["total"] == 2).await;

    let done = node
        .post(&format!("{path}/{id}/disconnect"), &json!({}))
        .await;
    assert_eq!((done.status, &done.json()["id"]), (200, &json!(id)));
    leaves
        .until("a reason", |heard| {
            heard
                .iter()
                .any(|heard| heard.is_status("NetStream.Play.Failed"))
        })
        .await;
    let again = node
        .post(&format!("{path}/{id}/disconnect"), &json!({}))
        .await;
    assert_eq!(again.status, 404);
    answer(&node, path, one).await;

    let done = node.post("/api/v1/streams/cam/stop", &json!({})).await;
    assert_eq!(
        (done.status, done.json()),
        (
            200,
            json!({ "message": "stream stopped", "streamKey": "live/cam" })
        )
    );
    assert!(publisher.finished().await.is_err(), "it was told to go");
    stays
        .until("the end", |heard| {
            heard
                .iter()
                .any(|heard| heard.is_status("NetStream.Play.UnpublishNotify"))
        })
        .await;
    until("it is gone", async || {
        let answer = node.get("/api/v1/streams/live/cam").await;
        (answer.status == 404).then_some(())
    })
    .await;
    node.stopped().await;
}
