//! The tag.

use std::fmt;

use bytes::Bytes;

use crate::info::{DataInfo, Event, Info, Packet};
use crate::multitrack::Codec;
use crate::{head, multitrack};

/// What a tag carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Tag type 8.
    Audio,
    /// Tag type 9.
    Video,
    /// Tag type 18: a name and values in AMF0.
    Data,
}

/// One timed piece of a stream: an audio frame, a picture, a configuration record, metadata.
///
/// Cloning shares the payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Tag {
    /// What it carries.
    pub kind: Kind,
    /// Decoding time in milliseconds.
    pub dts: u32,
    /// All that stands behind the tag header in a file, and behind the message header in RTMP.
    pub payload: Bytes,
    info: Info,
}

impl Kind {
    /// The number of the tag type, which is also that of the RTMP message type.
    pub fn id(self) -> u8 {
        match self {
            Self::Audio => 8,
            Self::Video => 9,
            Self::Data => 18,
        }
    }

    /// The kind with the number `id`.
    pub fn from_id(id: u8) -> Option<Self> {
        match id {
            8 => Some(Self::Audio),
            9 => Some(Self::Video),
            18 => Some(Self::Data),
            _ => None,
        }
    }
}

impl Tag {
    /// Reads the head of `payload`. Any payload makes a tag: what the head does not tell is
    /// unknown in its [`Info`].
    pub fn new(kind: Kind, dts: u32, payload: Bytes) -> Self {
        let info = match kind {
            Kind::Audio => Info::Audio(head::audio(&payload)),
            Kind::Video => Info::Video(head::video(&payload)),
            Kind::Data => Info::Data(head::data(&payload)),
        };
        Self {
            kind,
            dts,
            payload,
            info,
        }
    }

    /// The same tag at another time.
    pub fn with_dts(self, dts: u32) -> Self {
        Self { dts, ..self }
    }

    /// What the head says.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The class of the contents; `None` for data.
    pub fn packet(&self) -> Option<Packet> {
        match self.info {
            Info::Audio(audio) => Some(audio.packet),
            Info::Video(video) => Some(video.packet),
            Info::Data(_) => None,
        }
    }

    /// Whether it is a video tag.
    pub fn is_video(&self) -> bool {
        self.kind == Kind::Video
    }

    /// Whether it is an audio tag.
    pub fn is_audio(&self) -> bool {
        self.kind == Kind::Audio
    }

    /// Whether it is an `onMetaData`, wrapped or bare.
    pub fn is_metadata(&self) -> bool {
        matches!(
            self.info,
            Info::Data(DataInfo {
                event: Event::Metadata,
                ..
            })
        )
    }

    /// Whether a decoder may start with this picture. A configuration record is no picture, even
    /// though its frame type says keyframe.
    pub fn is_keyframe(&self) -> bool {
        matches!(self.info, Info::Video(video) if video.packet == Packet::Frame && video.frame.is_key())
    }

    /// Whether it is the configuration record of a track.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self.packet(),
            Some(Packet::Configuration | Packet::TsConfiguration)
        )
    }

    /// Whether it is coded audio or video.
    pub fn is_frame(&self) -> bool {
        self.packet() == Some(Packet::Frame)
    }

    /// Whether it ends a track, by its own words; [`ends`](Self::ends) tells which.
    pub fn is_end(&self) -> bool {
        self.packet() == Some(Packet::End)
    }

    /// Whether it ends the track with number `track`, which is in `codec`.
    ///
    /// The codec counts: there are encoders that end their second track with a legacy tag, which
    /// has no track number and so seems to speak of the first.
    pub fn ends(&self, track: u8, codec: Codec) -> bool {
        self.is_end()
            && multitrack::tracks(self).any(|part| part.id == track && part.codec == Some(codec))
    }

    /// The number of the track, 0 unless the packet is multitrack; of many tracks, the first.
    pub fn track(&self) -> u8 {
        match self.info {
            Info::Audio(audio) => audio.track,
            Info::Video(video) => video.track,
            Info::Data(_) => 0,
        }
    }

    /// Whether the packet holds several tracks: see [`tracks`](crate::tracks()).
    pub fn has_many_tracks(&self) -> bool {
        use crate::info::Multitrack::OneTrack;
        match self.info {
            Info::Audio(audio) => audio.multitrack.is_some_and(|layout| layout != OneTrack),
            Info::Video(video) => video.multitrack.is_some_and(|layout| layout != OneTrack),
            Info::Data(_) => false,
        }
    }

    /// Presentation time less decoding time in milliseconds; 0 for anything but a picture.
    pub fn composition(&self) -> i32 {
        match self.info {
            Info::Video(video) => video.composition,
            _ => 0,
        }
    }

    /// Nanoseconds to be added to `dts`, below a million (ModEx of Enhanced RTMP).
    pub fn nano_offset(&self) -> u32 {
        match self.info {
            Info::Audio(audio) => audio.nano_offset,
            Info::Video(video) => video.nano_offset,
            Info::Data(_) => 0,
        }
    }

    /// The payload behind its head, shared: the record, the coded frame, the values. Of many
    /// tracks, the first's.
    pub fn body(&self) -> Bytes {
        if self.has_many_tracks() {
            return multitrack::tracks(self)
                .next()
                .map(|track| track.body)
                .unwrap_or_default();
        }
        let start = match self.info {
            Info::Audio(audio) => audio.body,
            Info::Video(video) => video.body,
            Info::Data(data) => data.body,
        };
        self.payload
            .slice(usize::from(start).min(self.payload.len())..)
    }

    /// The body of the track with number `track`, if the tag has something of it.
    pub fn track_body(&self, track: u8) -> Option<Bytes> {
        multitrack::tracks(self)
            .find(|part| part.id == track)
            .map(|part| part.body)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the bytes: a line of a log has no room for a picture.
        f.debug_struct("Tag")
            .field("dts", &self.dts)
            .field("info", &self.info)
            .field("len", &self.payload.len())
            .finish()
    }
}
