//! What there is to say to who asks for something.

use std::sync::Arc;
use std::time::Duration;

use media::Epoch;

use super::{Version, Window, version_of};
use crate::names::Name;
use crate::segment::{Body, Init, Progress, Segment};

/// What there is to say to who asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Here it is, the same as on every node.
    There(T),
    /// It is to come within one target duration, or [`ADVANCE`], if things go on as they do.
    Wait,
    /// If it comes at all, then not so soon.
    TooFar,
    /// It is not to be had here, and will not be. (Who asks for a version of the playlist may be
    /// given the newest instead, as RFC 8216bis 6.2.5.2 wants it; caches must not keep that.)
    Gone,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An initialisation.
    Init(Arc<Init>),
    /// A segment or a part.
    Media(Body),
}

/// Of segments that have not begun yet, no more than so many can be asked for: who was just at a
/// node that is ahead of this one asks for what comes next there.
const MOST_AHEAD: u64 = 2;

/// Configurations change, but not so often.
const MOST_VERSIONS_AHEAD: u32 = 1000;

impl Window {
    /// The version of the playlist that `_HLS_msn` and `_HLS_part` ask for (RFC 8216bis, 6.2.5.2):
    /// the one that ends with that segment or part.
    ///
    /// At the end of a stream, who asks for what would come next gets the last version. Who asks
    /// for what is far beyond knows of another publish, and waits for that.
    pub fn version(&self, msn: u64, part: Option<u32>) -> Answer<Version> {
        let last = self.segments.back().map_or(u64::MAX, |last| last.msn);
        match self.version_so_far(msn, part) {
            Answer::Wait | Answer::TooFar
                if self.ended && msn.saturating_sub(last) > MOST_AHEAD =>
            {
                Answer::Wait
            }
            Answer::Wait | Answer::TooFar if self.ended => {
                let last = self.newest().filter(|newest| self.is_exact(*newest));
                last.map_or(Answer::Gone, Answer::There)
            }
            answer => answer,
        }
    }

    fn version_so_far(&self, msn: u64, part: Option<u32>) -> Answer<Version> {
        let Some(last) = self.segments.back() else {
            return Answer::Wait;
        };
        let Some(segment) = self.segment(msn) else {
            return match msn > last.msn {
                true => ahead(last, msn, part.unwrap_or(0)),
                false => Answer::Gone,
            };
        };
        let complete = segment.parts.len() as u64;
        let version = match part.filter(|_| segment.has_parts()) {
            Some(part) if u64::from(part) < complete => Version {
                msn,
                part: Some(part),
            },
            // A part that there is none of is the first of the next segment.
            Some(_) if segment.is_whole() => {
                return self.version_so_far(msn.saturating_add(1), Some(0));
            }
            None if segment.is_whole() => version_of(segment),
            part => return still_to_come(segment, part),
        };
        // One that lists parts alone is for nobody: it does not know its target duration yet.
        let listed = self.listed(version);
        match listed.is_some_and(|listed| listed.exact && listed.is_playable()) {
            true => Answer::There(version),
            false => Answer::Gone,
        }
    }

    /// What `name` stands for.
    pub fn find(&self, name: &Name) -> Answer<Found> {
        let answer = match *name {
            Name::Init { epoch, version } => self.find_init(epoch, version),
            Name::Segment {
                epoch,
                msn,
                container,
            } => self.find_in(epoch, msn, None, |segment| {
                match (segment.container == container, segment.is_whole()) {
                    (false, _) => Answer::Gone,
                    (true, true) => found(segment.body()),
                    (true, false) => still_to_come(segment, None),
                }
            }),
            Name::Part { epoch, msn, part } => self.find_in(epoch, msn, Some(part), |segment| {
                let complete = usize::try_from(part)
                    .ok()
                    .and_then(|at| segment.parts.get(at));
                match (segment.has_parts(), complete) {
                    (false, _) => Answer::Gone,
                    (true, Some(part)) => found(part.body()),
                    (true, None) if segment.is_whole() => Answer::Gone,
                    (true, None) => still_to_come(segment, Some(part)),
                }
            }),
        };
        match answer {
            Answer::Wait | Answer::TooFar if self.ended => Answer::Gone,
            answer => answer,
        }
    }

    /// Looks for something in the segment `msn` of `epoch`.
    fn find_in(
        &self,
        epoch: Epoch,
        msn: u64,
        part: Option<u32>,
        look: impl FnOnce(&Segment) -> Answer<Found>,
    ) -> Answer<Found> {
        let Some(last) = self.segments.back() else {
            return Answer::Wait;
        };
        match self.segment(msn) {
            Some(segment) if segment.epoch == epoch => look(segment),
            // An epoch that has not come here yet may have any number.
            _ if epoch > last.epoch => Answer::Wait,
            _ if epoch == last.epoch && msn > last.msn => ahead(last, msn, part.unwrap_or(0)),
            _ => Answer::Gone,
        }
    }

    fn find_init(&self, epoch: Epoch, version: u32) -> Answer<Found> {
        let Some(last) = self.segments.back() else {
            return Answer::Wait;
        };
        let mut inits = self.segments.iter().rev().filter_map(|it| it.init());
        if let Some(init) = inits.find(|it| (it.epoch, it.version) == (epoch, version)) {
            return Answer::There(Found::Init(Arc::clone(init)));
        }
        let newest = last.mark.version;
        if epoch > last.epoch {
            Answer::Wait
        } else if epoch < last.epoch || version <= newest {
            Answer::Gone
        } else if version - newest > MOST_VERSIONS_AHEAD {
            Answer::TooFar
        } else {
            Answer::Wait
        }
    }

    fn segment(&self, msn: u64) -> Option<&Segment> {
        let at = self.position(msn).ok()?;
        self.segments.get(at).map(|segment| &**segment)
    }
}

/// Of a segment that has begun and is not whole, `part` or all of it.
fn still_to_come<T>(segment: &Segment, part: Option<u32>) -> Answer<T> {
    if segment.progress == Progress::Torn {
        return Answer::Gone;
    }
    let complete = u32::try_from(segment.parts.len()).unwrap_or(u32::MAX);
    within(
        segment,
        0,
        part.map_or(0, |part| part.saturating_sub(complete)),
    )
}

/// Of the segment `msn`, which has not begun, behind `last`.
fn ahead<T>(last: &Segment, msn: u64, part: u32) -> Answer<T> {
    let segments = msn.saturating_sub(last.msn);
    match segments > MOST_AHEAD {
        true => Answer::TooFar,
        false => within(last, segments.saturating_sub(1), part),
    }
}

/// RFC 8216bis 6.2.5.2: clients may ask for parts so far ahead, however short the target duration.
pub const ADVANCE: Duration = Duration::from_secs(3);

/// Whether so many segments and parts come within the target duration, if they are as long as
/// they may be.
fn within<T>(segment: &Segment, segments: u64, parts: u32) -> Answer<T> {
    let target = segment.mark.target;
    let part = segment.mark.part_target.map_or(0, |part| part.as_nanos());
    let time = u128::from(segments) * target.as_nanos() + u128::from(parts) * part;
    match time <= target.max(ADVANCE).as_nanos() {
        true => Answer::Wait,
        false => Answer::TooFar,
    }
}

fn found(body: Option<&Body>) -> Answer<Found> {
    match body {
        Some(body) => Answer::There(Found::Media(body.clone())),
        None => Answer::Gone,
    }
}
