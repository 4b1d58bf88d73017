//! H.266: the head of the vvcC record (ISO 14496-15, 11.2.4.2), which tells the picture size.

use crate::bits::BitReader;
use crate::{Error, VideoInfo};

/// What a VvcDecoderConfigurationRecord says in front of its parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Bytes of the length in front of each NAL unit, 1 to 4.
    pub nal_length_size: u8,
    /// Profile, level and size, when the record has them.
    pub profile: Option<Profile>,
}

/// The profile, tier and level of a VVC stream, and the size of its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// `general_profile_idc`: 1 is Main 10.
    pub profile: u8,
    /// `general_tier_flag`: the high tier.
    pub high_tier: bool,
    /// `general_level_idc`: 16 times the level, plus 3 per minor.
    pub level: u8,
    /// The largest width in pixels.
    pub width: u32,
    /// The largest height in pixels.
    pub height: u32,
}

impl Configuration {
    /// Reads the head of a vvcC.
    pub fn parse(record: &[u8]) -> Result<Self, Error> {
        let mut bits = BitReader::new(record);
        bits.skip(5)?;
        let nal_length_size = bits.byte(2)? + 1;
        let profile = if bits.flag()? {
            Some(profile(&mut bits)?)
        } else {
            None
        };
        Ok(Self {
            nal_length_size,
            profile,
        })
    }

    /// The codec as ISO 14496-15 E.5 writes it, without constraints: `vvc1.1.L51`.
    pub fn codec_string(&self) -> String {
        let Some(profile) = self.profile else {
            return "vvc1".to_owned();
        };
        let tier = if profile.high_tier { 'H' } else { 'L' };
        format!("vvc1.{}.{tier}{}", profile.profile, profile.level)
    }

    pub(crate) fn info(&self) -> VideoInfo {
        VideoInfo {
            codec_string: self.codec_string(),
            width: self.profile.map_or(0, |profile| profile.width),
            height: self.profile.map_or(0, |profile| profile.height),
            frame_rate: None,
            nal_length_size: Some(self.nal_length_size),
        }
    }
}

fn profile(bits: &mut BitReader<'_>) -> Result<Profile, Error> {
    bits.skip(9)?; // ols_idx
    let sub_layers = bits.bits(3)?;
    bits.skip(2 + 2)?; // Constant frame rate, chroma format.
    bits.skip(3 + 5)?; // Bit depth.
    bits.skip(2)?;
    let constraint_bytes = bits.bits(6)? as usize;
    let profile = bits.byte(7)?;
    let high_tier = bits.flag()?;
    let level = bits.byte(8)?;
    bits.skip(8 * constraint_bytes)?; // Two flags and the general constraints.
    if sub_layers > 1 {
        let present = bits.bits(8)?.count_ones() as usize;
        bits.skip(8 * present)?;
    }
    let sub_profiles = bits.bits(8)? as usize;
    bits.skip(32 * sub_profiles)?;
    Ok(Profile {
        profile,
        high_tier,
        level,
        width: bits.bits(16)?,
        height: bits.bits(16)?,
    })
}
