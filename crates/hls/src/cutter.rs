//! Where segments and parts begin.

mod clock;
mod layout;
mod listing;
mod pace;

use std::collections::VecDeque;

use media::{Configuration, Cut, MarkedTag, Marker, Segment};

use crate::config::Config;
use crate::numbering::{NUMBERS_PER_SECOND, Numbering};
use clock::{Clock, Tick};
use layout::{Change, Layouts};
use listing::Listing;
use pace::Pace;

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// So long a stream that seems to be sound alone is given for its pictures to come, in
/// nanoseconds: if its metadata tells of pictures, and if there is no metadata.
const TOLD_PATIENCE: i64 = SECOND;
const BARE_PATIENCE: i64 = 300_000_000;

/// Decides where the segments and parts of one publish begin.
///
/// Time is that of the main video track, or of the main audio track where pictures do not come.
/// From one frame to the next:
///
/// - A segment begins with the keyframe that brings the last one nearest to its length, as far as
///   can be told from the distance of the last two, and before that where the next keyframe may
///   come too late. If none comes for as long as a segment may be, it begins without. That is
///   twice the length; once the first segment is whole it is what players are told then, until
///   keyframes that are farther apart show that this was too little.
/// - What needs another initialisation begins another segment: with the next picture if the
///   record of the main video track changed, else with the next keyframe. There is a discontinuity
///   then, and also where nothing came for longer than a segment.
/// - A part begins with the frame that brings the last one nearest to the length that whole frames
///   allow. It never lasts longer than the part target, nor, except the last of a segment, less
///   than 85 % of it. If a frame is missing, the next part therefore begins a little before its
///   first frame.
#[derive(Debug)]
pub struct Cutter {
    config: Config,
    pace: Pace,
    clock: Clock,
    layouts: Layouts,
    listing: Listing,
    /// The numbers of the next segment.
    msn: u64,
    discontinuity: u64,
    /// Nothing may be dated earlier.
    not_before: i64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has begun yet.
    Waiting {
        /// When the first frame came, in the time of the stream.
        since: Option<i64>,
        /// How long sound alone waits for pictures.
        patience: i64,
    },
    Cutting(Open),
}

/// The segment and the part that are being filled.
#[derive(Debug)]
struct Open {
    /// The date and time of time 0.
    base: i64,
    /// Where the first segment began.
    first: i64,
    /// Segments begun so far.
    segments: i64,
    /// Where the segment and the part began.
    segment: i64,
    part: i64,
    /// The number of the part.
    number: u32,
    /// How long the parts before it are.
    length: i64,
    /// Whether the segment began with a keypoint.
    is_independent: bool,
    /// The time of the newest frame and of the newest keypoint.
    now: i64,
    keypoint: Option<i64>,
    /// How far apart the last keypoints are.
    gops: VecDeque<i64>,
}

/// So many distances of keypoints tell how late the next may come.
const GOPS: usize = 16;

/// What begins.
enum Begin {
    Segment { discontinuity: bool },
    Part,
}

impl Cutter {
    /// The cutter of a publish that is numbered so. What makes no sense in the configuration is
    /// brought within its bounds.
    pub fn new(config: &Config, numbering: &Numbering) -> Self {
        let config = config.bounded();
        let carried = numbering.carried.as_ref();
        let pace = Pace::new(&config, carried);
        let listed = carried.map_or(0, |carried| numbering.msn.saturating_sub(carried.oldest));
        Self {
            listing: Listing::new(&config, listed),
            config,
            pace,
            clock: Clock::default(),
            layouts: Layouts::default(),
            msn: numbering.msn,
            discontinuity: numbering.discontinuity,
            not_before: numbering.not_before.unwrap_or(i64::MIN),
            state: State::Waiting {
                since: None,
                patience: 0,
            },
        }
    }

    /// Begins the first segment, if `tag` is what it may begin with.
    fn begin_first(
        &mut self,
        tick: Tick,
        tag: &MarkedTag,
        configuration: &Configuration,
    ) -> Option<Cut> {
        let State::Waiting { since, patience } = &mut self.state else {
            return None;
        };
        let waited = tick.now.saturating_sub(*since.get_or_insert(tick.now));
        let has_video = configuration.main_video().is_some();
        let is_time = match (has_video, tick.picture) {
            // A keyframe, or sound alone.
            (true, _) if tag.keypoint => true,
            (true, _) => waited >= self.pace.segment,
            (false, _) => waited >= *patience,
        };
        if !is_time {
            return None;
        }
        self.pace.settle(&self.config, configuration);
        self.clock.start(tag.time);
        let now = tag.time;
        let base = tag.ingest.max(self.not_before).saturating_sub(now);
        self.state = State::Cutting(Open {
            base,
            first: now,
            segments: 0,
            segment: now,
            part: now,
            number: 0,
            length: 0,
            is_independent: false,
            now,
            keypoint: tag.keypoint.then_some(now),
            gops: VecDeque::new(),
        });
        self.begin(
            Begin::Segment {
                discontinuity: false,
            },
            now,
            tag,
        )
    }

    /// What begins with a frame at `tick`.
    fn decide(&mut self, tick: Tick, tag: &MarkedTag) -> Option<Begin> {
        let State::Cutting(open) = &mut self.state else {
            return None;
        };
        let pace = &self.pace;
        let step = tick.now.saturating_sub(open.now);
        open.now = tick.now;
        // How far apart keypoints are; of the first nobody knows when the next will come.
        let gop = tag.keypoint.then(|| open.keypoint(tick.now));
        let part = tick.now.saturating_sub(open.part);
        let length = open.reaches(tick.now, pace.longest_part()) - open.segment;
        if part <= 0 {
            return None;
        }
        if step > pace.longest_gap {
            return Some(Begin::Segment {
                discontinuity: true,
            });
        }
        let is_whole = part >= pace.least_part;
        // Never more segments than numbers go by, whatever an encoder changes how often.
        let elapsed = i128::from(tick.now.saturating_sub(open.first));
        let numbers = elapsed * i128::from(NUMBERS_PER_SECOND) / i128::from(SECOND) + 2;
        let may_begin = i128::from(open.segments) < numbers;

        let changes = match self.layouts.change() {
            None => false,
            Some(Change::MainVideo) => tick.picture || tag.keypoint,
            Some(Change::Other) => tag.keypoint || !tick.picture,
        };
        if changes && may_begin {
            return Some(Begin::Segment {
                discontinuity: true,
            });
        }
        if let Some(gop) = gop
            && may_begin
            && (length >= pace.segment / 4 || !open.is_independent)
        {
            // Where every frame is a keyframe parts are kept whole.
            let fits = gop >= pace.least_part || is_whole;
            let next = length.saturating_add(if gop >= pace.least_part { gop } else { part });
            let off = |length: i64| length.saturating_sub(pace.segment).saturating_abs();
            // With pictures that come together with a scene the next may be as far as any was.
            let latest = length.saturating_add(open.longest_gop());
            let is_due = off(length) <= off(next)
                || latest > pace.longest_segment
                // It is to be joined again soon, not where the next is too late in turn.
                || !open.is_independent;
            if fits && is_due {
                return Some(Begin::Segment {
                    discontinuity: false,
                });
            }
        }
        let ahead = pace.part.unwrap_or(step);
        if is_whole && length.saturating_add(ahead) > pace.longest_segment {
            return Some(Begin::Segment {
                discontinuity: false,
            });
        }
        (is_whole && pace.part.is_some()).then_some(Begin::Part)
    }

    /// Marks what begins at `now` with `tag`.
    fn begin(&mut self, begin: Begin, now: i64, tag: &MarkedTag) -> Option<Cut> {
        let State::Cutting(open) = &mut self.state else {
            return None;
        };
        let limit = self.pace.longest_part();
        let start = open.reaches(now, limit);
        let lasted = start.saturating_sub(open.part).min(limit);
        open.part = start;
        if let Begin::Part = begin {
            open.length += lasted;
            open.number = open.number.saturating_add(1);
            return Some(Cut {
                msn: self.msn,
                part: open.number,
                start,
                segment: None,
            });
        }
        let Begin::Segment { discontinuity } = begin else {
            return None;
        };
        let discontinuity = discontinuity || self.layouts.change().is_some();
        if open.segments == 1 && !discontinuity && open.is_independent && tag.keypoint {
            self.pace.learn(open.length + lasted);
        }
        if open.segments > 0 && !open.is_independent {
            self.pace.follow(open.longest_gop());
        }
        if open.segments > 0 {
            self.listing.push(open.length + lasted);
            self.msn = self.msn.saturating_add(1);
            self.discontinuity = self.discontinuity.saturating_add(u64::from(discontinuity));
        }
        open.segments += 1;
        (open.segment, open.number, open.length) = (start, 0, 0);
        open.is_independent = tag.keypoint;
        Some(Cut {
            msn: self.msn,
            part: 0,
            start,
            segment: Some(Segment {
                first_listed: self.msn.saturating_sub(self.listing.len()),
                discontinuity: self.discontinuity,
                version: self.layouts.begin(),
                date_time: open.base.saturating_add(start),
                independent: tag.keypoint,
                target: self.pace.target,
                part_target: self.pace.part_target(),
            }),
        })
    }
}

impl Open {
    /// A keypoint comes: how far it is from the last; of the first nobody knows when the next will
    /// come.
    fn keypoint(&mut self, now: i64) -> i64 {
        let Some(last) = self.keypoint.replace(now) else {
            return i64::MAX;
        };
        let gop = now.saturating_sub(last);
        if self.gops.len() == GOPS {
            self.gops.pop_front();
        }
        self.gops.push_back(gop);
        gop
    }

    fn longest_gop(&self) -> i64 {
        self.gops.iter().copied().max().unwrap_or(0)
    }

    /// Where the part ends if another begins at `now`. Where a frame is missing it ends before the
    /// next one comes, at the limit. Where so many are missing that the next part would have none,
    /// nothing tells of the rest.
    fn reaches(&self, now: i64, limit: i64) -> i64 {
        match now.saturating_sub(self.part) {
            late if late >= limit.saturating_mul(2) => now,
            late => self.part.saturating_add(late.min(limit)),
        }
    }
}

impl Marker for Cutter {
    fn mark(&mut self, tag: &MarkedTag, configuration: &Configuration) -> Option<Cut> {
        let changed = self.layouts.follow(configuration);
        if let State::Waiting { patience, .. } = &mut self.state
            && changed
        {
            *patience = patience_for_pictures(configuration);
        }
        if !tag.tag.is_frame() {
            return None;
        }
        let tick = self.clock.next(tag, configuration, self.pace.patience())?;
        if let State::Waiting { .. } = self.state {
            return self.begin_first(tick, tag, configuration);
        }
        let begin = self.decide(tick, tag)?;
        self.begin(begin, tick.now, tag)
    }
}

/// How long a stream without pictures is given for them to come.
fn patience_for_pictures(configuration: &Configuration) -> i64 {
    match configuration.metadata() {
        Some(told) if told.video_codec().is_some() || told.width().is_some() => TOLD_PATIENCE,
        Some(_) => 0,
        None => BARE_PATIENCE,
    }
}
