//! A publisher that is lost and comes back, and the players who wait for it.

use std::time::Duration;

use flv::Tag;
use rtmp::message::UserControl;
use testkit::players::{Kind, Received};
use testkit::{Clip, Ffmpeg, Heard, Peer, Publisher, Recipe, sent};
use tokio::time::Instant;
use weir_cluster::Node;

fn frames(heard: &[Heard]) -> usize {
    heard
        .iter()
        .filter(|heard| heard.tag().is_some_and(Tag::is_frame))
        .count()
}

/// An encoder is killed and comes back with `second`; the player's connection carries on, with the
/// new configuration before the first frame of the new one.
async fn comes_back(second: Recipe) {
    let node = Node::start(&["publish.grace=20s"]).await;
    let url = node.url("live/cam");
    let clip = Clip::of(Recipe::H264_AAC);
    let first = Ffmpeg::Installed.publish(&clip.file, 1.0, &url);
    node.log.wait("published", 1).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    player
        .until("the first stream", |heard| frames(heard) > 40)
        .await;
    first.kill().await;
    node.log.wait("publisher left", 1).await;

    // One comes in the gap.
    let waiting = Peer::play(node.rtmp, "live", "cam").await;
    let before = player.forget();
    let gap = before
        .iter()
        .filter_map(Heard::tag)
        .map(|tag| tag.dts)
        .max()
        .expect("tags came");
    let already = waiting.forget();
    let clip = Clip::of(second).rewritten(second.by, &[]).await;
    let publishing = second.by.publish(&clip.file, 1.0, &url);
    player
        .until("the second stream", |heard| frames(heard) > 60)
        .await;
    waiting
        .until("the second stream", |heard| frames(heard) > 60)
        .await;

    let headers: Vec<_> = clip
        .tags
        .iter()
        .filter(|tag| tag.is_configuration())
        .collect();
    for (who, player) in [
        ("the one that stayed", &player),
        ("the one that came in the gap", &waiting),
    ] {
        let tags = player.tags();
        let at = |wanted: &Tag| tags.iter().rposition(|tag| tag.payload == wanted.payload);
        let key = clip
            .tags
            .iter()
            .find(|tag| tag.is_keyframe())
            .expect("a keyframe");
        let frame = at(key).unwrap_or_else(|| panic!("{who}: the first keyframe of the second"));
        for header in &headers {
            let there = at(header).is_some_and(|at| at < frame);
            let known = before
                .iter()
                .chain(&already)
                .any(|heard| heard.tag().is_some_and(|tag| tag.payload == header.payload));
            assert!(
                there || known,
                "{who}: the header {header:?} comes before the frames: {tags:?}"
            );
        }
        let picture = tags
            .iter()
            .skip(frame)
            .find(|tag| tag.is_video() && tag.is_frame())
            .expect("pictures");
        assert!(
            picture.is_keyframe(),
            "{who}: the first picture is a keyframe"
        );
        for video in [true, false] {
            let of = tags
                .iter()
                .skip(frame)
                .filter(|tag| tag.is_frame() && tag.is_video() == video);
            let times: Vec<_> = of.map(|tag| tag.dts).collect();
            assert!(
                times.windows(2).all(|pair| pair[0] <= pair[1]),
                "{who}: time goes on: {times:?}"
            );
        }
        assert!(!player.is_closed(), "{who}: the connection stays");
        assert!(
            !player
                .heard()
                .iter()
                .any(|heard| heard.is_status("NetStream.Play.Stop")),
            "{who}"
        );
    }
    let starts = player
        .tags()
        .iter()
        .filter(|tag| tag.is_frame())
        .map(|tag| tag.dts)
        .min()
        .expect("tags came");
    assert!(
        starts >= gap,
        "time goes on over the gap: from {gap} to {starts}"
    );
    publishing.kill().await;
    node.stopped().await;
}

#[tokio::test]
async fn players_stay_while_the_same_encoder_comes_back() {
    comes_back(Recipe::H264_AAC).await;
}

#[tokio::test]
async fn an_encoder_may_come_back_with_another_size() {
    comes_back(Recipe::LARGER).await;
}

#[tokio::test]
async fn an_encoder_may_come_back_with_another_codec() {
    comes_back(Recipe::VP9_OPUS).await;
}

#[tokio::test]
async fn an_encoder_may_come_back_without_pictures() {
    let node = Node::start(&["publish.grace=20s"]).await;
    let url = node.url("live/cam");
    let first = Publisher::start(&url, sent(&Clip::of(Recipe::H264_AAC).tags, 5), 1.0)
        .await
        .expect("accepted");
    let player = Peer::play(node.rtmp, "live", "cam").await;
    player
        .until("the first stream", |heard| frames(heard) > 40)
        .await;
    drop(first);
    node.log.wait("publisher left", 1).await;
    player.forget();
    let second = Publisher::start(&url, sent(&Clip::of(Recipe::AUDIO).tags, 5), 1.0)
        .await
        .expect("accepted");
    player
        .until("the second stream", |heard| frames(heard) > 60)
        .await;
    let joiner = Peer::play(node.rtmp, "live", "cam").await;
    joiner
        .until("the second stream", |heard| frames(heard) > 20)
        .await;
    assert!(
        joiner.tags().iter().all(|tag| !tag.is_video()),
        "nothing of the old stream is left"
    );
    drop(second);
    node.stopped().await;
}

#[tokio::test]
async fn a_joiner_in_the_gap_and_after_it_gets_nothing_of_the_old_stream() {
    let node = Node::start(&["publish.grace=20s"]).await;
    let url = node.url("live/cam");
    let old = Clip::of(Recipe::H264_AAC);
    let first = Publisher::start(&url, sent(&old.tags, 5), 1.0)
        .await
        .expect("accepted");
    node.metric_becomes("weir_publishers{protocol=\"rtmp\"}", 1.0)
        .await;
    let witness = Peer::play(node.rtmp, "live", "cam").await;
    witness
        .until("the first stream", |heard| frames(heard) > 40)
        .await;
    drop(first);
    node.log.wait("publisher left", 1).await;
    let new = Clip::of(Recipe::LARGER);
    let second = Publisher::start(&url, sent(&new.tags, 5), 1.0)
        .await
        .expect("accepted");
    witness
        .until("the second stream", |heard| frames(heard) > 100)
        .await;
    let joiner = Peer::play(node.rtmp, "live", "cam").await;
    joiner
        .until("the second stream", |heard| frames(heard) > 20)
        .await;
    let pictures = |tag: &&Tag| tag.is_video() && !tag.is_end();
    let strange = joiner
        .tags()
        .iter()
        .filter(pictures)
        .filter(|tag| !new.tags.iter().any(|sent| sent.payload == tag.payload))
        .count();
    assert_eq!(strange, 0, "nothing of the old stream is left");
    drop(second);
    node.stopped().await;
}

#[tokio::test]
async fn players_are_told_the_end_after_the_grace() {
    let node = Node::start(&["publish.grace=1s"]).await;
    let url = node.url("live/cam");
    let publisher = Publisher::start(&url, sent(&Clip::of(Recipe::H264_AAC).tags, 5), 1.0)
        .await
        .expect("accepted");
    let player = Peer::play(node.rtmp, "live", "cam").await;
    player.until("the stream", |heard| frames(heard) > 20).await;
    drop(publisher);
    node.log.wait("publisher left", 1).await;
    let left = Instant::now();
    player.status("NetStream.Play.Stop").await;
    let waited = left.elapsed();
    assert!(
        waited > Duration::from_millis(800) && waited < Duration::from_secs(3),
        "{waited:?}"
    );
    player.closed().await;
    let heard = player.heard();
    assert!(
        heard.contains(&Heard::Control(UserControl::StreamEof(1))),
        "the stream is at its end"
    );
    node.metric_becomes("weir_streams{state=\"waiting\"}", 0.0)
        .await;
    // It is as if it had never been.
    let mut late = Peer::connect(node.rtmp, "live").await;
    let stream = late.create_stream().await;
    late.command("play", stream, &["cam".into()]).await;
    late.status("NetStream.Play.StreamNotFound").await;
    node.stopped().await;
}

#[tokio::test]
async fn ffmpeg_plays_on_when_the_encoder_comes_back() {
    let node = Node::start(&["publish.grace=3s"]).await;
    let url = node.url("live/cam");
    let clip = Clip::of(Recipe::H264_AAC);
    let first = Ffmpeg::Installed.publish(&clip.file, 1.0, &url);
    node.log.wait("published", 1).await;
    let players = [Kind::Ffmpeg(Ffmpeg::Installed), Kind::Ffmpeg(Ffmpeg::Nine)];
    let playing: Vec<_> = players
        .iter()
        .map(|kind| kind.play(&url, node.folder()))
        .collect();
    node.plays(2).await;
    let some = |tags: f64| (tags > 35.0).then_some(());
    testkit::wait::until("the second GOP", async || {
        some(node.metric("weir_tags_total{kind=\"video\"}").await)
    })
    .await;
    first.kill().await;
    node.log.wait("publisher left", 1).await;
    // No encoder is back before the pictures are over that were to be shown later than decoded.
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ffmpeg::Nine
        .publish(&clip.file, 2.0, &url)
        .succeeded()
        .await;
    let sent = clip.packets(Ffmpeg::Nine).await;
    for player in playing {
        let name = player.name();
        // The decoders had nothing to complain about.
        let Received::Packets(received) = player.received().await else {
            panic!("a list of packets")
        };
        let (first, second) = received
            .video
            .split_at(received.video.len() - sent.video.len());
        assert!(
            first.len() > 10,
            "{name}: {} pictures of the first",
            first.len()
        );
        let same = second
            .iter()
            .zip(&sent.video)
            .all(|(came, sent)| came.hash == sent.hash);
        assert!(same, "{name}: all pictures of the second");
        let times: Vec<_> = received.video.iter().map(|packet| packet.dts).collect();
        assert!(
            times.windows(2).all(|pair| pair[0] < pair[1]),
            "{name}: time goes on: {times:?}"
        );
    }
    node.stopped().await;
}
