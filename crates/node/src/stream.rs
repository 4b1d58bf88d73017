//! One stream of this node: its ring, its publisher and its players.
//!
//! Started by the [`Node`](crate::node) for the first who asks. Ends when it has no publisher, none
//! is waited for, and its players are gone. Decides who may publish; never touches a tag.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{EndReason, Epoch, Publisher, Ring, StreamKey};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tracing::{Span, info, info_span, warn};

use crate::auth::Identity;
use crate::config::OnConflict;
use crate::context::Context;
use crate::fanout::Fanout;
use crate::metrics::Held;
use crate::node;
use crate::peer::{Command, Peer, PlayEnd};
use crate::subscriber::{self, Subscriber};

/// How often a publisher that is being asked for its place is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// An evicted publisher may not evict back for this long: two encoders that share a key must not fight for ever.
const NO_REVENGE: Duration = Duration::from_secs(10);
/// So many publishers may wait for one that could be gone.
const MAX_WAITING: usize = 8;

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
    pub(crate) message_stream: u32,
    pub(crate) identity: Option<Identity>,
}

/// Who wants to play.
pub(crate) struct SubscribeRequest {
    pub(crate) peer: Arc<Peer>,
    pub(crate) message_stream: u32,
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

/// The publisher of the moment.
struct Current {
    epoch: Epoch,
    peer: Arc<Peer>,
    message_stream: u32,
    identity: Option<Identity>,
    since: i64,
    _counted: Held,
}

/// A publisher that waits to see whether the present one is gone.
struct Waiting {
    request: PublishRequest,
    reply: RpcReplyPort<Result<Published, Refusal>>,
    asked: i64,
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
                let subscribed = state.subscribe(&myself, request).await?;
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
                    current.peer.post(Command::Panic);
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
        state.retire_if_idle(&myself);
        Ok(())
    }
}

impl State {
    fn asked_to_publish(
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
    fn look(&mut self, myself: &ActorRef<Message>) {
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
            let Waiting { request, reply, .. } = self.waiting.remove(0);
            self.begin(myself, request, reply);
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
            message_stream: request.message_stream,
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

    fn publisher_left(&mut self, myself: &ActorRef<Message>, epoch: Epoch) {
        match &self.phase {
            Phase::Live(current) if current.epoch == epoch => {}
            // Of one that was replaced.
            _ => return,
        }
        info!(parent: &self.span, epoch = epoch.number, "publisher left");
        self.phase = Phase::Grace;
        self.counted = self.context.metrics.stream("waiting");
        if !self.waiting.is_empty() {
            let Waiting { request, reply, .. } = self.waiting.remove(0);
            return self.begin(myself, request, reply);
        }
        drop(
            myself.send_after(self.context.config.publish.grace, move || {
                Message::GraceOver(epoch)
            }),
        );
    }

    async fn subscribe(
        &mut self,
        myself: &ActorRef<Message>,
        request: SubscribeRequest,
    ) -> Result<Result<ActorRef<subscriber::Message>, Refusal>, ActorProcessingErr> {
        let wait = self.context.config.play.wait;
        let expected = matches!(self.phase, Phase::Expected);
        if matches!(self.phase, Phase::Over) || expected && wait.is_zero() {
            return Ok(Err(Refusal::NotFound(self.key.clone())));
        }
        let limit = self.context.config.limits.viewers_per_stream;
        if limit > 0 && self.subscribers.len() >= limit {
            return Ok(Err(Refusal::Full {
                key: self.key.clone(),
                limit,
            }));
        }
        let arguments = subscriber::Arguments {
            context: Arc::clone(&self.context),
            ring: self.ring.clone(),
            fanout: Arc::clone(&self.fanout),
            peer: request.peer,
            message_stream: request.message_stream,
        };
        let (subscriber, _) =
            Actor::spawn_linked(None, Subscriber, arguments, myself.get_cell()).await?;
        self.subscribers.push(subscriber.clone());
        if expected {
            let id = subscriber.get_id();
            drop(myself.send_after(wait, move || Message::WaitOver(id)));
        }
        Ok(Ok(subscriber))
    }

    fn end(&mut self, myself: &ActorRef<Message>, why: &str) {
        if !matches!(self.phase, Phase::Expected | Phase::Over) {
            info!(parent: &self.span, why, "stream ended");
        }
        self.phase = Phase::Over;
        self.counted = self.context.metrics.stream("ended");
        self.ring.end(EndReason::Ended);
        // Whoever asks from now on gets a new stream.
        drop(
            self.node
                .cast(node::Message::StreamOver(self.key.clone(), myself.get_id())),
        );
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

impl Current {
    fn end(&self, why: String) {
        self.peer.post(Command::EndPublish {
            stream_id: self.message_stream,
            why,
        });
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
