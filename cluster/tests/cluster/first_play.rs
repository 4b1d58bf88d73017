//! The first plays of a stream, all at the same moment.

use flv::Tag;
use futures::future::join_all;
use testkit::{Clip, Heard, Peer, Publisher, Recipe, sent};
use tokio::time::Instant;
use weir_cluster::{Cluster, Node};

/// More than a second of it.
const FRAMES: usize = 90;

#[tokio::test]
async fn first_plays_at_the_same_moment_are_one_pull_per_edge() {
    first_plays(500).await;
}

#[tokio::test]
#[ignore = "takes the whole machine"]
async fn thousands_of_first_plays_at_the_same_moment_are_one_pull_per_edge() {
    first_plays(3000).await;
}

async fn first_plays(players: usize) {
    let cluster = Cluster::builder()
        .etcd(1)
        .origins(1)
        .edges(3)
        .balanced()
        .set("limits.headroom=1")
        .set("pull.linger=1s")
        // Whoever is late is not to miss anything: so many players take a small machine a while.
        .set("egress.max_lag=30s")
        .set("egress.drop_after=60s")
        .start()
        .await;
    let origin = cluster.node("o1");
    let tags = sent(&Clip::of(Recipe::H264_AAC).tags, 30);
    let url = cluster.balancer().ingest_url("live/cam");
    let publisher = Publisher::start(&url, tags.clone(), 1.0).await;
    let publisher = publisher.expect("accepted");

    let mut peers = Vec::new();
    while peers.len() < players {
        let batch = (0..100.min(players - peers.len())).map(|_| connect(&cluster));
        peers.extend(join_all(batch).await);
    }
    let asked = Instant::now();
    join_all(peers.iter_mut().map(|(peer, stream)| {
        let stream = *stream;
        async move { peer.command("play", stream, &["cam".into()]).await }
    }))
    .await;
    let all_asked = asked.elapsed();
    join_all(peers.iter().map(|(peer, _)| {
        let many = |heard: &[Heard]| heard.len() > FRAMES && frames(heard).count() > FRAMES;
        peer.until("a second of the stream", many)
    }))
    .await;
    println!(
        "{players} plays within {all_asked:?}; all have {FRAMES} frames after {:?}",
        asked.elapsed()
    );

    assert_eq!(fed(origin, "opened").await, 3.0, "one pull per edge");
    assert_eq!(fed(origin, "refused").await, 0.0);
    let mut shares = Vec::new();
    for edge in cluster.edges() {
        let opened = "weir_relay_pulls_total{result=\"opened\"}";
        assert_eq!(edge.metric(opened).await, 1.0, "{}", edge.name());
        assert_eq!(edge.sum("weir_relay_pulls_total").await, 1.0);
        shares.push(edge.sum("weir_subscribers").await);
    }
    let least = (players / shares.len()) as f64;
    assert_eq!(shares.iter().sum::<f64>(), players as f64);
    assert!(shares.iter().all(|&share| share >= least), "{shares:?}");

    let sent: Vec<_> = tags.iter().filter(|tag| tag.is_frame()).collect();
    for (number, (peer, _)) in peers.iter().enumerate() {
        assert!(!peer.is_closed(), "player {number} is connected");
        same_as_sent(number, &peer.heard(), &sent);
    }
    assert!(!publisher.has_ended());
    drop(peers);
    // Nobody watches, and nothing is pulled for nobody.
    origin.metric_becomes("weir_relay_feeds", 0.0).await;
    assert_eq!(fed(origin, "opened").await, 3.0);
}

/// A player that is connected through the balancer, and has a stream to play on.
async fn connect(cluster: &Cluster) -> (Peer, u32) {
    let mut peer = Peer::connect(cluster.balancer().rtmp, "live").await;
    let stream = peer.create_stream().await;
    (peer, stream)
}

/// How many pulls by other nodes the origin counts.
async fn fed(origin: &Node, result: &str) -> f64 {
    let metric = format!("weir_relay_feeds_total{{result=\"{result}\"}}");
    origin.metric(&metric).await
}

fn frames(heard: &[Heard]) -> impl Iterator<Item = &Tag> {
    heard
        .iter()
        .filter_map(Heard::tag)
        .filter(|tag| tag.is_frame())
}

/// From a keyframe on all that was sent, byte for byte, at the times at which it was sent.
fn same_as_sent(player: usize, heard: &[Heard], sent: &[&Tag]) {
    let picture = frames(heard).find(|tag| tag.is_video());
    assert!(picture.is_some_and(Tag::is_keyframe), "player {player}");
    let first = frames(heard).next().expect("frames came");
    let same = |one: &Tag, other: &Tag| {
        (one.kind, one.dts, &one.payload) == (other.kind, other.dts, &other.payload)
    };
    let start = sent.iter().position(|tag| same(tag, first));
    let start = start.unwrap_or_else(|| panic!("player {player}: {first:?} was never sent"));
    for (came, sent) in frames(heard).zip(&sent[start..]) {
        assert!(same(came, sent), "player {player}: {came:?} for {sent:?}");
    }
}
