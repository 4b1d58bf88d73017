//! An encoder's timestamps made monotone, and finer than milliseconds.

mod audio;
mod video;

use flv::Kind;

use audio::AudioGrid;
use video::VideoGrid;

pub(crate) use video::frame_rate_from_number;

/// How far a track may step back and still be believed (Q09), in milliseconds.
const MAX_BACK_MS: i64 = 1_000;

/// How far a track may step forward beyond what the wall clock did, in milliseconds.
const MAX_FORWARD_MS: i64 = 10_000;

/// How much later than decoded a picture may be shown, in milliseconds, for what comes behind a
/// jump or in a new publish to begin after it.
pub(crate) const MAX_COMPOSITION_MS: i64 = 10_000;

/// How many tracks have a clock of their own.
const MAX_TRACKS: usize = 64;

const NS_PER_MS: i64 = 1_000_000;

/// How far time can go, in milliseconds: a century and more, and far below what nanoseconds in
/// 64 bits can tell.
const MAX_MS: i64 = i64::MAX / NS_PER_MS / 2;

/// Makes the timestamps of one publish monotone and fine.
///
/// Milliseconds pass as they are while they make sense: across the 32-bit wrap (Q10) and over
/// small steps back. Where a track jumps (an encoder restarted its clock) it is placed where the
/// stream is by now, and the other tracks follow with the same offset (Q09).
///
/// Beside the milliseconds there is a fine time, which never steps back within a track: audio on
/// the grid of its samples, video on the grid of its frames where these are even.
#[derive(Debug, Default)]
pub struct Timeline {
    tracks: Vec<Track>,
    /// The offset that the newest jump led to: the first that another jumping track tries.
    offset: i64,
    /// The highest time that came out, in milliseconds.
    now: Option<i64>,
    /// The highest time at which a frame is shown, in milliseconds.
    shown: i64,
    /// The newest timestamp that came in, unwrapped.
    raw: Option<i64>,
    /// When it came in.
    ingest: i64,
    jumps: u64,
}

/// A tag as it comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its kind.
    pub kind: Kind,
    /// Its track.
    pub track: u8,
    /// Whether it is a frame. Everything else (configuration, data, the end of a sequence) gets
    /// the time that its track has reached: encoders send it with time 0 or something made up.
    pub drives: bool,
    /// Its timestamp on the wire, in milliseconds.
    pub dts: u32,
    /// Nanoseconds beyond `dts`, where the encoder tells.
    pub nano_offset: u32,
    /// Presentation less decoding time, in milliseconds.
    pub composition: i32,
    /// How long an audio packet is, where it says so itself.
    pub samples: Option<Samples>,
    /// When it came in, in nanoseconds.
    pub ingest: i64,
}

/// How long an audio packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples {
    /// Samples per channel.
    pub count: u32,
    /// Samples per second.
    pub rate: u32,
}

/// The time of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Decode time in milliseconds. It does not wrap; its low 32 bits are for the wire.
    pub ms: i64,
    /// Decode time in nanoseconds, never before that of an earlier tag of the track.
    pub time: i64,
    /// Presentation less decode time in nanoseconds.
    pub composition: i64,
}

#[derive(Debug)]
struct Track {
    kind: Kind,
    id: u8,
    /// Added to what comes in.
    offset: i64,
    /// The newest timestamp that came in, unwrapped; `None` before the first.
    raw: Option<i64>,
    ingest: i64,
    /// The highest time that came out, in milliseconds.
    highest: i64,
    /// Nothing comes out below: where the track was at its last jump.
    floor: i64,
    /// The newest fine time.
    time: i64,
    grid: Grid,
}

#[derive(Debug)]
enum Grid {
    None,
    Audio(AudioGrid),
    Video(VideoGrid),
    /// The encoder itself tells nanoseconds.
    Exact,
}

impl Timeline {
    /// A timeline that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many jumps were mended so far.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// Tells the sample rate of an audio track, and how many samples a packet has if that is
    /// always the same.
    pub fn audio(&mut self, track: u8, rate: u32, samples: Option<u32>) {
        let track = self
            .track(Kind::Audio, track)
            .and_then(|at| self.tracks.get_mut(at));
        if let Some(Track {
            grid: Grid::Audio(grid),
            ..
        }) = track
        {
            grid.configure(rate, samples);
        }
    }

    /// Tells the frame rate of a video track as numerator and denominator, if it is known. It is
    /// believed until the timestamps disagree.
    pub fn video(&mut self, track: u8, frame_rate: Option<(u32, u32)>) {
        let track = self
            .track(Kind::Video, track)
            .and_then(|at| self.tracks.get_mut(at));
        if let Some(Track {
            grid: Grid::Video(grid),
            ..
        }) = track
        {
            grid.configure(frame_rate);
        }
    }

    /// The time of the next tag.
    pub fn stamp(&mut self, arrival: &Arrival) -> Stamp {
        let at = if arrival.drives {
            self.track(arrival.kind, arrival.track)
        } else {
            None
        };
        match at {
            Some(at) => self.drive(at, arrival),
            None => self.follow(arrival),
        }
    }

    /// Where the state of a track is; `None` if there are too many.
    fn track(&mut self, kind: Kind, id: u8) -> Option<usize> {
        let known = self
            .tracks
            .iter()
            .position(|track| track.kind == kind && track.id == id);
        if known.is_some() || self.tracks.len() >= MAX_TRACKS {
            return known;
        }
        self.tracks.push(Track::new(kind, id));
        Some(self.tracks.len() - 1)
    }

    /// A frame: it moves the clocks.
    fn drive(&mut self, at: usize, arrival: &Arrival) -> Stamp {
        let Some(track) = self.tracks.get_mut(at) else {
            return self.follow(arrival);
        };
        let raw = unwrap(track.raw.or(self.raw), arrival.dts);
        if track.raw.is_none() {
            track.offset = self.offset;
        }
        let waited = |since: i64| (arrival.ingest.saturating_sub(since) / NS_PER_MS).max(0);

        let mut ms = raw.saturating_add(track.offset);
        let believable = match (track.raw, self.now) {
            (_, None) => true,
            // The first of its track: near to where the stream is.
            (None, Some(now)) => {
                let ahead = ms.saturating_sub(now);
                (-MAX_FORWARD_MS..=MAX_FORWARD_MS + waited(self.ingest)).contains(&ahead)
            }
            (Some(_), Some(now)) => {
                let bound = track.highest.saturating_add(waited(track.ingest)).max(now);
                let bound = bound.saturating_add(MAX_FORWARD_MS);
                (track.highest - MAX_BACK_MS..=bound).contains(&ms)
            }
        };
        if let Some(now) = self.now.filter(|_| !believable) {
            track.floor = if track.raw.is_some() {
                track.highest
            } else {
                0
            };
            let same = raw.saturating_add(self.offset);
            if track.raw.is_some() && (now - MAX_BACK_MS..=now + MAX_FORWARD_MS).contains(&same) {
                // Another track jumped before: this one follows.
                track.offset = self.offset;
            } else {
                let gap = waited(self.ingest).clamp(1, MAX_FORWARD_MS);
                // Behind all that is shown, also where pictures are shown after later ones.
                let goes_on = now.saturating_add(gap).max(self.shown + 1);
                track.offset = goes_on.saturating_sub(raw);
                self.offset = track.offset;
                self.jumps += 1;
            }
            ms = raw.saturating_add(track.offset);
            track.grid.restart();
        }
        let ms = ms.max(track.floor).clamp(0, MAX_MS);

        self.raw = Some(raw);
        self.ingest = arrival.ingest;
        self.now = Some(self.now.map_or(ms, |now| now.max(ms)));
        let composition = i64::from(arrival.composition).min(MAX_COMPOSITION_MS);
        self.shown = self.shown.max(ms + composition);
        track.raw = Some(raw);
        track.ingest = arrival.ingest;
        track.highest = track.highest.max(ms);
        track.stamp(ms, arrival)
    }

    /// Anything else: it takes the time that its track, or else the stream, has reached.
    fn follow(&mut self, arrival: &Arrival) -> Stamp {
        let own = self.tracks.iter().find(|track| {
            track.kind == arrival.kind && track.id == arrival.track && track.raw.is_some()
        });
        let (ms, time) = match (own, self.now) {
            (Some(track), _) => (track.highest, track.time),
            (None, Some(now)) => (now, now.saturating_mul(NS_PER_MS)),
            (None, None) => (i64::from(arrival.dts), i64::from(arrival.dts) * NS_PER_MS),
        };
        Stamp {
            ms,
            time,
            composition: i64::from(arrival.composition) * NS_PER_MS,
        }
    }
}

impl Track {
    fn new(kind: Kind, id: u8) -> Self {
        let grid = match kind {
            Kind::Audio => Grid::Audio(AudioGrid::default()),
            Kind::Video => Grid::Video(VideoGrid::default()),
            Kind::Data => Grid::None,
        };
        Self {
            kind,
            id,
            offset: 0,
            raw: None,
            ingest: 0,
            highest: 0,
            floor: 0,
            time: 0,
            grid,
        }
    }

    fn stamp(&mut self, ms: i64, arrival: &Arrival) -> Stamp {
        if arrival.nano_offset != 0 {
            self.grid = Grid::Exact;
        }
        let coarse = ms.saturating_mul(NS_PER_MS);
        let mut composition = i64::from(arrival.composition) * NS_PER_MS;
        let time = match &mut self.grid {
            Grid::None => coarse,
            Grid::Exact => coarse.saturating_add(i64::from(arrival.nano_offset)),
            Grid::Audio(grid) => grid.snap(ms, arrival.samples),
            Grid::Video(grid) => {
                let time = grid.snap(ms);
                composition = grid.snap_composition(composition);
                time
            }
        };
        self.time = self.time.max(time);
        Stamp {
            ms,
            time: self.time,
            composition,
        }
    }
}

impl Grid {
    fn restart(&mut self) {
        match self {
            Self::None | Self::Exact => {}
            Self::Audio(grid) => grid.restart(),
            Self::Video(grid) => grid.restart(),
        }
    }
}

/// The milliseconds of which `dts` is the low half, of a tag with the fine time `time`.
pub(crate) fn near(time: i64, dts: u32) -> i64 {
    let ms = (time / NS_PER_MS).clamp(0, MAX_MS);
    unwrap(Some(ms), dts).max(0)
}

/// The timestamp `dts`, which wraps at 32 bits, next to `near`.
fn unwrap(near: Option<i64>, dts: u32) -> i64 {
    match near {
        None => i64::from(dts),
        Some(near) => near.saturating_add(i64::from(dts.wrapping_sub(near as u32) as i32)),
    }
}

#[cfg(test)]
mod tests;
