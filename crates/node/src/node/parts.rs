//! The parts without which a node is none: its listeners, its relay, its place in the directory. They are started
//! again when they fail, with a pause, and with a budget that gives the node up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef};
use tracing::error;

use super::{Message, State};
use crate::keeper::{self, Keeper, Place};
use crate::listener::{self, Endpoint, Listener};
use crate::relay_server::{self, RelayServer};

/// A part that fails so often within [`RESTART_WINDOW`] is given up, and the node with it.
const RESTARTS: u32 = 10;
const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// The first pause before a part is started again; it doubles.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// So short that the restarts allowed fit into the window.
const MAX_RESTART_PAUSE: Duration = Duration::from_secs(5);

/// What a part is started from.
#[derive(Clone)]
pub(crate) enum Part {
    Listener(Endpoint),
    Relay(Endpoint),
    Keeper(Arc<Place>),
}

impl Part {
    fn name(&self) -> String {
        match self {
            Part::Listener(endpoint) => format!("listener {}", endpoint.address()),
            Part::Relay(endpoint) => format!("relay {}", endpoint.address()),
            Part::Keeper(_) => "keeper".to_owned(),
        }
    }
}

/// A part and how often it had to be started.
pub(super) struct Watched {
    part: Part,
    actor: Option<Running>,
    failures: u32,
    first_failure: Instant,
}

enum Running {
    Listener(ActorRef<listener::Message>),
    Relay(ActorRef<relay_server::Message>),
    Keeper(ActorRef<keeper::Message>),
}

impl Running {
    fn cell(&self) -> ActorCell {
        match self {
            Running::Listener(actor) => actor.get_cell(),
            Running::Relay(actor) => actor.get_cell(),
            Running::Keeper(actor) => actor.get_cell(),
        }
    }
}

impl Watched {
    pub(super) fn new(part: Part) -> Watched {
        Watched {
            part,
            actor: None,
            failures: 0,
            first_failure: Instant::now(),
        }
    }

    pub(super) fn runs(&self) -> bool {
        self.actor.is_some()
    }

    pub(super) fn is(&self, actor: ActorId) -> bool {
        let running = self.actor.as_ref();
        running.is_some_and(|running| running.cell().get_id() == actor)
    }

    /// Closes what peers connect to, its socket included, so that they look elsewhere.
    pub(super) fn is_closed_by_leaving(&mut self) -> bool {
        if !matches!(self.part, Part::Listener(_)) {
            return false;
        }
        if let Some(running) = self.actor.take() {
            running.cell().stop(None);
        }
        true
    }

    pub(super) fn tell_keeper_to_drain(&self) {
        if let Some(Running::Keeper(keeper)) = &self.actor {
            drop(keeper.cast(keeper::Message::Drain));
        }
    }

    #[cfg(test)]
    pub(super) fn fail(&self) {
        if let Some(Running::Listener(listener)) = &self.actor {
            drop(listener.cast(listener::Message::PumpEnded));
        }
    }
}

impl State {
    pub(super) async fn start_part(
        &mut self,
        myself: &ActorRef<Message>,
        index: usize,
    ) -> Result<(), ActorProcessingErr> {
        let Some(watched) = self.parts.get_mut(index) else {
            return Ok(());
        };
        let (context, node, cell) = (Arc::clone(&self.context), myself.clone(), myself.get_cell());
        let running = match watched.part.clone() {
            Part::Listener(endpoint) => {
                let arguments = listener::Arguments {
                    context,
                    node,
                    endpoint,
                };
                let (actor, _) = Actor::spawn_linked(None, Listener, arguments, cell).await?;
                Running::Listener(actor)
            }
            Part::Relay(endpoint) => {
                let arguments = relay_server::Arguments {
                    context,
                    node,
                    endpoint,
                };
                let (actor, _) = Actor::spawn_linked(None, RelayServer, arguments, cell).await?;
                Running::Relay(actor)
            }
            Part::Keeper(place) => {
                let arguments = keeper::Arguments {
                    context,
                    node,
                    place,
                    draining: self.draining,
                };
                let (actor, _) = Actor::spawn_linked(None, Keeper, arguments, cell).await?;
                Running::Keeper(actor)
            }
        };
        watched.actor = Some(running);
        Ok(())
    }

    /// Starts a failed part again after a pause, unless it fails all the time.
    pub(super) fn part_failed(&mut self, myself: &ActorRef<Message>, index: usize) {
        let Some(watched) = self.parts.get_mut(index) else {
            return;
        };
        watched.actor = None;
        if watched.first_failure.elapsed() > RESTART_WINDOW {
            watched.failures = 0;
        }
        if watched.failures == 0 {
            watched.first_failure = Instant::now();
        }
        watched.failures += 1;
        if watched.failures > RESTARTS {
            let part = watched.part.name();
            error!(part, "given up: it failed too often");
            return myself.stop(Some(format!("the {part} failed too often")));
        }
        let pause = (RESTART_PAUSE * 2u32.pow(watched.failures - 1)).min(MAX_RESTART_PAUSE);
        drop(myself.send_after(pause, move || Message::StartPart(index)));
    }
}
