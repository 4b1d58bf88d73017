//! What is given: tracks and their frames.

use bytes::Bytes;
use codec::{AudioCodec, VideoCodec};

/// A track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its number, which [`Frame::track`] refers to.
    pub id: u32,
    /// What it carries.
    pub media: Media,
}

/// What a track carries, with the configuration record as the sequence headers of FLV have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// Pictures.
    Video {
        /// H.264 or H.265.
        codec: VideoCodec,
        /// The body of an avcC or hvcC.
        record: Bytes,
    },
    /// Sound.
    Audio {
        /// AAC, MP3, Opus, AC-3 or E-AC-3.
        codec: AudioCodec,
        /// An AudioSpecificConfig; an OpusHead or dOps, or nothing for stereo; nothing for the
        /// others.
        record: Bytes,
    },
}

/// A coded picture or frame of sound. Times are in 1/90,000 s and go on where the 33 bits that a
/// stream has for them wrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The number of the track.
    pub track: u32,
    /// When it is decoded.
    pub dts: u64,
    /// When it is shown or heard.
    pub pts: u64,
    /// Whether a decoder may start with it, as with any frame of sound.
    pub keyframe: bool,
    /// As FLV has it: NAL units with their lengths, raw AAC, a packet of Opus, a frame of MP3.
    pub data: Bytes,
}

/// Why tracks cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// The codec has no place in a transport stream, or none that players know.
    #[error("transport streams do not carry {0}; fragmented MP4 may")]
    Codec(&'static str),
    /// The configuration record cannot be read.
    #[error("the configuration of {codec} cannot be used")]
    Record {
        /// The name of the codec.
        codec: &'static str,
        /// What is wrong with it.
        #[source]
        source: codec::Error,
    },
    /// ADTS, the form that AAC has here, cannot tell this; what it is.
    #[error("transport streams do not carry AAC with {0}; fragmented MP4 may")]
    Aac(&'static str),
    /// Opus whose channels are not in the order that streams can tell.
    #[error("transport streams do not carry Opus with an unusual channel mapping")]
    OpusChannels,
    /// More tracks than one packet of tables holds.
    #[error("more tracks than a programme has room for")]
    Tracks,
}

impl Unsupported {
    pub(crate) fn record(codec: &'static str) -> impl Fn(codec::Error) -> Self {
        move |source| Self::Record { codec, source }
    }
}
