//! The media: a stream of known rate whose tags carry a clock.
//!
//! The standard clip is synthesised, the same at every run: H.264-shaped video at 30 fps with a
//! keyframe every 2 s, and AAC-shaped audio at 48 kHz, 46.875 tags a second. Every tag begins with
//! a *stamp*: when it was sent, its number, and a hash of what follows, so that a player that has
//! never seen the clip can tell whether a tag is late, missing, or damaged.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::amf;
use crate::chunk::kind;
use crate::stamp;

/// Bits per second of the clip the goals are stated for.
pub(crate) const STANDARD_RATE: &str = "2.155M";
const FRAMES_PER_SECOND: u64 = 30;
const FRAMES_PER_KEYFRAME: u64 = 60;
/// A keyframe is this many times an ordinary frame.
const KEYFRAME_WEIGHT: u64 = 6;
/// 1500 audio and 960 video frames end together, and a GOP with them.
const CYCLE_MS: u64 = 32_000;

const AVC_RECORD: [u8; 38] = [
    0x01, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0x00, 0x17, 0x67, 0x4d, 0x40, 0x1f, 0xda, 0x01, 0x40, 0x16,
    0xec, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0f, 0x03, 0xc6, 0x0c, 0xa8, 0x01,
    0x00, 0x04, 0x68, 0xef, 0x0f, 0xc8,
];
const AAC_RECORD: [u8; 2] = [0x11, 0x90];

/// One tag of the clip.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    /// Milliseconds behind the start of the clip.
    pub(crate) ms: u32,
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
    /// Where the stamp stands in the payload.
    pub(crate) stamp: Option<usize>,
}

/// Tags in order, which repeat for ever.
#[derive(Clone, Debug)]
pub(crate) struct Clip {
    /// What a player needs before the first tag: metadata and codec configuration.
    pub(crate) head: Vec<Tag>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) cycle_ms: u32,
}

impl Clip {
    /// The standard clip at `rate` bits per second of tag payload.
    pub(crate) fn synthesise(rate: u64) -> Result<Self> {
        let audio_rate = match rate {
            ..400_000 => 32_000,
            400_000..1_000_000 => 64_000,
            _ => 128_000,
        };
        ensure!(
            rate >= 100_000,
            "a clip of {rate} bit/s has no room for its stamps"
        );
        let mut noise = Noise(0x2545_f491_4f6c_dd1d);
        let audio_size = audio_rate * 1024 / 48_000 / 8;
        let per_gop = (rate - audio_rate) / 8 * FRAMES_PER_KEYFRAME / FRAMES_PER_SECOND;
        let frame_size = per_gop / (FRAMES_PER_KEYFRAME - 1 + KEYFRAME_WEIGHT);

        let mut tags = Vec::new();
        for frame in 0..CYCLE_MS * FRAMES_PER_SECOND / 1000 {
            let keyframe = frame.is_multiple_of(FRAMES_PER_KEYFRAME);
            // Frames vary by a quarter around their mean, and the mean stays.
            let size = match (keyframe, frame % 2) {
                (true, _) => frame_size * KEYFRAME_WEIGHT,
                (false, 0) => frame_size - frame_size / 4 * (frame / 2 % 2),
                (false, _) => frame_size + frame_size / 4 * (frame / 2 % 2),
            };
            let ms = (frame * 1000 / FRAMES_PER_SECOND) as u32;
            tags.push(Tag::video(ms, keyframe, size as usize, &mut noise));
        }
        for frame in 0..CYCLE_MS * 48 / 1024 {
            let ms = (frame * 1024 / 48) as u32;
            tags.push(Tag::audio(ms, audio_size as usize, &mut noise));
        }
        tags.sort_by_key(|tag| (tag.ms, tag.kind == kind::AUDIO));
        let head = vec![
            Tag::plain(kind::DATA, metadata(rate, audio_rate)),
            Tag::plain(kind::VIDEO, [&[0x17, 0, 0, 0, 0], &AVC_RECORD[..]].concat()),
            Tag::plain(kind::AUDIO, [&[0xaf, 0], &AAC_RECORD[..]].concat()),
        ];
        Ok(Self {
            head,
            tags,
            cycle_ms: CYCLE_MS as u32,
        })
    }

    /// A recorded clip. Its H.264 frames get a stamp in front; other tags stay as they are.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            bytes.starts_with(b"FLV\x01"),
            "{} is no FLV file",
            path.display()
        );
        let mut rest = bytes.get(13..).unwrap_or_default();
        let (mut head, mut tags) = (Vec::new(), Vec::<Tag>::new());
        while let Some((header, behind)) = rest.split_first_chunk::<11>() {
            let [kind, a, b, c, low_a, low_b, low_c, high, ..] = *header;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let Some(payload) = behind.get(..length) else {
                break;
            };
            rest = behind.get(length + 4..).unwrap_or_default();
            let ms = u32::from_be_bytes([high, low_a, low_b, low_c]);
            match (kind & 0x1f, payload) {
                (kind::DATA, _) => {
                    let named = amf::Writer::default().string("@setDataFrame").done();
                    head.push(Tag::plain(kind::DATA, [&named, payload].concat()));
                }
                (kind::VIDEO, [0x17, 0, ..]) | (kind::AUDIO, [0xa0..=0xaf, 0, ..]) => {
                    head.push(Tag::plain(kind & 0x1f, payload.to_vec()));
                }
                // The end of a sequence is none in a clip that begins anew.
                (kind::VIDEO, [0x17, 2, ..]) => {}
                (kind::VIDEO, [0x17 | 0x27, 1, ..]) => tags.push(Tag::stamped(ms, payload)),
                (kind @ (kind::VIDEO | kind::AUDIO), _) => {
                    tags.push(Tag {
                        ms,
                        ..Tag::plain(kind, payload.to_vec())
                    });
                }
                _ => {}
            }
        }
        let (Some(first), Some(last)) = (tags.first(), tags.last()) else {
            bail!("{} holds no media", path.display())
        };
        let (start, end) = (first.ms, last.ms);
        // The last frame lasts as long as one of 30 a second.
        let cycle_ms = end.saturating_sub(start) + 33;
        for tag in &mut tags {
            tag.ms = tag.ms.saturating_sub(start);
        }
        tags.sort_by_key(|tag| tag.ms);
        Ok(Self {
            head,
            tags,
            cycle_ms,
        })
    }

    /// Payload bytes per second.
    pub(crate) fn bytes_per_second(&self) -> f64 {
        let bytes: usize = self.tags.iter().map(|tag| tag.payload.len()).sum();
        bytes as f64 * 1000.0 / f64::from(self.cycle_ms.max(1))
    }

    /// The clip as an FLV file of one cycle.
    pub(crate) fn to_flv(&self) -> Vec<u8> {
        let mut out = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
        for tag in self.head.iter().chain(&self.tags) {
            // The file's metadata goes without the word that only a publisher says.
            let named = amf::Writer::default().string("@setDataFrame").done();
            let payload = tag.payload.strip_prefix(&named[..]).unwrap_or(&tag.payload);
            let [high, time @ ..] = tag.ms.to_be_bytes();
            out.push(tag.kind);
            out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
            out.extend_from_slice(&time);
            out.extend_from_slice(&[high, 0, 0, 0]);
            out.extend_from_slice(payload);
            out.extend_from_slice(&(payload.len() as u32 + 11).to_be_bytes());
        }
        out
    }
}

impl Tag {
    fn plain(kind: u8, payload: Vec<u8>) -> Self {
        Self {
            ms: 0,
            kind,
            payload,
            stamp: None,
        }
    }

    fn video(ms: u32, keyframe: bool, size: usize, noise: &mut Noise) -> Self {
        let around = stamp::IN_VIDEO + stamp::LENGTH + 1 + 5;
        let filler = noise.bytes(size.saturating_sub(around));
        let nal = [&[if keyframe { 0x65 } else { 0x41 }], &filler[..]].concat();
        let length = (nal.len() as u32).to_be_bytes();
        let kind = if keyframe { 0x17 } else { 0x27 };
        Self::stamped(ms, &[&[kind, 1, 0, 0, 0], &length[..], &nal].concat())
    }

    fn audio(ms: u32, size: usize, noise: &mut Noise) -> Self {
        let filler = noise.bytes(size.saturating_sub(stamp::IN_AUDIO + stamp::LENGTH));
        let payload = [&[0xaf, 1], &stamp::template(&filler)[..], &filler].concat();
        Self {
            ms,
            kind: kind::AUDIO,
            payload,
            stamp: Some(stamp::IN_AUDIO),
        }
    }

    /// An H.264 tag with a stamp, in an SEI message, in front of its first NAL unit.
    fn stamped(ms: u32, payload: &[u8]) -> Self {
        let (front, nals) = payload.split_at_checked(5).unwrap_or((payload, &[]));
        let rest = [&[0x80], nals].concat();
        let size = stamp::LENGTH as u8;
        let sei = [
            &[0, 0, 0, size + 4],
            &[6, 5, size][..],
            &stamp::template(&rest),
        ]
        .concat();
        let payload = [front, &sei, &rest].concat();
        Self {
            ms,
            kind: kind::VIDEO,
            payload,
            stamp: Some(stamp::IN_VIDEO),
        }
    }
}

/// Deterministic filler without zero bytes, so that it holds no start code.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend_from_slice(&(self.0 | 0x0101_0101_0101_0101).to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

fn metadata(rate: u64, audio_rate: u64) -> Vec<u8> {
    let numbers = [
        ("width", 1280.0),
        ("height", 720.0),
        ("framerate", FRAMES_PER_SECOND as f64),
        ("videocodecid", 7.0),
        ("videodatarate", (rate - audio_rate) as f64 / 1000.0),
        ("audiocodecid", 10.0),
        ("audiodatarate", audio_rate as f64 / 1000.0),
        ("audiosamplerate", 48_000.0),
        ("audiosamplesize", 16.0),
    ];
    let begin = amf::Writer::default()
        .string("@setDataFrame")
        .string("onMetaData");
    let begin = begin
        .array(numbers.len() as u32 + 1)
        .key("stereo")
        .boolean(true);
    numbers
        .iter()
        .fold(begin, |writer, (name, value)| {
            writer.key(name).number(*value)
        })
        .end()
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_clip_has_the_rates_it_promises() {
        for rate in [200_000, 600_000, 2_155_000] {
            let clip = Clip::synthesise(rate).unwrap();
            let got = clip.bytes_per_second() * 8.0;
            assert!((got / rate as f64 - 1.0).abs() < 0.01, "{got} for {rate}");
            let seconds = f64::from(clip.cycle_ms) / 1000.0;
            let count = |kind| clip.tags.iter().filter(|tag| tag.kind == kind).count() as f64;
            assert_eq!(count(kind::VIDEO) / seconds, 30.0);
            assert_eq!(count(kind::AUDIO) / seconds, 46.875);
            assert!(clip.tags.is_sorted_by_key(|tag| tag.ms));
            assert!(clip.tags.first().unwrap().payload.starts_with(&[0x17, 1]));
        }
    }

    #[test]
    fn a_clip_written_as_flv_is_loaded_with_its_frames() {
        let clip = Clip::synthesise(200_000).unwrap();
        let path = tempfile::Builder::new().suffix(".flv").tempfile().unwrap();
        std::fs::write(path.path(), clip.to_flv()).unwrap();
        let loaded = Clip::load(path.path()).unwrap();
        assert_eq!(loaded.tags.len(), clip.tags.len());
        assert_eq!(loaded.head.len(), 3);
        let first = loaded.tags.first().unwrap();
        assert!(stamp::read(true, &first.payload).unwrap().intact);
        assert!(Clip::load(Path::new("/dev/null")).is_err());
    }
}
