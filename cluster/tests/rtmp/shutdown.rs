//! How a node leaves.

use std::time::Duration;

use testkit::players::Kind;
use testkit::wait::until;
use testkit::{Clip, Ffmpeg, Heard, Peer, Program, Publisher, Recipe, Throttle, sent};
use tokio::net::TcpStream;
use tokio::time::Instant;
use weir_cluster::{Node, weir};

#[tokio::test]
async fn everybody_is_told_and_the_exit_code_is_0() {
    let mut node = Node::start(&[]).await;
    let url = node.url("live/cam");
    let clip = Clip::of(Recipe::H264_AAC);
    let publisher = Publisher::start(&url, sent(&clip.tags, 9), 1.0)
        .await
        .expect("accepted");
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let idle = Peer::connect(node.rtmp, "live").await;
    let ffmpeg = Kind::Ffmpeg(Ffmpeg::Installed).play(&url, node.folder());
    node.plays(2).await;
    player
        .until("media", |heard| {
            heard.iter().any(|heard| heard.tag().is_some())
        })
        .await;

    let told = Instant::now();
    node.terminate();
    let status = node.ended().await;
    assert_eq!(status.code(), Some(0), "{}", node.log.text());
    assert!(
        told.elapsed() < Duration::from_secs(5),
        "a node alone need not wait: {:?}",
        told.elapsed()
    );
    player.closed().await;
    idle.closed().await;
    let heard = player.heard();
    let reconnect = heard
        .iter()
        .any(|heard| heard.is_status("NetConnection.Connect.ReconnectRequest"));
    let stop = heard
        .iter()
        .any(|heard| heard.is_status("NetStream.Play.Stop"));
    assert!(stop || reconnect, "players are told: {heard:?}");
    publisher
        .finished()
        .await
        .expect_err("the publisher is told");
    // Its input has ended; that is no error.
    ffmpeg.received().await;
    assert!(
        TcpStream::connect(node.rtmp).await.is_err(),
        "nobody listens"
    );
    assert_eq!(node.log.errors(), [""; 0]);
}

#[tokio::test]
async fn who_can_reconnect_is_asked_to() {
    let mut node = Node::start(&[]).await;
    let tags = sent(&Clip::of(Recipe::H264_AAC).tags, 9);
    let publisher = Publisher::start(&node.url("live/cam"), tags, 1.0)
        .await
        .expect("accepted");
    let mut player = Peer::dial(node.rtmp).await;
    player
        .ask_to_connect("live", &[("capsEx", 1.0.into())])
        .await;
    let stream = player.create_stream().await;
    player.command("play", stream, &["cam".into()]).await;
    player
        .until("media", |heard| {
            heard.iter().any(|heard| heard.tag().is_some())
        })
        .await;
    node.terminate();
    player
        .status("NetConnection.Connect.ReconnectRequest")
        .await;
    player.closed().await;
    assert!(node.ended().await.success());
    drop(publisher);
}

/// A node with a player that has stopped reading, so that what it is told does not reach it.
async fn with_one_that_is_stuck(settings: &[&str]) -> (Node, impl Sized) {
    let node = Node::start(&[&["egress.kernel_buffer=16KiB"], settings].concat()).await;
    let tags = sent(&Clip::of(Recipe::HEAVY).tags, 9);
    let publisher = Publisher::start(&node.url("live/cam"), tags, 1.0)
        .await
        .expect("accepted");
    let link = Throttle::start(node.rtmp, 1 << 20).await;
    let socket = TcpStream::connect(link.address)
        .await
        .expect("the link is there");
    let mut player = Peer::over(socket).await.expect("a handshake");
    player.ask_to_connect("live", &[]).await;
    let stream = player.create_stream().await;
    player.command("play", stream, &["cam".into()]).await;
    player.status("NetStream.Play.Start").await;
    link.set_rate(0);
    // More than its buffers take.
    let pictures = "weir_tags_total{kind=\"video\"}";
    until("3 MB", async || {
        (node.metric(pictures).await > 60.0).then_some(())
    })
    .await;
    (node, (publisher, link, player))
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let (mut node, _others) = with_one_that_is_stuck(&["node.drain_timeout=1m"]).await;
    node.terminate();
    let not_ready = async || {
        let answer = node
            .try_get("/ready")
            .await
            .expect("the node waits for its players");
        (answer.status == 503).then_some(answer.body)
    };
    let why = until("the node not to be ready", not_ready).await;
    assert!(why.contains("the node is draining"), "{why}");
    node.terminate();
    let told = Instant::now();
    let status = node.ended().await;
    assert!(
        told.elapsed() < Duration::from_secs(2),
        "{:?}",
        told.elapsed()
    );
    assert_eq!(status.code(), Some(0));
    assert_eq!(
        node.log.count("weir stops at once"),
        1,
        "{}",
        node.log.text()
    );
}

#[tokio::test]
async fn a_peer_that_is_stuck_holds_a_stop_up_no_longer_than_it_may() {
    let (mut node, _others) = with_one_that_is_stuck(&["node.drain_timeout=2s"]).await;
    node.terminate();
    let told = Instant::now();
    let status = node.ended().await;
    assert!(
        told.elapsed() < Duration::from_secs(4),
        "{:?}",
        told.elapsed()
    );
    assert_eq!(status.code(), Some(0));
    assert_eq!(node.log.errors(), [""; 0]);
}

#[tokio::test]
async fn wrong_settings_end_with_code_2_and_name_the_key() {
    let output = Program::start(weir(), ["--set", "rtmp.lisen=:0"])
        .ended()
        .await;
    assert_eq!(output.status.code(), Some(2), "{}", output.stderr);
    assert!(
        output.stderr.contains("rtmp.lisen") && output.stderr.contains("rtmp.listen"),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_there_ends_with_a_sentence() {
    let nowhere = ["tls.cert=/nowhere/cert.pem", "tls.key=/nowhere/key.pem"];
    let settings = ["rtmps.listen=127.0.0.1:0", "rtmp.listen=", "http.listen="];
    let settings = settings.iter().chain(&nowhere);
    let output = Program::start(weir(), settings.flat_map(|setting| ["--set", setting]))
        .ended()
        .await;
    assert!(
        matches!(output.status.code(), Some(1 | 2)),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("/nowhere/cert.pem"),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn an_address_in_use_ends_with_code_1() {
    let node = Node::start(&[]).await;
    let taken = format!("rtmp.listen={}", node.rtmp);
    let data = format!("node.data_dir={}", node.folder().join("other").display());
    let output = Program::start(
        weir(),
        [
            "--set",
            &taken,
            "--set",
            &data,
            "--set",
            "http.listen=127.0.0.1:0",
        ],
    )
    .ended()
    .await;
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    assert!(output.stderr.contains("rtmp.listen"), "{}", output.stderr);
    node.stopped().await;
}

#[tokio::test]
async fn encoders_and_players_that_leave_are_forgotten() {
    let node = Node::start(&["publish.grace=0s"]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    for _ in 0..3 {
        let publisher = Publisher::start(&node.url("live/cam"), sent(&clip.tags, 9), 1.0)
            .await
            .expect("accepted");
        let players: Vec<Peer> = {
            let mut players = Vec::new();
            for _ in 0..5 {
                players.push(Peer::play(node.rtmp, "live", "cam").await);
            }
            players
        };
        let media = |heard: &[Heard]| heard.iter().any(|heard| heard.tag().is_some());
        players[4].until("media", media).await;
        node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 6.0)
            .await;
        node.metric_becomes("weir_publishers{protocol=\"rtmp\"}", 1.0)
            .await;
        node.metric_becomes("weir_subscribers{protocol=\"rtmp\"}", 5.0)
            .await;
        node.metric_becomes("weir_streams{state=\"live\"}", 1.0)
            .await;
        drop(players);
        node.metric_becomes("weir_subscribers{protocol=\"rtmp\"}", 0.0)
            .await;
        drop(publisher);
        node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 0.0)
            .await;
        node.metric_becomes("weir_publishers{protocol=\"rtmp\"}", 0.0)
            .await;
        node.metric_becomes("weir_streams{state=\"live\"}", 0.0)
            .await;
    }
    assert_eq!(
        node.metric("weir_connections_total{protocol=\"rtmp\"}")
            .await,
        18.0
    );
    node.stopped().await;
}
