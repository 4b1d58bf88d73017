//! What the writer of a ring knows: all that decides where a tag goes and what it is marked with.

mod publish;
mod relay;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::gop::{Gop, Next};
use super::index::{Count, Mark};
use super::play::PlayClock;
use super::stats::{Dropped, Meter, Stats};
use super::window::{Newest, Window};
use super::{Block, Description, Index, Inner, Limits};
use crate::configuration::{Configuration, Tracker};
use crate::ring::block::SLOTS;
use crate::sync::{Ordering, write};
use crate::timeline::Timeline;
use crate::{Epoch, Extra, MarkedTag, Marker};

/// What a tag costs beside its payload.
const OVERHEAD: usize = size_of::<MarkedTag>() + 16;

/// What it costs to say more than most tags do.
const EXTRA_OVERHEAD: usize = size_of::<Extra>() + 32;

/// What a configuration that is kept for joiners costs, roughly: it lists the tracks.
const CONFIGURATION_OVERHEAD: usize = 2048;

/// What is kept of the record of a track.
const TRACK_OVERHEAD: usize = 256;

/// A block is closed once it holds this part of the bytes of the ring, so that few large tags
/// are not kept because they lie beside small new ones. A block is not worth its slots, though,
/// before it holds a few kilobytes.
const BLOCK_SHARE: usize = 16;

#[derive(Debug)]
pub(super) struct Writer {
    limits: Limits,
    /// Counts those who came to write; only the newest may push.
    token: u64,
    epoch: Option<Epoch>,
    /// The number of the next tag within its epoch.
    number: u64,
    /// Whether tags are missing in front of the next.
    hole: bool,
    /// What holds behind a gap in this epoch, if the next tag should come from there.
    gap: Option<Box<Description>>,
    marker: Option<Box<dyn Marker>>,
    timeline: Timeline,
    play: PlayClock,
    tracker: Tracker,
    gop: Gop,
    window: Window,
    /// One for each block in the ring, in the same order.
    held: VecDeque<Held>,
    block: Option<Arc<Block>>,
    bytes: usize,
    tags: u64,
    bytes_in: u64,
    last_ingest: Option<i64>,
    time_jumps: u64,
    meter: Meter,
    dropped: Dropped,
}

/// What the writer knows of a block.
#[derive(Debug)]
struct Held {
    first: u64,
    tags: u64,
    bytes: usize,
    /// Time of its newest tag for players, in milliseconds.
    newest: i64,
}

impl Writer {
    pub(super) fn new(limits: Limits, configuration: Arc<Configuration>) -> Self {
        Self {
            limits,
            token: 0,
            epoch: None,
            number: 0,
            hole: false,
            gap: None,
            marker: None,
            timeline: Timeline::new(),
            play: PlayClock::default(),
            tracker: Tracker::new(configuration),
            gop: Gop::default(),
            window: Window::default(),
            held: VecDeque::new(),
            block: None,
            bytes: 0,
            tags: 0,
            bytes_in: 0,
            last_ingest: None,
            time_jumps: 0,
            meter: Meter::default(),
            dropped: Dropped::default(),
        }
    }

    pub(super) fn token(&self) -> u64 {
        self.token
    }

    /// Makes way for a new publisher; `None` if its epoch is over already.
    pub(super) fn begin(
        &mut self,
        ring: &Inner,
        epoch: Epoch,
        now: i64,
        marker: Option<Box<dyn Marker>>,
    ) -> Option<u64> {
        if self.epoch.is_some_and(|current| current > epoch) {
            return None;
        }
        self.token += 1;
        if self.epoch == Some(epoch) {
            write(&ring.index).backfilling = false;
            return Some(self.token);
        }
        if marker.is_none() {
            self.window.clear();
        }
        let configuration = self.tracker.restart(epoch);
        self.restart(ring, epoch, 0, configuration, false);
        self.marker = marker;
        self.last_ingest = Some(now);
        Some(self.token)
    }

    /// Nothing that follows belongs to what was before: another epoch begins, or tags of this one
    /// are missing. The next tag will have the number `number`.
    fn restart(
        &mut self,
        ring: &Inner,
        epoch: Epoch,
        number: u64,
        configuration: Arc<Configuration>,
        backfilling: bool,
    ) {
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.marker = None;
            self.time_jumps += self.timeline.jumps();
            self.timeline = Timeline::new();
            self.play.restart();
            self.meter.restart();
        }
        self.number = number;
        self.hole = false;
        self.gap = None;
        self.gop.restart();
        let seq = ring.head.load(Ordering::Relaxed);
        let mut index = write(&ring.index);
        index.mark = None;
        index.waits_for_keypoint = false;
        index.backfilling = backfilling;
        index.window = self.window.first();
        index.count = Some(Count { epoch, seq, number });
        index.configure(seq, configuration);
    }

    /// Stores a tag that has all its marks but those that are made here: whether it is a keypoint
    /// and what begins with it, unless `keypoint` says that they were made elsewhere.
    fn store(
        &mut self,
        ring: &Inner,
        mut marked: MarkedTag,
        time: i64,
        mut bytes: usize,
        keypoint: Option<bool>,
        configuration: Option<Arc<Configuration>>,
    ) {
        let current = self.tracker.current();
        let has_video = current.main_video().is_some();
        let picture = current.is_main_picture(&marked.tag);
        let seq = marked.seq;
        let next = Next {
            tag: &marked.tag,
            seq,
            time,
            bytes,
            has_video,
            picture,
            keypoint,
        };
        let outcome = self.gop.next(&next, &self.limits);
        marked.keypoint = keypoint.unwrap_or(outcome.keypoint);
        if keypoint.is_none()
            && let Some(marker) = &mut self.marker
            && let Some(cut) = marker.mark(&marked, self.tracker.current())
        {
            marked.extra_mut().cut = Some(cut);
        }
        if marked.extra.is_some() {
            bytes = bytes.saturating_add(EXTRA_OVERHEAD);
        }
        let segment = self.window.next(&marked, picture || !has_video);
        self.count(&marked, time, bytes, picture);

        let next_block = self.needs_block();
        let block = match &self.block {
            Some(block) if !next_block => Arc::clone(block),
            old => {
                if let Some(old) = old {
                    old.close(seq);
                }
                let block = Arc::new(Block::new(seq));
                self.block = Some(Arc::clone(&block));
                self.held.push_back(Held {
                    first: seq,
                    tags: 0,
                    bytes: 0,
                    newest: time,
                });
                block
            }
        };
        if let Some(held) = self.held.back_mut() {
            held.tags += 1;
            held.bytes = held.bytes.saturating_add(bytes);
            held.newest = held.newest.max(time);
        }

        if !next_block && !outcome.moved && !segment && configuration.is_none() {
            block.set(marked);
            ring.head.store(seq + 1, Ordering::Release);
            return;
        }
        let mut index = write(&ring.index);
        if next_block {
            index.blocks.push_back(Arc::clone(&block));
            self.evict(&mut index);
        }
        index.window = self.window.first();
        if outcome.moved {
            let current = self.tracker.current();
            index.mark = self.gop.mark().map(|mark| match &index.mark {
                Some(old) if old.seq == mark.seq => old.clone(),
                _ => Mark {
                    seq: mark.seq,
                    configuration: Arc::clone(current),
                },
            });
            index.waits_for_keypoint = self.gop.waits();
        }
        if let Some(configuration) = configuration {
            if let Some(mark) = &mut index.mark
                && let Some(corrected) = mark.configuration.corrected_by(&configuration)
            {
                mark.configuration = Arc::new(corrected);
            }
            index.configure(seq + 1, configuration);
        }
        block.set(marked);
        ring.head.store(seq + 1, Ordering::Release);
    }

    fn needs_block(&self) -> bool {
        let share = (self.limits.max_bytes / BLOCK_SHARE).max(2 * SLOTS * OVERHEAD);
        self.held
            .back()
            .is_none_or(|held| held.tags >= SLOTS as u64 || held.bytes > share)
    }

    fn count(&mut self, marked: &MarkedTag, time: i64, bytes: usize, picture: bool) {
        let len = marked.tag.payload.len();
        self.meter.count(marked.ingest, len, picture);
        if picture && marked.keypoint {
            self.meter.keyframe(time.saturating_mul(1_000_000));
        }
        self.last_ingest = Some(marked.ingest);
        self.number = self.number.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.bytes_in += len as u64;
        self.tags += 1;
    }

    /// Drops blocks from the front until the bounds hold, but none of the current GOP or of the
    /// window.
    fn evict(&mut self, index: &mut Index) {
        let newest = self.held.back().map_or(0, |held| held.newest);
        let max_age = i64::try_from(self.limits.max_duration.as_millis()).unwrap_or(i64::MAX);
        let mark = self.gop.mark().map(|mark| mark.seq);
        let window = self.window.first();
        while let (Some(front), Some(second)) = (self.held.front(), self.held.get(1)) {
            let over =
                self.bytes > self.limits.max_bytes || newest.saturating_sub(front.newest) > max_age;
            let window = window.filter(|_| self.bytes <= self.limits.max_window_bytes);
            let is_kept = |kept: Option<u64>| kept.is_some_and(|kept| kept < second.first);
            if !over || is_kept(mark) || is_kept(window) {
                break;
            }
            self.window.evict(second.first);
            self.bytes = self.bytes.saturating_sub(front.bytes);
            self.tags = self.tags.saturating_sub(front.tags);
            self.held.pop_front();
            index.evict();
        }
    }

    /// Lets players join where they can.
    pub(super) fn caught_up(&mut self, ring: &Inner) {
        write(&ring.index).backfilling = false;
    }

    pub(super) fn newest_segment(&self) -> Option<Newest> {
        self.window.newest()
    }

    pub(super) fn stats(&self, oldest: u64, head: u64) -> Stats {
        let now = self.play.now();
        let mark = self.gop.mark();
        let gop_ms = self.gop.duration(now);
        Stats {
            epoch: self.epoch,
            tags: self.tags,
            bytes: self.bytes,
            oldest,
            head,
            dropped: self.dropped,
            gop_tags: mark.map_or(0, |mark| mark.tags),
            gop_bytes: mark.map_or(0, |mark| mark.bytes),
            gop_duration: Duration::from_millis(u64::try_from(gop_ms).unwrap_or(0)),
            gops_abandoned: self.gop.abandoned,
            time_jumps: self.time_jumps + self.timeline.jumps(),
            last_ingest: self.last_ingest,
            play_ms: now as u32,
            bytes_in: self.bytes_in,
            bit_rate: self.meter.bit_rate,
            frame_rate: self.meter.frame_rate,
            keyframe_interval: self.meter.keyframe_interval,
        }
    }
}
