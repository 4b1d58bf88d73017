//! AAC: the AudioSpecificConfig (ISO 14496-3, 1.6.2.1).

use crate::bits::BitReader;
use crate::{AudioInfo, Error};

const AAC_LC: u8 = 2;
const SBR: u8 = 5;
const PARAMETRIC_STEREO: u8 = 29;
const AAC_LD: u8 = 23;

/// Table 1.18 of ISO 14496-3.
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// An AudioSpecificConfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The audio object type as signalled first: 2 is AAC-LC, 5 HE-AAC, 29 HE-AAC v2.
    pub object_type: u8,
    /// The object type of the core below SBR and PS; otherwise as `object_type`.
    pub core_type: u8,
    /// Samples per second of the core.
    pub core_rate: u32,
    /// Samples per second of the decoded sound: twice the core's with SBR.
    pub sample_rate: u32,
    /// `channelConfiguration`; 0 means that a program configuration element tells.
    pub channel_configuration: u8,
    /// Channels of the decoded sound; 0 when unknown.
    pub channels: u32,
    /// Whether spectral band replication is signalled.
    pub sbr: bool,
    /// Whether parametric stereo is signalled.
    pub ps: bool,
    /// Samples per channel in a frame of the core, for the object types that tell.
    pub core_samples: Option<u32>,
}

impl Configuration {
    /// Reads an AudioSpecificConfig.
    pub fn parse(record: &[u8]) -> Result<Self, Error> {
        let mut bits = BitReader::new(record);
        let object_type = object_type(&mut bits)?;
        let core_rate = sample_rate(&mut bits)?;
        let channel_configuration = bits.byte(4)?;
        let mut config = Self {
            object_type,
            core_type: object_type,
            core_rate,
            sample_rate: core_rate,
            channel_configuration,
            channels: channels(channel_configuration),
            sbr: false,
            ps: false,
            core_samples: None,
        };
        if matches!(object_type, SBR | PARAMETRIC_STEREO) {
            config.sbr = true;
            config.ps = object_type == PARAMETRIC_STEREO;
            config.sample_rate = sample_rate(&mut bits)?;
            config.core_type = self::object_type(&mut bits)?;
            if config.core_type == 22 {
                bits.skip(4)?; // Channels of the extension.
            }
        }
        // 17 and 19 to 23 are the error resilient ones; their tail is not looked at.
        if matches!(config.core_type, 1..=4 | 6 | 7 | 17 | 19..=23) {
            config.general(&mut bits)?;
            if config.core_type == AAC_LC && !config.sbr {
                // The record is whole without the extension, so it may end in it.
                let _ = config.extension(&mut bits);
            }
        }
        // Parametric stereo makes two channels of one.
        if config.ps && config.channels == 1 {
            config.channels = 2;
        }
        Ok(config)
    }

    /// Table 4.1, `GASpecificConfig`.
    fn general(&mut self, bits: &mut BitReader<'_>) -> Result<(), Error> {
        let short = bits.flag()?;
        self.core_samples = Some(match (self.core_type, short) {
            (AAC_LD, false) => 512,
            (AAC_LD, true) => 480,
            (_, false) => 1024,
            (_, true) => 960,
        });
        if bits.flag()? {
            bits.skip(14)?; // coreCoderDelay
        }
        bits.skip(1)?; // extensionFlag
        if self.channel_configuration == 0 {
            self.channels = program_channels(bits)?;
        }
        Ok(())
    }

    /// SBR and PS announced behind the rest, where decoders without them do not look.
    fn extension(&mut self, bits: &mut BitReader<'_>) -> Result<(), Error> {
        if bits.bits(11)? != 0x2b7 || object_type(bits)? != SBR || !bits.flag()? {
            return Ok(());
        }
        self.sample_rate = sample_rate(bits)?;
        self.sbr = true;
        if bits.bits(11)? == 0x548 {
            self.ps = bits.flag()?;
        }
        Ok(())
    }

    /// The codec as RFC 6381 writes it: `mp4a.40.2`.
    pub fn codec_string(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }

    /// Samples per channel in a frame of the decoded sound: 1024, 960, or twice that with SBR.
    pub fn samples_per_frame(&self) -> Option<u32> {
        let factor = if self.sbr {
            self.sample_rate / self.core_rate.max(1)
        } else {
            1
        };
        self.core_samples
            .map(|samples| samples * factor.clamp(1, 2))
    }

    pub(crate) fn info(&self) -> AudioInfo {
        AudioInfo {
            codec_string: self.codec_string(),
            sample_rate: self.sample_rate,
            channels: self.channels,
            samples_per_frame: self.samples_per_frame(),
        }
    }
}

fn object_type(bits: &mut BitReader<'_>) -> Result<u8, Error> {
    match bits.byte(5)? {
        0 => Err(Error::Invalid("audio object type")),
        31 => Ok(32 + bits.byte(6)?),
        object_type => Ok(object_type),
    }
}

fn sample_rate(bits: &mut BitReader<'_>) -> Result<u32, Error> {
    let rate = match bits.bits(4)? {
        15 => bits.bits(24)?,
        index => SAMPLE_RATES.get(index as usize).copied().unwrap_or(0),
    };
    if rate == 0 {
        Err(Error::Invalid("sample rate"))
    } else {
        Ok(rate)
    }
}

/// Table 1.19 of ISO 14496-3.
fn channels(configuration: u8) -> u32 {
    match configuration {
        1..=6 => configuration.into(),
        7 | 12 | 14 => 8,
        11 => 7,
        13 => 24,
        _ => 0,
    }
}

/// Table 4.2, `program_config_element`.
fn program_channels(bits: &mut BitReader<'_>) -> Result<u32, Error> {
    bits.skip(4 + 2 + 4)?; // Tag, object type, sample rate.
    let speakers = bits.bits(4)? + bits.bits(4)? + bits.bits(4)?; // Front, side, back.
    let (low, data, coupling) = (bits.bits(2)?, bits.bits(3)?, bits.bits(4)?);
    for mixdown_bits in [4, 4, 3] {
        if bits.flag()? {
            bits.skip(mixdown_bits)?;
        }
    }
    let mut channels = low;
    for _ in 0..speakers {
        channels += if bits.flag()? { 2 } else { 1 };
        bits.skip(4)?;
    }
    bits.skip((4 * low + 4 * data + 5 * coupling) as usize)?;
    bits.align();
    let comment = bits.bits(8)? as usize;
    bits.skip(8 * comment)?;
    Ok(channels)
}
