//! The actors together, over real sockets: who takes whom along when something fails.

mod cluster;
mod hls;
pub(crate) mod pair;
mod standby;
mod watch;

use std::time::Duration;

use bytes::Bytes;
use flv::{Kind, Tag};
use media::StreamKey;
use rtmp::client::Event;
use rtmp::command::Command;
use rtmp::net::{Client, Publisher, Puller};
use tokio::time::timeout;

use crate::config::{Coalesce, Config};
use crate::metrics::recorded::Recorded;
use crate::node::Message;
use crate::{Node, stream};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

async fn node(change: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config::default();
    config.rtmp.listen = Some("127.0.0.1:0".parse().expect("an address"));
    config.egress.coalesce = Coalesce::Fixed(Duration::ZERO);
    // The tests of this process share its processors.
    config.limits.headroom = 1.0;
    change(&mut config);
    Node::start(config).await.expect("a node")
}

fn url(node: &Node, name: &str) -> rtmp::Url {
    let (_, address) = node.addresses().first().expect("a listener");
    rtmp::Url::parse(&format!("rtmp://{address}/live/{name}")).expect("a URL")
}

fn key(name: &str) -> StreamKey {
    StreamKey::new("live", name).expect("a key")
}

/// A keyframe of Sorenson H.263, which needs no configuration.
fn keyframe(dts: u32) -> Tag {
    Tag::new(Kind::Video, dts, Bytes::from_static(&[0x12, 0, 0, 0x84]))
}

async fn publish(node: &Node, name: &str) -> Publisher {
    timeout(PATIENCE, Client::default().publish(&url(node, name)))
        .await
        .expect("in time")
        .expect("accepted")
}

async fn play(node: &Node, name: &str) -> Puller {
    timeout(PATIENCE, Client::default().pull(&url(node, name)))
        .await
        .expect("in time")
        .expect("connected")
}

/// Reads up to the tag of that time; anything may come before it.
async fn expect_tag(player: &mut Puller, dts: u32) {
    let seen = async {
        loop {
            match player.next().await.expect("a connection that lives") {
                Some(Event::Tag(tag)) if tag.is_video() && tag.dts == dts => return,
                Some(Event::StreamEnded) | None => panic!("the stream ended before tag {dts}"),
                Some(_) => {}
            }
        }
    };
    timeout(PATIENCE, seen)
        .await
        .unwrap_or_else(|_| panic!("no tag {dts}"));
}

/// Reads up to the end, by whatever words it is told.
async fn expect_end(player: &mut Puller) {
    let ended = async {
        loop {
            match player.next().await {
                Ok(Some(Event::StreamEnded)) | Ok(None) | Err(_) => return,
                Ok(Some(_)) => {}
            }
        }
    };
    timeout(PATIENCE, ended).await.expect("an end");
}

fn tell(node: &Node, message: Message) {
    node.actor().cast(message).expect("a node that lives");
}

#[tokio::test]
async fn a_player_that_fails_takes_nobody_along() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut first = play(&node, "a").await;
    expect_tag(&mut first, 0).await;
    let mut second = play(&node, "a").await;
    expect_tag(&mut second, 0).await;

    tell(
        &node,
        Message::ToStream(key("a"), stream::Message::PanicSubscriber),
    );
    expect_end(&mut first).await;
    publisher.send(keyframe(40)).await.expect("open");
    expect_tag(&mut second, 40).await;
    node.drain().await;
}

#[tokio::test]
async fn a_publisher_whose_connection_fails_may_come_back_to_its_players() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut player = play(&node, "a").await;
    expect_tag(&mut player, 0).await;

    tell(
        &node,
        Message::ToStream(key("a"), stream::Message::PanicPublisher),
    );
    let again = publish(&node, "a").await;
    again.send(keyframe(1000)).await.expect("open");
    // Its time goes on from where the first publish ended.
    let next = async {
        loop {
            match player.next().await.expect("a connection that lives") {
                Some(Event::Tag(tag)) if tag.is_video() => return tag.dts,
                _ => {}
            }
        }
    };
    assert!(timeout(PATIENCE, next).await.expect("in time") > 0);
    node.drain().await;
}

#[test]
fn a_connection_that_fails_is_counted_like_any_other() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let recorded = Recorded::default();
    recorded.during(|| {
        runtime.block_on(async {
            let node = node(|_| {}).await;
            let publisher = publish(&node, "a").await;
            tell(
                &node,
                Message::ToStream(key("a"), stream::Message::PanicPublisher),
            );
            let ended = |reason: &str| {
                let labels = format!("protocol=\"rtmp\",reason=\"{reason}\"");
                recorded.count(&format!("weir_disconnects_total{{{labels}}}"))
            };
            until("it is counted", async || ended("closed") == 1.0).await;
            drop(publisher);
            let leaves = publish(&node, "a").await;
            leaves.finish().await.expect("said goodbye");
            until("it is counted", async || ended("left") == 1.0).await;
            assert_eq!(ended("closed"), 1.0, "each once");
            node.drain().await;
        });
    });
}

#[tokio::test]
async fn a_stream_that_fails_tells_its_own_and_no_others() {
    let node = node(|_| {}).await;
    let (a, b) = (publish(&node, "a").await, publish(&node, "b").await);
    a.send(keyframe(0)).await.expect("open");
    b.send(keyframe(0)).await.expect("open");
    let (mut of_a, mut of_b) = (play(&node, "a").await, play(&node, "b").await);
    expect_tag(&mut of_a, 0).await;
    expect_tag(&mut of_b, 0).await;

    tell(&node, Message::ToStream(key("a"), stream::Message::Panic));
    expect_end(&mut of_a).await;
    b.send(keyframe(40)).await.expect("open");
    expect_tag(&mut of_b, 40).await;

    let again = publish(&node, "a").await;
    again.send(keyframe(0)).await.expect("open");
    let mut player = play(&node, "a").await;
    expect_tag(&mut player, 0).await;
    node.drain().await;
}

#[tokio::test]
async fn a_listener_that_fails_is_started_again() {
    let node = node(|_| {}).await;
    tell(&node, Message::PanicListener);
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut player = play(&node, "a").await;
    expect_tag(&mut player, 0).await;
    node.drain().await;
}

#[tokio::test]
async fn draining_tells_players_and_leaves_no_connection() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut player = play(&node, "a").await;
    expect_tag(&mut player, 0).await;
    let drained = tokio::spawn({
        let node = node.clone();
        async move { node.drain().await }
    });
    expect_end(&mut player).await;
    drop((player, publisher));
    timeout(PATIENCE, drained)
        .await
        .expect("in time")
        .expect("no panic");
    assert_eq!(node.connections().await, 0);
}

/// A player that says all it has to say and then reads nothing.
fn deaf_player(node: &Node) -> std::net::TcpStream {
    let (_, address) = *node.addresses().first().expect("a listener");
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    // Small, so that it is full soon.
    socket.set_recv_buffer_size(4096).expect("a size");
    socket.connect(&address.into()).expect("connected");
    let mut player = std::net::TcpStream::from(socket);
    std::io::Write::write_all(&mut player, &player_bytes()).expect("written");
    player
}

/// An audio frame of MP3, which needs no configuration, of a size that leaves a socket full between two tags.
fn sound(dts: u32) -> Tag {
    Tag::new(
        Kind::Audio,
        dts,
        Bytes::from([&[0x2f, 0xff, 0xfb][..], &[0; 797]].concat()),
    )
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waited)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_player_that_reads_nothing_is_told_goodbye() {
    let node = node(|config| {
        config.egress.max_lag = Duration::from_millis(200);
        config.egress.drop_after = Duration::from_millis(1500);
        config.egress.kernel_buffer = 16 << 10;
    })
    .await;
    let publisher = publish(&node, "a").await;
    publisher.send(sound(0)).await.expect("open");
    let mut players = Vec::new();
    for _ in 0..4 {
        players.push(play(&node, "a").await);
    }
    let deaf = deaf_player(&node);
    until("all connected", async || node.connections().await == 6).await;
    let read = tokio::spawn(async move {
        for player in &mut players {
            while let Ok(Some(_)) = timeout(Duration::from_millis(20), player.next())
                .await
                .unwrap_or(Ok(None))
            {}
        }
        loop {
            for player in &mut players {
                drop(timeout(Duration::from_millis(1), player.next()).await);
            }
        }
    });
    let mut dts = 0;
    until("the deaf player is gone", async || {
        dts += 20;
        for _ in 0..8 {
            publisher.send(sound(dts)).await.expect("open");
        }
        node.connections().await == 5
    })
    .await;
    read.abort();
    drop(deaf);
    node.drain().await;
}

#[tokio::test]
async fn a_play_after_a_play_on_the_same_message_stream_is_served() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut player = play(&node, "a").await;
    expect_tag(&mut player, 0).await;
    // Mute, hear again, pause, go on: after each of them it is served again.
    player.receive_audio(false);
    publisher.send(keyframe(40)).await.expect("open");
    expect_tag(&mut player, 40).await;
    player.receive_audio(true);
    publisher.send(keyframe(80)).await.expect("open");
    expect_tag(&mut player, 80).await;
    player.pause(true, Duration::ZERO);
    player.pause(false, Duration::ZERO);
    let mut dts = 80;
    let resumed = async {
        loop {
            dts += 40;
            publisher.send(keyframe(dts)).await.expect("open");
            let next = timeout(Duration::from_millis(20), player.next()).await;
            if let Ok(Ok(Some(Event::Tag(tag)))) = next
                && tag.is_video()
                && tag.dts > 80
            {
                return;
            }
        }
    };
    timeout(PATIENCE, resumed)
        .await
        .expect("media after the pause");
    node.drain().await;
}

#[tokio::test]
async fn a_paused_player_is_told_of_the_end() {
    let node = node(|config| config.publish.grace = Duration::from_millis(50)).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut player = play(&node, "a").await;
    expect_tag(&mut player, 0).await;
    player.pause(true, Duration::ZERO);
    publisher.finish().await.expect("said goodbye");
    expect_end(&mut player).await;
    until("the stream is gone", async || {
        node.health().await.active_streams == 0
    })
    .await;
    node.drain().await;
}

/// All that a player sends, from the handshake on.
fn player_bytes() -> Vec<u8> {
    let connect = Command {
        object: amf::Value::Object([("app", amf::Value::from("live"))].into_iter().collect()),
        ..Command::new("connect", 1.0, Vec::new())
    };
    let create = Command::new("createStream", 2.0, Vec::new());
    let play = Command::new("play", 3.0, vec!["a".into()]);
    let mut out = bytes::BytesMut::from(&[&[3][..], &[0; 3072]].concat()[..]);
    let mut writer = rtmp::chunk::ChunkWriter::new();
    for (command, stream_id) in [(connect, 0), (create, 0), (play, 1)] {
        writer.write(&command.to_message(3, stream_id), &mut out);
    }
    out.to_vec()
}

/// Whether a player has been sent what ends so; what came before stays to be read.
fn was_sent(player: &std::net::TcpStream, last: &[u8], room: &mut [u8]) -> bool {
    match player.peek(room) {
        Ok(length) => room[..length].ends_with(last),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn an_idle_player_holds_little_memory() {
    const PLAYERS: usize = 200;
    /// Of one player: its connection, the pump of that, and its subscriber. A pump of its own, while
    /// it joins, would be a fourth.
    const TASKS: usize = 3;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (node, publisher) = runtime.block_on(async {
        let node = node(|_| {}).await;
        let publisher = publish(&node, "a").await;
        publisher.send(keyframe(0)).await.expect("open");
        // The first player makes what all of them share, the task of their group among it.
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        let before = tasks();
        let mut first = play(&node, "a").await;
        expect_tag(&mut first, 0).await;
        first.close().await;
        until("it has left", async || tasks() == before + 1).await;
        (node, publisher)
    });
    let (_, address) = *node.addresses().first().expect("a listener");
    let (bytes, last) = (player_bytes(), keyframe(0).payload);
    let mut room = vec![0; 64 << 10];
    let mut players = Vec::with_capacity(PLAYERS);
    let tasks = runtime.metrics().num_alive_tasks() + TASKS * PLAYERS;
    let measured = allocation_counter::measure(|| {
        for _ in 0..PLAYERS {
            let mut player = std::net::TcpStream::connect(address).expect("connected");
            std::io::Write::write_all(&mut player, &bytes).expect("written");
            player.set_nonblocking(true).expect("a socket");
            players.push(player);
        }
        runtime.block_on(async {
            let settled = async {
                for player in &players {
                    while !was_sent(player, &last, &mut room) {
                        tokio::task::yield_now().await;
                    }
                }
                // All it needs is sent; now its group takes it over.
                while runtime.metrics().num_alive_tasks() > tasks {
                    tokio::task::yield_now().await;
                }
            };
            timeout(PATIENCE, settled).await.expect("in time");
        });
    });
    let each = measured.bytes_current / PLAYERS as i64;
    println!(
        "{each} bytes, {} allocations",
        measured.count_current / PLAYERS as i64
    );
    assert!(each < 24 << 10, "{each} bytes per player");
    runtime.block_on(async {
        drop((players, publisher));
        node.drain().await;
    });
}
