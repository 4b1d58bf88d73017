//! A tag as it lies in the ring: marked, and with room for its wire forms.

use std::sync::OnceLock;

use bytes::Bytes;
use flv::Tag;

use crate::Epoch;

/// A tag with all that a reader needs to know about it, in the ring's words.
#[derive(Clone, Debug)]
pub struct MarkedTag {
    /// The tag itself; its `dts` is normalised, in the time of its epoch.
    pub tag: Tag,
    /// Its number in the ring: one more than that of the tag before.
    pub seq: u64,
    /// The publish it belongs to.
    pub epoch: Epoch,
    /// Its decode time in nanoseconds, finer than `dts` and never before that of an earlier tag
    /// of its track, in the time of its epoch.
    pub time: i64,
    /// What is to be added to `time` for its presentation, in nanoseconds.
    pub composition: i64,
    /// When it came in, in nanoseconds of unix time.
    pub ingest: i64,
    /// The version of the configuration that is in force with this tag.
    pub version: u32,
    /// Whether a joiner may start here.
    pub keypoint: bool,
    /// Whether this is a configuration tag that repeats the one in force.
    pub repeat: bool,
    /// Milliseconds to add to `dts` for players, so that time goes on over epochs.
    pub shift: i64,
    /// Wire forms, made by whoever needs one first. See [`WireSlot`].
    pub wire: [WireSlot; 2],
}

impl MarkedTag {
    /// The timestamp a player sees, in milliseconds: it goes on over epochs and wraps.
    pub fn play_ms(&self) -> u32 {
        self.tag.dts.wrapping_add(self.shift as u32)
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
