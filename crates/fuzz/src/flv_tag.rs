use bytes::{Bytes, BytesMut};
use flv::file::{MAX_PAYLOAD, Tags};
use flv::{Info, Kind, Metadata, Tag, aggregate, metadata, tracks, write_tag};

use crate::pieces::choices;

/// One tag: a byte for its kind, four for its time, then its payload.
pub fn flv_tag(data: &[u8]) {
    let Some(([kind, time @ ..], payload)) = choices::<5>(data) else {
        return;
    };
    let kind = [Kind::Audio, Kind::Video, Kind::Data][usize::from(kind % 3)];
    let tag = Tag::new(
        kind,
        u32::from_be_bytes(time),
        Bytes::copy_from_slice(payload),
    );
    assert_eq!(tag.payload, payload, "a payload is passed on untouched");
    check(&tag);
    check_metadata(&tag);
    survives_the_file(&tag);
}

/// What holds for any tag.
pub(crate) fn check(tag: &Tag) {
    let packet = tag.packet();
    assert_eq!(packet.is_some(), tag.kind != Kind::Data);
    assert_eq!(tag.is_video(), matches!(tag.info(), Info::Video(_)));
    assert!(!(tag.is_keyframe() && (tag.is_configuration() || tag.is_end())));
    assert!(!tag.is_keyframe() || tag.is_frame());
    assert!(tag.nano_offset() < 1_000_000);
    assert!((-0x80_0000..0x80_0000).contains(&tag.composition()));
    if let Info::Audio(audio) = tag.info() {
        let _ = audio.sound();
    }
    assert!(format!("{tag:?}").len() < 400, "a tag fits a line of a log");

    let body = tag.body();
    assert!(body.is_empty() || tag.payload.as_ptr_range().contains(&body.as_ptr()));
    let mut bodies = 0;
    for (index, track) in tracks(tag).enumerate() {
        bodies += track.body.len();
        if index == 0 {
            assert_eq!(track.id, tag.track());
            assert_eq!(track.composition, tag.composition());
            assert_eq!(track.body, body);
            assert_eq!(Some(track.packet), packet);
            assert_eq!(Some(track.body), tag.track_body(track.id));
        }
        if let Some(codec) = track.codec {
            assert_eq!(tag.ends(track.id, codec), tag.is_end());
        }
    }
    assert!(
        bodies <= tag.payload.len(),
        "tracks share the payload's bytes"
    );
}

fn check_metadata(tag: &Tag) {
    let bare = metadata::canonical(tag);
    assert_eq!(bare.is_some(), tag.is_metadata());
    let Some(bare) = bare else { return };
    assert!(bare.is_metadata());
    assert_eq!(bare.body(), tag.body());
    assert_eq!(
        metadata::canonical(&bare),
        Some(bare.clone()),
        "bare once and for all"
    );

    let metadata = Metadata::from_tag(tag).expect("it is metadata");
    let _ = (metadata.width(), metadata.height(), metadata.frame_rate());
    let _ = (metadata.audio_channels(), metadata.encoder());
    let (video, audio) = (metadata.video_codec(), metadata.audio_codec());
    let written = metadata.to_tag(tag.dts);
    let mut again = Metadata::from_tag(&written).expect("what we write is metadata");
    // Compared as bytes: NaN is no equal of itself.
    assert_eq!(again.to_tag(tag.dts), written, "read and written again");
    assert_eq!((again.video_codec(), again.audio_codec()), (video, audio));
    if let Some(codec) = video {
        again.set_video_codec(codec);
        assert_eq!(again.video_codec(), Some(codec), "set and read again");
    }
    if let Some(codec) = audio {
        again.set_audio_codec(codec);
        assert_eq!(again.audio_codec(), Some(codec), "set and read again");
    }
}

fn survives_the_file(tag: &Tag) {
    assert!(tag.payload.len() <= MAX_PAYLOAD);
    let mut file = BytesMut::from(&b"FLV\x01\x05\0\0\0\x09\0\0\0\0"[..]);
    write_tag(tag, tag.dts, &mut file);
    let tags: Vec<_> = Tags::new(&file[..]).map(Result::unwrap).collect();
    assert_eq!(tags, std::slice::from_ref(tag));
    let tags: Vec<_> = aggregate::split(9, file.freeze().slice(13..)).collect();
    assert_eq!(tags, [tag.clone().with_dts(9)]);
}
