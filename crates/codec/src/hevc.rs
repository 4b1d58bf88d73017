//! H.265: the hvcC record (ISO 14496-15, 8.3.3.1) and the sequence parameter set in it.

use std::fmt::Write;

use crate::bits::{BitReader, ByteReader};
use crate::nal::{Usability, cropped, frame_rate, unescape, vui_head};
use crate::{Error, VideoInfo};

const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;

/// There are no more ids for picture parameter sets, and fewer for the others.
const MAX_SETS: usize = 64;

/// An HEVCDecoderConfigurationRecord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// `general_profile_space`, 0 to 3.
    pub profile_space: u8,
    /// `general_tier_flag`: the high tier.
    pub high_tier: bool,
    /// `general_profile_idc`: 1 is Main, 2 Main 10.
    pub profile: u8,
    /// `general_profile_compatibility_flags`.
    pub compatibility: u32,
    /// `general_constraint_indicator_flags`.
    pub constraints: [u8; 6],
    /// `general_level_idc`: 30 times the level.
    pub level: u8,
    /// Bytes of the length in front of each NAL unit, 1 to 4.
    pub nal_length_size: u8,
    /// The video parameter sets, as NAL units without length.
    pub vps: Vec<&'a [u8]>,
    /// The sequence parameter sets, as NAL units without length.
    pub sps: Vec<&'a [u8]>,
    /// The picture parameter sets, as NAL units without length.
    pub pps: Vec<&'a [u8]>,
}

impl<'a> Configuration<'a> {
    /// Reads an hvcC.
    pub fn parse(record: &'a [u8]) -> Result<Self, Error> {
        let mut reader = ByteReader(record);
        // Encoders older than the final standard wrote version 0.
        if reader.u8()? > 1 {
            return Err(Error::Invalid("hvcC version"));
        }
        let profile = reader.u8()?;
        let compatibility = reader.u32()?;
        let constraints = reader.array()?;
        let level = reader.u8()?;
        // Segmentation, parallelism, chroma format, bit depths, average frame rate: all of it
        // is in the sequence parameter set too.
        reader.take(8)?;
        let nal_length_size = (reader.u8()? & 0x03) + 1;

        let (mut vps, mut sps, mut pps) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..reader.u8()? {
            let kind = reader.u8()? & 0x3f;
            for _ in 0..reader.u16()? {
                let length = reader.u16()?;
                let nal = reader.take(usize::from(length))?;
                let sets = match kind {
                    VPS => &mut vps,
                    SPS => &mut sps,
                    PPS => &mut pps,
                    _ => continue, // Supplemental information.
                };
                if sets.len() == MAX_SETS {
                    return Err(Error::Invalid("number of parameter sets"));
                }
                sets.push(nal);
            }
        }
        Ok(Self {
            profile_space: profile >> 6,
            high_tier: profile & 0x20 != 0,
            profile: profile & 0x1f,
            compatibility,
            constraints,
            level,
            nal_length_size,
            vps,
            sps,
            pps,
        })
    }

    /// The codec as ISO 14496-15 E.3 writes it: `hvc1.1.6.L93.B0`.
    pub fn codec_string(&self) -> String {
        let space = ["", "A", "B", "C"]
            .get(usize::from(self.profile_space))
            .unwrap_or(&"");
        let tier = if self.high_tier { 'H' } else { 'L' };
        let mut codec = format!(
            "hvc1.{space}{}.{:X}.{tier}{}",
            self.profile,
            self.compatibility.reverse_bits(),
            self.level
        );
        let used = self
            .constraints
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        for byte in self.constraints.iter().take(used) {
            let _ = write!(codec, ".{byte:X}");
        }
        codec
    }

    pub(crate) fn info(&self) -> VideoInfo {
        let sps = self.sps.first().and_then(|sps| Sps::parse(sps).ok());
        VideoInfo {
            codec_string: self.codec_string(),
            width: sps.map_or(0, |sps| sps.width),
            height: sps.map_or(0, |sps| sps.height),
            frame_rate: sps.and_then(|sps| sps.frame_rate),
            nal_length_size: Some(self.nal_length_size),
        }
    }
}

/// What a sequence parameter set says about the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `chroma_format_idc`: 0 is monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits per luma sample.
    pub bit_depth: u8,
    /// Width of the visible picture in pixels.
    pub width: u32,
    /// Height of the visible picture in pixels.
    pub height: u32,
    /// Width to height of a pixel, when told.
    pub pixel_aspect: Option<(u16, u16)>,
    /// Frames per second as numerator and denominator, when told.
    pub frame_rate: Option<(u32, u32)>,
}

impl Sps {
    /// Reads a sequence parameter set (H.265 7.3.2.2.1), a NAL unit with its two header bytes.
    pub fn parse(nal: &[u8]) -> Result<Self, Error> {
        let payload = unescape(nal);
        let mut bits = BitReader::new(&payload);
        if bits.bits(16)? >> 9 & 0x3f != u32::from(SPS) {
            return Err(Error::Invalid("type of the sequence parameter set"));
        }
        bits.skip(4)?; // sps_video_parameter_set_id
        let sub_layers = bits.bits(3)?;
        bits.skip(1)?; // sps_temporal_id_nesting_flag
        skip_profile_tier_level(&mut bits, sub_layers)?;
        bits.ue_max(15, "sps_seq_parameter_set_id")?;

        let chroma_format = bits.ue_max(3, "chroma_format_idc")? as u8;
        let separate_planes = chroma_format == 3 && bits.flag()?;
        let (coded_width, coded_height) = (bits.ue()?, bits.ue()?);
        // H.265 table 6-1.
        let chroma = if separate_planes { 0 } else { chroma_format };
        let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma == 1 { 2 } else { 1 };
        let (mut crop_x, mut crop_y) = (0, 0);
        if bits.flag()? {
            crop_x = unit_x * (u64::from(bits.ue()?) + u64::from(bits.ue()?));
            crop_y = unit_y * (u64::from(bits.ue()?) + u64::from(bits.ue()?));
        }
        let width = cropped(coded_width.into(), crop_x)?;
        let height = cropped(coded_height.into(), crop_y)?;
        let bit_depth = 8 + bits.ue_max(8, "bit_depth_luma_minus8")? as u8;
        bits.ue_max(8, "bit_depth_chroma_minus8")?;

        // What was read before a fault stays.
        let mut usability = Usability::default();
        let _ = read_usability(&mut bits, sub_layers, &mut usability);
        Ok(Self {
            chroma_format,
            bit_depth,
            width,
            height,
            pixel_aspect: usability.pixel_aspect,
            frame_rate: usability.frame_rate,
        })
    }
}

/// H.265 7.3.3.
fn skip_profile_tier_level(bits: &mut BitReader<'_>, sub_layers: u32) -> Result<(), Error> {
    bits.skip(88 + 8)?;
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((bits.flag()?, bits.flag()?));
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers as usize))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Ok(())
}

/// Reads from the bit depths on to the timing.
fn read_usability(
    bits: &mut BitReader<'_>,
    sub_layers: u32,
    usability: &mut Usability,
) -> Result<(), Error> {
    let poc_bits = 4 + bits.ue_max(12, "log2_max_pic_order_cnt_lsb_minus4")?;
    let all_layers = bits.flag()?;
    for _ in 0..if all_layers { sub_layers + 1 } else { 1 } {
        for _ in 0..3 {
            bits.ue()?;
        }
    }
    for _ in 0..6 {
        bits.ue()?; // Sizes of coding and transform blocks.
    }
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag()? {
        bits.skip(8)?; // PCM bit depths.
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
    }
    skip_short_term_sets(bits)?;
    if bits.flag()? {
        for _ in 0..bits.ue_max(32, "num_long_term_ref_pics_sps")? {
            bits.bits(poc_bits)?;
            bits.skip(1)?;
        }
    }
    bits.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag

    if !bits.flag()? {
        return Ok(());
    }
    usability.pixel_aspect = vui_head(bits)?;
    bits.skip(3)?; // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if bits.flag()? {
        for _ in 0..4 {
            bits.ue()?; // The default display window.
        }
    }
    if !bits.flag()? {
        return Ok(());
    }
    let (tick, scale) = (bits.bits(32)?, bits.bits(32)?);
    usability.frame_rate = frame_rate(scale.into(), tick.into());
    Ok(())
}

/// H.265 7.3.4.
fn skip_scaling_lists(bits: &mut BitReader<'_>) -> Result<(), Error> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.flag()? {
                bits.ue()?; // Copied from another list.
                continue;
            }
            if size > 1 {
                bits.se()?;
            }
            for _ in 0..if size == 0 { 16 } else { 64 } {
                bits.se()?;
            }
        }
    }
    Ok(())
}

/// H.265 7.3.7.
fn skip_short_term_sets(bits: &mut BitReader<'_>) -> Result<(), Error> {
    let mut pictures = 0; // Of the set before.
    for index in 0..bits.ue_max(64, "num_short_term_ref_pic_sets")? {
        if index > 0 && bits.flag()? {
            bits.skip(1)?; // delta_rps_sign
            bits.ue()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                let used = bits.flag()?;
                if used || bits.flag()? {
                    kept += 1;
                }
            }
            pictures = kept;
        } else {
            pictures = bits.ue_max(16, "num_negative_pics")?;
            pictures += bits.ue_max(16, "num_positive_pics")?;
            for _ in 0..pictures {
                bits.ue()?;
                bits.skip(1)?;
            }
        }
    }
    Ok(())
}
