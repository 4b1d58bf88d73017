//! The tracks that a segment is made of.

use std::sync::Arc;

use bytes::Bytes;
use codec::{AudioCodec, AudioInfo, VideoCodec, VideoInfo};
use media::Configuration;

use crate::mux;
use crate::names::Container;

/// Units of time in a second of pictures: whole for all usual rates, and those of a transport
/// stream.
pub(crate) const VIDEO_TIMESCALE: u32 = 90_000;

/// The main tracks of a configuration, with all that their bytes in a segment depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tracks {
    pub(crate) video: Option<Video>,
    pub(crate) audio: Option<Audio>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Video {
    /// Its number in the stream.
    pub(crate) track: u8,
    pub(crate) codec: VideoCodec,
    pub(crate) info: Option<Arc<VideoInfo>>,
    pub(crate) record: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Audio {
    pub(crate) track: u8,
    pub(crate) codec: AudioCodec,
    pub(crate) info: Option<Arc<AudioInfo>>,
    pub(crate) record: Bytes,
}

impl Tracks {
    pub(crate) fn of(configuration: &Configuration) -> Self {
        let video = configuration.main_video().and_then(|main| {
            Some(Video {
                track: main.track,
                codec: main.codec?,
                info: main.info.clone(),
                record: record(configuration, flv::Kind::Video, main.track),
            })
        });
        let audio = configuration.main_audio().and_then(|main| {
            Some(Audio {
                track: main.track,
                codec: main.codec?,
                info: main.info.clone(),
                record: record(configuration, flv::Kind::Audio, main.track),
            })
        });
        Self { video, audio }
    }

    /// Those of them that `container` can carry.
    pub(crate) fn carried_in(mut self, container: Container) -> Self {
        self.video = self
            .video
            .filter(|video| mux::carries_video(container, video));
        self.audio = self
            .audio
            .filter(|audio| mux::carries_audio(container, audio));
        self
    }
}

impl Audio {
    /// Units of time in a second of it: its samples. 0 if nothing tells how many these are.
    pub(crate) fn timescale(&self) -> u32 {
        match self.codec {
            AudioCodec::Opus => codec::opus::SAMPLE_RATE,
            _ => self.info.as_ref().map_or(0, |info| info.sample_rate),
        }
    }

    pub(crate) fn channels(&self) -> u32 {
        // What is not told, nearly always, is stereo.
        let told = self.info.as_ref().map(|info| info.channels);
        told.filter(|&channels| channels > 0).unwrap_or(2)
    }

    /// How long a frame is, in units of [`timescale`](Self::timescale), if anything tells.
    pub(crate) fn frame_length(&self, frame: &[u8]) -> Option<u32> {
        let own = match self.codec {
            AudioCodec::Opus => codec::opus::packet_samples(frame),
            AudioCodec::Mp3 => codec::mp3::header(frame).map(|header| header.samples),
            _ => None,
        };
        own.or_else(|| self.info.as_ref()?.samples_per_frame)
            .filter(|&samples| samples > 0)
    }

    pub(crate) fn codec_string(&self) -> Option<&str> {
        match (&self.info, self.codec) {
            (Some(info), _) => Some(&info.codec_string),
            // The one that needs no record.
            (None, AudioCodec::Opus) => Some("opus"),
            (None, _) => None,
        }
    }
}

/// The configuration record of a track; empty if it has none.
fn record(configuration: &Configuration, kind: flv::Kind, track: u8) -> Bytes {
    let tags = configuration.tags.iter().map(|marked| &marked.tag);
    let mut records = tags
        .filter(|tag| tag.kind == kind && tag.packet() == Some(flv::Packet::Configuration))
        .filter_map(|tag| tag.track_body(track));
    records.next().unwrap_or_default()
}
