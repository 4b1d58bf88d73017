//! VP9 and VP8: the vpcC record they share, and the size in a keyframe.

use crate::bits::{BitReader, ByteReader};
use crate::{Error, VideoInfo};

/// A VPCodecConfigurationRecord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The profile, 0 to 3.
    pub profile: u8,
    /// Ten times the level; 0 when unknown.
    pub level: u8,
    /// Bits per sample.
    pub bit_depth: u8,
    /// 0 and 1 are 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma_subsampling: u8,
    /// Whether samples use the full range.
    pub full_range: bool,
    /// The colours: primaries, transfer characteristics and matrix (ISO 23091-2).
    pub colour: [u8; 3],
}

impl Configuration {
    /// Reads a vpcC, with or without the version and flags that start the box.
    pub fn parse(record: &[u8]) -> Result<Self, Error> {
        // Version 1 and no flags. Without them this would be profile 1 at level 0.
        let record = record.strip_prefix(&[1, 0, 0, 0]).unwrap_or(record);
        let mut reader = ByteReader(record);
        let [profile, level, depth, primaries, transfer, matrix] = reader.array()?;
        if profile > 3 {
            return Err(Error::Invalid("VP9 profile"));
        }
        Ok(Self {
            profile,
            level,
            bit_depth: depth >> 4,
            chroma_subsampling: depth >> 1 & 0x07,
            full_range: depth & 0x01 != 0,
            colour: [primaries, transfer, matrix],
        })
    }

    /// The codec as the VP9 ISOBMFF binding writes it: `vp09.00.10.08`.
    pub fn codec_string(&self) -> String {
        self.codec_string_of("vp09")
    }

    fn codec_string_of(&self, entry: &str) -> String {
        format!(
            "{entry}.{:02}.{:02}.{:02}",
            self.profile, self.level, self.bit_depth
        )
    }

    pub(crate) fn info(&self, entry: &str) -> VideoInfo {
        VideoInfo {
            codec_string: self.codec_string_of(entry),
            width: 0,
            height: 0,
            frame_rate: None,
            nal_length_size: None,
        }
    }
}

/// Width and height in the head of a VP9 keyframe; `None` for other frames.
pub fn keyframe_size(frame: &[u8]) -> Option<(u32, u32)> {
    size(&mut BitReader::new(frame)).ok().flatten()
}

/// VP9 6.2, `uncompressed_header`.
fn size(bits: &mut BitReader<'_>) -> Result<Option<(u32, u32)>, Error> {
    const RGB: u32 = 7;
    if bits.bits(2)? != 2 {
        return Ok(None);
    }
    let profile = bits.bits(1)? | bits.bits(1)? << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    // An existing frame shown again, or one that is no keyframe.
    if bits.flag()? || bits.flag()? {
        return Ok(None);
    }
    bits.skip(2)?; // show_frame, error_resilient_mode
    if bits.bits(24)? != 0x49_83_42 {
        return Ok(None);
    }
    if profile >= 2 {
        bits.skip(1)?; // ten_or_twelve_bit
    }
    let subsampled = profile == 1 || profile == 3;
    if bits.bits(3)? != RGB {
        bits.skip(if subsampled { 4 } else { 1 })?;
    } else if subsampled {
        bits.skip(1)?;
    }
    Ok(Some((bits.bits(16)? + 1, bits.bits(16)? + 1)))
}

/// Width and height in the head of a VP8 keyframe (RFC 6386, 9.1); `None` for other frames.
pub fn vp8_keyframe_size(frame: &[u8]) -> Option<(u32, u32)> {
    let &[
        tag,
        _,
        _,
        0x9d,
        0x01,
        0x2a,
        width0,
        width1,
        height0,
        height1,
    ] = frame.first_chunk()?
    else {
        return None;
    };
    // The upper two bits of each scale the picture up.
    let size = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    (tag & 1 == 0).then(|| (size(width0, width1), size(height0, height1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_size_of_keyframes() {
        // Profile 0, a shown keyframe, the sync code, BT.601, 640x360.
        let frame = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
        assert_eq!(keyframe_size(&frame), Some((640, 360)));
        assert_eq!(keyframe_size(&frame[..8]), None);
        assert_eq!(keyframe_size(&[0x86]), None);
        let frame = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x01];
        assert_eq!(vp8_keyframe_size(&frame), Some((640, 360)));
        assert_eq!(vp8_keyframe_size(&frame[..9]), None);
        assert_eq!(vp8_keyframe_size(&[0x11; 10]), None);
    }
}
