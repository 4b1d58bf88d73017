//! The root of a node's actors.
//!
//! Starts listeners, opens connections and streams, and outlives each of them. Every request for a
//! stream passes here, so that there is one stream to a key, and none is closed while a request is on its way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use media::StreamKey;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tracing::{error, info, warn};

use crate::connection::{self, Accepted, Connection};
use crate::context::Context;
use crate::listener::{self, Endpoint, Listener};
use crate::pump::Pump;
use crate::stream::{self, PublishRequest, Published, Refusal, Stream, SubscribeRequest};
use crate::subscriber;

/// A listener that fails so often within [`RESTART_WINDOW`] is given up.
const RESTARTS: u32 = 10;
const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// The first pause before a listener is started again; it doubles.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// So short that the restarts allowed fit into the window.
const MAX_RESTART_PAUSE: Duration = Duration::from_secs(5);

/// What the node is told and asked.
pub(crate) enum Message {
    /// A listener accepted a peer.
    Accepted(Accepted),
    Publish(
        StreamKey,
        PublishRequest,
        RpcReplyPort<Result<Published, Refusal>>,
    ),
    Subscribe(
        StreamKey,
        SubscribeRequest,
        RpcReplyPort<Result<ActorRef<subscriber::Message>, Refusal>>,
    ),
    /// A stream ended; its key is free.
    StreamOver(StreamKey, ActorId),
    /// Nobody wants a stream, after so many requests.
    StreamIdle(StreamKey, ActorId, u64),
    StopStream(StreamKey, String),
    StartListener(usize),
    Streams(RpcReplyPort<usize>),
    /// All streams there are.
    Snapshots(RpcReplyPort<Vec<ActorRef<stream::Message>>>),
    /// The stream of a key, if there is one.
    Find(StreamKey, RpcReplyPort<Option<ActorRef<stream::Message>>>),
    /// Whether all listeners run.
    Listening(RpcReplyPort<bool>),
    /// Takes no new work, and asks all peers to leave.
    Drain(RpcReplyPort<()>),
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
    pub(crate) endpoints: Vec<Endpoint>,
}

/// The actor.
pub(crate) struct Node;

/// The node's state.
pub(crate) struct State {
    context: Arc<Context>,
    streams: HashMap<StreamKey, Entry>,
    connections: HashMap<ActorId, ActorRef<connection::Message>>,
    listeners: Vec<Watched>,
    draining: bool,
    _pace: Pump,
}

struct Entry {
    stream: ActorRef<stream::Message>,
    requests: u64,
    /// Only players have asked for it so far. Counted apart, so that players who wait for streams that
    /// nobody publishes leave the publishers their room.
    expected: bool,
}

/// A listener and how often it had to be started.
struct Watched {
    endpoint: Endpoint,
    actor: Option<ActorRef<listener::Message>>,
    failures: u32,
    first_failure: std::time::Instant,
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
        let Arguments { context, endpoints } = arguments;
        let mut state = State {
            _pace: Pump::spawn(follow_load(Arc::clone(&context))),
            context,
            streams: HashMap::new(),
            connections: HashMap::new(),
            listeners: Vec::new(),
            draining: false,
        };
        for endpoint in endpoints {
            state.listeners.push(Watched {
                endpoint,
                actor: None,
                failures: 0,
                first_failure: std::time::Instant::now(),
            });
        }
        for index in 0..state.listeners.len() {
            state.start_listener(&myself, index).await?;
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
                match state.stream(&myself, key, false).await {
                    Ok(stream) => drop(stream.cast(stream::Message::Publish(request, reply))),
                    Err(refusal) => drop(reply.send(Err(refusal))),
                }
            }
            Message::Subscribe(key, request, reply) => {
                let waits = !state.context.config.play.wait.is_zero();
                let stream = if waits || state.streams.contains_key(&key) {
                    state.stream(&myself, key, true).await
                } else {
                    Err(Refusal::NotFound(key))
                };
                match stream {
                    Ok(stream) => drop(stream.cast(stream::Message::Subscribe(request, reply))),
                    Err(refusal) => drop(reply.send(Err(refusal))),
                }
            }
            Message::StreamOver(key, id) => {
                if state
                    .streams
                    .get(&key)
                    .is_some_and(|entry| entry.stream.get_id() == id)
                {
                    state.streams.remove(&key);
                }
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
            Message::StartListener(index) => {
                if !state.draining
                    && let Err(error) = state.start_listener(&myself, index).await
                {
                    warn!(%error, "listener not restarted");
                    state.listener_failed(&myself, index);
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
                let all = state
                    .listeners
                    .iter()
                    .all(|watched| watched.actor.is_some());
                drop(reply.send(all));
            }
            Message::Connections(reply) => drop(reply.send(state.connections.len())),
            Message::Drain(reply) => {
                state.drain();
                drop(reply.send(()));
            }
            #[cfg(test)]
            Message::ToStream(key, message) => {
                if let Some(entry) = state.streams.get(&key) {
                    drop(entry.stream.cast(message));
                }
            }
            #[cfg(test)]
            Message::PanicListener => {
                for listener in state
                    .listeners
                    .iter()
                    .filter_map(|watched| watched.actor.as_ref())
                {
                    drop(listener.cast(listener::Message::PumpEnded));
                }
            }
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
        state
            .streams
            .retain(|_, entry| entry.stream.get_id() != gone);
        let listener = state.listeners.iter().position(|watched| {
            watched
                .actor
                .as_ref()
                .is_some_and(|actor| actor.get_id() == gone)
        });
        if let Some(index) = listener
            && !state.draining
        {
            state.listener_failed(&myself, index);
        }
        Ok(())
    }
}

impl State {
    async fn connect(&mut self, myself: &ActorRef<Message>, accepted: Accepted) {
        if self.draining {
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

    /// The stream of a key, opened if there is none.
    async fn stream(
        &mut self,
        myself: &ActorRef<Message>,
        key: StreamKey,
        expected: bool,
    ) -> Result<ActorRef<stream::Message>, Refusal> {
        if self.draining {
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

    async fn start_listener(
        &mut self,
        myself: &ActorRef<Message>,
        index: usize,
    ) -> Result<(), ActorProcessingErr> {
        let Some(watched) = self.listeners.get_mut(index) else {
            return Ok(());
        };
        let arguments = listener::Arguments {
            context: Arc::clone(&self.context),
            node: myself.clone(),
            endpoint: watched.endpoint.clone(),
        };
        let (actor, _) = Actor::spawn_linked(None, Listener, arguments, myself.get_cell()).await?;
        watched.actor = Some(actor);
        Ok(())
    }

    /// Starts a failed listener again after a pause, unless it fails all the time.
    fn listener_failed(&mut self, myself: &ActorRef<Message>, index: usize) {
        let Some(watched) = self.listeners.get_mut(index) else {
            return;
        };
        watched.actor = None;
        if watched.first_failure.elapsed() > RESTART_WINDOW {
            watched.failures = 0;
        }
        if watched.failures == 0 {
            watched.first_failure = std::time::Instant::now();
        }
        watched.failures += 1;
        if watched.failures > RESTARTS {
            error!(address = %watched.endpoint.address(), "listener given up: it failed too often");
            return myself.stop(Some("a listener failed too often".to_owned()));
        }
        let pause = (RESTART_PAUSE * 2u32.pow(watched.failures - 1)).min(MAX_RESTART_PAUSE);
        drop(myself.send_after(pause, move || Message::StartListener(index)));
    }

    fn drain(&mut self) {
        self.draining = true;
        self.context.metrics.draining(true);
        info!(
            connections = self.connections.len(),
            streams = self.streams.len(),
            "draining"
        );
        // With its socket, so that who connects from now on is refused and looks elsewhere.
        for watched in self.listeners.drain(..) {
            if let Some(actor) = watched.actor {
                actor.stop(None);
            }
        }
        for connection in self.connections.values() {
            drop(connection.cast(connection::Message::Drain));
        }
    }
}

async fn follow_load(context: Arc<Context>) {
    let follow = context.pace.clone().follow();
    let report = async {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            context
                .metrics
                .headroom((1.0 - context.pace.busy()).max(0.0));
        }
    };
    tokio::join!(follow, report);
}
