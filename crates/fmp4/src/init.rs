//! The init segment: which tracks there are and how they are decoded, and not one sample.

use bytes::{BufMut, Bytes};
use codec::VideoCodec;

use crate::boxes::{full, plain};
use crate::{Media, Track, Unsupported, audio, video};

/// Units of the movie's own time, in which nothing is told: each track has its own.
const MOVIE_TIMESCALE: u32 = 1000;

/// 1 in fixed point, 16.16.
const ONE: u32 = 0x1_0000;

/// "und" in three times five bits (ISO 14496-12, 8.4.2).
const UNDETERMINED: u16 = 0x55c4;

/// An init segment: `ftyp` and `moov`.
///
/// One per track makes it a CMAF header; several tracks share what is then plain fragmented MP4.
pub fn init(tracks: &[Track]) -> Result<Bytes, Unsupported> {
    let mut entries = Vec::new();
    for track in tracks {
        entries.push(SampleEntry::of(&track.media)?);
    }
    let mut out = Vec::with_capacity(1024);
    file_type(&mut out, tracks);
    plain(&mut out, b"moov", |out| {
        movie_header(out, tracks);
        for (track, entry) in tracks.iter().zip(&entries) {
            write_track(out, track, entry);
        }
        plain(out, b"mvex", |out| {
            for track in tracks {
                defaults(out, track.id);
            }
        });
    });
    Ok(out.into())
}

/// How the samples of a track are decoded.
pub(crate) struct SampleEntry {
    /// The box.
    pub(crate) bytes: Vec<u8>,
    /// Width and height as shown, in 16.16; 0 for sound.
    pub(crate) shown: (u32, u32),
}

impl SampleEntry {
    fn of(media: &Media) -> Result<Self, Unsupported> {
        match *media {
            Media::Video {
                codec,
                ref record,
                width,
                height,
            } => video::entry(codec, record, width, height),
            Media::Audio {
                codec,
                ref record,
                channels,
                sample_rate,
            } => audio::entry(codec, record, channels, sample_rate),
        }
    }
}

fn file_type(out: &mut Vec<u8>, tracks: &[Track]) {
    let is_av1 = |track: &Track| {
        matches!(
            track.media,
            Media::Video {
                codec: VideoCodec::Av1,
                ..
            }
        )
    };
    plain(out, b"ftyp", |out| {
        // RFC 8216bis, 3.1.2 asks for iso6; version 1 of `trun` and the offsets that start at
        // `moof` are in it.
        out.put_slice(b"iso6");
        out.put_u32(0);
        out.put_slice(b"iso6");
        // CMAF (ISO 23000-19, 7.3) allows one track a file.
        if tracks.len() == 1 {
            out.put_slice(b"cmfc");
        }
        // AV1 in ISOBMFF, 2.1.
        if tracks.iter().any(is_av1) {
            out.put_slice(b"av01");
        }
        out.put_slice(b"mp41");
    });
}

fn movie_header(out: &mut Vec<u8>, tracks: &[Track]) {
    let last = tracks.iter().map(|track| track.id).max().unwrap_or(0);
    full(out, b"mvhd", 0, 0, |out| {
        out.put_u64(0); // When it was made, and changed.
        out.put_u32(MOVIE_TIMESCALE);
        out.put_u32(0); // Duration: that of the samples here, of which there are none.
        out.put_u32(ONE); // Rate.
        out.put_u16(0x0100); // Volume.
        out.put_bytes(0, 2 + 8);
        matrix(out);
        out.put_bytes(0, 6 * 4);
        out.put_u32(last.saturating_add(1));
    });
}

/// Pictures are neither turned nor moved.
fn matrix(out: &mut Vec<u8>) {
    for number in [ONE, 0, 0, 0, ONE, 0, 0, 0, 0x4000_0000] {
        out.put_u32(number);
    }
}

fn write_track(out: &mut Vec<u8>, track: &Track, entry: &SampleEntry) {
    let is_video = matches!(track.media, Media::Video { .. });
    plain(out, b"trak", |out| {
        const ENABLED_AND_IN_MOVIE: u32 = 3;
        full(out, b"tkhd", 0, ENABLED_AND_IN_MOVIE, |out| {
            out.put_u64(0);
            out.put_u32(track.id);
            out.put_u32(0);
            out.put_u32(0); // Duration.
            out.put_u64(0);
            out.put_u16(0); // Layer.
            out.put_u16(0); // Alternate group.
            out.put_u16(if is_video { 0 } else { 0x0100 }); // Volume.
            out.put_u16(0);
            matrix(out);
            out.put_u32(entry.shown.0);
            out.put_u32(entry.shown.1);
        });
        plain(out, b"mdia", |out| {
            full(out, b"mdhd", 0, 0, |out| {
                out.put_u64(0);
                out.put_u32(track.timescale);
                out.put_u32(0); // Duration.
                out.put_u16(UNDETERMINED);
                out.put_u16(0);
            });
            full(out, b"hdlr", 0, 0, |out| {
                out.put_u32(0);
                out.put_slice(if is_video { b"vide" } else { b"soun" });
                out.put_bytes(0, 3 * 4);
                out.put_u8(0); // An empty name.
            });
            media_information(out, is_video, entry);
        });
    });
}

fn media_information(out: &mut Vec<u8>, is_video: bool, entry: &SampleEntry) {
    plain(out, b"minf", |out| {
        if is_video {
            // The flag has always to be there.
            full(out, b"vmhd", 0, 1, |out| out.put_bytes(0, 8));
        } else {
            full(out, b"smhd", 0, 0, |out| out.put_bytes(0, 4));
        }
        plain(out, b"dinf", |out| {
            full(out, b"dref", 0, 0, |out| {
                out.put_u32(1);
                const IN_THIS_FILE: u32 = 1;
                full(out, b"url ", 0, IN_THIS_FILE, |_| {});
            });
        });
        plain(out, b"stbl", |out| {
            full(out, b"stsd", 0, 0, |out| {
                out.put_u32(1);
                out.put_slice(&entry.bytes);
            });
            // No samples here: their times, chunks, sizes and places are empty tables.
            full(out, b"stts", 0, 0, |out| out.put_u32(0));
            full(out, b"stsc", 0, 0, |out| out.put_u32(0));
            full(out, b"stsz", 0, 0, |out| out.put_u64(0));
            full(out, b"stco", 0, 0, |out| out.put_u32(0));
        });
    });
}

/// Fragments tell everything themselves.
fn defaults(out: &mut Vec<u8>, track: u32) {
    full(out, b"trex", 0, 0, |out| {
        out.put_u32(track);
        out.put_u32(1); // The one sample entry.
        out.put_u32(0); // Duration.
        out.put_u32(0); // Size.
        out.put_u32(0); // Flags.
    });
}
