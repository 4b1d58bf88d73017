//! What programs publish comes out as it went in, in programs that play.

use flv::{Kind as Media, Tag};
use testkit::players::{Kind, Received, gstreamer_decodes, vlc};
use testkit::{Clip, Ffmpeg, Packets, Recipe};
use weir_cluster::Node;

const FFMPEG: Kind = Kind::Ffmpeg(Ffmpeg::Installed);
const FFMPEG9: Kind = Kind::Ffmpeg(Ffmpeg::Nine);

/// Faster than life, as long as nobody needs to join half-way.
const FAST: f64 = 4.0;

/// Players wait for a stream; it comes, and ends; each has got all of it.
async fn all_of_it(publisher: Ffmpeg, options: &[&str], recipe: Recipe, players: &[Kind]) {
    let node = Node::start(&["play.wait=20s", "publish.grace=0s"]).await;
    let url = node.url("live/cam");
    let clip = Clip::of(recipe).rewritten(publisher, &[]).await;
    let playing: Vec<_> = players
        .iter()
        .map(|kind| kind.play(&url, node.folder()))
        .collect();
    node.plays(players.len()).await;
    publisher
        .publish_with(&clip.file, FAST, options, &url)
        .succeeded()
        .await;
    let packets = clip.packets(Ffmpeg::Nine).await;
    for player in playing {
        let name = player.name();
        match player.received().await {
            Received::Packets(received) => {
                received.equal(&packets, name);
            }
            Received::Tags(tags) => equal(&tags, &clip.tags, name),
        }
    }
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 0.0)
        .await;
    node.stopped().await;
}

/// Players join half-way; each has got everything from a keyframe on.
async fn the_rest_of_it(publisher: Ffmpeg, options: &[&str], recipe: Recipe, players: &[Kind]) {
    let node = Node::start(&["publish.grace=0s"]).await;
    let url = node.url("live/cam");
    let clip = Clip::of(recipe).rewritten(publisher, &[]).await;
    let mut publishing = publisher.publish_with(&clip.file, 0.8, options, &url);
    // Into the second GOP of three.
    let video = "weir_tags_total{kind=\"video\"}";
    let some = |tags: f64| (tags > 35.0).then_some(());
    testkit::wait::until("the second GOP", async || some(node.metric(video).await)).await;
    let playing: Vec<_> = players
        .iter()
        .map(|kind| kind.play(&url, node.folder()))
        .collect();
    node.plays(players.len()).await;
    assert!(publishing.is_running(), "players came in time");
    publishing.succeeded().await;
    let packets = clip.packets(Ffmpeg::Nine).await;
    for player in playing {
        let name = player.name();
        match player.received().await {
            Received::Packets(received) => begins_well(&received, &packets, &clip, name),
            Received::Tags(tags) => {
                let (video, audio) = suffix(&tags, &clip.tags, name);
                assert!(
                    clip.keyframes().contains(&video) && video > 0,
                    "{name}: {video} pictures missing"
                );
                assert!(audio > 0, "{name}: {audio} audio frames missing");
            }
        }
    }
    node.stopped().await;
}

fn begins_well(received: &Packets, sent: &Packets, clip: &Clip, name: &str) {
    let (video, audio) = received.suffix(sent, name);
    assert!(
        clip.keyframes().contains(&video) && video > 0,
        "{name}: {video} pictures missing"
    );
    received.shift(sent, name);
    // Sound is there from the first picture on, give or take what is interleaved around it.
    let apart = received.audio[0].pts - received.video[0].pts;
    assert!(
        apart.abs() < 200,
        "{name}: sound begins {apart} ms after the picture ({audio} missing)"
    );
}

/// The frames and configurations of a kind, headers included.
fn payloads(tags: &[Tag], media: Media) -> Vec<&[u8]> {
    let wanted = |tag: &&Tag| tag.kind == media && !tag.is_end();
    tags.iter()
        .filter(wanted)
        .map(|tag| &tag.payload[..])
        .collect()
}

fn metadata_first(received: &[Tag], who: &str) {
    // Players that keep all data keep |RtmpSampleAccess too.
    let first = received
        .iter()
        .find(|tag| tag.kind != Media::Data || tag.is_metadata());
    assert!(
        first.is_some_and(Tag::is_metadata),
        "{who}: metadata comes first"
    );
}

fn equal(received: &[Tag], sent: &[Tag], who: &str) {
    metadata_first(received, who);
    for media in [Media::Video, Media::Audio] {
        let (received, sent) = (payloads(received, media), payloads(sent, media));
        let lost = sent.len() - received.len();
        assert!(
            lost <= may_lose(who),
            "{who}: {} {media:?} tags of {}",
            received.len(),
            sent.len()
        );
        assert!(
            received == sent[..received.len()],
            "{who}: {media:?} tags are as they were sent"
        );
    }
}

/// rtmp2src throws the message away that it has not passed on when it hears of the end.
fn may_lose(who: &str) -> usize {
    if who == Kind::Gstreamer.name() { 2 } else { 0 }
}

/// How many pictures and audio frames are missing in front of an unbroken rest.
fn suffix(received: &[Tag], sent: &[Tag], who: &str) -> (usize, usize) {
    metadata_first(received, who);
    let missing = |media| {
        let frames = |tags: &[Tag]| -> Vec<Tag> {
            tags.iter()
                .filter(|tag| tag.kind == media && tag.is_frame())
                .cloned()
                .collect()
        };
        let (received, sent) = (frames(received), frames(sent));
        let first = received
            .first()
            .unwrap_or_else(|| panic!("{who}: {media:?} frames"));
        let missing = sent.iter().position(|tag| tag.payload == first.payload);
        let missing = missing.unwrap_or_else(|| panic!("{who}: {media:?} frames were sent"));
        let lost = sent.len() - missing - received.len();
        assert!(
            lost <= may_lose(who),
            "{who}: {} {media:?} frames of {}",
            received.len(),
            sent.len()
        );
        let pairs = received.iter().zip(&sent[missing..]);
        let same = pairs
            .clone()
            .filter(|(received, sent)| received.payload == sent.payload)
            .count();
        assert_eq!(
            same,
            received.len(),
            "{who}: {media:?} frames are as they were sent"
        );
        missing
    };
    (missing(Media::Video), missing(Media::Audio))
}

const EVERYBODY: [Kind; 5] = [FFMPEG, FFMPEG9, Kind::Rtmpdump, Kind::Gstreamer, Kind::Vlc];

/// Those that pass on what they do not understand, and the one that understands.
const MODERN: [Kind; 3] = [FFMPEG9, Kind::Rtmpdump, Kind::Gstreamer];

#[tokio::test]
async fn h264_and_aac_come_out_as_ffmpeg_5_sent_them() {
    all_of_it(Ffmpeg::Installed, &[], Recipe::H264_AAC, &EVERYBODY).await;
}

#[tokio::test]
async fn h264_and_aac_come_out_as_ffmpeg_9_sent_them() {
    all_of_it(Ffmpeg::Nine, &[], Recipe::H264_AAC, &EVERYBODY).await;
}

#[tokio::test]
async fn sound_alone_comes_out_as_it_was_sent() {
    tokio::join!(
        all_of_it(
            Ffmpeg::Installed,
            &[],
            Recipe::AUDIO,
            &[FFMPEG, Kind::Rtmpdump, Kind::Vlc]
        ),
        all_of_it(
            Ffmpeg::Nine,
            &[],
            Recipe::AUDIO,
            &[FFMPEG9, Kind::Gstreamer]
        ),
    );
}

#[tokio::test]
async fn pictures_alone_come_out_as_they_were_sent() {
    tokio::join!(
        all_of_it(
            Ffmpeg::Installed,
            &[],
            Recipe::VIDEO,
            &[FFMPEG, Kind::Rtmpdump, Kind::Vlc]
        ),
        all_of_it(
            Ffmpeg::Nine,
            &[],
            Recipe::VIDEO,
            &[FFMPEG9, Kind::Gstreamer]
        ),
    );
}

#[tokio::test]
async fn hevc_comes_out_as_it_was_sent() {
    tokio::join!(
        all_of_it(Ffmpeg::Nine, &[], Recipe::HEVC_AAC, &MODERN),
        all_of_it(
            Ffmpeg::Nine,
            &["-rtmp_enhanced_codecs", "hvc1"],
            Recipe::HEVC_AAC,
            &[FFMPEG9]
        ),
    );
}

#[tokio::test]
async fn av1_comes_out_as_it_was_sent() {
    tokio::join!(
        all_of_it(Ffmpeg::Nine, &[], Recipe::AV1_AAC, &MODERN),
        all_of_it(
            Ffmpeg::Nine,
            &["-rtmp_enhanced_codecs", "av01"],
            Recipe::AV1_AAC,
            &[FFMPEG9]
        ),
    );
}

#[tokio::test]
async fn vp9_and_opus_come_out_as_they_were_sent() {
    tokio::join!(
        all_of_it(Ffmpeg::Nine, &[], Recipe::VP9_OPUS, &MODERN),
        all_of_it(
            Ffmpeg::Nine,
            &["-rtmp_enhanced_codecs", "vp09,Opus"],
            Recipe::VP9_OPUS,
            &[FFMPEG9]
        ),
    );
}

#[tokio::test]
async fn h264_and_opus_come_out_as_they_were_sent() {
    all_of_it(Ffmpeg::Nine, &[], Recipe::H264_OPUS, &MODERN).await;
}

#[tokio::test]
async fn who_joins_late_gets_everything_from_a_keyframe_on() {
    the_rest_of_it(Ffmpeg::Installed, &[], Recipe::H264_AAC, &EVERYBODY).await;
}

#[tokio::test]
async fn who_joins_a_modern_stream_late_gets_everything_from_a_keyframe_on() {
    tokio::join!(
        the_rest_of_it(Ffmpeg::Nine, &[], Recipe::HEVC_AAC, &MODERN),
        the_rest_of_it(Ffmpeg::Nine, &[], Recipe::AV1_AAC, &[FFMPEG9]),
        the_rest_of_it(Ffmpeg::Nine, &[], Recipe::VP9_OPUS, &[FFMPEG9]),
    );
}

#[tokio::test]
async fn vlc_decodes_from_the_first_picture_without_a_complaint() {
    let node = Node::start(&["play.wait=20s", "publish.grace=0s"]).await;
    let url = node.url("live/cam");
    let vlc = vlc(
        &["-vv", "--vout", "dummy", "--aout", "dummy", &url],
        node.folder(),
    );
    node.plays(1).await;
    let clip = Clip::of(Recipe::H264_AAC);
    Ffmpeg::Installed
        .publish(&clip.file, 1.0, &url)
        .succeeded()
        .await;
    let output = vlc.ended().await;
    let log = output.stdout + &output.stderr;
    // faad warns of the first frame of any stream, which makes no sound.
    for complaint in ["decoder error", "avcodec decoder warning", "demux error"] {
        let complaints: Vec<_> = log
            .lines()
            .filter(|line| line.contains(complaint))
            .collect();
        assert_eq!(complaints, [""; 0]);
    }
    assert!(
        log.contains("Received first picture"),
        "it saw something: {log}"
    );
    node.stopped().await;
}

#[tokio::test]
async fn gstreamer_decodes_without_a_complaint() {
    let node = Node::start(&["play.wait=20s", "publish.grace=0s"]).await;
    let url = node.url("live/cam");
    let early = gstreamer_decodes(&url);
    node.plays(1).await;
    let clip = Clip::of(Recipe::BASELINE);
    let publishing = Ffmpeg::Installed.publish(&clip.file, 1.0, &url);
    let some = |tags: f64| (tags > 35.0).then_some(());
    let video = "weir_tags_total{kind=\"video\"}";
    testkit::wait::until("the second GOP", async || some(node.metric(video).await)).await;
    let late = gstreamer_decodes(&url);
    node.plays(2).await;
    publishing.succeeded().await;
    early.succeeded().await;
    late.succeeded().await;
    node.stopped().await;
}
