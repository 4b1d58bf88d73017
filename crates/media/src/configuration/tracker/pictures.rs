//! Where pictures begin, and how large they are.

use bytes::Bytes;
use codec::VideoCodec;
use flv::{Codec, Tag};

use super::{Change, Tracker, codec};
use crate::VideoTrack;
use crate::ring::DropReason;

impl Tracker {
    /// Keyframes of one codec are of no use to another.
    pub(super) fn begin_anew(&mut self, change: Option<&Change>) {
        for track in change.iter().flat_map(|change| &change.video) {
            let codec = track.codec.map(Codec::Video);
            if self.codec(track.track, true) != Some(codec) {
                self.keyed.remove(track.track);
            }
        }
    }

    /// Pictures that begin in mid-GOP are of use to nobody, and decoders take them badly: each
    /// video track begins with a keyframe in each epoch.
    pub(super) fn check_keyframe(&mut self, tag: &Tag) -> Result<(), DropReason> {
        if !tag.is_video() || !tag.is_frame() {
            return Ok(());
        }
        if !tag.has_many_tracks() {
            if tag.is_keyframe() {
                self.keyed.insert(tag.track());
            } else if begins_with_keyframe(codec(tag)) && !self.keyed.contains(tag.track()) {
                return Err(DropReason::NoKeyframe);
            }
            return Ok(());
        }
        // Again it passes if one of its tracks can be decoded.
        let mut result = Err(DropReason::NoKeyframe);
        for track in flv::tracks(tag) {
            if tag.is_keyframe() {
                self.keyed.insert(track.id);
            }
            if !begins_with_keyframe(track.codec) || self.keyed.contains(track.id) {
                result = Ok(());
            }
        }
        result
    }

    /// The records of some codecs tell no size: it stands in each keyframe.
    pub(super) fn check_size(&self, tag: &Tag, change: &mut Option<Change>) {
        if !tag.is_keyframe() {
            return;
        }
        if tag.has_many_tracks() {
            for track in flv::tracks(tag) {
                self.measure(track.id, track.codec, || track.body, change);
            }
        } else {
            self.measure(tag.track(), codec(tag), || tag.body(), change);
        }
    }

    fn measure(
        &self,
        id: u8,
        codec: Option<Codec>,
        keyframe: impl FnOnce() -> Bytes,
        change: &mut Option<Change>,
    ) {
        use VideoCodec::{Av1, Vp8, Vp9};
        let Some(Codec::Video(codec @ (Vp8 | Vp9 | Av1))) = codec else {
            return;
        };
        let is_it = |track: &&VideoTrack| track.track == id;
        let of_codec = |track: &&VideoTrack| track.codec == Some(codec);
        let known = self.current.video.iter().find(is_it).filter(of_codec);
        if known.is_none() && change.iter().flat_map(|it| &it.video).find(is_it).is_none() {
            return; // Refused, beside others that were not.
        }
        let info = known.and_then(|track| track.info.as_deref());
        let known = info.map_or((0, 0), |info| (info.width, info.height));
        if codec == Av1 && known != (0, 0) {
            return; // Only where the sequence header was left out of the record.
        }
        if let Some(size) = codec::keyframe_size(codec, &keyframe())
            && size != known
        {
            let change = change.get_or_insert_default();
            change.resized.push((id, size.0, size.1));
        }
    }
}

/// Whether a decoder gets nowhere before the first keyframe. The older codecs may refresh the
/// picture bit by bit, and of those we do not know we know nothing.
fn begins_with_keyframe(codec: Option<Codec>) -> bool {
    let Some(Codec::Video(codec)) = codec else {
        return false;
    };
    codec.needs_configuration() || matches!(codec, VideoCodec::Vp8 | VideoCodec::Vp9)
}
