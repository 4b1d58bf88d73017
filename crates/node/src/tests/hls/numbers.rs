//! The numbers of segments over publishes that know nothing of each other.

use super::super::cluster::Cluster;
use super::*;

/// The numbers that the newest segment of a window has.
fn newest(view: &View) -> (u64, u64) {
    let newest = view.window().segments().next_back().expect("one");
    (newest.msn(), newest.discontinuity())
}

/// Sends pieces of a stream with nothing between them, and returns numbers that it comes to, at least.
async fn send_with_gaps(node: &Node, publisher: &Publisher, gaps: u32) -> (u64, u64) {
    send(publisher, 0..3).await;
    let stream = ask(node, "a").await;
    let first = view(&stream, "something", |view| {
        view.window().newest().is_some()
    })
    .await;
    let (_, first) = newest(&first);
    for gap in 1..=gaps {
        send(publisher, gap * 8..gap * 8 + 3).await;
    }
    let all = first + u64::from(gaps);
    let seen = view(&stream, "all of it", |view| newest(view).1 >= all).await;
    newest(&seen)
}

/// Checks that the next publish begins behind those numbers.
async fn begins_behind(node: &Node, publisher: &Publisher, before: (u64, u64)) {
    send(publisher, 0..5).await;
    let stream = ask(node, "a").await;
    let next = view(&stream, "the next", |view| view.window().is_playable()).await;
    let first = next.window().segments().next().expect("one");
    let (msn, discontinuity) = (first.msn(), first.discontinuity());
    assert!(
        msn > before.0 && discontinuity > before.1,
        "{msn} and {discontinuity} behind {before:?}"
    );
}

#[tokio::test]
async fn numbers_never_go_back_over_the_end_of_a_stream() {
    let node = node(|config| config.publish.grace = Duration::ZERO).await;
    let publisher = publish(&node, "a").await;
    send_with_gaps(&node, &publisher, 5).await;
    let stream = ask(&node, "a").await;
    publisher.finish().await.expect("said goodbye");
    let ended = view(&stream, "the end", |view| view.window().has_ended()).await;
    let before = newest(&ended);
    until("the stream is over", async || {
        node.health().await.active_streams == 0
    })
    .await;
    let again = publish(&node, "a").await;
    begins_behind(&node, &again, before).await;
    node.drain().await;
}

#[tokio::test]
async fn another_origin_begins_behind_what_it_has_only_heard_of() {
    let cluster = Cluster::new(|_, config| config.publish.grace = Duration::ZERO).await;
    let publisher = cluster.o1.publish("a").await;
    let before = send_with_gaps(&cluster.o1.node, &publisher, 5).await;
    cluster.o2.hears_of_number("a", before.1).await;
    publisher.finish().await.expect("said goodbye");
    until("the stream is over", async || {
        cluster.o1.node.health().await.active_streams == 0
    })
    .await;
    cluster.o2.hears_of_nobody("a").await;
    let again = cluster.o2.publish("a").await;
    begins_behind(&cluster.o2.node, &again, before).await;
    cluster.drain().await;
}

#[tokio::test]
async fn no_segment_begins_once_the_next_publish_has_its_numbers() {
    let node = node(|config| config.publish.grace = Duration::ZERO).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..3).await;
    is_published(&node).await;
    tell(
        &node,
        Message::ToStream(key("a"), stream::Message::Renumber),
    );
    // Answered behind that.
    let stream = ask(&node, "a").await;
    send(&publisher, 3..9).await;
    publisher.finish().await.expect("said goodbye");
    let ended = view(&stream, "the end", |view| view.window().has_ended()).await;
    let segments = ended.window().segments().count();
    assert!(segments <= 2, "{ended:?}");
    node.drain().await;
}
