//! Any edge gives the same bytes of HLS as any other, whenever it began to pull.

mod walk;

use std::time::Duration;

use testkit::{Clip, Recipe};
use weir_cluster::{Builder, Cluster, Encoder, EncoderOptions, Link, Network};

use walk::Walk;

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn edges_that_come_late_and_come_back_give_the_same_bytes() {
    let cluster = cluster("ll", 3).start().await;
    let encoder = publish(&cluster, Recipe::H264_AAC).await;
    let [e1, e2, e3] = ["e1", "e2", "e3"].map(|name| cluster.node(name));
    let mut walk = Walk::begin(&[e1]).await;
    walk.versions(15).await;
    walk.join(e2);
    walk.versions(10).await;
    walk.join(e3);
    walk.versions(5).await;

    walk.leave(e1);
    e1.kill().await;
    walk.versions(5).await;
    e1.restart().await;
    walk.join(e1);
    walk.versions(15).await;
    assert_eq!(walk.discontinuities(), 0);
    drop(encoder);
}

#[tokio::test]
async fn all_codecs_and_modes_are_the_same_at_all_edges() {
    for (recipe, mode) in [
        (Recipe::H264_AAC, "ts"),
        (Recipe::H264_AAC, "fmp4"),
        (Recipe::HEVC_AAC, "ll"),
        (Recipe::HEVC_AAC, "ts"),
        (Recipe::AV1_OPUS, "ll"),
        (Recipe::AUDIO, "ll"),
        (Recipe::AUDIO, "ts"),
    ] {
        let cluster = cluster(mode, 2).start().await;
        let _encoder = publish(&cluster, recipe).await;
        let [e1, e2] = ["e1", "e2"].map(|name| cluster.node(name));
        let mut walk = Walk::begin(&[e1]).await;
        let count = if mode == "ll" { 12 } else { 3 };
        walk.versions(count).await;
        walk.join(e2);
        walk.versions(count).await;
    }
}

#[tokio::test]
async fn a_publisher_that_comes_back_makes_a_discontinuity_at_the_same_place_everywhere() {
    let cluster = cluster("ll", 3).start().await;
    let encoder = publish(&cluster, Recipe::H264_AAC).await;
    let [e1, e2, e3] = ["e1", "e2", "e3"].map(|name| cluster.node(name));
    let mut walk = Walk::begin(&[e1, e2]).await;
    walk.versions(10).await;
    encoder.switch(&[&url(&cluster, "o1")]);
    walk.versions(15).await;
    assert_eq!(walk.discontinuities(), 1);
    walk.join(e3);
    walk.versions(5).await;

    // The other origin takes it over from a living one, with all that is listed.
    encoder.switch(&[&url(&cluster, "o2")]);
    walk.versions(15).await;
    assert_eq!(walk.discontinuities(), 2);
    walk.leave(e1);
    e1.kill().await;
    e1.restart().await;
    walk.join(e1);
    walk.versions(5).await;
}

#[tokio::test]
async fn after_the_death_of_an_origin_all_edges_begin_anew_with_the_same() {
    let cluster = cluster("ll", 3).start().await;
    let encoder = publish(&cluster, Recipe::H264_AAC).await;
    encoder.next(&[&url(&cluster, "o2")]);
    let [e1, e2, e3] = ["e1", "e2", "e3"].map(|name| cluster.node(name));
    let mut walk = Walk::begin(&[e1, e2]).await;
    walk.versions(15).await;
    let before = walk.media_sequence();
    cluster.node("o1").kill().await;
    walk.begins_anew().await;
    assert!(walk.media_sequence() > before);
    walk.versions(10).await;
    walk.join(e3);
    walk.versions(10).await;
}

#[tokio::test]
async fn an_edge_that_hears_everything_late_says_the_same_as_others() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    let cluster = cluster("ll", 3).network(network).start().await;
    let lag = Link::slow(Duration::from_millis(300), 0.0);
    cluster.link("e2", "o1", lag);
    cluster.link("e2", "o2", lag);
    let _encoder = publish(&cluster, Recipe::H264_AAC).await;
    let [e1, e2, e3] = ["e1", "e2", "e3"].map(|name| cluster.node(name));
    let mut walk = Walk::begin(&[e1, e2]).await;
    walk.versions(20).await;
    walk.join(e3);
    walk.versions(10).await;
}

fn cluster(mode: &str, edges: usize) -> Builder {
    Cluster::builder()
        .etcd(1)
        .origins(2)
        .edges(edges)
        .set("limits.headroom=1")
        .set("hls.segment=1s")
        .set("hls.window=6")
        .set(&format!("hls.mode={mode}"))
        .set(r#"auth.static={"live/*" = { publish = "secret" }}"#)
}

async fn publish(cluster: &Cluster, recipe: Recipe) -> Encoder {
    let clip = Clip::of(recipe);
    let encoder = EncoderOptions::new(&[&url(cluster, "o1")], &clip.tags)
        .from(&cluster.place("encoder"))
        .start();
    encoder.accepted_times(1, LIMIT).await;
    encoder
}

fn url(cluster: &Cluster, origin: &str) -> String {
    cluster.node(origin).url("live/cam?token=secret")
}
