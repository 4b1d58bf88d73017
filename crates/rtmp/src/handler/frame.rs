//! Media as the frame callbacks see it.

use bytes::{Buf, Bytes};
use codec::{AudioCodec, VideoCodec};
use flv::{Codec, Info, Packet, Tag, Track};

/// One track's part of a video tag.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoFrame {
    /// `None` if the packet names none that we know.
    pub codec: Option<VideoCodec>,
    /// Whether it is a coded picture, a configuration record, or something rarer.
    pub packet: Packet,
    /// Which track, 0 unless there are several.
    pub track: u8,
    /// Whether a decoder may start here.
    pub keyframe: bool,
    /// Decoding time in milliseconds.
    pub dts: u32,
    /// Presentation time less decoding time in milliseconds.
    pub composition: i32,
    /// What is behind the packet's header, shared.
    pub data: Bytes,
    nal_length: u8,
}

/// One track's part of an audio tag.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioFrame {
    /// `None` if the packet names none that we know.
    pub codec: Option<AudioCodec>,
    /// Whether it is coded audio, a configuration record, or something rarer.
    pub packet: Packet,
    /// Which track, 0 unless there are several.
    pub track: u8,
    /// Time in milliseconds.
    pub dts: u32,
    /// What is behind the packet's header, shared.
    pub data: Bytes,
}

impl VideoFrame {
    /// The NAL units of a coded picture in H.264, H.265 or H.266; of anything else, none. Ends
    /// early where a length does not fit.
    pub fn nal_units(&self) -> NalUnits {
        let has_units = matches!(
            self.codec,
            Some(VideoCodec::Avc | VideoCodec::Hevc | VideoCodec::Vvc)
        );
        let rest = if has_units && self.packet == Packet::Frame {
            self.data.clone()
        } else {
            Bytes::new()
        };
        NalUnits {
            rest,
            length: self.nal_length,
        }
    }

    pub(crate) fn new(tag: &Tag, track: Track, lengths: &NalLengths) -> Self {
        let codec = match track.codec {
            Some(Codec::Video(codec)) => Some(codec),
            _ => None,
        };
        let is_key = matches!(tag.info(), Info::Video(info) if info.frame.is_key());
        Self {
            codec,
            packet: track.packet,
            track: track.id,
            keyframe: is_key && track.packet == Packet::Frame,
            dts: tag.dts,
            composition: track.composition,
            data: track.body,
            nal_length: lengths.of(track.id),
        }
    }
}

impl AudioFrame {
    pub(crate) fn new(tag: &Tag, track: Track) -> Self {
        let codec = match track.codec {
            Some(Codec::Audio(codec)) => Some(codec),
            _ => None,
        };
        Self {
            codec,
            packet: track.packet,
            track: track.id,
            dts: tag.dts,
            data: track.body,
        }
    }
}

/// The NAL units of a picture, without their lengths. Made by [`VideoFrame::nal_units`].
#[derive(Debug, Clone)]
pub struct NalUnits {
    rest: Bytes,
    length: u8,
}

impl Iterator for NalUnits {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let size = usize::from(self.length);
        if self.rest.len() < size {
            return None;
        }
        let length = self.rest.get_uint(size);
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.rest.len());
        match length {
            Some(length) => Some(self.rest.split_to(length)),
            None => {
                self.rest.clear();
                None
            }
        }
    }
}

/// How many bytes say the length of a NAL unit, by track; the configuration record tells.
#[derive(Debug, Default)]
pub(crate) struct NalLengths(Vec<(u8, u8)>);

impl NalLengths {
    fn of(&self, track: u8) -> u8 {
        self.0
            .iter()
            .find(|(id, _)| *id == track)
            .map_or(4, |(_, length)| *length)
    }

    /// Notes what a configuration record says.
    pub(crate) fn learn(&mut self, track: &Track) {
        let (Packet::Configuration, Some(Codec::Video(codec))) = (track.packet, track.codec) else {
            return;
        };
        let bits = match codec {
            // ISO 14496-15: lengthSizeMinusOne.
            VideoCodec::Avc => track.body.get(4).copied(),
            VideoCodec::Hevc => track.body.get(21).copied(),
            VideoCodec::Vvc => track.body.first().map(|byte| byte >> 1),
            _ => None,
        };
        let Some(length) = bits.map(|bits| (bits & 3) + 1) else {
            return;
        };
        match self.0.iter_mut().find(|(id, _)| *id == track.id) {
            Some(entry) => entry.1 = length,
            None => self.0.push((track.id, length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use flv::Kind;

    use super::*;

    fn frame(lengths: &NalLengths, payload: &'static [u8]) -> VideoFrame {
        let tag = Tag::new(Kind::Video, 7, Bytes::from_static(payload));
        let track = flv::tracks(&tag).next().unwrap();
        VideoFrame::new(&tag, track, lengths)
    }

    #[test]
    fn nal_units_are_cut_by_the_length_size_of_the_record() {
        let mut lengths = NalLengths::default();
        let record = Tag::new(
            Kind::Video,
            0,
            Bytes::from_static(&[0x17, 0, 0, 0, 0, 1, 66, 0, 30, 0xfd, 0xe0, 0]),
        );
        lengths.learn(&flv::tracks(&record).next().unwrap());
        let frame = frame(&lengths, &[0x17, 1, 0, 0, 0, 0, 1, 0x65, 0, 2, 0x41, 0x42]);
        assert!(frame.keyframe);
        assert_eq!(
            frame.nal_units().collect::<Vec<_>>(),
            [&[0x65][..], &[0x41, 0x42]]
        );
    }

    #[test]
    fn a_length_beyond_the_picture_ends_it() {
        let frame = frame(
            &NalLengths::default(),
            &[
                0x27, 1, 0, 0, 0, 0, 0, 0, 1, 0x41, 0xff, 0xff, 0xff, 0xff, 1,
            ],
        );
        assert_eq!(frame.nal_units().count(), 1);
    }

    #[test]
    fn what_is_no_picture_has_no_units() {
        assert_eq!(
            frame(&NalLengths::default(), &[0x17, 0, 0, 0, 0, 0, 0, 0, 1, 9])
                .nal_units()
                .count(),
            0
        );
        assert_eq!(
            frame(&NalLengths::default(), &[0x22, 0, 0, 0, 1, 9])
                .nal_units()
                .count(),
            0
        );
    }
}
