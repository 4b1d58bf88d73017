//! What metadata tells, kept true.

use bytes::Bytes;
use codec::{AudioCodec, VideoCodec};
use flv::metadata::Known;
use flv::{Kind, Metadata, Tag};

use crate::configuration::{Configuration, metadata};

/// A track of which metadata tells and that has not come so long after the first frame, in
/// milliseconds, counts as missing. Players that are told of it wait far longer, and take one
/// that comes after all nearly as well.
const PATIENCE_MS: i32 = 1_000;

/// How often one metadata is compared with the tracks: each time costs as much as reading it.
const MAX_COMPARISONS: u8 = 8;

/// A correction is about as long as what was sent. What grows beyond has more in it than was
/// spelled out, and goes on as it is.
const MAX_GROWTH: usize = 4;

/// The metadata of one publish: as the encoder sent it, and as players get it.
#[derive(Debug, Default)]
pub(super) struct Told {
    sent: Option<Bytes>,
    /// What players get, where that is something else.
    corrected: Option<Bytes>,
    /// The tracks that it was compared with.
    known: Tracks,
    comparisons: u8,
    /// The timestamp of the first frame.
    first: Option<u32>,
    /// Whether a track that has not come yet counts as missing.
    settled: bool,
}

/// What is known of the tracks of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tracks {
    video: Known<VideoCodec>,
    audio: Known<AudioCodec>,
}

impl Default for Tracks {
    fn default() -> Self {
        Self {
            video: Known::Nothing,
            audio: Known::Nothing,
        }
    }
}

impl Told {
    /// Whether an encoder sends this again.
    pub(super) fn holds(&self, payload: &Bytes) -> bool {
        self.sent.as_ref() == Some(payload)
    }

    /// What players get.
    pub(super) fn payload(&self) -> Option<&Bytes> {
        self.corrected.as_ref().or(self.sent.as_ref())
    }

    /// An encoder sends this, which says `values`. The tag that players get.
    pub(super) fn tell(&mut self, tag: Tag, values: &Metadata, now: &Configuration) -> Tag {
        // A copy: it may live as long as the stream and must not pin a receive buffer.
        self.sent = Some(Bytes::copy_from_slice(&tag.payload));
        self.comparisons = 0;
        self.known = self.tracks(now);
        self.corrected = self.correction(values);
        match &self.corrected {
            Some(payload) => Tag::new(Kind::Data, tag.dts, payload.clone()),
            None => tag,
        }
    }

    /// It holds no longer.
    pub(super) fn forget(&mut self) {
        (self.sent, self.corrected) = (None, None);
    }

    /// Follows the tracks of the stream.
    pub(super) fn compare(&mut self, now: &Configuration) {
        let known = self.tracks(now);
        if known == self.known || self.comparisons >= MAX_COMPARISONS {
            return;
        }
        let Some(sent) = &self.sent else { return };
        self.comparisons += 1;
        if let Some(values) = metadata(&Tag::new(Kind::Data, 0, sent.clone())) {
            self.known = known;
            self.corrected = self.correction(&values);
        }
    }

    /// A frame comes in. Whether what is told has changed by that: the time is up for tracks
    /// that have not come.
    pub(super) fn frame(&mut self, dts: u32, now: &Configuration) -> bool {
        if self.settled {
            return false;
        }
        let first = *self.first.get_or_insert(dts);
        if (dts.wrapping_sub(first) as i32) < PATIENCE_MS {
            return false;
        }
        self.settled = true;
        let before = self.corrected.clone();
        self.compare(now);
        self.corrected != before
    }

    fn correction(&self, values: &Metadata) -> Option<Bytes> {
        let corrected = values.corrected(self.known.video, self.known.audio)?;
        let payload = corrected.to_tag(0).payload;
        let sent = self.sent.as_ref().map_or(0, Bytes::len);
        (payload.len() <= MAX_GROWTH * sent).then_some(payload)
    }

    fn tracks(&self, now: &Configuration) -> Tracks {
        let missing = self.settled;
        Tracks {
            video: known(now.main_video().map(|track| track.codec), missing),
            audio: known(now.main_audio().map(|track| track.codec), missing),
        }
    }
}

fn known<C>(codec: Option<Option<C>>, missing: bool) -> Known<C> {
    match codec {
        Some(codec) => Known::Present(codec),
        None if missing => Known::Absent,
        None => Known::Nothing,
    }
}
