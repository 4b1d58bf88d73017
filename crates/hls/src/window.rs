//! The segments that are there.

mod wanted;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::segment::{Part, Progress, Segment};

pub use wanted::{ADVANCE, Answer, Found};

/// All segments that there are to serve: those that playlists list, and those that they listed a
/// while ago, for late comers. Cloning shares the segments.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// In the order of their numbers, which may leave some out. All are whole but the last and
    /// those that are torn.
    segments: VecDeque<Arc<Segment>>,
    ended: bool,
}

/// A version of the media playlist: the one that ends with this segment or part.
///
/// For each there is one text, the same on every node and at any time, as long as all is there
/// that it lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The media sequence number of the segment.
    pub msn: u64,
    /// The number of its part; `None` where segments are not cut into parts.
    pub part: Option<u32>,
}

/// What a version lists.
#[derive(Clone, Debug)]
pub(crate) struct Listed<'a> {
    /// Segments that are whole, but the last may not be.
    pub(crate) segments: Vec<&'a Segment>,
    /// Of the last, these parts alone.
    pub(crate) parts: &'a [Arc<Part>],
    /// Whether the last is listed as a whole.
    pub(crate) whole: bool,
    /// What comes behind, if it has begun.
    pub(crate) next: Option<&'a Segment>,
    /// Whether nothing comes behind, ever.
    pub(crate) ended: bool,
    /// Whether this is what every node lists.
    pub(crate) exact: bool,
}

impl Listed<'_> {
    /// Whether a segment is listed as a whole.
    pub(crate) fn is_playable(&self) -> bool {
        self.whole || self.segments.len() > 1
    }

    /// How long a segment may be. The first of a publish does not know: the second does, which has
    /// begun once the first is listed as a whole.
    pub(crate) fn target(&self) -> Duration {
        let last = self.segments.last();
        let next = self
            .next
            .filter(|next| last.is_some_and(|last| next.mark.first_listed <= last.msn));
        next.or(last.copied())
            .map_or(Duration::ZERO, |segment| segment.mark.target)
    }
}

impl Window {
    /// The segments, oldest first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &Arc<Segment>> {
        self.segments.iter()
    }

    /// Whether the stream has ended: nothing is added any more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// How long a segment may be at most, as the newest says; `None` while there is none.
    pub fn target(&self) -> Option<Duration> {
        let newest = self.segments.back()?;
        Some(newest.mark.target)
    }

    /// The newest version of the media playlist; `None` while there is nothing to list.
    pub fn newest(&self) -> Option<Version> {
        let segments = self.segments.iter().rev();
        let mut with_parts = segments.filter(|segment| !segment.parts.is_empty());
        let segment = with_parts.next()?;
        Some(version_of(segment))
    }

    /// Whether `version` can be told as every node tells it: all is there that it lists.
    ///
    /// The newest cannot while a backfill is still coming in, nor for a while where this node has
    /// missed something.
    pub fn is_exact(&self, version: Version) -> bool {
        self.listed(version).is_some_and(|listed| listed.exact)
    }

    /// Whether the newest version lists a whole segment. There are players that refuse a playlist
    /// of parts alone.
    pub fn is_playable(&self) -> bool {
        let listed = self.newest().and_then(|newest| self.listed(newest));
        listed.is_some_and(|listed| listed.is_playable())
    }

    /// What `version` lists; `None` if its last part is not there.
    pub(crate) fn listed(&self, version: Version) -> Option<Listed<'_>> {
        let at = self.position(version.msn).ok()?;
        let last = self.segments.get(at)?;
        let count = match version.part {
            Some(part) => usize::try_from(part).ok()?.checked_add(1)?,
            None => 1,
        };
        let parts = last.parts.get(..count)?;
        let whole = last.is_whole() && count == last.parts.len();
        if version.part.is_some() != last.has_parts() || !(whole || last.has_parts()) {
            return None;
        }
        let (range, exact) = self.listed_before(at, last);
        let before = self.segments.range(range).map(|segment| &**segment);
        let next = self.segments.get(at + 1).map(|segment| &**segment);
        // A last segment that was torn was told of without an end before.
        let ended = self.ended && self.newest() == Some(version);
        Some(Listed {
            segments: before.chain([&**last]).collect(),
            parts,
            whole,
            next: next.filter(|_| whole),
            ended,
            exact: exact && (!ended || (whole && next.is_none())),
        })
    }

    /// Which segments are listed in front of the one at `at`, and whether these are all that ever
    /// were.
    fn listed_before(&self, at: usize, last: &Segment) -> (Range<usize>, bool) {
        let mut first = at;
        let mut msn = last.msn;
        while msn > last.mark.first_listed {
            let before = first.checked_sub(1).and_then(|at| self.segments.get(at));
            match before.filter(|before| before.is_whole() && before.msn + 1 == msn) {
                // A playlist has one kind of segments.
                Some(before) if before.container != last.container => break,
                Some(_) => (first, msn) = (first - 1, msn - 1),
                None => return (first..at, false),
            }
        }
        (first..at, true)
    }

    /// Where the segment `msn` is, or would be.
    fn position(&self, msn: u64) -> Result<usize, usize> {
        self.segments
            .binary_search_by_key(&msn, |segment| segment.msn)
    }

    /// A segment begins. What is held for late comers longer than they are waited for goes.
    pub(crate) fn begin(&mut self, segment: Segment, max_bytes: usize) {
        if self
            .segments
            .back()
            .is_some_and(|last| last.msn >= segment.msn)
        {
            // Numbers that do not grow tell of another window.
            self.segments.clear();
        }
        let now = segment.mark.date_time;
        self.segments.push_back(Arc::new(segment));
        while let Some(front) = self.segments.front()
            && self
                .left(front.msn)
                .is_some_and(|left| is_over(front, left, now))
        {
            self.segments.pop_front();
        }
        let mut bytes: usize = self.segments.iter().map(|segment| segment.bytes()).sum();
        while bytes > max_bytes && self.segments.len() > 1 {
            let oldest = self.segments.pop_front();
            bytes -= oldest.map_or(0, |oldest| oldest.bytes());
        }
    }

    /// When the segment `msn` left the playlist, in nanoseconds of unix time; `None` if it is
    /// still listed.
    fn left(&self, msn: u64) -> Option<i64> {
        let mut later = self.segments.iter();
        let first = later.find(|later| later.mark.first_listed > msn);
        first.map(|later| later.mark.date_time)
    }

    /// The segment that has begun last, to go on with.
    pub(crate) fn last_mut(&mut self) -> Option<&mut Segment> {
        self.segments.back_mut().map(Arc::make_mut)
    }

    /// The last segment will not be whole.
    pub(crate) fn tear(&mut self) {
        if let Some(last) = self.last_mut()
            && last.progress == Progress::Filling
        {
            last.progress = Progress::Torn;
        }
    }

    pub(crate) fn end(&mut self) {
        self.ended = true;
    }
}

/// The newest version that ends in `segment`, of which something is there.
fn version_of(segment: &Segment) -> Version {
    let last = u32::try_from(segment.parts.len().saturating_sub(1)).unwrap_or(u32::MAX);
    Version {
        msn: segment.msn,
        part: segment.has_parts().then_some(last),
    }
}

/// Late comers get what left the playlist for three target durations more.
fn is_over(segment: &Segment, left: i64, now: i64) -> bool {
    let target = i64::try_from(segment.mark.target.as_nanos()).unwrap_or(i64::MAX);
    now.saturating_sub(left) >= target.saturating_mul(3)
}
