//! Fragmented MP4: init segments and fragments, written and never read.
//!
//! | what | specification |
//! |---|---|
//! | boxes and fragments | ISO 14496-12, with the brands `iso6` and, for one track alone, `cmfc` |
//! | H.264, H.265, H.266 | ISO 14496-15 |
//! | AV1, VP8 and VP9, Opus, FLAC | their bindings to ISOBMFF |
//! | AAC, MP3 | ISO 14496-14 |
//! | AC-3, E-AC-3 | ETSI TS 102 366, annex F |
//!
//! All of it is a function of its arguments: no clock, no chance, nothing kept from one call to
//! the next. So whoever writes the same samples writes the same bytes.
//!
//! Payloads are not copied, nor even looked at: [`fragment`] makes the head of a part, and the
//! payloads follow it on the wire as they are. A segment is its parts, one after the other.
//!
//! ```
//! # use weir_fmp4 as fmp4;
//! use bytes::Bytes;
//! use codec::AudioCodec;
//! use fmp4::{Media, Run, Sample, Track};
//!
//! let record = Bytes::from_static(&[0x12, 0x10]);
//! let media = Media::Audio { codec: AudioCodec::Aac, record, channels: 2, sample_rate: 44_100 };
//! let init = fmp4::init(&[Track { id: 1, timescale: 44_100, media }])?;
//! assert_eq!(&init[4..12], b"ftypiso6");
//!
//! let frame = Bytes::from_static(&[0x21, 0x00, 0x49]);
//! let samples = [Sample { duration: 1024, size: frame.len() as u32, composition: 0, sync: true }];
//! let head = fmp4::fragment(1, &[Run { track: 1, decode_time: 0, samples: &samples }]);
//! let part: Vec<Bytes> = vec![head, frame];
//! # assert_eq!(&part[0][4..8], b"moof");
//! # Ok::<(), fmp4::Unsupported>(())
//! ```

mod audio;
mod boxes;
mod dolby;
mod fragment;
mod init;
mod track;
mod video;

pub use fragment::{Run, Sample, fragment};
pub use init::init;
pub use track::{Media, Track, Unsupported};
