//! MPEG audio: the header in front of each frame (ISO 11172-3, 2.4.1.3).

use crate::AudioInfo;

/// What the header of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The layer, 1 to 3; MP3 is the third.
    pub layer: u8,
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels, 1 or 2.
    pub channels: u32,
    /// Samples per channel in the frame.
    pub samples: u32,
}

/// Reads the header that starts a frame; `None` if it is none.
pub fn header(frame: &[u8]) -> Option<Header> {
    let &[sync, second, third, fourth] = frame.first_chunk()?;
    if sync != 0xff || second & 0xe0 != 0xe0 {
        return None;
    }
    // MPEG-2 halves the rates of MPEG-1, and MPEG-2.5 halves them again.
    let shift = match second >> 3 & 0x03 {
        0 => 2,
        2 => 1,
        3 => 0,
        _ => return None,
    };
    let layer = match second >> 1 & 0x03 {
        0 => return None,
        complement => 4 - complement,
    };
    const BAD_BIT_RATE: u8 = 15;
    if third >> 4 == BAD_BIT_RATE {
        return None;
    }
    let rate: u32 = *[44_100, 48_000, 32_000].get(usize::from(third >> 2 & 0x03))?;
    let samples = match (layer, shift) {
        (1, _) => 384,
        (3, 1..) => 576,
        _ => 1152,
    };
    let channels = if fourth >> 6 == 3 { 1 } else { 2 };
    Some(Header {
        layer,
        sample_rate: rate >> shift,
        channels,
        samples,
    })
}

impl Header {
    pub(crate) fn info(&self) -> AudioInfo {
        AudioInfo {
            // ISO 14496-3 table 1.1: layers 1 to 3 are the object types 32 to 34.
            codec_string: format!("mp4a.40.{}", 31 + self.layer),
            sample_rate: self.sample_rate,
            channels: self.channels,
            samples_per_frame: Some(self.samples),
        }
    }
}
