//! All that a member remembers, and how what happens changes it. Nothing here waits.

mod announce;
mod claiming;
mod events;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use media::StreamKey;
use tokio::sync::broadcast;
use tokio::time::Instant;

pub(crate) use self::announce::Announcing;
pub(crate) use self::claiming::{Ask, Unreadable};
use crate::change::WAITING;
use crate::claims::Claims;
use crate::clock::{Clock, Clocks};
use crate::epoch::Highest;
use crate::known::Known;
use crate::metrics::Metrics;
use crate::record::{Held, Lease};
use crate::{Change, NodeId};

/// What a member remembers.
pub(crate) struct State {
    pub(crate) node: NodeId,
    pub(crate) clock: Clock,
    pub(crate) known: Known,
    pub(crate) claims: Claims,
    pub(crate) highest: Highest,
    pub(crate) clocks: Clocks,
    pub(crate) announcing: Announcing,
    /// The lease of this node.
    pub(crate) lease: Lease,
    /// Which session it is, and which lease. What was asked in an earlier one says nothing now.
    pub(crate) generation: u64,
    /// Claims of which the directory does not say what it should.
    pub(crate) dirty: BTreeSet<StreamKey>,
    /// Until then, what is missing may come back.
    settling_until: Option<Instant>,
    last_contact: Instant,
    /// How long what is missing after an outage may take to come back.
    settling: Duration,
    /// The revision up to which everything is known; 0 before the first listing.
    pub(crate) latest: i64,
    twin: bool,
    changes: Option<broadcast::Sender<Change>>,
    metrics: Arc<Metrics>,
}

impl State {
    pub(crate) fn new(
        node: NodeId,
        clock: Clock,
        settling: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            node,
            clock,
            known: Known::default(),
            claims: Claims::default(),
            highest: Highest::default(),
            clocks: Clocks::default(),
            announcing: Announcing::default(),
            lease: Lease::NONE,
            generation: 0,
            dirty: BTreeSet::new(),
            settling_until: None,
            last_contact: Instant::now(),
            settling,
            latest: 0,
            twin: false,
            changes: Some(broadcast::Sender::new(WAITING)),
            metrics,
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        match &self.changes {
            Some(changes) => changes.subscribe(),
            // Of one that left there is nothing to hear.
            None => broadcast::channel(1).1,
        }
    }

    pub(crate) fn tell(&self, changes: impl IntoIterator<Item = Change>) {
        if let Some(sender) = &self.changes {
            for change in changes {
                // Nobody listens: nobody wants to know.
                let _ = sender.send(change);
            }
        }
    }

    /// This node leaves: there are no changes any more.
    pub(crate) fn close(&mut self) {
        self.changes = None;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.changes.is_none()
    }

    /// The directory answered. When it has been silent for longer than `silence`, leases may have run
    /// out only because nobody could renew them, so it has to settle.
    pub(crate) fn contact(&mut self, silence: Option<Duration>) {
        let now = Instant::now();
        if silence.is_some_and(|silence| now.duration_since(self.last_contact) > silence) {
            self.settle_from_now();
        }
        self.last_contact = now;
    }

    pub(crate) fn last_contact(&self) -> Instant {
        self.last_contact
    }

    /// There was an outage: what is missing may come back.
    pub(crate) fn settle_from_now(&mut self) {
        if self.latest > 0 {
            self.settling_until = Some(Instant::now() + self.settling);
        }
    }

    pub(crate) fn settling_until(&self) -> Option<Instant> {
        self.settling_until
    }

    /// The directory has settled, if the time for it is over.
    pub(crate) fn settle(&mut self) {
        if self
            .settling_until
            .is_some_and(|until| until <= Instant::now())
        {
            self.settling_until = None;
            let changes = self.known.settle();
            for change in &changes {
                if let Change::Node(id) = change
                    && self.clocks.gone(id)
                {
                    self.tell([Change::Clock(id.clone())]);
                }
            }
            self.tell(changes);
        }
    }

    fn is_settling(&self) -> bool {
        self.settling_until.is_some()
    }

    /// Whether what the directory says of something that belongs to `node` is held back.
    fn settling(&self, node: &NodeId) -> bool {
        // Of ourselves nobody knows better.
        self.settling_until.is_some() && *node != self.node
    }

    /// What is known of a stream.
    pub(crate) fn stream(&self, key: &StreamKey) -> Option<&Arc<Held>> {
        self.known
            .stream(key)
            .filter(|held| !self.is_given_back(held))
    }

    /// All streams that are known.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &Arc<Held>> {
        self.known
            .streams()
            .filter(|held| !self.is_given_back(held))
    }

    /// Ours and given back, of which the directory does not know yet.
    fn is_given_back(&self, held: &Held) -> bool {
        let record = &held.record;
        record.node == self.node
            && self
                .claims
                .get(&record.key)
                .is_some_and(|own| own.wanted.is_none())
    }

    /// What should be written is to be written, as soon as it can be.
    pub(crate) fn mark(&mut self, key: &StreamKey) {
        self.dirty.insert(key.clone());
    }

    /// Another lease: everything of ours is to be written again.
    pub(crate) fn lease_changed(&mut self, lease: Lease) {
        self.lease = lease;
        self.dirty.extend(self.claims.keys());
    }

    fn count(&self) {
        self.metrics.claims(self.claims.count());
    }

    fn learn(&mut self, held: &Held) {
        self.highest.saw(held.record.epoch);
    }
}

#[cfg(test)]
mod tests;
