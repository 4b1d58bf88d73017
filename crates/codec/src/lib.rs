//! Codecs: their names, and what their configuration records say.
//!
//! | codec | record | specification |
//! |---|---|---|
//! | H.264 | avcC, [`avc`] | ITU-T H.264, ISO 14496-15 |
//! | H.265 | hvcC, [`hevc`] | ITU-T H.265, ISO 14496-15 |
//! | H.266 | vvcC, its head, [`vvc`] | ISO 14496-15 |
//! | AV1 | av1C, [`av1`] | AV1 bitstream, AV1 in ISOBMFF |
//! | VP8, VP9 | vpcC, [`vp9`] | VP codec ISO media file format binding |
//! | AAC | AudioSpecificConfig, [`aac`] | ISO 14496-3 |
//! | Opus | OpusHead or dOps, [`opus`] | RFC 7845, RFC 6716 |
//! | FLAC | stream information, [`flac`] | RFC 9639 |
//! | MP3 | none; a frame's header, [`mp3`] | ISO 11172-3 |
//!
//! Media passes through untouched, so a record is read to describe a track and to name it in
//! playlists, not to decode it. Whatever the bytes, reading ends, and with a value or an
//! [`Error`]: never with a panic.
//!
//! ```
//! # use weir_codec as codec;
//! use codec::{AudioCodec, audio_info};
//!
//! let info = audio_info(AudioCodec::Aac, &[0x12, 0x10])?;
//! assert_eq!(info.codec_string, "mp4a.40.2");
//! assert_eq!((info.sample_rate, info.channels), (44_100, 2));
//! assert_eq!(info.samples_per_frame, Some(1024));
//! # Ok::<(), codec::Error>(())
//! ```

pub mod aac;
pub mod av1;
pub mod avc;
mod bits;
mod error;
pub mod flac;
mod fourcc;
pub mod hevc;
mod info;
mod kind;
pub mod mp3;
mod nal;
pub mod opus;
pub mod vp9;
pub mod vvc;

pub use error::Error;
pub use fourcc::FourCc;
pub use info::{AudioInfo, VideoInfo, audio_info, keyframe_size, video_info};
pub use kind::{AudioCodec, VideoCodec};
