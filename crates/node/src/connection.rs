//! One connected peer, encoder or player.
//!
//! Started by the [`Node`](crate::node) for a socket that a listener accepted. Ends when its pump
//! does; never restarted, since the peer comes back. The pump speaks the protocol and waits for the
//! socket; this actor is how others reach it, and what they see of its end.

mod ending;
mod flv;
pub(crate) mod play;
mod rtmp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::{debug, info_span};

use crate::admission::{Over, Permit};
use crate::context::Context;
use crate::metrics::Held;
use crate::node;
use crate::peer::{Command, Moves, Peer};
use crate::pump::Pump;
use crate::transport::Transport;
use crate::watch::Wish;

/// A peer that a listener accepted, or that came with what it wants to watch.
pub(crate) struct Accepted {
    pub(crate) transport: Transport,
    pub(crate) addr: SocketAddr,
    pub(crate) protocol: &'static str,
    pub(crate) permit: Permit,
    /// It is over a limit, and this is what it is told.
    pub(crate) refusal: Option<Over>,
    pub(crate) speaks: Speaks,
}

/// What a peer speaks.
pub(crate) enum Speaks {
    Rtmp,
    /// Nothing more: it has said already what it wants.
    Wish(Box<Wish>),
}

/// What a connection is started with.
pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) node: ActorRef<node::Message>,
    pub(crate) accepted: Accepted,
}

/// What a connection is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Its pump ended; `None` after a panic.
    PumpEnded(Option<End>),
    /// The node goes away: it should connect elsewhere, a player after this.
    Drain { within: Duration },
    /// The moment of a player has come.
    Go,
    /// The node is about to be gone: says goodbye and closes.
    Close,
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer closed.
    Left,
    /// It was closed, with a reason it was told.
    Refused,
    /// It broke the protocol or a limit of it.
    Protocol,
    /// It was silent for too long.
    TimedOut,
    /// The socket failed.
    Socket,
    /// We closed.
    Closed,
}

impl End {
    fn label(self) -> &'static str {
        match self {
            End::Left => "left",
            End::Refused => "refused",
            End::Protocol => "protocol",
            End::TimedOut => "timeout",
            End::Socket => "socket",
            End::Closed => "closed",
        }
    }
}

/// The actor.
pub(crate) struct Connection;

/// A connection's state.
pub(crate) struct State {
    context: Arc<Context>,
    peer: Arc<Peer>,
    protocol: &'static str,
    since: Instant,
    /// How it ends: by us, also in a panic, unless its pump says otherwise.
    end: End,
    _pump: Pump,
    _permit: Permit,
    _counted: Held,
}

impl Actor for Connection {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments {
            context,
            node,
            accepted,
        } = arguments;
        let Accepted {
            transport,
            addr,
            protocol,
            permit,
            refusal,
            speaks,
        } = accepted;
        let peer = Arc::new(Peer::new(addr, transport));
        let span = info_span!("connection", peer = %addr, protocol);
        let report = move |end| drop(myself.cast(Message::PumpEnded(end)));
        let (shared, its) = (Arc::clone(&context), Arc::clone(&peer));
        let pump = match speaks {
            Speaks::Rtmp => {
                let refusal = refusal.map(|over| over.to_string());
                let conversation = rtmp::Conversation::new(shared, node, its, refusal, span);
                Pump::reporting(conversation.run(), report)
            }
            Speaks::Wish(wish) => {
                let player = flv::Player::new(shared, node, its, wish.format, span);
                Pump::reporting(player.run(wish, refusal), report)
            }
        };
        Ok(State {
            _counted: context.metrics.connection(protocol),
            context,
            peer,
            protocol,
            since: Instant::now(),
            end: End::Closed,
            _pump: pump,
            _permit: permit,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::PumpEnded(Some(end)) => {
                state.end = end;
                debug!(
                    peer = %state.peer.addr,
                    end = end.label(),
                    seconds = state.since.elapsed().as_secs(),
                    media_bytes_out = state.peer.sent(),
                    "disconnected"
                );
                myself.stop(None);
            }
            Message::PumpEnded(None) => return Err("the conversation panicked".into()),
            Message::Drain { within } => {
                state.peer.post(Command::Move(Moves::Encoder));
                drop(myself.send_after(within, || Message::Go));
            }
            Message::Go => state.peer.post(Command::Move(Moves::Player)),
            Message::Close => state.peer.post(Command::Move(Moves::All)),
        }
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let metrics = &self.context.metrics;
        metrics.disconnected(self.protocol, self.end.label());
        // Others may hold the peer a moment longer; the socket closes now.
        self.peer.transport.shutdown();
    }
}
