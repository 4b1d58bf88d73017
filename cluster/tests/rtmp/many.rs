//! Many players, and many streams.

use testkit::{Clip, Peer, Publisher, Recipe};
use weir_cluster::Node;

/// Players that wait for a stream and then get it, all the same bytes at the same times, however
/// tags gather before they are written.
async fn all_get_the_same(coalesce: &str) {
    let coalesce = format!("egress.coalesce={coalesce}");
    let node = Node::start(&["play.wait=20s", "publish.grace=0s", &coalesce]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let mut players = Vec::new();
    for _ in 0..25 {
        players.push(Peer::play(node.rtmp, "live", "cam").await);
    }
    // Another stream, so that not all groups are alike.
    let other = Peer::play(node.rtmp, "live", "other").await;
    let second = Publisher::start(&node.url("live/other"), clip.tags.clone(), 3.0)
        .await
        .expect("accepted");
    let first = Publisher::start(&node.url("live/cam"), clip.tags.clone(), 2.0)
        .await
        .expect("accepted");
    first.finished().await.expect("all is sent");
    second.finished().await.expect("all is sent");
    players.push(other);
    for player in &players {
        player.status("NetStream.Play.Stop").await;
        let tags = player.tags();
        let frames = tags
            .iter()
            .filter(|tag| tag.is_frame())
            .map(|tag| (tag.kind, tag.dts, &tag.payload));
        let sent = clip
            .tags
            .iter()
            .filter(|tag| tag.is_frame())
            .map(|tag| (tag.kind, tag.dts, &tag.payload));
        assert!(frames.eq(sent), "{coalesce}: all frames at their times");
    }
    node.stopped().await;
}

#[tokio::test]
async fn all_players_get_the_same_with_writes_by_load() {
    all_get_the_same("adaptive").await;
}

#[tokio::test]
async fn all_players_get_the_same_with_a_write_for_each_tag() {
    all_get_the_same("0").await;
}

#[tokio::test]
async fn all_players_get_the_same_with_few_writes() {
    all_get_the_same("200ms").await;
}

#[tokio::test]
async fn many_streams_do_not_mix() {
    let node = Node::start(&["play.wait=20s", "publish.grace=0s"]).await;
    let clips = [
        Recipe::H264_AAC,
        Recipe::LARGER,
        Recipe::AUDIO,
        Recipe::VIDEO,
    ]
    .map(Clip::of);
    let mut players = Vec::new();
    let mut publishers = Vec::new();
    for (number, clip) in clips.iter().cycle().take(40).enumerate() {
        let name = format!("cam{number}");
        players.push((Peer::play(node.rtmp, "live", &name).await, clip));
        let url = node.url(&format!("live/{name}"));
        publishers.push(
            Publisher::start(&url, clip.tags.clone(), 2.0)
                .await
                .expect("accepted"),
        );
    }
    for publisher in publishers {
        publisher.finished().await.expect("all is sent");
    }
    for (player, clip) in &players {
        player.status("NetStream.Play.Stop").await;
        let tags = player.tags();
        let frames = tags
            .iter()
            .filter(|tag| tag.is_frame())
            .map(|tag| &tag.payload);
        assert!(
            frames.eq(clip
                .tags
                .iter()
                .filter(|tag| tag.is_frame())
                .map(|tag| &tag.payload))
        );
    }
    node.stopped().await;
}
