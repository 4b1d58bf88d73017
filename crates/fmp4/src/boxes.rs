//! Boxes, which tell their length before it is known.

use bytes::BufMut;

/// Writes a box (ISO 14496-12, 4.2).
pub(crate) fn plain(out: &mut Vec<u8>, kind: &[u8; 4], contents: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    contents(out);
    // None of ours comes near 4 GiB: `mdat`, which could, is written elsewhere.
    let length = (out.len() - start) as u32;
    put_at(out, start, length);
}

/// Writes a box with a version and flags.
pub(crate) fn full(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    contents: impl FnOnce(&mut Vec<u8>),
) {
    plain(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        contents(out);
    });
}

/// Writes over four bytes that were written before.
pub(crate) fn put_at(out: &mut [u8], at: usize, number: u32) {
    if let Some(bytes) = out.get_mut(at..at + 4) {
        bytes.copy_from_slice(&number.to_be_bytes());
    }
}
