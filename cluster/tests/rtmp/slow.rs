//! A player that cannot keep up, and those beside it.

use std::time::Duration;

use flv::Tag;
use testkit::players::{Kind, Received};
use testkit::wait::until;
use testkit::{Clip, Ffmpeg, Heard, Peer, Publisher, Recipe, Throttle};
use tokio::net::TcpStream;
use weir_cluster::Node;

/// Half of what the clip needs, in bytes a second.
fn half(clip: &Clip) -> u64 {
    let bytes: usize = clip.tags.iter().map(|tag| tag.payload.len()).sum();
    bytes as u64 * 1000 / u64::from(clip.millis()) / 2
}

async fn plays(mut peer: Peer, name: &str) -> Peer {
    peer.ask_to_connect("live", &[]).await;
    let stream = peer.create_stream().await;
    peer.command("play", stream, &[name.into()]).await;
    peer.status("NetStream.Play.Start").await;
    peer
}

/// Sound and pictures in the order they came.
fn frames(tags: &[Tag], video: bool) -> Vec<&Tag> {
    tags.iter()
        .filter(|tag| tag.is_frame() && tag.is_video() == video)
        .collect()
}

#[tokio::test]
async fn a_slow_player_keeps_its_sound_and_gets_pictures_from_keyframes() {
    let node = Node::start(&[
        "egress.max_lag=500ms",
        "egress.kernel_buffer=16KiB",
        "publish.grace=0s",
    ])
    .await;
    let url = node.url("live/cam");
    let clip = Clip::of(Recipe::LONG);
    let publisher = Publisher::start(
        &url,
        clip.tags
            .iter()
            .take_while(|tag| tag.dts < 14_000)
            .cloned()
            .collect(),
        1.0,
    );
    let publisher = publisher.await.expect("accepted");
    node.log.wait("published", 1).await;

    let link = Throttle::start(node.rtmp, half(&clip)).await;
    let through = format!("rtmp://{}/live/cam", link.address);
    let decoder = Kind::Ffmpeg(Ffmpeg::Installed).play(&through, node.folder());
    let socket = TcpStream::connect(link.address)
        .await
        .expect("the link is there");
    let slow = plays(Peer::over(socket).await.expect("a handshake"), "cam").await;
    let fast = Peer::play(node.rtmp, "live", "cam").await;
    publisher
        .finished()
        .await
        .expect("nobody holds the publisher up");
    fast.status("NetStream.Play.Stop").await;
    slow.status("NetStream.Play.Stop").await;

    // The fast one has all.
    let tags = fast.tags();
    for (video, step) in [(true, 41), (false, 25)] {
        let times: Vec<_> = frames(&tags, video).iter().map(|tag| tag.dts).collect();
        assert!(
            times.windows(2).all(|pair| pair[1] - pair[0] <= step),
            "the fast one misses some: {times:?}"
        );
    }
    // The slow one has all sound, and pictures without a hole after each keyframe.
    let tags = slow.tags();
    let times: Vec<_> = frames(&tags, false).iter().map(|tag| tag.dts).collect();
    assert!(times.len() > 500, "{} audio frames", times.len());
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] <= 25),
        "the slow one misses sound: {times:?}"
    );
    let pictures = frames(&tags, true);
    assert!(pictures[0].is_keyframe());
    let holes: Vec<_> = pictures
        .windows(2)
        .filter(|pair| pair[1].dts - pair[0].dts > 41)
        .collect();
    assert!(
        holes.iter().all(|pair| pair[1].is_keyframe()),
        "pictures go on at keyframes only: {holes:?}"
    );
    assert!(
        !holes.is_empty(),
        "at half the rate something has to be left out"
    );
    assert!(
        holes.len() >= 2 && pictures.len() > 40,
        "{} pictures, {} holes",
        pictures.len(),
        holes.len()
    );
    assert!(
        node.metric("weir_tags_dropped_total{reason=\"slow_viewer\"}")
            .await
            > 0.0
    );

    // What came that way decodes without an error.
    let Received::Packets(packets) = decoder.received().await else {
        panic!("a list of packets")
    };
    assert!(
        packets.audio.len() > 500,
        "{} audio frames",
        packets.audio.len()
    );
    let steps = packets
        .audio
        .windows(2)
        .map(|pair| pair[1].dts - pair[0].dts);
    assert!(steps.max() <= Some(25), "ffmpeg misses sound");
    node.stopped().await;
}

#[tokio::test]
async fn a_player_that_takes_nothing_is_told_and_cut() {
    let node = Node::start(&[
        "egress.max_lag=300ms",
        "egress.drop_after=1500ms",
        "egress.kernel_buffer=16KiB",
    ])
    .await;
    let clip = Clip::of(Recipe::LONG);
    let publisher = Publisher::start(&node.url("live/cam"), clip.tags.clone(), 1.0)
        .await
        .expect("accepted");
    node.log.wait("published", 1).await;
    let link = Throttle::start(node.rtmp, half(&clip) * 4).await;
    let socket = TcpStream::connect(link.address)
        .await
        .expect("the link is there");
    let hopeless = plays(Peer::over(socket).await.expect("a handshake"), "cam").await;
    let fast = Peer::play(node.rtmp, "live", "cam").await;
    hopeless
        .until("media", |heard| {
            heard.iter().any(|heard| heard.tag().is_some())
        })
        .await;
    node.metric_becomes("weir_subscribers{protocol=\"rtmp\"}", 2.0)
        .await;
    // Less than the sound needs.
    link.set_rate(500);
    node.log.wait("player is too slow", 1).await;
    node.metric_becomes("weir_subscribers{protocol=\"rtmp\"}", 1.0)
        .await;
    // It still takes next to nothing, so it may miss our last words; that holds nothing up.
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 2.0)
        .await;
    link.set_rate(1 << 20);
    hopeless.closed().await;
    fast.forget();
    let goes_on = |heard: &[Heard]| heard.iter().filter(|heard| heard.tag().is_some()).count() > 30;
    fast.until("the stream", goes_on).await;
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn a_player_that_hangs_for_a_while_goes_on_with_a_keyframe() {
    let node = Node::start(&["egress.max_lag=500ms", "egress.kernel_buffer=16KiB"]).await;
    let clip = Clip::of(Recipe::LONG);
    let publisher = Publisher::start(&node.url("live/cam"), clip.tags.clone(), 1.0)
        .await
        .expect("accepted");
    node.log.wait("published", 1).await;
    let link = Throttle::start(node.rtmp, 1 << 20).await;
    let socket = TcpStream::connect(link.address)
        .await
        .expect("the link is there");
    let player = plays(Peer::over(socket).await.expect("a handshake"), "cam").await;
    player
        .until("media", |heard| {
            heard.iter().filter(|heard| heard.tag().is_some()).count() > 30
        })
        .await;
    link.set_rate(50);
    let left_out = async || node.metric("weir_tags_total{kind=\"video\"}").await;
    let now = left_out().await;
    until("three seconds of pictures", async || {
        (left_out().await > now + 75.0).then_some(())
    })
    .await;
    link.set_rate(1 << 20);
    let now = left_out().await;
    until("two seconds of pictures", async || {
        (left_out().await > now + 50.0).then_some(())
    })
    .await;
    let tags = player.tags();
    let times: Vec<_> = frames(&tags, false).iter().map(|tag| tag.dts).collect();
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] <= 25),
        "it misses sound: {times:?}"
    );
    let pictures = frames(&tags, true);
    let holes: Vec<_> = pictures
        .windows(2)
        .filter(|pair| pair[1].dts - pair[0].dts > 41)
        .collect();
    assert!(
        !holes.is_empty() && holes.iter().all(|pair| pair[1].is_keyframe()),
        "{holes:?}"
    );
    // It has caught up.
    let (sound, picture) = (times.last(), pictures.last().map(|tag| tag.dts));
    assert!(
        sound
            .zip(picture)
            .is_some_and(|(sound, picture)| sound.abs_diff(picture) < 300),
        "{sound:?} {picture:?}"
    );
    tokio::time::sleep(Duration::from_millis(10)).await;
    drop(publisher);
    node.stopped().await;
}

/// Keyframes come often, so that each moment at which a write gets stuck is met many times.
const SHORT_GOPS: Recipe = Recipe {
    name: "h264-aac-short-gops",
    video: "-c:v libx264 -preset ultrafast -bf 2 -g 10 -qp 16 -pix_fmt yuv420p",
    ..Recipe::HEAVY
};

#[tokio::test]
async fn no_player_however_slow_gets_pictures_from_the_middle_of_a_gop() {
    let settings = [
        "egress.max_lag=300ms",
        "egress.kernel_buffer=16KiB",
        "publish.grace=0s",
    ];
    let node = Node::start(&settings).await;
    let clip = Clip::of(SHORT_GOPS);
    let tags = testkit::sent(&clip.tags, 2);
    let publisher = Publisher::start(&node.url("live/cam"), tags, 1.0).await;
    let publisher = publisher.expect("accepted");
    node.log.wait("published", 1).await;
    let mut players = Vec::new();
    for percent in (10..100).step_by(5) {
        let link = Throttle::start(node.rtmp, half(&clip) * 2 * percent / 100).await;
        let socket = TcpStream::connect(link.address)
            .await
            .expect("the link is there");
        let peer = Peer::over(socket).await.expect("a handshake");
        players.push((percent, plays(peer, "cam").await, link));
    }
    publisher
        .finished()
        .await
        .expect("nobody holds the publisher up");
    for (percent, player, link) in &players {
        link.set_rate(1 << 24);
        player.status("NetStream.Play.Stop").await;
        let tags = player.tags();
        for pair in frames(&tags, true).windows(2) {
            let goes_on = pair[1].dts - pair[0].dts <= 41 || pair[1].is_keyframe();
            assert!(
                goes_on,
                "{percent} %: from {} to {}",
                pair[0].dts, pair[1].dts
            );
        }
        let sounds = frames(&tags, false);
        assert!(sounds.len() > 300, "{percent} %: {} sounds", sounds.len());
        // From one round of the clip to the next is a little longer.
        let steps = sounds.windows(2).map(|pair| pair[1].dts - pair[0].dts);
        assert!(steps.max() <= Some(100), "{percent} %: sound goes on");
    }
    node.stopped().await;
}
