//! What the publisher knows: all that decides where a tag goes and what it is marked with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use codec::AudioCodec;
use flv::{Info, Kind, Tag};

use super::gop::{self, Gop, Next};
use super::publisher::Pushed;
use super::stats::{Dropped, Meter, Stats};
use super::{Block, Index, Inner, Limits, Mark};
use crate::configuration::{Change, Configuration, Tracker, Verdict};
use crate::ring::block::SLOTS;
use crate::sync::{Ordering, write};
use crate::timeline::{
    Arrival, MAX_COMPOSITION_MS, Samples, Stamp, Timeline, frame_rate_from_number,
};
use crate::{Epoch, MarkedTag};

/// What a tag costs beside its payload.
const OVERHEAD: usize = size_of::<MarkedTag>() + 16;

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
    /// Counts the publishers; only the newest may push.
    token: u64,
    epoch: Option<Epoch>,
    timeline: Timeline,
    play: PlayClock,
    tracker: Tracker,
    gop: Gop,
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

/// Places the time of each epoch behind that of the one before.
#[derive(Debug, Default)]
struct PlayClock {
    /// Of this epoch; `None` before its first frame.
    shift: Option<i64>,
    /// The highest time given to a frame, and when that frame came in.
    last: Option<(i64, i64)>,
    /// The highest time at which a frame is presented.
    shown: i64,
}

/// A clock that was set must not send players into next year.
const MAX_GAP_MS: i64 = 3_600_000;

impl PlayClock {
    /// The shift for a tag at `ms` of its epoch, presented `composition` later.
    fn shift(&mut self, ms: i64, composition: i64, drives: bool, ingest: i64) -> i64 {
        let shift = match (self.shift, self.last) {
            (Some(shift), _) => shift,
            (None, None) => 0,
            // Configuration in front of the first frame of an epoch.
            (None, Some((last, _))) if !drives => last - ms,
            (None, Some((last, then))) => {
                let gap = (ingest.saturating_sub(then) / 1_000_000).clamp(1, MAX_GAP_MS);
                // Pictures that were sent before the others they are shown after: time must not
                // step back for who shows them either.
                (last + gap).max(self.shown + 1) - ms
            }
        };
        if drives {
            self.shift = Some(shift);
            let shown = ms + shift + composition.min(MAX_COMPOSITION_MS);
            self.shown = self.shown.max(shown);
            let highest = self.last.map_or(i64::MIN, |(last, _)| last).max(ms + shift);
            self.last = Some((highest, ingest));
        }
        shift
    }
}

impl Writer {
    pub(super) fn new(limits: Limits, configuration: Arc<Configuration>) -> Self {
        Self {
            limits,
            token: 0,
            epoch: None,
            timeline: Timeline::new(),
            play: PlayClock::default(),
            tracker: Tracker::new(configuration),
            gop: Gop::default(),
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
    pub(super) fn begin(&mut self, ring: &Inner, epoch: Epoch, now: i64) -> Option<u64> {
        if self.epoch.is_some_and(|current| current > epoch) {
            return None;
        }
        self.token += 1;
        if self.epoch == Some(epoch) {
            return Some(self.token);
        }
        self.epoch = Some(epoch);
        self.time_jumps += self.timeline.jumps();
        self.timeline = Timeline::new();
        self.play.shift = None;
        self.gop.restart();
        self.meter.restart();
        self.last_ingest = Some(now);
        let configuration = self.tracker.restart(epoch);
        let mut index = write(&ring.index);
        index.mark = None;
        index.waits_for_keypoint = false;
        index.configure(ring.head.load(Ordering::Relaxed), configuration);
        Some(self.token)
    }

    pub(super) fn push(&mut self, ring: &Inner, tag: Tag, ingest: i64) -> Pushed {
        let (tag, change) = match self.tracker.check(tag, &self.limits) {
            Verdict::Pass(tag) => (tag, None),
            Verdict::Change(tag, change) => (tag, Some(change)),
            Verdict::Refuse(reason) => {
                self.dropped.count(reason);
                return Pushed::Dropped(reason);
            }
        };
        let repeat = change.is_none() && self.tracker.is_configuration(&tag);
        let mut tag = tag;
        let mut cost = OVERHEAD;
        if let Some(change) = &change {
            self.teach(change);
            cost += CONFIGURATION_OVERHEAD + change.tracks() * TRACK_OVERHEAD;
            if !tag.is_frame() {
                // A copy, shared by the ring and the configuration: it may live as long as the
                // stream and must not pin a receive buffer.
                tag = Tag::new(tag.kind, tag.dts, Bytes::copy_from_slice(&tag.payload));
            }
        }
        let drives = tag.is_frame();
        let stamp = self.timeline.stamp(&arrival(&tag, drives, ingest));
        let tag = tag.with_dts(stamp.ms as u32);
        let composition = i64::from(tag.composition());
        let shift = self.play.shift(stamp.ms, composition, drives, ingest);
        let seq = ring.head.load(Ordering::Relaxed);

        let bytes = tag.payload.len().saturating_add(cost);
        let marked = MarkedTag {
            seq,
            epoch: self.epoch.unwrap_or_default(),
            time: stamp.time,
            composition: stamp.composition,
            ingest,
            version: self.tracker.current().version + u32::from(change.is_some()),
            keypoint: false,
            repeat,
            shift,
            wire: Default::default(),
            tag,
        };
        let configuration = change.map(|change| self.tracker.apply(change, &marked));
        self.store(ring, marked, stamp, bytes, configuration);
        Pushed::Stored(seq)
    }

    /// Tells the timeline what a change says about the tracks.
    fn teach(&mut self, change: &Change) {
        for track in &change.audio {
            if let Some(info) = &track.info {
                self.timeline
                    .audio(track.track, info.sample_rate, info.samples_per_frame);
            }
        }
        let current = self.tracker.current();
        let said = change.frame_rate().unwrap_or(self.tracker.frame_rate());
        let said = said.and_then(frame_rate_from_number);
        let told = change.frame_rate().is_some();
        let known = current.video.iter().filter(|_| told);
        for track in known.chain(&change.video) {
            let own = track.info.as_ref().and_then(|info| info.frame_rate);
            self.timeline.video(track.track, own.or(said));
        }
    }

    fn store(
        &mut self,
        ring: &Inner,
        mut marked: MarkedTag,
        stamp: Stamp,
        bytes: usize,
        configuration: Option<Arc<Configuration>>,
    ) {
        let time = stamp.ms + marked.shift;
        let main_video = self.tracker.current().main_video().map(|track| track.track);
        let seq = marked.seq;
        let next = Next {
            tag: &marked.tag,
            seq,
            time,
            bytes,
            main_video,
        };
        let outcome = self.gop.next(&next, &self.limits);
        marked.keypoint = outcome.keypoint;
        self.count(&marked, time, bytes, main_video);

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

        if !next_block && !outcome.moved && configuration.is_none() {
            block.set(marked);
            ring.head.store(seq + 1, Ordering::Release);
            return;
        }
        let mut index = write(&ring.index);
        if next_block {
            index.blocks.push_back(Arc::clone(&block));
            self.evict(&mut index);
        }
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

    fn count(&mut self, marked: &MarkedTag, time: i64, bytes: usize, main_video: Option<u8>) {
        let len = marked.tag.payload.len();
        let picture = gop::is_picture(&marked.tag, main_video);
        self.meter.count(marked.ingest, len, picture);
        if picture && marked.keypoint {
            self.meter.keyframe(time.saturating_mul(1_000_000));
        }
        self.last_ingest = Some(marked.ingest);
        self.bytes = self.bytes.saturating_add(bytes);
        self.bytes_in += len as u64;
        self.tags += 1;
    }

    /// Drops blocks from the front until the bounds hold, but none of the current GOP.
    fn evict(&mut self, index: &mut Index) {
        let newest = self.held.back().map_or(0, |held| held.newest);
        let max_age = i64::try_from(self.limits.max_duration.as_millis()).unwrap_or(i64::MAX);
        let mark = self.gop.mark().map(|mark| mark.seq);
        while let (Some(front), Some(second)) = (self.held.front(), self.held.get(1)) {
            let over =
                self.bytes > self.limits.max_bytes || newest.saturating_sub(front.newest) > max_age;
            if !over || mark.is_some_and(|mark| mark < second.first) {
                break;
            }
            self.bytes = self.bytes.saturating_sub(front.bytes);
            self.tags = self.tags.saturating_sub(front.tags);
            self.held.pop_front();
            index.evict();
        }
    }

    pub(super) fn stats(&self, oldest: u64, head: u64) -> Stats {
        let now = self.play.last.map_or(0, |(last, _)| last);
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

/// What the timeline needs to know of a tag.
fn arrival(tag: &Tag, drives: bool, ingest: i64) -> Arrival {
    let samples = match *tag.info() {
        Info::Audio(audio) if drives => audio.codec.and_then(|codec| samples(codec, tag)),
        _ => None,
    };
    Arrival {
        kind: tag.kind,
        track: tag.track(),
        drives: drives && tag.kind != Kind::Data,
        dts: tag.dts,
        nano_offset: tag.nano_offset(),
        composition: tag.composition(),
        samples,
        ingest,
    }
}

/// The length of an audio packet in a codec whose packets tell it.
fn samples(codec: AudioCodec, tag: &Tag) -> Option<Samples> {
    match codec {
        AudioCodec::Opus => codec::opus::packet_samples(&tag.body()).map(|count| Samples {
            count,
            rate: codec::opus::SAMPLE_RATE,
        }),
        AudioCodec::Mp3 => codec::mp3::header(&tag.body()).map(|header| Samples {
            count: header.samples,
            rate: header.sample_rate,
        }),
        _ => None,
    }
}
