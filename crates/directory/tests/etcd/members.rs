//! An etcd of several members, of which some are away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backend::{Cluster, config};
use super::directory::contract::{Backend, eventually, live_key, live_record};
use super::directory::{Change, Claim, Directory, Etcd as Joined, NodeId, Options, Standing};
use super::process::{Etcd, free};

/// Three members that know each other.
async fn three() -> (Vec<Etcd>, Vec<String>) {
    let peers: Vec<SocketAddr> = (0..3).map(|_| free()).collect();
    let clients: Vec<SocketAddr> = (0..3).map(|_| free()).collect();
    let all: Vec<_> = peers
        .iter()
        .enumerate()
        .map(|(i, peer)| format!("m{i}=http://{peer}"))
        .collect();
    let mut members = Vec::new();
    for (i, (peer, client)) in peers.iter().zip(&clients).enumerate() {
        let url = format!("http://{peer}");
        let name = format!("m{i}");
        let arguments = [
            "--name",
            &name,
            "--listen-peer-urls",
            &url,
            "--initial-advertise-peer-urls",
            &url,
            "--initial-cluster",
            &all.join(","),
        ];
        let mut member = Etcd::prepare(&[], "http");
        member.run_at(*client, &arguments.map(str::to_owned)).await;
        members.push(member);
    }
    for member in &mut members {
        member.ready(None).await;
    }
    let endpoints = clients
        .iter()
        .map(|client| format!("http://{client}"))
        .collect();
    (members, endpoints)
}

fn join(endpoints: &[String], node: &str) -> Arc<dyn Directory> {
    let config = config(endpoints.to_vec());
    let options = Options {
        lease_ttl: config.lease_ttl,
        ..Options::default()
    };
    Joined::join(config, NodeId::parse(node).expect("a name"), options)
}

/// Which of them leads the others.
async fn leader(members: &[Etcd]) -> usize {
    for (i, member) in members.iter().enumerate() {
        let status = member.admin().await.status().await.expect("answers");
        let own = status.header().expect("a header").member_id();
        if own == status.leader() {
            return i;
        }
    }
    panic!("nobody leads");
}

async fn claim_in_the_end(node: &Arc<dyn Directory>, name: &str) -> Claim {
    let key = live_key(name);
    for _ in 0..100 {
        match node.claim(live_record(node, &key), None).await {
            Ok(claim) => return claim,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it cannot be claimed");
}

#[tokio::test]
async fn a_minority_that_dies_is_not_noticed_and_a_majority_is() {
    let (mut members, endpoints) = three().await;
    let nodes = ["a", "b", "c", "d"].map(|node| join(&endpoints, node));
    let key = live_key("cam");
    let a = &nodes[0];
    let claim = a
        .claim(live_record(a, &key), None)
        .await
        .expect("nobody has it");
    for node in &nodes {
        eventually(node, "the claim is known", || node.lookup(&key).is_some()).await;
    }
    let mut changes: Vec<_> = nodes.iter().map(|node| node.changes()).collect();
    let leads = leader(&members).await;
    members[(leads + 1) % 3].stop();
    // Whoever was with it is with another, and goes on.
    for (i, node) in nodes.iter().enumerate() {
        let key = live_key(&format!("cam{i}"));
        let claim = node.claim(live_record(node, &key), None).await;
        node.release(claim.expect("two are enough"))
            .await
            .expect("two are enough");
    }
    for changes in &mut changes {
        while let Some(change) = changes.try_next() {
            let expected = matches!(&change, Change::Stream(told) if *told != key);
            assert!(expected, "{change:?}");
        }
    }
    assert!(matches!(a.standing(&claim), Standing::Held(_)));

    // One that is left alone says so.
    members[leads].pause(true);
    for node in &nodes {
        eventually(node, "there is no majority", || !node.is_up()).await;
        assert!(node.lookup(&key).is_some());
    }
    members[leads].pause(false);
    for node in &nodes {
        eventually(node, "there is a majority", || node.is_up()).await;
    }
    eventually(a, "the claim is held", || {
        matches!(a.standing(&claim), Standing::Held(_))
    })
    .await;
}

#[tokio::test]
async fn no_stream_is_lost_with_the_leader() {
    let (mut members, endpoints) = three().await;
    let nodes = ["a", "b"].map(|node| join(&endpoints, node));
    let [a, b] = &nodes;
    let claim = claim_in_the_end(a, "cam").await;
    eventually(b, "the claim is known", || b.lookup(claim.key()).is_some()).await;
    let mut changes = b.changes();
    let leads = leader(&members).await;
    members[leads].stop();
    for node in &nodes {
        let name = format!("of-{}", node.node());
        claim_in_the_end(node, &name).await;
    }
    eventually(a, "the claim is held", || {
        matches!(a.standing(&claim), Standing::Held(_))
    })
    .await;
    while let Some(change) = changes.try_next() {
        assert_ne!(change, Change::Stream(claim.key().clone()));
    }
}

#[tokio::test]
async fn members_that_are_away_do_not_keep_a_node_out() {
    let etcd = Etcd::start().await;
    // One that refuses, one that never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent
        .local_addr()
        .map(|address| (address, silent))
        .expect("an address");
    let endpoints = [
        format!("http://{}", free()),
        format!("http://{}", silent.0),
        etcd.url(),
    ];
    for node in ["a", "b", "c"] {
        let began = Instant::now();
        let node = join(&endpoints, node);
        node.resolve(&live_key("cam")).await.expect("one answers");
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn a_dropped_directory_leaves_nothing_running() {
    let cluster = Cluster::start().await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let first = cluster.join("a", Options::default());
    eventually(&first, "it is in", || first.is_up()).await;
    drop(first);
    let quiet = || cluster.connections("a") == 0;
    // Somebody to wait with.
    let b = super::directory::Embedded::alone(NodeId::parse("b").expect("a name"));
    eventually(&b, "the connection is closed", quiet).await;
    let before = tasks();
    let second = cluster.join("a", Options::default());
    eventually(&second, "it is in", || second.is_up()).await;
    assert_eq!(cluster.connections("a"), 1, "one connection is enough");
    assert!(tasks() > before);
    let claim = second
        .claim(live_record(&second, &live_key("cam")), None)
        .await;
    drop(second);
    eventually(&b, "all tasks have ended", || tasks() <= before).await;
    // A claim outlives its directory without harm.
    drop(claim);
}
