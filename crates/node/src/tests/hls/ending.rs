//! The end of a stream, and of the interest in it.

use ractor::rpc::CallResult;

use super::super::cluster::Cluster;
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

/// Asks for what has that name.
async fn ask_for(node: &Node, name: Name) -> Stream {
    let request = Request {
        name: Some(name),
        ..request("a", 1)
    };
    let asked = timeout(PATIENCE, node.hls(&request)).await;
    asked.expect("in time").expect("it is there")
}

/// A window that ended, and the name of its last segment.
async fn ended(stream: &Stream) -> (Arc<View>, Name) {
    let ended = view(stream, "the end", |view| view.window().has_ended()).await;
    let last = ended.window().segments().next_back().expect("one").name();
    (ended, last)
}

/// Checks that a node, which tells of another publish, still has what it told of in the one before.
async fn has_both(node: &Node, before: &View, last: Name) {
    let next = ask(node, "a").await;
    assert!(!next.now().window().has_ended(), "{:?}", next.now());
    let left = ask_for(node, last).await;
    let found = left.now().window().find(&last);
    assert!(matches!(found, Answer::There(_)), "{found:?}");
    let next = view(&next, "something", |view| view.window().is_playable()).await;
    let epochs = |view: &View| view.window().segments().map(|it| it.epoch()).max();
    assert!(epochs(&next) > epochs(before));
    let newest = next.window().segments().next_back().expect("one").name();
    let found = ask_for(node, newest).await.now();
    assert_ne!(found.window().find(&newest), Answer::Gone);
}

#[tokio::test]
async fn names_of_a_publish_stay_when_the_next_begins() {
    let node = node(|config| config.publish.grace = Duration::ZERO).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..9).await;
    let stream = ask(&node, "a").await;
    publisher.finish().await.expect("said goodbye");
    let (before, last) = ended(&stream).await;
    until("the stream is over", async || {
        node.health().await.active_streams == 0
    })
    .await;
    // Somebody else told of what comes next.
    let far = before.window().newest().expect("one").msn + 1000;
    let waits = before.window().version(far, None);
    assert_eq!(waits, Answer::Wait);
    let waiting = stream.until(|_| None::<()>);
    let again = async {
        let again = publish(&node, "a").await;
        send(&again, 0..9).await;
        again
    };
    let (woken, _again) = tokio::join!(timeout(PATIENCE, waiting), again);
    assert_eq!(woken, Ok(None), "asks anew");
    has_both(&node, &before, last).await;
    node.drain().await;
}

#[tokio::test]
async fn an_edge_tells_of_the_next_publish_as_soon_as_it_hears_of_it() {
    let cluster = Cluster::new(|_, config| config.publish.grace = Duration::ZERO).await;
    let publisher = cluster.o1.publish("a").await;
    send(&publisher, 0..9).await;
    let edge = &cluster.e1.node;
    let stream = ask(edge, "a").await;
    view(&stream, "something", |view| view.window().is_playable()).await;
    publisher.finish().await.expect("said goodbye");
    let (before, last) = ended(&stream).await;
    let again = cluster.o2.publish("a").await;
    send(&again, 0..9).await;
    cluster.e1.hears_of("a", "o2").await;
    has_both(edge, &before, last).await;
    cluster.drain().await;
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

/// On one thread, so that the node sends both on before it hears that the stream is over.
#[tokio::test]
async fn who_is_sent_to_a_stream_that_is_just_ending_is_sent_to_the_next() {
    let node = node(short).await;
    let _publisher = publish(&node, "a").await;
    tell(
        &node,
        Message::ToStream(key("a"), stream::Message::Stop("enough".to_owned())),
    );
    let asked = |reply| Message::Hls(key("a"), reply);
    let answer = node.actor().call(asked, Some(PATIENCE)).await;
    let Ok(CallResult::Success(answer)) = answer else {
        panic!("an answer, of whatever kind: {:?}", answer.is_ok());
    };
    assert!(matches!(answer, Err(stream::Refusal::NotFound(_))));
    node.drain().await;
}
