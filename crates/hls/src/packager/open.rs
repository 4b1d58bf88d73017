//! The segment that is being filled.

use media::{Configuration, Cut, Epoch, MarkedTag};

use crate::mux::{self, Contents};
use crate::names::Container;
use crate::segment::Part;
use crate::timing::Frame;
use crate::tracks::Tracks;

/// A segment that is being filled, and of it the part that is.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) epoch: Epoch,
    pub(super) msn: u64,
    pub(super) container: Container,
    /// Whether it is cut into parts.
    pub(super) has_parts: bool,
    /// The number of the part that is being filled.
    pub(super) part: u32,
    /// How much came for the segment so far.
    pub(super) bytes: usize,
    /// The tracks that are carried.
    pub(super) tracks: Tracks,
    /// The main tracks as they were when the segment began, carried or not.
    source: Tracks,
    /// The version of the configuration that was looked at last, and which of the main tracks
    /// are still what they were.
    seen: u32,
    fits: Fits,
    /// No part is longer, in nanoseconds.
    longest: i64,
    filling: Filling,
    end: End,
}

#[derive(Clone, Copy, Debug)]
struct Fits {
    video: bool,
    audio: bool,
}

/// What the part is filled with.
#[derive(Debug)]
struct Filling {
    /// When it begins, in nanoseconds of the time of its epoch.
    start: i64,
    sequence: u32,
    video: Vec<Frame>,
    audio: Vec<Frame>,
    independent: bool,
}

/// Where a segment ends behind which nothing comes: as the ring tells the origin, who numbers and
/// dates the next publish by it.
#[derive(Debug)]
struct End {
    /// In nanoseconds of the time of its epoch.
    at: i64,
    /// The newest picture, or frame of sound alone.
    last: Option<i64>,
}

/// So long a single frame lasts at most, in nanoseconds, for what comes behind to wait for it.
const LONGEST_FRAME: i64 = 1_000_000_000;

/// So long a part lasts of which nothing tells, in nanoseconds: a single frame that ends a stream.
const SINGLE_FRAME: i64 = 40_000_000;

impl Open {
    pub(super) fn new(
        tag: &MarkedTag,
        cut: &Cut,
        mark: &media::Segment,
        container: Container,
        configuration: &Configuration,
    ) -> Self {
        let source = Tracks::of(configuration);
        let longest = i64::try_from(mark.longest_part().as_nanos()).unwrap_or(i64::MAX);
        Self {
            epoch: tag.epoch,
            msn: cut.msn,
            container,
            has_parts: mark.part_target.is_some() && container == Container::Fmp4,
            part: 0,
            bytes: 0,
            tracks: source.clone().carried_in(container),
            source,
            seen: configuration.version,
            fits: Fits {
                video: true,
                audio: true,
            },
            longest,
            filling: Filling::new(tag, cut.start),
            end: End {
                at: cut.start,
                last: None,
            },
        }
    }

    /// Takes a tag that belongs to it.
    pub(super) fn add(&mut self, tag: &MarkedTag, configuration: &Configuration) {
        if self.seen != configuration.version {
            self.seen = configuration.version;
            let now = Tracks::of(configuration);
            self.fits = Fits {
                video: now.video == self.source.video,
                audio: now.audio == self.source.audio,
            };
        }
        if !tag.tag.is_frame() {
            return;
        }
        let is_picture = configuration.is_main_picture(&tag.tag);
        let has_pictures = configuration.main_video().is_some();
        self.end.follow(tag.time, is_picture || !has_pictures);

        let picture = self
            .tracks
            .video
            .as_ref()
            .filter(|_| self.fits.video && is_picture);
        let is_sound = configuration.is_main_sound(&tag.tag);
        let sound = self
            .tracks
            .audio
            .as_ref()
            .filter(|_| self.fits.audio && is_sound);
        let track = picture.map(|it| it.track).or(sound.map(|it| it.track));
        let Some(frame) = track.and_then(|track| frame(tag, track)) else {
            return;
        };
        self.bytes = self.bytes.saturating_add(frame.body.len());
        let filling = &mut self.filling;
        // Sound alone can always be joined.
        filling.independent |= tag.keypoint || (picture.is_none() && self.tracks.video.is_none());
        match picture {
            Some(_) => filling.video.push(frame),
            None => filling.audio.push(frame),
        }
    }

    /// The part that is being filled is over, and the next begins with `tag` at `start`.
    pub(super) fn next_part(&mut self, tag: &MarkedTag, start: i64) -> Part {
        let part = self.close(Some(start));
        self.filling = Filling::new(tag, start);
        self.part = self.part.saturating_add(1);
        part
    }

    /// The part that is being filled is over: where the next begins, if there is one in its epoch.
    pub(super) fn close(&mut self, next: Option<i64>) -> Part {
        let filling = &self.filling;
        let lasted = match next {
            Some(next) => next.saturating_sub(filling.start),
            None => match self.end.at.saturating_sub(filling.start) {
                lasted if lasted > 0 => lasted,
                _ => SINGLE_FRAME,
            },
        };
        let duration = lasted.min(self.longest).max(1000);
        let contents = Contents {
            tracks: &self.tracks,
            video: &filling.video,
            audio: &filling.audio,
            sequence: match self.container {
                Container::Fmp4 => filling.sequence,
                // Counters go on from one segment to the next.
                Container::Ts => self.msn as u32,
            },
            end: filling.start.saturating_add(duration),
        };
        Part {
            duration,
            independent: filling.independent,
            body: mux::body(self.container, &contents),
        }
    }
}

impl Filling {
    fn new(tag: &MarkedTag, start: i64) -> Self {
        Self {
            start,
            // From 1, as fragments are counted, and it does not matter that it wraps.
            sequence: (tag.number as u32).wrapping_add(1),
            video: Vec::new(),
            audio: Vec::new(),
            independent: false,
        }
    }
}

impl End {
    fn follow(&mut self, time: i64, is_clock: bool) {
        let mut end = time;
        if is_clock {
            let step = self.last.map_or(0, |last| time.saturating_sub(last));
            end = end.saturating_add(step.clamp(0, LONGEST_FRAME));
            self.last = Some(time);
        }
        self.at = self.at.max(end);
    }
}

/// What `tag` has of a track; `None` if that is nothing. Frames without a byte are left out: no
/// decoder knows what to do with them.
fn frame(tag: &MarkedTag, track: u8) -> Option<Frame> {
    let mut composition = tag.composition;
    let body = match tag.tag.has_many_tracks() {
        false => tag.tag.body(),
        true => {
            let own = flv::tracks(&tag.tag).find(|own| own.id == track)?;
            if tag.tag.track() != track {
                // The time of a tag is made finer for its first track alone.
                composition = i64::from(own.composition) * 1_000_000;
            }
            own.body
        }
    };
    (!body.is_empty()).then(|| Frame {
        time: tag.time,
        composition,
        sync: !tag.tag.is_video() || tag.tag.is_keyframe(),
        body,
    })
}
