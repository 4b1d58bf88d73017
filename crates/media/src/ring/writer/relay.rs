//! What comes from another node: it has its time and its marks.

use std::sync::Arc;

use bytes::Bytes;
use flv::Tag;

use super::{CONFIGURATION_OVERHEAD, OVERHEAD, TRACK_OVERHEAD, Writer};
use crate::ring::Inner;
use crate::ring::replica::{Description, Relayed};
use crate::sync::{Ordering, read};
use crate::timeline::near;
use crate::{Epoch, MarkedTag};

impl Writer {
    /// Makes way for a replica; `None` if its epoch is over already.
    pub(in crate::ring) fn describe(
        &mut self,
        ring: &Inner,
        description: Description,
    ) -> Option<u64> {
        let epoch = description.epoch;
        if self.epoch.is_some_and(|current| current > epoch) {
            return None;
        }
        self.token += 1;
        let seq = ring.head.load(Ordering::Relaxed);
        let count = read(&ring.index).count;
        let has_tags = count.is_some_and(|count| count.epoch == epoch && count.seq < seq);
        if !has_tags {
            let hole = seq > 0 && description.number > 0;
            self.adopt(ring, description, hole);
        } else if description.number <= self.number {
            // It goes on where the last pull broke, or tells again what is known.
            self.gap = None;
        } else {
            self.gap = Some(Box::new(description));
        }
        Some(self.token)
    }

    /// Goes on as described, with nothing of what was before.
    fn adopt(&mut self, ring: &Inner, description: Description, hole: bool) {
        let epoch = description.epoch;
        if !description.cuts {
            self.window.clear();
        } else if hole {
            self.window.tear();
        }
        let seq = ring.head.load(Ordering::Relaxed);
        let tags = description.tags.into_iter();
        let tags = tags.map(|tag| Arc::new(marked(owned(tag), seq, epoch)));
        let configuration = self.tracker.describe(
            epoch,
            description.version,
            tags.collect(),
            description.video,
            description.audio,
        );
        self.restart(ring, epoch, description.number, configuration, true);
        self.hole = hole;
    }

    /// Stores what came, unless it is there already.
    pub(in crate::ring) fn relay(&mut self, ring: &Inner, relayed: Relayed) -> Option<u64> {
        if let Some(description) = self.gap.take() {
            self.adopt(ring, *description, true);
        }
        if relayed.number < self.number {
            return None;
        }
        let mut cost = OVERHEAD;
        let mut relayed = relayed;
        let change = self.tracker.follow(&relayed);
        if let Some(change) = &change {
            cost += CONFIGURATION_OVERHEAD + change.tracks() * TRACK_OVERHEAD;
            if !relayed.tag.is_frame() {
                relayed = owned(relayed);
            }
        }
        let seq = ring.head.load(Ordering::Relaxed);
        let epoch = self.epoch.unwrap_or_default();
        let mut marked = marked(relayed, seq, epoch);
        if std::mem::take(&mut self.hole) {
            marked.extra_mut().hole = true;
        }
        let ms = near(marked.time, marked.tag.dts);
        let composition = i64::from(marked.tag.composition());
        let drives = marked.tag.is_frame();
        marked.shift = self.play.shift(ms, composition, drives, marked.ingest);

        let metadata = marked.extra.as_ref().and_then(|it| it.metadata.as_ref());
        cost += metadata.map_or(0, Bytes::len);
        let bytes = marked.tag.payload.len().saturating_add(cost);
        let configuration = change.map(|change| self.tracker.apply(change, &marked).0);
        let time = ms + marked.shift;
        let keypoint = Some(marked.keypoint);
        self.store(ring, marked, time, bytes, keypoint, configuration);
        Some(seq)
    }
}

/// The same with a payload of its own: it may live as long as the stream and must not pin a
/// receive buffer.
fn owned(relayed: Relayed) -> Relayed {
    let old = relayed.tag;
    let payload = Bytes::copy_from_slice(&old.payload);
    let tag = Tag::new(old.kind, old.dts, payload);
    Relayed { tag, ..relayed }
}

fn marked(mut relayed: Relayed, seq: u64, epoch: Epoch) -> MarkedTag {
    MarkedTag {
        seq,
        epoch,
        number: relayed.number,
        time: relayed.time,
        composition: relayed.composition,
        ingest: relayed.ingest,
        came: relayed.came.max(relayed.ingest),
        version: relayed.version,
        keypoint: relayed.keypoint,
        repeat: relayed.repeat,
        shift: 0,
        extra: relayed.extra(),
        wire: Default::default(),
        tag: relayed.tag,
    }
}
