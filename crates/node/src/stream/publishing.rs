//! Who may publish a stream, and what becomes of the one before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use media::Epoch;
use ractor::{ActorRef, RpcReplyPort};
use tracing::info;

use super::{Leave, Message, Phase, PublishRequest, Published, Refusal, State};
use crate::auth::Identity;
use crate::config::OnConflict;
use crate::metrics::Held;
use crate::node;
use crate::peer::{Command, Peer};

/// How often a publisher that is being asked for its place is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// An evicted publisher may not evict back for this long: two encoders that share a key must not fight for ever.
const NO_REVENGE: Duration = Duration::from_secs(10);
/// So many publishers may wait for one that could be gone.
const MAX_WAITING: usize = 8;

/// The publisher of the moment.
pub(super) struct Current {
    pub(super) epoch: Epoch,
    pub(super) peer: Arc<Peer>,
    identity: Option<Identity>,
    pub(super) since: i64,
    _counted: Held,
}

/// A publisher that waits to see whether the present one is gone.
pub(super) struct Waiting {
    pub(super) request: PublishRequest,
    pub(super) reply: RpcReplyPort<Result<Published, Refusal>>,
    asked: i64,
}

impl State {
    pub(super) fn asked_to_publish(
        &mut self,
        myself: &ActorRef<Message>,
        request: PublishRequest,
        reply: RpcReplyPort<Result<Published, Refusal>>,
    ) {
        let current = match &self.phase {
            Phase::Expected | Phase::Grace => return self.begin(myself, request, reply),
            // The node opens a new stream for who asks again.
            Phase::Over => {
                let again = node::Message::Publish(self.key.clone(), request, reply);
                return drop(self.node.cast(again));
            }
            Phase::Live(current) => current,
        };
        let same = request.identity.is_some() && request.identity == current.identity;
        let address = request.peer.addr.ip();
        let avenges = address != current.peer.addr.ip()
            && self
                .evicted
                .iter()
                .any(|(evicted, when)| *evicted == address && when.elapsed() < NO_REVENGE);
        let decision = match self.context.config.publish.on_conflict {
            OnConflict::Always | OnConflict::SameIdentityOrStale if avenges => {
                Err(Refusal::JustReplaced)
            }
            OnConflict::Always => Ok(true),
            OnConflict::SameIdentityOrStale if same => Ok(true),
            OnConflict::SameIdentityOrStale => Ok(false),
            OnConflict::Reject => Err(Refusal::Occupied(self.key.clone())),
        };
        match decision {
            Err(refusal) => drop(reply.send(Err(refusal))),
            Ok(true) => self.begin(myself, request, reply),
            Ok(false) if self.waiting.len() >= MAX_WAITING => {
                drop(reply.send(Err(Refusal::Occupied(self.key.clone()))));
            }
            Ok(false) => {
                // It may be the same encoder whose old connection nobody has seen die yet.
                self.waiting.push(Waiting {
                    request,
                    reply,
                    asked: self.context.clock.now(),
                });
                self.look(myself);
            }
        }
    }

    /// Answers those who wait: the publisher sends, or has been silent for too long.
    pub(super) fn look(&mut self, myself: &ActorRef<Message>) {
        let Phase::Live(current) = &self.phase else {
            return;
        };
        // Some have lost patience, or their connection.
        self.waiting.retain(|waiting| !waiting.reply.is_closed());
        let Some(first) = self.waiting.first() else {
            return;
        };
        let last = self
            .ring
            .stats()
            .last_ingest
            .unwrap_or(0)
            .max(current.since);
        let silence = self.context.config.publish.silence;
        if last > first.asked {
            for waiting in self.waiting.drain(..) {
                drop(waiting.reply.send(Err(Refusal::Occupied(self.key.clone()))));
            }
        } else if self.context.clock.since(last) >= silence {
            // The newest: earlier ones may have given up meanwhile.
            if let Some(Waiting { request, reply, .. }) = self.waiting.pop() {
                self.begin(myself, request, reply);
            }
        } else {
            drop(myself.send_after(LOOK, || Message::Look));
        }
    }

    /// Makes the asker the publisher, in place of any other.
    fn begin(
        &mut self,
        myself: &ActorRef<Message>,
        request: PublishRequest,
        reply: RpcReplyPort<Result<Published, Refusal>>,
    ) {
        let now = self.context.clock.now();
        let millis = u64::try_from(now / 1_000_000).unwrap_or(0);
        self.epoch = millis.max(self.epoch + 1);
        let epoch = Epoch::new(self.epoch, self.context.node_number);
        let publisher = self.ring.begin(epoch, now);
        let leave = Leave {
            stream: myself.clone(),
            epoch,
        };
        let peer = Arc::clone(&request.peer);
        info!(parent: &self.span, peer = %peer.addr, epoch = epoch.number, "published");
        let current = Current {
            epoch,
            peer,
            identity: request.identity,
            since: now,
            _counted: self.context.metrics.publisher(),
        };
        if let Phase::Live(evicted) = std::mem::replace(&mut self.phase, Phase::Live(current)) {
            info!(parent: &self.span, peer = %evicted.peer.addr, "publisher replaced");
            evicted.end("another encoder took this stream over".to_owned());
            self.evicted.retain(|(_, when)| when.elapsed() < NO_REVENGE);
            self.evicted.push((evicted.peer.addr.ip(), Instant::now()));
        }
        self.counted = self.context.metrics.stream("live");
        // If the asker is gone by now, dropping what it was sent says so.
        drop(reply.send(Ok(Published { publisher, leave })));
        for waiting in self.waiting.drain(..) {
            drop(waiting.reply.send(Err(Refusal::Occupied(self.key.clone()))));
        }
    }

    pub(super) fn publisher_left(&mut self, myself: &ActorRef<Message>, epoch: Epoch) {
        match &self.phase {
            Phase::Live(current) if current.epoch == epoch => {}
            // Of one that was replaced.
            _ => return,
        }
        info!(parent: &self.span, epoch = epoch.number, "publisher left");
        self.phase = Phase::Grace;
        self.counted = self.context.metrics.stream("waiting");
        self.waiting.retain(|waiting| !waiting.reply.is_closed());
        if let Some(Waiting { request, reply, .. }) = self.waiting.pop() {
            return self.begin(myself, request, reply);
        }
        drop(
            myself.send_after(self.context.config.publish.grace, move || {
                Message::GraceOver(epoch)
            }),
        );
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
