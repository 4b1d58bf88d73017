//! A live stream in memory.
//!
//! A [`Ring`] holds the newest tags of one stream, each [marked](MarkedTag) with its number, its
//! publish and its time. One [`Publisher`] writes, any number of [`Cursor`]s read, and neither
//! waits for the other: a reader that falls behind is told so and decides for itself. The
//! [`Timeline`] makes an encoder's timestamps monotone and finer than milliseconds, once, so that
//! nothing downstream needs to.
//!
//! Nothing here spawns, sleeps or owns a clock.
//!
//! ```
//! use bytes::Bytes;
//! use flv::{Kind, Tag};
//! # use weir_media as media;
//! use media::{Epoch, Limits, Ring, Start};
//!
//! let ring = Ring::new(Limits::default());
//! let mut publisher = ring.begin(Epoch::new(1, 1), 0);
//! // A keyframe of Sorenson H.263, a codec that needs no configuration.
//! let keyframe = Tag::new(Kind::Video, 40, Bytes::from_static(&[0x12, 0, 0, 0x84]));
//! publisher.push(keyframe, 0).unwrap();
//!
//! let (mut cursor, join) = ring.cursor(Start::CaughtUp);
//! assert!(!join.waits_for_keypoint);
//! let batch = cursor.read().unwrap();
//! assert_eq!(batch.iter().map(|marked| marked.play_ms()).collect::<Vec<_>>(), [40]);
//! ```

mod configuration;
mod cursor;
mod cut;
mod epoch;
mod key;
mod ring;
mod sync;
mod tag;
mod timeline;

pub use configuration::{AudioTrack, Configuration, VideoTrack};
pub use cursor::{Batch, Cursor, Join, ReadError, Start};
pub use cut::{Cut, Marker, Segment};
pub use epoch::Epoch;
pub use key::{KeyError, StreamKey};
pub use ring::{
    Description, DropReason, Dropped, EndReason, Fenced, Limits, Newest, Publisher, Pushed,
    Refused, Relayed, Replica, Ring, Stats,
};
pub use tag::{Extra, MarkedTag, Wire, WireSlot};
pub use timeline::{Arrival, Samples, Stamp, Timeline};
