//! PES, the envelope of one or several frames (ISO 13818-1, 2.4.3.6).

use bytes::BufMut;

use crate::elementary::Elementary;
use crate::units::Unit;

/// No shorter envelope is written, so that one can be spread over as many packets as are missing
/// to a multiple of 16: see [`crate::writer`].
pub(crate) const SHORTEST: usize = 17;

/// Writes an envelope with what is in `unit`.
pub(crate) fn write(out: &mut Vec<u8>, track: &Elementary, unit: &Unit<'_>) {
    let start = out.len();
    out.put_slice(&[0, 0, 1, track.stream_id]);
    out.put_u16(0);
    const ALIGNED: u8 = 0x84;
    let (pts, dts) = (unit.pts(), unit.dts());
    let is_reordered = pts != dts;
    out.put_u8(ALIGNED);
    out.put_u8(if is_reordered { 0xc0 } else { 0x80 });
    let header_length = out.len();
    out.put_u8(0);
    write_time(out, if is_reordered { 3 } else { 2 }, pts);
    if is_reordered {
        write_time(out, 1, dts);
    }
    let header_end = out.len();
    for frame in &unit.frames {
        track.write(out, frame);
    }
    let missing = SHORTEST.saturating_sub(out.len() - start);
    out.splice(header_end..header_end, std::iter::repeat_n(0xff, missing));
    if let Some(byte) = out.get_mut(header_length) {
        *byte = (header_end + missing - header_length - 1) as u8;
    }
    // That of a picture may be left open, and often has to be. Frames of sound are short.
    if !track.is_video() {
        let length = (out.len() - start - 6) as u16;
        if let Some(bytes) = out.get_mut(start + 4..start + 6) {
            bytes.copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// Writes a time of 33 bits behind four bits that say which it is, a marker after each part.
fn write_time(out: &mut Vec<u8>, which: u8, time: u64) {
    out.put_u8(which << 4 | (time >> 29 & 0x0e) as u8 | 1);
    out.put_u16((time >> 14 & 0xfffe) as u16 | 1);
    out.put_u16((time << 1 & 0xfffe) as u16 | 1);
}
