//! Answers for the whole cluster, on any node; and this node's answers to the others.
//!
//! What this node has comes from its actors, what others have from them, over the relay; where each
//! stream is at home, from the directory. Orders go to whom they concern. A node alone asks nobody.
//! Only waits: what is decided, is decided by the actors.

mod here;
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
    Answer, Facts, Found, Nodes, Question, Recorded, Refusal, RefusalKind, Served, State, Streams,
    Subscriber, Subscribers, Why, explain, subscribers,
};
use here::Here;

/// So many questions and orders are worked on at a time: each asks all nodes.
const AT_A_TIME: usize = 16;
/// A question waits so long for its turn.
const TURN: Duration = Duration::from_secs(2);
/// More streams, or viewers of one, than that are counted, and not listed.
const LISTED: usize = 10_000;
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

/// Whether somebody has ordered the node to leave. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct Leave(watch::Sender<bool>);

impl Default for Leave {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Leave {
    /// Returns once it is ordered.
    pub(crate) async fn ordered(&self) {
        let mut ordered = self.0.subscribe();
        // The sender is ours, so it does not go away.
        drop(ordered.wait_for(|ordered| *ordered).await);
    }

    fn is_ordered(&self) -> bool {
        *self.0.borrow()
    }

    fn order(&self) {
        if !self.0.send_replace(true) {
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
            Query::Node => json(&inner.node().await),
            Query::Streams => {
                let mut served = inner.here.all_served().await;
                served.truncate(LISTED);
                json(&served)
            }
            Query::Stream(key) | Query::Why(key) => match inner.here.served(&key).await {
                Some(served) => json(&served),
                None => Err(inner.not_here(&key).into()),
            },
            Query::Subscribers(key) => match inner.here.snapshot(&key).await {
                Some(snapshot) => {
                    let here = &inner.here;
                    let mut listed = subscribers(&snapshot, here.id(), here.now());
                    listed.truncate(LISTED);
                    json(&listed)
                }
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
        let (own, others) = tokio::join!(self.node(), self.ask_others(Query::Node));
        let mut nodes: Vec<crate::status::Node> = others.answers;
        nodes.push(own);
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
            unreachable: others.unreachable,
        }
    }

    async fn node(&self) -> crate::status::Node {
        let record = self.directory.find_node(self.directory.node());
        let leaving = self.leave.is_ordered();
        self.here.node(record.as_deref(), leaving).await
    }

    async fn streams(&self) -> Streams {
        let all = self.ask_others::<Vec<Served>>(Query::Streams);
        let (own, others) = tokio::join!(self.here.all_served(), all);
        let served = others.answers.into_iter().flatten().chain(own);
        let records = self.directory.streams();
        let mut streams = merge::streams(served, &records, &others.unreachable, self.here.now());
        let total = streams.len();
        streams.truncate(LISTED);
        Streams {
            streams,
            total,
            unreachable: others.unreachable,
        }
    }

    async fn stream(&self, key: &StreamKey) -> Result<Found, Refusal> {
        let (held, gathered) = tokio::join!(self.held(key), self.gather(key));
        let (served, unreachable) = gathered;
        let record = held.as_deref().map(|held| &held.record);
        let stream = merge::stream(&served, record, &unreachable, self.here.now());
        match stream {
            Some(stream) => Ok(Found {
                stream,
                unreachable,
            }),
            None => Err(self.not_found(key)),
        }
    }

    async fn subscribers(&self, key: &StreamKey) -> Result<Subscribers, Refusal> {
        let all = self.ask_others::<Vec<Subscriber>>(Query::Subscribers(key.clone()));
        let (held, own, others) = tokio::join!(self.held(key), self.here.snapshot(key), all);
        if held.is_none() && own.is_none() && others.answers.is_empty() {
            return Err(self.not_found(key));
        }
        let mut listed: Vec<_> = others.answers.into_iter().flatten().collect();
        if let Some(snapshot) = own {
            listed.extend(subscribers(&snapshot, self.here.id(), self.here.now()));
        }
        listed.sort_by(|a, b| (&a.node, a.started_at, &a.id).cmp(&(&b.node, b.started_at, &b.id)));
        let total = listed.len();
        listed.truncate(LISTED);
        Ok(Subscribers {
            stream_key: key.as_str().to_owned(),
            subscribers: listed,
            total,
            unreachable: others.unreachable,
        })
    }

    async fn why(&self, key: &StreamKey) -> Why {
        let (held, gathered) = tokio::join!(self.held(key), self.gather(key));
        let (mut served, unreachable) = gathered;
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
            unreachable: &unreachable,
        })
    }

    /// What all nodes have of a stream, and who did not answer.
    async fn gather(&self, key: &StreamKey) -> (Vec<Served>, Vec<String>) {
        let others = self.ask_others::<Served>(Query::Why(key.clone()));
        let (own, mut others) = tokio::join!(self.here.served(key), others);
        others.answers.extend(own);
        (others.answers, others.unreachable)
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
        let records = self.directory.streams();
        let recorded = records.iter().map(|held| held.record.key.as_str());
        let own = self.here.all_served().await;
        let own = own
            .iter()
            .filter(|served| served.stream.state != State::Ended && served.stream.epoch.is_some())
            .map(|served| served.stream.stream_key.as_str());
        let mut similar: Vec<_> = recorded
            .chain(own)
            .filter(|other| is_like(other))
            .map(str::to_owned)
            .collect();
        similar.sort();
        similar.dedup();
        similar.truncate(SIMILAR);
        similar
    }

    fn not_found(&self, key: &StreamKey) -> Refusal {
        let place = match self.others().len() {
            0 => "on this node, which is alone".to_owned(),
            others => format!("in this cluster of {} nodes", others + 1),
        };
        let key = key.as_str();
        let sentence =
            format!("nobody publishes {key} {place}; GET /api/v1/streams/{key}/why tells more");
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
