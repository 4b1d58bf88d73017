//! The end of a stream, and of the interest in it.

use super::*;
use crate::status::RefusalKind;

/// As short as they may be: then three target durations are three seconds.
fn short(config: &mut Config) {
    config.hls.segment = Duration::from_millis(500);
    config.pull.linger = Duration::ZERO;
    config.publish.grace = Duration::from_millis(50);
}

#[tokio::test]
async fn the_end_is_told_and_what_there_is_stays_for_late_comers() {
    let node = node(short).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..10).await;
    let stream = ask(&node, "a").await;
    view(&stream, "something", |view| {
        view.window().newest().is_some()
    })
    .await;
    publisher.finish().await.expect("said goodbye");
    let ended = view(&stream, "the end", |view| view.window().has_ended()).await;
    let text = listed(&ended).expect("exact");
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");

    // Nobody publishes it by now, and who comes late gets what there is.
    until("the stream is over", async || {
        node.health().await.active_streams == 0
    })
    .await;
    let late = node.hls(&request("a", 2)).await.expect("still there");
    assert!(late.now().window().has_ended());
    until("it goes", async || !is_packaged(&node, "a")).await;
    assert_eq!(refused(&node, "a").await.kind, RefusalKind::NotFound);
    assert!(late.is_over());
    assert!(
        late.until(|_| None::<()>).await.is_none(),
        "nobody waits for ever"
    );
    node.drain().await;
}

#[tokio::test]
async fn the_next_stream_of_that_name_is_another() {
    let node = node(short).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..4).await;
    let stream = ask(&node, "a").await;
    publisher.finish().await.expect("said goodbye");
    view(&stream, "the end", |view| view.window().has_ended()).await;
    until("the stream is over", async || {
        node.health().await.active_streams == 0
    })
    .await;
    let again = publish(&node, "a").await;
    send(&again, 0..4).await;
    until("it is the new one", async || {
        !ask(&node, "a").await.now().window().has_ended()
    })
    .await;
    let next = ask(&node, "a").await;
    let next = view(&next, "something", |view| view.window().newest().is_some()).await;
    let epochs = |view: &View| view.window().segments().map(|it| it.epoch()).max();
    assert!(epochs(&next) > epochs(&stream.now()));
    node.drain().await;
}

#[tokio::test]
async fn what_nobody_asks_for_any_more_is_not_packaged_and_takes_no_memory() {
    let node = node(short).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..10).await;
    let stream = ask(&node, "a").await;
    view(&stream, "something", |view| {
        view.window().newest().is_some()
    })
    .await;
    let segment = {
        let view = stream.now();
        Arc::downgrade(view.window().segments().next().expect("one"))
    };
    until("it goes", async || !is_packaged(&node, "a")).await;
    assert!(stream.is_over());
    drop(stream);
    until("its segments go", async || segment.upgrade().is_none()).await;
    // The stream is where it was, for who comes next.
    let stream = ask(&node, "a").await;
    view(&stream, "something", |view| {
        view.window().newest().is_some()
    })
    .await;
    node.drain().await;
}
