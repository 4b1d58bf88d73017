//! One stream of this node: its ring, its publisher here or its pull from elsewhere, and its players.
//!
//! Started by the [`Node`](crate::node) for the first who asks. Ends when it has no publisher, none
//! is waited for, and its players are gone. Has a packager while somebody asks over HLS. Decides who may publish; never touches a tag.

mod askers;
mod book;
mod claiming;
mod conflict;
mod ending;
mod feuds;
mod lending;
mod measured;
mod message;
mod numbers;
mod on_air;
mod over_hls;
mod players;
mod publishing;
mod pulling;
mod refusal;
mod snapshot;
mod standby;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use directory::StreamRecord;
use media::{Epoch, Ring, StreamKey};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tracing::{Span, info_span, warn};

use crate::context::Context;
use crate::fanout::Fanout;
use crate::metrics::Held;
use crate::node;
use askers::Askers;
pub(crate) use book::Book;
use conflict::Waiting;
pub(crate) use feuds::Feuds;
use lending::Lent;
pub(crate) use lending::{LendRequest, ReleaseRequest};
pub(crate) use message::Message;
pub(crate) use numbers::Numbers;
pub(crate) use over_hls::HlsReply;
use over_hls::Packaged;
use players::Players;
pub(crate) use players::{SubscribeReply, SubscribeRequest};
use publishing::{Claiming, Current};
pub(crate) use publishing::{Leave, PublishReply, PublishRequest, Published};
use pulling::Pulled;
pub(crate) use refusal::Refusal;
use standby::Standby;

/// What a stream is started with.
pub(crate) struct Arguments {
    pub(crate) key: StreamKey,
    pub(crate) context: Arc<Context>,
    pub(crate) node: ActorRef<node::Message>,
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
    players: Players,
    lent: Lent,
    /// What is known of the publishes in the ring.
    book: Book,
    /// While somebody asks over HLS.
    hls: Option<Packaged>,
    hls_asking: Askers,
    /// It will be told when the first of them has waited long enough.
    hls_wait_ends: bool,
    looks_at_hls: bool,
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
        let hls_asking = Askers::new(context.config.hls.asking);
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
            players: Players::default(),
            lent: Lent::new(book.clone()),
            book,
            hls: None,
            hls_asking,
            hls_wait_ends: false,
            looks_at_hls: false,
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
                drop(reply.send(state.disconnect(number)));
            }
            #[cfg(test)]
            Message::Panic => panic!("asked to"),
            #[cfg(test)]
            Message::PanicSubscriber => {
                if let Some(first) = state.players.first() {
                    drop(first.cast(crate::subscriber::Message::Panic));
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
        state.player_gone(gone);
        state.settle(&myself);
        Ok(())
    }
}
