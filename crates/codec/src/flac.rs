//! FLAC: the stream information (RFC 9639, 8.2).

use crate::bits::BitReader;
use crate::{AudioInfo, Error};

/// The stream information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Samples per channel in the smallest and in the largest block.
    pub block_size: (u32, u32),
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels, 1 to 8.
    pub channels: u32,
    /// Bits per sample, 4 to 32.
    pub bits_per_sample: u8,
}

impl Configuration {
    /// Reads the stream information, with or without the marker and block header before it.
    ///
    /// Enhanced RTMP asks for them; FFmpeg sends the 34 bytes alone.
    pub fn parse(record: &[u8]) -> Result<Self, Error> {
        const BLOCK_HEADER_LEN: usize = 4;
        let record = match record.strip_prefix(b"fLaC") {
            Some(block) => block.get(BLOCK_HEADER_LEN..).ok_or(Error::Truncated)?,
            None => record,
        };
        let mut bits = BitReader::new(record);
        let block_size = (bits.bits(16)?, bits.bits(16)?);
        bits.skip(24 + 24)?; // Frame sizes.
        let sample_rate = bits.bits(20)?;
        if sample_rate == 0 {
            return Err(Error::Invalid("sample rate"));
        }
        let channels = bits.bits(3)? + 1;
        let bits_per_sample = bits.byte(5)? + 1;
        Ok(Self {
            block_size,
            sample_rate,
            channels,
            bits_per_sample,
        })
    }

    pub(crate) fn info(&self) -> AudioInfo {
        let (smallest, largest) = self.block_size;
        AudioInfo {
            codec_string: "fLaC".to_owned(),
            sample_rate: self.sample_rate,
            channels: self.channels,
            samples_per_frame: (smallest == largest && largest > 0).then_some(largest),
        }
    }
}
