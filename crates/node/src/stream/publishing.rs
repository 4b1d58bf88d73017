//! Who may publish a stream, and what becomes of the one before.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::{Fingerprint, Held as DirectoryHeld, StreamRecord, StreamState, UpdateError};
use futures::FutureExt;
use media::Epoch;
use ractor::ActorRef;
use relay::About;
use tracing::{info, warn};

use super::claiming::{self, Claimed, Wanted};
use super::lending::ReleaseRequest;
use super::measured::Measured;
use super::{Leave, Message, Phase, PublishReply, PublishRequest, Published, Refusal, State};
use crate::config::OnConflict;
use crate::config::forms::name_of;
use crate::metrics::Held;
use crate::node;
use crate::peer::{Command, Peer};
use crate::pump::Pump;

/// How often a publisher that is being asked for its place is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// An evicted publisher may not evict back for this long: two encoders that share a key must not fight for ever.
const NO_REVENGE: Duration = Duration::from_secs(10);
/// So many publishers may wait for one that could be gone.
const MAX_WAITING: usize = 8;
/// A publisher that has sent within this is there.
const SENDS: Duration = Duration::from_millis(500);
const PROTOCOL: &str = "rtmp";

/// The publisher of the moment.
pub(super) struct Current {
    pub(super) epoch: Epoch,
    pub(super) peer: Arc<Peer>,
    pub(super) identity: Option<Fingerprint>,
    pub(super) since: i64,
    pub(super) encoder: String,
    _counted: Held,
}

/// One for whom the key is being claimed.
pub(super) struct Claiming {
    id: u64,
    /// Who asked; none: the one that stands by.
    asker: Option<(PublishRequest, PublishReply)>,
    _pump: Pump,
}

impl Claiming {
    pub(super) fn into_request(self) -> Option<(PublishRequest, PublishReply)> {
        self.asker
    }
}

/// A publisher that waits to see whether the present one is gone.
pub(super) struct Waiting {
    pub(super) newcomer: Newcomer,
    asked: i64,
}

/// Who has come for the place of the publisher.
pub(super) enum Newcomer {
    Here(PublishRequest, PublishReply),
    /// To another node.
    There(ReleaseRequest),
}

impl Newcomer {
    fn is_gone(&self) -> bool {
        match self {
            Newcomer::Here(_, reply) => reply.is_closed(),
            Newcomer::There(request) => request.is_closed(),
        }
    }

    fn refuse(self, refusal: Refusal) {
        match self {
            Newcomer::Here(_, reply) => drop(reply.send(Err(refusal))),
            Newcomer::There(request) => request.refuse(refusal.to_string()),
        }
    }
}

impl State {
    pub(super) async fn asked_to_publish(
        &mut self,
        myself: &ActorRef<Message>,
        request: PublishRequest,
        reply: PublishReply,
    ) {
        let current = match &self.phase {
            // The node opens a new stream for who asks again.
            Phase::Over => {
                let again = node::Message::Publish(self.key.clone(), request, reply);
                return drop(self.node.cast(again));
            }
            Phase::Grace if self.has_claim() => return self.begin_again(myself, request, reply),
            Phase::Expected | Phase::Grace | Phase::Pulled => {
                return self.claim(myself, request, reply);
            }
            Phase::Live(_) if self.keeps_backups() => {
                return self.stand_by(myself, request, reply);
            }
            Phase::Live(current) => current,
        };
        let identity = self.fingerprint(&request);
        let same = identity.is_some() && identity == current.identity;
        let replaces = match self.context.config.publish.on_conflict {
            OnConflict::Always => true,
            OnConflict::SameIdentityOrStale | OnConflict::Backup => same,
            OnConflict::Reject => return drop(reply.send(Err(self.occupied()))),
        };
        if !replaces {
            // It may be the same encoder whose old connection nobody has seen die yet.
            let newcomer = Newcomer::Here(request, reply);
            return self.wait_for_silence(myself, newcomer).await;
        }
        if self.may_replace(Some(request.peer.addr.ip())) {
            self.begin_again(myself, request, reply);
        } else {
            drop(reply.send(Err(Refusal::JustReplaced)));
        }
    }

    pub(super) fn fingerprint(&self, request: &PublishRequest) -> Option<Fingerprint> {
        let membership = &self.context.membership;
        let identity = request.identity.as_ref();
        identity.map(|identity| membership.fingerprint(identity))
    }

    pub(super) fn occupied(&self) -> Refusal {
        Refusal::Occupied(self.key.clone())
    }

    /// Whether one from that host, of the same identity, may take the publisher's place at once.
    pub(super) fn may_replace(&self, host: Option<IpAddr>) -> bool {
        let Phase::Live(current) = &self.phase else {
            return true;
        };
        if self.context.config.publish.on_conflict == OnConflict::Always {
            return true;
        }
        let avenges = host != Some(current.peer.addr.ip())
            && self
                .evicted
                .iter()
                .any(|(evicted, when)| Some(*evicted) == host && when.elapsed() < NO_REVENGE);
        if avenges {
            return false;
        }
        let sends = self.context.clock.since(self.last_sign(current)) < SENDS;
        !sends || self.context.feuds.may_replace(&self.key, Instant::now())
    }

    /// When the publisher last sent anything.
    pub(super) fn last_sign(&self, current: &Current) -> i64 {
        let last = self.ring.stats().last_ingest.unwrap_or(0);
        last.max(current.since)
    }

    pub(super) async fn wait_for_silence(
        &mut self,
        myself: &ActorRef<Message>,
        newcomer: Newcomer,
    ) {
        if self.waiting.len() >= MAX_WAITING {
            return newcomer.refuse(self.occupied());
        }
        let asked = self.context.clock.now();
        self.waiting.push(Waiting { newcomer, asked });
        self.look(myself).await;
    }

    /// Answers those who wait: the publisher sends, or has been silent for too long.
    pub(super) async fn look(&mut self, myself: &ActorRef<Message>) {
        let Phase::Live(current) = &self.phase else {
            return;
        };
        // Some have lost patience, or their connection.
        self.waiting.retain(|waiting| !waiting.newcomer.is_gone());
        let Some(first) = self.waiting.first() else {
            return;
        };
        let last = self.last_sign(current);
        if last > first.asked {
            self.refuse_waiting();
        } else if self.context.clock.since(last) >= self.context.config.publish.silence {
            self.make_room(myself).await;
        } else {
            drop(myself.send_after(LOOK, || Message::Look));
        }
    }

    pub(super) fn refuse_waiting(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            waiting.newcomer.refuse(self.occupied());
        }
    }

    /// Gives the place to who waits for it, if anybody does.
    async fn make_room(&mut self, myself: &ActorRef<Message>) {
        // The newest: earlier ones may have given up meanwhile.
        match self.waiting.pop().map(|waiting| waiting.newcomer) {
            Some(Newcomer::Here(request, reply)) => self.begin_again(myself, request, reply),
            Some(Newcomer::There(request)) => self.release(myself, request).await,
            None => {}
        }
    }

    /// Whether the directory has this node as the one with the stream, or will.
    pub(super) fn has_claim(&self) -> bool {
        let directory = &self.context.membership.directory;
        let claim = self.claim.as_ref();
        claim.is_some_and(|claim| directory.standing(claim) != directory::Standing::Gone)
    }

    /// Asks the directory, and whoever has the key, while the encoder waits.
    fn claim(&mut self, myself: &ActorRef<Message>, request: PublishRequest, reply: PublishReply) {
        if self.claiming.is_some() {
            if self.queued.len() >= MAX_WAITING {
                return drop(reply.send(Err(self.occupied())));
            }
            return self.queued.push((request, reply));
        }
        let identity = self.fingerprint(&request);
        let publisher = request.peer.addr.to_string();
        self.claim_for(myself, identity, publisher, Some((request, reply)));
    }

    pub(super) fn claim_for(
        &mut self,
        myself: &ActorRef<Message>,
        identity: Option<Fingerprint>,
        publisher: String,
        asker: Option<(PublishRequest, PublishReply)>,
    ) {
        self.claims += 1;
        let id = self.claims;
        let wanted = Wanted {
            context: Arc::clone(&self.context),
            key: self.key.clone(),
            identity,
            protocol: PROTOCOL,
            publisher,
            known: self.highest(),
            ring: self.ring.clone(),
            stream: myself.clone(),
        };
        let to = myself.clone();
        let pump = Pump::reporting(wanted.claim(), move |answer| {
            drop(to.cast(Message::Claimed(id, answer)));
        });
        self.claiming = Some(Claiming {
            id,
            asker,
            _pump: pump,
        });
    }

    pub(super) async fn claimed(
        &mut self,
        myself: &ActorRef<Message>,
        id: u64,
        answer: Option<Result<Claimed, Refusal>>,
    ) {
        let Some(claiming) = self.claiming.take_if(|claiming| claiming.id == id) else {
            return;
        };
        let answer = answer.unwrap_or(Err(Refusal::Fault));
        match (answer, claiming.into_request()) {
            (Ok(claimed), Some((request, reply))) => self.begin(myself, request, reply, claimed),
            (Ok(claimed), None) => self.take_over(myself, claimed),
            // Here or at another node, somebody has it.
            (Err(Refusal::Occupied(_) | Refusal::Elsewhere(_)), Some((request, reply)))
                if self.keeps_backups() =>
            {
                self.stand_by(myself, request, reply);
            }
            (Err(refusal), Some((_, reply))) => drop(reply.send(Err(refusal))),
            // It goes on standing by.
            (Err(_), None) => {}
        }
        self.lend_to_those_who_wait(myself);
        if self.queued.is_empty() {
            self.leave_window();
        }
        for (request, reply) in std::mem::take(&mut self.queued) {
            if !reply.is_closed() {
                // Boxed, as it may come back here for another that waits.
                Box::pin(self.asked_to_publish(myself, request, reply)).await;
            }
        }
    }

    /// Makes the asker the publisher, of a key that this node has just claimed.
    fn begin(
        &mut self,
        myself: &ActorRef<Message>,
        request: PublishRequest,
        reply: PublishReply,
        claimed: Claimed,
    ) {
        let identity = claimed.record.identity;
        let epoch = claimed.record.epoch;
        let mut numbering = Some(self.has_claimed(claimed));
        if self.highest() >= Some(epoch) {
            // Another publish was heard of while this one asked: it comes after that, too.
            numbering = self.renumber(myself, identity);
        }
        if let Some(numbering) = numbering {
            self.put_on_air(myself, request, reply, &numbering);
        }
    }

    /// The key is this node's.
    pub(super) fn has_claimed(&mut self, claimed: Claimed) -> hls::Numbering {
        self.stop_pull();
        self.claim = Some(Arc::new(claimed.claim));
        self.record = Some(claimed.record);
        claimed.numbering
    }

    /// Makes the asker the publisher, of a key that this node has: no one else needs to be asked.
    fn begin_again(
        &mut self,
        myself: &ActorRef<Message>,
        request: PublishRequest,
        reply: PublishReply,
    ) {
        if !self.has_claim() {
            // It was lost, which this stream is about to hear.
            return self.claim(myself, request, reply);
        }
        let identity = self.fingerprint(&request);
        match self.renumber(myself, identity) {
            Some(numbering) => self.put_on_air(myself, request, reply, &numbering),
            None => self.claim(myself, request, reply),
        }
    }

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
    fn tell_directory(&self, myself: &ActorRef<Message>) {
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

    fn put_on_air(
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
        for (request, reply) in std::mem::take(&mut self.asking) {
            let again = node::Message::Subscribe(self.key.clone(), request, reply);
            drop(self.node.cast(again));
        }
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

    /// Ends a publisher in whose place another has come.
    pub(super) fn evict(&mut self, evicted: &Current, why: &str) {
        info!(parent: &self.span, peer = %evicted.peer.addr, "publisher replaced");
        evicted.end(why.to_owned());
        self.evicted.retain(|(_, when)| when.elapsed() < NO_REVENGE);
        self.evicted.push((evicted.peer.addr.ip(), Instant::now()));
    }

    pub(super) async fn publisher_left(&mut self, myself: &ActorRef<Message>, epoch: Epoch) {
        if self.standby_left(epoch) {
            return;
        }
        match &self.phase {
            Phase::Live(current) if current.epoch == epoch => {}
            // Of one that was replaced.
            _ => return,
        }
        info!(parent: &self.span, epoch = epoch.number, "publisher left");
        self.phase = Phase::Grace;
        if self.promote(myself) {
            return;
        }
        self.counted = self.context.metrics.stream("waiting");
        self.waiting.retain(|waiting| !waiting.newcomer.is_gone());
        if !self.waiting.is_empty() {
            return self.make_room(myself).await;
        }
        if let Some(record) = &mut self.record {
            record.state = StreamState::Waiting;
            self.tell_directory(myself);
        }
        drop(
            myself.send_after(self.context.config.publish.grace, move || {
                Message::GraceOver(epoch)
            }),
        );
    }

    /// A higher epoch has the key.
    pub(super) async fn claim_lost(
        &mut self,
        myself: &ActorRef<Message>,
        to: Option<Arc<DirectoryHeld>>,
    ) {
        // An old claim's loss, or told before.
        if self.has_claim() || !matches!(self.phase, Phase::Live(_) | Phase::Grace) {
            return;
        }
        let node = to.map_or_else(String::new, |held| held.record.node.to_string());
        warn!(parent: &self.span, node, "the key is another node's now");
        self.hand_over(
            myself,
            &node,
            "this stream is published at another node, which has it from now on",
        )
        .await;
    }
}

impl Current {
    pub(super) fn end(&self, why: String) {
        self.peer.post(Command::EndPublish {
            epoch: self.epoch,
            why,
        });
    }
}
