use codec::{AudioCodec, VideoCodec};
use flv::Metadata;

use super::*;

/// What an encoder tells that always tells of both.
fn of_both(dts: u32) -> Tag {
    let mut metadata = Metadata::default();
    metadata.set("width", 640.0);
    metadata.set("framerate", 25.0);
    metadata.set_video_codec(VideoCodec::Avc);
    metadata.set("audiosamplerate", 48_000.0);
    metadata.set_audio_codec(AudioCodec::Aac);
    metadata.set("encoder", "an encoder");
    metadata.to_tag(dts)
}

/// What a joiner is told: names, in order.
fn told(ring: &Ring) -> Vec<String> {
    let metadata = join(ring).configuration.metadata().expect("metadata");
    let names = metadata.values.iter().map(|(name, _)| name.to_owned());
    names.collect()
}

const ALL: [&str; 6] = [
    "width",
    "framerate",
    "videocodecid",
    "audiosamplerate",
    "audiocodecid",
    "encoder",
];
const OF_VIDEO: [&str; 4] = ["width", "framerate", "videocodecid", "encoder"];
const OF_AUDIO: [&str; 3] = ["audiosamplerate", "audiocodecid", "encoder"];

#[test]
fn a_joiner_is_told_of_no_sound_that_is_not_there() {
    let (ring, mut publisher) = begin();
    push(&mut publisher, [of_both(0), avc_header(), keyframe(0)]);
    push(&mut publisher, (1..25).map(|n| inter(n * 40)));
    assert_eq!(told(&ring), ALL, "it may still come");
    let before = ring.configuration();
    push(&mut publisher, [inter(1000)]);
    assert_eq!(told(&ring), OF_VIDEO);
    // The joiner starts where it did before, and gets the record as before.
    let join = join(&ring);
    assert_eq!((join.position, join.configuration.tags.len()), (2, 2));
    assert!(ring.configuration().version > before.version);
    assert_eq!(ring.configuration().tags[1].seq, before.tags[1].seq);

    let version = ring.configuration().version;
    push(&mut publisher, (26..100).map(|n| inter(n * 40)));
    push(&mut publisher, [keyframe(4000), inter(4040)]);
    assert_eq!(ring.configuration().version, version);
    assert_eq!(told(&ring), OF_VIDEO);
}

#[test]
fn a_joiner_is_told_of_no_picture_that_is_not_there() {
    let (ring, mut publisher) = begin();
    push(&mut publisher, [of_both(0), aac_header()]);
    push(&mut publisher, (0..50).map(|n| aac(n * 20)));
    assert_eq!(told(&ring), ALL);
    push(&mut publisher, [aac(1000)]);
    assert_eq!(told(&ring), OF_AUDIO);
}

#[test]
fn a_track_that_comes_late_is_told_of_again() {
    let (ring, mut publisher) = begin();
    push(
        &mut publisher,
        [of_both(0), aac_header(), aac(0), aac(1000)],
    );
    assert_eq!(told(&ring), OF_AUDIO);
    push(&mut publisher, [avc_header(), keyframe(3000)]);
    let join = join(&ring);
    assert_eq!(join.configuration.tags[0].tag.payload, of_both(0).payload);
}

#[test]
fn what_is_true_goes_on_as_it_was_sent() {
    let (ring, mut publisher) = begin();
    push(&mut publisher, [of_both(0), avc_header(), aac_header()]);
    push(
        &mut publisher,
        (0..50).flat_map(|n| [aac(n * 40), keyframe(n * 40)]),
    );
    assert_eq!(
        ring.configuration().version,
        4,
        "three headers and a publish"
    );
    let join = join(&ring);
    assert_eq!(join.configuration.tags[0].tag.payload, of_both(0).payload);
}

#[test]
fn metadata_that_is_sent_again_is_corrected_on_its_way() {
    let (ring, mut publisher) = begin();
    push(
        &mut publisher,
        [of_both(0), aac_header(), aac(0), aac(1000)],
    );
    let (mut cursor, _) = ring.cursor(Start::Live);
    let mut other = Metadata::from_tag(&of_both(0)).unwrap();
    other.set("encoder", "another");
    push(&mut publisher, [of_both(1020), other.to_tag(1040)]);
    let batch = cursor.read().unwrap();
    let read: Vec<_> = batch.iter().collect();
    for marked in &read {
        let metadata = Metadata::from_tag(&marked.tag).unwrap();
        assert_eq!((metadata.width(), metadata.video_codec()), (None, None));
        assert_eq!(metadata.audio_codec(), Some(AudioCodec::Aac));
    }
    assert!(read[0].repeat && !read[1].repeat);
    assert_eq!(told(&ring), OF_AUDIO);
    let metadata = ring.configuration().metadata().unwrap();
    assert_eq!(metadata.encoder(), Some("another"));
}

#[test]
fn each_publish_has_its_own_patience() {
    let (ring, mut first) = begin();
    push(&mut first, [of_both(0), aac_header(), aac(0), aac(1000)]);
    let mut second = ring.begin(Epoch::new(2, 1), 2_000_000_000);
    push(&mut second, [of_both(9000), aac_header(), aac(9000)]);
    assert_eq!(told(&ring), ALL);
    push(&mut second, [aac(9990)]);
    assert_eq!(told(&ring), ALL);
    push(&mut second, [aac(10_010)]);
    assert_eq!(told(&ring), OF_AUDIO);
}

#[test]
fn a_wrong_codec_is_corrected_but_not_for_ever() {
    let (ring, mut publisher) = begin();
    // One that a peer gets us to read again with each record.
    push(&mut publisher, [of_both(0)]);
    let record = |n: u32| {
        let payload: &[u8] = if n.is_multiple_of(2) {
            &[0x90, b'h', b'v', b'c', b'1', 1, 2, 3]
        } else {
            &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff]
        };
        tag(Kind::Video, n, payload)
    };
    let mut told = Vec::new();
    for n in 0..20 {
        push(&mut publisher, [record(n)]);
        told.push(ring.configuration().metadata().unwrap().video_codec());
    }
    assert_eq!(told[0], Some(VideoCodec::Hevc));
    assert_eq!(told[1], Some(VideoCodec::Avc));
    assert_eq!(told[18], told[19], "it is not read again");
}

#[test]
fn metadata_too_large_to_read_goes_on_as_it_is() {
    let (ring, mut publisher) = begin();
    let mut metadata = Metadata::from_tag(&of_both(0)).unwrap();
    for n in 0..5000 {
        metadata.set(&format!("{n:04}"), true);
    }
    let tag = metadata.to_tag(0);
    push(
        &mut publisher,
        [tag.clone(), aac_header(), aac(0), aac(1000)],
    );
    assert_eq!(ring.configuration().tags[0].tag.payload, tag.payload);
}

#[test]
fn metadata_that_would_grow_goes_on_as_it_is() {
    let (ring, mut publisher) = begin();
    let mut payload = b"\x02\0\x0aonMetaData\x08\0\0\0\0".to_vec();
    payload.extend(b"\0\x05width\0\x40\x84\0\0\0\0\0\0");
    // An object with a long text, and references to it.
    payload.extend(b"\0\x01o\x03\0\x01s\x02\x03\xe8");
    payload.extend([b'x'; 1000]);
    payload.extend(b"\0\0\x09");
    payload.extend(b"\0\x01r\x07\0\x01".repeat(50));
    payload.extend(b"\0\0\x09");
    let metadata = tag(Kind::Data, 0, &payload);
    let headers = [metadata.clone(), aac_header()];
    push(
        &mut publisher,
        headers.into_iter().chain([aac(0), aac(1000)]),
    );
    let known = ring.configuration().metadata().unwrap();
    assert_eq!(known.values.len(), 52, "it can be read");
    assert_eq!(ring.configuration().tags[0].tag.payload, metadata.payload);
}

#[test]
fn a_correction_is_paid_for() {
    let (ring, mut publisher) = begin();
    let mut metadata = Metadata::from_tag(&of_both(0)).unwrap();
    metadata.set("comment", "x".repeat(20_000).as_str());
    push(&mut publisher, [metadata.to_tag(0), aac_header(), aac(0)]);
    let before = ring.stats().bytes;
    // Now it is plain that there is no picture.
    push(&mut publisher, [aac(1000)]);
    assert!(!told(&ring).contains(&"width".to_owned()));
    assert!(
        ring.stats().bytes > before + 20_000,
        "what joiners get is kept"
    );
}
