//! What the headers of AC-3 and E-AC-3 frames say (ATSC A/52, 5.3 and annex E), as `dac3` and
//! `dec3` repeat it (ETSI TS 102 366, annex F).

use codec::Error;

const SYNC: [u8; 2] = [0x0b, 0x77];
const RATES: [u32; 3] = [48_000, 44_100, 32_000];

/// The body of a `dac3`.
pub(crate) fn ac3(frame: &[u8]) -> Result<[u8; 3], Error> {
    let mut bits = bits(frame)?;
    bits.take(16); // Checksum.
    let (rate, size_code) = (bits.take(2), bits.take(6));
    let (version, mode) = (bits.take(5), bits.take(3));
    let channels = bits.take(3);
    // A/52, 5.4.2.4 to 5.4.2.6: levels at which channels are mixed down, where there are such channels.
    if channels & 1 != 0 && channels != 1 {
        bits.take(2);
    }
    if channels & 4 != 0 {
        bits.take(2);
    }
    if channels == 2 {
        bits.take(2);
    }
    let bass = bits.take(1);
    if rate == 3 || version > 8 || bits.failed {
        return Err(Error::Invalid("AC-3 header"));
    }
    let mut out = Description::default();
    for (number, width) in [
        (rate, 2),
        (version, 5),
        (mode, 3),
        (channels, 3),
        (bass, 1),
        (size_code >> 1, 5),
        (0, 5),
    ] {
        out.put(number, width);
    }
    let [_, _, _, _, _, a, b, c] = out.0.to_be_bytes();
    Ok([a, b, c])
}

/// The body of a `dec3`, for one substream that stands alone.
pub(crate) fn eac3(frame: &[u8]) -> Result<[u8; 5], Error> {
    let mut bits = bits(frame)?;
    let (kind, substream) = (bits.take(2), bits.take(3));
    let length = 2 * (bits.take(11) + 1);
    let rate_code = bits.take(2);
    let (rate, blocks) = match (rate_code, bits.take(2)) {
        // Half the rate, and always six blocks.
        (3, code) => (RATES.get(code as usize).map(|rate| rate / 2), 6),
        (code, blocks) => (
            RATES.get(code as usize).copied(),
            [1, 2, 3, 6][(blocks & 3) as usize],
        ),
    };
    let (channels, bass, version) = (bits.take(3), bits.take(1), bits.take(5));
    let Some(rate) = rate.filter(|_| !bits.failed && (11..=16).contains(&version)) else {
        return Err(Error::Invalid("E-AC-3 header"));
    };
    // Behind the first may follow others: a further programme, or channels of this one.
    let is_alone = frame
        .get(length as usize..)
        .is_none_or(|rest| !rest.starts_with(&SYNC) || rest.get(2).is_some_and(starts_over));
    if kind == 1 || substream != 0 || !is_alone {
        return Err(Error::Invalid("number of E-AC-3 substreams"));
    }
    // In all at most 4096 bytes at 48,000, which is below 2^32.
    let kilobits = length * 8 * rate / (blocks * 256) / 1000;
    let mut out = Description::default();
    for (number, width) in [
        (kilobits.min(0x1fff), 13),
        (0, 3), // Substreams beyond the first.
        (rate_code, 2),
        (version, 5),
        (0, 1),
        (0, 1), // Not an associated service,
        (0, 3), // but the main one.
        (channels, 3),
        (bass, 1),
        (0, 3),
        (0, 4), // Substreams that depend on it.
        (0, 1),
    ] {
        out.put(number, width);
    }
    let [_, _, _, a, b, c, d, e] = out.0.to_be_bytes();
    Ok([a, b, c, d, e])
}

/// Whether the byte behind the sync word begins the first substream of the next frame.
fn starts_over(byte: &u8) -> bool {
    byte >> 3 == 0
}

/// The bits behind the sync word.
fn bits(frame: &[u8]) -> Result<Bits<'_>, Error> {
    let bytes = frame
        .strip_prefix(&SYNC)
        .ok_or(Error::Invalid("sync word"))?;
    Ok(Bits {
        bytes,
        at: 0,
        failed: false,
    })
}

struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
    /// Whether something was asked of it beyond its end.
    failed: bool,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |number, _| {
            let byte = self.bytes.get(self.at / 8);
            self.failed |= byte.is_none();
            let bit = byte.map_or(0, |byte| byte >> (7 - self.at % 8) & 1);
            self.at += 1;
            number << 1 | u32::from(bit)
        })
    }
}

#[derive(Default)]
struct Description(u64);

impl Description {
    fn put(&mut self, number: u32, width: u32) {
        self.0 = self.0 << width | u64::from(number);
    }
}
