//! What players are told about a stream.

use bytes::Bytes;
use flv::{Metadata, Tag};
use rtmp::message::{Kind, Message};
use testkit::wait::until;
use testkit::{Clip, Ffmpeg, Peer, Publisher, Recipe, sent};
use weir_cluster::Node;

/// A clip whose encoder tells of sound and pictures, whatever it sends.
fn telling_of_both(recipe: Recipe) -> Vec<Tag> {
    let clip = Clip::of(recipe);
    let mut tags = sent(&clip.tags, 20);
    for tag in tags.iter_mut().filter(|tag| tag.is_metadata()) {
        let mut metadata = Metadata::from_tag(tag).expect("metadata");
        for key in ["videocodecid", "audiocodecid"] {
            let codec = metadata.number(key);
            metadata.set(key, codec.unwrap_or(if key < "b" { 10.0 } else { 7.0 }));
        }
        *tag = metadata.to_tag(tag.dts);
    }
    tags
}

/// What somebody is told who joins after a while: whether there is a video codec, and an audio
/// codec.
async fn told(recipe: Recipe, kind: &str) -> (bool, bool) {
    let node = Node::start(&[]).await;
    let tags = telling_of_both(recipe);
    let publisher = Publisher::start(&node.url("live/cam"), tags, 2.0).await;
    let publisher = publisher.expect("accepted");
    let metric = format!("weir_tags_total{{kind=\"{kind}\"}}");
    until("more than a second", async || {
        (node.metric(&metric).await > 60.0).then_some(())
    })
    .await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let metadata = player
        .find("metadata", |heard| heard.tag().and_then(Metadata::from_tag))
        .await;
    drop(publisher);
    node.stopped().await;
    (
        metadata.video_codec().is_some(),
        metadata.audio_codec().is_some(),
    )
}

#[tokio::test]
async fn players_are_told_of_what_is_there() {
    assert_eq!(told(Recipe::VIDEO, "video").await, (true, false));
    assert_eq!(told(Recipe::AUDIO, "audio").await, (false, true));
    assert_eq!(told(Recipe::H264_AAC, "video").await, (true, true));
}

#[tokio::test]
async fn ffmpeg_does_not_wait_for_sound_that_never_comes() {
    let node = Node::start(&[]).await;
    let url = node.url("live/cam");
    let tags = telling_of_both(Recipe::VIDEO);
    let publisher = Publisher::start(&url, tags, 4.0).await.expect("accepted");
    until("more than a second", async || {
        let tags = node.metric("weir_tags_total{kind=\"video\"}").await;
        (tags > 60.0).then_some(())
    })
    .await;
    for player in [Ffmpeg::Installed, Ffmpeg::Nine] {
        let plays = player.run(&["-i", &url, "-c", "copy", "-t", "0.1", "-f", "null", "-"]);
        plays.succeeded().await;
        // It would have waited for the end of the stream, which is a minute long.
        assert!(!publisher.has_ended(), "{player:?} waited");
    }
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn metadata_in_amf3_comes_out_in_amf0() {
    let node = Node::start(&["play.wait=20s", "publish.grace=0s"]).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let mut encoder = Peer::publish(node.rtmp, "live", "cam").await;
    let names = b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData";
    let in_amf3 = b"\x0a\x0b\x01\x0bwidth\x04\x85\x00\x09live\x03\x01";
    let set_in_amf3 = b"\x06\x1b@setDataFrame\x06\x15onMetaData";
    let bodies = [
        // Behind the format byte, only the values are in AMF3.
        [&b"\0"[..], names, b"\x11", in_amf3].concat(),
        // All of it is.
        [&b"\x11"[..], set_in_amf3, in_amf3].concat(),
    ];
    for payload in bodies {
        let message = Message {
            chunk_stream: 4,
            timestamp: 0,
            kind: Kind::DataAmf3,
            stream_id: 1,
            payload: Bytes::from(payload),
        };
        encoder.say(&message).await;
    }
    let two = |heard: &[testkit::Heard]| {
        let tags = heard.iter().filter_map(testkit::Heard::tag);
        tags.filter(|tag| tag.is_metadata()).count() == 2
    };
    player.until("metadata, twice", two).await;
    let values: amf::Object = [("width", amf::Value::from(640.0)), ("live", true.into())]
        .into_iter()
        .collect();
    let expected = amf::encode_all(&["onMetaData".into(), values.into()]);
    for tag in player.tags().iter().filter(|tag| tag.is_metadata()) {
        assert_eq!(tag.payload, expected);
    }
    drop(encoder);
    node.stopped().await;
}
