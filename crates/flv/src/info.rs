//! What the head of a tag says, small enough to copy.

use codec::{AudioCodec, VideoCodec};

/// What the head of a tag says, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Info {
    /// Of an audio tag.
    Audio(AudioInfo),
    /// Of a video tag.
    Video(VideoInfo),
    /// Of a script data tag.
    Data(DataInfo),
}

/// The class of a tag's contents, the same for old and enhanced headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Packet {
    /// A decoder configuration record: sequence header, SequenceStart.
    Configuration,
    /// MPEG2TSSequenceStart: a configuration, but as the descriptor of a transport stream.
    TsConfiguration,
    /// Coded audio or video.
    Frame,
    /// The track ends; another sequence may follow.
    End,
    /// Video metadata, such as the colour information of HDR.
    Metadata,
    /// The layout of the audio channels.
    Multichannel,
    /// A video command (seek begins or ends); no picture.
    Command,
    /// A packet type that no specification we know names, with its number.
    Unknown(u8),
    /// The head is cut off, or breaks a rule that finding the body depends on.
    Malformed,
}

/// How a picture depends on others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// Decodes alone.
    Key,
    /// Needs earlier pictures.
    Inter,
    /// Needs earlier pictures and nothing needs it (H.263).
    Disposable,
    /// A keyframe that a server made.
    GeneratedKey,
    /// Not a picture but a command.
    Command,
    /// Reserved by the specification.
    Reserved,
}

/// How the tracks of a multitrack packet are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Multitrack {
    /// One track, with its number.
    OneTrack,
    /// Several tracks of one codec.
    ManyTracks,
    /// Several tracks, each with its own codec.
    ManyTracksManyCodecs,
}

/// The head of a video tag. In a packet of many tracks: of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoInfo {
    /// `None` for a legacy number that stands for nothing, and where the head names no codec.
    pub codec: Option<VideoCodec>,
    /// The class of the contents.
    pub packet: Packet,
    /// As the head says; meaningful where `packet` is [`Packet::Frame`].
    pub frame: FrameType,
    /// 0 unless the packet is multitrack.
    pub track: u8,
    /// The layout, if the packet is multitrack.
    pub multitrack: Option<Multitrack>,
    /// Whether the head is of Enhanced RTMP.
    pub enhanced: bool,
    /// Where the body begins in the payload.
    pub body: u16,
    /// Presentation time less decoding time in milliseconds.
    pub composition: i32,
    /// To be added to the time of the tag, in nanoseconds, below a million.
    pub nano_offset: u32,
}

/// The head of an audio tag. In a packet of many tracks: of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioInfo {
    /// `None` for a legacy number that stands for nothing, and where the head names no codec.
    pub codec: Option<AudioCodec>,
    /// The class of the contents.
    pub packet: Packet,
    /// 0 unless the packet is multitrack.
    pub track: u8,
    /// The layout, if the packet is multitrack.
    pub multitrack: Option<Multitrack>,
    /// Whether the head is of Enhanced RTMP.
    pub enhanced: bool,
    /// Where the body begins in the payload.
    pub body: u16,
    /// To be added to the time of the tag, in nanoseconds, below a million.
    pub nano_offset: u32,
    pub(crate) first: u8,
}

/// The sound format in the first byte of a legacy audio tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Samples per second.
    pub rate: u32,
    /// Bits per uncompressed sample.
    pub bits: u8,
    /// 1 or 2.
    pub channels: u8,
}

/// The head of a script data tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataInfo {
    /// What is told.
    pub event: Event,
    /// Whether the name follows an `@setDataFrame`.
    pub wrapped: bool,
    /// Where the values behind the name begin in the payload.
    pub body: u16,
}

/// What a script data tag tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// `onMetaData`.
    Metadata,
    /// `@clearDataFrame`: the metadata holds no longer.
    ClearMetadata,
    /// Any other name, or none.
    Other,
}

impl FrameType {
    /// Whether a decoder may start with such a picture.
    pub fn is_key(self) -> bool {
        matches!(self, Self::Key | Self::GeneratedKey)
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        match bits {
            1 => Self::Key,
            2 => Self::Inter,
            3 => Self::Disposable,
            4 => Self::GeneratedKey,
            5 => Self::Command,
            _ => Self::Reserved,
        }
    }
}

impl AudioInfo {
    /// The sound format of a legacy tag. It is what counts for PCM, MP3 and the like; AAC and
    /// Speex have fixed values here and the truth in their configuration.
    pub fn sound(self) -> Option<Sound> {
        if self.enhanced || self.codec.is_none() {
            return None;
        }
        // Annex E.4.2.1: the formats with a rate of their own leave the two bits at whatever.
        let rate = match self.first >> 4 {
            4 => 16_000,
            5 | 7 | 8 | 14 => 8_000,
            11 => 16_000,
            _ => [5_512, 11_025, 22_050, 44_100][usize::from(self.first >> 2 & 3)],
        };
        Some(Sound {
            rate,
            bits: if self.first & 2 == 0 { 8 } else { 16 },
            channels: 1 + (self.first & 1),
        })
    }
}
