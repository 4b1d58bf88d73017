//! AAC with a header in front of each frame (ISO 14496-3, 1.A.2.2).

use bytes::BufMut;
use codec::aac;

use crate::Unsupported;

const HEADER: usize = 7;

/// The header has 13 bits for the length of the frame.
const LONGEST: usize = (1 << 13) - 1;

const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Samples of a frame, at the rate in its header.
const SAMPLES: u32 = 1024;

/// What is the same in the headers of all frames.
#[derive(Debug)]
pub(crate) struct Adts {
    profile: u8,
    rate_index: u8,
    rate: u32,
    channels: u8,
}

impl Adts {
    /// From an AudioSpecificConfig. Of HE-AAC the header tells what is below the replication, and
    /// decoders find the rest in the frames (ISO 14496-3, 1.6.6.1.1).
    pub(crate) fn new(record: &[u8]) -> Result<Self, Unsupported> {
        let config = aac::Configuration::parse(record).map_err(Unsupported::record("aac"))?;
        if !(1..=4).contains(&config.core_type) {
            return Err(Unsupported::Aac("an object type beyond the first four"));
        }
        if config.core_samples != Some(SAMPLES) {
            return Err(Unsupported::Aac("frames of 960 samples"));
        }
        if !(1..=7).contains(&config.channel_configuration) {
            return Err(Unsupported::Aac("an unusual channel configuration"));
        }
        let rate_index = RATES.iter().position(|&rate| rate == config.core_rate);
        let rate_index = rate_index.ok_or(Unsupported::Aac("an unusual sample rate"))?;
        Ok(Self {
            profile: config.core_type - 1,
            rate_index: rate_index as u8,
            rate: config.core_rate,
            channels: config.channel_configuration,
        })
    }

    pub(crate) fn fits(data: &[u8]) -> bool {
        (1..=LONGEST - HEADER).contains(&data.len())
    }

    /// Writes a frame that [fits](Self::fits).
    pub(crate) fn write(&self, out: &mut Vec<u8>, data: &[u8]) {
        let length = (HEADER + data.len()) as u16;
        out.put_slice(&[
            0xff,
            0xf1, // MPEG-4, no checksum.
            self.profile << 6 | self.rate_index << 2 | self.channels >> 2,
            self.channels << 6 | (length >> 11) as u8,
            (length >> 3) as u8,
            (length << 5) as u8 | 0x1f, // A buffer of unknown fullness, over two bytes,
            0xfc,                       // and one block.
        ]);
        out.put_slice(data);
    }

    /// How long so many frames last, in 1/90,000 s.
    pub(crate) fn duration(&self, frames: usize) -> u64 {
        frames as u64 * u64::from(SAMPLES) * 90_000 / u64::from(self.rate)
    }
}
