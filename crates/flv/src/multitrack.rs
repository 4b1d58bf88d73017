//! The tracks of one packet (Enhanced RTMP v2, multitrack).

use bytes::Bytes;
use codec::{AudioCodec, FourCc, VideoCodec};

use crate::head::{self, Input};
use crate::info::{Info, Multitrack, Packet};
use crate::tag::Tag;

/// Their numbers are bytes, so a packet has no need for more.
const MAX_TRACKS: u16 = 256;

/// What a tag holds of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The number of the track; 0 where the packet is not multitrack.
    pub id: u8,
    /// `None` where the head names none that we know.
    pub codec: Option<Codec>,
    /// The class of the body.
    pub packet: Packet,
    /// Presentation time less decoding time in milliseconds.
    pub composition: i32,
    /// The record or coded frame, shared with the payload.
    pub body: Bytes,
}

/// The codec of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Of an audio track.
    Audio(AudioCodec),
    /// Of a video track.
    Video(VideoCodec),
}

/// The tracks of one tag, in the order of the packet. Made by [`tracks`].
#[derive(Clone, Debug)]
pub struct Tracks {
    rest: Rest,
}

#[derive(Clone, Debug)]
enum Rest {
    /// The tag is all one track's.
    One(Option<Track>),
    Many(Many),
}

#[derive(Clone, Debug)]
struct Many {
    /// Begins at the codec if each track has its own, else at the number of a track.
    bytes: Bytes,
    video: bool,
    /// The packet type, the same for all tracks.
    number: u8,
    /// The codec of all tracks, if they share it.
    codec: Option<Codec>,
    /// How many more tracks there may be.
    left: u16,
}

/// What `tag` holds, track by track: one for a plain tag, none for data. Ends early where a
/// length does not fit the packet, and after 256 tracks.
pub fn tracks(tag: &Tag) -> Tracks {
    let (layout, packet, codec) = match *tag.info() {
        Info::Audio(audio) => (
            audio.multitrack,
            audio.packet,
            audio.codec.map(Codec::Audio),
        ),
        Info::Video(video) => (
            video.multitrack,
            video.packet,
            video.codec.map(Codec::Video),
        ),
        Info::Data(_) => {
            return Tracks {
                rest: Rest::One(None),
            };
        }
    };
    let rest = match layout {
        None | Some(Multitrack::OneTrack) => Rest::One(Some(Track {
            id: tag.track(),
            codec,
            packet,
            composition: tag.composition(),
            body: tag.body(),
        })),
        Some(_) => Many::new(tag).map_or(Rest::One(None), Rest::Many),
    };
    Tracks { rest }
}

impl Iterator for Tracks {
    type Item = Track;

    fn next(&mut self) -> Option<Track> {
        match &mut self.rest {
            Rest::One(track) => track.take(),
            Rest::Many(many) => many.next(),
        }
    }
}

impl Many {
    fn new(tag: &Tag) -> Option<Self> {
        let video = tag.is_video();
        let mut input = Input::new(&tag.payload);
        let (layout, number) = head::layout(&mut input, video)?;
        let codec = match layout {
            Multitrack::ManyTracksManyCodecs => None,
            _ => Some(Codec::from_fourcc(input.fourcc()?, video)),
        };
        Some(Self {
            bytes: tag.payload.slice(input.at..),
            video,
            number,
            codec,
            left: MAX_TRACKS,
        })
    }

    fn next(&mut self) -> Option<Track> {
        self.left = self.left.checked_sub(1)?;
        let mut input = Input::new(&self.bytes);
        let codec = match self.codec {
            Some(codec) => codec,
            None => Codec::from_fourcc(input.fourcc()?, self.video),
        };
        let id = input.u8()?;
        let len = usize::try_from(input.u24()?).ok()?;
        let start = input.at;
        let whole = input.take(len)?;

        let mut inner = Input::new(whole);
        let (packet, composition) = match codec {
            Codec::Audio(_) => (head::audio_packet(self.number), 0),
            Codec::Video(codec) if head::has_composition(Some(codec), self.number) => {
                (head::video_packet(self.number), inner.i24()?)
            }
            Codec::Video(_) => (head::video_packet(self.number), 0),
        };
        let body = self.bytes.slice(start + inner.at..start + len);
        self.bytes = self.bytes.slice(start + len..);
        Some(Track {
            id,
            codec: Some(codec),
            packet,
            composition,
            body,
        })
    }
}

impl Codec {
    fn from_fourcc(fourcc: FourCc, video: bool) -> Self {
        if video {
            Self::Video(VideoCodec::from_fourcc(fourcc))
        } else {
            Self::Audio(AudioCodec::from_fourcc(fourcc))
        }
    }
}
