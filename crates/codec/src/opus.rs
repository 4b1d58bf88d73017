//! Opus: the identification header (RFC 7845, 5.1), the dOps box, and the length of a packet.

use crate::bits::ByteReader;
use crate::{AudioInfo, Error};

/// What Opus always decodes to, in samples per second.
pub const SAMPLE_RATE: u32 = 48_000;

/// RFC 6716, 3.2.5: no packet is longer than 120 ms.
const MAX_PACKET_SAMPLES: u32 = 5_760;

/// An identification header, be it an OpusHead or a dOps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// Channels of the decoded sound.
    pub channels: u8,
    /// Samples at 48 kHz to drop at the start.
    pub pre_skip: u16,
    /// The rate of the sound before it was encoded; it says nothing about decoding.
    pub input_rate: u32,
    /// The gain to apply, in 1/256 dB.
    pub gain: i16,
    /// The channel mapping family; 0 is mono or stereo.
    pub mapping_family: u8,
    /// For families other than 0: stream count, coupled count and one byte per channel.
    pub mapping: &'a [u8],
}

impl<'a> Configuration<'a> {
    /// Reads an OpusHead, which starts with its magic, or a dOps, which has none.
    pub fn parse(record: &'a [u8]) -> Result<Self, Error> {
        let magic = record.strip_prefix(b"OpusHead");
        let little = magic.is_some();
        let mut reader = ByteReader(magic.unwrap_or(record));
        // RFC 7845, 5.1: versions up to 15 stay compatible. A dOps has version 0.
        if reader.u8()? > if little { 15 } else { 0 } {
            return Err(Error::Invalid("Opus version"));
        }
        let channels = reader.u8()?;
        if channels == 0 {
            return Err(Error::Invalid("Opus channels"));
        }
        let (pre_skip, input_rate, gain) = (reader.array()?, reader.array()?, reader.array()?);
        let mapping_family = reader.u8()?;
        let mapping = match mapping_family {
            0 if channels > 2 => return Err(Error::Invalid("Opus channels")),
            0 => &[],
            _ => reader.take(2 + usize::from(channels))?,
        };
        let (pre_skip, input_rate, gain) = if little {
            (
                u16::from_le_bytes(pre_skip),
                u32::from_le_bytes(input_rate),
                i16::from_le_bytes(gain),
            )
        } else {
            (
                u16::from_be_bytes(pre_skip),
                u32::from_be_bytes(input_rate),
                i16::from_be_bytes(gain),
            )
        };
        Ok(Self {
            channels,
            pre_skip,
            input_rate,
            gain,
            mapping_family,
            mapping,
        })
    }

    pub(crate) fn info(&self) -> AudioInfo {
        AudioInfo {
            codec_string: "opus".to_owned(),
            sample_rate: SAMPLE_RATE,
            channels: self.channels.into(),
            samples_per_frame: None,
        }
    }
}

/// How long a packet lasts, in samples at 48 kHz (RFC 6716, 3.1); `None` if it is none.
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    let &toc = packet.first()?;
    let frame = match toc >> 3 {
        // SILK: 10, 20, 40, 60 ms.
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config % 4)],
        // Hybrid: 10, 20 ms.
        config @ 12..=15 => [480, 960][usize::from(config % 2)],
        // CELT: 2.5, 5, 10, 20 ms.
        config => [120, 240, 480, 960][usize::from(config % 4)],
    };
    let frames = match toc & 0x03 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (1..=MAX_PACKET_SAMPLES)
        .contains(&samples)
        .then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_tells_its_length() {
        assert_eq!(packet_samples(&[]), None);
        assert_eq!(packet_samples(&[31 << 3]), Some(960));
        assert_eq!(packet_samples(&[16 << 3]), Some(120));
        assert_eq!(packet_samples(&[3 << 3]), Some(2880));
        assert_eq!(packet_samples(&[13 << 3 | 1]), Some(1920));
        assert_eq!(packet_samples(&[31 << 3 | 3, 6]), Some(5760));
        assert_eq!(packet_samples(&[31 << 3 | 3, 7]), None);
        assert_eq!(packet_samples(&[31 << 3 | 3, 0]), None);
        assert_eq!(packet_samples(&[31 << 3 | 3]), None);
    }

    #[test]
    fn reads_both_byte_orders() {
        let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
        let dops = b"\x00\x02\x01\x38\0\0\xbb\x80\0\0\0";
        let config = Configuration::parse(head).unwrap();
        assert_eq!(config.pre_skip, 312);
        assert_eq!(config.input_rate, 48_000);
        assert_eq!(Configuration::parse(dops), Ok(config));
    }
}
