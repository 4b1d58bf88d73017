//! A fragment's head: what and when its samples are.

use bytes::{BufMut, Bytes};

use crate::boxes::{full, plain, put_at};

/// A coded picture or frame of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How long it lasts, in units of the track.
    pub duration: u32,
    /// Bytes of its payload; readers stumble over a payload of none.
    pub size: u32,
    /// Presentation time less decoding time, in units of the track.
    pub composition: i32,
    /// Whether a decoder may start with it, as with any frame of sound.
    pub sync: bool,
}

/// Samples of one track that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// The number of the track.
    pub track: u32,
    /// When the first sample is decoded, in units of the track.
    pub decode_time: u64,
    /// The samples.
    pub samples: &'a [Sample],
}

/// `tfhd` and `trun` flags (ISO 14496-12, 8.8.7 and 8.8.8).
const DEFAULT_DURATION: u32 = 0x08;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;
const BASE_IS_MOOF: u32 = 0x2_0000;
const DATA_OFFSET: u32 = 0x001;
const FIRST_FLAGS: u32 = 0x004;
const DURATIONS: u32 = 0x100;
const SIZES: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITIONS: u32 = 0x800;

/// Sample flags (ISO 14496-12, 8.8.3.1): depends on no other, or depends and is no sync sample.
const SYNC: u32 = 0x0200_0000;
const NO_SYNC: u32 = 0x0101_0000;

const MDAT_HEADER: u64 = 8;
const LONG_MDAT_HEADER: u64 = 16;

/// The head of a fragment: a `moof`, and the header of the `mdat` in which the payloads follow,
/// those of the first run first.
///
/// A run without samples is left out. All runs but the last must have less than 2 GiB together:
/// that is how far the format can point.
pub fn fragment(sequence: u32, runs: &[Run<'_>]) -> Bytes {
    let runs = || runs.iter().filter(|run| !run.samples.is_empty());
    let samples: usize = runs().map(|run| run.samples.len()).sum();
    let mut out = Vec::with_capacity(40 + 100 * runs().count() + 16 * samples);
    let mut pointers = Vec::new();
    plain(&mut out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        for run in runs() {
            plain(out, b"traf", |out| pointers.push(track_fragment(out, run)));
        }
    });

    let payload: u64 = runs().map(bytes).sum();
    let moof = out.len() as u64;
    let data = match u32::try_from(MDAT_HEADER + payload) {
        Ok(length) => {
            out.put_u32(length);
            out.put_slice(b"mdat");
            moof + MDAT_HEADER
        }
        Err(_) => {
            out.put_u32(1); // The length stands behind the name.
            out.put_slice(b"mdat");
            out.put_u64(LONG_MDAT_HEADER + payload);
            moof + LONG_MDAT_HEADER
        }
    };
    let mut offset = data;
    for (run, pointer) in runs().zip(pointers) {
        put_at(&mut out, pointer, offset as u32);
        offset += bytes(run);
    }
    out.into()
}

fn bytes(run: &Run<'_>) -> u64 {
    run.samples
        .iter()
        .map(|sample| u64::from(sample.size))
        .sum()
}

/// Writes what is in a `traf`; where in `out` the data offset is to be written.
///
/// What all samples have in common is told once.
fn track_fragment(out: &mut Vec<u8>, run: &Run<'_>) -> usize {
    let duration = common(run, |sample| sample.duration);
    let size = common(run, |sample| sample.size);
    // With the first sample aside, since it often is the only one to start at.
    let mut rest = run.samples.iter().skip(1).map(flags);
    let first = run.samples.first().map_or(SYNC, flags);
    let later = rest.next().unwrap_or(first);
    let all_later_equal = rest.all(|flags| flags == later);
    let composed = run.samples.iter().any(|sample| sample.composition != 0);

    let mut given = BASE_IS_MOOF;
    let mut listed = DATA_OFFSET;
    given |= duration.map_or(0, |_| DEFAULT_DURATION);
    listed |= duration.map_or(DURATIONS, |_| 0);
    given |= size.map_or(0, |_| DEFAULT_SIZE);
    listed |= size.map_or(SIZES, |_| 0);
    match (all_later_equal, first == later) {
        (true, true) => given |= DEFAULT_FLAGS,
        (true, false) => {
            given |= DEFAULT_FLAGS;
            listed |= FIRST_FLAGS;
        }
        (false, _) => listed |= FLAGS,
    }
    listed |= if composed { COMPOSITIONS } else { 0 };

    full(out, b"tfhd", 0, given, |out| {
        out.put_u32(run.track);
        if let Some(duration) = duration {
            out.put_u32(duration);
        }
        if let Some(size) = size {
            out.put_u32(size);
        }
        if given & DEFAULT_FLAGS != 0 {
            out.put_u32(later);
        }
    });
    full(out, b"tfdt", 1, 0, |out| out.put_u64(run.decode_time));
    let mut pointer = 0;
    // Version 1 allows a picture to be shown before it is decoded, by the clock of some encoders.
    full(out, b"trun", 1, listed, |out| {
        out.put_u32(run.samples.len() as u32);
        pointer = out.len();
        out.put_u32(0);
        if listed & FIRST_FLAGS != 0 {
            out.put_u32(first);
        }
        for sample in run.samples {
            if listed & DURATIONS != 0 {
                out.put_u32(sample.duration);
            }
            if listed & SIZES != 0 {
                out.put_u32(sample.size);
            }
            if listed & FLAGS != 0 {
                out.put_u32(flags(sample));
            }
            if listed & COMPOSITIONS != 0 {
                out.put_i32(sample.composition);
            }
        }
    });
    pointer
}

fn flags(sample: &Sample) -> u32 {
    if sample.sync { SYNC } else { NO_SYNC }
}

/// What is the same for all samples.
fn common(run: &Run<'_>, of: impl Fn(&Sample) -> u32) -> Option<u32> {
    let (first, rest) = run.samples.split_first()?;
    let first = of(first);
    rest.iter()
        .all(|sample| of(sample) == first)
        .then_some(first)
}
