//! AV1: the av1C record, and the sequence header in it or in front of a keyframe.

use crate::bits::{BitReader, ByteReader};
use crate::nal::frame_rate;
use crate::{Error, VideoInfo};

const SEQUENCE_HEADER: u8 = 1;

/// An AV1CodecConfigurationRecord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// `seq_profile`: 0 is Main.
    pub profile: u8,
    /// `seq_level_idx_0`: 8 is level 4.0.
    pub level: u8,
    /// `seq_tier_0`: the high tier.
    pub high_tier: bool,
    /// Bits per sample.
    pub bit_depth: u8,
    /// Whether there is no chroma.
    pub monochrome: bool,
    /// The OBUs behind the record's head: a sequence header, which some encoders leave out.
    pub obus: &'a [u8],
}

impl<'a> Configuration<'a> {
    /// Reads an av1C.
    pub fn parse(record: &'a [u8]) -> Result<Self, Error> {
        let mut reader = ByteReader(record);
        // A marker bit, and version 1.
        if reader.u8()? != 0x81 {
            return Err(Error::Invalid("av1C version"));
        }
        let [first, second, _presentation_delay] = reader.array()?;
        let profile = first >> 5;
        let (high, twelve) = (second & 0x40 != 0, second & 0x20 != 0);
        Ok(Self {
            profile,
            level: first & 0x1f,
            high_tier: second & 0x80 != 0,
            bit_depth: bit_depth(high, twelve),
            monochrome: second & 0x10 != 0,
            obus: reader.0,
        })
    }

    /// The codec as the AV1 ISOBMFF binding writes it: `av01.0.04M.08`.
    pub fn codec_string(&self) -> String {
        codec_string(self.profile, self.level, self.high_tier, self.bit_depth)
    }

    pub(crate) fn info(&self) -> VideoInfo {
        let header = SequenceHeader::find(self.obus);
        VideoInfo {
            codec_string: self.codec_string(),
            width: header.map_or(0, |header| header.width),
            height: header.map_or(0, |header| header.height),
            frame_rate: header.and_then(|header| header.frame_rate),
            nal_length_size: None,
        }
    }
}

/// What a sequence header says about the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceHeader {
    /// `seq_profile`: 0 is Main.
    pub profile: u8,
    /// `seq_level_idx` of the first operating point.
    pub level: u8,
    /// `seq_tier` of the first operating point.
    pub high_tier: bool,
    /// Bits per sample.
    pub bit_depth: u8,
    /// The largest width in pixels.
    pub width: u32,
    /// The largest height in pixels.
    pub height: u32,
    /// Frames per second as numerator and denominator, when told and constant.
    pub frame_rate: Option<(u32, u32)>,
}

impl SequenceHeader {
    /// The first sequence header among OBUs, be they a configuration's or a frame's.
    pub fn find(obus: &[u8]) -> Option<Self> {
        let mut rest = obus;
        while let Some((kind, payload)) = next_obu(&mut rest) {
            if kind == SEQUENCE_HEADER {
                return Self::parse(payload).ok();
            }
        }
        None
    }

    /// Reads a `sequence_header_obu` (AV1 5.5.1), without the header of the OBU.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let mut bits = BitReader::new(payload);
        let profile = bits.byte(3)?;
        bits.skip(1)?; // still_picture
        let reduced = bits.flag()?;
        let (mut frame_rate, mut level, mut high_tier) = (None, 0, false);
        if reduced {
            level = bits.byte(5)?;
        } else {
            let mut delay_bits = None;
            if bits.flag()? {
                frame_rate = timing_info(&mut bits)?;
                if bits.flag()? {
                    delay_bits = Some(bits.bits(5)? as usize + 1);
                    bits.skip(32 + 5 + 5)?;
                }
            }
            let initial_display_delay = bits.flag()?;
            for point in 0..=bits.bits(5)? {
                bits.skip(12)?; // operating_point_idc
                let point_level = bits.byte(5)?;
                let point_tier = point_level > 7 && bits.flag()?;
                if point == 0 {
                    (level, high_tier) = (point_level, point_tier);
                }
                if let Some(delay_bits) = delay_bits
                    && bits.flag()?
                {
                    bits.skip(2 * delay_bits + 1)?;
                }
                if initial_display_delay && bits.flag()? {
                    bits.skip(4)?;
                }
            }
        }
        let (width_bits, height_bits) = (bits.bits(4)? + 1, bits.bits(4)? + 1);
        let (width, height) = (bits.bits(width_bits)? + 1, bits.bits(height_bits)? + 1);
        skip_tools(&mut bits, reduced)?;
        let high = bits.flag()?;
        let twelve = profile == 2 && high && bits.flag()?;
        let bit_depth = bit_depth(high, twelve);
        Ok(Self {
            profile,
            level,
            high_tier,
            bit_depth,
            width,
            height,
            frame_rate,
        })
    }

    /// The codec as the AV1 ISOBMFF binding writes it: `av01.0.04M.08`.
    pub fn codec_string(&self) -> String {
        codec_string(self.profile, self.level, self.high_tier, self.bit_depth)
    }
}

fn codec_string(profile: u8, level: u8, high_tier: bool, bit_depth: u8) -> String {
    let tier = if high_tier { 'H' } else { 'M' };
    format!("av01.{profile}.{level:02}{tier}.{bit_depth:02}")
}

fn bit_depth(high: bool, twelve: bool) -> u8 {
    match (high, twelve) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    }
}

/// Takes one OBU off the front (AV1 5.3): its type and its payload.
fn next_obu<'a>(obus: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let mut reader = ByteReader(obus);
    let header = reader.u8().ok()?;
    if header & 0x04 != 0 {
        reader.u8().ok()?; // The extension: layers.
    }
    // An OBU without a size is the last one.
    let length = if header & 0x02 != 0 {
        leb128(&mut reader)?
    } else {
        reader.0.len()
    };
    let payload = reader.take(length).ok()?;
    *obus = reader.0;
    Some((header >> 3 & 0x0f, payload))
}

/// AV1 4.10.5.
fn leb128(reader: &mut ByteReader<'_>) -> Option<usize> {
    let mut number = 0u64;
    for index in 0..8 {
        let byte = reader.u8().ok()?;
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return usize::try_from(number).ok();
        }
    }
    None
}

/// AV1 5.5.3.
fn timing_info(bits: &mut BitReader<'_>) -> Result<Option<(u32, u32)>, Error> {
    let (tick, scale) = (bits.bits(32)?, bits.bits(32)?);
    if !bits.flag()? {
        return Ok(None); // The interval differs from picture to picture.
    }
    let ticks = u64::from(bits.ue()?) + 1;
    Ok(u64::from(tick)
        .checked_mul(ticks)
        .and_then(|tick| frame_rate(scale.into(), tick)))
}

/// The part of the sequence header between the size and the colours.
fn skip_tools(bits: &mut BitReader<'_>, reduced: bool) -> Result<(), Error> {
    if !reduced && bits.flag()? {
        bits.skip(4 + 3)?; // Lengths of frame ids.
    }
    bits.skip(3)?; // Superblock size, filter intra, intra edge filter.
    if !reduced {
        bits.skip(4)?; // Interintra, masked, warped, dual filter.
        let order_hint = bits.flag()?;
        if order_hint {
            bits.skip(2)?; // Joint compound, reference frame vectors.
        }
        // seq_choose_screen_content_tools, else seq_force_screen_content_tools
        let screen_content = bits.flag()? || bits.flag()?;
        if screen_content && !bits.flag()? {
            bits.skip(1)?; // seq_force_integer_mv
        }
        if order_hint {
            bits.skip(3)?;
        }
    }
    bits.skip(3) // Super-resolution, cdef, restoration.
}
