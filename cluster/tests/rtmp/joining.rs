//! What a player gets first.

use flv::Tag;
use testkit::wait::until;
use testkit::{Clip, Peer, Publisher, Recipe};
use weir_cluster::Node;

/// Checks the order in which a joiner is told things. How many frames came before the first
/// keyframe: always none.
fn begins_in_order(tags: &[Tag]) {
    let tags: Vec<_> = tags
        .iter()
        .filter(|tag| tag.is_metadata() || tag.packet().is_some())
        .collect();
    assert!(tags[0].is_metadata(), "metadata comes first: {tags:?}");
    let count = |condition: fn(&Tag) -> bool| tags.iter().filter(|tag| condition(tag)).count();
    assert_eq!(count(Tag::is_metadata), 1);
    assert_eq!(
        count(|tag| tag.is_video() && tag.is_configuration()),
        1,
        "one video header"
    );
    assert_eq!(
        count(|tag| tag.is_audio() && tag.is_configuration()),
        1,
        "one audio header"
    );
    let frame = tags
        .iter()
        .position(|tag| tag.is_frame())
        .expect("frames came");
    let header = tags
        .iter()
        .rposition(|tag| tag.is_configuration())
        .expect("headers came");
    assert!(header < frame, "headers come before frames");
    let picture = tags.iter().find(|tag| tag.is_frame() && tag.is_video());
    assert!(
        picture.is_some_and(|tag| tag.is_keyframe()),
        "the first picture is a keyframe"
    );
}

#[tokio::test]
async fn a_joiner_gets_metadata_headers_and_the_gop_with_its_sound() {
    let node = Node::start(&[]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let publisher =
        Publisher::start(&node.url("live/cam"), testkit::sent(&clip.tags, 3), 1.0).await;
    let publisher = publisher.expect("accepted");
    // Deep in the second GOP.
    let tags = |tags: f64| (tags > 42.0).then_some(());
    until("the second GOP", async || {
        tags(node.metric("weir_tags_total{kind=\"video\"}").await)
    })
    .await;

    let player = Peer::play(node.rtmp, "live", "cam").await;
    let enough =
        |heard: &[testkit::Heard]| heard.iter().filter(|heard| heard.tag().is_some()).count() > 60;
    player.until("the GOP and more", enough).await;
    let tags = player.tags();
    begins_in_order(&tags);

    let frames: Vec<_> = tags.iter().filter(|tag| tag.is_frame()).collect();
    let of = |video: bool| frames.iter().filter(move |tag| tag.is_video() == video);
    let (video, audio) = (
        of(true).next().expect("pictures"),
        of(false).next().expect("sound"),
    );
    assert!(
        video.dts.abs_diff(audio.dts) < 100,
        "sound at {}, picture at {}",
        audio.dts,
        video.dts
    );
    // Of the part that was there before it joined, sound and pictures.
    for video in [true, false] {
        let times: Vec<_> = of(video).map(|tag| tag.dts).collect();
        assert!(
            times.windows(2).all(|pair| pair[0] <= pair[1]),
            "in the order of their time: {times:?}"
        );
        assert!(
            times.windows(2).all(|pair| pair[1] - pair[0] <= 45),
            "without a hole: {times:?}"
        );
    }
    let interleaved = frames
        .windows(2)
        .all(|pair| pair[1].dts + 200 > pair[0].dts);
    assert!(interleaved, "sound and pictures of one time come together");
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn without_the_gop_cache_a_joiner_waits_for_the_next_keyframe() {
    let node = Node::start(&["play.gop_cache=false"]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let publisher =
        Publisher::start(&node.url("live/cam"), testkit::sent(&clip.tags, 3), 1.0).await;
    let publisher = publisher.expect("accepted");
    let tags = |tags: f64| (tags > 30.0).then_some(());
    until("the second GOP", async || {
        tags(node.metric("weir_tags_total{kind=\"video\"}").await)
    })
    .await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let seen = |heard: &[testkit::Heard]| {
        heard
            .iter()
            .any(|heard| heard.tag().is_some_and(Tag::is_keyframe))
    };
    player.until("a keyframe", seen).await;
    let tags = player.tags();
    begins_in_order(&tags);
    let picture = tags
        .iter()
        .find(|tag| tag.is_keyframe())
        .expect("a keyframe");
    assert!(
        picture.dts >= 2000,
        "not of the GOP that was there: {}",
        picture.dts
    );
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn a_play_before_the_publish_waits_and_gets_everything() {
    let node = Node::start(&["play.wait=20s", "publish.grace=0s"]).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let clip = Clip::of(Recipe::H264_AAC);
    let publisher = Publisher::start(&node.url("live/cam"), clip.tags.clone(), 20.0)
        .await
        .expect("accepted");
    publisher.finished().await.expect("all is sent");
    player.status("NetStream.Play.Stop").await;
    let tags = player.tags();
    begins_in_order(&tags);
    let payloads = |tags: &[Tag]| -> Vec<_> {
        tags.iter()
            .filter(|tag| tag.is_frame())
            .map(|tag| (tag.dts, tag.payload.clone()))
            .collect()
    };
    assert!(
        payloads(&tags) == payloads(&clip.tags),
        "all frames at their times"
    );
    node.stopped().await;
}

#[tokio::test]
async fn a_play_waits_no_longer_than_it_may() {
    let node = Node::start(&["play.wait=300ms"]).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let status = player.status("NetStream.Play.StreamNotFound").await;
    assert_eq!(status.level, "error");
    assert!(!player.is_closed(), "it may play something else");
    node.metric_becomes("weir_streams{state=\"waiting\"}", 0.0)
        .await;
    node.stopped().await;
}
