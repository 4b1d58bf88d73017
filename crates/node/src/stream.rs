//! One stream of this node: its ring, its publisher and its players.
//!
//! Started by the [`Node`](crate::node) for the first who asks. Ends when it has no publisher, none
//! is waited for, and its players are gone. Decides who may publish; never touches a tag.

mod publishing;
mod snapshot;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use media::{EndReason, Epoch, Publisher, Ring, StreamKey};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tracing::{Span, error, info, info_span, warn};

use crate::auth::Identity;
use crate::context::Context;
use crate::fanout::Fanout;
use crate::gate::Wants;
use crate::metrics::Held;
use crate::node;
use crate::peer::{Peer, PlayEnd};
use crate::status::{StreamSnapshot, Subscribed};
use crate::subscriber::{self, Subscriber};
use publishing::{Current, Waiting};

/// What a stream is started with.
pub(crate) struct Arguments {
    pub(crate) key: StreamKey,
    pub(crate) context: Arc<Context>,
    pub(crate) node: ActorRef<node::Message>,
}

/// What a stream is told and asked.
pub(crate) enum Message {
    Publish(PublishRequest, RpcReplyPort<Result<Published, Refusal>>),
    /// The publisher of this epoch is gone.
    PublisherLeft(Epoch),
    /// Look whether the publisher still sends, for those who wait for its place.
    Look,
    /// The time to come back is over for the publisher of this epoch.
    GraceOver(Epoch),
    Subscribe(
        SubscribeRequest,
        RpcReplyPort<Result<ActorRef<subscriber::Message>, Refusal>>,
    ),
    /// The longest wait for a first publisher is over for this player.
    WaitOver(ActorId),
    /// The node has forgotten it, since nobody wants it.
    Retire,
    /// Disconnects its publisher and ends it.
    Stop(String),
    /// What there is to say of it at this moment.
    Snapshot(RpcReplyPort<StreamSnapshot>),
    /// Disconnects the player of this number; false if there is none.
    Disconnect(u64, RpcReplyPort<bool>),
    #[cfg(test)]
    Panic,
    #[cfg(test)]
    PanicSubscriber,
    #[cfg(test)]
    PanicPublisher,
}

/// Who wants to publish.
pub(crate) struct PublishRequest {
    pub(crate) peer: Arc<Peer>,
    pub(crate) identity: Option<Identity>,
}

/// Who wants to play.
pub(crate) struct SubscribeRequest {
    pub(crate) peer: Arc<Peer>,
    pub(crate) message_stream: u32,
    pub(crate) wants: Wants,
}

/// The right to publish.
pub(crate) struct Published {
    pub(crate) publisher: Publisher,
    pub(crate) leave: Leave,
}

/// Tells the stream that its publisher left, when dropped.
pub(crate) struct Leave {
    stream: ActorRef<Message>,
    epoch: Epoch,
}

impl Drop for Leave {
    fn drop(&mut self) {
        // A stream that is gone has no need to know.
        drop(self.stream.cast(Message::PublisherLeft(self.epoch)));
    }
}

/// Why a publish or a play can't be, in a sentence for the person who asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0} is being published by someone else; stop that encoder, or use another stream key")]
    Occupied(StreamKey),
    #[error(
        "this encoder was just replaced by another one with the same credentials; stop one of the two, or wait 10 s"
    )]
    JustReplaced,
    #[error("nobody publishes {0} on this node")]
    NotFound(StreamKey),
    #[error("{key} has its limit of {limit} viewers (limits.viewers_per_stream); try again later")]
    Full { key: StreamKey, limit: usize },
    #[error("this node has its limit of {limit} streams (limits.streams); try another node")]
    TooManyStreams { limit: usize },
    #[error("this node is shutting down; connect again")]
    Draining,
    #[error("the server failed at this; try again")]
    Fault,
}

/// The actor.
pub(crate) struct Stream;

/// A stream's state.
pub(crate) struct State {
    key: StreamKey,
    context: Arc<Context>,
    node: ActorRef<node::Message>,
    ring: Ring,
    fanout: Arc<Fanout>,
    phase: Phase,
    waiting: Vec<Waiting>,
    evicted: Vec<(IpAddr, Instant)>,
    subscribers: Vec<ActorRef<subscriber::Message>>,
    /// What there is to say of them.
    viewers: Vec<Subscribed>,
    epoch: u64,
    /// Requests that came through the node; when the node has sent no more, none is on its way.
    requests: u64,
    counted: Held,
    span: Span,
}

enum Phase {
    /// Nobody has published yet: only players that wait.
    Expected,
    Live(Current),
    /// Its publisher may come back.
    Grace,
    /// It is over, and its players are being told.
    Over,
}

impl Actor for Stream {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { key, context, node } = arguments;
        let limits = &context.config.ring;
        let ring = Ring::new(media::Limits {
            max_bytes: limits.max_bytes,
            max_duration: limits.max_duration,
            max_gop_bytes: limits.max_gop_bytes,
            ..media::Limits::default()
        });
        Ok(State {
            span: info_span!("stream", %key, role = "origin"),
            fanout: Arc::new(Fanout::new(ring.clone(), Arc::clone(&context))),
            counted: context.metrics.stream("waiting"),
            key,
            context,
            node,
            ring,
            phase: Phase::Expected,
            waiting: Vec::new(),
            evicted: Vec::new(),
            subscribers: Vec::new(),
            viewers: Vec::new(),
            epoch: 0,
            requests: 0,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Publish(request, reply) => {
                state.requests += 1;
                state.asked_to_publish(&myself, request, reply);
            }
            Message::PublisherLeft(epoch) => state.publisher_left(&myself, epoch),
            Message::Look => state.look(&myself),
            Message::GraceOver(epoch) => {
                if matches!(state.phase, Phase::Grace) && state.epoch == epoch.number {
                    state.end(&myself, "the publisher did not come back");
                }
            }
            Message::Subscribe(request, reply) => {
                state.requests += 1;
                let subscribed = state.subscribe(&myself, request).await;
                drop(reply.send(subscribed));
            }
            Message::WaitOver(id) => {
                if matches!(state.phase, Phase::Expected) {
                    let waiting = state
                        .subscribers
                        .iter()
                        .find(|player| player.get_id() == id);
                    if let Some(player) = waiting {
                        drop(player.cast(subscriber::Message::End(PlayEnd::NeverCame)));
                    }
                }
            }
            Message::Retire => myself.stop(None),
            Message::Stop(why) => {
                if let Phase::Live(current) = &state.phase {
                    current.end(why.clone());
                }
                state.end(&myself, &why);
            }
            Message::Snapshot(reply) => drop(reply.send(state.snapshot())),
            Message::Disconnect(number, reply) => {
                let mut players = state.subscribers.iter();
                let player = players.find(|player| player.get_id().pid() == number);
                if let Some(player) = player {
                    drop(player.cast(subscriber::Message::End(PlayEnd::Removed)));
                }
                drop(reply.send(player.is_some()));
            }
            #[cfg(test)]
            Message::Panic => panic!("asked to"),
            #[cfg(test)]
            Message::PanicSubscriber => {
                if let Some(first) = state.subscribers.first() {
                    drop(first.cast(subscriber::Message::Panic));
                }
            }
            #[cfg(test)]
            Message::PanicPublisher => {
                if let Phase::Live(current) = &state.phase {
                    current.peer.post(crate::peer::Command::Panic);
                }
            }
        }
        state.retire_if_idle(&myself);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let gone = match event {
            SupervisionEvent::ActorTerminated(actor, ..) => actor.get_id(),
            SupervisionEvent::ActorFailed(actor, error) => {
                warn!(parent: &state.span, %error, "subscriber failed");
                actor.get_id()
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        state
            .subscribers
            .retain(|subscriber| subscriber.get_id() != gone);
        state.viewers.retain(|viewer| viewer.id != gone);
        state.retire_if_idle(&myself);
        Ok(())
    }
}

impl State {
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
        if limit > 0 && self.subscribers.len() >= limit {
            return Err(Refusal::Full {
                key: self.key.clone(),
                limit,
            });
        }
        let address = request.peer.addr;
        let arguments = subscriber::Arguments {
            context: Arc::clone(&self.context),
            ring: self.ring.clone(),
            fanout: Arc::clone(&self.fanout),
            peer: request.peer,
            message_stream: request.message_stream,
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
        self.viewers.push(Subscribed {
            id: subscriber.get_id(),
            address,
            protocol: "rtmp",
            since: self.context.clock.now() / 1_000_000,
        });
        self.subscribers.push(subscriber.clone());
        if expected {
            let id = subscriber.get_id();
            drop(myself.send_after(wait, move || Message::WaitOver(id)));
        }
        Ok(subscriber)
    }

    fn end(&mut self, myself: &ActorRef<Message>, why: &str) {
        if !matches!(self.phase, Phase::Expected | Phase::Over) {
            info!(parent: &self.span, why, "stream ended");
        }
        self.phase = Phase::Over;
        self.counted = self.context.metrics.stream("ended");
        self.ring.end(EndReason::Ended);
        for subscriber in &self.subscribers {
            drop(subscriber.cast(subscriber::Message::StreamOver));
        }
        // Whoever asks from now on, or waits, gets a new stream.
        drop(
            self.node
                .cast(node::Message::StreamOver(self.key.clone(), myself.get_id())),
        );
        for Waiting { request, reply, .. } in self.waiting.drain(..) {
            let again = node::Message::Publish(self.key.clone(), request, reply);
            drop(self.node.cast(again));
        }
    }

    fn retire_if_idle(&mut self, myself: &ActorRef<Message>) {
        if !self.subscribers.is_empty() || !self.waiting.is_empty() {
            return;
        }
        match self.phase {
            Phase::Expected => {
                let idle =
                    node::Message::StreamIdle(self.key.clone(), myself.get_id(), self.requests);
                drop(self.node.cast(idle));
            }
            Phase::Over => myself.stop(None),
            Phase::Live(_) | Phase::Grace => {}
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Phase::Live(current) = &self.phase {
            current.end("the stream failed on the server; publish again".to_owned());
        }
        self.ring.end(EndReason::Shutdown);
    }
}
