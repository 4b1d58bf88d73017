//! Nodes that are told to leave: who notices, how often, and for how long.

use std::time::Duration;

use futures::future::join_all;
use testkit::{Clip, Recipe};
use tokio::net::TcpStream;
use tokio::time::Instant;
use weir_cluster::{Builder, Cluster, Encoder, EncoderOptions, Seen, Viewer, ViewerOptions};

use crate::trace::{Run, Trace, publishes};

const LIMIT: Duration = Duration::from_secs(30);
/// Of the clip: an encoder that follows when it is asked to reconnect is missed no longer than this.
const GOP: Duration = Duration::from_secs(1);
/// A viewer or an encoder that was closed comes back after this.
const PAUSE: Duration = Duration::from_millis(100);
/// The nodes have ended all connections within this…
const DEADLINE: Duration = Duration::from_secs(6);
/// …the first part of which is for balancers to look away.
const DELAY: Duration = Duration::from_secs(1);
const SUBSCRIBERS: &str = "weir_subscribers";

fn cluster(deadline: Duration) -> Builder {
    Cluster::builder()
        .etcd(1)
        .origins(2)
        .edges(2)
        .balanced()
        .set("limits.headroom=1")
        .set(&format!("node.drain_timeout={}ms", deadline.as_millis()))
        .set(&format!("node.drain_delay={}ms", DELAY.as_millis()))
}

/// An encoder that can be asked to reconnect, and one that cannot.
fn encoders(urls: impl Fn(&str) -> Vec<String>) -> [Encoder; 2] {
    let clip = Clip::of(Recipe::H264_AAC);
    let options = |name: &str| {
        let urls = urls(&format!("live/{name}"));
        let urls: Vec<_> = urls.iter().map(String::as_str).collect();
        let options = EncoderOptions::new(&urls, &clip.tags).stamped(name);
        options.pause(PAUSE)
    };
    [options("asked").start(), options("old").of_old().start()]
}

/// Tells a node to leave. It has, in time and with nothing to complain about, when this returns; how long that took.
async fn leaves(cluster: &Cluster, name: &str, deadline: Duration) -> Duration {
    let node = cluster.node(name);
    let told = Instant::now();
    node.terminate();
    let status = node.gone(deadline + LIMIT).await;
    let took = told.elapsed();
    println!("{name} left after {took:?}");
    assert_eq!(status.code(), Some(0), "{name}: {}", node.log.tail(20));
    // What it takes to end a process is not in its hands.
    assert!(took < deadline + GOP, "{name}: {took:?}");
    assert_eq!(node.log.errors(), [""; 0], "{name}");
    assert_eq!(node.log.count("the drain took too long"), 0, "{name}");
    let records = cluster.node_records().await.expect("etcd answers");
    let its = |key: &str| key.ends_with(&format!("/nodes/{name}"));
    assert!(
        !records.iter().any(|record| its(&record.key)),
        "{records:?}"
    );
    let owners = owners(cluster).await;
    assert!(!owners.iter().any(|owner| owner == name), "{owners:?}");
    took
}

/// The nodes that have a stream, one for each claim.
async fn owners(cluster: &Cluster) -> Vec<String> {
    let claims = cluster.claims().await.expect("etcd answers");
    let owner = |value: serde_json::Value| value["node"].as_str().map(str::to_owned);
    claims
        .iter()
        .filter_map(|claim| owner(claim.json()))
        .collect()
}

/// Who has that stream, as soon as somebody has.
async fn owner(cluster: &Cluster, stream: &str) -> String {
    let find = async || {
        let claims = cluster.claims().await.ok()?;
        let key = format!("/streams/{stream}");
        let claim = claims.iter().find(|claim| claim.key.ends_with(&key))?;
        claim.json()["node"].as_str().map(str::to_owned)
    };
    cluster
        .until(&format!("an owner of {stream}"), LIMIT, find)
        .await
}

async fn all_go_on<'a>(viewers: impl IntoIterator<Item = &'a Viewer>, frames: usize) {
    let all = viewers
        .into_iter()
        .map(|viewer| viewer.goes_on(frames, LIMIT));
    join_all(all).await;
}

/// The time from the last frame of each publish to the first of the next.
fn gaps(runs: &[Run]) -> Vec<Duration> {
    let gap = |pair: &[Run]| pair[1].start.at - pair[0].end.at;
    runs.windows(2).map(gap).collect()
}

#[tokio::test]
async fn an_origin_leaves_and_its_viewers_at_edges_stay() {
    origin_leaves(10, DEADLINE).await;
}

async fn origin_leaves(viewers: usize, deadline: Duration) {
    let cluster = cluster(deadline).start().await;
    let origins = ["o1", "o2"].map(|name| cluster.node(name));
    let encoders = encoders(|stream| origins.map(|origin| origin.url(stream)).into());
    for encoder in &encoders {
        encoder.accepted_times(1, LIMIT).await;
    }
    let edges = ["e1", "e2"].map(|name| cluster.node(name));
    let watch = |stream: &str| -> Vec<_> {
        let play = |number: usize| Viewer::play(&edges[number % 2].url(stream));
        (0..viewers).map(play).collect()
    };
    let watched = ["live/asked", "live/old"].map(watch);
    all_go_on(watched.iter().flatten(), 100).await;

    let told = Instant::now();
    let took = leaves(&cluster, "o1", deadline).await;
    for encoder in &encoders {
        encoder.accepted_times(2, LIMIT).await;
    }
    all_go_on(watched.iter().flatten(), 100).await;

    let [asked, old] = &encoders;
    assert_eq!((asked.requests(), asked.failures().len()), (1, 0));
    assert_eq!((old.requests(), old.failures().len()), (0, 1));
    // Who cannot be asked keeps its place until the time is nearly over.
    let stayed = old.failures()[0].0 - told;
    assert!(stayed > deadline / 2 && stayed < took, "{stayed:?}");
    for name in ["live/asked", "live/old"] {
        assert_eq!(owner(&cluster, name).await, "o2");
    }
    // It was there to be asked for both, also when all its peers had gone.
    let released = origins[0].log.count("released to another node");
    assert_eq!(released, 2, "{}", origins[0].log.tail(20));
    for (number, (encoder, viewers)) in encoders.iter().zip(&watched).enumerate() {
        let mut longest = Duration::ZERO;
        for viewer in viewers {
            // All of the first publish that it was sent, and all of the second.
            let seen = publishes("a viewer", viewer, &[encoder]);
            assert_eq!(seen, [(0, 1), (0, 2)]);
            let seen = viewer.seen();
            let runs = Trace::of(&[encoder]).runs("a viewer", &seen);
            longest = gaps(&runs).into_iter().fold(longest, Duration::max);
            assert_eq!(runs[1].first, 0, "from the first frame on");
        }
        println!("publish {number}: no picture for {longest:?}");
        assert!(longest < GOP, "publish {number}: {longest:?}");
    }
}

#[tokio::test]
async fn an_edge_leaves_and_its_viewers_move_once() {
    edge_leaves(20, DEADLINE).await;
}

async fn edge_leaves(viewers: usize, deadline: Duration) {
    let cluster = cluster(deadline).start().await;
    let clip = Clip::of(Recipe::H264_AAC);
    let url = cluster.node("o1").url("live/cam");
    let encoder = EncoderOptions::new(&[&url], &clip.tags)
        .stamped("cam")
        .start();
    encoder.accepted_times(1, LIMIT).await;
    let viewers = watch(&cluster, "live/cam", viewers);
    all_go_on(&viewers, 50).await;
    let [there, elsewhere] = ["e1", "e2"].map(|name| cluster.node(name));
    let count = there.sum(SUBSCRIBERS).await;
    assert!(
        count >= 4.0,
        "the balancer sends some of them there: {count}"
    );

    leaves(&cluster, "e1", deadline).await;
    let all = viewers.len() as f64;
    elsewhere
        .metric_becomes("weir_subscribers{protocol=\"rtmp\"}", all)
        .await;
    all_go_on(&viewers, 50).await;

    let seen: Vec<_> = viewers.iter().map(Viewer::seen).collect();
    let moves: usize = seen.iter().map(|seen| seen.connected.len() - 1).sum();
    assert_eq!(moves as f64, count, "each moved once");
    let (mut asked, mut cut) = (0, 0);
    let trace = Trace::of(&[&encoder]);
    for (number, seen) in seen.iter().enumerate() {
        let who = format!("viewer {number}");
        moved_well(&who, seen, &trace, 1);
        asked += seen.requests;
        cut += seen.closes.len();
        if !seen.closes.is_empty() {
            ended_on_a_keyframe(&who, seen, &encoder);
        }
    }
    assert_eq!((asked + cut) as f64, count);
    assert!(asked > 0 && cut > 0, "{asked} were asked, {cut} were cut");
}

/// Viewers by way of the balancer, who come back when they must; every second can be asked to.
fn watch(cluster: &Cluster, stream: &str, count: usize) -> Vec<Viewer> {
    let url = cluster.balancer().url(stream);
    let start = |number: usize| {
        let options = ViewerOptions::new(&url).reconnects(PAUSE);
        match number % 4 {
            0 | 3 => options.start(),
            _ => options.of_old().start(),
        }
    };
    (0..count).map(start).collect()
}

/// It came back no more often than it had to, and on each of its connections nothing was missing.
fn moved_well(who: &str, seen: &Seen, trace: &Trace, nodes: usize) -> Vec<Vec<Run>> {
    let summary = seen.summary();
    assert!(seen.connected.len() <= nodes + 1, "{who}: {summary}");
    let connections = 1..=seen.connected.len();
    let runs = connections.map(|connection| {
        let mut part = seen.clone();
        part.frames.retain(|frame| frame.connection == connection);
        assert!(!part.frames.is_empty(), "{who}: {connection}: {summary}");
        trace.runs(who, &part)
    });
    runs.collect()
}

/// The last picture before the first end was the last of its group.
fn ended_on_a_keyframe(who: &str, seen: &Seen, encoder: &Encoder) {
    let on_first = |frame: &&weir_cluster::Frame| frame.is_video && frame.connection == 1;
    let last = seen.media().filter(on_first).last().expect("pictures");
    let sent = encoder.sent();
    let mut pictures = sent.iter().filter(|sent| sent.is_video);
    let found = pictures.find(|sent| sent.hash == last.hash);
    assert!(found.is_some(), "{who}: nobody sent {last:?}");
    let next = pictures.next().expect("more pictures");
    assert!(next.is_keyframe, "{who} was cut before {next:?}");
}

#[tokio::test]
async fn every_node_is_started_anew_one_after_the_other() {
    rolling_restart(12, DEADLINE, 1).await;
}

#[tokio::test]
#[ignore = "takes five minutes"]
async fn every_node_is_started_anew_again_and_again_under_load() {
    origin_leaves(100, Duration::from_secs(30)).await;
    edge_leaves(200, Duration::from_secs(30)).await;
    rolling_restart(200, Duration::from_secs(30), 2).await;
}

async fn rolling_restart(viewers: usize, deadline: Duration, rounds: usize) {
    let cluster = cluster(deadline).start().await;
    let balancer = cluster.balancer();
    let encoders = encoders(|stream| vec![balancer.ingest_url(stream)]);
    for encoder in &encoders {
        encoder.accepted_times(1, LIMIT).await;
    }
    let streams = ["live/asked", "live/old"];
    let watched = streams.map(|stream| watch(&cluster, stream, viewers));
    all_go_on(watched.iter().flatten(), 50).await;

    let all = || watched.iter().flatten();
    let connections = || -> usize { all().map(|viewer| viewer.look(connected)).sum() };
    for round in 1..=rounds {
        for name in ["o1", "e1", "o2", "e2"] {
            let before = (connections(), accepted(&encoders));
            let on_it = cluster.node(name).sum(SUBSCRIBERS).await as usize;
            let mut moves = [0, 0];
            for (index, stream) in streams.iter().enumerate() {
                moves[index] = usize::from(owner(&cluster, stream).await == name);
            }
            leaves(&cluster, name, deadline).await;
            for (index, encoder) in encoders.iter().enumerate() {
                let wanted = before.1[index] + moves[index];
                encoder.accepted_times(wanted, LIMIT).await;
            }
            all_go_on(all(), 50).await;
            let after = (connections(), accepted(&encoders));
            println!("{round}: {name} had {on_it} viewers and {moves:?} encoders");
            assert_eq!(after.0 - before.0, on_it, "{name}: viewers move once");
            let wanted = [before.1[0] + moves[0], before.1[1] + moves[1]];
            assert_eq!(after.1, wanted, "{name}: encoders move once");
            comes_back(&cluster, name).await;
        }
    }

    let [asked, old] = &encoders;
    assert_eq!(asked.failures(), [], "who is asked need not be closed");
    assert_eq!(old.requests(), 0);
    let mut longest = [Duration::ZERO; 2];
    for (index, viewers) in watched.iter().enumerate() {
        let trace = Trace::of(&[&encoders[index]]);
        for (number, viewer) in viewers.iter().enumerate() {
            let who = format!("viewer {number} of {}", streams[index]);
            let parts = moved_well(&who, &viewer.seen(), &trace, 2 * rounds);
            let gaps = parts.iter().flat_map(|runs| gaps(runs));
            longest[index] = gaps.fold(longest[index], Duration::max);
        }
    }
    println!("no picture for {longest:?} when the encoder moved");
    assert!(longest[0] < GOP, "{longest:?}");
}

fn connected(seen: &Seen) -> usize {
    seen.connected.len()
}

fn accepted(encoders: &[Encoder; 2]) -> [usize; 2] {
    encoders.each_ref().map(|encoder| encoder.accepted().len())
}

/// Starts a node again, and waits until the balancer sends somebody there.
async fn comes_back(cluster: &Cluster, name: &str) {
    let node = cluster.node(name);
    node.restart().await;
    let balancer = cluster.balancer();
    let way = match cluster.role(name) {
        Some("origin") => balancer.ingest,
        _ => balancer.rtmp,
    };
    cluster
        .until("the balancer to see it", LIMIT, async || {
            drop(TcpStream::connect(way).await);
            let count = node.try_sum("weir_connections_total").await?;
            (count > 0.0).then_some(())
        })
        .await;
}
