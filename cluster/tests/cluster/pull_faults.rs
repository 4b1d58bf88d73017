//! The way between an origin and an edge is slow, loses packets, and is gone for a while.

use std::time::Duration;

use testkit::{Clip, Recipe};
use tokio::time::{Instant, sleep};
use weir_cluster::{Cluster, EncoderOptions, Link, Network, Viewer};

use crate::trace::{Trace, undisturbed};

const LIMIT: Duration = Duration::from_secs(20);

const BLACK_OUT: Duration = Duration::from_secs(5);
const BROKE: &str = "the feed broke";
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

/// Several times: a bad way, then none until the edge has noticed, then a bad one again.
async fn broken(network: Network, streams: usize, times: usize) {
    let cluster = Cluster::builder().network(network).etcd(1);
    let cluster = cluster.origins(1).edges(1).set("limits.headroom=1");
    let cluster = cluster.start().await;
    let clip = Clip::of(Recipe::H264_AAC);
    let keys: Vec<_> = (0..streams)
        .map(|number| format!("live/cam{number}"))
        .collect();
    let origin = cluster.node("o1");
    let encoders = keys.iter().map(|key| {
        let url = origin.url(key);
        let encoder = EncoderOptions::new(&[&url], &clip.tags);
        encoder.stamped(key).start()
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
        all_go_on(&viewers, 150).await;

        let breaks = edge.log.count(BROKE);
        cluster.partition("e1", "o1");
        tokio::join!(sleep(BLACK_OUT), edge.log.wait(BROKE, breaks + streams));
        cluster.link("e1", "o1", BAD());
        let back = Instant::now();
        all_go_on(&viewers, 1).await;
        println!(
            "{time}: goes on {:?} after a broken connection",
            back.elapsed()
        );
        // All that has gathered, and more.
        all_go_on(&viewers, 450).await;

        if times > 1 {
            // The connection may be there afterwards, or may not.
            cluster.partition("e1", "o1");
            sleep(BLACK_OUT).await;
            cluster.heal("e1", "o1");
            let back = Instant::now();
            all_go_on(&viewers, 1).await;
            println!("{time}: goes on {:?} after a black-out", back.elapsed());
            all_go_on(&viewers, 450).await;
        }
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

async fn all_go_on(viewers: &[Viewer], frames: usize) {
    futures::future::join_all(viewers.iter().map(|viewer| viewer.goes_on(frames, LIMIT))).await;
}
