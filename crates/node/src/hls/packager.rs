//! Packages one stream for viewers over HLS.
//!
//! Started by its [`Stream`](crate::stream) for the first who asks over HLS, and again when it fails: it begins anew
//! at the oldest segment that is listed. Ends with the stream; its pump does the work.

use std::sync::Arc;

use media::Ring;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::{Instrument, Span};

use super::packaging::Packaging;
use super::{Entry, Stage};
use crate::context::Context;
use crate::pump::Pump;
use crate::stream::Book;

/// What a packager is started with.
pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) ring: Ring,
    /// What the origin says of what is in the ring.
    pub(crate) book: Book,
    /// Where what it makes is shown.
    pub(crate) stage: Arc<Stage>,
    pub(crate) entry: Arc<Entry>,
    pub(crate) span: Span,
}

/// What a packager is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Its pump ended; `None` after a panic.
    PumpEnded(Option<()>),
    #[cfg(test)]
    Panic,
}

/// The actor.
pub(crate) struct Packager;

/// A packager's state.
pub(crate) struct State {
    _pump: Pump,
}

impl Actor for Packager {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let span = arguments.span.clone();
        let packaging = Packaging::new(arguments).run();
        let pump = Pump::reporting(packaging.instrument(span), move |end| {
            drop(myself.cast(Message::PumpEnded(end)));
        });
        Ok(State { _pump: pump })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        _state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::PumpEnded(Some(())) => myself.stop(None),
            Message::PumpEnded(None) => return Err("the packager panicked".into()),
            #[cfg(test)]
            Message::Panic => panic!("asked to"),
        }
        Ok(())
    }
}
