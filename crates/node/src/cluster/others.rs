//! Asking the other nodes.

use std::time::Duration;

use directory::NodeRecord;
use futures::future::join_all;
use relay::{Action, Peer, Query, RefusalCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::debug;

use super::Inner;
use super::here::Busy;
use super::listing::Listing;
use crate::status::{Refusal, RefusalKind, Silent, why_silent};

/// A node that has not answered by then is told of as unreachable.
const PATIENCE: Duration = Duration::from_secs(1);
/// Why a node says nothing, or not all, of itself.
const BUSY: &str = "too busy";

/// What came of a question to all others.
pub(super) struct Asked<T> {
    pub(super) answers: Vec<T>,
    /// Those who did not answer.
    pub(super) silent: Silent,
}

impl<T> Asked<T> {
    /// Adds what this node has to say itself, if anything.
    pub(super) fn add(&mut self, own: Result<Option<T>, Busy>) {
        match own {
            Ok(answer) => self.answers.extend(answer),
            Err(Busy(me)) => self.silent.add(me, BUSY),
        }
    }
}

impl<T> Asked<Listing<T>> {
    /// Who answered in part has not answered for the rest.
    pub(super) fn look_for_parts(&mut self) {
        let parts = self.answers.iter_mut();
        for part in parts.flat_map(|it| it.unreachable.drain(..)) {
            self.silent.add(part, BUSY);
        }
    }
}

impl Inner {
    /// Asks all other nodes at once. Those who know nothing of what is asked are in neither list.
    pub(super) async fn ask_others<T: DeserializeOwned>(&self, query: Query) -> Asked<T> {
        let others = self.others();
        let answers = others.iter().map(async |node| {
            let answer = timeout(PATIENCE, self.ask_other(node, &query)).await;
            answer.unwrap_or(Err(relay::Error::TimedOut(PATIENCE)))
        });
        let mut asked = Asked {
            answers: Vec::new(),
            silent: Silent::default(),
        };
        for (node, answer) in others.iter().zip(join_all(answers).await) {
            let read = answer.map(|json| serde_json::from_str(&json));
            match read {
                Ok(Ok(answer)) => asked.answers.push(answer),
                Err(relay::Error::Refused(refusal)) if refusal.code == RefusalCode::NotFound => {}
                Ok(Err(error)) => {
                    debug!(node = %node.id, %error, "a node's answer makes no sense");
                    asked
                        .silent
                        .add(node.id.as_str(), "its answer makes no sense");
                }
                Err(error) => {
                    debug!(node = %node.id, %error, "a node does not answer");
                    asked.silent.add(node.id.as_str(), why_silent(&error));
                }
            }
        }
        asked
    }

    async fn ask_other(&self, node: &NodeRecord, query: &Query) -> Result<String, relay::Error> {
        let (relay, peer) = self.way(node)?;
        relay.status(&peer, query).await
    }

    /// Has another node do something; what it says is JSON.
    pub(super) async fn order_other(
        &self,
        node: &NodeRecord,
        action: Action,
    ) -> Result<String, Refusal> {
        let done = async {
            let (relay, peer) = self.way(node)?;
            relay.act(&peer, action).await
        };
        let id = &node.id;
        match done.await {
            Ok(json) => Ok(json),
            Err(relay::Error::Refused(refusal)) => Err(refusal.into()),
            Err(error) => {
                let sentence = format!("{id} cannot be told: {error}; try again, or ask {id}");
                Err(Refusal::new(RefusalKind::Unavailable, sentence))
            }
        }
    }

    fn way(&self, node: &NodeRecord) -> Result<(&relay::Client, Peer), relay::Error> {
        let address = node.address("relay");
        let (Some(relay), Some(address)) = (&self.relay, address) else {
            let what = "it has no relay, or this node has none";
            return Err(relay::Error::Lost(what.to_owned()));
        };
        let peer = Peer::new(node.id.as_str(), address)
            .map_err(|error| relay::Error::Lost(error.to_string()))?;
        Ok((relay, peer))
    }
}
