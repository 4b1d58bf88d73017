//! What a track is, as its init segment tells it.

use bytes::Bytes;
use codec::{AudioCodec, VideoCodec};

/// A track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its number, which [`Run::track`](crate::Run::track) refers to; not 0.
    pub id: u32,
    /// How many units of time make a second.
    pub timescale: u32,
    /// What it carries.
    pub media: Media,
}

/// What a track carries, with the configuration record as the sequence headers of FLV have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// Pictures.
    Video {
        /// H.264, H.265, H.266, AV1, VP8 or VP9.
        codec: VideoCodec,
        /// The body of an avcC, hvcC, vvcC, av1C or vpcC.
        record: Bytes,
        /// Width of the coded picture in pixels.
        width: u32,
        /// Height of the coded picture in pixels.
        height: u32,
    },
    /// Sound.
    Audio {
        /// AAC, MP3, Opus, FLAC, AC-3 or E-AC-3.
        codec: AudioCodec,
        /// An AudioSpecificConfig; an OpusHead or dOps, or nothing; the stream information of
        /// FLAC; any frame of AC-3 or E-AC-3, for its header; nothing for MP3.
        record: Bytes,
        /// Channels of the decoded sound.
        channels: u32,
        /// Samples per second of the decoded sound.
        sample_rate: u32,
    },
}

/// Why there is no init segment for a track.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// The codec is not written to MP4.
    #[error("{0} is not written to MP4")]
    Codec(&'static str),
    /// The configuration record does not say what the init segment has to.
    #[error("the configuration of {codec} cannot be used")]
    Record {
        /// The name of the codec.
        codec: &'static str,
        /// What is wrong with it.
        #[source]
        source: codec::Error,
    },
}

impl Unsupported {
    pub(crate) fn record(codec: &'static str) -> impl Fn(codec::Error) -> Self {
        move |error| match error {
            codec::Error::Unsupported(_) => Self::Codec(codec),
            source => Self::Record { codec, source },
        }
    }
}
