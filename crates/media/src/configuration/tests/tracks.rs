use super::*;
use crate::DropReason;

/// What becomes of tags.
fn pushed(publisher: &mut Publisher, tags: impl IntoIterator<Item = Tag>) -> Vec<Pushed> {
    let push = |tag| publisher.push(tag, 0).unwrap();
    tags.into_iter().map(push).collect()
}

fn hevc(frame_type: u8, packet: u8) -> Tag {
    let payload = [
        frame_type << 4 | 0x80 | packet,
        b'h',
        b'v',
        b'c',
        b'1',
        1,
        2,
    ];
    tag(Kind::Video, 40, &payload)
}

const NO_KEYFRAME: Pushed = Pushed::Dropped(DropReason::NoKeyframe);

#[test]
fn a_track_that_changes_its_codec_begins_with_a_keyframe_again() {
    let (_ring, mut publisher) = begin();
    let before = [avc_header(), keyframe(0), inter(20)];
    assert_eq!(
        pushed(&mut publisher, before),
        [0, 1, 2].map(Pushed::Stored)
    );
    let (record, key, coded) = (hevc(1, 0), hevc(1, 3), hevc(2, 3));
    let after = [record, coded.clone(), key, coded];
    let expected = [
        Pushed::Stored(3),
        NO_KEYFRAME,
        Pushed::Stored(4),
        Pushed::Stored(5),
    ];
    assert_eq!(pushed(&mut publisher, after), expected);
}

#[test]
fn a_codec_without_records_begins_with_a_keyframe_of_its_own() {
    let (ring, mut publisher) = begin();
    push(&mut publisher, [avc_header(), keyframe(0)]);
    let vp8 = |frame_type: u8| {
        tag(
            Kind::Video,
            40,
            &[frame_type << 4 | 0x81, b'v', b'p', b'0', b'8', 1],
        )
    };
    // A stray one changes nothing.
    assert_eq!(pushed(&mut publisher, [vp8(2)]), [NO_KEYFRAME]);
    push(&mut publisher, [inter(40), vp8(1), vp8(2)]);
    assert_eq!(ring.configuration().video.len(), 1);
}

#[test]
fn data_that_is_set_goes_on_without_the_order_to_set_it() {
    let (ring, mut publisher) = begin();
    let wrapped = tag(Kind::Data, 0, b"\x02\0\x0d@setDataFrame\x02\0\x04onFI\x05");
    push(&mut publisher, [aac_header(), wrapped]);
    let (mut cursor, _) = ring.cursor(Start::Oldest);
    let last = cursor.read().unwrap().last().unwrap().tag.clone();
    assert_eq!(last.payload, &b"\x02\0\x04onFI\x05"[..]);
    assert!(join(&ring).configuration.metadata().is_none());
}
