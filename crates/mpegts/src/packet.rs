//! Packets of 188 bytes (ISO 13818-1, 2.4.3).

use bytes::BufMut;

/// Bytes of a packet.
pub(crate) const LENGTH: usize = 188;

/// Bytes of it behind the header.
pub(crate) const PAYLOAD: usize = 184;

/// What stands in the adaptation field of a packet.
#[derive(Clone, Copy, Default)]
pub(crate) struct Adaptation {
    /// Whether a decoder may start here.
    pub(crate) random_access: bool,
    /// What the clock of the programme shows, in 1/90,000 s.
    pub(crate) clock: Option<u64>,
}

impl Adaptation {
    /// How much payload fits beside it.
    pub(crate) fn room(self) -> usize {
        match self.bytes() {
            0 => PAYLOAD,
            bytes => PAYLOAD - 1 - bytes,
        }
    }

    /// Its bytes behind the one that tells how many there are.
    fn bytes(self) -> usize {
        match (self.clock, self.random_access) {
            (Some(_), _) => 7,
            (None, true) => 1,
            (None, false) => 0,
        }
    }
}

/// Writes a packet: `payload`, which has to fit, and stuffing in front of it. `starts` says
/// whether a PES begins in it.
pub(crate) fn write(
    out: &mut Vec<u8>,
    pid: u16,
    counter: u8,
    starts: bool,
    adaptation: Adaptation,
    payload: &[u8],
) {
    debug_assert!(payload.len() <= adaptation.room());
    let start = if starts { 0x4000 } else { 0 };
    let field = PAYLOAD.saturating_sub(payload.len());
    let with_field = if field > 0 { 0x20 } else { 0 };
    let with_payload = if payload.is_empty() { 0 } else { 0x10 };
    out.put_u8(0x47);
    out.put_u16(start | pid);
    out.put_u8(with_field | with_payload | counter & 0x0f);
    if field > 0 {
        out.put_u8((field - 1) as u8);
    }
    if field > 1 {
        let random_access = if adaptation.random_access { 0x40 } else { 0 };
        let clock = adaptation.clock.map_or(0, |_| 0x10);
        out.put_u8(random_access | clock);
        if let Some(time) = adaptation.clock {
            write_clock(out, time);
        }
        let stuffing = field - 1 - adaptation.bytes().max(1);
        out.put_bytes(0xff, stuffing);
    }
    out.put_slice(payload);
}

/// Writes 33 bits in 1/90,000 s, six without meaning, and nine of a finer clock, which is 0.
fn write_clock(out: &mut Vec<u8>, time: u64) {
    let time = time & 0x1_ffff_ffff;
    out.put_u32((time >> 1) as u32);
    out.put_u16(((time & 1) << 15) as u16 | 0x7e00);
}
