//! Opus: the header in front of each packet, and the code for its channels.

use bytes::BufMut;
use codec::opus;

use crate::Unsupported;

/// Streams, how many of them are stereo, and the channel that each speaker gets, for each number
/// of channels, as Vorbis orders them (RFC 7845, 5.1.1.2). Codes up to 8 stand for these.
const USUAL: [&[u8]; 8] = [
    &[1, 0, 0],
    &[1, 1, 0, 1],
    &[2, 1, 0, 2, 1],
    &[2, 2, 0, 1, 2, 3],
    &[3, 2, 0, 4, 1, 2, 3],
    &[4, 2, 0, 4, 1, 2, 3, 5],
    &[4, 3, 0, 4, 1, 2, 3, 5, 6],
    &[5, 3, 0, 6, 1, 2, 3, 4, 5, 7],
];

/// The code for the channels of a record, stereo without.
pub(crate) fn channel_code(record: &[u8]) -> Result<u8, Unsupported> {
    if record.is_empty() {
        return Ok(2);
    }
    let config = opus::Configuration::parse(record).map_err(Unsupported::record("opus"))?;
    let usual = USUAL.get(usize::from(config.channels).wrapping_sub(1));
    let is_usual = match config.mapping_family {
        0 => true,
        1 => usual == Some(&config.mapping),
        _ => false,
    };
    if is_usual {
        Ok(config.channels)
    } else {
        Err(Unsupported::OpusChannels)
    }
}

/// Writes a packet behind its control header: a marker, no trimming, and the length.
pub(crate) fn write(out: &mut Vec<u8>, data: &[u8]) {
    out.put_slice(&[0x7f, 0xe0]);
    out.put_bytes(0xff, data.len() / 255);
    out.put_u8((data.len() % 255) as u8);
    out.put_slice(data);
}
