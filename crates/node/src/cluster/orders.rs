//! Orders: each goes to the node that it concerns.

use std::sync::Arc;

use directory::{NodeId, NodeRecord};
use media::StreamKey;
use relay::Action;
use tracing::info;

use super::here::Busy;
use super::{Cluster, Inner, unsupported};
use crate::status::{
    Disconnected, Done, Draining, Order, Part, Place, Refusal, RefusalKind, State, Stopped,
    read_name,
};
use crate::{node, stream};

/// What the encoder of a stream that was stopped is told.
const STOPPED: &str = "an operator stopped this stream";

impl Cluster {
    /// Does it, or has the node do it that can.
    pub(crate) async fn order(&self, order: Order) -> Result<Done, Refusal> {
        let inner = &self.0;
        let _turn = inner.turn().await?;
        match order {
            Order::Stop(key) => inner.stop(key).await.map(Done::Stopped),
            Order::Disconnect { key, subscriber } => {
                let done = inner.disconnect(key, subscriber).await;
                done.map(Done::Disconnected)
            }
            Order::Drain(node) => inner.drain(&node).await.map(Done::Draining),
            Order::Warm { key, edges, until } => {
                inner.warm(key, edges, until).await.map(Done::Warm)
            }
        }
    }

    /// Does what another node orders of this one; what there is to say is JSON, or nothing.
    pub(crate) async fn act(&self, action: Action) -> Result<String, relay::Refusal> {
        let inner = &self.0;
        match action {
            Action::Drain => {
                inner.leave.order();
                Ok(())
            }
            Action::Stop(key) => inner.stop_here(&key).await,
            Action::Disconnect { key, subscriber } => {
                inner.disconnect_here(&key, &subscriber).await
            }
            // What is to be warm is a setting, which this node follows.
            _ => return Err(unsupported("the order")),
        }
        .map_or_else(|refusal| Err(refusal.into()), |()| Ok(String::new()))
    }
}

impl Inner {
    async fn stop(&self, key: StreamKey) -> Result<Stopped, Refusal> {
        match self.owner(&key).await? {
            None => self.stop_here(&key).await?,
            Some(owner) => {
                let action = Action::Stop(key.clone());
                self.order_other(&owner, action).await?;
            }
        }
        Ok(Stopped {
            message: "stream stopped".to_owned(),
            stream_key: key.as_str().to_owned(),
        })
    }

    /// The origin of a stream; `None` is this node.
    async fn owner(&self, key: &StreamKey) -> Result<Option<Arc<NodeRecord>>, Refusal> {
        if self.is_origin(key).await.unwrap_or(false) {
            return Ok(None);
        }
        let (held, gathered) = tokio::join!(self.held(key), self.gather(key));
        let (served, silent) = gathered;
        // What a node serves counts more than what it claimed.
        let origins = served.iter().filter(|served| served.part == Part::Origin);
        let newest = origins.max_by_key(|served| served.stream.epoch);
        let name = match (newest, held) {
            (Some(origin), _) => origin.node.clone(),
            (None, Some(held)) => held.record.node.to_string(),
            (None, None) => return Err(self.not_found(key, &silent)),
        };
        if name == self.here.id() {
            return Ok(None);
        }
        if let Some(why) = silent.why(&name) {
            let key = key.as_str();
            let sentence = format!(
                "{name}, the origin of {key}, does not answer ({why}); try again later, or ask {name}"
            );
            return Err(Refusal::new(RefusalKind::Unavailable, sentence));
        }
        self.other(&name).map(Some)
    }

    /// Whether its encoder publishes here, or is awaited here.
    async fn is_origin(&self, key: &StreamKey) -> Result<bool, Busy> {
        let own = self.here.snapshot(key).await?;
        Ok(own.is_some_and(|own| own.place == Place::Origin && own.state != State::Ended))
    }

    async fn stop_here(&self, key: &StreamKey) -> Result<(), Refusal> {
        // One whose encoder is awaited, too, so that it need not be.
        if !self.is_origin(key).await? {
            return Err(self.not_here(key));
        }
        info!(%key, "a stream is stopped by order");
        let stop = node::Message::StopStream(key.clone(), STOPPED.to_owned());
        drop(self.here.actor().cast(stop));
        Ok(())
    }

    async fn disconnect(&self, key: StreamKey, id: String) -> Result<Disconnected, Refusal> {
        let Some((node, _)) = read_name(&id) else {
            return Err(no_viewer(&key, &id));
        };
        if node == self.here.id() {
            self.disconnect_here(&key, &id).await?;
        } else {
            // A name without its node is no name of a viewer.
            let node = self.other(node).map_err(|_| no_viewer(&key, &id))?;
            let action = Action::Disconnect {
                key: key.clone(),
                subscriber: id.clone(),
            };
            self.order_other(&node, action).await?;
        }
        Ok(Disconnected {
            message: "viewer disconnected".to_owned(),
            stream_key: key.as_str().to_owned(),
            id,
        })
    }

    async fn disconnect_here(&self, key: &StreamKey, id: &str) -> Result<(), Refusal> {
        let number = read_name(id).filter(|(node, _)| *node == self.here.id());
        let Some((_, number)) = number else {
            return Err(no_viewer(key, id));
        };
        let stream = self.here.find(key).await?;
        let stream = stream.ok_or_else(|| no_viewer(key, id))?;
        let disconnect = |reply| stream::Message::Disconnect(number, reply);
        match self.here.ask(&stream, disconnect).await? {
            Some(true) => {
                info!(%key, viewer = id, "a viewer is disconnected by order");
                Ok(())
            }
            Some(false) | None => Err(no_viewer(key, id)),
        }
    }

    async fn drain(&self, name: &str) -> Result<Draining, Refusal> {
        if name == self.here.id() {
            self.leave.order();
        } else {
            let node = self.other(name)?;
            self.order_other(&node, Action::Drain).await?;
        }
        Ok(Draining {
            message: "node is draining".to_owned(),
            node: name.to_owned(),
        })
    }

    /// Another node, by its name.
    pub(super) fn other(&self, name: &str) -> Result<Arc<NodeRecord>, Refusal> {
        let id = NodeId::parse(name).ok();
        let found = id.and_then(|id| self.directory.find_node(&id));
        found.ok_or_else(|| {
            let others = self.others();
            let others = others.iter().map(|node| node.id.as_str());
            let mut known: Vec<_> = others.chain([self.here.id()]).collect();
            known.sort_unstable();
            let sentence = format!(
                "there is no node of that name; there is {}",
                known.join(", ")
            );
            Refusal::new(RefusalKind::NotFound, sentence)
        })
    }
}

fn no_viewer(key: &StreamKey, id: &str) -> Refusal {
    // What a peer wrote is not repeated at any length.
    let id: String = id.chars().take(80).collect();
    let sentence = format!("{} has no viewer {id:?}; it may have left", key.as_str());
    Refusal::new(RefusalKind::NotFound, sentence)
}
