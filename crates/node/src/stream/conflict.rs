//! Who comes while another publishes: who may take its place, at once or when it is silent.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ractor::ActorRef;
use tracing::info;

use super::publishing::Current;
use super::{Message, Phase, PublishReply, PublishRequest, Refusal, ReleaseRequest, State};
use crate::config::OnConflict;

/// How often a publisher that is being asked for its place is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// An evicted publisher may not evict back for this long: two encoders that share a key must not fight for ever.
const NO_REVENGE: Duration = Duration::from_secs(10);
/// So many publishers may wait for one that could be gone.
pub(super) const MAX_WAITING: usize = 8;
/// A publisher that has sent within this is there.
const SENDS: Duration = Duration::from_millis(500);

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
    pub(super) fn is_gone(&self) -> bool {
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
    /// Whether one from that host, of the same identity, may take the publisher's place at once, or could if it did
    /// more than ask.
    pub(super) fn may_replace(&self, host: Option<IpAddr>, only_asks: bool) -> bool {
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
        let (feuds, now) = (&self.context.feuds, Instant::now());
        match only_asks {
            _ if !sends => true,
            true => feuds.might_replace(&self.key, now),
            false => feuds.may_replace(&self.key, now),
        }
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

    /// Gives the place to who waits for it; false if nobody does who has done more than ask.
    pub(super) async fn make_room(&mut self, myself: &ActorRef<Message>) -> bool {
        // The newest: earlier ones may have given up meanwhile.
        while let Some(waiting) = self.waiting.pop() {
            match waiting.newcomer {
                Newcomer::There(request) if request.only_asks() => request.consent(),
                Newcomer::There(request) => {
                    self.release(myself, request).await;
                    return true;
                }
                Newcomer::Here(request, reply) => {
                    self.begin_again(myself, request, reply);
                    return true;
                }
            }
        }
        false
    }

    /// Ends a publisher in whose place another has come.
    pub(super) fn evict(&mut self, evicted: &Current, why: &str) {
        info!(parent: &self.span, peer = %evicted.peer.addr, "publisher replaced");
        evicted.end(why.to_owned());
        self.evicted.retain(|(_, when)| when.elapsed() < NO_REVENGE);
        self.evicted.push((evicted.peer.addr.ip(), Instant::now()));
    }
}
