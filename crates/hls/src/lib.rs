//! HLS, of which there is so far: where segments and parts begin.
//!
//! The origin of a stream decides that, once, and [marks](media::Cut) the tags that begin
//! something. The marks travel with the tags, so that whoever makes playlists and segments of them
//! makes the same, on any node and wherever it began to read. The [`Cutter`] decides from what
//! went before and the tag at hand, and from nothing else: no clock, no chance.
//!
//! | what | from where |
//! |---|---|
//! | `EXT-X-TARGETDURATION`, `EXT-X-PART-INF`, lengths of segments and parts | RFC 8216bis 4.4.3, 4.4.4.9, 6.2.2 |
//! | how many segments are listed | RFC 8216bis 6.2.2 |
//! | `EXT-X-DISCONTINUITY` | RFC 8216bis 4.4.4.3 |
//!
//! ```
//! # use weir_hls as hls;
//! use bytes::Bytes;
//! use flv::{Kind, Tag};
//! use hls::{Config, Cutter, Numbering};
//! use media::{Epoch, Limits, Ring, Start};
//!
//! let now = 1_750_000_000_000_000_000; // nanoseconds of unix time
//! let ring = Ring::new(Limits::default());
//! let cutter = Cutter::new(&Config::default(), &Numbering::after_crash(None, now));
//! let mut publisher = ring.begin_marked(Epoch::new(1, 1), now, Box::new(cutter));
//! // Keyframes of Sorenson H.263, a codec that needs no configuration.
//! for n in 0..100 {
//!     let keyframe = Tag::new(Kind::Video, n * 40, Bytes::from_static(&[0x12, 0, 0, 0x84]));
//!     publisher.push(keyframe, now).unwrap();
//! }
//!
//! let (mut cursor, _) = ring.cursor(Start::Oldest);
//! let mut starts = Vec::new();
//! while let Some(tag) = cursor.read_at_most(1).unwrap().first() {
//!     if tag.segment().is_some() {
//!         starts.push(tag.tag.dts);
//!     }
//! }
//! assert_eq!(starts, [0, 2000]);
//! ```

mod config;
mod cutter;
mod numbering;

pub use config::{Config, ConfigError, Mode};
pub use cutter::Cutter;
pub use numbering::{Carried, LastKnown, Numbering};
