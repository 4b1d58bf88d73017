//! What a ring holds and how it flows.

use std::time::Duration;

use super::publisher::DropReason;
use crate::Epoch;

/// What there is in a ring and how it flows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// The publish that writes, or wrote last.
    pub epoch: Option<Epoch>,
    /// Tags in the ring.
    pub tags: u64,
    /// Bytes of their payloads and of the bookkeeping: what `Limits::max_bytes` counts.
    pub bytes: usize,
    /// The number of the oldest tag; `head` if there is none.
    pub oldest: u64,
    /// The number that the next tag will get.
    pub head: u64,
    /// Tags that were not stored.
    pub dropped: Dropped,
    /// Tags from the caught-up mark on; 0 without a mark.
    pub gop_tags: u64,
    /// Bytes from the caught-up mark on; 0 without a mark.
    pub gop_bytes: usize,
    /// Time from the caught-up mark on; 0 without a mark.
    pub gop_duration: Duration,
    /// GOPs that were given up because they were too large.
    pub gops_abandoned: u64,
    /// Jumps in the encoder's timestamps that were mended.
    pub time_jumps: u64,
    /// When the newest tag came in, in nanoseconds of unix time.
    pub last_ingest: Option<i64>,
    /// The timestamp of the newest tag, as players see it.
    pub play_ms: u32,
    /// Payload bytes that ever came in and were stored.
    pub bytes_in: u64,
    /// Bits per second, over the last second or two.
    pub bit_rate: f64,
    /// Pictures per second of the main video track, over the last second or two.
    pub frame_rate: f64,
    /// Time between the last two keyframes of the main video track.
    pub keyframe_interval: Option<Duration>,
}

/// Tags that were not stored, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Frames whose decoder configuration had not come yet.
    pub unconfigured: u64,
    /// Pictures before the first keyframe of their track.
    pub no_keyframe: u64,
    /// Ends of sequences in another codec than the track's.
    pub wrong_codec: u64,
    /// Tags whose head made no sense.
    pub malformed: u64,
    /// Tags of tracks beyond the limit.
    pub too_many_tracks: u64,
    /// Metadata or configuration beyond the limit.
    pub too_large: u64,
}

impl Dropped {
    pub(super) fn count(&mut self, reason: DropReason) {
        let counter = match reason {
            DropReason::Unconfigured => &mut self.unconfigured,
            DropReason::NoKeyframe => &mut self.no_keyframe,
            DropReason::WrongCodec => &mut self.wrong_codec,
            DropReason::Malformed => &mut self.malformed,
            DropReason::TooManyTracks => &mut self.too_many_tracks,
            DropReason::TooLarge => &mut self.too_large,
        };
        *counter += 1;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.unconfigured
            + self.no_keyframe
            + self.wrong_codec
            + self.malformed
            + self.too_many_tracks
            + self.too_large
    }
}

/// How long a rate is gathered before it is shown.
const WINDOW_NS: i64 = 1_000_000_000;

/// Rates over the last full window, by the time of ingest.
#[derive(Debug, Default)]
pub(super) struct Meter {
    since: Option<i64>,
    bytes: u64,
    pictures: u64,
    pub(super) bit_rate: f64,
    pub(super) frame_rate: f64,
    last_keyframe: Option<i64>,
    pub(super) keyframe_interval: Option<Duration>,
}

impl Meter {
    /// Counts a tag that came in at `ingest`; `picture` if it is one of the main video track.
    pub(super) fn count(&mut self, ingest: i64, bytes: usize, picture: bool) {
        let elapsed = ingest.saturating_sub(*self.since.get_or_insert(ingest));
        if !(0..WINDOW_NS).contains(&elapsed) {
            if elapsed > 0 {
                let seconds = elapsed as f64 / 1e9;
                self.bit_rate = self.bytes as f64 * 8.0 / seconds;
                self.frame_rate = self.pictures as f64 / seconds;
            }
            (self.since, self.bytes, self.pictures) = (Some(ingest), 0, 0);
        }
        self.bytes += bytes as u64;
        self.pictures += u64::from(picture);
    }

    /// Notes a keyframe of the main video track at `time` (nanoseconds, of players).
    pub(super) fn keyframe(&mut self, time: i64) {
        if let Some(last) = self.last_keyframe.replace(time) {
            self.keyframe_interval = u64::try_from(time.saturating_sub(last))
                .ok()
                .map(Duration::from_nanos);
        }
    }

    /// A new publish: nothing to compare with.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}
