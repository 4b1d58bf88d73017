//! The main tracks of a stream, for players that know no others.
//!
//! Players from before multitrack take a packet of a further track for something they should know,
//! and look half a minute for what it could be. The main tracks mostly come as ordinary tags, which
//! are left as they are; where they come in multitrack packets, ordinary ones are made of them.

use bytes::{BufMut, Bytes, BytesMut};
use codec::{AudioCodec, VideoCodec};
use flv::{Codec, Info, Packet, Tag, Track};
use media::{Configuration, MarkedTag, Ring, Start};

use crate::gate::is_multitrack;

/// A player may ride with others when for so long (nanoseconds) nothing came that is not for it.
const ALIKE_AFTER: i64 = 10_000_000_000;

/// Knows the main tracks wherever a player is in the ring.
pub(crate) struct MainTracks {
    ring: Ring,
    /// The configuration by which `mains` are known.
    version: Option<u32>,
    mains: Mains,
    /// When it last saw a multitrack packet.
    multitrack_at: Option<i64>,
}

/// The numbers of the main tracks: the lowest there are.
#[derive(Clone, Copy, Default)]
pub(super) struct Mains {
    audio: Option<u8>,
    video: Option<u8>,
}

/// What a tag holds of the main tracks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// This, in its place.
    Instead(Tag),
    Nothing,
}

impl MainTracks {
    pub(crate) fn new(ring: Ring) -> MainTracks {
        MainTracks {
            ring,
            version: None,
            mains: Mains::default(),
            multitrack_at: None,
        }
    }

    /// What a tag, read at `now`, holds of the main tracks of its moment.
    pub(super) fn part(&mut self, tag: &MarkedTag, now: i64) -> Part {
        if !is_multitrack(&tag.tag) {
            return Part::Whole;
        }
        self.multitrack_at = Some(now);
        if self.version != Some(tag.version) {
            // What is in force with this tag is in force right before the next.
            let (_, join) = self.ring.cursor(Start::At(tag.seq + 1));
            self.mains = Mains::of(&join.configuration);
            self.version = Some(tag.version);
        }
        self.mains.part(&tag.tag)
    }

    /// Whether everybody is sent the same, as far as the last tags tell.
    pub(super) fn are_all(&self, now: i64) -> bool {
        self.multitrack_at
            .is_none_or(|then| now.saturating_sub(then) > ALIKE_AFTER)
    }
}

impl Mains {
    pub(super) fn of(configuration: &Configuration) -> Mains {
        Mains {
            audio: configuration.main_audio().map(|track| track.track),
            video: configuration.main_video().map(|track| track.track),
        }
    }

    /// What a tag holds of them.
    pub(super) fn part(self, tag: &Tag) -> Part {
        if !is_multitrack(tag) {
            return Part::Whole;
        }
        let main = if tag.is_video() {
            self.video
        } else {
            self.audio
        };
        let mut tracks = flv::tracks(tag);
        let track = main.and_then(|main| tracks.find(|track| track.id == main));
        let payload = track.and_then(|track| match *tag.info() {
            Info::Video(_) => video(tag, &track),
            Info::Audio(_) => audio(&track),
            Info::Data(_) => None,
        });
        payload.map_or(Part::Nothing, |payload| {
            Part::Instead(Tag::new(tag.kind, tag.dts, payload))
        })
    }
}

/// An ordinary payload: for H.264 as it always was, since who does not know many tracks may not
/// know FourCCs either.
fn video(tag: &Tag, track: &Track) -> Option<Bytes> {
    let Some(Codec::Video(codec)) = track.codec else {
        return None;
    };
    let frame = tag.payload.first()? >> 4 & 7;
    let number = match track.packet {
        Packet::Configuration => 0,
        Packet::Frame => 1,
        Packet::End => 2,
        Packet::Metadata => 4,
        Packet::TsConfiguration => 5,
        _ => return None,
    };
    let mut payload = BytesMut::with_capacity(8 + track.body.len());
    if codec == VideoCodec::Avc {
        if number > 2 {
            return None;
        }
        payload.put_slice(&[frame << 4 | 7, number]);
        put_composition(track, &mut payload);
    } else {
        payload.put_u8(0x80 | frame << 4 | number);
        payload.put_slice(&codec.fourcc()?.0);
        if number == 1 && matches!(codec, VideoCodec::Hevc | VideoCodec::Vvc) {
            put_composition(track, &mut payload);
        }
    }
    payload.put_slice(&track.body);
    Some(payload.freeze())
}

fn put_composition(track: &Track, payload: &mut BytesMut) {
    payload.put_slice(&track.composition.to_be_bytes()[1..]);
}

/// The same for audio, and AAC.
fn audio(track: &Track) -> Option<Bytes> {
    let Some(Codec::Audio(codec)) = track.codec else {
        return None;
    };
    let number = match track.packet {
        Packet::Configuration => 0,
        Packet::Frame => 1,
        Packet::End => 2,
        Packet::Multichannel => 4,
        _ => return None,
    };
    let mut payload = BytesMut::with_capacity(8 + track.body.len());
    if codec == AudioCodec::Aac {
        if number > 1 {
            return None;
        }
        payload.put_slice(&[0xAF, number]);
    } else {
        payload.put_u8(0x90 | number);
        payload.put_slice(&codec.fourcc()?.0);
    }
    payload.put_slice(&track.body);
    Some(payload.freeze())
}

#[cfg(test)]
mod tests {
    use flv::Kind;
    use media::{Epoch, Limits};

    use super::*;

    const BOTH: Mains = Mains {
        audio: Some(0),
        video: Some(0),
    };

    fn tag(kind: Kind, payload: &[u8]) -> Tag {
        Tag::new(kind, 40, Bytes::copy_from_slice(payload))
    }

    fn instead(kind: Kind, payload: &[u8]) -> Part {
        Part::Instead(tag(kind, payload))
    }

    #[test]
    fn ordinary_tags_stay_and_further_tracks_go() {
        for (kind, payload, part) in [
            (Kind::Video, &[0x17, 1, 0, 0, 0, 5][..], Part::Whole),
            (Kind::Video, b"\x91hvc1\0\0\0\x05", Part::Whole),
            (Kind::Audio, &[0xAF, 1, 5], Part::Whole),
            (Kind::Data, b"\x02\0\x0aonMetaData", Part::Whole),
            // One track, number 1.
            (Kind::Video, b"\x96\x01avc1\x01\0\0\0\x05", Part::Nothing),
            (Kind::Audio, b"\x95\x01mp4a\x01\x05", Part::Nothing),
        ] {
            assert_eq!(BOTH.part(&tag(kind, payload)), part, "{payload:x?}");
        }
        let none = Mains::default();
        let frame = tag(Kind::Audio, b"\x95\x01mp4a\0\x05");
        assert_eq!(none.part(&frame), Part::Nothing);
    }

    #[test]
    fn of_multitrack_packets_ordinary_tags_are_made() {
        for (kind, payload, ordinary) in [
            (
                Kind::Video,
                &b"\x96\x00avc1\0record"[..],
                &b"\x17\x00\0\0\0record"[..],
            ),
            (
                Kind::Video,
                b"\xA6\x01avc1\0\xFF\xFF\xFEframe",
                b"\x27\x01\xFF\xFF\xFEframe",
            ),
            // Frames that say they are shown when they are decoded.
            (Kind::Video, b"\xA6\x03avc1\0frame", b"\x27\x01\0\0\0frame"),
            (Kind::Video, b"\x96\x03hvc1\0frame", b"\x91hvc1\0\0\0frame"),
            (Kind::Video, b"\x96\x01av01\0frame", b"\x91av01frame"),
            (Kind::Audio, b"\x95\x00mp4a\0record", b"\xAF\0record"),
            (Kind::Audio, b"\x95\x01Opus\0frame", b"\x91Opusframe"),
            // Two tracks of one codec, the main one second.
            (
                Kind::Audio,
                b"\x95\x11mp4a\x01\0\0\x01x\0\0\0\x05frame",
                b"\xAF\x01frame",
            ),
            // Two tracks of two codecs.
            (
                Kind::Video,
                b"\x96\x21av01\x01\0\0\x01xavc1\0\0\0\x05\0\0\x07me",
                b"\x17\x01\0\0\x07me",
            ),
        ] {
            let part = BOTH.part(&tag(kind, payload));
            assert_eq!(part, instead(kind, ordinary), "{payload:x?}");
            let made = tag(kind, ordinary);
            let original = tag(kind, payload);
            assert_eq!(made.is_keyframe(), original.is_keyframe(), "{payload:x?}");
        }
    }

    #[test]
    fn the_main_track_is_the_lowest_of_its_moment() {
        let ring = Ring::new(Limits::default());
        let mut publisher = ring.begin(Epoch::new(1, 1), 0);
        for payload in [
            &b"\x95\x01.mp3\x02a"[..],
            b"\x95\x01.mp3\x01b",
            b"\x95\x01.mp3\x02c",
        ] {
            publisher.push(tag(Kind::Audio, payload), 0).expect("alone");
        }
        let mut main = MainTracks::new(ring.clone());
        assert!(main.are_all(0));
        let (mut cursor, _) = ring.cursor(Start::Oldest);
        let batch = cursor.read().expect("tags");
        let mut parts =
            |now| -> Vec<Part> { batch.iter().map(|tag| main.part(tag, now)).collect() };
        let expected = [
            instead(Kind::Audio, b"\x91.mp3a"),
            instead(Kind::Audio, b"\x91.mp3b"),
            Part::Nothing,
        ];
        assert_eq!(parts(0), expected);
        assert_eq!(parts(5), expected, "read again");
        assert!(!main.are_all(5 + ALIKE_AFTER));
        assert!(main.are_all(6 + ALIKE_AFTER));
    }
}
