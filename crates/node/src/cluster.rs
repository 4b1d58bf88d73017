//! Answers for the whole cluster, on any node; and this node's answers to the others.
//!
//! What this node has comes from its actors, what others have from them, over the relay; where each
//! stream is at home, from the directory. Orders go to whom they concern. A node alone asks nobody.
//! Only waits: what is decided, is decided by the actors.

mod here;
mod listing;
mod merge;
mod orders;
mod others;
#[cfg(test)]
mod tests;
mod warm;

use std::sync::Arc;
use std::time::Duration;

use directory::{Directory, Held, NodeRecord};
use media::StreamKey;
use ractor::ActorRef;
use relay::Query;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::timeout;
use tracing::info;

use crate::context::Context;
use crate::node;
use crate::status::{
    Answer, Facts, Found, Node, Nodes, Question, Recorded, Refusal, RefusalKind, Served, Silent,
    Streams, Subscriber, Subscribers, Why, explain,
};
use here::{Busy, Here};
use listing::Listing;

/// So many questions and orders are worked on at a time: each asks all nodes.
const AT_A_TIME: usize = 16;
/// A question waits so long for its turn.
const TURN: Duration = Duration::from_secs(2);
/// So many keys are named that may have been meant.
const SIMILAR: usize = 3;

/// The cluster as this node sees it. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Inner>);

struct Inner {
    here: Here,
    directory: Arc<dyn Directory>,
    /// `None` for a node alone.
    relay: Option<relay::Client>,
    turns: Semaphore,
    leave: Leave,
}

/// Whether the node leaves: somebody has ordered it to, or it has begun. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct Leave(watch::Sender<Leaving>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Leaving {
    No,
    Ordered,
    Begun,
}

impl Default for Leave {
    fn default() -> Self {
        Self(watch::Sender::new(Leaving::No))
    }
}

impl Leave {
    /// Returns once it is ordered.
    pub(crate) async fn ordered(&self) {
        let mut leaving = self.0.subscribe();
        // The sender is ours, so it does not go away.
        drop(
            leaving
                .wait_for(|leaving| *leaving >= Leaving::Ordered)
                .await,
        );
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow() == Leaving::Begun
    }

    /// Whoever has ordered it, or nobody: a signal is enough.
    pub(crate) fn begin(&self) {
        self.0.send_replace(Leaving::Begun);
    }

    fn is_coming(&self) -> bool {
        *self.0.borrow() != Leaving::No
    }

    fn order(&self) {
        let is_first = |leaving: &mut Leaving| {
            let first = *leaving == Leaving::No;
            *leaving = (*leaving).max(Leaving::Ordered);
            first
        };
        if self.0.send_if_modified(is_first) {
            info!("the node is ordered to leave");
        }
    }
}

impl Cluster {
    /// Of the node behind that actor.
    pub(crate) fn new(context: &Arc<Context>, node: ActorRef<node::Message>) -> Self {
        let leave = context.leave.clone();
        let membership = &context.membership;
        let me = membership.me().as_str().to_owned();
        let relay = membership.relay.as_ref();
        Self(Arc::new(Inner {
            here: Here::new(me, Arc::clone(context), node),
            directory: Arc::clone(&membership.directory),
            relay: relay.map(|relay| relay.client.clone()),
            turns: Semaphore::new(AT_A_TIME),
            leave,
        }))
    }

    /// Answers for the whole cluster.
    pub(crate) async fn ask(&self, question: Question) -> Result<Answer, Refusal> {
        let inner = &self.0;
        let _turn = inner.turn().await?;
        Ok(match question {
            Question::Nodes => Answer::Nodes(inner.nodes().await),
            Question::Streams => Answer::Streams(inner.streams().await),
            Question::Stream(key) => Answer::Stream(Box::new(inner.stream(&key).await?)),
            Question::Subscribers(key) => Answer::Subscribers(inner.subscribers(&key).await?),
            Question::Why(key) => Answer::Why(Box::new(inner.why(&key).await)),
        })
    }

    /// Answers another node, about this one: JSON.
    pub(crate) async fn answer(&self, query: Query) -> Result<String, relay::Refusal> {
        let inner = &self.0;
        match query {
            Query::Node => json(&inner.node().await?),
            Query::Streams => json(&inner.here.all_served().await?),
            Query::Stream(key) | Query::Why(key) => match inner.here.served(&key).await? {
                Some(served) => json(&served),
                None => Err(inner.not_here(&key).into()),
            },
            Query::Subscribers(key) => match inner.here.subscribers(&key).await? {
                Some(listing) => json(&listing),
                None => Err(inner.not_here(&key).into()),
            },
            _ => Err(unsupported("the question")),
        }
    }
}

impl Inner {
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let turn = timeout(TURN, self.turns.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            let sentence = "too many questions and orders at a time; ask again in a moment";
            Refusal::new(RefusalKind::Busy, sentence)
        })
    }

    async fn nodes(&self) -> Nodes {
        let others = self.ask_others::<Node>(Query::Node);
        let (own, mut asked) = tokio::join!(self.node(), others);
        asked.add(own.map(Some));
        let mut nodes = asked.answers;
        if !nodes.iter().any(|node| node.id == self.here.id()) {
            nodes.push(self.known());
        }
        let differences = self.directory.clock_differences();
        for record in self.others() {
            if !nodes.iter().any(|node| node.id == record.id.as_str()) {
                nodes.push(here::recorded(&record));
            }
        }
        for node in &mut nodes {
            let differs = differences.iter().find(|it| it.node.as_str() == node.id);
            node.clock_difference = differs.map(|it| it.millis as f64 / 1000.0);
        }
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        Nodes {
            total: nodes.len(),
            nodes,
            unreachable: asked.silent.names(),
            unreachable_because: asked.silent.reasons(),
        }
    }

    async fn node(&self) -> Result<Node, Busy> {
        let record = self.directory.find_node(self.directory.node());
        let leaving = self.leave.is_coming();
        self.here.node(record.as_deref(), leaving).await
    }

    /// What there is to say of this node when it is too busy to say more.
    fn known(&self) -> Node {
        let record = self.directory.find_node(self.directory.node());
        self.here.known(record.as_deref(), self.leave.is_coming())
    }

    async fn streams(&self) -> Streams {
        let others = self.ask_others::<Listing<Served>>(Query::Streams);
        let (own, mut asked) = tokio::join!(self.here.all_served(), others);
        asked.add(own.map(Some));
        asked.look_for_parts();
        let (records, silent) = (self.directory.streams(), asked.silent);
        let (streams, total) = merge::streams(asked.answers, &records, &silent, self.here.now());
        Streams {
            streams,
            total,
            unreachable: silent.names(),
            unreachable_because: silent.reasons(),
        }
    }

    async fn stream(&self, key: &StreamKey) -> Result<Found, Refusal> {
        let (held, gathered) = tokio::join!(self.held(key), self.gather(key));
        let (served, silent) = gathered;
        let record = held.as_deref().map(|held| &held.record);
        let stream = merge::stream(&served, record, &silent, self.here.now());
        match stream {
            Some(stream) => Ok(Found {
                stream,
                unreachable: silent.names(),
                unreachable_because: silent.reasons(),
            }),
            None => Err(self.not_found(key, &silent)),
        }
    }

    async fn subscribers(&self, key: &StreamKey) -> Result<Subscribers, Refusal> {
        let others = self.ask_others::<Listing<Subscriber>>(Query::Subscribers(key.clone()));
        let own = self.here.subscribers(key);
        let (held, own, mut asked) = tokio::join!(self.held(key), own, others);
        asked.add(own);
        if held.is_none() && asked.answers.is_empty() {
            return Err(self.not_found(key, &asked.silent));
        }
        let (subscribers, total) = merge::subscribers(asked.answers);
        Ok(Subscribers {
            stream_key: key.as_str().to_owned(),
            subscribers,
            total,
            unreachable: asked.silent.names(),
            unreachable_because: asked.silent.reasons(),
        })
    }

    async fn why(&self, key: &StreamKey) -> Why {
        let (held, gathered) = tokio::join!(self.held(key), self.gather(key));
        let (mut served, silent) = gathered;
        served.sort_by(|a, b| (a.part, &a.node).cmp(&(b.part, &b.node)));
        let recorded = held.map(|held| Recorded {
            node: held.record.node.to_string(),
            epoch: held.record.epoch.number,
            state: merge::state(held.record.state),
            is_there: held.record.node == *self.directory.node()
                || self.directory.find_node(&held.record.node).is_some(),
        });
        let is_published = served.iter().any(|served| served.stream.epoch.is_some());
        let similar = match is_published || recorded.is_some() {
            true => Vec::new(),
            false => self.similar(key).await,
        };
        explain(&Facts {
            key,
            me: self.here.id(),
            others: self.others().len(),
            directory_up: self.directory.is_up(),
            similar,
            recorded,
            served: &served,
            silent: &silent,
        })
    }

    /// What all nodes have of a stream, and who did not answer.
    async fn gather(&self, key: &StreamKey) -> (Vec<Served>, Silent) {
        let others = self.ask_others::<Served>(Query::Why(key.clone()));
        let (own, mut asked) = tokio::join!(self.here.served(key), others);
        asked.add(own);
        (asked.answers, asked.silent)
    }

    /// What the directory says of a key; what it last said, if it is out of reach.
    async fn held(&self, key: &StreamKey) -> Option<Arc<Held>> {
        match self.directory.lookup(key) {
            Some(held) => Some(held),
            // It may have been claimed a moment ago.
            None => self.directory.resolve(key).await.ok().flatten(),
        }
    }

    /// The other nodes that the directory knows.
    fn others(&self) -> Vec<Arc<NodeRecord>> {
        let mut nodes = self.directory.nodes();
        nodes.retain(|node| node.id != *self.directory.node());
        nodes
    }

    /// Keys that differ from one in case alone, or in the app.
    async fn similar(&self, key: &StreamKey) -> Vec<String> {
        let is_like = |other: &str| {
            let name = other.split_once('/').map(|(_, name)| name);
            other != key.as_str()
                && (other.eq_ignore_ascii_case(key.as_str())
                    || name.is_some_and(|name| name.eq_ignore_ascii_case(key.name())))
        };
        let streams = self.streams().await.streams;
        let keys = streams.into_iter().map(|stream| stream.stream_key);
        let mut similar: Vec<_> = keys.filter(|other| is_like(other)).collect();
        similar.truncate(SIMILAR);
        similar
    }

    /// None of those who have answered knows of it.
    fn not_found(&self, key: &StreamKey, silent: &Silent) -> Refusal {
        if silent.has(self.here.id()) {
            return self.here.busy().into();
        }
        let place = match self.others().len() {
            0 => "on this node, which is alone".to_owned(),
            others => format!("in this cluster of {} nodes", others + 1),
        };
        let key = key.as_str();
        let sentence = format!("nobody publishes {key} {place}; `weir why {key}` tells more");
        Refusal::new(RefusalKind::NotFound, sentence)
    }

    fn not_here(&self, key: &StreamKey) -> Refusal {
        let sentence = format!("{} has nothing of {}", self.here.id(), key.as_str());
        Refusal::new(RefusalKind::NotFound, sentence)
    }
}

fn json(answer: &impl serde::Serialize) -> Result<String, relay::Refusal> {
    serde_json::to_string(answer)
        .map_err(|error| relay::Refusal::new(relay::RefusalCode::Unknown, error.to_string()))
}

fn unsupported(what: &str) -> relay::Refusal {
    let sentence = format!("{what} is of a release that this node does not know");
    relay::Refusal::new(relay::RefusalCode::Unsupported, sentence)
}
