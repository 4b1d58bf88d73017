//! What goes into an envelope together.

use crate::Frame;
use crate::elementary::Elementary;

/// Frames of a track that share an envelope: a picture, or some sound.
pub(crate) struct Unit<'a> {
    /// The position of the track.
    pub(crate) track: usize,
    /// At least one.
    pub(crate) frames: Vec<&'a Frame>,
    /// Whether it is the first of its track. It takes one frame only: FFmpeg, when it begins to
    /// read a playlist without video, gives the time of an envelope to its second frame too.
    is_first: bool,
}

/// A frame that begins as long after the first begins another envelope, in 1/90,000 s: 60 ms.
/// The clock may be in these, so the next must not be more than 100 ms away.
const LONGEST: u64 = 5_400;

/// Only the first frame's time is written, so the next ones must not be further from where their
/// lengths put them: 1 ms, which is how exact the times of RTMP are.
const TOLERANCE: u64 = 90;

impl<'a> Unit<'a> {
    pub(crate) fn dts(&self) -> u64 {
        self.frames.first().map_or(0, |frame| frame.dts)
    }

    pub(crate) fn pts(&self) -> u64 {
        self.frames.first().map_or(0, |frame| frame.pts)
    }

    pub(crate) fn is_keyframe(&self) -> bool {
        self.frames.first().is_some_and(|frame| frame.keyframe)
    }

    fn takes(&self, track: &Elementary, frame: &Frame) -> bool {
        let Some(duration) = track.row(self.frames.len()).filter(|_| !self.is_first) else {
            return false;
        };
        let expected = self.pts().saturating_add(duration);
        frame.pts.abs_diff(expected) <= TOLERANCE && frame.pts.saturating_sub(self.pts()) < LONGEST
    }
}

/// The frames in envelopes, each where the first of its frames was. Frames of tracks that are not
/// there, and those that cannot be written, are left out.
pub(crate) fn units<'a>(tracks: &[Elementary], frames: &'a [Frame]) -> Vec<Unit<'a>> {
    let mut units: Vec<Unit<'a>> = Vec::with_capacity(frames.len());
    // The position of the unit of each track that may take another frame.
    let mut open: Vec<Option<usize>> = vec![None; tracks.len()];
    for frame in frames {
        let Some((position, track)) = tracks
            .iter()
            .enumerate()
            .find(|(_, track)| track.id == frame.track)
        else {
            continue;
        };
        let Some(open) = open.get_mut(position).filter(|_| track.takes(&frame.data)) else {
            continue;
        };
        match open.and_then(|at| units.get_mut(at)) {
            Some(unit) if unit.takes(track, frame) => unit.frames.push(frame),
            _ => {
                let is_first = open.replace(units.len()).is_none();
                units.push(Unit {
                    track: position,
                    frames: vec![frame],
                    is_first,
                });
            }
        }
    }
    units
}
