//! The one who writes.

use std::fmt;
use std::sync::Arc;

use flv::Tag;

use super::Inner;
use crate::Epoch;
use crate::sync::lock;

/// The writing end of a ring, until another publish begins or the stream ends.
#[derive(Debug)]
pub struct Publisher {
    ring: Arc<Inner>,
    /// Which `begin` made it; `None` if it came too late.
    token: Option<u64>,
    epoch: Epoch,
}

/// What became of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It lies in the ring under this number.
    Stored(u64),
    /// No reader will see it.
    Dropped(DropReason),
}

/// Why a tag was not stored. The publish goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// A frame whose decoder configuration has not come yet.
    Unconfigured,
    /// A picture before the first keyframe that its track has in this publish.
    NoKeyframe,
    /// The end of a sequence in another codec than the track's: meant for another track.
    WrongCodec,
    /// The head of the tag makes no sense.
    Malformed,
    /// One track more than the limit.
    TooManyTracks,
    /// Metadata or configuration beyond the limit.
    TooLarge,
}

impl DropReason {
    /// Its name in metrics: `"unconfigured"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unconfigured => "unconfigured",
            Self::NoKeyframe => "no_keyframe",
            Self::WrongCodec => "wrong_codec",
            Self::Malformed => "malformed",
            Self::TooManyTracks => "too_many_tracks",
            Self::TooLarge => "too_large",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The publish is over: a newer one began, or the stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a newer publish began, or the stream ended")]
pub struct Fenced;

impl Publisher {
    pub(super) fn new(ring: Arc<Inner>, token: Option<u64>, epoch: Epoch) -> Self {
        Self { ring, token, epoch }
    }

    /// The epoch it writes in.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Normalises the time of a tag, marks it, stores it and wakes the readers.
    ///
    /// `ingest` is when it came in, in nanoseconds of unix time.
    pub fn push(&mut self, tag: Tag, ingest: i64) -> Result<Pushed, Fenced> {
        let pushed = {
            let mut writer = lock(&self.ring.writer);
            if self.token != Some(writer.token()) || self.ring.ended().is_some() {
                return Err(Fenced);
            }
            writer.push(&self.ring, tag, ingest)
        };
        if let Pushed::Stored(_) = pushed {
            // Without the lock: a woken reader may ask for the figures.
            self.ring.waiters.wake();
        }
        Ok(pushed)
    }
}
