//! The one who writes what another node marked.

use std::sync::Arc;

use bytes::Bytes;
use flv::Tag;

use super::Inner;
use super::publisher::Fenced;
use crate::sync::lock;
use crate::{AudioTrack, Cut, Epoch, Extra, MarkedTag, VideoTrack};

/// The writing end of a ring that holds what another node's ring holds, tag for tag.
///
/// It describes what it brings, then pushes it, a backfill of old tags first, and says when it
/// has caught up: from then on players join. Of all the replicas and publishers of a ring the one
/// that came with the highest epoch writes, and of the same epoch the last; the others are fenced
/// for good.
///
/// After a broken connection the next pull, with a replica of its own or the same, describes the
/// epoch anew and goes on from any number. What the ring has by then is left out, and where it
/// lacks something, that is a [hole](crate::Extra::hole).
#[derive(Debug)]
pub struct Replica {
    ring: Arc<Inner>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing was described yet.
    New,
    Writing {
        /// Which `describe` made it the writer.
        token: u64,
        /// The number of the next tag.
        expected: u64,
    },
    Fenced,
}

/// What a replica brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The publish it belongs to.
    pub epoch: Epoch,
    /// The number of the first tag that will come.
    pub number: u64,
    /// The version of the configuration in force in front of that tag.
    pub version: u32,
    /// The tags of that configuration, for joiners.
    pub tags: Vec<Relayed>,
    /// Its video tracks, by number.
    pub video: Vec<VideoTrack>,
    /// Its audio tracks, by number.
    pub audio: Vec<AudioTrack>,
    /// Whether its tags say where segments begin. If not, none is kept for playlists.
    pub cuts: bool,
}

/// A tag as its origin marked it: all of a [`MarkedTag`] that is the same on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// The tag itself.
    pub tag: Tag,
    /// See [`MarkedTag::number`].
    pub number: u64,
    /// See [`MarkedTag::time`].
    pub time: i64,
    /// See [`MarkedTag::composition`].
    pub composition: i64,
    /// See [`MarkedTag::ingest`].
    pub ingest: i64,
    /// See [`MarkedTag::came`]. It does not travel; who receives the tag says it.
    pub came: i64,
    /// See [`MarkedTag::version`].
    pub version: u32,
    /// See [`MarkedTag::keypoint`].
    pub keypoint: bool,
    /// See [`MarkedTag::repeat`].
    pub repeat: bool,
    /// See [`Extra::cut`].
    pub cut: Option<Cut>,
    /// See [`Extra::metadata`].
    pub metadata: Option<Bytes>,
}

/// Why a tag was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Somebody else writes by now.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// Tags are missing in front of it. Go on with the one that is expected.
    #[error("tag {found} came where {expected} was expected")]
    Gap {
        /// The number of the next tag.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// Nothing was described yet.
    #[error("a tag came before its description")]
    Undescribed,
}

impl Replica {
    pub(super) fn new(ring: Arc<Inner>) -> Self {
        let state = State::New;
        Self { ring, state }
    }

    /// Says what comes next, and fences every other writer. Unless there is one of a higher
    /// epoch, or another has fenced this one before: then it is over.
    ///
    /// In a new epoch, and from the first tag on where some of the same are missing in between,
    /// joiners find no mark until all that is old [is there](Self::caught_up).
    pub fn describe(&mut self, description: Description) -> Result<(), Fenced> {
        let expected = description.number;
        let mut writer = lock(&self.ring.writer);
        let token = match self.state {
            State::Fenced => None,
            _ if self.ring.ended().is_some() => None,
            State::Writing { token, .. } if token != writer.token() => None,
            State::Writing { .. } | State::New => writer.describe(&self.ring, description),
        };
        self.state = token.map_or(State::Fenced, |token| State::Writing { token, expected });
        token.map(drop).ok_or(Fenced)
    }

    /// Stores a tag and wakes the readers. Returns its number in the ring, or `None` if it was
    /// there already.
    pub fn push(&mut self, relayed: Relayed) -> Result<Option<u64>, Refused> {
        let stored = {
            let State::Writing { token, expected } = &mut self.state else {
                return Err(match self.state {
                    State::New => Refused::Undescribed,
                    _ => Fenced.into(),
                });
            };
            let mut writer = lock(&self.ring.writer);
            if *token != writer.token() || self.ring.ended().is_some() {
                self.state = State::Fenced;
                return Err(Fenced.into());
            }
            if relayed.number != *expected {
                return Err(Refused::Gap {
                    expected: *expected,
                    found: relayed.number,
                });
            }
            *expected = expected.saturating_add(1);
            writer.relay(&self.ring, relayed)
        };
        if stored.is_some() {
            // Without the lock, as a publisher does.
            self.ring.waiters.wake();
        }
        Ok(stored)
    }

    /// All that was old when the pull began is there: from now on players may join.
    pub fn caught_up(&mut self) -> Result<(), Fenced> {
        {
            let mut writer = lock(&self.ring.writer);
            let is_ours =
                matches!(self.state, State::Writing { token, .. } if token == writer.token());
            if !is_ours || self.ring.ended().is_some() {
                return Err(Fenced);
            }
            writer.caught_up(&self.ring);
        }
        self.ring.waiters.wake();
        Ok(())
    }
}

impl From<&MarkedTag> for Relayed {
    fn from(marked: &MarkedTag) -> Self {
        let extra = marked.extra.as_deref();
        Self {
            tag: marked.tag.clone(),
            number: marked.number,
            time: marked.time,
            composition: marked.composition,
            ingest: marked.ingest,
            came: marked.came,
            version: marked.version,
            keypoint: marked.keypoint,
            repeat: marked.repeat,
            cut: extra.and_then(|extra| extra.cut.clone()),
            metadata: extra.and_then(|extra| extra.metadata.clone()),
        }
    }
}

impl Relayed {
    /// What it says that few tags say.
    pub(super) fn extra(&mut self) -> Option<Arc<Extra>> {
        let extra = Extra {
            cut: self.cut.take(),
            metadata: self.metadata.take(),
            hole: false,
        };
        (extra != Extra::default()).then(|| Arc::new(extra))
    }
}
