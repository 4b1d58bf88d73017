//! This node in the directory: announces it, and passes on what changes there.
//!
//! Started by the [`Node`](crate::node), and again when it fails. The claims themselves are kept by the
//! directory's own task, under one lease; what becomes of them is heard here, for all streams of the node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use directory::{Change, Changes, Kind, NodeRecord, Role};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::config;
use crate::context::Context;
use crate::node;
use crate::pump::Pump;
use crate::trust;

/// How often the load of this node is told.
const TICK: Duration = Duration::from_secs(1);

/// What the keeper is started with.
pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) node: ActorRef<node::Message>,
    pub(crate) place: Arc<Place>,
    pub(crate) draining: bool,
}

/// What others are told of this node, and what does not change.
pub(crate) struct Place {
    pub(crate) addresses: BTreeMap<String, String>,
    pub(crate) started: u64,
}

/// What the keeper is told.
#[derive(Debug)]
pub(crate) enum Message {
    Changed(Change),
    Tick,
    /// The node leaves: others may give it nothing new.
    Drain,
    /// A pump of it ended: the node has left the directory, or the pump panicked.
    PumpEnded(Option<()>),
}

/// The actor.
pub(crate) struct Keeper;

/// The keeper's state.
pub(crate) struct State {
    context: Arc<Context>,
    node: ActorRef<node::Message>,
    place: Arc<Place>,
    draining: bool,
    _pump: Pump,
    _trust: Pump,
}

impl Actor for Keeper {
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
            place,
            draining,
        } = arguments;
        let changes = context.membership.directory.changes();
        let listener = myself.clone();
        let pump = Pump::reporting(listen(changes, myself.clone()), move |end| {
            drop(listener.cast(Message::PumpEnded(end)));
        });
        let keeper = myself.clone();
        let trust = Pump::reporting(trust::look(Arc::clone(&context)), move |end| {
            drop(keeper.cast(Message::PumpEnded(end)));
        });
        let state = State {
            context,
            node,
            place,
            draining,
            _pump: pump,
            _trust: trust,
        };
        state.announce();
        // What happened before it listened.
        drop(state.node.cast(node::Message::AnythingChanged));
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Changed(change) => state.changed(change),
            Message::Tick => state.announce(),
            Message::Drain => {
                state.draining = true;
                state.announce();
            }
            Message::PumpEnded(Some(())) => {}
            Message::PumpEnded(None) => return Err("a pump of the keeper panicked".into()),
        }
        Ok(())
    }
}

async fn listen(mut changes: Changes, to: ActorRef<Message>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            change = changes.next() => match change {
                Some(change) => Message::Changed(change),
                None => return,
            },
            _ = ticks.tick() => Message::Tick,
        };
        if to.cast(message).is_err() {
            return;
        }
    }
}

impl State {
    fn changed(&self, change: Change) {
        let message = match change {
            Change::Stream(key) => node::Message::StreamChanged(key),
            Change::Lost(key, to) => node::Message::ClaimLost(key, to),
            Change::Node(id) => {
                match self.context.membership.directory.find_node(&id) {
                    Some(node) if node.draining => info!(node = %id, "node drains"),
                    Some(_) => {}
                    None => info!(node = %id, "node left"),
                }
                node::Message::NodesChanged
            }
            Change::Setting(Kind::Warm, _) => node::Message::NodesChanged,
            Change::Clock(id) => {
                let differences = self.context.membership.directory.clock_differences();
                let found = differences.iter().find(|difference| difference.node == id);
                match found {
                    Some(difference) => {
                        warn!(node = %id, ahead_ms = difference.millis, "clocks differ; is its time synchronised?");
                    }
                    None => info!(node = %id, "clocks agree again"),
                }
                self.context.metrics.clocks(differences.len());
                return;
            }
            Change::Up(true) | Change::Resync => node::Message::AnythingChanged,
            _ => return,
        };
        drop(self.node.cast(message));
    }

    fn announce(&self) {
        let (config, membership) = (&self.context.config, &self.context.membership);
        let role = match config.node.role {
            config::Role::All => Role::All,
            config::Role::Origin => Role::Origin,
            config::Role::Edge => Role::Edge,
        };
        membership.directory.announce(NodeRecord {
            addresses: self.place.addresses.clone(),
            zone: config.node.zone.clone(),
            software: env!("CARGO_PKG_VERSION").to_owned(),
            load: self.context.load(),
            draining: self.draining,
            started: self.place.started,
            ..NodeRecord::new(membership.me().clone(), role)
        });
    }
}
