//! How it ends, before the first byte and behind the last.

use super::*;
use crate::config::{Secret, StaticToken, StaticTokens};

/// What a viewer is told that gets nothing.
async fn told(node: &Node, path: &str) -> String {
    let viewer = Viewer::of(node, path, Carrier::Bytes);
    String::from_utf8(viewer.rest().await).expect("a word")
}

fn is(kind: RefusalKind) -> String {
    format!("{kind:?}")
}

#[tokio::test]
async fn who_gets_nothing_is_told_why() {
    let node = node(|config| {
        config.limits.viewers_per_stream = 1;
        let token = StaticToken::Each {
            publish: None,
            play: Some(Secret::new("secret".to_owned())),
        };
        config.auth.r#static = StaticTokens([("live/a".to_owned(), token)].into());
    })
    .await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    for (path, kind) in [
        ("live/a", RefusalKind::Unauthorized),
        ("live/a?token=guess", RefusalKind::Forbidden),
        ("live/a?token=secret&tracks=some", RefusalKind::Invalid),
        ("live/b?token=secret", RefusalKind::Forbidden),
        ("api/a?token=secret", RefusalKind::NotFound),
        ("live/a b", RefusalKind::NotFound),
    ] {
        assert_eq!(told(&node, path).await, is(kind), "{path}");
    }
    let mut viewer = Viewer::of(&node, "live/a?token=secret&more=1", Carrier::Bytes);
    viewer.head().await;
    let full = told(&node, "live/a?token=secret").await;
    assert_eq!(full, is(RefusalKind::Unavailable));
    node.drain().await;
}

#[tokio::test]
async fn a_stream_that_nobody_publishes_is_not_found_at_once() {
    let node = node(|_| {}).await;
    assert_eq!(told(&node, "live/a").await, is(RefusalKind::NotFound));
    until("nothing is left", async || node.connections().await == 0).await;
    node.drain().await;
}

#[tokio::test]
async fn a_stream_that_is_waited_for_in_vain_is_not_found() {
    let node = node(|config| config.play.wait = Duration::from_millis(100)).await;
    assert_eq!(told(&node, "live/a").await, is(RefusalKind::NotFound));
    node.drain().await;
}

#[tokio::test]
async fn a_stream_that_is_waited_for_begins_when_it_comes() {
    let node = node(|config| config.play.wait = PATIENCE).await;
    let mut viewer = Viewer::of(&node, "live/a", Carrier::Bytes);
    until("it waits", async || node.health().await.active_streams == 1).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    viewer.head().await;
    assert_eq!(viewer.tag().await, keyframe(0));
    node.drain().await;
}

#[tokio::test]
async fn whether_a_stream_can_be_watched_can_be_asked() {
    let node = node(|_| {}).await;
    let request = |path: &str| Request {
        path: path.to_owned(),
        query: String::new(),
        token: None,
        carrier: Carrier::Bytes,
    };
    let absent = node.may_watch(&request("live/a")).await;
    let kind = absent.map_err(|refused| refused.kind);
    assert_eq!(kind, Err(RefusalKind::NotFound));
    let _publisher = publish(&node, "a").await;
    assert_eq!(node.may_watch(&request("live/a")).await, Ok(()));
    node.drain().await;
}

#[tokio::test]
async fn over_a_limit_it_is_told_which() {
    let node = node(|config| config.limits.connections = 1).await;
    let _publisher = publish(&node, "a").await;
    assert_eq!(told(&node, "live/a").await, is(RefusalKind::Unavailable));
    node.drain().await;
    let node = super::node(|config| config.limits.connections_per_address = 1).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut first = Viewer::of(&node, "live/a", Carrier::Bytes);
    first.head().await;
    assert_eq!(told(&node, "live/a").await, is(RefusalKind::Busy));
    node.drain().await;
}

#[tokio::test]
async fn at_the_end_of_the_stream_it_has_all_of_it() {
    let node = node(|config| config.publish.grace = Duration::ZERO).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut viewer = Viewer::of(&node, "live/a", Carrier::Bytes);
    let mut chunked = Viewer::of(&node, "live/a", Carrier::Chunks);
    let mut other = Viewer::of(&node, "live/a", Carrier::WebSocket);
    for viewer in [&mut viewer, &mut chunked, &mut other] {
        viewer.head().await;
    }
    publisher.send(keyframe(40)).await.expect("open");
    publisher.finish().await.expect("said goodbye");
    let rest = viewer.rest().await;
    assert!(rest.ends_with(&in_file(&keyframe(40))));
    let rest = chunked.rest().await;
    let last = [b"13\r\n", &in_file(&keyframe(40))[..], b"\r\n0\r\n\r\n"].concat();
    assert!(rest.ends_with(&last), "{rest:?}");
    let rest = other.rest().await;
    let goodbye = crate::websocket::close(1000, "the stream has ended");
    let last = [&in_file(&keyframe(40))[..], &goodbye].concat();
    assert!(rest.ends_with(&last), "{rest:?}");
    node.drain().await;
}

#[tokio::test]
async fn a_node_that_goes_says_so() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut viewer = Viewer::of(&node, "live/a", Carrier::WebSocket);
    viewer.head().await;
    let drained = tokio::spawn({
        let node = node.clone();
        async move { node.drain().await }
    });
    let rest = viewer.rest().await;
    let goodbye = crate::websocket::close(1001, "this node is shutting down; connect again");
    assert!(rest.ends_with(&goodbye), "{rest:?}");
    drop(publisher);
    let drained = timeout(PATIENCE, drained).await.expect("in time");
    drained.expect("no panic");
}

#[tokio::test]
async fn who_comes_while_a_node_goes_is_sent_elsewhere() {
    let node = node(|config| config.node.drain_timeout = PATIENCE).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    // Somebody who does not leave at once keeps it.
    let stays = Viewer::of(&node, "live/a", Carrier::WebSocket);
    let drained = tokio::spawn({
        let node = node.clone();
        async move { node.drain().await }
    });
    until("it leaves", async || {
        node.ready()
            .await
            .iter()
            .any(|(check, is)| *check == "drain" && is.is_err())
    })
    .await;
    until("it is told", async || {
        told(&node, "live/a").await == is(RefusalKind::Unavailable)
    })
    .await;
    drop((stays, publisher));
    let drained = timeout(PATIENCE, drained).await.expect("in time");
    drained.expect("no panic");
}
