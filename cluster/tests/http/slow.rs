//! A player that cannot keep up, and one beside it.

use flv::Tag;
use testkit::players::{Kind, Received};
use testkit::{Clip, Ffmpeg, Publisher, Recipe, Throttle};
use weir_cluster::Node;

use crate::viewer::Viewer;

fn frames(tags: &[Tag], video: bool) -> Vec<&Tag> {
    let is_it = |tag: &&Tag| tag.is_frame() && tag.is_video() == video;
    tags.iter().filter(is_it).collect()
}

/// All sound without a hole, and the holes between pictures, which end with keyframes.
fn holes(tags: &[Tag], who: &str) -> usize {
    let sounds = frames(tags, false);
    let steps = sounds.windows(2).map(|pair| pair[1].dts - pair[0].dts);
    assert!(steps.max() <= Some(25), "{who} misses sound");
    let pictures = frames(tags, true);
    assert!(pictures[0].is_keyframe(), "{who}");
    let pairs = pictures.windows(2);
    let holes: Vec<_> = pairs.filter(|it| it[1].dts - it[0].dts > 41).collect();
    for hole in &holes {
        assert!(
            hole[1].is_keyframe(),
            "{who}: pictures go on at {}",
            hole[1].dts
        );
    }
    holes.len()
}

#[tokio::test]
async fn a_slow_player_keeps_its_sound_and_gets_pictures_from_keyframes() {
    let settings = [
        "egress.max_lag=500ms",
        "egress.kernel_buffer=16KiB",
        "publish.grace=0s",
    ];
    let node = Node::start(&settings).await;
    let clip = Clip::of(Recipe::LONG);
    let tags = clip.tags.iter().take_while(|tag| tag.dts < 14_000);
    let (url, tags) = (node.url("live/cam"), tags.cloned().collect());
    let publisher = Publisher::start(&url, tags, 1.0).await;
    let publisher = publisher.expect("accepted");
    node.log.wait("published", 1).await;

    let bytes: usize = clip.tags.iter().map(|tag| tag.payload.len()).sum();
    let half = bytes as u64 * 1000 / u64::from(clip.millis()) / 2;
    let link = Throttle::start(node.http, half).await;
    let through = format!("http://{}/live/cam.flv", link.address);
    let decoder = Kind::Ffmpeg(Ffmpeg::Installed).play(&through, node.folder());
    let slow = Viewer::get(link.address, "live/cam");
    let messages = Viewer::websocket(link.address, "live/cam");
    let fast = Viewer::get(node.http, "live/cam");
    let sent = publisher.finished().await;
    sent.expect("nobody holds the publisher up");
    for viewer in [&slow, &messages, &fast] {
        viewer.ended().await;
    }
    assert!(slow.is_whole(), "it has the end");
    assert_eq!(holes(&fast.tags(), "the fast one"), 0);
    for (who, viewer) in [
        ("the slow one", &slow),
        ("the one with messages", &messages),
    ] {
        let tags = viewer.tags();
        assert!(holes(&tags, who) >= 2, "{who} cannot have all");
        assert!(
            frames(&tags, true).len() > 40 && frames(&tags, false).len() > 500,
            "{who}"
        );
    }
    let dropped = "weir_tags_dropped_total{reason=\"slow_viewer\"}";
    assert!(node.metric(dropped).await > 0.0);
    // What came that way decodes without an error.
    let Received::Packets(packets) = decoder.received().await else {
        panic!("a list of packets")
    };
    assert!(
        packets.audio.len() > 500,
        "{} audio frames",
        packets.audio.len()
    );
    node.stopped().await;
}
