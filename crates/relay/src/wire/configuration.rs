//! What a decoder must have before the first frame.

use std::sync::Arc;

use codec::{AudioCodec, AudioInfo, FourCc, VideoCodec, VideoInfo};
use media::{AudioTrack, Description, VideoTrack};
use proto::relay::v1 as wire;

use super::tags::{Nonsense, read_apart, write_apart};
use super::{epoch_from_wire, epoch_to_wire, text};

/// How many of each are believed: a ring keeps fewer.
const MAX_TAGS: usize = 512;
const MAX_TRACKS: usize = 256;

/// What is said in front of tags, without what the origin knows beside them.
pub(crate) fn described(description: Description, version: u32, resumed: bool) -> wire::Described {
    let configuration = wire::Configuration {
        version: description.version,
        tags: write_apart(description.tags),
        video: description.video.into_iter().map(video_to_wire).collect(),
        audio: description.audio.into_iter().map(audio_to_wire).collect(),
    };
    wire::Described {
        version,
        epoch: Some(epoch_to_wire(description.epoch)),
        first: description.number,
        resumed,
        configuration: Some(configuration),
        stream: None,
    }
}

/// What a replica needs to know of it.
pub(crate) fn description(described: wire::Described, cuts: bool) -> Result<Description, Nonsense> {
    let configuration = described.configuration.unwrap_or_default();
    let (video, audio) = (configuration.video, configuration.audio);
    if configuration.tags.len() > MAX_TAGS || video.len() > MAX_TRACKS || audio.len() > MAX_TRACKS {
        return Err("more configuration than a stream can have");
    }
    let mut video: Vec<_> = video
        .into_iter()
        .map(video_from_wire)
        .collect::<Result<_, _>>()?;
    let mut audio: Vec<_> = audio
        .into_iter()
        .map(audio_from_wire)
        .collect::<Result<_, _>>()?;
    video.sort_by_key(|track| track.track);
    video.dedup_by_key(|track| track.track);
    audio.sort_by_key(|track| track.track);
    audio.dedup_by_key(|track| track.track);
    Ok(Description {
        epoch: epoch_from_wire(described.epoch),
        number: described.first,
        version: configuration.version,
        tags: read_apart(configuration.tags)?,
        video,
        audio,
        cuts,
    })
}

fn video_to_wire(track: VideoTrack) -> wire::VideoTrack {
    let named = |codec: VideoCodec| name(codec.fourcc(), codec.name());
    let info = track.info.as_deref().map(|info| {
        let (numerator, denominator) = info.frame_rate.unwrap_or_default();
        wire::VideoInfo {
            codec_string: info.codec_string.clone(),
            width: info.width,
            height: info.height,
            frame_rate_numerator: numerator,
            frame_rate_denominator: denominator,
            nal_length_size: info.nal_length_size.unwrap_or_default().into(),
        }
    });
    wire::VideoTrack {
        track: track.track.into(),
        codec: track.codec.map(named).unwrap_or_default().into(),
        info,
    }
}

fn video_from_wire(track: wire::VideoTrack) -> Result<VideoTrack, Nonsense> {
    let info = track.info.map(|info| {
        let rate = (info.frame_rate_numerator, info.frame_rate_denominator);
        VideoInfo {
            codec_string: text(info.codec_string),
            width: info.width,
            height: info.height,
            frame_rate: (rate.1 > 0).then_some(rate),
            nal_length_size: u8::try_from(info.nal_length_size)
                .ok()
                .filter(|size| (1..=4).contains(size)),
        }
    });
    Ok(VideoTrack {
        track: number(track.track)?,
        codec: codec(
            &track.codec,
            &LEGACY_VIDEO,
            VideoCodec::name,
            VideoCodec::from_fourcc,
        ),
        info: info.map(Arc::new),
    })
}

fn audio_to_wire(track: AudioTrack) -> wire::AudioTrack {
    let named = |codec: AudioCodec| name(codec.fourcc(), codec.name());
    let info = track.info.as_deref().map(|info| wire::AudioInfo {
        codec_string: info.codec_string.clone(),
        sample_rate: info.sample_rate,
        channels: info.channels,
        samples_per_frame: info.samples_per_frame.unwrap_or_default(),
    });
    wire::AudioTrack {
        track: track.track.into(),
        codec: track.codec.map(named).unwrap_or_default().into(),
        info,
    }
}

fn audio_from_wire(track: wire::AudioTrack) -> Result<AudioTrack, Nonsense> {
    let info = track.info.map(|info| AudioInfo {
        codec_string: text(info.codec_string),
        sample_rate: info.sample_rate,
        channels: info.channels,
        samples_per_frame: Some(info.samples_per_frame).filter(|samples| *samples > 0),
    });
    Ok(AudioTrack {
        track: number(track.track)?,
        codec: codec(
            &track.codec,
            &LEGACY_AUDIO,
            AudioCodec::name,
            AudioCodec::from_fourcc,
        ),
        info: info.map(Arc::new),
    })
}

/// Those that only FLV's own numbers can name. No name has four letters.
const LEGACY_VIDEO: [VideoCodec; 5] = [
    VideoCodec::SorensonH263,
    VideoCodec::ScreenVideo,
    VideoCodec::ScreenVideo2,
    VideoCodec::Vp6,
    VideoCodec::Vp6Alpha,
];
const LEGACY_AUDIO: [AudioCodec; 7] = [
    AudioCodec::Pcm,
    AudioCodec::Adpcm,
    AudioCodec::PcmLe,
    AudioCodec::Nellymoser,
    AudioCodec::G711A,
    AudioCodec::G711Mu,
    AudioCodec::Speex,
];

fn name(fourcc: Option<FourCc>, name: &str) -> Vec<u8> {
    fourcc.map_or_else(|| name.as_bytes().to_vec(), |fourcc| fourcc.0.to_vec())
}

fn codec<C: Copy>(
    text: &[u8],
    legacy: &[C],
    name: impl Fn(C) -> &'static str,
    from_fourcc: impl Fn(FourCc) -> C,
) -> Option<C> {
    match <[u8; 4]>::try_from(text) {
        Ok(fourcc) => Some(from_fourcc(FourCc(fourcc))),
        Err(_) => legacy
            .iter()
            .copied()
            .find(|codec| name(*codec).as_bytes() == text),
    }
}

fn number(track: u32) -> Result<u8, Nonsense> {
    u8::try_from(track).map_err(|_| "a track beyond all bounds")
}

#[cfg(test)]
mod tests {
    use media::Epoch;

    use super::*;

    fn round_trip(description: Description) {
        let cuts = description.cuts;
        let sent = described(description.clone(), 1, false);
        assert_eq!(super::description(sent, cuts), Ok(description));
    }

    #[test]
    fn a_configuration_goes_over_the_wire() {
        let video = VideoTrack {
            track: 0,
            codec: Some(VideoCodec::Avc),
            info: Some(Arc::new(VideoInfo {
                codec_string: "avc1.64001f".to_owned(),
                width: 1280,
                height: 720,
                frame_rate: Some((30_000, 1001)),
                nal_length_size: Some(4),
            })),
        };
        let audio = AudioTrack {
            track: 3,
            codec: Some(AudioCodec::Opus),
            info: Some(Arc::new(AudioInfo {
                codec_string: "opus".to_owned(),
                sample_rate: 48_000,
                channels: 2,
                samples_per_frame: None,
            })),
        };
        round_trip(Description {
            epoch: Epoch::new(u64::MAX, u64::MAX),
            number: 77,
            version: 5,
            tags: Vec::new(),
            video: vec![video],
            audio: vec![audio],
            cuts: true,
        });
    }

    #[test]
    fn every_codec_goes_over_the_wire() {
        let fourcc = VideoCodec::Other(FourCc(*b"\xFFxyz"));
        let modern = [VideoCodec::Avc, VideoCodec::Vp9, fourcc];
        let video = LEGACY_VIDEO
            .into_iter()
            .chain(modern)
            .map(Some)
            .chain([None]);
        let modern = [AudioCodec::Aac, AudioCodec::Mp3, AudioCodec::Opus];
        let audio = LEGACY_AUDIO
            .into_iter()
            .chain(modern)
            .map(Some)
            .chain([None]);
        round_trip(Description {
            epoch: Epoch::new(1, 1),
            number: 0,
            version: 0,
            tags: Vec::new(),
            video: video
                .zip(0..)
                .map(|(codec, track)| VideoTrack {
                    track,
                    codec,
                    info: None,
                })
                .collect(),
            audio: audio
                .zip(0..)
                .map(|(codec, track)| AudioTrack {
                    track,
                    codec,
                    info: None,
                })
                .collect(),
            cuts: false,
        });
    }

    #[test]
    fn names_of_codecs_are_cut() {
        let video = wire::VideoTrack {
            info: Some(wire::VideoInfo {
                codec_string: "x".repeat(100_000),
                ..Default::default()
            }),
            ..Default::default()
        };
        let audio = wire::AudioTrack {
            info: Some(wire::AudioInfo {
                codec_string: "x".repeat(100_000),
                ..Default::default()
            }),
            ..Default::default()
        };
        let configuration = wire::Configuration {
            video: vec![video],
            audio: vec![audio],
            ..Default::default()
        };
        let sent = wire::Described {
            configuration: Some(configuration),
            ..Default::default()
        };
        let read = description(sent, false).expect("believable");
        let all = format!("{read:?}");
        assert!(all.len() < 2000, "{}", all.len());
    }

    #[test]
    fn nonsense_is_refused() {
        let track = wire::VideoTrack {
            track: 256,
            ..Default::default()
        };
        for configuration in [
            wire::Configuration {
                video: vec![track],
                ..Default::default()
            },
            wire::Configuration {
                tags: vec![wire::Tag::default(); MAX_TAGS + 1],
                ..Default::default()
            },
        ] {
            let sent = wire::Described {
                configuration: Some(configuration),
                ..Default::default()
            };
            assert!(description(sent, false).is_err());
        }
    }
}
