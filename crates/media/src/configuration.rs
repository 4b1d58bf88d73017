//! What a joiner must have before the first frame: metadata and the records of each track.

mod tracker;

use std::sync::Arc;

use codec::{AudioCodec, VideoCodec};
use flv::Codec;

use crate::{Epoch, MarkedTag};
pub(crate) use tracker::{Change, Tracker, Verdict};

/// The metadata and the configuration records in force at one point of a stream.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// Grows with every change, and is the same on every node. Of two epochs that came from
    /// different nodes the later may have the lower version.
    pub version: u32,
    /// The publish it belongs to.
    pub epoch: Epoch,
    /// What to send to a joiner, in this order: `onMetaData`; the records of the video tracks,
    /// then their HDR metadata; the records of the audio tracks, then their channel layouts.
    ///
    /// Their times are those at which they came in; a joiner sends them at [`Join::play_ms`].
    /// Those that a replica described have the `seq` of the first tag behind them.
    ///
    /// [`Join::play_ms`]: crate::Join::play_ms
    pub tags: Vec<Arc<MarkedTag>>,
    /// The video tracks seen so far, by number.
    pub video: Vec<VideoTrack>,
    /// The audio tracks seen so far, by number.
    pub audio: Vec<AudioTrack>,
}

/// A video track of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoTrack {
    /// Its number.
    pub track: u8,
    /// Its codec, where the encoder names one that we know.
    pub codec: Option<VideoCodec>,
    /// What its record says, or for the size its keyframes; `None` if neither tells anything
    /// that we can read.
    pub info: Option<Arc<codec::VideoInfo>>,
}

/// An audio track of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioTrack {
    /// Its number.
    pub track: u8,
    /// Its codec, where the encoder names one that we know.
    pub codec: Option<AudioCodec>,
    /// What its record says, or its first frame in codecs without; `None` if neither tells
    /// anything that we can read.
    pub info: Option<Arc<codec::AudioInfo>>,
}

/// What the values of metadata may take in memory, estimated. Encoders send less than a tenth.
const MAX_METADATA_VALUES: usize = 256 << 10;

/// The values of a metadata tag of a stream.
fn metadata(tag: &flv::Tag) -> Option<flv::Metadata> {
    flv::Metadata::from_tag_within(tag, MAX_METADATA_VALUES)
}

impl Configuration {
    /// The values of `onMetaData`, if it was sent; empty if they are too many to read.
    ///
    /// Read anew with each call: values take many times the memory of the tag, and the ring keeps
    /// every configuration as long as somebody may join there.
    pub fn metadata(&self) -> Option<flv::Metadata> {
        self.tags.first().and_then(|first| metadata(&first.tag))
    }

    /// The same with the metadata of `later`, where that is this metadata, corrected: who joins
    /// at an older place is not told what turned out to be wrong.
    pub(crate) fn corrected_by(&self, later: &Self) -> Option<Self> {
        let (old, new) = (self.tags.first()?, later.tags.first()?);
        let is_same = (old.epoch, old.number) == (new.epoch, new.number);
        let is_corrected = is_same && !Arc::ptr_eq(old, new);
        if !is_corrected || !old.tag.is_metadata() || !new.tag.is_metadata() {
            return None;
        }
        let mut corrected = self.clone();
        *corrected.tags.first_mut()? = Arc::clone(new);
        Some(corrected)
    }

    /// The video track that decides where a joiner may start: the one with the lowest number.
    pub fn main_video(&self) -> Option<&VideoTrack> {
        self.video.first()
    }

    /// The codec of a track, if the track is known.
    pub(crate) fn codec(&self, id: u8, video: bool) -> Option<Option<Codec>> {
        if video {
            let track = self.video.iter().find(|track| track.track == id)?;
            Some(track.codec.map(Codec::Video))
        } else {
            let track = self.audio.iter().find(|track| track.track == id)?;
            Some(track.codec.map(Codec::Audio))
        }
    }

    /// Whether `tag` has a picture of the [main video track](Self::main_video).
    pub fn is_main_picture(&self, tag: &flv::Tag) -> bool {
        let main = self.main_video().map(|track| track.track);
        tag.is_video() && has_frame(tag, main)
    }

    /// Whether `tag` has a frame of the [main audio track](Self::main_audio).
    pub fn is_main_sound(&self, tag: &flv::Tag) -> bool {
        let main = self.main_audio().map(|track| track.track);
        tag.is_audio() && has_frame(tag, main)
    }

    /// The audio track with the lowest number.
    pub fn main_audio(&self) -> Option<&AudioTrack> {
        self.audio.first()
    }
}

fn has_frame(tag: &flv::Tag, main: Option<u8>) -> bool {
    let Some(main) = main else { return false };
    if !tag.is_frame() {
        return false;
    }
    match tag.has_many_tracks() {
        true => flv::tracks(tag).any(|track| track.id == main),
        false => tag.track() == main,
    }
}

impl VideoTrack {
    fn resize(&mut self, width: u32, height: u32) {
        let known = self.info.as_deref().cloned();
        let info = known.or_else(|| {
            // Without a record the codec has no more than a name.
            let fourcc = self.codec.and_then(VideoCodec::fourcc)?;
            Some(codec::VideoInfo {
                codec_string: fourcc.to_string(),
                width,
                height,
                frame_rate: None,
                nal_length_size: None,
            })
        });
        let resized = |info| codec::VideoInfo {
            width,
            height,
            ..info
        };
        self.info = info.map(resized).map(Arc::new);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
