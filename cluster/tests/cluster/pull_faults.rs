//! The way between an origin and an edge is slow, loses packets, and is gone for a while.

use std::time::Duration;

use testkit::{Clip, Recipe};
use tokio::time::{Instant, sleep};
use weir_cluster::{Cluster, EncoderOptions, Link, Network, Viewer};

use crate::trace::{Trace, undisturbed};

const LIMIT: Duration = Duration::from_secs(20);

/// A long way, and a bad one.
const BAD: fn() -> Link = || Link::slow(Duration::from_millis(50), 0.02);

#[tokio::test]
async fn a_broken_pull_goes_on_with_the_next_tag() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    broken(network, 1, 1).await;
}

#[tokio::test]
#[ignore = "takes two minutes"]
async fn many_broken_pulls_go_on_with_the_next_tag() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    broken(network, 4, 6).await;
}

/// Several times: a bad way, then none until the edge has noticed, then none for 5 s.
async fn broken(network: Network, streams: usize, times: usize) {
    let cluster = Cluster::builder()
        .network(network)
        .etcd(1)
        .origins(1)
        .edges(1);
    let cluster = cluster.start().await;
    let clip = Clip::of(Recipe::H264_AAC);
    let keys: Vec<_> = (0..streams)
        .map(|number| format!("live/cam{number}"))
        .collect();
    let origin = cluster.node("o1");
    let encoders = keys.iter().map(|key| {
        let url = origin.url(key);
        EncoderOptions::new(&[&url], &clip.tags)
            .stamped(key)
            .start()
    });
    let encoders: Vec<_> = encoders.collect();
    for encoder in &encoders {
        encoder.accepted_times(1, LIMIT).await;
    }
    let edge = cluster.node("e1");
    let viewers: Vec<_> = keys
        .iter()
        .map(|key| Viewer::play(&edge.url(key)))
        .collect();
    all_go_on(&viewers, 50).await;

    for time in 1..=times {
        cluster.link("e1", "o1", BAD());
        // Three seconds of it, and what the way does to them.
        all_go_on(&viewers, 220).await;

        // Nothing comes through until the edge has given the connection up.
        let breaks = edge.log.count(BROKE);
        cluster.partition("e1", "o1");
        edge.log.wait(BROKE, breaks + streams).await;
        cluster.link("e1", "o1", BAD());
        all_go_on(&viewers, 220).await;

        // The connection may be there afterwards, or may not.
        cluster.partition("e1", "o1");
        let cut = Instant::now();
        sleep(Duration::from_secs(5)).await;
        cluster.heal("e1", "o1");
        all_go_on(&viewers, 500).await;
        println!(
            "{time}: goes on {:?} after a black-out of 5 s",
            cut.elapsed()
        );
    }

    let seen: Vec<_> = viewers.iter().map(Viewer::seen).collect();
    let trace = Trace::of(&encoders.iter().collect::<Vec<_>>());
    for (number, seen) in seen.iter().enumerate() {
        let who = &keys[number];
        undisturbed(who, seen);
        let runs = trace.runs(who, seen);
        let publishes: Vec<_> = runs.iter().map(|run| run.publish).collect();
        assert_eq!(publishes, [(number, 1)], "{who}");
    }
    let switches = |reason| format!("weir_relay_switches_total{{reason=\"{reason}\"}}");
    let resumed = edge.metric(&switches("resumed")).await;
    assert!(resumed >= (streams * times) as f64, "{resumed}");
    for other in ["late", "epoch"] {
        assert_eq!(edge.metric(&switches(other)).await, 0.0, "{other}");
    }
    // What the origin had lent over broken connections it has taken back.
    origin
        .metric_becomes("weir_relay_feeds", streams as f64)
        .await;
}

const BROKE: &str = "the feed broke";

async fn all_go_on(viewers: &[Viewer], frames: usize) {
    futures::future::join_all(viewers.iter().map(|viewer| viewer.goes_on(frames, LIMIT))).await;
}
