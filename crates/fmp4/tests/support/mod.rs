//! Streams of real encoders, and what is made of them.
#![allow(dead_code, reason = "each test uses some of it")]

use bytes::Bytes;
use codec::{AudioCodec, audio_info, mp3, video_info};
use flv::{Info, Tag};
use weir_fmp4::{Media, Run, Sample, Track, fragment, init};

/// Units of time in a second, as in the tags that the streams come from.
pub(crate) const TIMESCALE: u32 = 1000;

pub(crate) const VIDEO: u32 = 1;
pub(crate) const AUDIO: u32 = 2;

/// A stream, taken out of its tags.
pub(crate) struct Stream {
    pub(crate) tracks: Vec<Track>,
    pub(crate) frames: Vec<Frame>,
}

pub(crate) struct Frame {
    pub(crate) track: u32,
    pub(crate) dts: u32,
    pub(crate) sample: Sample,
    pub(crate) body: Bytes,
}

/// A fragment on its way out: a head, and payloads that are shared with the tags.
pub(crate) struct Part {
    pub(crate) head: Bytes,
    pub(crate) payloads: Vec<Bytes>,
}

impl Stream {
    pub(crate) fn of(tags: &[Tag]) -> Self {
        let mut frames: Vec<Frame> = tags
            .iter()
            // FFmpeg ends FLAC with an empty packet.
            .filter(|tag| tag.is_frame() && !tag.body().is_empty())
            .map(frame)
            .collect();
        for track in [VIDEO, AUDIO] {
            let mut of_track: Vec<&mut Frame> = frames
                .iter_mut()
                .filter(|frame| frame.track == track)
                .collect();
            let times: Vec<u32> = of_track.iter().map(|frame| frame.dts).collect();
            let mut durations: Vec<u32> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            durations.push(durations.last().copied().unwrap_or(40));
            for (frame, duration) in of_track.iter_mut().zip(durations) {
                frame.sample.duration = duration;
            }
        }
        let media = [
            tags.iter().find_map(video),
            tags.iter().find_map(|tag| audio(tags, tag)),
        ];
        let tracks = media
            .into_iter()
            .zip([VIDEO, AUDIO])
            .filter_map(|(media, id)| {
                media.map(|media| Track {
                    id,
                    timescale: TIMESCALE,
                    media,
                })
            });
        Self {
            tracks: tracks.collect(),
            frames,
        }
    }

    /// The stream in parts of so many milliseconds, each track later by `delay`.
    pub(crate) fn parts(&self, millis: u32, delay: u64) -> Vec<Part> {
        let last = self.frames.last().map_or(0, |frame| frame.dts);
        let parts = (0..=last / millis).map(|number| {
            let mut samples = Vec::new();
            let mut payloads = Vec::new();
            for track in &self.tracks {
                let frames = || {
                    let frames = self.frames.iter();
                    frames.filter(|frame| frame.track == track.id && frame.dts / millis == number)
                };
                payloads.extend(frames().map(|frame| frame.body.clone()));
                let start = frames()
                    .next()
                    .map_or(0, |frame| delay + u64::from(frame.dts));
                let of_track: Vec<Sample> = frames().map(|frame| frame.sample).collect();
                samples.push((track.id, start, of_track));
            }
            let runs: Vec<Run<'_>> = samples
                .iter()
                .map(|&(track, decode_time, ref samples)| Run {
                    track,
                    decode_time,
                    samples,
                })
                .collect();
            Part {
                head: fragment(number + 1, &runs),
                payloads,
            }
        });
        parts.collect()
    }

    /// The whole of it as a file.
    pub(crate) fn file(&self, delay: u64) -> Vec<u8> {
        let mut bytes = init(&self.tracks).expect("the codecs are known").to_vec();
        for part in self.parts(200, delay) {
            bytes.extend_from_slice(&part.head);
            bytes.extend(part.payloads.iter().flatten());
        }
        bytes
    }

    /// Milliseconds that the samples of a track last.
    pub(crate) fn duration(&self, track: u32) -> i64 {
        let frames = self.frames.iter().filter(|frame| frame.track == track);
        frames.map(|frame| i64::from(frame.sample.duration)).sum()
    }
}

fn frame(tag: &Tag) -> Frame {
    let body = tag.body();
    Frame {
        track: if tag.is_video() { VIDEO } else { AUDIO },
        dts: tag.dts,
        sample: Sample {
            duration: 0,
            size: body.len() as u32,
            composition: tag.composition(),
            sync: !tag.is_video() || tag.is_keyframe(),
        },
        body,
    }
}

fn video(tag: &Tag) -> Option<Media> {
    let Info::Video(info) = tag.info() else {
        return None;
    };
    let codec = info.codec.filter(|_| tag.is_configuration())?;
    let record = tag.body();
    // FFmpeg begins AV1 with an empty record.
    let told = video_info(codec, &record).ok()?;
    // The records of VP9 do not tell.
    let (width, height) = if told.width > 0 {
        (told.width, told.height)
    } else {
        (320, 180)
    };
    Some(Media::Video {
        codec,
        record,
        width,
        height,
    })
}

fn audio(tags: &[Tag], tag: &Tag) -> Option<Media> {
    let Info::Audio(info) = tag.info() else {
        return None;
    };
    let codec = info.codec?;
    let first = tags
        .iter()
        .find(|tag| tag.is_audio() && tag.is_frame())?
        .body();
    let record = match codec {
        AudioCodec::Mp3 => {
            let header = mp3::header(&first).expect("a frame of MP3");
            let (channels, sample_rate) = (header.channels, header.sample_rate);
            return Some(Media::Audio {
                codec,
                record: Bytes::new(),
                channels,
                sample_rate,
            });
        }
        AudioCodec::Ac3 | AudioCodec::Eac3 => {
            return Some(Media::Audio {
                codec,
                record: first,
                channels: 2,
                sample_rate: 48_000,
            });
        }
        _ if tag.is_configuration() => tag.body(),
        _ => return None,
    };
    let told = audio_info(codec, &record).expect("encoders write good records");
    let (channels, sample_rate) = (told.channels, told.sample_rate);
    Some(Media::Audio {
        codec,
        record,
        channels,
        sample_rate,
    })
}

/// The bytes of a text of hexadecimal digits.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
