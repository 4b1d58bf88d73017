//! MPEG transport streams, as segments of HLS: written and never read.
//!
//! | what | specification |
//! |---|---|
//! | packets, PES, tables, clock | ISO 13818-1 |
//! | what a segment begins with | RFC 8216bis, 3.1.1 |
//! | H.264, H.265 | ISO 13818-1 and annex B of each: start codes and access unit delimiters |
//! | AAC | ISO 14496-3, 1.A.2: ADTS |
//! | MP3 | ISO 13818-1 |
//! | AC-3, E-AC-3 | ATSC A/52 |
//! | Opus | Xiph's draft: a registration, and a control header in front of each packet |
//!
//! A [`Writer`] knows the tracks, and nothing of the segments it wrote. So whoever has the frames
//! of a segment makes the same bytes of them: no clock, no chance. Readers mind all the same that
//! continuity counters go on from one segment to the next. So each segment holds a multiple of 16
//! packets of each track, whose counters begin at 0, and one of each table, with the counter that
//! the number of the segment gives it.
//!
//! Payloads are copied, for they get start codes or headers and a packet every 184 bytes.
//!
//! ```
//! # use weir_mpegts as mpegts;
//! use bytes::Bytes;
//! use codec::AudioCodec;
//! use mpegts::{Frame, Media, Track, Writer};
//!
//! let record = Bytes::from_static(&[0x12, 0x10]);
//! let track = Track { id: 1, media: Media::Audio { codec: AudioCodec::Aac, record } };
//! let writer = Writer::new(&[track])?;
//!
//! let data = Bytes::from_static(&[0x21, 0x00, 0x49]);
//! let frame = Frame { track: 1, dts: 900_000, pts: 900_000, keyframe: true, data };
//! let segment = writer.segment(7, &[frame]);
//! assert_eq!(segment.len() % 188, 0);
//! assert!(segment.iter().step_by(188).all(|&byte| byte == 0x47));
//! # Ok::<(), mpegts::Unsupported>(())
//! ```

mod adts;
mod annex_b;
mod clock;
mod elementary;
mod opus;
mod packet;
mod pes;
mod tables;
mod track;
mod units;
mod writer;

pub use clock::LEAD;
pub use track::{Frame, Media, Track, Unsupported};
pub use writer::Writer;
