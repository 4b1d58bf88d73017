//! Who may publish when another does.

use std::time::Duration;

use flv::Tag;
use rtmp::net::ClientError;
use testkit::{Clip, Heard, Peer, Publisher, Recipe, sent};
use tokio::time::{Instant, sleep};
use weir_cluster::Node;

fn clip() -> Vec<Tag> {
    sent(&Clip::of(Recipe::H264_AAC).tags, 10)
}

/// Why a publish was refused.
async fn refusal(url: &str) -> (String, String) {
    match Publisher::start(url, clip(), 1.0).await {
        Err(ClientError::Rejected(rejection)) => (rejection.code, rejection.description),
        other => panic!("{url} is refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_second_publisher_is_refused_with_a_sentence() {
    let node = Node::start(&[]).await;
    let url = node.url("live/cam");
    let first = Publisher::start(&url, clip(), 1.0).await.expect("accepted");
    let (code, description) = refusal(&url).await;
    assert_eq!(code, "NetStream.Publish.BadName");
    assert!(
        description.contains("is being published by someone else"),
        "{description}"
    );
    // Under another name, or another app, it is welcome.
    let second = Publisher::start(&node.url("live/cam2"), clip(), 1.0)
        .await
        .expect("accepted");
    let third = Publisher::start(&node.url("other/cam"), clip(), 1.0)
        .await
        .expect("accepted");
    assert!(!first.has_ended());
    drop((first, second, third));
    node.stopped().await;
}

#[tokio::test]
async fn the_same_token_takes_a_stream_over_at_once() {
    let node = Node::start(&[r#"auth.static={"live/cam" = { publish = "secret" }}"#]).await;
    let url = node.url("live/cam?token=secret");
    let first = Publisher::start(&url, clip(), 1.0).await.expect("accepted");
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let started = Instant::now();
    let second = Publisher::start(&url, clip(), 1.0).await.expect("accepted");
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "it took {:?}",
        started.elapsed()
    );
    let ended = first
        .finished()
        .await
        .expect_err("the first is told to go")
        .to_string();
    assert!(
        ended.contains("another encoder took this stream over"),
        "{ended}"
    );
    player.forget();
    let goes_on = |heard: &[Heard]| heard.iter().filter(|heard| heard.tag().is_some()).count() > 20;
    player.until("the stream of the second", goes_on).await;
    node.metric_becomes("weir_publishers{protocol=\"rtmp\"}", 1.0)
        .await;
    drop(second);
    node.stopped().await;
}

#[tokio::test]
async fn two_encoders_that_share_a_token_do_not_fight_for_ever() {
    let node = Node::start(&[r#"auth.static={"live/cam" = { publish = "secret" }}"#]).await;
    let from = async |address: &str| {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket
            .bind(address.parse().expect("an address"))
            .expect("a loopback address");
        let socket = socket.connect(node.rtmp).await.expect("the node is there");
        let mut peer = Peer::over(socket).await.expect("a handshake");
        peer.ask_to_connect("live", &[]).await;
        let stream = peer.create_stream().await;
        peer.command("publish", stream, &["cam?token=secret".into()])
            .await;
        peer
    };
    let first = from("127.0.0.1:0").await;
    first.status("NetStream.Publish.Start").await;
    let second = from("127.0.0.2:0").await;
    second.status("NetStream.Publish.Start").await;
    first.closed().await;
    let again = from("127.0.0.1:0").await;
    let status = again.status("NetStream.Publish.BadName").await;
    assert!(
        status.description.contains("was just replaced"),
        "{}",
        status.description
    );
    assert!(!second.is_closed());
    node.stopped().await;
}

#[tokio::test]
async fn anybody_replaces_anybody_however_often_where_that_is_wanted() {
    let node = Node::start(&["publish.on_conflict=always"]).await;
    let mut earlier = Peer::publish(node.rtmp, "live", "cam").await;
    for _ in 0..6 {
        let next = Peer::publish(node.rtmp, "live", "cam").await;
        earlier.closed().await;
        earlier = next;
    }
    assert!(!earlier.is_closed());
    node.stopped().await;
}

#[tokio::test]
async fn what_encoders_leave_empty_has_a_name() {
    let node = Node::start(&[]).await;
    for (app, name, plays) in [
        ("", "cam", ("live", "cam")),
        ("live/", "a", ("live", "a")),
        ("live", "", ("live", "default")),
    ] {
        let mut peer = Peer::publish(node.rtmp, app, name).await;
        for tag in clip().iter().take(30) {
            peer.send(tag).await;
        }
        let player = Peer::play(node.rtmp, plays.0, plays.1).await;
        player
            .until("media", |heard| {
                heard
                    .iter()
                    .any(|heard| heard.tag().is_some_and(Tag::is_frame))
            })
            .await;
    }
    node.stopped().await;
}

#[tokio::test]
async fn what_a_publisher_sends_is_acknowledged() {
    let node = Node::start(&["rtmp.window_ack_size=100000"]).await;
    let mut peer = Peer::publish(node.rtmp, "live", "cam").await;
    for tag in &Clip::of(Recipe::LARGER).tags {
        peer.send(tag).await;
    }
    for tag in &clip() {
        peer.send(tag).await;
    }
    let acknowledgement = |heard: &Heard| match heard {
        Heard::Other(message) if message.kind == rtmp::message::Kind::Acknowledgement => {
            message.value()
        }
        _ => None,
    };
    let count = |heard: &[Heard]| heard.iter().filter_map(acknowledgement).count();
    peer.until("acknowledgements", |heard| count(heard) >= 4)
        .await;
    node.stopped().await;
}

#[tokio::test]
async fn a_silent_publisher_is_replaced() {
    let node = Node::start(&["publish.silence=700ms"]).await;
    let mut silent = Peer::publish(node.rtmp, "live", "cam").await;
    for tag in clip().iter().take(50) {
        silent.send(tag).await;
    }
    silent.settled().await;
    let started = Instant::now();
    let second = Publisher::start(&node.url("live/cam"), clip(), 1.0)
        .await
        .expect("accepted");
    assert!(
        started.elapsed() >= Duration::from_millis(300),
        "not before it was silent long enough"
    );
    silent.closed().await;
    assert!(
        silent
            .heard()
            .iter()
            .any(|heard| matches!(heard, Heard::Status(status) if status.level == "error"))
    );
    drop(second);
    node.stopped().await;
}

#[tokio::test]
async fn nobody_is_replaced_where_conflicts_are_rejected() {
    let node = Node::start(&[
        "publish.on_conflict=reject",
        r#"auth.static={"live/cam" = { publish = "secret" }}"#,
    ])
    .await;
    let url = node.url("live/cam?token=secret");
    let first = Publisher::start(&url, clip(), 1.0).await.expect("accepted");
    assert_eq!(refusal(&url).await.0, "NetStream.Publish.BadName");
    assert!(!first.has_ended());
    node.stopped().await;
}

/// The commands with which encoders end a publish.
#[tokio::test]
async fn another_may_publish_as_soon_as_one_has_ended() {
    let node = Node::start(&[]).await;
    for (command, stream, by_number) in [
        ("deleteStream", 0, true),
        ("closeStream", 1, false),
        ("FCUnpublish", 0, false),
    ] {
        let mut first = Peer::publish(node.rtmp, "live", "cam").await;
        for tag in clip().iter().take(20) {
            first.send(tag).await;
        }
        let argument = if by_number { 1.0.into() } else { "cam".into() };
        first.command(command, stream, &[argument]).await;
        let started = Instant::now();
        let mut second = Peer::connect(node.rtmp, "live").await;
        let stream = second.create_stream().await;
        second
            .command("publish", stream, &["cam".into(), "live".into()])
            .await;
        second.status("NetStream.Publish.Start").await;
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{command}: it took {:?}",
            started.elapsed()
        );
        assert!(
            !first.is_closed(),
            "{command}: the connection of the first stays"
        );
        drop(first);
        drop(second);
        node.metric_becomes("weir_publishers{protocol=\"rtmp\"}", 0.0)
            .await;
    }
    node.stopped().await;
}

#[tokio::test]
async fn media_before_the_publish_and_unknown_commands_do_no_harm() {
    let node = Node::start(&[]).await;
    let mut peer = Peer::connect(node.rtmp, "live").await;
    let stream = peer.create_stream().await;
    for tag in clip().iter().take(20) {
        peer.send(tag).await;
    }
    peer.command("makeCoffee", 0, &["black".into()]).await;
    peer.command("publish", stream, &["cam".into()]).await;
    peer.status("NetStream.Publish.Start").await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    for tag in clip().iter().take(60) {
        peer.send(tag).await;
    }
    let some = |heard: &[Heard]| {
        heard
            .iter()
            .filter(|heard| heard.tag().is_some_and(Tag::is_frame))
            .count()
            > 40
    };
    player.until("what was published", some).await;
    node.stopped().await;
}

#[tokio::test]
async fn a_large_chunk_size_and_a_chunk_of_one_byte_are_obeyed() {
    let node = Node::start(&[]).await;
    for size in [1, 60_000, 8 << 20] {
        let mut peer = Peer::connect(node.rtmp, "live").await;
        peer.say(&rtmp::message::Message::set_chunk_size(size))
            .await;
        let stream = peer.create_stream().await;
        let name = format!("cam{size}");
        peer.command("publish", stream, &[name.as_str().into()])
            .await;
        peer.status("NetStream.Publish.Start").await;
        let player = Peer::play(node.rtmp, "live", &name).await;
        let clip = clip();
        for tag in clip.iter().take(30) {
            peer.send(tag).await;
        }
        let sent: Vec<_> = clip.iter().take(30).filter(|tag| tag.is_frame()).collect();
        let frames = |heard: &[Heard]| -> Vec<Tag> {
            heard
                .iter()
                .filter_map(Heard::tag)
                .filter(|tag| tag.is_frame())
                .cloned()
                .collect()
        };
        player
            .until("all of it", |heard| frames(heard).len() == sent.len())
            .await;
        let same = frames(&player.heard())
            .iter()
            .zip(&sent)
            .all(|(came, sent)| came.payload == sent.payload);
        assert!(same, "chunks of {size}");
    }
    // Nothing else may come of it later.
    sleep(Duration::from_millis(50)).await;
    node.stopped().await;
}
