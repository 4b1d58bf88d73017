//! A tag as it lies in the ring: marked, and with room for its wire forms.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flv::Tag;

use crate::{Cut, Epoch, Segment};

/// A tag with all that a reader needs to know about it, in the ring's words.
#[derive(Clone, Debug)]
pub struct MarkedTag {
    /// The tag itself; its `dts` is normalised, in the time of its epoch.
    pub tag: Tag,
    /// Its number in the ring: one more than that of the tag before.
    pub seq: u64,
    /// The publish it belongs to.
    pub epoch: Epoch,
    /// Its number within its epoch, counted by the origin from 0: the same on every node.
    pub number: u64,
    /// Its decode time in nanoseconds, finer than `dts` and never before that of an earlier tag
    /// of its track, in the time of its epoch.
    pub time: i64,
    /// What is to be added to `time` for its presentation, in nanoseconds.
    pub composition: i64,
    /// When it came in, in nanoseconds of unix time.
    pub ingest: i64,
    /// When it came to this node: later than `ingest` where that was at another.
    pub came: i64,
    /// The version of the configuration that is in force with this tag.
    pub version: u32,
    /// Whether a joiner may start here.
    pub keypoint: bool,
    /// Whether this is a configuration tag that repeats the one in force.
    pub repeat: bool,
    /// Milliseconds to add to `dts` for players, so that time goes on over epochs.
    pub shift: i64,
    /// What few tags have to say, behind one pointer.
    pub extra: Option<Arc<Extra>>,
    /// Wire forms, made by whoever needs one first. See [`WireSlot`].
    pub wire: [WireSlot; 2],
}

/// What few tags have to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// A part begins here.
    pub cut: Option<Cut>,
    /// The payload of the `onMetaData` that joiners get from here on, where it was corrected
    /// without being sent again.
    pub metadata: Option<Bytes>,
    /// Tags of the stream are missing in front of this one, on this node: a segment that is not
    /// complete by here never will be, and pictures are of use from the next keypoint on.
    pub hole: bool,
}

impl MarkedTag {
    /// The timestamp a player sees, in milliseconds: it goes on over epochs and wraps.
    pub fn play_ms(&self) -> u32 {
        self.tag.dts.wrapping_add(self.shift as u32)
    }

    /// The part that begins here.
    pub fn cut(&self) -> Option<&Cut> {
        self.extra.as_ref()?.cut.as_ref()
    }

    /// The segment that begins here.
    pub fn segment(&self) -> Option<&Segment> {
        self.cut()?.segment.as_ref()
    }

    /// Whether tags are missing in front, on this node: see [`Extra::hole`].
    pub fn follows_hole(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.hole)
    }

    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        Arc::make_mut(self.extra.get_or_insert_default())
    }
}

/// The bytes of a tag in one protocol, ready for a vectored write to any number of sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// The bytes, in order.
    pub slices: Box<[Bytes]>,
    /// The sum of their lengths.
    pub len: usize,
}

impl Wire {
    /// The wire form made of these slices.
    pub fn new(slices: impl Into<Box<[Bytes]>>) -> Self {
        let slices = slices.into();
        let len = slices.iter().map(Bytes::len).sum();
        Self { slices, len }
    }
}

/// A place for one [`Wire`], which is made once, on first need, and then shared.
///
/// A tag has one for each family of players; which index is whose is for the makers to agree.
#[derive(Debug, Default)]
pub struct WireSlot(OnceLock<Wire>);

impl WireSlot {
    /// The wire form, if somebody made it already.
    pub fn get(&self) -> Option<&Wire> {
        self.0.get()
    }

    /// The wire form; `make` makes it if nobody did.
    pub fn get_or_make(&self, make: impl FnOnce() -> Wire) -> &Wire {
        self.0.get_or_init(make)
    }
}

impl Clone for WireSlot {
    /// An empty slot: a copied tag may be given another time, which wire forms depend on.
    fn clone(&self) -> Self {
        Self::default()
    }
}
