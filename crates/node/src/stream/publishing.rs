//! Who wants to publish a stream: how it gets the key, and what happens when it leaves.

use std::sync::Arc;

use directory::{Fingerprint, Held as DirectoryHeld, StreamState};
use media::{Epoch, Publisher};
use ractor::{ActorRef, RpcReplyPort};
use tracing::{info, warn};

use super::claiming::{Claimed, Wanted};
use super::conflict::{MAX_WAITING, Newcomer};
use super::{Message, Phase, Refusal, State};
use crate::auth::Identity;
use crate::config::OnConflict;
use crate::metrics::Held;
use crate::node;
use crate::peer::{Command, Peer};
use crate::pump::Pump;

pub(super) const PROTOCOL: &str = "rtmp";

/// Who wants to publish.
pub(crate) struct PublishRequest {
    pub(crate) peer: Arc<Peer>,
    pub(crate) identity: Option<Identity>,
    /// What the encoder calls itself.
    pub(crate) encoder: String,
}

pub(crate) type PublishReply = RpcReplyPort<Result<Published, Refusal>>;

/// The right to publish.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) publisher: Publisher,
    pub(crate) leave: Leave,
}

/// Tells the stream that its publisher left, when dropped.
#[derive(Debug)]
pub(crate) struct Leave {
    stream: ActorRef<Message>,
    epoch: Epoch,
}

impl Leave {
    pub(super) fn new(stream: &ActorRef<Message>, epoch: Epoch) -> Leave {
        let stream = stream.clone();
        Leave { stream, epoch }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        // A stream that is gone has no need to know.
        drop(self.stream.cast(Message::PublisherLeft(self.epoch)));
    }
}

/// The publisher of the moment.
pub(super) struct Current {
    pub(super) epoch: Epoch,
    pub(super) peer: Arc<Peer>,
    pub(super) identity: Option<Fingerprint>,
    pub(super) since: i64,
    pub(super) encoder: String,
    pub(super) _counted: Held,
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
        if self.may_replace(Some(request.peer.addr.ip()), false) {
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
    pub(super) fn begin_again(
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
        if self.make_room(myself).await {
            return;
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
