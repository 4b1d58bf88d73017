//! A publish that begins: its numbers, and what the directory and other nodes are told of it.

use std::sync::Arc;

use directory::{Fingerprint, StreamRecord, StreamState, UpdateError};
use futures::FutureExt;
use media::Epoch;
use ractor::ActorRef;
use relay::About;
use tracing::info;

use super::measured::Measured;
use super::publishing::{Current, PROTOCOL};
use super::{Leave, Message, Phase, PublishReply, PublishRequest, Published, State, claiming};
use crate::config::forms::name_of;
use crate::peer::Peer;

impl State {
    /// Begins another epoch of a key that this node has. Who published it until now adds nothing any more.
    pub(super) fn renumber(
        &mut self,
        myself: &ActorRef<Message>,
        identity: Option<Fingerprint>,
    ) -> Option<hls::Numbering> {
        let mut record = self.record.take()?;
        let (context, now) = (&self.context, self.context.clock.now());
        if let Some((epoch, _)) = self.ring.next_number() {
            // Nothing is added any more: what goes on behind the newest segment knows which that is.
            drop(self.ring.begin(epoch, now));
        }
        let newest = self.ring.newest_segment();
        let cuts = context.config.hls.cutting();
        let numbering = match (&newest, &cuts) {
            (Some(newest), Some(cuts)) => hls::Numbering::carry_on(newest, cuts),
            _ => hls::Numbering::after_crash(context.numbers.last(&self.key), now),
        };
        record.epoch = context.membership.next_epoch(self.highest());
        record.identity = identity;
        record.state = StreamState::Live;
        record.since = context.clock.unix_millis();
        record.numbering = claiming::written(&numbering);
        self.record = Some(record);
        self.tell_directory(myself);
        Some(numbering)
    }

    /// So that whoever publishes it next, wherever that is, begins behind these.
    pub(super) fn outruns(
        &mut self,
        myself: &ActorRef<Message>,
        epoch: Epoch,
        numbers: hls::LastKnown,
    ) {
        let is_here = matches!(self.phase, Phase::Live(_) | Phase::Grace);
        let Some(record) = self
            .record
            .as_mut()
            .filter(|it| is_here && it.epoch == epoch)
        else {
            return;
        };
        let told = &mut record.numbering;
        told.media_sequence = told.media_sequence.max(numbers.msn);
        told.discontinuity_sequence = told.discontinuity_sequence.max(numbers.discontinuity);
        self.tell_directory(myself);
    }

    /// Says in the directory what the record says, in the order in which it changes.
    pub(super) fn tell_directory(&self, myself: &ActorRef<Message>) {
        let (Some(claim), Some(record)) = (self.claim.clone(), self.record.clone()) else {
            return;
        };
        let directory = Arc::clone(&self.context.membership.directory);
        let mut told = Box::pin(async move { directory.update(&claim, record).await });
        let lost = {
            let myself = myself.clone();
            move |result| {
                if let Err(UpdateError::Lost(to)) = result {
                    drop(myself.cast(Message::ClaimLost(to)));
                }
            }
        };
        // Begun now, so that a later change comes later; finished elsewhere, since the directory may be slow.
        match (&mut told).now_or_never() {
            Some(result) => lost(result),
            None => drop(tokio::spawn(async move { lost(told.await) })),
        }
    }

    pub(super) fn put_on_air(
        &mut self,
        myself: &ActorRef<Message>,
        request: PublishRequest,
        reply: PublishReply,
        numbering: &hls::Numbering,
    ) {
        if let Some(published) = self.publish(myself, request.peer, request.encoder, numbering) {
            // If the asker is gone by now, dropping what it was sent says so.
            drop(reply.send(Ok(published)));
        }
    }

    /// Makes the peer the publisher, as the record says.
    pub(super) fn publish(
        &mut self,
        myself: &ActorRef<Message>,
        peer: Arc<Peer>,
        encoder: String,
        numbering: &hls::Numbering,
    ) -> Option<Published> {
        let record = self.record.as_ref()?;
        let (epoch, now) = (record.epoch, self.context.clock.now());
        self.epoch = Some(epoch);
        let cuts = self.context.config.hls.cutting();
        let publisher = match &cuts {
            Some(cuts) => {
                let measured = Measured {
                    cutter: hls::Cutter::new(cuts, numbering),
                    meter: hls::Meter::new(cuts.mode),
                    epoch,
                    book: self.book.clone(),
                    key: self.key.clone(),
                    numbers: Arc::clone(&self.context.numbers),
                    told: hls::LastKnown {
                        msn: numbering.msn,
                        discontinuity: numbering.discontinuity,
                    },
                    stream: myself.clone(),
                };
                self.ring.begin_marked(epoch, now, Box::new(measured))
            }
            None => self.ring.begin(epoch, now),
        };
        info!(parent: &self.span, peer = %peer.addr, epoch = epoch.number, "published");
        let about = About {
            encoder: encoder.clone(),
            ..self.about(record, &peer, numbering, cuts.as_ref())
        };
        self.book.describe(epoch, about);
        let current = Current {
            epoch,
            peer,
            identity: record.identity,
            since: now,
            encoder,
            _counted: self.context.metrics.publisher(),
        };
        if let Phase::Live(evicted) = std::mem::replace(&mut self.phase, Phase::Live(current)) {
            self.evict(&evicted, "another encoder took this stream over");
        }
        self.counted = self.context.metrics.stream("live");
        self.turn_to_hls();
        let leave = Leave::new(myself, epoch);
        self.refuse_waiting();
        self.send_askers_on();
        Some(Published { publisher, leave })
    }

    /// What other nodes are told of a publish.
    fn about(
        &self,
        record: &StreamRecord,
        peer: &Peer,
        numbering: &hls::Numbering,
        cuts: Option<&hls::Config>,
    ) -> About {
        About {
            since: i64::try_from(record.since).unwrap_or(i64::MAX),
            protocol: PROTOCOL.to_owned(),
            encoder: String::new(),
            publisher: peer.addr.to_string(),
            path: vec![self.context.membership.me().to_string()],
            numbering: cuts.map(|_| relay::Numbering {
                first: numbering.msn,
                discontinuity: numbering.discontinuity,
                carries_on: numbering.carries_on(),
            }),
            hls: cuts.map(|cuts| relay::Hls {
                mode: name_of(&self.context.config.hls.mode).to_owned(),
                segment_target: cuts.segment,
                part_target: cuts.part,
                window: cuts.window,
            }),
            // Until this publish is measured itself, what the one before took is the best guess.
            bandwidth: self
                .book
                .newest()
                .map(|about| about.bandwidth)
                .unwrap_or_default(),
        }
    }
}
