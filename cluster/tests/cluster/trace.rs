//! Who sent what a viewer saw.

use std::collections::HashMap;

use weir_cluster::{Encoder, Frame, Seen, Viewer};

/// All that some encoders sent. They must have [stamped](weir_cluster::EncoderOptions::stamped) it.
pub(crate) struct Trace(HashMap<u64, Origin>);

/// Where a frame comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    encoder: usize,
    session: usize,
    /// Its number in that publish, from 0.
    number: usize,
}

/// Frames of one publish that a viewer saw one after the other: none was missing, none came twice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// The number of the encoder, from 0, and of its publish, from 1.
    pub(crate) publish: (usize, usize),
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) start: Frame,
    pub(crate) end: Frame,
}

impl Trace {
    /// What these have sent so far. To be made after what the viewers saw was looked at.
    pub(crate) fn of(encoders: &[&Encoder]) -> Self {
        let mut all = HashMap::new();
        for (encoder, from) in encoders.iter().enumerate() {
            let (mut session, mut number) = (0, 0);
            for sent in from.sent() {
                if sent.session != session {
                    (session, number) = (sent.session, 0);
                }
                let origin = Origin {
                    encoder,
                    session,
                    number,
                };
                let before = all.insert(sent.hash, origin);
                assert_eq!(before, None, "a frame was sent twice");
                number += 1;
            }
        }
        Self(all)
    }

    /// What somebody saw, publish by publish.
    ///
    /// # Panics
    /// When within a publish a frame is missing or came twice, or something was never sent; when a
    /// run does not begin with a keyframe; when times go backwards.
    pub(crate) fn runs(&self, who: &str, seen: &Seen) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for &frame in seen.media() {
            let origin = self.0.get(&frame.hash);
            let origin = *origin.unwrap_or_else(|| panic!("{who}: nobody sent {frame:?}"));
            let publish = (origin.encoder, origin.session);
            match runs.last_mut().filter(|run| run.publish == publish) {
                Some(run) => {
                    let (expected, came) = (run.last + 1, origin.number);
                    assert_eq!(
                        came,
                        expected,
                        "{who}: {frame:?} of {publish:?} after {runs:?}; {}",
                        seen.summary()
                    );
                    (run.last, run.end) = (came, frame);
                }
                None => runs.push(Run {
                    publish,
                    first: origin.number,
                    last: origin.number,
                    start: frame,
                    end: frame,
                }),
            }
        }
        assert_eq!(seen.backwards(), None, "{who}");
        runs
    }
}

/// The publishes that a viewer saw, one after the other; it was left in peace over all of them.
pub(crate) fn publishes(who: &str, viewer: &Viewer, encoders: &[&Encoder]) -> Vec<(usize, usize)> {
    let seen = viewer.seen();
    undisturbed(who, &seen);
    let runs = Trace::of(encoders).runs(who, &seen);
    runs.iter().map(|run| run.publish).collect()
}

/// Its connection was neither closed nor made anew, and nobody told it of an end.
pub(crate) fn undisturbed(who: &str, seen: &Seen) {
    let is_end = |code: &String| code == "ended" || code.contains("UnpublishNotify");
    let ends = seen.statuses.iter().filter(|(_, code)| is_end(code));
    assert_eq!(ends.count(), 0, "{who}: {}", seen.summary());
    assert_eq!(seen.closes.len(), 0, "{who}: {}", seen.summary());
    assert_eq!(seen.connected.len(), 1, "{who}: {}", seen.summary());
    assert_eq!(seen.requests, 0, "{who}: {}", seen.summary());
}
