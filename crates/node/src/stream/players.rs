//! The players of a stream at this node, and those who would be.

use std::sync::Arc;

use ractor::{Actor, ActorId, ActorRef, RpcReplyPort};
use tracing::error;

use super::{Message, Phase, Refusal, State};
use crate::format::Format;
use crate::gate::Wants;
use crate::node;
use crate::peer::PlayEnd;
use crate::seat::Seat;
use crate::status::Subscribed;
use crate::subscriber::{self, Subscriber};

/// Who wants to play.
pub(crate) struct SubscribeRequest {
    pub(crate) seat: Seat,
    pub(crate) wants: Wants,
}

pub(crate) type SubscribeReply = RpcReplyPort<Result<ActorRef<subscriber::Message>, Refusal>>;

/// All of them.
#[derive(Default)]
pub(super) struct Players {
    subscribers: Vec<ActorRef<subscriber::Message>>,
    /// What there is to say of each of them.
    told: Vec<Subscribed>,
    /// Those of whom it is not known yet whether there is anything to play.
    asking: Vec<(SubscribeRequest, SubscribeReply)>,
}

impl Players {
    /// Nobody plays, and nobody is about to.
    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.asking.is_empty()
    }

    /// How many play.
    pub(super) fn count(&self) -> usize {
        self.subscribers.len()
    }

    /// How many play in this format.
    pub(super) fn count_of(&self, format: Format) -> usize {
        let of_it = self.told.iter().filter(|player| player.format == format);
        of_it.count()
    }

    /// What there is to say of each.
    pub(super) fn told(&self) -> &[Subscribed] {
        &self.told
    }

    /// The one that came first.
    #[cfg(test)]
    pub(super) fn first(&self) -> Option<&ActorRef<subscriber::Message>> {
        self.subscribers.first()
    }

    /// Those who ask, who are asked about no more.
    pub(super) fn take_asking(&mut self) -> Vec<(SubscribeRequest, SubscribeReply)> {
        std::mem::take(&mut self.asking)
    }

    /// Tells one of them that it is over, and why; false if it is not there.
    fn end(&self, is_it: impl Fn(ActorId) -> bool, why: PlayEnd) -> bool {
        let mut players = self.subscribers.iter();
        let player = players.find(|player| is_it(player.get_id()));
        if let Some(player) = player {
            drop(player.cast(subscriber::Message::End(why)));
        }
        player.is_some()
    }

    /// Tells all that the stream is over.
    pub(super) fn end_all(&self) {
        for subscriber in &self.subscribers {
            drop(subscriber.cast(subscriber::Message::StreamOver));
        }
    }

    /// Whether it was one of them who is gone.
    fn forget(&mut self, gone: ActorId) -> bool {
        let before = self.subscribers.len();
        self.subscribers.retain(|player| player.get_id() != gone);
        self.told.retain(|player| player.id != gone);
        self.subscribers.len() != before
    }
}

impl State {
    pub(super) async fn asked_to_subscribe(
        &mut self,
        myself: &ActorRef<Message>,
        request: SubscribeRequest,
        reply: SubscribeReply,
    ) {
        if matches!(self.phase, Phase::Expected | Phase::Pulled) {
            self.want_pull(myself).await;
            if matches!(self.phase, Phase::Expected) && self.is_looking() {
                return self.players.asking.push((request, reply));
            }
        }
        let subscribed = self.subscribe(myself, request).await;
        drop(reply.send(subscribed));
    }

    /// It is known by now whether there is something to play.
    pub(super) async fn answer_askers(&mut self, myself: &ActorRef<Message>) {
        for (request, reply) in self.players.take_asking() {
            if reply.is_closed() {
                continue;
            }
            let subscribed = self.subscribe(myself, request).await;
            drop(reply.send(subscribed));
        }
    }

    async fn subscribe(
        &mut self,
        myself: &ActorRef<Message>,
        request: SubscribeRequest,
    ) -> Result<ActorRef<subscriber::Message>, Refusal> {
        let wait = self.context.config.play.wait;
        let expected = matches!(self.phase, Phase::Expected);
        if matches!(self.phase, Phase::Over) || expected && wait.is_zero() {
            return Err(Refusal::NotFound(self.key.clone()));
        }
        let limit = self.context.config.limits.viewers_per_stream;
        if limit > 0 && self.players.count() + self.viewers_over_hls() >= limit {
            return Err(Refusal::Full {
                key: self.key.clone(),
                limit,
            });
        }
        let (address, format) = (request.seat.peer.addr, request.seat.format);
        let arguments = subscriber::Arguments {
            context: Arc::clone(&self.context),
            ring: self.ring.clone(),
            fanout: Arc::clone(&self.fanout),
            seat: request.seat,
            wants: request.wants,
        };
        let spawned = Actor::spawn_linked(None, Subscriber, arguments, myself.get_cell()).await;
        let (subscriber, _) = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                error!(parent: &self.span, %error, "subscriber not started");
                return Err(Refusal::Fault);
            }
        };
        self.players.told.push(Subscribed {
            id: subscriber.get_id(),
            address,
            format,
            since: self.context.clock.now() / 1_000_000,
        });
        self.players.subscribers.push(subscriber.clone());
        self.tell_viewers();
        self.tell_players();
        if expected {
            let id = subscriber.get_id();
            drop(myself.send_after(wait, move || Message::WaitOver(id)));
        }
        Ok(subscriber)
    }

    /// The longest wait for a first publisher is over for this player.
    pub(super) fn wait_over(&self, id: ActorId) {
        if matches!(self.phase, Phase::Expected) {
            self.players.end(|player| player == id, PlayEnd::NeverCame);
        }
    }

    /// Disconnects the player of this number; false if there is none.
    pub(super) fn disconnect(&self, number: u64) -> bool {
        let is_it = |player: ActorId| player.pid() == number;
        self.players.end(is_it, PlayEnd::Removed)
    }

    pub(super) fn player_gone(&mut self, gone: ActorId) {
        if self.players.forget(gone) {
            self.tell_viewers();
            self.tell_players();
        }
    }

    /// Those who ask are sent through the node once more.
    pub(super) fn send_askers_on(&mut self) {
        for (request, reply) in self.players.take_asking() {
            let again = node::Message::Subscribe(self.key.clone(), request, reply);
            drop(self.node.cast(again));
        }
    }
}
