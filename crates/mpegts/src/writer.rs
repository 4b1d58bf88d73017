//! The writer of segments.

use bytes::Bytes;

use crate::clock::Clock;
use crate::elementary::Elementary;
use crate::packet::{self, Adaptation, LENGTH, PAYLOAD};
use crate::tables::{Table, tables};
use crate::units::{Unit, units};
use crate::{Frame, Track, Unsupported, pes};

/// Counters go from 0 to 15.
const CYCLE: usize = 16;

/// Writes segments of the same tracks.
#[derive(Debug)]
pub struct Writer {
    tracks: Vec<Elementary>,
    /// The position of the track whose packets tell the clock: that of the video, if there is
    /// any.
    clock: Option<usize>,
    tables: [Table; 2],
}

impl Writer {
    /// A writer of these tracks.
    pub fn new(tracks: &[Track]) -> Result<Self, Unsupported> {
        let tracks: Vec<Elementary> = tracks
            .iter()
            .enumerate()
            .map(|(position, track)| Elementary::new(position, track))
            .collect::<Result<_, _>>()?;
        let first = if tracks.is_empty() { None } else { Some(0) };
        let clock = tracks.iter().position(Elementary::is_video).or(first);
        let tables = tables(&tracks, clock)?;
        Ok(Self {
            tracks,
            clock,
            tables,
        })
    }

    /// Segment `number`, of these frames, which are in the order in which they are decoded. Empty
    /// frames and those of other tracks are left out.
    ///
    /// Of the number only the lowest four bits count: the counter of the tables, of which there is
    /// one packet each.
    pub fn segment(&self, number: u64, frames: &[Frame]) -> Bytes {
        let units = units(&self.tracks, frames);
        let mut progress = vec![Progress::default(); self.tracks.len()];
        for unit in &units {
            progress[unit.track].left += 1;
        }
        let mut segment = Segment {
            out: Vec::with_capacity(estimate(&units, self.tracks.len())),
            progress,
            clock: self.clock.map(Clock::new),
        };
        for table in &self.tables {
            let counter = number as u8;
            packet::write(
                &mut segment.out,
                table.pid,
                counter,
                true,
                Adaptation::default(),
                &table.payload,
            );
        }
        let mut envelope = Vec::new();
        for unit in &units {
            let track = &self.tracks[unit.track];
            envelope.clear();
            pes::write(&mut envelope, track, unit);
            segment.write(track, unit, &envelope);
        }
        segment.out.shrink_to_fit();
        segment.out.into()
    }
}

/// A segment that is being written.
struct Segment {
    out: Vec<u8>,
    /// Of each track.
    progress: Vec<Progress>,
    clock: Option<Clock>,
}

/// How far a track is written.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Packets with payload so far.
    packets: usize,
    /// Envelopes still to come.
    left: usize,
}

impl Segment {
    /// Writes an envelope in packets. The last one of a track is spread over as many as make a
    /// whole cycle of the counter, so that the next segment, which begins at 0, goes on with it.
    fn write(&mut self, track: &Elementary, unit: &Unit<'_>, envelope: &[u8]) {
        let clock = self.clock.as_mut().and_then(|clock| {
            let counter = self.progress[clock.track].packets.wrapping_sub(1);
            clock.before(&mut self.out, unit, counter as u8)
        });
        let progress = &mut self.progress[unit.track];
        progress.left -= 1;
        let mut adaptation = Adaptation {
            // Any sound is a place to start, which is worth a word only where it is free.
            random_access: unit.is_keyframe() && (track.is_video() || clock.is_some()),
            clock,
        };
        let behind_first = envelope.len().saturating_sub(adaptation.room());
        let mut packets = 1 + behind_first.div_ceil(PAYLOAD);
        if progress.left == 0 {
            packets = (progress.packets + packets).next_multiple_of(CYCLE) - progress.packets;
        }
        let mut rest = envelope;
        for later in (0..packets).rev() {
            // At least a byte for each that follows: pes::SHORTEST sees to it.
            let room = adaptation.room().min(rest.len().saturating_sub(later));
            let (payload, behind) = rest.split_at(room);
            let starts = rest.len() == envelope.len();
            let counter = progress.packets as u8;
            packet::write(
                &mut self.out,
                track.pid,
                counter,
                starts,
                adaptation,
                payload,
            );
            progress.packets += 1;
            adaptation = Adaptation::default();
            rest = behind;
        }
    }
}

/// About how long the segment gets, and rarely less.
fn estimate(units: &[Unit<'_>], tracks: usize) -> usize {
    let of_unit = |unit: &Unit<'_>| {
        let bytes: usize = unit.frames.iter().map(|frame| frame.data.len() + 16).sum();
        bytes / PAYLOAD + 2
    };
    let packets: usize = units.iter().map(of_unit).sum();
    (packets + CYCLE * tracks + 2) * LENGTH
}
