//! The root of a node's actors.
//!
//! Starts its parts, opens connections and streams, and outlives each of them. Every request for a
//! stream passes here, so that there is one stream to a key, and none is closed while a request is on its way.

mod absent;
mod drain;
mod parts;
mod warm;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use directory::{Held, StreamRecord};
use media::StreamKey;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use relay::{Refusal as No, RefusalCode};
use tracing::{error, warn};

use crate::config::Role;
use crate::connection::{self, Accepted, Connection, Speaks};
use crate::context::Context;
use crate::pump::Pump;
use crate::stream::{
    self, HlsReply, LendRequest, PublishReply, PublishRequest, Refusal, ReleaseRequest, Stream,
    SubscribeReply, SubscribeRequest,
};
use absent::Absent;
pub(crate) use parts::Part;
use parts::Watched;

/// What the node is told and asked.
pub(crate) enum Message {
    /// A listener accepted a peer.
    Accepted(Accepted),
    Publish(StreamKey, PublishRequest, PublishReply),
    Subscribe(StreamKey, SubscribeRequest, SubscribeReply),
    /// Somebody asks over HLS for a stream that is not packaged here yet.
    Hls(StreamKey, HlsReply),
    /// Another node wants to pull a stream from here.
    Lend(LendRequest),
    /// Another node wants a key.
    Release(ReleaseRequest),
    /// What there is to say of the stream in the directory, if it is published here.
    Locate(StreamKey, RpcReplyPort<Option<StreamRecord>>),
    /// The directory says something new about the stream.
    StreamChanged(StreamKey),
    /// A key of this node is another's.
    ClaimLost(StreamKey, Option<Arc<Held>>),
    /// Nodes came or went, or other streams are to be warm.
    NodesChanged,
    /// What could not be kept warm is tried again.
    WarmUp,
    /// The directory may say something new about anything.
    AnythingChanged,
    /// A stream was looked for in vain.
    NotThere(StreamKey),
    /// A stream ended; its key is free.
    StreamOver(StreamKey, ActorRef<stream::Message>),
    /// Nobody wants a stream, after so many requests.
    StreamIdle(StreamKey, ActorId, u64),
    StopStream(StreamKey, String),
    StartPart(usize),
    Streams(RpcReplyPort<usize>),
    /// All streams there are.
    Snapshots(RpcReplyPort<Vec<ActorRef<stream::Message>>>),
    /// The stream of a key, if there is one.
    Find(StreamKey, RpcReplyPort<Option<ActorRef<stream::Message>>>),
    /// Whether all parts run.
    Listening(RpcReplyPort<bool>),
    /// Is about to leave: says so, and goes on for a while.
    Drain,
    /// Takes no new work, and asks all peers to leave.
    Leave,
    /// The time to leave is over: closes whoever is still there.
    LeaveNow,
    /// Whether everybody has left.
    HasLeft(RpcReplyPort<bool>),
    /// How many connections there are.
    Connections(RpcReplyPort<usize>),
    #[cfg(test)]
    ToStream(StreamKey, stream::Message),
    #[cfg(test)]
    PanicListener,
}

/// What the node is started with.
pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) parts: Vec<Part>,
}

/// The actor.
pub(crate) struct Node;

/// The node's state.
pub(crate) struct State {
    context: Arc<Context>,
    streams: HashMap<StreamKey, Entry>,
    connections: HashMap<ActorId, ActorRef<connection::Message>>,
    parts: Vec<Watched>,
    absent: Absent,
    /// What is kept here before its first player.
    warm: HashSet<StreamKey>,
    /// Those that should be, too, and cannot.
    not_warm: HashSet<StreamKey>,
    /// It will be tried again in a while.
    warms_later: bool,
    /// Others have been told that this node leaves.
    draining: bool,
    /// It takes no new work.
    leaving: bool,
    _pace: Pump,
}

struct Entry {
    stream: ActorRef<stream::Message>,
    requests: u64,
    /// Only players have asked for it so far. Counted apart, so that players who wait for streams that
    /// nobody publishes leave the publishers their room.
    expected: bool,
}

impl Actor for Node {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { context, parts } = arguments;
        let pull = &context.config.pull;
        let mut state = State {
            _pace: Pump::spawn(follow_load(Arc::clone(&context))),
            absent: Absent::new(pull.negative_ttl, pull.negative_keys),
            context,
            streams: HashMap::new(),
            connections: HashMap::new(),
            parts: parts.into_iter().map(Watched::new).collect(),
            warm: HashSet::new(),
            not_warm: HashSet::new(),
            warms_later: false,
            draining: false,
            leaving: false,
        };
        for index in 0..state.parts.len() {
            state.start_part(&myself, index).await?;
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Accepted(accepted) => state.connect(&myself, accepted).await,
            Message::Publish(key, request, reply) => {
                state.publish(&myself, key, request, reply).await;
            }
            Message::Subscribe(key, request, reply) => {
                state.subscribe(&myself, key, request, reply).await;
            }
            Message::Hls(key, reply) => match state.for_players(&myself, key).await {
                Ok(stream) => drop(stream.cast(stream::Message::Hls(reply))),
                Err(refusal) => drop(reply.send(Err(refusal))),
            },
            Message::Lend(request) => match state.known(&request.subscribe.key) {
                Some(stream) => drop(stream.cast(stream::Message::Lend(request))),
                None => {
                    let sentence = format!("{} is not here", request.subscribe.key);
                    let no = No::new(RefusalCode::NotFound, sentence);
                    drop(request.reply.send(Err(no)));
                }
            },
            Message::Release(request) => match state.known(&request.release.key) {
                Some(stream) => drop(stream.cast(stream::Message::Release(request))),
                None => request.free(None),
            },
            Message::Locate(key, reply) => match state.streams.get(&key) {
                Some(entry) => drop(entry.stream.cast(stream::Message::Locate(reply))),
                None => drop(reply.send(None)),
            },
            Message::StreamChanged(key) => {
                state.absent.forget(&key);
                if let Some(held) = state.context.membership.directory.lookup(&key) {
                    let context = &state.context;
                    context.hls.make_way(&key, held.record.epoch);
                    let told = &held.record.numbering;
                    let used = hls::LastKnown {
                        msn: told.media_sequence,
                        discontinuity: told.discontinuity_sequence,
                    };
                    context.numbers.note(&key, used, context.clock.now());
                }
                if let Some(entry) = state.streams.get(&key) {
                    drop(entry.stream.cast(stream::Message::Changed));
                }
            }
            Message::ClaimLost(key, to) => {
                if let Some(entry) = state.streams.get(&key) {
                    drop(entry.stream.cast(stream::Message::ClaimLost(to)));
                }
            }
            Message::NodesChanged => state.warm_up(&myself).await,
            Message::WarmUp => {
                state.warms_later = false;
                state.warm_up(&myself).await;
            }
            Message::AnythingChanged => {
                state.absent.forget_all();
                for (key, entry) in &state.streams {
                    drop(entry.stream.cast(stream::Message::Changed));
                    // Should it be lost, that may have been missed; the stream looks whether it is.
                    let held = state.context.membership.directory.lookup(key);
                    drop(entry.stream.cast(stream::Message::ClaimLost(held)));
                }
                state.warm_up(&myself).await;
            }
            Message::NotThere(key) => state.absent.insert(key, Instant::now()),
            Message::StreamOver(key, stream) => {
                let id = stream.get_id();
                if state
                    .streams
                    .get(&key)
                    .is_some_and(|entry| entry.stream.get_id() == id)
                {
                    state.streams.remove(&key);
                    state.warm_up_again(&myself, &key).await;
                }
                drop(stream.cast(stream::Message::Forgotten));
            }
            Message::StreamIdle(key, id, requests) => {
                let same =
                    |entry: &Entry| entry.stream.get_id() == id && entry.requests == requests;
                if state.streams.get(&key).is_some_and(same)
                    && let Some(entry) = state.streams.remove(&key)
                {
                    drop(entry.stream.cast(stream::Message::Retire));
                }
            }
            Message::StopStream(key, why) => {
                if let Some(entry) = state.streams.get(&key) {
                    drop(entry.stream.cast(stream::Message::Stop(why)));
                }
            }
            Message::StartPart(index) => {
                if !state.leaving
                    && let Err(error) = state.start_part(&myself, index).await
                {
                    warn!(%error, "not started again");
                    state.part_failed(&myself, index);
                }
            }
            Message::Streams(reply) => drop(reply.send(state.streams.len())),
            Message::Snapshots(reply) => {
                let streams = state.streams.values();
                drop(reply.send(streams.map(|entry| entry.stream.clone()).collect()));
            }
            Message::Find(key, reply) => {
                let found = state.streams.get(&key);
                drop(reply.send(found.map(|entry| entry.stream.clone())));
            }
            Message::Listening(reply) => {
                let all = state.parts.iter().all(Watched::runs);
                drop(reply.send(all));
            }
            Message::Connections(reply) => drop(reply.send(state.connections.len())),
            Message::Drain => state.drain(&myself),
            Message::Leave => state.leave(&myself),
            Message::LeaveNow => state.leave_now(),
            Message::HasLeft(reply) => drop(reply.send(state.has_left())),
            #[cfg(test)]
            Message::ToStream(key, message) => {
                if let Some(entry) = state.streams.get(&key) {
                    drop(entry.stream.cast(message));
                }
            }
            #[cfg(test)]
            Message::PanicListener => state.parts.iter().for_each(Watched::fail),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (gone, failure) = match event {
            SupervisionEvent::ActorTerminated(actor, ..) => (actor.get_id(), None),
            SupervisionEvent::ActorFailed(actor, error) => (actor.get_id(), Some(error)),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        if let Some(error) = &failure {
            error!(%error, "an actor failed");
        }
        if state.connections.remove(&gone).is_some() {
            return Ok(());
        }
        // A stream that ended well has said so before; one that failed frees its key here.
        let mut is_gone = state
            .streams
            .extract_if(|_, entry| entry.stream.get_id() == gone);
        let failed = is_gone.next().map(|(key, _)| key);
        drop(is_gone);
        if let Some(key) = failed {
            state.warm_up_failed(&myself, &key);
        }
        let part = state.parts.iter().position(|part| part.is(gone));
        if let Some(index) = part
            && !state.leaving
        {
            state.part_failed(&myself, index);
        }
        Ok(())
    }
}

impl State {
    async fn connect(&mut self, myself: &ActorRef<Message>, accepted: Accepted) {
        // Who comes with a wish is told that it cannot be; others find nobody who listens.
        if self.leaving && matches!(accepted.speaks, Speaks::Rtmp) {
            return;
        }
        let arguments = connection::Arguments {
            context: Arc::clone(&self.context),
            node: myself.clone(),
            accepted,
        };
        match Actor::spawn_linked(None, Connection, arguments, myself.get_cell()).await {
            Ok((connection, _)) => {
                self.connections.insert(connection.get_id(), connection);
            }
            Err(error) => warn!(%error, "connection not started"),
        }
    }

    async fn publish(
        &mut self,
        myself: &ActorRef<Message>,
        key: StreamKey,
        request: PublishRequest,
        reply: PublishReply,
    ) {
        if self.context.config.node.role == Role::Edge {
            let origins = self.context.membership.origins();
            return drop(reply.send(Err(Refusal::Edge(origins))));
        }
        if self.draining {
            return drop(reply.send(Err(Refusal::Draining)));
        }
        match self.stream(myself, key, false).await {
            Ok(stream) => drop(stream.cast(stream::Message::Publish(request, reply))),
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    async fn subscribe(
        &mut self,
        myself: &ActorRef<Message>,
        key: StreamKey,
        request: SubscribeRequest,
        reply: SubscribeReply,
    ) {
        match self.for_players(myself, key).await {
            Ok(stream) => drop(stream.cast(stream::Message::Subscribe(request, reply))),
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    /// The stream of a key that somebody wants to watch, unless it is known that nobody publishes it.
    async fn for_players(
        &mut self,
        myself: &ActorRef<Message>,
        key: StreamKey,
    ) -> Result<ActorRef<stream::Message>, Refusal> {
        let waits = !self.context.config.play.wait.is_zero();
        let is_alone = self.context.membership.relay.is_none();
        let may_be = waits || !is_alone && !self.absent.holds(&key, Instant::now());
        if may_be || self.streams.contains_key(&key) {
            return self.stream(myself, key, true).await;
        }
        if !is_alone {
            self.context.metrics.known_absent();
        }
        Err(Refusal::NotFound(key))
    }

    /// The stream of a key if there is one, for a request that is about to be put to it.
    fn known(&mut self, key: &StreamKey) -> Option<ActorRef<stream::Message>> {
        let entry = self.streams.get_mut(key)?;
        entry.requests += 1;
        Some(entry.stream.clone())
    }

    /// The stream of a key, opened if there is none.
    async fn stream(
        &mut self,
        myself: &ActorRef<Message>,
        key: StreamKey,
        expected: bool,
    ) -> Result<ActorRef<stream::Message>, Refusal> {
        if self.leaving {
            return Err(Refusal::Draining);
        }
        if let Some(entry) = self.streams.get_mut(&key) {
            entry.requests += 1;
            entry.expected &= expected;
            return Ok(entry.stream.clone());
        }
        let limit = self.context.config.limits.streams;
        let alike = self
            .streams
            .values()
            .filter(|entry| entry.expected == expected)
            .count();
        if limit > 0 && alike >= limit {
            return Err(Refusal::TooManyStreams { limit });
        }
        let arguments = stream::Arguments {
            key: key.clone(),
            context: Arc::clone(&self.context),
            node: myself.clone(),
        };
        match Actor::spawn_linked(None, Stream, arguments, myself.get_cell()).await {
            Ok((stream, _)) => {
                if self.draining {
                    drop(stream.cast(stream::Message::Draining));
                }
                self.streams.insert(
                    key,
                    Entry {
                        stream: stream.clone(),
                        requests: 1,
                        expected,
                    },
                );
                Ok(stream)
            }
            Err(error) => {
                error!(%error, "stream not started");
                Err(Refusal::NotFound(key))
            }
        }
    }
}

async fn follow_load(context: Arc<Context>) {
    let pace = context.pace.clone().follow();
    let headroom = context.headroom.follow(&context.metrics);
    tokio::join!(pace, headroom);
}
