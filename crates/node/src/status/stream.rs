//! A stream, as the API shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Stream {
    /// `app/name`.
    pub stream_key: String,
    /// What stands before the first slash of the key.
    pub app: String,
    /// What stands behind it.
    pub name: String,
    /// Whether an encoder publishes it at this moment.
    pub active: bool,
    /// How it stands.
    pub state: State,
    /// The number of its publish: the later, the higher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The node its encoder publishes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// How its encoder publishes: `rtmp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What its encoder calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// Where its encoder publishes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher_addr: Option<String>,
    /// When the publish began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// For how long it has been published, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// How many watch.
    pub viewers: u64,
    /// How many watch, by protocol.
    pub viewers_by_protocol: BTreeMap<String, u64>,
    /// The codec of the main video track: `avc`, `hevc`, `av1`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_codec: Option<String>,
    /// The codec of the main audio track: `aac`, `opus`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_codec: Option<String>,
    /// `1920x1080`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    /// Pictures per second of the main video track, lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Bits per second of all tracks, lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<u64>,
    /// Seconds between the last two keyframes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyframe_interval: Option<f64>,
    /// Samples per second of the main audio track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_sample_rate: Option<u32>,
    /// Channels of the main audio track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_channels: Option<u32>,
    /// Media bytes that came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
    /// Media bytes that went out to viewers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// Tags of the encoder that were of no use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_tags: Option<u64>,
    /// Whether it is being recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<bool>,
    /// How many destinations it is forwarded to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwards: Option<u64>,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Its encoder publishes.
    Live,
    /// It is over.
    Ended,
    /// Its encoder is awaited. So it is understood where another release says something new.
    #[default]
    #[serde(other)]
    Waiting,
}

impl State {
    /// Its name in the interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
        }
    }
}

/// All streams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Streams {
    /// In the order of their keys.
    pub streams: Vec<Stream>,
    /// How many there are; more than are listed where they are too many for one answer.
    pub total: usize,
    /// The nodes that did not answer: what they alone know is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
    /// Why they did not, by name, in a few words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unreachable_because: BTreeMap<String, String>,
}

/// The stream that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Found {
    /// The stream.
    #[serde(flatten)]
    pub stream: Stream,
    /// The nodes that did not answer: their viewers are missing, unless the origin knows of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
    /// Why they did not, by name, in a few words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unreachable_because: BTreeMap<String, String>,
}
