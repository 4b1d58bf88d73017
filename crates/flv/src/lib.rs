//! FLV tags, the one currency of this system, and the files they are kept in.
//!
//! Every ingest becomes [`Tag`]s and every egress starts from them. A tag's head is read once,
//! in [`Tag::new`], into a small [`Info`]; its payload is shared and never copied. What this
//! crate does not know it calls unknown and passes through untouched.
//!
//! | specification | what of it |
//! |---|---|
//! | Adobe Flash Video File Format 10.1, annex E | [`Tag`], [`mod@file`] |
//! | CodecID 12, an extension of several encoders | HEVC with the header of AVC |
//! | Enhanced RTMP v2 | FourCC codecs, multitrack ([`tracks()`]), ModEx, HDR metadata |
//! | RTMP 1.0, 7.1.6 | [`mod@aggregate`] messages |
//!
//! ```
//! # use weir_flv as flv;
//! use bytes::Bytes;
//! use flv::{Kind, Tag};
//!
//! let payload = Bytes::from_static(&[0x17, 0x01, 0x00, 0x00, 0x42, 0x65, 0x88]);
//! let tag = Tag::new(Kind::Video, 1000, payload);
//! assert!(tag.is_keyframe());
//! assert_eq!(tag.composition(), 66);
//! assert_eq!(tag.body(), &[0x65, 0x88][..]);
//! ```

pub mod aggregate;
pub mod file;
mod head;
mod info;
pub mod metadata;
mod multitrack;
mod tag;

pub use file::write_tag;
pub use info::{AudioInfo, DataInfo, Event, FrameType, Info, Multitrack, Packet, Sound, VideoInfo};
pub use metadata::Metadata;
pub use multitrack::{Codec, Track, Tracks, tracks};
pub use tag::{Kind, Tag};
