//! Whatever a peer sends makes a tag, and nothing it does to one panics.

use bytes::{Bytes, BytesMut};
use flv::file::{Reader, Tags};
use flv::{Info, Kind, Metadata, Tag, aggregate, metadata, tracks, write_tag};
use proptest::collection::vec;
use proptest::prelude::*;
use weir_flv as flv;

/// Bytes that get past the first checks more often than chance would have it.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        any::<[u8; 2]>().prop_map(Vec::from),
        // Enhanced video and audio of every packet type, multitrack of every layout.
        (0x80..=0xffu8, any::<u8>()).prop_map(|(a, b)| vec![a, b]),
        (0x90..=0x9fu8, any::<u8>()).prop_map(|(a, b)| vec![a, b]),
        (0..4u8, 0..8u8).prop_map(|(layout, packet)| vec![0x96, layout << 4 | packet]),
        (0..4u8, 0..8u8).prop_map(|(layout, packet)| vec![0x95, layout << 4 | packet]),
        vec(Just(vec![0x00, 0xff, 0x07]), 1..24).prop_map(|links| {
            let mut bytes = vec![0x97];
            bytes.extend(links.concat());
            bytes
        }),
        Just(b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x08\0\0\0\x02".to_vec()),
        Just(b"\x02\0\x0aonMetaData\x03\0\x08duration".to_vec()),
    ];
    let fourcc = prop_oneof![
        Just(b"avc1".to_vec()),
        Just(b"hvc1".to_vec()),
        Just(b"Opus".to_vec()),
        vec(any::<u8>(), 0..5),
    ];
    let tail = prop_oneof![
        vec(any::<u8>(), 0..64),
        // Small numbers, so that a length may fit.
        vec(0..4u8, 0..64),
    ];
    (head, fourcc, tail).prop_map(|(head, fourcc, tail)| [head, fourcc, tail].concat())
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Audio), Just(Kind::Video), Just(Kind::Data)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_payload_makes_a_tag(kind in kind(), dts: u32, payload in payload()) {
        let payload = Bytes::from(payload);
        let tag = Tag::new(kind, dts, payload.clone());
        prop_assert_eq!(&tag.payload, &payload);
        prop_assert_eq!(tag.is_video(), matches!(tag.info(), Info::Video(_)));
        prop_assert!(!(tag.is_keyframe() && (tag.is_configuration() || tag.is_end())));
        prop_assert!(tag.nano_offset() < 1_000_000);
        prop_assert!((-0x80_0000..0x80_0000).contains(&tag.composition()));
        prop_assert!(tag.body().len() <= payload.len());
        let _ = (tag.packet(), tag.is_frame(), tag.is_metadata(), tag.is_audio());
        let debug = format!("{tag:?}");
        prop_assert!(debug.len() < 400, "{}", debug);

        let bodies: usize = tracks(&tag).map(|track| track.body.len()).sum();
        prop_assert!(bodies <= payload.len());
        if let Some(first) = tracks(&tag).next() {
            prop_assert_eq!(first.id, tag.track());
            prop_assert_eq!(first.composition, tag.composition());
            prop_assert_eq!(&first.body, &tag.body());
            prop_assert_eq!(Some(first.packet), tag.packet());
            prop_assert_eq!(Some(first.body), tag.track_body(tag.track()));
        }

        let _ = Metadata::from_tag(&tag).map(|metadata| {
            (metadata.video_codec(), metadata.audio_codec(), metadata.duration(), metadata.to_tag(0))
        });
        if let Some(bare) = metadata::canonical(&tag) {
            prop_assert!(bare.is_metadata());
            prop_assert_eq!(bare.body(), tag.body());
        }
        if let Some(bare) = metadata::unwrapped(&tag) {
            prop_assert!(tag.payload.ends_with(&bare.payload));
        }
    }

    #[test]
    fn a_tag_survives_the_file(kind in kind(), dts: u32, payload in payload()) {
        let tag = Tag::new(kind, dts, payload.into());
        let mut file = BytesMut::from(&b"FLV\x01\x05\0\0\0\x09\0\0\0\0"[..]);
        write_tag(&tag, dts, &mut file);
        let tags = Tags::new(&file[..]).collect::<Result<Vec<_>, _>>().unwrap();
        prop_assert_eq!(tags, vec![tag.clone()]);

        let tags = aggregate::split(9, file.freeze().slice(13..)).collect::<Vec<_>>();
        prop_assert_eq!(tags, vec![tag.with_dts(9)]);
    }

    #[test]
    fn any_file_and_any_aggregate_come_to_an_end(
        bytes in vec(prop_oneof![0..20u8, any::<u8>()], 0..256),
        cut in 0..256usize,
    ) {
        let _ = aggregate::split(1, Bytes::from(bytes.clone())).count();

        let file = [b"FLV\x01\x05\0\0\0\x09\0\0\0\0".as_slice(), &bytes].concat();
        let whole: Vec<_> = Tags::new(&file[..]).map(Result::unwrap).collect();
        // However it is cut into pieces, the same tags come out.
        let (front, back) = file.split_at(cut.min(file.len()));
        let mut reader = Reader::default();
        let mut pieces = Vec::new();
        for piece in [front, back] {
            reader.push(piece);
            while let Some(tag) = reader.pull().unwrap() {
                pieces.push(tag);
            }
        }
        prop_assert_eq!(pieces, whole);
        let _ = Tags::new(&bytes[..]).count();
    }
}
