//! What a publisher may do within a stream, and on the wire.

use amf::{Object, Value};
use bytes::BytesMut;
use flv::{Kind as Media, Packet, Tag};
use rtmp::chunk::ChunkWriter;
use rtmp::command::Command;
use rtmp::message::{Kind, Message};
use testkit::wait::{until, within};
use testkit::{Capture, Clip, Heard, Peer, Publisher, Recipe, sent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_cluster::Node;

async fn publishes(node: &Node, tags: &[Tag]) -> Peer {
    let mut peer = Peer::publish(node.rtmp, "live", "cam").await;
    sends(&mut peer, tags).await;
    peer
}

async fn sends(peer: &mut Peer, tags: &[Tag]) {
    for tag in tags {
        peer.send(tag).await;
    }
    peer.settled().await;
}

fn later(tags: &[Tag], millis: u32) -> Vec<Tag> {
    tags.iter()
        .map(|tag| tag.clone().with_dts(tag.dts + millis))
        .collect()
}

fn until_ms(clip: &Clip, millis: u32) -> Vec<Tag> {
    let wanted = |tag: &&Tag| tag.dts < millis && !tag.is_end();
    clip.tags.iter().filter(wanted).cloned().collect()
}

/// Waits until a player has a frame with these bytes.
async fn gets(player: &Peer, tag: &Tag) {
    let there = |heard: &Heard| {
        heard
            .tag()
            .is_some_and(|heard| heard.payload == tag.payload)
    };
    player
        .until("a certain tag", |heard| heard.iter().any(there))
        .await;
}

fn video_headers(tags: &[Tag]) -> Vec<&[u8]> {
    let wanted = |tag: &&Tag| tag.is_video() && tag.is_configuration();
    tags.iter()
        .filter(wanted)
        .map(|tag| &tag.payload[..])
        .collect()
}

#[tokio::test]
async fn a_configuration_may_change_within_a_stream() {
    let node = Node::start(&["play.wait=20s"]).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let (old, new) = (Clip::of(Recipe::H264_AAC), Clip::of(Recipe::LARGER));
    let mut publisher = publishes(&node, &until_ms(&old, 1500)).await;
    let second = later(&until_ms(&new, 900), 2000);
    sends(&mut publisher, &second).await;
    let last = second.iter().rfind(|tag| tag.is_video()).expect("pictures");
    gets(&player, last).await;
    let tags = player.tags();
    let (before, after) = (video_headers(&old.tags)[0], video_headers(&new.tags)[0]);
    assert_eq!(video_headers(&tags), [before, after]);
    let header = tags.iter().position(|tag| tag.payload == after);
    let key = tags.iter().rposition(Tag::is_keyframe);
    assert!(header < key, "the header comes before its keyframe");

    let joiner = Peer::play(node.rtmp, "live", "cam").await;
    gets(&joiner, last).await;
    assert_eq!(
        video_headers(&joiner.tags()),
        [after],
        "only what is in force"
    );
    node.stopped().await;
}

#[tokio::test]
async fn metadata_may_change_within_a_stream() {
    let node = Node::start(&["play.wait=20s"]).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let clip = Clip::of(Recipe::H264_AAC);
    let mut publisher = publishes(&node, &until_ms(&clip, 500)).await;
    let titled = |title: &str, dts| {
        let values: Object = [("title", Value::from(title))].into_iter().collect();
        let payload = amf::encode_all(&["onMetaData".into(), Value::from(values)]);
        Tag::new(Media::Data, dts, payload)
    };
    for title in ["one", "two"] {
        sends(&mut publisher, &[titled(title, 500)]).await;
    }
    let rest: Vec<_> = clip
        .tags
        .iter()
        .filter(|tag| (500..900).contains(&tag.dts))
        .cloned()
        .collect();
    sends(&mut publisher, &rest).await;
    let has = |tags: &[Tag], title: &str| {
        let text = |tag: &&Tag| {
            tag.is_metadata()
                && tag
                    .payload
                    .windows(title.len())
                    .any(|part| part == title.as_bytes())
        };
        tags.iter().filter(text).count()
    };
    player
        .until("the last title", |heard| {
            let tags: Vec<_> = heard.iter().filter_map(Heard::tag).cloned().collect();
            has(&tags, "two") == 1
        })
        .await;
    // ffmpeg takes metadata at any other time for a subtitle.
    let tags = player.tags();
    let mut metadata = tags.iter().filter(|tag| tag.is_metadata());
    assert!(metadata.all(|tag| tag.dts == 0), "{tags:?}");
    let joiner = Peer::play(node.rtmp, "live", "cam").await;
    gets(&joiner, rest.last().expect("frames")).await;
    let tags = joiner.tags();
    let metadata = tags.iter().filter(|tag| tag.is_metadata()).count();
    assert!(
        has(&tags, "two") >= 1
            && tags.iter().position(Tag::is_metadata) < tags.iter().position(Tag::is_frame)
    );
    assert!(
        has(&tags[..2], "one") == 0,
        "a joiner begins with the last: {metadata} came"
    );
    node.stopped().await;
}

#[tokio::test]
async fn time_that_jumps_comes_out_going_on() {
    let node = Node::start(&["play.wait=20s"]).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let clip = Clip::of(Recipe::H264_AAC);
    let first = until_ms(&clip, 2500);
    let mut publisher = publishes(&node, &first).await;
    let frames: Vec<_> = first.iter().filter(|tag| tag.is_frame()).cloned().collect();
    // Back to zero, an hour forth, and to the end of 32 bits and over it.
    for start in [0, 3_600_000, u32::MAX - 500] {
        let jumped: Vec<_> = frames
            .iter()
            .map(|tag| tag.clone().with_dts(tag.dts.wrapping_add(start)))
            .collect();
        sends(&mut publisher, &jumped).await;
    }
    let count = |heard: &[Heard]| {
        heard
            .iter()
            .filter(|heard| heard.tag().is_some_and(Tag::is_frame))
            .count()
    };
    player
        .until("all frames", |heard| count(heard) == 4 * frames.len())
        .await;
    for video in [true, false] {
        let tags = player.tags();
        let of = tags
            .iter()
            .filter(|tag| tag.is_frame() && tag.is_video() == video);
        let times: Vec<_> = of.map(|tag| tag.dts).collect();
        assert!(
            times
                .windows(2)
                .all(|pair| pair[1] >= pair[0] && pair[1] - pair[0] < 1000),
            "video {video}: {times:?}"
        );
    }
    node.stopped().await;
}

#[tokio::test]
async fn a_joiner_never_begins_within_a_gop_that_is_too_long_to_keep() {
    let node = Node::start(&["ring.max_bytes=1MiB", "ring.max_gop_bytes=1MiB"]).await;
    let tags = sent(&Clip::of(Recipe::HEAVY).tags, 4);
    let publisher = Publisher::start(&node.url("live/cam"), tags, 1.0)
        .await
        .expect("accepted");
    let pictures = "weir_tags_total{kind=\"video\"}";
    until("the second GOP", async || {
        (node.metric(pictures).await > 40.0).then_some(())
    })
    .await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let count = |heard: &[Heard]| {
        heard
            .iter()
            .filter(|heard| {
                heard
                    .tag()
                    .is_some_and(|tag| tag.is_video() && tag.is_frame())
            })
            .count()
    };
    player.until("pictures", |heard| count(heard) > 20).await;
    let tags = player.tags();
    let pictures: Vec<_> = tags
        .iter()
        .filter(|tag| tag.is_video() && tag.is_frame())
        .collect();
    assert!(pictures[0].is_keyframe(), "{pictures:?}");
    assert!(
        pictures
            .windows(2)
            .all(|pair| pair[1].dts - pair[0].dts <= 41 || pair[1].is_keyframe()),
        "{pictures:?}"
    );
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn a_picture_of_megabytes_comes_out_whole_and_one_over_the_limit_ends_the_connection() {
    let node = Node::start(&["play.wait=20s", "limits.message_size=6MiB"]).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let clip = Clip::of(Recipe::VIDEO);
    let mut publisher = publishes(&node, &until_ms(&clip, 200)).await;
    let large = |bytes: usize| {
        let mut payload = vec![0x17, 1, 0, 0, 0];
        payload.extend((0..bytes).map(|at| (at % 251) as u8));
        Tag::new(Media::Video, 400, payload.into())
    };
    let picture = large(5 << 20);
    sends(&mut publisher, std::slice::from_ref(&picture)).await;
    gets(&player, &picture).await;
    publisher.send(&large(7 << 20)).await;
    publisher.closed().await;
    assert!(!player.is_closed());
    node.stopped().await;
}

#[tokio::test]
async fn an_aggregate_is_taken_apart() {
    let node = Node::start(&["play.wait=20s"]).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let clip = Clip::of(Recipe::H264_AAC);
    let mut publisher = publishes(&node, &until_ms(&clip, 200)).await;
    let more: Vec<_> = clip
        .tags
        .iter()
        .filter(|tag| tag.is_frame() && (200..400).contains(&tag.dts))
        .cloned()
        .collect();
    let mut payload = BytesMut::new();
    for tag in &more {
        flv::file::write_tag(tag, tag.dts, &mut payload);
    }
    let first = more[0].dts;
    let aggregate = Message {
        chunk_stream: 4,
        timestamp: first,
        kind: Kind::Aggregate,
        stream_id: 1,
        payload: payload.freeze(),
    };
    publisher.say(&aggregate).await;
    for tag in &more {
        gets(&player, tag).await;
    }
    let tags = player.tags();
    let came = tags[tags.len() - more.len()..]
        .iter()
        .map(|tag| (tag.kind, tag.dts));
    assert!(
        came.eq(more.iter().map(|tag| (tag.kind, tag.dts))),
        "at their times"
    );
    node.stopped().await;
}

/// Sends a recorded session, and joins when its encoder has gone.
async fn joins_after(node: &Node, name: &str) -> Peer {
    let captures = Capture::publishers();
    let capture = captures
        .iter()
        .find(|capture| capture.name == name)
        .expect("a capture");
    let mut encoder = TcpStream::connect(node.rtmp)
        .await
        .expect("the node is there");
    encoder.write_all(&capture.bytes()).await.expect("taken");
    encoder.shutdown().await.expect("taken");
    node.log.wait("publisher left", 1).await;
    let (app, stream) = capture.key();
    let joiner = Peer::play(node.rtmp, app, stream).await;
    joiner
        .until("frames", |heard| {
            heard
                .iter()
                .any(|heard| heard.tag().is_some_and(Tag::is_frame))
        })
        .await;
    joiner
}

#[tokio::test]
async fn a_joiner_gets_the_headers_of_all_tracks() {
    for (capture, tracks) in [
        (
            "pub-ffmpeg9-multitrack-nginx",
            [(true, 0), (false, 0), (false, 1)],
        ),
        (
            "pub-ffmpeg9-multitrack2-nginx",
            [(true, 0), (true, 1), (false, 0)],
        ),
    ] {
        let node = Node::start(&["publish.grace=20s"]).await;
        let joiner = joins_after(&node, capture).await;
        let tags = joiner.tags();
        for (video, track) in tracks {
            let header = |tag: &&Tag| {
                tag.is_configuration() && tag.is_video() == video && tag.track() == track
            };
            let headers = tags.iter().filter(header).count();
            assert_eq!(headers, 1, "{capture}, video {video} {track}: {tags:?}");
        }
        node.stopped().await;
    }
}

#[tokio::test]
async fn a_joiner_gets_the_colours() {
    let node = Node::start(&["publish.grace=20s"]).await;
    let joiner = joins_after(&node, "pub-ffmpeg9-hevc-hdr10-srs").await;
    let tags = joiner.tags();
    let at = |packet| {
        tags.iter()
            .position(|tag| tag.is_video() && tag.packet() == Some(packet))
    };
    let (header, colours, frame) = (
        at(Packet::Configuration),
        at(Packet::Metadata),
        at(Packet::Frame),
    );
    assert!(
        header.is_some() && colours.is_some() && header < colours && colours < frame,
        "{tags:?}"
    );
    node.stopped().await;
}

#[tokio::test]
async fn strange_handshakes_and_amf3_are_understood() {
    let node = Node::start(&[]).await;
    let mut socket = TcpStream::connect(node.rtmp)
        .await
        .expect("the node is there");
    let c1: Vec<u8> = (0..1536_u32).map(|at| (at % 239) as u8).collect();
    socket
        .write_all(&[&[6][..], &c1].concat())
        .await
        .expect("taken");
    let mut answer = vec![0; 3073];
    within("S0, S1 and S2", socket.read_exact(&mut answer))
        .await
        .expect("an answer");
    assert!(
        answer[1537 + 8..] == c1[8..],
        "S2 carries the random part of C1"
    );
    socket.write_all(&[0xEE; 1536]).await.expect("taken");
    // AMF3 in name, AMF0 in truth.
    let members: Object = [("app", Value::from("live"))].into_iter().collect();
    let connect = Command {
        object: members.into(),
        ..Command::new("connect", 1.0, Vec::new())
    };
    let mut message = connect.to_message(3, 0);
    message.kind = Kind::CommandAmf3;
    message.payload = [&[0][..], &message.payload].concat().into();
    let mut bytes = BytesMut::new();
    ChunkWriter::new().write(&message, &mut bytes);
    socket.write_all(&bytes).await.expect("taken");
    let mut answer = Vec::new();
    let success = async {
        while !answer
            .windows(29)
            .any(|part| part == b"NetConnection.Connect.Success")
        {
            assert_ne!(
                socket.read_buf(&mut answer).await.expect("an answer"),
                0,
                "it is not closed"
            );
        }
    };
    within("success", success).await;
    drop(socket);
    node.stopped().await;
}

#[tokio::test]
async fn a_connection_may_publish_and_play() {
    let node = Node::start(&[]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let mut peer = publishes(&node, &until_ms(&clip, 500)).await;
    let stream = peer.create_stream().await;
    peer.command(
        "play",
        stream,
        &["cam".into(), (-2000.0).into(), (-1.0).into(), false.into()],
    )
    .await;
    peer.status("NetStream.Play.Start").await;
    let more: Vec<_> = clip
        .tags
        .iter()
        .filter(|tag| (500..900).contains(&tag.dts))
        .cloned()
        .collect();
    sends(&mut peer, &more).await;
    gets(&peer, more.last().expect("frames")).await;
    let heard = peer.heard();
    assert!(
        !heard
            .iter()
            .any(|heard| heard.is_status("NetStream.Play.Reset")),
        "it did not ask for a reset"
    );
    assert!(
        heard
            .iter()
            .any(|heard| matches!(heard, Heard::Tag(2, tag) if tag.is_keyframe())),
        "on its stream"
    );
    node.stopped().await;
}
