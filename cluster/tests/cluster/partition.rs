//! An origin is cut off from the directory while edges still reach it.

use std::time::Duration;

use testkit::{Clip, Recipe};
use tokio::time::Instant;
use weir_cluster::{Builder, Cluster, Encoder, EncoderOptions, Network, Side, Viewer};

use crate::owners::{in_directory, served};
use crate::trace::publishes;

const LIMIT: Duration = Duration::from_secs(30);
const TOKEN: &str = r#"auth.static={"live/*" = { publish = "secret" }}"#;
const PUBLISHERS: &str = "weir_publishers{protocol=\"rtmp\"}";
/// An edge was offered what was replaced.
const OLDER: &str = "an epoch that is over";
const KEY: &str = "live/cam";

fn cluster(network: Network) -> Builder {
    let cluster = Cluster::builder().network(network).etcd(1);
    let cluster = cluster.origins(2).edges(2).set("limits.headroom=1");
    cluster.set(TOKEN)
}

fn url(cluster: &Cluster, node: &str) -> String {
    cluster.node(node).url("live/cam?token=secret")
}

/// An encoder at a place of its own that never comes back by itself.
fn encoder(cluster: &Cluster, name: &str, node: &str) -> Encoder {
    let clip = Clip::of(Recipe::H264_AAC);
    let encoder = EncoderOptions::new(&[&url(cluster, node)], &clip.tags);
    let encoder = encoder.pause(Duration::from_secs(3600));
    encoder.stamped(name).from(&cluster.place(name)).start()
}

fn play(cluster: &Cluster, count: usize) -> Vec<(String, Viewer)> {
    let nodes = ["e1", "e2"].into_iter();
    let viewers = nodes.flat_map(|node| {
        (0..count).map(move |number| {
            let viewer = Viewer::play(&cluster.node(node).url(KEY));
            (format!("viewer {number} of {node}"), viewer)
        })
    });
    viewers.collect()
}

async fn go_on(viewers: &[(String, Viewer)], frames: usize) {
    let all = viewers
        .iter()
        .map(|(_, viewer)| viewer.goes_on(frames, LIMIT));
    futures::future::join_all(all).await;
}

/// Cuts `o1` off from everybody but the edge `e2`.
fn cut_off(cluster: &Cluster, also: &[&str]) {
    for side in ["etcd", "o2", "e1"].iter().chain(also) {
        cluster.partition("o1", *side);
    }
}

/// The record of `o1` goes with its lease.
async fn counts_as_dead(cluster: &Cluster) {
    let is_gone = async || {
        let records = cluster.node_records().await.ok()?;
        let there = records.iter().any(|record| record.key.ends_with("/o1"));
        (!there).then_some(())
    };
    cluster
        .until("the lease of o1 to run out", LIMIT, is_gone)
        .await;
}

/// The directory has one owner, the one that serves, and the other has withdrawn.
async fn is_owned_by_o2_alone(cluster: &Cluster) {
    let [loser, winner] = ["o1", "o2"].map(|name| cluster.node(name));
    loser.log.wait("the key is another node's now", 1).await;
    loser.metric_becomes(PUBLISHERS, 0.0).await;
    winner.metric_becomes(PUBLISHERS, 1.0).await;
    assert_eq!(winner.log.count("the key is another node's now"), 0);
    let owners = served(cluster, &[(KEY, "o2")]);
    assert_eq!(in_directory(cluster).await, Some(owners));
}

#[tokio::test]
async fn an_origin_that_was_cut_off_withdraws_when_it_is_back() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    let cluster = cluster(network).start().await;
    let encoder = encoder(&cluster, "cam", "o1");
    encoder.accepted_times(1, LIMIT).await;
    let viewers = play(&cluster, 3);
    go_on(&viewers, 50).await;

    cut_off(&cluster, &["cam"]);
    let cut = Instant::now();
    encoder.switch(&[&url(&cluster, "o2")]);
    let accepted = encoder.accepted_times(2, LIMIT).await;
    println!("accepted {:?} after the cut", accepted - cut);
    assert_eq!(encoder.failures(), []);
    go_on(&viewers, 100).await;
    counts_as_dead(&cluster).await;
    // It still believes that the stream is its own.
    assert_eq!(cluster.node("o1").metric("weir_claims").await, 1.0);

    let healed = Instant::now();
    cluster.heal_all();
    is_owned_by_o2_alone(&cluster).await;
    println!("one owner {:?} after the healing", healed.elapsed());
    // Who plays from the loser sees what the winner has.
    let late = Viewer::play(&cluster.node("o1").url(KEY));
    late.goes_on(50, LIMIT).await;
    assert_eq!(publishes("late", &late, &[&encoder]), [(0, 2)]);
    go_on(&viewers, 100).await;
    for (who, viewer) in &viewers {
        assert_eq!(
            publishes(who, viewer, &[&encoder]),
            [(0, 1), (0, 2)],
            "{who}"
        );
    }
    assert_eq!(encoder.failures(), []);
    assert_eq!(encoder.accepted().len(), 2);
}

#[tokio::test]
async fn no_edge_goes_back_to_an_origin_that_was_replaced_while_it_was_cut_off() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    let cluster = cluster(network).start().await;
    let old = encoder(&cluster, "old", "o1");
    old.accepted_times(1, LIMIT).await;
    let viewers = play(&cluster, 3);
    go_on(&viewers, 50).await;

    // Its encoder still reaches it: it goes on with what nobody should see any more.
    cut_off(&cluster, &[]);
    let new = encoder(&cluster, "new", "o2");
    new.accepted_times(1, LIMIT).await;
    for (who, viewer) in &viewers {
        let is_new = |seen: &weir_cluster::Seen| {
            let last = seen.frames.last()?;
            new.sent()
                .iter()
                .any(|sent| sent.hash == last.hash)
                .then_some(())
        };
        viewer
            .until(&format!("{who} to see the new one"), LIMIT, is_new)
            .await;
    }

    // An edge that reaches nobody else asks it, and does not take what it has.
    cluster.partition("e2", Side::Etcd);
    cluster.partition("e2", "o2");
    let edge = cluster.node("e2");
    edge.metric_becomes("weir_directory_up", 0.0).await;
    edge.log.wait("the feed broke", 1).await;
    edge.log.wait(OLDER, 1).await;
    // Neither does one who comes now.
    let came = Viewer::play(&edge.url(KEY));
    let asked = edge.log.count(OLDER);
    edge.log.wait(OLDER, asked + 1).await;
    assert!(old.is_live() && new.is_live());

    cluster.heal("e2", "o2");
    go_on(&viewers, 100).await;
    came.goes_on(50, LIMIT).await;
    cluster.heal_all();
    is_owned_by_o2_alone(&cluster).await;
    let encoders = [&old, &new];
    for (who, viewer) in &viewers {
        assert_eq!(publishes(who, viewer, &encoders), [(0, 1), (1, 1)], "{who}");
    }
    assert_eq!(publishes("came", &came, &encoders), [(1, 1)]);
    // The loser told its encoder to go.
    let failures = old.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(new.failures(), []);
}
