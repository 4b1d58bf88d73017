//! The grid of video frames.

use super::NS_PER_MS;

const NS_PER_SECOND: i64 = 1_000_000_000;

/// Frame rates that are looked for where nobody tells, lowest first: a stream that fits one also
/// fits its multiples.
const RATES: [(u32, u32); 24] = [
    (5, 1),
    (8, 1),
    (10, 1),
    (12, 1),
    (25, 2),
    (15_000, 1001),
    (15, 1),
    (18, 1),
    (20, 1),
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (40, 1),
    (48, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
    (75, 1),
    (90, 1),
    (100, 1),
    (120_000, 1001),
    (120, 1),
];

/// How far a frame may be off its place: by the rounding of its own timestamp and of the first.
const TOLERANCE: i64 = 11 * NS_PER_MS / 10;

/// So long, and so many frames, must fit a rate until it is taken. 30 and 30000/1001 frames per
/// second are 2.5 ms apart by then.
const PROOF_MS: i64 = 2_500;
const PROOF_FRAMES: u32 = 12;

/// Of so many frames...
const TRIAL_FRAMES: u32 = 256;
/// ...so many may be off before a rate is given up.
const MAX_MISSES: u32 = 3;

/// Rates outside are no frame rates but time bases and mistakes.
const MIN_RATE: u32 = 1;
const MAX_RATE: u32 = 240;

/// Places frames on a grid, if they lie on one.
#[derive(Debug, Default)]
pub(super) struct VideoGrid {
    told: Option<(u32, u32)>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    Search(Box<Search>),
    Locked(Lock),
}

impl VideoGrid {
    pub(super) fn configure(&mut self, frame_rate: Option<(u32, u32)>) {
        let sane = |&(num, den): &(u32, u32)| {
            let rate = num.checked_div(den);
            rate.is_some_and(|rate| (MIN_RATE..=MAX_RATE).contains(&rate))
        };
        let told = frame_rate.filter(sane);
        if self.told != told {
            *self = Self {
                told,
                state: State::Start,
            };
        }
    }

    /// Time does not go on as before.
    pub(super) fn restart(&mut self) {
        self.state = match &self.state {
            State::Locked(lock) => State::Locked(Lock {
                anchor: None,
                ..*lock
            }),
            State::Start | State::Search(_) => State::Start,
        };
    }

    /// The time of the next frame, in nanoseconds.
    pub(super) fn snap(&mut self, ms: i64) -> i64 {
        if let State::Start = self.state {
            self.state = match self.told {
                Some(rate) => State::Locked(Lock::new(rate)),
                None => State::Search(Box::new(Search::new(ms))),
            };
        }
        match &mut self.state {
            State::Locked(lock) => {
                let time = lock.snap(ms);
                if lock.misses > MAX_MISSES {
                    self.state = State::Search(Box::new(Search::new(ms)));
                }
                time
            }
            State::Search(search) => {
                if let Some(lock) = search.next(ms) {
                    self.state = State::Locked(lock);
                }
                ms.saturating_mul(NS_PER_MS)
            }
            State::Start => ms.saturating_mul(NS_PER_MS),
        }
    }

    /// A composition offset as a whole number of frames, if it is about one.
    pub(super) fn snap_composition(&self, ns: i64) -> i64 {
        let State::Locked(lock) = &self.state else {
            return ns;
        };
        // Both ends of the difference were rounded.
        lock.nearest(ns)
            .filter(|(_, at)| at.abs_diff(ns) <= TOLERANCE as u64)
            .map_or(ns, |n| n.1)
    }
}

/// A rate that holds, as far as we know.
#[derive(Clone, Copy, Debug)]
struct Lock {
    rate: (u32, u32),
    /// Where frame 0 is, in nanoseconds.
    anchor: Option<i64>,
    /// The number of the newest frame.
    newest: i64,
    frames: u32,
    misses: u32,
}

impl Lock {
    fn new(rate: (u32, u32)) -> Self {
        Self {
            rate,
            anchor: None,
            newest: 0,
            frames: 0,
            misses: 0,
        }
    }

    fn snap(&mut self, ms: i64) -> i64 {
        let coarse = ms.saturating_mul(NS_PER_MS);
        let Some(anchor) = self.anchor else {
            (self.anchor, self.newest) = (Some(coarse), 0);
            return coarse;
        };
        self.frames += 1;
        if self.frames >= TRIAL_FRAMES {
            (self.frames, self.misses) = (0, 0);
        }
        let since = coarse.saturating_sub(anchor);
        match self.nearest(since) {
            Some((n, at)) if n > self.newest && at.abs_diff(since) <= TOLERANCE as u64 => {
                self.newest = n;
                anchor.saturating_add(at)
            }
            _ => {
                // A gap that is no number of frames, or another rate than we believe.
                self.misses += 1;
                (self.anchor, self.newest) = (Some(coarse), 0);
                coarse
            }
        }
    }

    /// The frame nearest to `since` (nanoseconds from the anchor), and where it is.
    fn nearest(&self, since: i64) -> Option<(i64, i64)> {
        let (num, den) = (i128::from(self.rate.0), i128::from(self.rate.1));
        let second = i128::from(NS_PER_SECOND);
        let period = den * second;
        let n = (i128::from(since) * num + period / 2).div_euclid(period);
        let at = (n * period).div_euclid(num);
        Some((i64::try_from(n).ok()?, i64::try_from(at).ok()?))
    }
}

/// Tries all rates at once against the frames since a first one.
#[derive(Debug)]
struct Search {
    first: i64,
    last: i64,
    frames: u32,
    candidates: [Candidate; RATES.len()],
}

/// How far frames lie off a rate's grid that begins at the first frame: a rate fits as long as
/// this range is as narrow as rounding makes it.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    fits: bool,
    lowest: i64,
    highest: i64,
}

impl Search {
    fn new(ms: i64) -> Self {
        let candidate = Candidate {
            fits: true,
            lowest: 0,
            highest: 0,
        };
        Self {
            first: ms,
            last: ms,
            frames: 0,
            candidates: [candidate; RATES.len()],
        }
    }

    /// Tries one more frame; a rate that is proven comes back locked.
    fn next(&mut self, ms: i64) -> Option<Lock> {
        if ms == self.first {
            return None;
        }
        let step = ms.saturating_sub(self.last);
        self.last = ms;
        // Nothing is proven by frames far apart, and a duplicate fits no grid.
        if !(1..=PROOF_MS).contains(&step) {
            *self = Self::new(ms);
            return None;
        }
        self.frames += 1;
        let since = (ms - self.first).saturating_mul(NS_PER_MS);
        let mut any = false;
        for (candidate, &rate) in self.candidates.iter_mut().zip(&RATES) {
            if candidate.fits {
                let at = Lock::new(rate).nearest(since);
                candidate.try_frame(since, at.map_or(0, |(_, at)| at));
            }
            any |= candidate.fits;
        }
        if !any {
            *self = Self::new(ms);
            return None;
        }
        if ms - self.first < PROOF_MS || self.frames < PROOF_FRAMES {
            return None;
        }
        let (candidate, &rate) = self
            .candidates
            .iter()
            .zip(&RATES)
            .find(|(candidate, _)| candidate.fits)?;
        // In the middle of all that was seen, so that rounding leads nowhere else.
        let anchor = self.first * NS_PER_MS + (candidate.lowest + candidate.highest) / 2;
        let mut lock = Lock {
            anchor: Some(anchor),
            ..Lock::new(rate)
        };
        (lock.newest, _) = lock.nearest(ms * NS_PER_MS - anchor)?;
        Some(lock)
    }
}

impl Candidate {
    fn try_frame(&mut self, since: i64, at: i64) {
        let off = since - at;
        self.lowest = self.lowest.min(off);
        self.highest = self.highest.max(off);
        self.fits = self.highest - self.lowest <= TOLERANCE;
    }
}

/// The frame rate that a number in metadata stands for: 29.97 is 30000/1001.
pub(crate) fn frame_rate_from_number(number: f64) -> Option<(u32, u32)> {
    if !(f64::from(MIN_RATE)..=f64::from(MAX_RATE)).contains(&number) {
        return None;
    }
    let near =
        |&&(num, den): &&(u32, u32)| (f64::from(num) / f64::from(den) - number).abs() < 0.006;
    if let Some(&rate) = RATES.iter().find(near) {
        return Some(rate);
    }
    if number.fract() == 0.0 {
        return Some((number as u32, 1));
    }
    Some(((number * 1000.0).round() as u32, 1000))
}
