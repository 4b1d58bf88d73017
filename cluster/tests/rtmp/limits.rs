//! Limits, and peers that mean no good.

use std::time::Duration;

use amf::Value;
use rtmp::message::UserControl;
use testkit::wait::within;
use testkit::{Clip, Heard, Peer, Publisher, Recipe, sent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use weir_cluster::Node;

async fn publish(node: &Node, stream: &str) -> Publisher {
    let clip = Clip::of(Recipe::H264_AAC);
    Publisher::start(&node.url(stream), sent(&clip.tags, 20), 1.0)
        .await
        .expect("accepted")
}

/// The sentence with which a `connect` is rejected.
async fn rejection(node: &Node) -> String {
    let mut peer = Peer::dial(node.rtmp).await;
    peer.ask_to_connect("live", &[]).await;
    let answer = peer.find("a rejection", |heard| match heard {
        Heard::Command(command) if command.name == "_error" => command.arguments.first().cloned(),
        _ => None,
    });
    let info = answer.await;
    let info = info.as_object().expect("an information object");
    assert_eq!(
        info.get("code").and_then(Value::as_str),
        Some("NetConnection.Connect.Rejected")
    );
    peer.closed().await;
    info.get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn a_connection_over_the_limit_is_refused_with_a_sentence() {
    let node = Node::start(&["limits.connections=2"]).await;
    let publisher = publish(&node, "live/cam").await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let why = rejection(&node).await;
    assert!(why.contains("limits.connections"), "{why}");
    drop(player);
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 1.0)
        .await;
    // There is room again.
    let player = Peer::play(node.rtmp, "live", "cam").await;
    player
        .until("media", |heard| {
            heard.iter().any(|heard| heard.tag().is_some())
        })
        .await;
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn one_address_may_have_so_many_connections() {
    let node = Node::start(&["limits.connections_per_address=1"]).await;
    let first = Peer::connect(node.rtmp, "live").await;
    let why = rejection(&node).await;
    assert!(why.contains("limits.connections_per_address"), "{why}");
    // Another address is another matter.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.2:0".parse().expect("an address"))
        .expect("a loopback address");
    let mut other = Peer::over(socket.connect(node.rtmp).await.expect("the node is there"))
        .await
        .expect("a handshake");
    other.ask_to_connect("live", &[]).await;
    other
        .find("an acceptance", |heard| {
            matches!(heard, Heard::Command(command) if command.name == "_result").then_some(())
        })
        .await;
    drop((first, other));
    node.stopped().await;
}

#[tokio::test]
async fn a_stream_over_the_limit_is_refused_with_a_sentence() {
    let node = Node::start(&["limits.streams=1", "publish.grace=0s"]).await;
    let first = publish(&node, "live/cam").await;
    let mut second = Peer::connect(node.rtmp, "live").await;
    let stream = second.create_stream().await;
    second.command("publish", stream, &["other".into()]).await;
    let status = second.status("NetStream.Publish.BadName").await;
    assert_eq!(status.level, "error");
    assert!(
        status.description.contains("limits.streams"),
        "{}",
        status.description
    );
    second.closed().await;
    drop(first);
    node.metric_becomes("weir_streams{state=\"live\"}", 0.0)
        .await;
    drop(publish(&node, "live/other").await);
    node.stopped().await;
}

#[tokio::test]
async fn a_viewer_over_the_limit_is_refused_with_a_sentence() {
    let node = Node::start(&["limits.viewers_per_stream=1"]).await;
    let publisher = publish(&node, "live/cam").await;
    let first = Peer::play(node.rtmp, "live", "cam").await;
    let mut second = Peer::connect(node.rtmp, "live").await;
    let stream = second.create_stream().await;
    second.command("play", stream, &["cam".into()]).await;
    let refused = second.find("a refusal", |heard| match heard {
        Heard::Status(status) if status.level == "error" => Some(status.clone()),
        _ => None,
    });
    let status = refused.await;
    assert!(
        status.description.contains("limits.viewers_per_stream"),
        "{}",
        status.description
    );
    drop(first);
    node.metric_becomes("weir_subscribers{protocol=\"rtmp\"}", 0.0)
        .await;
    let third = Peer::play(node.rtmp, "live", "cam").await;
    third
        .until("media", |heard| {
            heard.iter().any(|heard| heard.tag().is_some())
        })
        .await;
    drop(publisher);
    node.stopped().await;
}

/// Sends `bytes`, one at a time with a pause if `slowly`, until the node closes. How long that took.
async fn closed_after(node: &Node, bytes: &[u8], slowly: bool) -> Duration {
    let mut socket = TcpStream::connect(node.rtmp)
        .await
        .expect("the node is there");
    let started = Instant::now();
    let (mut read, mut write) = socket.split();
    let speak = async {
        if slowly {
            for byte in bytes.iter().cycle() {
                if write.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        } else {
            // The node may close before it has read all.
            let _ = write.write_all(bytes).await;
        }
        std::future::pending::<()>().await;
    };
    let listen = async {
        let mut answer = Vec::new();
        // An end in order or a reset: closed is closed.
        let _ = read.read_to_end(&mut answer).await;
    };
    tokio::select! {
        () = speak => {}
        () = within("the node to close", listen) => {}
    }
    started.elapsed()
}

/// Bytes that look random and are the same each time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn peers_that_do_not_finish_the_handshake_are_cut_in_time() {
    let node = Node::start(&[
        "limits.handshake_timeout=1500ms",
        "limits.connect_timeout=2s",
    ])
    .await;
    let publisher = publish(&node, "live/cam").await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let hello = [&[3][..], &[0; 1536]].concat();
    let silent = closed_after(&node, &[], false);
    let half = closed_after(&node, &hello[..700], false);
    let no_c2 = closed_after(&node, &hello, false);
    let slow = closed_after(&node, &[3], true);
    let done = [&hello[..], &[0; 1536]].concat();
    let no_connect = closed_after(&node, &done, false);
    let times = tokio::join!(silent, half, no_c2, slow, no_connect);
    for (what, time) in [
        ("silent", times.0),
        ("half", times.1),
        ("without C2", times.2),
        ("slow", times.3),
    ] {
        assert!(
            time > Duration::from_millis(1300) && time < Duration::from_secs(4),
            "{what}: {time:?}"
        );
    }
    assert!(
        times.4 > Duration::from_millis(1800) && times.4 < Duration::from_secs(5),
        "no connect: {:?}",
        times.4
    );
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 2.0)
        .await;
    assert!(!publisher.has_ended() && !player.is_closed());
    node.stopped().await;
}

#[tokio::test]
async fn garbage_costs_its_own_connection_and_nothing_else() {
    let node = Node::start(&["limits.handshake_timeout=1s", "limits.connect_timeout=1s"]).await;
    let publisher = publish(&node, "live/cam").await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    player
        .until("media", |heard| {
            heard.iter().any(|heard| heard.tag().is_some())
        })
        .await;
    let before = node.resident();
    let hello = [&[3][..], &[0; 3072]].concat();
    let mut garbage = vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0; 100_000],
        vec![0xFF; 100_000],
    ];
    for seed in 1..40 {
        garbage.push(noise(seed, 20_000));
        // After a handshake that is all right.
        garbage.push([&hello[..], &noise(seed, 20_000)].concat());
    }
    // A message of 16 MiB announced, a chunk size of zero, chunks of everything that never ends.
    garbage.push(
        [
            &hello[..],
            &[0x03, 0, 0, 0, 0xFF, 0xFF, 0xFF, 20, 0, 0, 0, 0],
        ]
        .concat(),
    );
    garbage.push(
        [
            &hello[..],
            &[0x02, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat(),
    );
    let begins: Vec<u8> = (3..64)
        .flat_map(|id| {
            [
                &[id, 0, 0, 0, 0xFF, 0xFF, 0xFE, 9, 1, 0, 0, 0][..],
                &[7; 128],
            ]
            .concat()
        })
        .collect();
    garbage.push([&hello[..], &begins].concat());
    for pieces in garbage.chunks(20) {
        let mut tasks = Vec::new();
        for bytes in pieces {
            tasks.push(closed_after(&node, bytes, false));
        }
        for task in tasks {
            let time = task.await;
            assert!(time < Duration::from_secs(5), "{time:?}");
        }
    }
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 2.0)
        .await;
    assert!(
        node.resident() < before + 40_000,
        "from {before} to {} KiB",
        node.resident()
    );
    player.forget();
    let goes_on = |heard: &[Heard]| heard.iter().filter(|heard| heard.tag().is_some()).count() > 30;
    player.until("the stream", goes_on).await;
    assert!(!publisher.has_ended());
    node.stopped().await;
}

#[tokio::test]
async fn a_deeply_nested_command_does_no_harm() {
    let node = Node::start(&[]).await;
    let publisher = publish(&node, "live/cam").await;
    let mut peer = Peer::connect(node.rtmp, "live").await;
    // An object in an object in an object, 20 000 times.
    let mut payload = vec![2, 0, 4];
    payload.extend_from_slice(b"deep");
    payload.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for _ in 0..12_000 {
        payload.extend_from_slice(&[3, 0, 1, b'a']);
    }
    let message = rtmp::message::Message {
        chunk_stream: 3,
        timestamp: 0,
        kind: rtmp::message::Kind::Command,
        stream_id: 0,
        payload: payload.into(),
    };
    peer.say(&message).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    player
        .until("media", |heard| {
            heard.iter().any(|heard| heard.tag().is_some())
        })
        .await;
    assert!(!publisher.has_ended());
    node.stopped().await;
}

#[tokio::test]
async fn a_publisher_that_sends_nothing_is_cut_and_a_player_that_waits_is_not() {
    let node = Node::start(&[
        "limits.idle_timeout=1s",
        "limits.ping_interval=300ms",
        "publish.grace=20s",
    ])
    .await;
    let silent = Peer::publish(node.rtmp, "live", "cam").await;
    let url = rtmp::Url::parse(&node.url("live/cam")).expect("a URL");
    let mut player = rtmp::net::Client::default()
        .pull(&url)
        .await
        .expect("connected");
    let ended = tokio::spawn(async move { while let Ok(Some(_)) = player.next().await {} });
    node.plays(1).await;
    silent.closed().await;
    // The player answers pings, and so lives on in the gap.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(
        !ended.is_finished(),
        "the player stays: {}",
        node.log.text()
    );
    ended.abort();
    node.stopped().await;
}

#[tokio::test]
async fn a_player_that_answers_no_ping_lives_as_long_as_media_moves() {
    let node = Node::start(&[
        "limits.idle_timeout=1s",
        "limits.ping_interval=300ms",
        "limits.ping_timeout=1s",
        "publish.grace=20s",
    ])
    .await;
    let publisher = publish(&node, "live/cam").await;
    // It never answers.
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let ping = |heard: &Heard| {
        let Heard::Control(UserControl::PingRequest(_)) = heard else {
            return None;
        };
        Some(())
    };
    player.find("a ping", ping).await;
    let many = |heard: &[Heard]| heard.iter().filter(|heard| heard.tag().is_some()).count() > 200;
    player.until("three seconds of media", many).await;
    assert!(!player.is_closed());
    drop(publisher);
    player.closed().await;
    node.stopped().await;
}

#[tokio::test]
async fn a_connection_that_is_silent_after_connect_is_cut() {
    let node = Node::start(&[
        "limits.idle_timeout=1s",
        "limits.ping_interval=300ms",
        "limits.ping_timeout=1s",
    ])
    .await;
    let started = Instant::now();
    // It never answers a ping.
    let silent = Peer::connect(node.rtmp, "live").await;
    silent.closed().await;
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    node.stopped().await;
}
