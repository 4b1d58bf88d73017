//! The tables that say what is where (ISO 13818-1, 2.4.4).

use bytes::BufMut;

use crate::Unsupported;
use crate::elementary::{Elementary, pid};
use crate::packet::PAYLOAD;

const PROGRAMME: u16 = 1;
const ASSOCIATION_PID: u16 = 0;
const MAP_PID: u16 = 0x1000;
/// Of packets without meaning: there is no clock.
const NO_PID: u16 = 0x1fff;

/// A table in a packet of its own.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) pid: u16,
    pub(crate) payload: [u8; PAYLOAD],
}

/// Which programme there is, and which tracks in it.
pub(crate) fn tables(
    tracks: &[Elementary],
    clock: Option<usize>,
) -> Result<[Table; 2], Unsupported> {
    let association = section(0, PROGRAMME, 0, |out| {
        out.put_u16(PROGRAMME);
        out.put_u16(0xe000 | MAP_PID);
    });
    let map = |version| {
        section(2, PROGRAMME, version, |out| {
            out.put_u16(0xe000 | clock.map_or(NO_PID, pid));
            out.put_u16(0xf000); // No descriptors of the whole.
            for track in tracks {
                out.put_u8(track.stream_type);
                out.put_u16(0xe000 | track.pid);
                out.put_u16(0xf000 | track.descriptors.len() as u16);
                out.put_slice(&track.descriptors);
            }
        })
    };
    // Readers look at a table again when its version has changed, and one number of 32 is all
    // that a writer without a memory can do for that: other tables get another, most likely.
    let version = map(0).last().map_or(0, |byte| byte & 0x1f);
    Ok([
        Table::new(ASSOCIATION_PID, &association)?,
        Table::new(MAP_PID, &map(version))?,
    ])
}

fn section(id: u8, of: u16, version: u8, contents: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_u16(of);
    body.put_u8(0xc1 | version << 1); // It holds from now on.
    body.put_u16(0); // The first section of one.
    contents(&mut body);
    let mut section = vec![id];
    const CHECKSUM: usize = 4;
    section.put_u16(0xb000 | (body.len() + CHECKSUM) as u16);
    section.put_slice(&body);
    section.put_u32(checksum(&section));
    section
}

impl Table {
    fn new(pid: u16, section: &[u8]) -> Result<Self, Unsupported> {
        let mut payload = [0xff; PAYLOAD];
        let (pointer, rest) = payload.split_at_mut(1);
        pointer.fill(0); // The section begins at once.
        let place = rest.get_mut(..section.len()).ok_or(Unsupported::Tracks)?;
        place.copy_from_slice(section);
        Ok(Self { pid, payload })
    }
}

/// ISO 13818-1, annex A.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte) << 24, |sum, _| {
            sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}
