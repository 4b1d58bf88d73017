//! Segments and parts, and their bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media::Epoch;

use crate::names::{Container, Name};

/// Bytes that lie in several places, the same for all who are sent them. Cloning shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    slices: Arc<[Bytes]>,
    len: usize,
}

impl Body {
    /// The bytes of all these slices.
    pub fn new(slices: impl Into<Arc<[Bytes]>>) -> Self {
        let slices = slices.into();
        let len = slices.iter().map(Bytes::len).sum();
        Self { slices, len }
    }

    /// The slices, in order.
    pub fn slices(&self) -> &[Bytes] {
        &self.slices
    }

    /// How many bytes there are in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All bytes in one piece, copied unless they lie in one.
    pub fn to_bytes(&self) -> Bytes {
        match &*self.slices {
            [whole] => whole.clone(),
            slices => slices.concat().into(),
        }
    }
}

/// What a player needs before the segments that are made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// The publish it belongs to.
    pub epoch: Epoch,
    /// The version of the configuration that it is made of.
    pub version: u32,
    /// Its bytes.
    pub body: Bytes,
}

impl Init {
    /// Its name.
    pub fn name(&self) -> Name {
        Name::Init {
            epoch: self.epoch,
            version: self.version,
        }
    }
}

/// A part that is complete. Where a stream is not cut into parts, each segment is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// In nanoseconds.
    pub(crate) duration: i64,
    /// Whether it contains a frame that a player may begin with.
    pub(crate) independent: bool,
    /// `None` if nothing came for it that can be carried.
    pub(crate) body: Option<Body>,
}

impl Part {
    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        duration(self.duration)
    }

    /// Whether it contains a frame that a player may begin with.
    pub fn is_independent(&self) -> bool {
        self.independent
    }

    /// Its bytes; `None` if nothing came for it that can be carried.
    pub fn body(&self) -> Option<&Body> {
        self.body.as_ref()
    }
}

/// A segment: whole, or as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub(crate) epoch: Epoch,
    pub(crate) msn: u64,
    /// What its first tag said of it.
    pub(crate) mark: media::Segment,
    pub(crate) container: Container,
    /// `None` in transport streams, and where no track can be carried.
    pub(crate) init: Option<Arc<Init>>,
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) progress: Progress,
}

/// How far a segment has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Further parts follow.
    Filling,
    /// All parts are there.
    Whole {
        /// Of all parts, in nanoseconds.
        duration: i64,
        /// The bytes of all parts; `None` if there are none.
        body: Option<Body>,
    },
    /// Something is missing behind the parts that are there, for good.
    Torn,
}

impl Segment {
    /// The publish it belongs to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Its media sequence number.
    pub fn msn(&self) -> u64 {
        self.msn
    }

    /// Its discontinuity sequence number.
    pub fn discontinuity(&self) -> u64 {
        self.mark.discontinuity
    }

    /// Its name.
    pub fn name(&self) -> Name {
        Name::Segment {
            epoch: self.epoch,
            msn: self.msn,
            container: self.container,
        }
    }

    /// The name of its part with this number, which need not be there.
    pub fn part_name(&self, part: u32) -> Name {
        Name::Part {
            epoch: self.epoch,
            msn: self.msn,
            part,
        }
    }

    /// What a player needs first; `None` in transport streams, and where no track can be carried.
    pub fn init(&self) -> Option<&Arc<Init>> {
        self.init.as_ref()
    }

    /// The parts that are complete. Where the stream is not cut into parts, the whole segment is
    /// the only one.
    pub fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// Whether parts of it are told of and can be asked for.
    pub fn has_parts(&self) -> bool {
        self.mark.part_target.is_some() && self.container == Container::Fmp4
    }

    /// Whether a player may begin with it, as far as it has come.
    pub fn is_independent(&self) -> bool {
        // Its keyframe may be one that cannot be carried.
        let first = self.parts.first();
        self.mark.independent && first.is_none_or(|part| part.independent)
    }

    /// Whether all of it is there.
    pub fn is_whole(&self) -> bool {
        matches!(self.progress, Progress::Whole { .. })
    }

    /// How long it is in all; `None` before that is known.
    pub fn duration(&self) -> Option<Duration> {
        match self.progress {
            Progress::Whole { duration: all, .. } => Some(duration(all)),
            _ => None,
        }
    }

    /// The bytes of all of it; `None` before it is whole, and if there are none.
    pub fn body(&self) -> Option<&Body> {
        match &self.progress {
            Progress::Whole { body, .. } => body.as_ref(),
            _ => None,
        }
    }

    /// How much of the stream's bytes it holds on to.
    pub(crate) fn bytes(&self) -> usize {
        let parts = self.parts.iter().filter_map(|part| part.body());
        parts.map(Body::len).sum()
    }

    /// All parts are there.
    pub(crate) fn complete(&mut self) {
        let bodies = || self.parts.iter().filter_map(|part| part.body());
        let mut all = bodies();
        let body = match (all.next(), all.next()) {
            (Some(only), None) => Some(only.clone()),
            (None, _) => None,
            _ => {
                let slices = bodies().flat_map(|body| body.slices().iter().cloned());
                Some(Body::new(slices.collect::<Vec<_>>()))
            }
        };
        let duration = self.length();
        self.progress = Progress::Whole { duration, body };
    }

    /// How long it is, as far as it has come, in nanoseconds.
    pub(crate) fn length(&self) -> i64 {
        total(&self.parts)
    }
}

/// How long parts are together, in nanoseconds.
pub(crate) fn total(parts: &[Arc<Part>]) -> i64 {
    let lengths = parts.iter().map(|part| part.duration);
    lengths.fold(0, i64::saturating_add)
}

fn duration(nanoseconds: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}
