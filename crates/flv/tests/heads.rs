//! Heads byte by byte, after annex E.4 of the FLV specification and Enhanced RTMP v2.

use bytes::Bytes;
use codec::{AudioCodec, FourCc, VideoCodec};
use weir_flv::{
    AudioInfo, Codec, FrameType, Info, Kind, Multitrack, Packet, Sound, Tag, VideoInfo, tracks,
};

fn video(payload: &[u8]) -> Tag {
    Tag::new(Kind::Video, 1000, Bytes::copy_from_slice(payload))
}

fn audio(payload: &[u8]) -> Tag {
    Tag::new(Kind::Audio, 1000, Bytes::copy_from_slice(payload))
}

fn video_info(tag: &Tag) -> VideoInfo {
    match *tag.info() {
        Info::Video(info) => info,
        other => panic!("{other:?}"),
    }
}

fn audio_info(tag: &Tag) -> AudioInfo {
    match *tag.info() {
        Info::Audio(info) => info,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tag_fits_a_cache_line() {
    assert!(size_of::<Tag>() <= 64, "{} bytes", size_of::<Tag>());
    assert!(size_of::<Info>() <= 24, "{} bytes", size_of::<Info>());
}

#[test]
fn a_legacy_keyframe_and_its_composition_time() {
    let tag = video(&[0x17, 1, 0, 1, 0x2c, 0x65]);
    let info = video_info(&tag);
    assert_eq!(
        (info.codec, info.packet),
        (Some(VideoCodec::Avc), Packet::Frame)
    );
    assert_eq!((info.frame, info.enhanced), (FrameType::Key, false));
    assert!(tag.is_keyframe() && tag.is_frame() && !tag.is_configuration());
    assert_eq!(
        (tag.composition(), tag.body()),
        (300, Bytes::from_static(&[0x65]))
    );

    let tag = video(&[0x27, 1, 0xff, 0xff, 0xde, 0x41]);
    assert!(!tag.is_keyframe());
    assert_eq!(tag.composition(), -34);
    assert_eq!(video(&[0x27, 1, 0x80, 0, 0]).composition(), -0x80_0000);
}

#[test]
fn a_legacy_configuration_is_no_keyframe() {
    for (head, codec) in [(0x17, VideoCodec::Avc), (0x1c, VideoCodec::Hevc)] {
        let tag = video(&[head, 0, 0, 0, 5, 0x01, 0x64]);
        assert_eq!(video_info(&tag).codec, Some(codec));
        assert!(tag.is_configuration() && !tag.is_keyframe() && !tag.is_frame());
        assert_eq!(
            (tag.composition(), tag.body()),
            (0, Bytes::from_static(&[0x01, 0x64]))
        );
    }
}

#[test]
fn a_generated_keyframe_is_a_keyframe_in_both_forms() {
    assert!(video(&[0x47, 1, 0, 0, 0, 0x65]).is_keyframe());
    assert!(video(b"\xc3hvc1\x26").is_keyframe());
    assert!(video(b"\x93av01\x12").is_keyframe());
    assert!(!video(b"\xa3av01\x12").is_keyframe());
}

#[test]
fn a_legacy_end_may_lack_its_composition_time() {
    for payload in [&[0x17, 2, 0, 0, 0][..], &[0x17, 2], &[0x27, 2, 0]] {
        let tag = video(payload);
        assert!(
            tag.is_end() && !tag.is_keyframe() && !tag.is_configuration(),
            "{tag:?}"
        );
    }
}

#[test]
fn old_codecs_have_a_head_of_one_byte() {
    for (id, codec) in [
        (2, Some(VideoCodec::SorensonH263)),
        (3, Some(VideoCodec::ScreenVideo)),
        (4, Some(VideoCodec::Vp6)),
        (5, Some(VideoCodec::Vp6Alpha)),
        (6, Some(VideoCodec::ScreenVideo2)),
        (1, None),
        (8, None),
        (15, None),
    ] {
        let tag = video(&[0x30 | id, 0xab]);
        let info = video_info(&tag);
        assert_eq!((info.codec, info.packet), (codec, Packet::Frame), "{id}");
        assert_eq!((info.frame, info.body), (FrameType::Disposable, 1));
        assert_eq!(tag.body(), &[0xab][..]);
    }
}

#[test]
fn commands_hold_no_picture() {
    for payload in [&[0x57, 0][..], &[0x52, 1], &[0xd1, 0], &[0xd0]] {
        let tag = video(payload);
        assert_eq!(tag.packet(), Some(Packet::Command), "{payload:x?}");
        assert!(!tag.is_keyframe() && !tag.is_frame() && !tag.is_configuration());
        assert_eq!(tag.body(), &payload[1..]);
    }
    // Metadata has contents even with the frame type of a command.
    assert_eq!(video(b"\xd4hvc1\x02").packet(), Some(Packet::Metadata));
}

#[test]
fn enhanced_video_packets_of_every_type() {
    for (head, packet, body) in [
        (b"\x90hvc1\x01\x02", Packet::Configuration, &[1, 2][..]),
        (b"\x93hvc1\x01\x02", Packet::Frame, &[1, 2]),
        (b"\x92hvc1\x01\x02", Packet::End, &[1, 2]),
        (b"\x94hvc1\x01\x02", Packet::Metadata, &[1, 2]),
        (b"\x95av01\x01\x02", Packet::TsConfiguration, &[1, 2]),
        (b"\x98hvc1\x01\x02", Packet::Unknown(8), &[1, 2]),
        (b"\x9fhvc1\x01\x02", Packet::Unknown(15), &[1, 2]),
    ] {
        let tag = video(head);
        let info = video_info(&tag);
        assert_eq!(
            (info.packet, info.enhanced, info.track),
            (packet, true, 0),
            "{head:x?}"
        );
        assert_eq!(tag.body(), body);
        let configuration = matches!(packet, Packet::Configuration | Packet::TsConfiguration);
        assert_eq!(tag.is_configuration(), configuration);
        assert_eq!(tag.is_keyframe(), packet == Packet::Frame);
    }
}

#[test]
fn only_codecs_that_reorder_have_a_composition_time() {
    for (fourcc, codec, reorders) in [
        (b"avc1", VideoCodec::Avc, true),
        (b"hvc1", VideoCodec::Hevc, true),
        (b"vvc1", VideoCodec::Vvc, true),
        (b"av01", VideoCodec::Av1, false),
        (b"vp08", VideoCodec::Vp8, false),
        (b"vp09", VideoCodec::Vp9, false),
        (b"wxyz", VideoCodec::Other(FourCc(*b"wxyz")), false),
    ] {
        let coded = video(&[&[0xa1][..], fourcc, &[0xff, 0xff, 0xff, 7]].concat());
        assert_eq!(video_info(&coded).codec, Some(codec));
        assert_eq!(coded.composition(), if reorders { -1 } else { 0 });
        assert_eq!(coded.body().len(), if reorders { 1 } else { 4 });
        let coded_x = video(&[&[0xa3][..], fourcc, &[0xff, 0xff, 0xff, 7]].concat());
        assert_eq!((coded_x.composition(), coded_x.body().len()), (0, 4));
    }
}

#[test]
fn legacy_audio() {
    let configuration = audio(&[0xaf, 0, 0x11, 0x90]);
    assert!(configuration.is_configuration() && configuration.is_audio());
    assert_eq!(configuration.body(), &[0x11, 0x90][..]);
    let frame = audio(&[0xaf, 1, 0x21]);
    assert!(frame.is_frame() && !frame.is_keyframe());
    assert_eq!(audio_info(&frame).codec, Some(AudioCodec::Aac));
    assert_eq!(audio(&[0xaf, 9, 0x21]).packet(), Some(Packet::Unknown(9)));

    for (head, codec, rate, bits, channels) in [
        (0x06, Some(AudioCodec::Pcm), 11_025, 16, 1),
        (0x1b, Some(AudioCodec::Adpcm), 22_050, 16, 2),
        (0x2f, Some(AudioCodec::Mp3), 44_100, 16, 2),
        (0x32, Some(AudioCodec::PcmLe), 5_512, 16, 1),
        (0x40, Some(AudioCodec::Nellymoser), 16_000, 8, 1),
        (0x50, Some(AudioCodec::Nellymoser), 8_000, 8, 1),
        (0x6a, Some(AudioCodec::Nellymoser), 22_050, 16, 1),
        (0x70, Some(AudioCodec::G711A), 8_000, 8, 1),
        (0x81, Some(AudioCodec::G711Mu), 8_000, 8, 2),
        (0xb6, Some(AudioCodec::Speex), 16_000, 16, 1),
        (0xee, Some(AudioCodec::Mp3), 8_000, 16, 1),
    ] {
        let tag = audio(&[head, 7]);
        let info = audio_info(&tag);
        assert_eq!(
            (info.codec, info.packet, tag.body().len()),
            (codec, Packet::Frame, 1)
        );
        assert_eq!(
            info.sound(),
            Some(Sound {
                rate,
                bits,
                channels
            }),
            "{head:x}"
        );
    }
    let unknown = audio(&[0xcf, 7]);
    assert_eq!(
        (audio_info(&unknown).codec, audio_info(&unknown).sound()),
        (None, None)
    );
}

#[test]
fn enhanced_audio_packets_of_every_type() {
    for (number, packet) in [
        (0, Packet::Configuration),
        (1, Packet::Frame),
        (2, Packet::End),
        (3, Packet::Unknown(3)),
        (4, Packet::Multichannel),
        (6, Packet::Unknown(6)),
        (8, Packet::Unknown(8)),
    ] {
        let tag = audio(&[&[0x90 | number][..], b"Opus", &[1, 2]].concat());
        let info = audio_info(&tag);
        assert_eq!((info.codec, info.packet), (Some(AudioCodec::Opus), packet));
        assert_eq!((info.enhanced, info.sound()), (true, None));
        assert_eq!(tag.body(), &[1, 2][..]);
    }
    for (fourcc, codec) in [
        (b".mp3", AudioCodec::Mp3),
        (b"mp4a", AudioCodec::Aac),
        (b"fLaC", AudioCodec::Flac),
        (b"ac-3", AudioCodec::Ac3),
        (b"ec-3", AudioCodec::Eac3),
    ] {
        let tag = audio(&[&[0x91][..], fourcc].concat());
        assert_eq!(audio_info(&tag).codec, Some(codec));
    }
    // AC-3 has a configuration, and nothing in it.
    assert!(audio(b"\x90ac-3").is_configuration());
}

#[test]
fn one_track_of_several() {
    // Multitrack, OneTrack with CodedFrames, HEVC, track 3.
    let tag = video(b"\x96\x01hvc1\x03\0\0\x21xyz");
    let info = video_info(&tag);
    assert_eq!(
        (info.multitrack, info.track),
        (Some(Multitrack::OneTrack), 3)
    );
    assert_eq!((info.packet, tag.is_keyframe()), (Packet::Frame, true));
    assert_eq!(
        (tag.composition(), tag.body()),
        (33, Bytes::from_static(b"xyz"))
    );
    assert!(!tag.has_many_tracks());
    let track = tracks(&tag).next().unwrap();
    assert_eq!(
        (track.id, track.codec),
        (3, Some(Codec::Video(VideoCodec::Hevc)))
    );
    assert_eq!(
        (track.composition, track.body),
        (33, Bytes::from_static(b"xyz"))
    );

    let tag = audio(b"\x95\x00Opus\x01OpusHead");
    assert!(tag.is_configuration());
    assert_eq!(
        (tag.track(), tag.body()),
        (1, Bytes::from_static(b"OpusHead"))
    );
    assert_eq!(
        (tag.track_body(1), tag.track_body(0)),
        (Some(tag.body()), None)
    );
}

#[test]
fn many_tracks_of_one_codec() {
    let tag = video(b"\xa6\x11avc1\x00\0\0\x05\0\0\x42ab\x02\0\0\x04\xff\xff\xfec");
    let info = video_info(&tag);
    assert_eq!(
        (info.multitrack, info.codec),
        (Some(Multitrack::ManyTracks), Some(VideoCodec::Avc))
    );
    assert!(tag.has_many_tracks());
    assert_eq!(
        (tag.track(), tag.composition(), tag.body()),
        (0, 66, Bytes::from_static(b"ab"))
    );
    let found: Vec<_> = tracks(&tag)
        .map(|t| (t.id, t.composition, t.packet, t.body))
        .collect();
    let expected = [
        (0, 66, Packet::Frame, Bytes::from_static(b"ab")),
        (2, -2, Packet::Frame, Bytes::from_static(b"c")),
    ];
    assert_eq!(found, expected);
    assert_eq!(tag.track_body(2), Some(Bytes::from_static(b"c")));
}

#[test]
fn many_tracks_of_many_codecs() {
    let tag = audio(b"\x95\x21Opus\x00\0\0\x02abmp4a\x01\0\0\x01c");
    let found: Vec<_> = tracks(&tag)
        .map(|t| (t.id, t.codec.unwrap(), t.body))
        .collect();
    let expected = [
        (0, Codec::Audio(AudioCodec::Opus), Bytes::from_static(b"ab")),
        (1, Codec::Audio(AudioCodec::Aac), Bytes::from_static(b"c")),
    ];
    assert_eq!(found, expected);

    // Only one of the two has a composition time.
    let tag = video(b"\x96\x21av01\x00\0\0\x02abhvc1\x01\0\0\x04\0\0\x07c");
    let found: Vec<_> = tracks(&tag).map(|t| (t.composition, t.body)).collect();
    assert_eq!(
        found,
        [
            (0, Bytes::from_static(b"ab")),
            (7, Bytes::from_static(b"c"))
        ]
    );
}

#[test]
fn a_track_that_does_not_fit_ends_the_packet() {
    let tag = video(b"\x96\x13av01\x00\0\0\x02ab\x01\0\0\x09c");
    assert_eq!(tracks(&tag).map(|track| track.id).collect::<Vec<_>>(), [0]);
    let tag = video(b"\x96\x13av01\x00\0\0\x03ab");
    assert_eq!((tracks(&tag).count(), tag.body()), (0, Bytes::new()));
    // Multitrack within multitrack is forbidden, other layouts are unknown.
    for head in [b"\x96\x06hvc1\0", b"\x96\x07hvc1\0", b"\x96\x31hvc1\0"] {
        assert_eq!(video(head).packet(), Some(Packet::Malformed));
    }
    assert_eq!(audio(b"\x95\x05Opus\0").packet(), Some(Packet::Malformed));
}

#[test]
fn mod_ex_tells_nanoseconds() {
    // ModEx, three bytes, TimestampOffsetNano, then CodedFramesX.
    let tag = video(b"\x97\x02\x01\xe2\x40\x03hvc1x");
    assert_eq!((tag.nano_offset(), tag.is_keyframe()), (123_456, true));
    assert_eq!(tag.body(), &b"x"[..]);

    let tag = audio(b"\x97\x02\x01\xe2\x40\x01Opusx");
    assert_eq!(
        (tag.nano_offset(), tag.is_frame(), tag.body().len()),
        (123_456, true, 1)
    );

    // Around a multitrack packet of many.
    let tag = audio(b"\x97\x02\x00\x00\x09\x05\x11Opus\x01\0\0\x01x");
    assert_eq!((tag.nano_offset(), tag.track()), (9, 1));
    assert_eq!(tag.body(), &b"x"[..]);
}

#[test]
fn mod_ex_of_unknown_type_and_of_any_size_is_passed_over() {
    // A chain: one unknown byte of type 5, then the nanoseconds.
    let tag = video(b"\x97\x00\xaa\x57\x02\0\0\x01\x03hvc1x");
    assert_eq!(
        (tag.nano_offset(), tag.body()),
        (1, Bytes::from_static(b"x"))
    );

    // A size in two bytes: 0x0103 + 1.
    let mut long = vec![0x97, 0xff, 0x01, 0x03];
    long.extend([0; 0x104]);
    long.extend(b"\x13hvc1x");
    assert_eq!(video(&long).body(), &b"x"[..]);

    // A million nanoseconds is a millisecond, and too much.
    assert_eq!(video(b"\x97\x02\x0f\x42\x40\x03hvc1x").nano_offset(), 0);
    assert_eq!(
        video(b"\x97\x02\x0f\x42\x3f\x03hvc1x").nano_offset(),
        999_999
    );
}

#[test]
fn a_chain_of_mod_ex_without_end_is_malformed() {
    let mut chain = vec![0x97];
    chain.extend([0x00, 0xaa, 0x57].repeat(1000));
    chain.extend([0x00, 0xaa, 0x53]);
    chain.extend(b"hvc1x");
    assert_eq!(video(&chain).packet(), Some(Packet::Malformed));

    // A head longer than the place of its length.
    let mut long = vec![0x97, 0xff, 0xff, 0xff];
    long.extend(vec![0; 0x1_0000]);
    long.extend(b"\x13hvc1x");
    assert_eq!(video(&long).packet(), Some(Packet::Malformed));
}

#[test]
fn a_cut_off_head_is_malformed_and_keeps_what_it_told() {
    let whole: &[&[u8]] = &[
        b"\x17\x01\0\0\0",
        b"\x97\x02\0\0\x01\x01hvc1\0\0\0",
        b"\x96\x11avc1\x00\0\0\x05\0\0\x42",
    ];
    for payload in whole {
        assert_eq!(video(payload).packet(), Some(Packet::Frame));
        for end in 0..payload.len() {
            let tag = video(&payload[..end]);
            assert_eq!(
                tag.packet(),
                Some(Packet::Malformed),
                "{:x?}",
                &payload[..end]
            );
            assert!(!tag.is_keyframe() && !tag.is_configuration());
        }
    }
    assert_eq!(
        video_info(&video(b"\x17\x01\0")).codec,
        Some(VideoCodec::Avc)
    );
    assert_eq!(audio(&[0xaf]).packet(), Some(Packet::Malformed));
    assert_eq!(audio(b"\x91Opu").packet(), Some(Packet::Malformed));
    assert_eq!(audio(&[]).packet(), Some(Packet::Malformed));
}

#[test]
fn a_packet_of_many_tracks_ends_after_as_many_as_there_are_numbers() {
    // ManyTracks, VP9: track 1 again and again, without a body.
    let mut payload = vec![0xa6, 0x11, b'v', b'p', b'0', b'9'];
    payload.extend(std::iter::repeat_n([1, 0, 0, 0], 100_000).flatten());
    let tag = Tag::new(Kind::Video, 0, payload.into());
    assert!(tag.has_many_tracks());
    assert_eq!(tracks(&tag).count(), 256);
}
