//! What is published comes out as it went in, in programs that play over HTTP.

use flv::Tag;
use testkit::players::{Kind, Received, gstreamer_decodes, vlc};
use testkit::{Clip, Ffmpeg, Recipe};
use weir_cluster::Node;

const FFMPEG: Kind = Kind::Ffmpeg(Ffmpeg::Installed);
const FFMPEG9: Kind = Kind::Ffmpeg(Ffmpeg::Nine);

/// Faster than life, as long as nobody needs to join half-way.
const FAST: f64 = 4.0;

/// Players wait for a stream; it comes, and ends; each has got all of it.
async fn all_of_it(publisher: Ffmpeg, recipe: Recipe, players: &[Kind]) {
    let node = Node::start(&["play.wait=20s", "publish.grace=0s"]).await;
    let clip = Clip::of(recipe).rewritten(publisher, &[]).await;
    let url = node.flv("live/cam");
    let playing: Vec<_> = players
        .iter()
        .map(|kind| kind.play(&url, node.folder()))
        .collect();
    node.plays(players.len()).await;
    publisher
        .publish(&clip.file, FAST, &node.url("live/cam"))
        .succeeded()
        .await;
    let packets = clip.packets(Ffmpeg::Nine).await;
    for player in playing {
        let name = player.name();
        match player.received().await {
            Received::Packets(received) => {
                received.equal(&packets, name);
            }
            Received::Tags(tags) => assert_eq!(payloads(&tags), payloads(&clip.tags), "{name}"),
        }
    }
    node.metric_becomes("weir_connections{protocol=\"flv\"}", 0.0)
        .await;
    node.stopped().await;
}

/// Lengths and beginnings, which tell tags apart and can be read when they differ.
fn payloads(tags: &[Tag]) -> Vec<(usize, Vec<u8>)> {
    // Metadata may have been corrected, and what marks the end of a recording is not passed on.
    let media = tags
        .iter()
        .filter(|tag| !tag.is_metadata() && !tag.is_end());
    media
        .map(|tag| {
            (
                tag.payload.len(),
                tag.payload.iter().take(24).copied().collect(),
            )
        })
        .collect()
}

#[tokio::test]
async fn h264_and_aac_come_out_as_they_were_sent() {
    let everybody = [FFMPEG, FFMPEG9, Kind::Curl, Kind::Soup, Kind::Vlc];
    all_of_it(Ffmpeg::Installed, Recipe::H264_AAC, &everybody).await;
}

#[tokio::test]
async fn sound_alone_and_pictures_alone_come_out_as_they_were_sent() {
    let players = [FFMPEG, FFMPEG9, Kind::Curl, Kind::Vlc];
    tokio::join!(
        all_of_it(Ffmpeg::Installed, Recipe::AUDIO, &players),
        all_of_it(Ffmpeg::Installed, Recipe::VIDEO, &players),
    );
}

#[tokio::test]
async fn newer_codecs_come_out_as_they_were_sent() {
    let players = [FFMPEG9, Kind::Curl];
    tokio::join!(
        all_of_it(Ffmpeg::Nine, Recipe::HEVC_AAC, &players),
        all_of_it(Ffmpeg::Nine, Recipe::AV1_AAC, &players),
        all_of_it(Ffmpeg::Nine, Recipe::VP9_OPUS, &players),
        all_of_it(Ffmpeg::Nine, Recipe::H264_OPUS, &players),
    );
}

#[tokio::test]
async fn who_joins_late_gets_everything_from_a_keyframe_on() {
    let node = Node::start(&["publish.grace=0s"]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let publishing = Ffmpeg::Installed.publish(&clip.file, 0.8, &node.url("live/cam"));
    // Into the second GOP of three.
    let video = "weir_tags_total{kind=\"video\"}";
    let some = |tags: f64| (tags > 35.0).then_some(());
    testkit::wait::until("the second GOP", async || some(node.metric(video).await)).await;
    let url = node.flv("live/cam");
    let playing = [FFMPEG, FFMPEG9].map(|kind| kind.play(&url, node.folder()));
    publishing.succeeded().await;
    let packets = clip.packets(Ffmpeg::Nine).await;
    for player in playing {
        let name = player.name();
        let Received::Packets(received) = player.received().await else {
            panic!("a list of packets")
        };
        let (video, _) = received.suffix(&packets, name);
        assert!(
            clip.keyframes().contains(&video) && video > 0,
            "{name}: {video}"
        );
        received.shift(&packets, name);
        let apart = received.audio[0].pts - received.video[0].pts;
        assert!(
            apart.abs() < 200,
            "{name}: sound begins {apart} ms after the picture"
        );
    }
    node.stopped().await;
}

#[tokio::test]
async fn vlc_and_gstreamer_decode_without_a_complaint() {
    let node = Node::start(&["play.wait=20s", "publish.grace=0s"]).await;
    let url = node.flv("live/cam");
    let decoding = gstreamer_decodes(&url);
    let quiet = ["-vv", "--vout", "dummy", "--aout", "dummy", &url];
    let vlc = vlc(&quiet, node.folder());
    node.plays(2).await;
    let clip = Clip::of(Recipe::BASELINE);
    Ffmpeg::Installed
        .publish(&clip.file, 1.0, &node.url("live/cam"))
        .succeeded()
        .await;
    decoding.succeeded().await;
    let output = vlc.ended().await;
    let log = output.stdout + &output.stderr;
    for complaint in ["decoder error", "avcodec decoder warning", "demux error"] {
        let complaints: Vec<_> = log.lines().filter(|it| it.contains(complaint)).collect();
        assert_eq!(complaints, [""; 0]);
    }
    assert!(
        log.contains("Received first picture"),
        "it saw something: {log}"
    );
    node.stopped().await;
}
