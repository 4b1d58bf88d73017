//! A publisher that is lost and comes back, and players who wait for it on their connections.

use flv::Tag;
use testkit::{Clip, Ffmpeg, Publisher, Recipe, sent};
use weir_cluster::Node;

use crate::viewer::Viewer;

#[tokio::test]
async fn players_stay_and_their_time_goes_on() {
    let node = Node::start(&["publish.grace=20s"]).await;
    let url = node.url("live/cam");
    let clip = Clip::of(Recipe::H264_AAC);
    let first = Ffmpeg::Installed.publish(&clip.file, 1.0, &url);
    node.log.wait("published", 1).await;
    let file = Viewer::get(node.http, "live/cam");
    let messages = Viewer::websocket(node.http, "live/cam");
    for viewer in [&file, &messages] {
        viewer.frames(40).await;
    }
    first.kill().await;
    node.log.wait("publisher left", 1).await;
    let waiting = Viewer::get(node.http, "live/cam");
    let before = [&file, &messages].map(|viewer| viewer.tags().len());

    let larger = Clip::of(Recipe::LARGER);
    let second = Publisher::start(&url, sent(&larger.tags, 5), 1.0).await;
    let second = second.expect("accepted");
    for (viewer, before) in [&file, &messages].into_iter().zip(before) {
        viewer.frames(before + 60).await;
        let tags = viewer.tags();
        goes_on(&tags, before, &larger);
        assert!(!viewer.has_ended());
    }
    assert_eq!(waiting.status().await, 200);
    // The head of a file comes once, also where the time before was another publisher's.
    for viewer in [&file, &messages, &waiting] {
        let bytes = viewer.bytes();
        let heads = bytes.windows(5).filter(|it| it == b"FLV\x01\x05");
        assert_eq!(heads.count(), 1);
    }
    drop(second);
    node.stopped().await;
}

/// The new configuration comes before the first new picture, a keyframe, and no time is before an earlier one.
fn goes_on(tags: &[Tag], before: usize, clip: &Clip) {
    let key = clip.tags.iter().find(|tag| tag.is_keyframe());
    let key = key.expect("a keyframe");
    let at = tags.iter().position(|tag| tag.payload == key.payload);
    let at = at.expect("the first keyframe of the second publisher");
    let header = |tag: &&Tag| tag.is_configuration() && tag.is_video();
    let header = clip.tags.iter().find(header).expect("a header");
    let between = tags.get(before.min(at)..at).unwrap_or_default();
    assert!(between.iter().any(|tag| tag.payload == header.payload));
    for video in [true, false] {
        let of = tags
            .iter()
            .filter(|tag| tag.is_frame() && tag.is_video() == video);
        let times: Vec<_> = of.map(|tag| tag.dts).collect();
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{times:?}");
    }
}
