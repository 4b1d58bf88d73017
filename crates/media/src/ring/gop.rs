//! Where a joiner may start.

use flv::Tag;

use super::Limits;

/// How often the mark moves on in a stream of audio alone, in milliseconds: a joiner then gets
/// about so much sound to begin with.
const AUDIO_MARK_MS: i64 = 1000;

/// Follows the stream from keypoint to keypoint.
#[derive(Debug, Default)]
pub(super) struct Gop {
    mark: Option<Open>,
    /// The time of the newest picture of the main video track, or of the first frame of any
    /// kind since that track was announced.
    picture: Option<i64>,
    /// Whether a joiner who finds no mark has to wait for a keypoint.
    waits: bool,
    pub(super) abandoned: u64,
}

/// What came since the mark, itself included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) seq: u64,
    /// Whether a picture set it, or audio alone.
    video: bool,
    /// Time of the tag at the mark, in milliseconds.
    since: i64,
    pub(super) tags: u64,
    pub(super) bytes: usize,
}

/// What a tag is to joiners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// A joiner may start here.
    pub(super) keypoint: bool,
    /// The mark moved here, or fell; or joiners have to wait, or no longer.
    pub(super) moved: bool,
}

/// A tag about to be stored, as far as it matters here.
pub(super) struct Next<'a> {
    pub(super) tag: &'a Tag,
    pub(super) seq: u64,
    /// Its time for players, in milliseconds.
    pub(super) time: i64,
    pub(super) bytes: usize,
    /// Whether the stream has video.
    pub(super) has_video: bool,
    /// Whether this is a picture of the track whose keyframes count.
    pub(super) picture: bool,
    /// Whether it is a keypoint, where another node has decided that. This one may not have seen
    /// all that the decision was made from.
    pub(super) keypoint: Option<bool>,
}

impl Gop {
    /// A new publish: what the last one left is of no use to a joiner.
    pub(super) fn restart(&mut self) {
        *self = Self {
            abandoned: self.abandoned,
            ..Self::default()
        };
    }

    pub(super) fn mark(&self) -> Option<&Open> {
        self.mark.as_ref()
    }

    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    pub(super) fn next(&mut self, next: &Next<'_>, limits: &Limits) -> Outcome {
        let before = (self.mark.map(|mark| mark.seq), self.waits);
        let keypoint = self.follow(next, limits);
        if let Some(mark) = &mut self.mark {
            mark.tags += 1;
            mark.bytes = mark.bytes.saturating_add(next.bytes);
            if mark.bytes > limits.max_gop_bytes {
                self.mark = None;
                self.abandoned += 1;
            }
        }
        let waits_for_picture = next.has_video && !self.is_silent(next.time, limits);
        self.waits = self.mark.is_none() && waits_for_picture;
        let after = (self.mark.map(|mark| mark.seq), self.waits);
        Outcome {
            keypoint,
            moved: before != after,
        }
    }

    /// Moves or drops the mark; returns whether the tag is a keypoint.
    fn follow(&mut self, next: &Next<'_>, limits: &Limits) -> bool {
        if next.has_video && self.picture.is_none() {
            // The stream has video from here on: sound alone is no place to start any more. The
            // record itself comes with time 0 or something made up.
            self.picture = next.tag.is_frame().then_some(next.time);
            self.drop_audio_mark();
        }
        if next.picture {
            self.picture = Some(next.time);
            if next.keypoint.unwrap_or(next.tag.is_keyframe()) {
                self.open(next, true);
                return true;
            }
            // Pictures went on in mid-GOP after a silence: only the next keyframe helps.
            self.drop_audio_mark();
        } else if next.tag.is_audio() && next.tag.is_frame() {
            let alone = next
                .keypoint
                .unwrap_or(!next.has_video || self.is_silent(next.time, limits));
            if alone {
                let old = self.mark.is_none_or(|mark| {
                    mark.video || next.time.saturating_sub(mark.since) >= AUDIO_MARK_MS
                });
                if old {
                    self.open(next, false);
                }
                return true;
            }
        }
        false
    }

    fn open(&mut self, next: &Next<'_>, video: bool) {
        self.mark = Some(Open {
            seq: next.seq,
            video,
            since: next.time,
            tags: 0,
            bytes: 0,
        });
    }

    fn drop_audio_mark(&mut self) {
        self.mark = self.mark.filter(|mark| mark.video);
    }

    fn is_silent(&self, now: i64, limits: &Limits) -> bool {
        let silence = i64::try_from(limits.video_silence.as_millis()).unwrap_or(i64::MAX);
        self.picture
            .is_some_and(|picture| now.saturating_sub(picture) > silence)
    }

    /// Time from the mark to `now`, in milliseconds.
    pub(super) fn duration(&self, now: i64) -> i64 {
        self.mark.map_or(0, |mark| now.saturating_sub(mark.since))
    }
}
