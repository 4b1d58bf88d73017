//! A second encoder that is ready to go on when the first is gone (`publish.on_conflict = "backup"`).
//!
//! What it sends goes into a ring of its own, just as long as a group of pictures. When the publisher leaves, here or
//! at the node that has it, or is silent for too long, the second goes on with that: its viewers miss nothing that
//! is newer than the last keyframe.

use std::sync::Arc;
use std::time::Duration;

use directory::{Fingerprint, StreamState};
use media::{Epoch, Limits, Ring};
use ractor::ActorRef;
use tracing::info;

use super::claiming::Claimed;
use super::{Leave, Message, Phase, PublishReply, PublishRequest, Published, State};
use crate::config::OnConflict;
use crate::metrics::Held;
use crate::peer::{Command, Peer, Promotion};

/// How often the publisher is looked at while another stands by.
const LOOK: Duration = Duration::from_millis(500);

/// An encoder that stands by.
pub(super) struct Standby {
    peer: Arc<Peer>,
    identity: Option<Fingerprint>,
    encoder: String,
    ring: Ring,
    epoch: Epoch,
    _counted: Held,
}

impl State {
    pub(super) fn keeps_backups(&self) -> bool {
        self.context.config.publish.on_conflict == OnConflict::Backup
    }

    /// Lets an encoder stand by; one is enough.
    pub(super) fn stand_by(
        &mut self,
        myself: &ActorRef<Message>,
        request: PublishRequest,
        reply: PublishReply,
    ) {
        if self.standby.is_some() {
            return drop(reply.send(Err(self.occupied())));
        }
        let limits = &self.context.config.ring;
        let ring = Ring::new(Limits {
            max_bytes: 0,
            max_duration: Duration::ZERO,
            max_gop_bytes: limits.max_gop_bytes,
            ..Limits::default()
        });
        let epoch = self.context.membership.next_epoch(self.highest());
        let publisher = ring.begin(epoch, self.context.clock.now());
        info!(parent: &self.span, peer = %request.peer.addr, "stands by");
        self.standby = Some(Standby {
            identity: self.fingerprint(&request),
            encoder: request.encoder,
            peer: request.peer,
            ring,
            epoch,
            _counted: self.context.metrics.standby(),
        });
        let leave = Leave::new(myself, epoch);
        drop(reply.send(Ok(Published { publisher, leave })));
        self.look_later(myself);
    }

    /// Whether it was the one that stands by who left.
    pub(super) fn standby_left(&mut self, epoch: Epoch) -> bool {
        let left = self.standby.take_if(|standby| standby.epoch == epoch);
        if left.is_some() {
            info!(parent: &self.span, "nobody stands by any more");
        }
        left.is_some()
    }

    /// Tells the one that stands by that there is nothing to stand by for.
    pub(super) fn dismiss_standby(&mut self, why: &str) {
        if let Some(standby) = self.standby.take() {
            let (epoch, why) = (standby.epoch, why.to_owned());
            standby.peer.post(Command::EndPublish { epoch, why });
        }
    }

    /// Looks whether the one that stands by has to go on.
    pub(super) fn look_for_standby(&mut self, myself: &ActorRef<Message>) {
        if self.standby.is_none() {
            return;
        }
        match &self.phase {
            Phase::Live(current) => {
                let silence = self.context.clock.since(self.last_sign(current));
                if silence >= self.context.config.publish.silence {
                    self.promote(myself);
                }
            }
            // Whether the publisher at another node is gone, that node knows, or the directory.
            Phase::Expected | Phase::Pulled => self.ask_for_standby(myself),
            Phase::Grace => drop(self.promote(myself)),
            Phase::Over => {}
        }
    }

    pub(super) fn look_later(&mut self, myself: &ActorRef<Message>) {
        if self.standby.is_some() {
            drop(myself.send_after(LOOK, || Message::LookForStandby));
        }
    }

    /// Asks for a key that is another node's, unless that is known to have its publisher.
    fn ask_for_standby(&mut self, myself: &ActorRef<Message>) {
        let sends = |standby: &&Standby| self.sends(&standby.ring);
        let standby = self.standby.as_ref().filter(sends);
        let Some(standby) = standby.filter(|_| self.claiming.is_none()) else {
            return;
        };
        let held = self.context.membership.directory.lookup(&self.key);
        let waits = held.is_some_and(|held| held.record.state == StreamState::Waiting);
        if self.is_looking() || self.is_fed() && self.sends(&self.ring) && !waits {
            return;
        }
        let (identity, publisher) = (standby.identity, standby.peer.addr.to_string());
        self.claim_for(myself, identity, publisher, None);
    }

    /// Whether something has come in there within the time that a publisher may be silent.
    fn sends(&self, ring: &Ring) -> bool {
        let last = ring.stats().last_ingest.unwrap_or(0);
        self.context.clock.since(last) < self.context.config.publish.silence
    }

    /// The key of another node has become free for the one that stands by.
    pub(super) fn take_over(&mut self, myself: &ActorRef<Message>, claimed: Claimed) {
        if self.standby.is_none() {
            // It has left in the meantime: what was claimed is given back.
            return;
        }
        let numbering = self.has_claimed(claimed);
        self.put_standby_on_air(myself, &numbering);
    }

    /// Lets the one that stands by go on; false if there is none.
    pub(super) fn promote(&mut self, myself: &ActorRef<Message>) -> bool {
        // One that is silent itself is no help.
        let sends = |standby: &&Standby| self.sends(&standby.ring);
        let Some(standby) = self.standby.as_ref().filter(sends) else {
            return false;
        };
        let identity = standby.identity;
        if !self.has_claim() {
            return false;
        }
        let Some(numbering) = self.renumber(myself, identity) else {
            return false;
        };
        self.put_standby_on_air(myself, &numbering);
        true
    }

    fn put_standby_on_air(&mut self, myself: &ActorRef<Message>, numbering: &hls::Numbering) {
        let Some(standby) = self.standby.take() else {
            return;
        };
        let peer = Arc::clone(&standby.peer);
        if let Some(published) = self.publish(myself, peer, standby.encoder, numbering) {
            standby.peer.post(Command::Promote(Box::new(Promotion {
                from: standby.epoch,
                aside: standby.ring,
                published,
            })));
        }
    }
}
