//! When a stream is over, and what becomes of those who are there.

use media::EndReason;
use ractor::ActorRef;
use tracing::info;

use super::conflict::Newcomer;
use super::publishing::Claiming;
use super::{Message, Phase, State};
use crate::node;

impl State {
    pub(super) fn end(&mut self, myself: &ActorRef<Message>, why: &str) {
        if !matches!(self.phase, Phase::Expected | Phase::Over) {
            info!(parent: &self.span, why, "stream ended");
        }
        self.phase = Phase::Over;
        self.counted = self.context.metrics.stream("ended");
        self.ring.end(EndReason::Ended);
        self.players.end_all();
        self.pulled = None;
        // Dropped, it is given back.
        self.claim = None;
        // Whoever asks from now on, or waits, gets a new stream.
        drop(
            self.node
                .cast(node::Message::StreamOver(self.key.clone(), myself.clone())),
        );
        self.send_askers_on();
        self.end_over_hls(myself);
        self.dismiss_standby(why);
        let claiming = self.claiming.take().and_then(Claiming::into_request);
        self.lend_to_those_who_wait(myself);
        let queued = self.queued.drain(..);
        let mut again: Vec<_> = queued.chain(claiming).collect();
        for waiting in self.waiting.drain(..) {
            match waiting.newcomer {
                Newcomer::Here(request, reply) => again.push((request, reply)),
                Newcomer::There(request) => request.free(None),
            }
        }
        for (request, reply) in again {
            let again = node::Message::Publish(self.key.clone(), request, reply);
            drop(self.node.cast(again));
        }
    }

    /// Nobody here watches it, nor at nodes behind, and nobody wants it to be there.
    pub(super) fn is_unwatched(&self) -> bool {
        self.players.is_empty()
            && self.lent.is_empty()
            && self.queued.is_empty()
            && self.waiting.is_empty()
            && self.claiming.is_none()
            && self.standby.is_none()
            && !self.is_watched_over_hls()
            && !self.warm
    }

    /// After each message: a stream that nobody needs goes.
    pub(super) fn settle(&mut self, myself: &ActorRef<Message>) {
        match self.phase {
            // Who was sent here before is sent back, and what was packaged stays for a while.
            Phase::Over if !self.is_forgotten || self.hls.is_some() => {}
            Phase::Over if self.players.count() == 0 && self.waiting.is_empty() => {
                myself.stop(None);
            }
            Phase::Expected if self.is_unwatched() => self.offer_to_retire(myself),
            Phase::Pulled => self.linger(myself),
            Phase::Over | Phase::Expected | Phase::Live(_) | Phase::Grace => {}
        }
    }

    /// The node knows whether another request is on its way.
    pub(super) fn offer_to_retire(&self, myself: &ActorRef<Message>) {
        let idle = node::Message::StreamIdle(self.key.clone(), myself.get_id(), self.requests);
        drop(self.node.cast(idle));
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Phase::Live(current) = &self.phase {
            current.end("the stream failed on the server; publish again".to_owned());
        }
        self.dismiss_standby("the stream failed on the server; publish again");
        self.ring.end(EndReason::Shutdown);
    }
}
