//! Networks whose cables can be cut.

use std::time::Duration;

use testkit::{Clip, Recipe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use weir_cluster::{Cluster, EncoderOptions, Link, Network, Place, Side, Viewer, ViewerOptions};

const LIMIT: Duration = Duration::from_secs(15);

/// Both ends of a connection between two places.
async fn connection(from: &Place, to: &Place) -> (TcpStream, TcpStream) {
    let address = (to.address(), 7000);
    let listener = to.spawn(async move { TcpListener::bind(address).await });
    let listener = listener.await.expect("no panic").expect("a free port");
    let accepted = to.spawn(async move { listener.accept().await });
    let socket = from.spawn(async move { TcpStream::connect(address).await });
    let socket = socket.await.expect("no panic").expect("a way");
    let (other, peer) = accepted.await.expect("no panic").expect("a peer");
    assert_eq!(peer.ip(), from.address());
    (socket, other)
}

#[tokio::test]
async fn a_cut_cable_loses_packets_and_tells_nobody() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    let (one, other) = (network.place("one"), network.place("other"));
    let (mut socket, mut peer) = connection(&one, &other).await;
    let mut byte = [0];
    socket.write_all(b"a").await.expect("sent");
    peer.read_exact(&mut byte).await.expect("it came");
    let before = network.traffic(&one, &other);
    assert!(before.packets >= 3 && before.lost == 0, "{before:?}");

    network.cut(&one, &other);
    socket.write_all(b"b").await.expect("the kernel took it");
    let heard = timeout(Duration::from_millis(500), peer.read(&mut byte)).await;
    assert!(heard.is_err(), "neither a byte nor an end: {heard:?}");
    let after = network.traffic(&one, &other);
    assert_eq!(after.packets, before.packets);
    assert!(after.lost > 0, "{after:?}");

    network.heal(&one, &other);
    timeout(LIMIT, peer.read_exact(&mut byte))
        .await
        .expect("in time")
        .expect("it came after all");
    assert_eq!(&byte, b"b");

    // An end that is said while the cable is cut is not heard either.
    network.cut(&one, &other);
    drop(socket);
    let heard = timeout(Duration::from_millis(500), peer.read(&mut byte)).await;
    assert!(heard.is_err(), "{heard:?}");
}

#[tokio::test]
async fn a_slow_cable_delays_and_a_bad_one_loses_but_all_comes_through() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    let (one, other) = (network.place("one"), network.place("other"));
    network.set(&one, &other, Link::slow(Duration::from_millis(50), 0.0));
    let started = Instant::now();
    let (mut socket, mut peer) = connection(&one, &other).await;
    socket.write_all(b"a").await.expect("sent");
    peer.read_exact(&mut [0]).await.expect("it came");
    // Three ways: to ask for the connection, to get it, and to use it.
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(150), "{took:?}");

    network.set(&one, &other, Link::slow(Duration::from_millis(5), 0.05));
    let sent: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
    let bytes = sent.clone();
    let sender = one.spawn(async move { socket.write_all(&bytes).await.map(|()| socket) });
    let mut came = vec![0; sent.len()];
    let read = timeout(LIMIT, peer.read_exact(&mut came)).await;
    read.expect("in time").expect("all of it");
    assert!(came == sent, "in order and whole");
    assert!(network.traffic(&one, &other).lost > 5);
    drop(sender.await.expect("no panic").expect("sent"));
}

#[tokio::test]
async fn places_do_not_hear_of_other_networks_and_leave_nothing_behind() {
    let (Some(network), Some(other)) = (Network::isolated_or_skip(), Network::isolated_or_skip())
    else {
        return;
    };
    let (here, there) = (network.place("node"), other.place("node"));
    assert_ne!(here.address(), there.address());
    let address = (there.address(), 1);
    let connect = here.spawn(async move { TcpStream::connect(address).await });
    let error = connect.await.expect("no panic").expect_err("no way");
    assert_ne!(error.kind(), std::io::ErrorKind::ConnectionRefused);

    let device = || {
        let address = here.address().to_string();
        let start = address.rsplit_once('.').expect("four bytes").0.to_owned();
        let routes = std::fs::read_to_string("/proc/net/fib_trie").expect("the kernel tells");
        routes.contains(&format!("{start}.1\n"))
    };
    assert!(device(), "this process is in the network too");
    let seen = here.address().to_string();
    drop(network);
    assert!(device(), "a place holds its network");
    let device = {
        let start = seen.rsplit_once('.').expect("four bytes").0.to_owned();
        drop(here);
        let routes = std::fs::read_to_string("/proc/net/fib_trie").expect("the kernel tells");
        routes.contains(&format!("{start}.1\n"))
    };
    assert!(!device, "nothing is left");
}

#[tokio::test]
async fn a_node_is_cut_off_from_its_encoder_and_nobody_else() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    let cluster = Cluster::builder()
        .network(network)
        .nodes(2)
        .balanced()
        .set("publish.grace=60s")
        .set("limits.ping_timeout=60s")
        .start()
        .await;
    let node = cluster.node("n1");
    let clip = Clip::of(Recipe::H264_AAC);
    let away = cluster.place("encoder");
    let encoder = EncoderOptions::new(&[&node.url("live/cam")], &clip.tags)
        .from(&away)
        .start();
    encoder.accepted_times(1, LIMIT).await;
    let viewer = Viewer::play(&node.url("live/cam"));
    let other = ViewerOptions::new(&node.url("live/cam"))
        .from(&cluster.place("viewer"))
        .start();
    for viewer in [&viewer, &other] {
        viewer.goes_on(50, LIMIT).await;
    }

    cluster.partition("n1", "encoder");
    let lost = || cluster.network().traffic(&away, node.place()).lost;
    cluster
        .until("packets to get lost", LIMIT, async || {
            (lost() > 0).then_some(())
        })
        .await;
    assert_eq!(node.get("/ready").await.status, 200, "others reach it");
    let before = viewer.look(|seen| seen.frames.len());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(viewer.look(|seen| seen.frames.len()), before);
    assert!(encoder.is_live(), "it has heard nothing");

    cluster.heal("n1", "encoder");
    for viewer in [&viewer, &other] {
        viewer.goes_on(50, LIMIT).await;
        let seen = viewer.seen();
        assert!(seen.closes.is_empty(), "{}", seen.summary());
        assert!(seen.longest_gap(seen.connected[0]) >= Duration::from_secs(1));
    }
    assert_eq!(encoder.accepted().len(), 1);
}

#[tokio::test]
async fn an_etcd_whose_leader_is_cut_off_has_another_one() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    let cluster = Cluster::builder().network(network).etcd(3).start().await;
    let etcd = cluster.etcd();
    etcd.put("/a", "1").await.expect("written");
    let cut = etcd.leader().await.expect("there is a leader");
    let name = etcd.place(cut).name().to_owned();
    cluster.partition(&name, Side::Etcd);
    cluster
        .until("another leader", LIMIT, async || {
            // The old one believes in itself for a while, and gets nothing done.
            etcd.put("/a", "2").await.ok()
        })
        .await;
    cluster
        .until("the old one to know", LIMIT, async || {
            etcd.leader().await.filter(|&leader| leader != cut)
        })
        .await;
    cluster.heal_all();
    etcd.ready().await;
    let found = etcd.get("/a").await.expect("an answer");
    assert_eq!(found[0].value, "2");
}
