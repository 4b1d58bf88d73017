//! What comes from an encoder: its time is made fine, and it gets its marks.

use bytes::Bytes;
use codec::AudioCodec;
use flv::{Info, Kind, Tag};

use super::{CONFIGURATION_OVERHEAD, OVERHEAD, TRACK_OVERHEAD, Writer};
use crate::MarkedTag;
use crate::configuration::{Change, Verdict};
use crate::ring::Inner;
use crate::ring::publisher::Pushed;
use crate::sync::Ordering;
use crate::timeline::{Arrival, Samples, frame_rate_from_number};

impl Writer {
    pub(in crate::ring) fn push(&mut self, ring: &Inner, tag: Tag, ingest: i64) -> Pushed {
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

        let mut bytes = tag.payload.len().saturating_add(cost);
        let changes = u32::from(change.is_some());
        let mut marked = MarkedTag {
            seq,
            epoch: self.epoch.unwrap_or_default(),
            number: self.number,
            time: stamp.time,
            composition: stamp.composition,
            ingest,
            came: ingest,
            version: self.tracker.current().version.wrapping_add(changes),
            keypoint: false,
            repeat,
            shift,
            extra: None,
            wire: Default::default(),
            tag,
        };
        let configuration = change.map(|change| {
            let (configuration, metadata) = self.tracker.apply(change, &marked);
            if let Some(metadata) = metadata {
                // Kept as long as the configuration, beside what the encoder sent.
                bytes = bytes.saturating_add(metadata.len());
                marked.extra_mut().metadata = Some(metadata);
            }
            configuration
        });
        let time = stamp.ms + shift;
        self.store(ring, marked, time, bytes, None, configuration);
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
