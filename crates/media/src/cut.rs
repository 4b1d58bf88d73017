//! Where segments and parts begin.

use std::fmt;
use std::time::Duration;

use crate::{Configuration, MarkedTag};

/// Decides where segments and parts begin, at the origin alone: everybody else reads its marks.
///
/// Given to [`Ring::begin_marked`], and called for every tag of that publish that is stored, in
/// order, before any reader sees it.
///
/// [`Ring::begin_marked`]: crate::Ring::begin_marked
pub trait Marker: fmt::Debug + Send {
    /// What begins with `tag`, which has its number, its time and everything else by now.
    /// `configuration` is the one in force with it, changes by the tag itself included.
    fn mark(&mut self, tag: &MarkedTag, configuration: &Configuration) -> Option<Cut>;
}

/// A part begins, perhaps with it a segment. The tags from here to the next cut belong to it.
///
/// A part lasts from its start to that of the next, or to the end of its epoch, but not
/// [longer](Segment::longest_part) than any may: where frames are missing for longer, nothing is
/// told of the rest of the gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The media sequence number of its segment.
    pub msn: u64,
    /// Its number within the segment, from 0. Where a stream is not cut into parts, each segment
    /// is one.
    pub part: u32,
    /// Where it begins, in nanoseconds of the time of its epoch: with its first frame, or a
    /// little before it where a frame is missing or sound and pictures are not quite in order.
    pub start: i64,
    /// What holds for the whole segment; with its first part alone.
    pub segment: Option<Segment>,
}

/// What a playlist needs to know about a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The number of the oldest segment that is listed together with this one.
    pub first_listed: u64,
    /// Its discontinuity sequence number. If it is not that of the segment before, there is a
    /// discontinuity between the two.
    pub discontinuity: u64,
    /// The version of the configuration that its initialisation is made of, which the
    /// configuration in force with its first tag equals in all that matters there.
    ///
    /// If the records of a track change before the segment is over, its frames from there on
    /// belong to no initialisation and are left out; the next segment comes soon.
    pub version: u32,
    /// The date and time of its start, in nanoseconds of unix time.
    pub date_time: i64,
    /// Whether a player may begin with it: its first tag is a keypoint.
    pub independent: bool,
    /// No segment is longer than this once rounded to whole seconds. It gets no
    /// shorter in an epoch, but behind the first, of which nobody knows how long it gets.
    pub target: Duration,
    /// No part is longer than this, and none but the last of a segment is shorter than 85 % of
    /// it. The same for all of an epoch; `None` where segments are not cut into parts.
    pub part_target: Option<Duration>,
}

/// A segment may be so much longer than the target, for it to be rounded away.
const ROUNDED: Duration = Duration::from_millis(450);

impl Segment {
    /// No part is told to be longer. Where segments are not cut into parts, no segment is.
    pub fn longest_part(&self) -> Duration {
        self.part_target.unwrap_or(self.target + ROUNDED)
    }
}
