//! Nodes that are stopped, started and held, and those who publish to them.

use std::time::Duration;

use testkit::{Clip, Recipe};
use weir_cluster::{Cluster, EncoderOptions, FfmpegEncoder, Node, Options, ViewerOptions};

const LIMIT: Duration = Duration::from_secs(15);

#[tokio::test]
async fn an_encoder_and_a_viewer_come_back_to_a_node_that_was_killed() {
    let cluster = Cluster::builder()
        .nodes(1)
        .set("play.wait=10s")
        .start()
        .await;
    let node = cluster.node("n1");
    let clip = Clip::of(Recipe::H264_AAC);
    let encoder = EncoderOptions::new(&[&node.url("live/cam")], &clip.tags).start();
    let viewer = ViewerOptions::new(&node.url("live/cam"))
        .reconnects(Duration::from_millis(100))
        .start();
    viewer.goes_on(50, LIMIT).await;
    let pid = node.pid();
    node.kill().await;
    assert!(!node.is_running());
    node.restart().await;
    assert_ne!(node.pid(), pid);
    encoder.accepted_times(2, LIMIT).await;
    viewer.goes_on(50, LIMIT).await;
    let seen = viewer.seen();
    assert!(seen.connected.len() >= 2, "{}", seen.summary());
    assert!(!seen.closes.is_empty(), "{}", seen.summary());
    assert_eq!(seen.backwards(), None);
    assert_eq!(encoder.sent().last().map(|sent| sent.session), Some(2));
}

#[tokio::test]
async fn a_node_that_is_paused_says_nothing_and_goes_on() {
    let cluster = Cluster::builder().nodes(2).start().await;
    let node = cluster.node("n1");
    node.pause().await;
    assert!(node.is_running() && node.is_paused());
    let sums = cluster.sums("weir_uptime_seconds").await;
    assert_eq!(sums.keys().collect::<Vec<_>>(), ["n2"]);
    node.resume();
    assert_eq!(node.get("/ready").await.status, 200);
}

#[tokio::test]
async fn an_encoder_tries_one_url_after_the_other() {
    let token = "auth.static.'live/cam'=secret";
    let node = Options::named("n1").set(token).start().await;
    let clip = Clip::of(Recipe::H264_AAC);
    let wrong = node.url("live/cam?token=wrong");
    let right = node.url("live/cam?token=secret");
    let encoder = EncoderOptions::new(&[&wrong, &right], &clip.tags).start();
    encoder.accepted_times(1, LIMIT).await;
    let failures = encoder.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].1.contains("Unauthorized"), "{failures:?}");
    encoder.switch(&[&right]);
    encoder.accepted_times(2, LIMIT).await;
    assert!(encoder.is_live());
    drop(encoder);
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 0.0)
        .await;
}

#[tokio::test]
async fn ffmpeg_is_started_again_until_it_is_dropped() {
    let node = Node::start(&[]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let url = node.url("live/cam");
    let pause = Duration::from_millis(100);
    let encoder = FfmpegEncoder::start(node.place(), &clip.file, &[&url], pause);
    node.log.wait("published", 1).await;
    node.kill().await;
    node.restart().await;
    node.metric_becomes("weir_publishers{protocol=\"rtmp\"}", 1.0)
        .await;
    assert!(encoder.starts() >= 2);
    drop(encoder);
    node.metric_becomes("weir_publishers{protocol=\"rtmp\"}", 0.0)
        .await;
}
