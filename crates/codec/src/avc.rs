//! H.264: the avcC record (ISO 14496-15, 5.3.3.1) and the sequence parameter set in it.

use crate::bits::{BitReader, ByteReader};
use crate::nal::{Usability, cropped, frame_rate, unescape, vui_head};
use crate::{Error, VideoInfo};

/// An AVCDecoderConfigurationRecord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// `profile_idc`, the constraint flags and `level_idc`.
    pub profile: [u8; 3],
    /// Bytes of the length in front of each NAL unit, 1 to 4.
    pub nal_length_size: u8,
    /// The sequence parameter sets, as NAL units without length.
    pub sps: Vec<&'a [u8]>,
    /// The picture parameter sets, as NAL units without length.
    pub pps: Vec<&'a [u8]>,
}

impl<'a> Configuration<'a> {
    /// Reads an avcC. What high profiles add behind the parameter sets is left aside.
    pub fn parse(record: &'a [u8]) -> Result<Self, Error> {
        let mut reader = ByteReader(record);
        if reader.u8()? != 1 {
            return Err(Error::Invalid("avcC version"));
        }
        let profile = reader.array()?;
        let nal_length_size = (reader.u8()? & 0x03) + 1;
        let count = reader.u8()? & 0x1f;
        let sps = parameter_sets(&mut reader, count)?;
        let count = reader.u8()?;
        let pps = parameter_sets(&mut reader, count)?;
        Ok(Self {
            profile,
            nal_length_size,
            sps,
            pps,
        })
    }

    /// The codec as RFC 6381 writes it: `avc1.64001f`.
    ///
    /// The parameter set decides, as it does for a decoder: some encoders fill the head of
    /// their record badly.
    pub fn codec_string(&self) -> String {
        let sps = self.sps.first().and_then(|sps| sps.get(1..4));
        let &[profile, constraints, level] =
            sps.and_then(<[u8]>::first_chunk).unwrap_or(&self.profile);
        format!("avc1.{profile:02x}{constraints:02x}{level:02x}")
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

fn parameter_sets<'a>(reader: &mut ByteReader<'a>, count: u8) -> Result<Vec<&'a [u8]>, Error> {
    let mut sets = Vec::new();
    for _ in 0..count {
        let length = reader.u16()?;
        sets.push(reader.take(usize::from(length))?);
    }
    Ok(sets)
}

/// What a sequence parameter set says about the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `profile_idc`.
    pub profile: u8,
    /// `level_idc`.
    pub level: u8,
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
    /// Reads a sequence parameter set (H.264 7.3.2.1.1), a NAL unit with its header byte.
    pub fn parse(nal: &[u8]) -> Result<Self, Error> {
        let payload = unescape(nal);
        let mut bits = BitReader::new(&payload);
        if bits.bits(8)? & 0x1f != 7 {
            return Err(Error::Invalid("type of the sequence parameter set"));
        }
        let profile = bits.byte(8)?;
        bits.skip(8)?;
        let level = bits.byte(8)?;
        bits.ue_max(31, "seq_parameter_set_id")?;

        let (mut chroma_format, mut separate_planes, mut bit_depth) = (1, false, 8);
        if HIGH_PROFILES.contains(&profile) {
            chroma_format = bits.ue_max(3, "chroma_format_idc")? as u8;
            if chroma_format == 3 {
                separate_planes = bits.flag()?;
            }
            bit_depth = 8 + bits.ue_max(6, "bit_depth_luma_minus8")? as u8;
            bits.ue_max(6, "bit_depth_chroma_minus8")?;
            bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
            if bits.flag()? {
                skip_scaling_lists(&mut bits, chroma_format)?;
            }
        }

        bits.ue()?; // log2_max_frame_num_minus4
        match bits.ue_max(2, "pic_order_cnt_type")? {
            0 => drop(bits.ue()?),
            1 => {
                bits.skip(1)?;
                bits.se()?;
                bits.se()?;
                for _ in 0..bits.ue_max(255, "num_ref_frames_in_pic_order_cnt_cycle")? {
                    bits.se()?;
                }
            }
            _ => {}
        }
        bits.ue()?; // max_num_ref_frames
        bits.skip(1)?; // gaps_in_frame_num_value_allowed_flag

        let macroblocks = u64::from(bits.ue()?) + 1;
        let map_units = u64::from(bits.ue()?) + 1;
        let frames_only = bits.flag()?;
        if !frames_only {
            bits.skip(1)?; // mb_adaptive_frame_field_flag
        }
        bits.skip(1)?; // direct_8x8_inference_flag

        // H.264 7.4.2.1.1: cropping counts in chroma samples, and in pairs of lines of a frame
        // that may be two fields.
        let chroma = if separate_planes { 0 } else { chroma_format };
        let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
        let lines = if frames_only { 1 } else { 2 };
        let unit_y = if chroma == 1 { 2 * lines } else { lines };
        let (mut crop_x, mut crop_y) = (0, 0);
        if bits.flag()? {
            crop_x = unit_x * (u64::from(bits.ue()?) + u64::from(bits.ue()?));
            crop_y = unit_y * (u64::from(bits.ue()?) + u64::from(bits.ue()?));
        }
        let width = cropped(16 * macroblocks, crop_x)?;
        let height = cropped(16 * map_units * lines, crop_y)?;

        // What was read before a fault stays.
        let mut usability = Usability::default();
        let _ = read_usability(&mut bits, &mut usability);
        Ok(Self {
            profile,
            level,
            chroma_format,
            bit_depth,
            width,
            height,
            pixel_aspect: usability.pixel_aspect,
            frame_rate: usability.frame_rate,
        })
    }
}

/// The profiles whose parameter set tells the chroma format (H.264 7.3.2.1.1).
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// H.264 7.3.2.1.1.1.
fn skip_scaling_lists(bits: &mut BitReader<'_>, chroma_format: u8) -> Result<(), Error> {
    let lists = if chroma_format == 3 { 12 } else { 8 };
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8, 8);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                let delta = bits.se()?;
                if !(-128..=127).contains(&delta) {
                    return Err(Error::Invalid("delta_scale"));
                }
                next = (last + delta + 256) % 256;
            }
            if next != 0 {
                last = next;
            }
        }
    }
    Ok(())
}

fn read_usability(bits: &mut BitReader<'_>, usability: &mut Usability) -> Result<(), Error> {
    if !bits.flag()? {
        return Ok(());
    }
    usability.pixel_aspect = vui_head(bits)?;
    if bits.flag()? {
        let (tick, scale) = (bits.bits(32)?, bits.bits(32)?);
        // H.264 E.2.1: a tick is a field, and a frame two of them.
        usability.frame_rate = frame_rate(scale.into(), 2 * u64::from(tick));
    }
    Ok(())
}
