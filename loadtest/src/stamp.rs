//! The clock, number and hash at the front of a tag.
//!
//! Written in hexadecimal digits: they hold no start code and so need no emulation prevention.

/// Marks a stamp; also the identifier of the SEI message it is in.
pub(crate) const MAGIC: &[u8; 16] = b"weir-loadtest-01";
/// Magic, 16 digits of nanoseconds, 8 of number, 16 of hash.
pub(crate) const LENGTH: usize = 16 + 16 + 8 + 16;
/// Behind FLV header, NAL length and SEI header of a video tag.
pub(crate) const IN_VIDEO: usize = 5 + 4 + 3;
/// Behind the FLV header of an audio tag.
pub(crate) const IN_AUDIO: usize = 2;

/// A stamp as read from a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) sent_ns: u64,
    pub(crate) number: u32,
    /// Whether the rest of the payload is as it was sent.
    pub(crate) intact: bool,
}

fn put(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"
            .get((value & 15) as usize)
            .copied()
            .unwrap_or(b'0');
        value >>= 4;
    }
}

fn get(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The stamp of a tag made ahead: the hash is there, clock and number come when it is sent.
pub(crate) fn template(rest: &[u8]) -> [u8; LENGTH] {
    let mut bytes = [b'0'; LENGTH];
    let (magic, fields) = bytes.split_at_mut(16);
    magic.copy_from_slice(MAGIC);
    put(fields.get_mut(24..).unwrap_or_default(), hash(rest));
    bytes
}

/// Writes clock and number into the stamp at the front of `bytes`.
pub(crate) fn patch(bytes: &mut [u8], sent_ns: u64, number: u32) {
    if let Some(digits) = bytes.get_mut(16..32) {
        put(digits, sent_ns);
    }
    if let Some(digits) = bytes.get_mut(32..40) {
        put(digits, u64::from(number));
    }
}

/// Reads the stamp of an audio or video payload, if it has one.
pub(crate) fn read(video: bool, payload: &[u8]) -> Option<Stamp> {
    let at = if video { IN_VIDEO } else { IN_AUDIO };
    let (stamp, rest) = payload.get(at..)?.split_at_checked(LENGTH)?;
    let fields = stamp.strip_prefix(MAGIC)?;
    Some(Stamp {
        sent_ns: get(fields.get(..16)?)?,
        number: get(fields.get(16..24)?)? as u32,
        intact: get(fields.get(24..)?)? == hash(rest),
    })
}

/// Eight bytes at a time; sees damage, not malice.
fn hash(bytes: &[u8]) -> u64 {
    let mix = |sum: u64, word: u64| {
        (sum ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    };
    let (words, tail) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(bytes.len() as u64, |sum, word| {
        mix(sum, u64::from_le_bytes(*word))
    });
    tail.iter()
        .fold(sum, |sum, byte| mix(sum, u64::from(*byte)))
}
