//! The segments that a playlist lists by now, as far as they are in the ring.

use std::collections::VecDeque;

use crate::{Cut, Epoch, MarkedTag, Segment};

/// The newest segment, and how far it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The publish it belongs to.
    pub epoch: Epoch,
    /// Its media sequence number.
    pub msn: u64,
    /// What is known of it.
    pub segment: Segment,
    /// Where it ends by now, in nanoseconds of unix time: no date and time of a segment behind it
    /// may be earlier.
    pub end: i64,
}

/// So long a single frame may last, in nanoseconds, for what comes behind to wait for its end.
const MAX_FRAME: i64 = 1_000_000_000;

/// Follows the segments of a stream.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The segments that begin in the ring and are listed with the newest or with the one before: their
    /// numbers, and their first tags.
    listed: VecDeque<(u64, u64)>,
    newest: Option<(Epoch, Cut, Segment)>,
    /// Where the frames end by now, in the time of the newest segment's epoch.
    end: i64,
    /// The time of the newest picture, or of the newest frame of sound alone.
    last: Option<i64>,
}

impl Window {
    /// No segments come any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is listed will never be whole: tags are missing behind it.
    pub(super) fn tear(&mut self) {
        self.listed.clear();
    }

    /// A tag is about to be stored; `clock` if the pace of the stream is that of its frames.
    /// Returns whether a segment begins.
    pub(super) fn next(&mut self, marked: &MarkedTag, clock: bool) -> bool {
        let begun = marked.cut().and_then(|cut| {
            let segment = cut.segment.clone()?;
            let bare = Cut {
                segment: None,
                ..cut.clone()
            };
            Some((marked.epoch, bare, segment))
        });
        let begins = begun.is_some();
        if let Some((epoch, cut, segment)) = begun {
            // Nothing of before, so that it is the same wherever this is followed.
            (self.end, self.last) = (cut.start, None);
            // Numbers that do not grow tell of another window.
            while self.listed.back().is_some_and(|(msn, _)| *msn >= cut.msn) {
                self.listed.pop_back();
            }
            self.listed.push_back((cut.msn, marked.seq));
            // Until it is complete, the newest playlist is still that of the segment before.
            let before = self.newest.take().map(|(.., before)| before.first_listed);
            let carries_on = segment.first_listed < cut.msn;
            let oldest = before.filter(|before| carries_on && *before < segment.first_listed);
            let oldest = oldest.unwrap_or(segment.first_listed);
            while self
                .listed
                .front()
                .is_some_and(|(msn, seq)| *msn < oldest && *seq < marked.seq)
            {
                self.listed.pop_front();
            }
            self.newest = Some((epoch, cut, segment));
        }
        let is_of_newest = self.newest.as_ref().is_some_and(|it| it.0 == marked.epoch);
        if is_of_newest && marked.tag.is_frame() {
            let mut end = marked.time;
            if clock {
                let step = self.last.map_or(0, |last| marked.time.saturating_sub(last));
                end = end.saturating_add(step.clamp(0, MAX_FRAME));
                self.last = Some(marked.time);
            }
            self.end = self.end.max(end);
        }
        begins
    }

    /// The first tag of the oldest listed segment.
    pub(super) fn first(&self) -> Option<u64> {
        self.listed.front().map(|(_, seq)| *seq)
    }

    /// The tags before `oldest` are gone.
    pub(super) fn evict(&mut self, oldest: u64) {
        while self.first().is_some_and(|first| first < oldest) {
            self.listed.pop_front();
        }
    }

    pub(super) fn newest(&self) -> Option<Newest> {
        let (epoch, cut, segment) = self.newest.as_ref()?;
        let length = self.end.saturating_sub(cut.start).max(0);
        Some(Newest {
            epoch: *epoch,
            msn: cut.msn,
            end: segment.date_time.saturating_add(length),
            segment: segment.clone(),
        })
    }
}
