//! What a viewer saw.

use std::time::Duration;

use flv::Tag;
use tokio::time::Instant;

use crate::encoder::hash;

/// A tag that came: a frame, or the configuration of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Over which connection, from 1.
    pub connection: usize,
    /// When.
    pub at: Instant,
    /// Its time, in milliseconds.
    pub dts: u32,
    /// Video, else audio.
    pub is_video: bool,
    /// Whether decoding can begin with it.
    pub is_keyframe: bool,
    /// Whether it is the configuration of a decoder.
    pub is_configuration: bool,
    /// Of the payload, as in [`Sent`](crate::Sent).
    pub hash: u64,
}

/// What a viewer saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Frames and configurations, in their order.
    pub frames: Vec<Frame>,
    /// Statuses that came, by their codes (`ended` for the end of the stream), and when.
    pub statuses: Vec<(Instant, String)>,
    /// When it connected, each time.
    pub connected: Vec<Instant>,
    /// When a connection was closed or failed, and why.
    pub closes: Vec<(Instant, String)>,
    /// How often the server asked for another connection.
    pub requests: usize,
    /// From connecting to the first keyframe, for each connection that got that far.
    pub joins: Vec<Duration>,
}

impl Seen {
    pub(super) fn connects(&mut self) {
        self.connected.push(Instant::now());
    }

    pub(super) fn closed(&mut self, why: String) {
        self.closes.push((Instant::now(), why));
    }

    pub(super) fn status(&mut self, code: String) {
        self.statuses.push((Instant::now(), code));
    }

    pub(super) fn tag(&mut self, tag: &Tag) {
        if !(tag.is_frame() || tag.is_configuration()) {
            return;
        }
        let frame = Frame {
            connection: self.connected.len(),
            at: Instant::now(),
            dts: tag.dts,
            is_video: tag.is_video(),
            is_keyframe: tag.is_keyframe() && tag.is_frame(),
            is_configuration: tag.is_configuration(),
            hash: hash(&tag.payload),
        };
        if frame.is_keyframe && self.joins.len() < frame.connection {
            let since = self.connected.last().copied().unwrap_or(frame.at);
            // One that left before a keyframe has none.
            self.joins.push(frame.at - since);
        }
        self.frames.push(frame);
    }

    /// Frames alone, without configurations.
    pub fn media(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|frame| !frame.is_configuration)
    }

    /// The hashes of all video or all audio frames.
    pub fn hashes(&self, video: bool) -> Vec<u64> {
        let of_kind = self.media().filter(|frame| frame.is_video == video);
        of_kind.map(|frame| frame.hash).collect()
    }

    /// The longest time from one frame to the next, at or after `since`.
    pub fn longest_gap(&self, since: Instant) -> Duration {
        let times = self.media().map(|frame| frame.at);
        let times: Vec<_> = times.filter(|&at| at >= since).collect();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }

    /// The first pair of frames of a kind whose times go backwards within one connection.
    pub fn backwards(&self) -> Option<(Frame, Frame)> {
        [true, false].into_iter().find_map(|video| {
            let of_kind: Vec<_> = self
                .media()
                .filter(|frame| frame.is_video == video)
                .collect();
            let pair = of_kind.windows(2).find(|pair| {
                pair[0].connection == pair[1].connection && pair[1].dts < pair[0].dts
            })?;
            Some((*pair[0], *pair[1]))
        })
    }

    /// In a sentence, for a test that fails.
    pub fn summary(&self) -> String {
        format!(
            "saw {} frames over {} connections, statuses {:?}, closes {:?}",
            self.frames.len(),
            self.connected.len(),
            self.statuses
                .iter()
                .map(|(_, code)| code)
                .collect::<Vec<_>>(),
            self.closes.iter().map(|(_, why)| why).collect::<Vec<_>>(),
        )
    }
}

#[cfg(test)]
mod tests {
    use flv::Kind;

    use super::*;

    fn video(dts: u32, keyframe: bool) -> Tag {
        let first = if keyframe { 0x17 } else { 0x27 };
        Tag::new(Kind::Video, dts, vec![first, 1, 0, 0, 0, 9].into())
    }

    #[test]
    fn times_that_go_backwards_show_unless_the_connection_is_another() {
        let mut seen = Seen::default();
        seen.connects();
        seen.tag(&video(0, true));
        seen.tag(&video(40, false));
        seen.closed("broken".to_owned());
        seen.connects();
        seen.tag(&video(0, true));
        assert_eq!(seen.backwards(), None);
        assert_eq!(seen.joins.len(), 2);
        assert_eq!(seen.frames[2].connection, 2);
        seen.tag(&video(80, false));
        seen.tag(&video(79, false));
        let (before, after) = seen.backwards().expect("a step back");
        assert_eq!((before.dts, after.dts), (80, 79));
    }
}
