//! What the parameter sets of H.264 and H.265 have in common.

use crate::Error;
use crate::bits::BitReader;

/// No parameter set of a real encoder is longer, and no more than that is looked at.
const MAX_LEN: usize = 4096;

/// The payload of a NAL unit without the bytes that prevent start codes in it.
pub(crate) fn unescape(nal: &[u8]) -> Vec<u8> {
    let nal = &nal[..nal.len().min(MAX_LEN)];
    let mut payload = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}

/// A cropped picture, checked: no codec goes beyond 65,536 pixels on a side.
pub(crate) fn cropped(size: u64, crop: u64) -> Result<u32, Error> {
    match size.checked_sub(crop) {
        Some(visible @ 1..=65_536) if size <= 65_536 => Ok(visible as u32),
        _ => Err(Error::Invalid("picture size")),
    }
}

/// A frame rate in lowest terms, if it is one.
pub(crate) fn frame_rate(numerator: u64, denominator: u64) -> Option<(u32, u32)> {
    let (mut a, mut b) = (numerator, denominator);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let numerator = u32::try_from(numerator.checked_div(a)?).ok()?;
    let denominator = u32::try_from(denominator / a).ok()?;
    (numerator > 0 && denominator > 0).then_some((numerator, denominator))
}

/// What is read of the video usability information. A picture without is still a picture.
#[derive(Default)]
pub(crate) struct Usability {
    /// Width to height of a pixel.
    pub(crate) pixel_aspect: Option<(u16, u16)>,
    /// Frames per second as numerator and denominator.
    pub(crate) frame_rate: Option<(u32, u32)>,
}

/// Reads the video usability information up to the chroma location, which is the same in
/// H.264 E.1.1 and H.265 E.2.1: width to height of a pixel, when told.
pub(crate) fn vui_head(bits: &mut BitReader<'_>) -> Result<Option<(u16, u16)>, Error> {
    const EXTENDED_SAR: usize = 255;
    let mut aspect = None;
    if bits.flag()? {
        aspect = match bits.bits(8)? as usize {
            EXTENDED_SAR => Some((bits.bits(16)? as u16, bits.bits(16)? as u16)),
            index => PIXEL_ASPECTS.get(index.wrapping_sub(1)).copied(),
        };
    }
    if bits.flag()? {
        bits.skip(1)?; // Overscan.
    }
    if bits.flag()? {
        bits.skip(4)?; // Video format and range.
        if bits.flag()? {
            bits.skip(24)?; // Colours.
        }
    }
    if bits.flag()? {
        bits.ue()?;
        bits.ue()?;
    }
    Ok(aspect.filter(|&(width, height)| width > 0 && height > 0))
}

/// H.264 table E-1, from index 1 on.
const PIXEL_ASPECTS: [(u16, u16); 16] = [
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_emulation_prevention_out() {
        assert_eq!(
            unescape(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3]),
            [0, 0, 1, 0, 0, 0, 0, 3]
        );
        assert_eq!(unescape(&[0, 3, 0, 0, 0, 3]), [0, 3, 0, 0, 0]);
    }

    #[test]
    fn frame_rates_are_in_lowest_terms() {
        assert_eq!(frame_rate(60_000, 2_002), Some((30_000, 1_001)));
        assert_eq!(frame_rate(50, 2), Some((25, 1)));
        assert_eq!(frame_rate(0, 1), None);
        assert_eq!(frame_rate(1, 0), None);
        assert_eq!(frame_rate(0, 0), None);
        assert_eq!(
            frame_rate(u64::from(u32::MAX), 2 * u64::from(u32::MAX)),
            Some((1, 2))
        );
        assert_eq!(frame_rate(1, 1 << 33), None);
    }
}
