//! What a configuration record says about its track, in one shape for all codecs.

use crate::{AudioCodec, Error, VideoCodec, aac, av1, avc, flac, hevc, mp3, opus, vp9, vvc};

/// What the configuration record of a video track says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoInfo {
    /// The codec as RFC 6381 writes it: `avc1.64001f`.
    pub codec_string: String,
    /// Width of the visible picture in pixels; 0 when the record does not tell.
    pub width: u32,
    /// Height of the visible picture in pixels; 0 when the record does not tell.
    pub height: u32,
    /// Frames per second as numerator and denominator, when the record tells.
    pub frame_rate: Option<(u32, u32)>,
    /// Bytes of the length in front of each NAL unit (1 to 4), for codecs that have them.
    pub nal_length_size: Option<u8>,
}

/// What the configuration record of an audio track says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioInfo {
    /// The codec as RFC 6381 writes it: `mp4a.40.2`.
    pub codec_string: String,
    /// Samples per second of the decoded sound; 0 when the record does not tell.
    pub sample_rate: u32,
    /// Channels of the decoded sound; 0 when the record does not tell.
    pub channels: u32,
    /// Samples per channel in one frame, at `sample_rate`; `None` when frames differ.
    pub samples_per_frame: Option<u32>,
}

/// Reads the configuration record of a video track: an avcC, hvcC, vvcC, av1C or vpcC.
///
/// A record whose parameter set cannot be read still names its codec; its size is 0 then.
pub fn video_info(codec: VideoCodec, configuration: &[u8]) -> Result<VideoInfo, Error> {
    match codec {
        VideoCodec::Avc => avc::Configuration::parse(configuration).map(|record| record.info()),
        VideoCodec::Hevc => hevc::Configuration::parse(configuration).map(|record| record.info()),
        VideoCodec::Vvc => vvc::Configuration::parse(configuration).map(|record| record.info()),
        VideoCodec::Av1 => av1::Configuration::parse(configuration).map(|record| record.info()),
        VideoCodec::Vp8 => vp9::Configuration::parse(configuration).map(|it| it.info("vp08")),
        VideoCodec::Vp9 => vp9::Configuration::parse(configuration).map(|it| it.info("vp09")),
        _ => Err(Error::Unsupported(codec.name())),
    }
}

/// The size of the pictures, as a keyframe tells it in codecs whose records do not, or not
/// always: VP8, VP9 and AV1.
pub fn keyframe_size(codec: VideoCodec, keyframe: &[u8]) -> Option<(u32, u32)> {
    let size = match codec {
        VideoCodec::Vp8 => vp9::vp8_keyframe_size(keyframe),
        VideoCodec::Vp9 => vp9::keyframe_size(keyframe),
        VideoCodec::Av1 => {
            av1::SequenceHeader::find(keyframe).map(|header| (header.width, header.height))
        }
        _ => None,
    };
    size.filter(|&(width, height)| width > 0 && height > 0)
}

/// Reads the configuration record of an audio track: an AudioSpecificConfig, OpusHead or dOps,
/// or the FLAC stream information.
///
/// MP3, AC-3 and E-AC-3 have none, but a name: for MP3 any frame tells the rest, and of the
/// other two `configuration` is not looked at.
pub fn audio_info(codec: AudioCodec, configuration: &[u8]) -> Result<AudioInfo, Error> {
    match codec {
        AudioCodec::Aac => aac::Configuration::parse(configuration).map(|record| record.info()),
        AudioCodec::Opus => opus::Configuration::parse(configuration).map(|record| record.info()),
        AudioCodec::Flac => flac::Configuration::parse(configuration).map(|record| record.info()),
        AudioCodec::Mp3 => {
            let header = mp3::header(configuration).map(|header| header.info());
            Ok(header.unwrap_or_else(|| name_alone("mp4a.40.34", None)))
        }
        // Each frame has six blocks of 256 samples; in E-AC-3 it may have fewer.
        AudioCodec::Ac3 => Ok(name_alone("ac-3", Some(6 * 256))),
        AudioCodec::Eac3 => Ok(name_alone("ec-3", None)),
        _ => Err(Error::Unsupported(codec.name())),
    }
}

fn name_alone(codec_string: &str, samples_per_frame: Option<u32>) -> AudioInfo {
    AudioInfo {
        codec_string: codec_string.to_owned(),
        sample_rate: 0,
        channels: 0,
        samples_per_frame,
    }
}
