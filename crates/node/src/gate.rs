//! Which tags a player gets: what it asked for, and what it can still take.
//!
//! A player that lags loses video up to a keyframe that is not late, so that its decoder never sees
//! half a group of pictures. Audio goes on. One that can't even take that is told goodbye.

use std::time::Duration;

use flv::{Info, Tag};
use media::MarkedTag;

use crate::config::{EgressConfig, Tracks};
use crate::seat::Waits;

/// What a player wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) audio: bool,
    pub(crate) video: bool,
    /// Which of the audio tracks and video tracks.
    pub(crate) tracks: Tracks,
}

impl Wants {
    /// Audio and video, of these tracks.
    pub(crate) fn both(tracks: Tracks) -> Wants {
        Wants {
            audio: true,
            video: true,
            tracks,
        }
    }
}

/// Whether a tag is only for players that know about several tracks of a kind.
pub(crate) fn is_multitrack(tag: &Tag) -> bool {
    match tag.info() {
        Info::Audio(audio) => audio.multitrack.is_some(),
        Info::Video(video) => video.multitrack.is_some(),
        Info::Data(_) => false,
    }
}

/// The state of one player's choice.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) wants: Wants,
    pub(crate) waits: Waits,
    /// Tags before this one were there when it joined: they are no lag.
    pub(crate) joined_at: u64,
    /// It leaves at the next keypoint: what it has seen is whole.
    pub(crate) leaves: bool,
    /// Video is left out since the player lags, and not for another reason.
    lags: bool,
    max_lag: i64,
    drop_after: i64,
}

/// What becomes of one tag.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Send,
    LeaveOut(Reason),
    TooSlow,
    /// It has left before this tag.
    Left,
}

/// Why a tag is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The player did not ask for it.
    NotWanted,
    /// Nothing can be made of it before the next keyframe.
    NotYet,
    /// The player lags.
    Lags,
}

impl Gate {
    pub(crate) fn new(wants: Wants, waits: Waits, egress: &EgressConfig) -> Gate {
        let ns = |limit: Duration| i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX);
        Gate {
            wants,
            waits,
            joined_at: 0,
            leaves: false,
            lags: false,
            max_lag: ns(egress.max_lag),
            drop_after: ns(egress.drop_after),
        }
    }

    /// Whether the player gets everything as it comes, of its tracks.
    pub(crate) fn is_open(&self) -> bool {
        self.wants.audio && self.wants.video && self.waits == Waits::default() && !self.leaves
    }

    /// Whether the tag was there when the player joined.
    pub(crate) fn was_there(&self, tag: &MarkedTag) -> bool {
        tag.seq < self.joined_at
    }

    /// Judges a tag that is about to be written at `now` (nanoseconds, as when the tags came).
    pub(crate) fn judge(&mut self, tag: &MarkedTag, now: i64) -> Verdict {
        if !tag.tag.is_frame() {
            // Configuration, metadata: without them nothing that follows can be decoded.
            return Verdict::Send;
        }
        if self.leaves && tag.keypoint {
            return Verdict::Left;
        }
        if self.waits.hold {
            if !tag.keypoint {
                return Verdict::LeaveOut(Reason::NotYet);
            }
            self.waits.hold = false;
        }
        let lag = if self.was_there(tag) {
            0
        } else {
            now.saturating_sub(tag.came)
        };
        if lag > self.drop_after {
            return Verdict::TooSlow;
        }
        if tag.tag.is_audio() {
            return if self.wants.audio {
                Verdict::Send
            } else {
                Verdict::LeaveOut(Reason::NotWanted)
            };
        }
        if !self.wants.video {
            self.waits.skip_video = true;
            return Verdict::LeaveOut(Reason::NotWanted);
        }
        if lag > self.max_lag {
            self.waits.skip_video = true;
            self.lags = true;
        } else if tag.keypoint {
            // Of the track that joiners start on; a keyframe of another helps nobody.
            self.waits.skip_video = false;
            self.lags = false;
        }
        if self.waits.skip_video {
            Verdict::LeaveOut(if self.lags {
                Reason::Lags
            } else {
                Reason::NotYet
            })
        } else {
            Verdict::Send
        }
    }
}

#[cfg(test)]
mod tests {
    use flv::Kind;
    use media::{Epoch, Limits, Ring, Start};

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// A picture that came to this node so long after it came to its origin.
    fn picture(came: i64) -> MarkedTag {
        let ring = Ring::new(Limits::default());
        let (mut cursor, _) = ring.cursor(Start::Live);
        // Sorenson H.263, which needs no configuration.
        let tag = Tag::new(Kind::Video, 0, vec![0x12, 0, 0, 0x84].into());
        let pushed = ring.begin(Epoch::new(1, 1), 0).push(tag, 0);
        pushed.expect("no other publisher");
        let batch = cursor.read().expect("a tag");
        let tag = batch.iter().next().expect("a tag");
        MarkedTag {
            came,
            ..tag.clone()
        }
    }

    #[test]
    fn a_tag_that_came_late_is_not_the_players_lag() {
        let mut gate = Gate::new(
            Wants::both(Tracks::All),
            Waits::default(),
            &EgressConfig::default(),
        );
        let late = 60 * SECOND;
        assert_eq!(gate.judge(&picture(late), late + SECOND), Verdict::Send);
        let lags = Verdict::LeaveOut(Reason::Lags);
        assert_eq!(gate.judge(&picture(late), late + 3 * SECOND), lags);
    }
}
