//! The same bytes in messages.

use testkit::{Clip, Publisher, Recipe};
use weir_cluster::Node;

use crate::viewer::Viewer;

#[tokio::test]
async fn a_websocket_brings_the_bytes_of_the_file_and_a_message_for_each_tag() {
    let node = Node::start(&["play.wait=20s", "publish.grace=0s"]).await;
    let file = Viewer::get(node.http, "live/cam");
    let messages = Viewer::websocket(node.http, "live/cam");
    node.plays(2).await;
    // Frames of more than 64 KiB are among them, which take the longest heads.
    let clip = Clip::of(Recipe::HEAVY);
    let publisher = Publisher::start(&node.url("live/cam"), clip.tags.clone(), 4.0).await;
    let sent = publisher.expect("accepted").finished().await;
    sent.expect("said goodbye");
    assert_eq!((file.status().await, messages.status().await), (200, 101));
    assert_eq!(file.ended().await, None);
    let goodbye = (1000, "the stream has ended".to_owned());
    assert_eq!(messages.ended().await, Some(goodbye));
    assert!(file.bytes() == messages.bytes(), "the same file");

    assert!(file.is_whole(), "a chunk has said so");
    let tags = messages.tags();
    assert!(tags.iter().any(|tag| tag.payload.len() > 65_536));
    let of_tags = tags.iter().map(|tag| 11 + tag.payload.len() + 4);
    let expected: Vec<_> = std::iter::once(13).chain(of_tags).collect();
    // The head of the file, and each tag.
    assert_eq!(messages.pieces(), expected);
    assert_eq!(file.pieces(), expected);
    node.stopped().await;
}

#[tokio::test]
async fn a_browser_that_cannot_have_a_stream_is_refused_before_it_is_upgraded() {
    let tokens = r#"auth.static={"live/cam" = { play = "secret" }}"#;
    let node = Node::start(&[tokens]).await;
    for (stream, status) in [
        ("live/cam", 401),
        ("live/cam?token=guess", 403),
        ("live/cam?token=secret", 404),
    ] {
        let viewer = Viewer::websocket(node.http, stream);
        assert_eq!(viewer.status().await, status, "{stream}");
        viewer.ended().await;
    }
    node.stopped().await;
}
