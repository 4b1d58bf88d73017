//! One stream of this node: its ring, its publisher here or its pull from elsewhere, and its players.
//!
//! Started by the [`Node`](crate::node) for the first who asks. Ends when it has no publisher, none
//! is waited for, and its players are gone. Has a packager while somebody asks over HLS. Decides who may publish; never touches a tag.

mod askers;
mod book;
mod claiming;
mod feuds;
mod lending;
mod measured;
mod numbers;
mod over_hls;
mod publishing;
mod pulling;
mod snapshot;
mod standby;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use directory::{Held as DirectoryHeld, StreamRecord};
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
use crate::pull;
use crate::seat::Seat;
use crate::status::{StreamSnapshot, Subscribed};
use crate::subscriber::{self, Subscriber};
use askers::Askers;
pub(crate) use book::Book;
pub(crate) use feuds::Feuds;
use lending::Lent;
pub(crate) use lending::{LendRequest, ReleaseRequest};
pub(crate) use numbers::Numbers;
pub(crate) use over_hls::HlsReply;
use over_hls::Packaged;
use publishing::{Claiming, Current, Newcomer, Waiting};
use pulling::Pulled;
use standby::Standby;

/// What a stream is started with.
pub(crate) struct Arguments {
    pub(crate) key: StreamKey,
    pub(crate) context: Arc<Context>,
    pub(crate) node: ActorRef<node::Message>,
}

/// What a stream is told and asked.
pub(crate) enum Message {
    Publish(PublishRequest, PublishReply),
    /// The directory, or who had the key, has answered to this question.
    Claimed(u64, Option<Result<claiming::Claimed, Refusal>>),
    /// The window of the stream is to be here before the key is.
    WantWindow,
    /// The key is another node's.
    ClaimLost(Option<Arc<DirectoryHeld>>),
    /// The segments of this publish have numbers that the clock has not reached, up to these.
    Outruns(Epoch, hls::LastKnown),
    /// The publisher of this epoch is gone.
    PublisherLeft(Epoch),
    /// Look whether the publisher still sends, for those who wait for its place.
    Look,
    /// Look whether the publisher still sends, for the one that stands by.
    LookForStandby,
    /// The time to come back is over for the publisher of this epoch.
    GraceOver(Epoch),
    Subscribe(SubscribeRequest, SubscribeReply),
    /// Somebody asks over HLS, and nothing is packaged yet.
    Hls(HlsReply),
    /// The longest wait for a first publisher is over for who asked over HLS first.
    HlsWaitOver,
    /// Look whether anybody still asks over HLS.
    LookAtHls,
    /// A packager that failed is started again.
    StartPackager,
    /// The longest wait for a first publisher is over for this player.
    WaitOver(ActorId),
    /// From its pull.
    Pulled(pull::News),
    /// The directory may say something new about it.
    Changed,
    /// Nobody has watched for a while, unless somebody came after so many requests.
    LingerOver(u64),
    /// It is to be there before its first player, or no longer.
    Warm(bool),
    /// Another node wants to pull it.
    Lend(LendRequest),
    /// So many watch at the node with this feed.
    FeedViewers(u64, relay::Viewers),
    /// The node with this feed has left.
    FeedLeft(u64),
    /// Another node wants its key.
    Release(ReleaseRequest),
    /// What there is to say of it in the directory, if it is published here.
    Locate(RpcReplyPort<Option<StreamRecord>>),
    /// The node goes away: others may have the key.
    Draining,
    /// The node has forgotten it, since nobody wants it.
    Retire,
    /// The node has forgotten it, since it is over: nobody is sent here any more.
    Forgotten,
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
    #[cfg(test)]
    PanicPackager,
    /// Gives the next publish its numbers, and goes no further.
    #[cfg(test)]
    Renumber,
}

/// Who wants to publish.
pub(crate) struct PublishRequest {
    pub(crate) peer: Arc<Peer>,
    pub(crate) identity: Option<Identity>,
    /// What the encoder calls itself.
    pub(crate) encoder: String,
}

pub(crate) type PublishReply = RpcReplyPort<Result<Published, Refusal>>;

/// Who wants to play.
pub(crate) struct SubscribeRequest {
    pub(crate) seat: Seat,
    pub(crate) wants: Wants,
}

pub(crate) type SubscribeReply = RpcReplyPort<Result<ActorRef<subscriber::Message>, Refusal>>;

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
    fn new(stream: &ActorRef<Message>, epoch: Epoch) -> Leave {
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

/// Why a publish or a play can't be, in a sentence for the person who asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0} is being published by someone else; stop that encoder, or use another stream key")]
    Occupied(StreamKey),
    #[error(
        "this encoder was just replaced by another one with the same credentials; stop one of the two, or wait a minute"
    )]
    JustReplaced,
    #[error("{0}")]
    Elsewhere(String),
    #[error(
        "{key} was published on the node {node}, which does not answer; try again when its lease has run out, or publish with a token, which takes the stream over at once"
    )]
    Unreachable { key: StreamKey, node: String },
    #[error("this node is an edge, for players; publish to {0}")]
    Edge(String),
    #[error(
        "{0} is not there over HLS, which is off where it is published (hls.mode); play it over RTMP or HTTP-FLV"
    )]
    NotOverHls(StreamKey),
    #[error("too many wait for {0}; try again")]
    TooManyAsk(StreamKey),
    #[error("nobody publishes {0}")]
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
    claiming: Option<Claiming>,
    /// Nodes that want to pull what is being claimed.
    borrowing: Vec<LendRequest>,
    claims: u64,
    /// Those who want to publish while the key is being claimed for another.
    queued: Vec<(PublishRequest, PublishReply)>,
    waiting: Vec<Waiting>,
    evicted: Vec<(IpAddr, Instant)>,
    /// An encoder that is ready to go on for the publisher.
    standby: Option<Standby>,
    /// What the directory says for this node.
    claim: Option<Arc<directory::Claim>>,
    record: Option<StreamRecord>,
    pulled: Option<Pulled>,
    /// Players of whom it is not known yet whether there is anything to play.
    asking: Vec<(SubscribeRequest, SubscribeReply)>,
    lent: Lent,
    /// What is known of the publishes in the ring.
    book: Book,
    /// While somebody asks over HLS.
    hls: Option<Packaged>,
    hls_asking: Askers,
    /// It will be told when the first of them has waited long enough.
    hls_wait_ends: bool,
    looks_at_hls: bool,
    subscribers: Vec<ActorRef<subscriber::Message>>,
    /// What there is to say of them.
    viewers: Vec<Subscribed>,
    warm: bool,
    /// The number of requests at which it became unwatched.
    lingers_since: Option<u64>,
    draining: bool,
    /// The node sends nobody here any more.
    is_forgotten: bool,
    epoch: Option<Epoch>,
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
    /// Another node has it.
    Pulled,
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
        let book = Book::default();
        Ok(State {
            span: info_span!("stream", %key),
            fanout: Arc::new(Fanout::new(ring.clone(), Arc::clone(&context))),
            counted: context.metrics.stream("waiting"),
            key,
            context,
            node,
            ring,
            phase: Phase::Expected,
            claiming: None,
            borrowing: Vec::new(),
            claims: 0,
            queued: Vec::new(),
            waiting: Vec::new(),
            evicted: Vec::new(),
            standby: None,
            claim: None,
            record: None,
            pulled: None,
            asking: Vec::new(),
            lent: Lent::new(book.clone()),
            book,
            hls: None,
            hls_asking: Askers::default(),
            hls_wait_ends: false,
            looks_at_hls: false,
            subscribers: Vec::new(),
            viewers: Vec::new(),
            warm: false,
            lingers_since: None,
            draining: false,
            is_forgotten: false,
            epoch: None,
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
                state.asked_to_publish(&myself, request, reply).await;
            }
            Message::Claimed(claiming, answer) => {
                state.claimed(&myself, claiming, answer).await;
            }
            Message::WantWindow => {
                if state.claiming.is_some() {
                    state.want_window(&myself).await;
                }
            }
            Message::ClaimLost(to) => state.claim_lost(&myself, to).await,
            Message::Outruns(epoch, numbers) => state.outruns(&myself, epoch, numbers),
            Message::PublisherLeft(epoch) => state.publisher_left(&myself, epoch).await,
            Message::Look => state.look(&myself).await,
            Message::LookForStandby => {
                if state.standby.is_some() {
                    // What comes in from there shows whether there is a publisher.
                    state.want_pull(&myself).await;
                }
                state.look_for_standby(&myself);
                state.look_later(&myself);
            }
            Message::GraceOver(epoch) => {
                if matches!(state.phase, Phase::Grace) && state.epoch == Some(epoch) {
                    state.end(&myself, "the publisher did not come back");
                }
            }
            Message::Subscribe(request, reply) => {
                state.requests += 1;
                state.asked_to_subscribe(&myself, request, reply).await;
            }
            Message::Hls(reply) => {
                state.requests += 1;
                state.asked_over_hls(&myself, reply).await;
            }
            // They are answered after each message.
            Message::HlsWaitOver => state.hls_wait_ends = false,
            Message::LookAtHls => state.look_at_hls(&myself).await,
            Message::StartPackager => state.start_packager(&myself).await,
            Message::WaitOver(id) => state.wait_over(id),
            Message::Pulled(news) => state.pulled(&myself, news).await,
            Message::Changed => {
                state.changed();
                state.look_for_standby(&myself);
            }
            Message::LingerOver(requests) => {
                if state.requests == requests && state.is_unwatched() {
                    state.offer_to_retire(&myself);
                }
            }
            Message::Warm(warm) => {
                state.requests += 1;
                state.warm = warm;
                if warm {
                    state.want_pull(&myself).await;
                }
            }
            Message::Lend(request) => {
                state.requests += 1;
                state.lend(&myself, request);
            }
            Message::FeedViewers(feed, viewers) => state.lent.watch(feed, viewers),
            Message::FeedLeft(feed) => state.lent.left(feed),
            Message::Release(request) => {
                state.requests += 1;
                state.asked_to_release(&myself, request).await;
            }
            Message::Locate(reply) => {
                let here = matches!(state.phase, Phase::Live(_) | Phase::Grace);
                drop(reply.send(state.record.clone().filter(|_| here)));
            }
            Message::Draining => {
                state.draining = true;
                let within = state.context.config.node.drain_timeout;
                state.lent.notify(relay::Notice::Draining { within });
            }
            Message::Retire => myself.stop(None),
            Message::Forgotten => state.is_forgotten = true,
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
            #[cfg(test)]
            Message::Renumber => drop(state.renumber(&myself, None)),
            #[cfg(test)]
            Message::PanicPackager => state.panic_packager(),
        }
        state.answer_over_hls(&myself).await;
        state.settle(&myself);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (gone, failed) = match event {
            SupervisionEvent::ActorTerminated(actor, ..) => (actor.get_id(), false),
            SupervisionEvent::ActorFailed(actor, error) => {
                warn!(parent: &state.span, %error, "a part of the stream failed");
                (actor.get_id(), true)
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        if state.pull_is(gone) {
            state.pull_stopped(&myself).await;
        }
        state.packager_gone(&myself, gone, failed);
        let before = state.subscribers.len();
        state
            .subscribers
            .retain(|subscriber| subscriber.get_id() != gone);
        state.viewers.retain(|viewer| viewer.id != gone);
        if state.subscribers.len() != before {
            state.tell_viewers();
            state.tell_players();
        }
        state.settle(&myself);
        Ok(())
    }
}

impl State {
    async fn asked_to_subscribe(
        &mut self,
        myself: &ActorRef<Message>,
        request: SubscribeRequest,
        reply: SubscribeReply,
    ) {
        if matches!(self.phase, Phase::Expected | Phase::Pulled) {
            self.want_pull(myself).await;
            if matches!(self.phase, Phase::Expected) && self.is_looking() {
                return self.asking.push((request, reply));
            }
        }
        let subscribed = self.subscribe(myself, request).await;
        drop(reply.send(subscribed));
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
        if limit > 0 && self.subscribers.len() + self.viewers_over_hls() >= limit {
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
        self.viewers.push(Subscribed {
            id: subscriber.get_id(),
            address,
            format,
            since: self.context.clock.now() / 1_000_000,
        });
        self.subscribers.push(subscriber.clone());
        self.tell_viewers();
        self.tell_players();
        if expected {
            let id = subscriber.get_id();
            drop(myself.send_after(wait, move || Message::WaitOver(id)));
        }
        Ok(subscriber)
    }

    fn wait_over(&self, id: ActorId) {
        if !matches!(self.phase, Phase::Expected) {
            return;
        }
        let mut players = self.subscribers.iter();
        if let Some(player) = players.find(|player| player.get_id() == id) {
            drop(player.cast(subscriber::Message::End(PlayEnd::NeverCame)));
        }
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
        self.pulled = None;
        // Dropped, it is given back.
        self.claim = None;
        // Whoever asks from now on, or waits, gets a new stream.
        drop(
            self.node
                .cast(node::Message::StreamOver(self.key.clone(), myself.clone())),
        );
        for (request, reply) in self.asking.drain(..) {
            let again = node::Message::Subscribe(self.key.clone(), request, reply);
            drop(self.node.cast(again));
        }
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
    fn is_unwatched(&self) -> bool {
        self.subscribers.is_empty()
            && self.asking.is_empty()
            && self.lent.is_empty()
            && self.queued.is_empty()
            && self.waiting.is_empty()
            && self.claiming.is_none()
            && self.standby.is_none()
            && !self.is_watched_over_hls()
            && !self.warm
    }

    /// After each message: a stream that nobody needs goes.
    fn settle(&mut self, myself: &ActorRef<Message>) {
        match self.phase {
            // Who was sent here before is sent back, and what was packaged stays for a while.
            Phase::Over if !self.is_forgotten || self.hls.is_some() => {}
            Phase::Over if self.subscribers.is_empty() && self.waiting.is_empty() => {
                myself.stop(None);
            }
            Phase::Expected if self.is_unwatched() => self.offer_to_retire(myself),
            Phase::Pulled => self.linger(myself),
            Phase::Over | Phase::Expected | Phase::Live(_) | Phase::Grace => {}
        }
    }

    /// The node knows whether another request is on its way.
    fn offer_to_retire(&self, myself: &ActorRef<Message>) {
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
