//! The first plays of a stream, all at the same moment.

use flv::Tag;
use futures::future::join_all;
use testkit::{Clip, Heard, Peer, Publisher, Recipe, sent};
use tokio::time::Instant;
use weir_cluster::{Builder, Cluster, Node};

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

#[tokio::test]
async fn players_who_wait_for_a_stream_get_it_by_one_pull_per_edge() {
    let cluster = cluster().set("play.wait=1m").start().await;
    let mut players = connect(&cluster, 60).await;
    play(&mut players).await;
    for edge in cluster.edges() {
        edge.metric_becomes("weir_subscribers{protocol=\"rtmp\"}", 20.0)
            .await;
    }
    let (publisher, tags) = publish(&cluster).await;
    have(&players, FRAMES).await;
    one_pull_each(&cluster).await;
    all_as_sent(&players, &tags);
    assert!(!publisher.has_ended());
}

async fn first_plays(count: usize) {
    let cluster = cluster().start().await;
    let (publisher, tags) = publish(&cluster).await;
    let mut players = connect(&cluster, count).await;
    let asked = Instant::now();
    play(&mut players).await;
    let all_asked = asked.elapsed();
    have(&players, FRAMES).await;
    let all_have = asked.elapsed();
    println!("{count} plays within {all_asked:?}; all have {FRAMES} frames after {all_have:?}");

    one_pull_each(&cluster).await;
    let mut shares = Vec::new();
    for edge in cluster.edges() {
        shares.push(edge.sum("weir_subscribers").await);
    }
    let least = (count / shares.len()) as f64;
    assert_eq!(shares.iter().sum::<f64>(), count as f64);
    assert!(shares.iter().all(|&share| share >= least), "{shares:?}");
    all_as_sent(&players, &tags);
    assert!(!publisher.has_ended());

    drop(players);
    // Nobody watches, and nothing is pulled for nobody.
    let origin = cluster.node("o1");
    origin.metric_becomes("weir_relay_feeds", 0.0).await;
    assert_eq!(fed(origin, "opened").await, 3.0);
}

fn cluster() -> Builder {
    Cluster::builder()
        .etcd(1)
        .origins(1)
        .edges(3)
        .balanced()
        .set("limits.headroom=1")
        .set("pull.linger=1s")
        // Whoever is late is not to miss anything: so many players take a small machine a while.
        .set("egress.max_lag=30s")
        .set("egress.drop_after=60s")
}

/// A publisher, through the balancer, and what it will send.
async fn publish(cluster: &Cluster) -> (Publisher, Vec<Tag>) {
    let tags = sent(&Clip::of(Recipe::H264_AAC).tags, 30);
    let url = cluster.balancer().ingest_url("live/cam");
    let publisher = Publisher::start(&url, tags.clone(), 1.0).await;
    (publisher.expect("accepted"), tags)
}

/// Players that are connected through the balancer, each with a message stream to play on.
async fn connect(cluster: &Cluster, count: usize) -> Vec<Peer> {
    let mut players = Vec::new();
    while players.len() < count {
        let batch = (0..100.min(count - players.len())).map(|_| async {
            let mut peer = Peer::connect(cluster.balancer().rtmp, "live").await;
            assert_eq!(peer.create_stream().await, 1);
            peer
        });
        players.extend(join_all(batch).await);
    }
    players
}

async fn play(players: &mut [Peer]) {
    let play = async |peer: &mut Peer| peer.command("play", 1, &["cam".into()]).await;
    join_all(players.iter_mut().map(play)).await;
}

/// Waits until all have so many frames.
async fn have(players: &[Peer], count: usize) {
    let many = |heard: &[Heard]| heard.len() > count && frames(heard).count() > count;
    let wait = async |peer: &Peer| peer.until("the stream", many).await;
    join_all(players.iter().map(wait)).await;
}

/// Each edge has pulled the stream once.
async fn one_pull_each(cluster: &Cluster) {
    let origin = cluster.node("o1");
    assert_eq!(fed(origin, "opened").await, 3.0, "one pull per edge");
    assert_eq!(fed(origin, "refused").await, 0.0);
    for edge in cluster.edges() {
        let opened = "weir_relay_pulls_total{result=\"opened\"}";
        assert_eq!(edge.metric(opened).await, 1.0, "{}", edge.name());
        assert_eq!(edge.sum("weir_relay_pulls_total").await, 1.0);
    }
}

/// What the origin counts of pulls by other nodes.
async fn fed(origin: &Node, result: &str) -> f64 {
    let metric = format!("weir_relay_feeds_total{{result=\"{result}\"}}");
    origin.metric(&metric).await
}

fn frames(heard: &[Heard]) -> impl Iterator<Item = &Tag> {
    let tags = heard.iter().filter_map(Heard::tag);
    tags.filter(|tag| tag.is_frame())
}

/// All players are connected, and got what was sent.
fn all_as_sent(players: &[Peer], sent: &[Tag]) {
    let sent: Vec<_> = sent.iter().filter(|tag| tag.is_frame()).collect();
    for (number, player) in players.iter().enumerate() {
        assert!(!player.is_closed(), "player {number} is connected");
        as_sent(number, &player.heard(), &sent);
    }
}

/// From a keyframe on all that was sent, byte for byte, at the times at which it was sent.
fn as_sent(player: usize, heard: &[Heard], sent: &[&Tag]) {
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
