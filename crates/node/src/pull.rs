//! The feed of a stream from the node that publishes it.
//!
//! Started by its [`Stream`](crate::stream) when somebody here wants what is published elsewhere. It finds out who
//! has the stream, pulls it, and goes on from node to node for as long as it is wanted. What comes in goes straight
//! into the ring; the stream hears what it has to know ([`News`]).

mod clocks;
mod feed;
mod find;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use media::{Epoch, Ring, StreamKey};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use relay::{About, Viewers};
use tokio::sync::{Notify, watch};
use tracing::Span;

use crate::context::Context;
use crate::pump::Pump;
use crate::stream::{self, Book};
pub(crate) use clocks::Clocks;
use feed::Feed;

/// What a pull is started with.
pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) key: StreamKey,
    pub(crate) ring: Ring,
    /// For what the origin says of what comes in.
    pub(crate) book: Book,
    pub(crate) stream: ActorRef<stream::Message>,
    /// Somebody has the stream, though the directory may not have heard of it yet.
    pub(crate) is_known: bool,
    pub(crate) span: Span,
}

/// What a pull is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// The directory may say something new about the stream.
    Look,
    /// So many watch here.
    Viewers(Viewers),
    /// Its pump ended; `None` after a panic.
    PumpEnded(Option<()>),
}

/// What the stream has to know of its pull.
#[derive(Debug)]
pub(crate) enum News {
    /// Somebody has the stream.
    Found,
    /// Nobody has it.
    Nobody,
    /// It comes in.
    Began(Box<Began>),
    /// It no longer does; the pull looks for who has it now.
    Lost,
    /// It is over.
    Ended(&'static str),
}

/// A feed that comes in.
#[derive(Debug)]
pub(crate) struct Began {
    pub(crate) epoch: Epoch,
    /// From there.
    pub(crate) node: String,
    pub(crate) about: About,
}

/// The actor.
pub(crate) struct Pull;

/// A pull's state.
pub(crate) struct State {
    look: Arc<Notify>,
    viewers: watch::Sender<Viewers>,
    _pump: Pump,
}

impl Actor for Pull {
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
            key,
            ring,
            book,
            stream,
            is_known,
            span,
        } = arguments;
        let look = Arc::new(Notify::new());
        let (viewers, watched) = watch::channel(Viewers::default());
        let feed = Feed::new(
            context,
            key,
            (ring, book),
            stream,
            Arc::clone(&look),
            watched,
        );
        let feed = if is_known { feed.of_known() } else { feed };
        let pump = Pump::reporting(
            tracing::Instrument::instrument(feed.run(), span),
            move |end| {
                drop(myself.cast(Message::PumpEnded(end)));
            },
        );
        Ok(State {
            look,
            viewers,
            _pump: pump,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Look => state.look.notify_one(),
            Message::Viewers(viewers) => drop(state.viewers.send_replace(viewers)),
            Message::PumpEnded(Some(())) => myself.stop(None),
            Message::PumpEnded(None) => return Err("the pull panicked".into()),
        }
        Ok(())
    }
}
