//! Which codec a track is in.

use crate::FourCc;

/// The codec of a video track: those of FLV's codec ids and of Enhanced RTMP's FourCCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// Sorenson Spark, a variant of H.263 (FLV codec id 2).
    SorensonH263,
    /// Screen video (FLV codec id 3).
    ScreenVideo,
    /// Screen video, second version (FLV codec id 6).
    ScreenVideo2,
    /// On2 VP6 (FLV codec id 4).
    Vp6,
    /// On2 VP6 with an alpha channel (FLV codec id 5).
    Vp6Alpha,
    /// H.264.
    Avc,
    /// H.265.
    Hevc,
    /// H.266.
    Vvc,
    /// AV1.
    Av1,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// A codec we do not know; it is passed on untouched.
    Other(FourCc),
}

impl VideoCodec {
    /// The codec of an Enhanced RTMP FourCC.
    pub fn from_fourcc(fourcc: FourCc) -> Self {
        match &fourcc.0 {
            b"avc1" => Self::Avc,
            b"hvc1" => Self::Hevc,
            b"vvc1" => Self::Vvc,
            b"av01" => Self::Av1,
            b"vp08" => Self::Vp8,
            b"vp09" => Self::Vp9,
            _ => Self::Other(fourcc),
        }
    }

    /// Its Enhanced RTMP FourCC; `None` for codecs that only FLV's codec ids can name.
    pub fn fourcc(self) -> Option<FourCc> {
        let fourcc = match self {
            Self::Avc => *b"avc1",
            Self::Hevc => *b"hvc1",
            Self::Vvc => *b"vvc1",
            Self::Av1 => *b"av01",
            Self::Vp8 => *b"vp08",
            Self::Vp9 => *b"vp09",
            Self::Other(fourcc) => return Some(fourcc),
            Self::SorensonH263
            | Self::ScreenVideo
            | Self::ScreenVideo2
            | Self::Vp6
            | Self::Vp6Alpha => return None,
        };
        Some(FourCc(fourcc))
    }

    /// Its name in logs, metrics and the interface: `"avc"`, `"hevc"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SorensonH263 => "sorenson-h263",
            Self::ScreenVideo => "screen-video",
            Self::ScreenVideo2 => "screen-video-2",
            Self::Vp6 => "vp6",
            Self::Vp6Alpha => "vp6-alpha",
            Self::Avc => "avc",
            Self::Hevc => "hevc",
            Self::Vvc => "vvc",
            Self::Av1 => "av1",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
            Self::Other(_) => "other",
        }
    }

    /// Whether no frame can be decoded before a configuration record was seen.
    pub fn needs_configuration(self) -> bool {
        matches!(self, Self::Avc | Self::Hevc | Self::Vvc | Self::Av1)
    }
}

/// The codec of an audio track: those of FLV's sound formats and of Enhanced RTMP's FourCCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// Linear PCM in the byte order of the encoder (FLV sound format 0).
    Pcm,
    /// ADPCM (FLV sound format 1).
    Adpcm,
    /// MP3 (FLV sound formats 2 and 14).
    Mp3,
    /// Linear PCM, little endian (FLV sound format 3).
    PcmLe,
    /// Nellymoser (FLV sound formats 4, 5 and 6).
    Nellymoser,
    /// G.711 A-law (FLV sound format 7).
    G711A,
    /// G.711 mu-law (FLV sound format 8).
    G711Mu,
    /// AAC.
    Aac,
    /// Speex (FLV sound format 11).
    Speex,
    /// Opus.
    Opus,
    /// FLAC.
    Flac,
    /// AC-3.
    Ac3,
    /// E-AC-3.
    Eac3,
    /// A codec we do not know; it is passed on untouched.
    Other(FourCc),
}

impl AudioCodec {
    /// The codec of an Enhanced RTMP FourCC.
    pub fn from_fourcc(fourcc: FourCc) -> Self {
        match &fourcc.0 {
            b".mp3" => Self::Mp3,
            b"mp4a" => Self::Aac,
            b"Opus" => Self::Opus,
            b"fLaC" => Self::Flac,
            b"ac-3" => Self::Ac3,
            b"ec-3" => Self::Eac3,
            _ => Self::Other(fourcc),
        }
    }

    /// Its Enhanced RTMP FourCC; `None` for codecs that only FLV's sound formats can name.
    pub fn fourcc(self) -> Option<FourCc> {
        let fourcc = match self {
            Self::Mp3 => *b".mp3",
            Self::Aac => *b"mp4a",
            Self::Opus => *b"Opus",
            Self::Flac => *b"fLaC",
            Self::Ac3 => *b"ac-3",
            Self::Eac3 => *b"ec-3",
            Self::Other(fourcc) => return Some(fourcc),
            Self::Pcm
            | Self::Adpcm
            | Self::PcmLe
            | Self::Nellymoser
            | Self::G711A
            | Self::G711Mu
            | Self::Speex => return None,
        };
        Some(FourCc(fourcc))
    }

    /// Its name in logs, metrics and the interface: `"aac"`, `"opus"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcm => "pcm",
            Self::Adpcm => "adpcm",
            Self::Mp3 => "mp3",
            Self::PcmLe => "pcm-le",
            Self::Nellymoser => "nellymoser",
            Self::G711A => "g711a",
            Self::G711Mu => "g711mu",
            Self::Aac => "aac",
            Self::Speex => "speex",
            Self::Opus => "opus",
            Self::Flac => "flac",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
            Self::Other(_) => "other",
        }
    }

    /// Whether no frame can be decoded before a configuration record was seen.
    pub fn needs_configuration(self) -> bool {
        matches!(self, Self::Aac | Self::Flac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fourccs_survive_the_round_trip() {
        for fourcc in [
            b"avc1", b"hvc1", b"vvc1", b"av01", b"vp08", b"vp09", b"wxyz",
        ] {
            let codec = VideoCodec::from_fourcc(FourCc(*fourcc));
            assert_eq!(codec.fourcc(), Some(FourCc(*fourcc)));
        }
        for fourcc in [
            b".mp3", b"mp4a", b"Opus", b"fLaC", b"ac-3", b"ec-3", b"wxyz",
        ] {
            let codec = AudioCodec::from_fourcc(FourCc(*fourcc));
            assert_eq!(codec.fourcc(), Some(FourCc(*fourcc)));
        }
        assert_eq!(
            VideoCodec::from_fourcc(FourCc(*b"wxyz")),
            VideoCodec::Other(FourCc(*b"wxyz"))
        );
        assert_eq!(VideoCodec::Vp6.fourcc(), None);
        assert_eq!(AudioCodec::Speex.fourcc(), None);
    }
}
