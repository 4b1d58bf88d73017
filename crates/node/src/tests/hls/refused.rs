//! Who gets nothing, and what they are told.

use super::*;
use crate::config::{Secret, StaticToken};
use crate::status::RefusalKind;

#[tokio::test]
async fn who_asks_for_what_is_not_there_is_told_at_once() {
    let node = node(|_| {}).await;
    for (name, sentence) in [("a", "nobody publishes"), ("a//b", "")] {
        let no = refused(&node, name).await;
        assert_eq!(no.kind, RefusalKind::NotFound, "{no}");
        assert!(no.sentence.contains(sentence), "{no}");
    }
    let reserved = Request {
        path: "api/a".to_owned(),
        ..request("", 1)
    };
    let no = node.hls(&reserved).await.expect_err("reserved");
    assert!(no.sentence.contains("reserved"), "{no}");
    until("nothing is left of it", async || {
        node.health().await.active_streams == 0
    })
    .await;
    node.drain().await;
}

#[tokio::test]
async fn a_token_is_asked_for_with_each_request() {
    let node = node(|config| {
        let token = StaticToken::Each {
            publish: None,
            play: Some(Secret::new("token".to_owned())),
        };
        config.auth.r#static.0.insert("live/*".to_owned(), token);
    })
    .await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..3).await;
    for _ in 0..2 {
        assert_eq!(refused(&node, "a").await.kind, RefusalKind::Unauthorized);
        assert_eq!(
            refused(&node, "a?token=x").await.kind,
            RefusalKind::Forbidden
        );
        ask(&node, "a?token=token").await;
        let bearer = Request {
            token: Some("token".to_owned()),
            ..request("a", 1)
        };
        assert!(node.hls(&bearer).await.is_ok());
    }
    node.drain().await;
}

#[tokio::test]
async fn where_hls_is_off_its_viewers_are_told_so() {
    let node = node(|config| config.hls.mode = None).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..3).await;
    let no = refused(&node, "a").await;
    assert_eq!(no.kind, RefusalKind::NotFound);
    assert!(no.sentence.contains("hls.mode"), "{no}");
    assert!(!is_packaged(&node, "a"));
    node.drain().await;
}

#[tokio::test]
async fn who_may_wait_waits_for_the_publisher_and_not_for_ever() {
    let node = node(|config| config.play.wait = Duration::from_millis(300)).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(refused(&node, "a").await.kind, RefusalKind::NotFound);
    assert!(
        asked.elapsed() >= Duration::from_millis(300),
        "{:?}",
        asked.elapsed()
    );
    let waits = ask(&node, "a");
    let publishes = async {
        is_published(&node).await;
        publish(&node, "a").await
    };
    let (stream, publisher) = tokio::join!(waits, publishes);
    send(&publisher, 0..5).await;
    view(&stream, "something", |view| {
        view.window().newest().is_some()
    })
    .await;
    node.drain().await;
}

#[tokio::test]
async fn a_node_that_leaves_goes_on_for_those_it_knows_and_no_others() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..5).await;
    let stream = ask(&node, "a").await;
    view(&stream, "something", |view| {
        view.window().newest().is_some()
    })
    .await;
    assert!(!stream.is_leaving());
    node.context().hls.close();
    let other = node.hls(&request("a", 2)).await.expect_err("new");
    assert_eq!(other.kind, RefusalKind::Unavailable);
    assert!(other.retry_after.is_some());
    ask(&node, "a").await;
    node.drain().await;
    assert!(stream.is_leaving());
}

#[tokio::test]
async fn a_name_that_nobody_can_have_given_is_refused_and_one_that_others_may_know_is_waited_for() {
    let node = node(|_| {}).await;
    let now = node.context().clock.unix_millis();
    let named = |number| Request {
        name: Some(Name::Segment {
            epoch: media::Epoch::new(number, 7),
            msn: 1,
            container: ::hls::Container::Fmp4,
        }),
        ..request("a", 1)
    };
    let days = |days: u64| named(now + days * 24 * 60 * 60 * 1000);
    // Nobody even looks for the stream.
    let asked = node.hls(&days(400)).await;
    assert_eq!(asked.expect_err("made up").kind, RefusalKind::NotFound);
    assert!(!is_packaged(&node, "a"));
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..3).await;
    view(&ask(&node, "a").await, "something", |view| {
        view.window().is_playable()
    })
    .await;
    for request in [days(2), named(u64::MAX)] {
        let asked = node.hls(&request).await;
        assert_eq!(asked.expect_err("made up").kind, RefusalKind::NotFound);
    }
    // Another node may have heard of a publish that began just now, by a clock that is ahead.
    for request in [named(now + 60_000), named(now + 60 * 60 * 1000)] {
        let stream = node.hls(&request).await.expect("may be");
        let name = request.name.expect("a name");
        assert_eq!(stream.now().window().find(&name), Answer::Wait);
    }
    node.drain().await;
}
