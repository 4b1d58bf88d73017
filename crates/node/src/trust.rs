//! Whether this node and the others believe each other.
//!
//! Nodes call each other when a viewer or a question wants it, so one whose `relay.secret` is another would look well
//! until then. Therefore each node is called once when it joins, and again as long as it has not answered well.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use directory::{Change, NodeId, NodeRecord};
use futures::StreamExt;
use futures::stream::iter;
use relay::Peer;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use crate::context::Context;
use crate::status::{by_reason, why_silent};

/// A node that has not answered well is called again after this.
const AGAIN: Duration = Duration::from_secs(60);
/// Nobody waits for the answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many nodes are called at a time.
const AT_A_TIME: usize = 16;
/// One node that does not believe this one may be the one that is wrong.
const MANY: usize = 2;

/// What is known of that.
#[derive(Debug, Default)]
pub(crate) struct Trust(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The nodes that do not believe this one, or that it does not believe, and why.
    distrust: BTreeMap<String, String>,
    /// Some other has believed this node since its start, or there was none.
    was_believed: bool,
}

/// What came of a call.
enum Answer {
    Well,
    Distrust(String),
    /// It may be on its way, or gone.
    Nothing,
}

impl Trust {
    /// Whether this node belongs to its cluster, or why not. One that was believed does, whoever comes after it.
    pub(crate) fn belongs(&self) -> Result<(), String> {
        let known = self.known();
        if known.was_believed || known.distrust.len() < MANY {
            return Ok(());
        }
        Err(format!(
            "no other node believes this one ({}); relay.secret, relay.tls and the clock have to be right on each",
            told(&known.distrust)
        ))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There are these others; who is not among them is forgotten.
    fn keep(&self, others: &[Arc<NodeRecord>]) {
        let mut known = self.known();
        let is_there = |id: &str| others.iter().any(|node| node.id.as_str() == id);
        known.distrust.retain(|id, _| is_there(id));
        known.was_believed |= others.is_empty();
    }

    /// Takes down what came of calls; what was not known before is logged, in one line for all.
    fn note(&self, answers: Vec<(String, Answer)>) {
        let mut news = BTreeMap::new();
        let mut known = self.known();
        for (id, answer) in answers {
            match answer {
                Answer::Well => {
                    known.was_believed = true;
                    if known.distrust.remove(&id).is_some() {
                        info!(node = %id, "the two nodes believe each other now");
                    }
                }
                Answer::Distrust(why) => {
                    if known.distrust.get(&id) != Some(&why) {
                        news.insert(id.clone(), why.clone());
                    }
                    known.distrust.insert(id, why);
                }
                Answer::Nothing => {}
            }
        }
        drop(known);
        if !news.is_empty() {
            let nodes = told(&news);
            warn!(%nodes, "nodes do not believe each other: no stream goes between them");
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.known().distrust.len()
    }
}

/// Who, and why.
fn told(nodes: &BTreeMap<String, String>) -> String {
    let groups = by_reason(nodes).into_iter();
    let groups = groups.map(|(_, names, why)| format!("{names}: {why}"));
    groups.collect::<Vec<_>>().join("; ")
}

/// Calls the others, for as long as this node is in the directory.
pub(crate) async fn look(context: Arc<Context>) {
    let membership = &context.membership;
    let Some(relay) = &membership.relay else {
        return;
    };
    let (directory, me) = (&membership.directory, membership.me());
    let mut changes = directory.changes();
    let mut ticks = interval(AGAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut called = HashMap::new();
    loop {
        let again = tokio::select! {
            _ = ticks.tick() => true,
            change = changes.next() => match change {
                Some(Change::Node(_) | Change::Up(true) | Change::Resync) => false,
                Some(_) => continue,
                None => return,
            },
        };
        let mut there = directory.nodes();
        // Before this node is in it, the list may not have been read yet.
        if !there.iter().any(|node| node.id == *me) {
            continue;
        }
        there.retain(|node| node.id != *me);
        relay.trust.keep(&there);
        called.retain(|id, _| there.iter().any(|node| node.id == *id));
        there.retain(|node| {
            let known = called.get(&node.id);
            known.is_none_or(|known: &Called| !known.is_of(node) || again && !known.is_well)
        });
        let calls = iter(there).map(async |node| (call(&relay.client, &node).await, node));
        let calls = calls.buffer_unordered(AT_A_TIME);
        let answers: Vec<_> = calls.collect().await;
        let known = answers
            .iter()
            .map(|(answer, node)| Called::new(answer, node));
        called.extend(known);
        let answers = answers.into_iter();
        let answers = answers.map(|(answer, node)| (node.id.to_string(), answer));
        relay.trust.note(answers.collect());
        context.metrics.distrust(relay.trust.count());
    }
}

/// Who was called. One that was started anew, or is elsewhere, may answer otherwise.
struct Called {
    started: u64,
    address: Option<String>,
    is_well: bool,
}

impl Called {
    fn new(answer: &Answer, node: &NodeRecord) -> (NodeId, Self) {
        let called = Self {
            started: node.started,
            address: node.address("relay").map(str::to_owned),
            is_well: matches!(answer, Answer::Well),
        };
        (node.id.clone(), called)
    }

    fn is_of(&self, node: &NodeRecord) -> bool {
        self.started == node.started && self.address.as_deref() == node.address("relay")
    }
}

async fn call(client: &relay::Client, node: &NodeRecord) -> Answer {
    let peer = node
        .address("relay")
        .map(|at| Peer::new(node.id.as_str(), at));
    let Some(Ok(peer)) = peer else {
        return Answer::Nothing;
    };
    match client.ping(&peer, PATIENCE).await {
        Ok(_) => Answer::Well,
        Err(error) if error.is_distrust() => Answer::Distrust(why_silent(&error)),
        Err(error) => {
            debug!(%peer, %error, "does not answer");
            Answer::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use directory::Role;

    use super::*;

    fn id(name: &str) -> NodeId {
        NodeId::parse(name).expect("a name")
    }

    fn answered(name: &str, answer: Answer) -> (String, Answer) {
        (name.to_owned(), answer)
    }

    fn refused(name: &str) -> (String, Answer) {
        answered(name, Answer::Distrust("refused: for a reason".to_owned()))
    }

    #[test]
    fn a_newcomer_that_nobody_believes_does_not_belong() {
        let trust = Trust::default();
        assert_eq!(trust.belongs(), Ok(()), "nothing is known yet");
        trust.note(vec![refused("o1"), answered("o3", Answer::Nothing)]);
        assert_eq!(trust.belongs(), Ok(()), "it may be the other");
        trust.note(vec![refused("o2")]);
        let why = trust.belongs().expect_err("two are many");
        assert!(why.contains("(o1, o2: refused: for a reason)"), "{why}");
        trust.note(vec![answered("o3", Answer::Well)]);
        assert_eq!(trust.belongs(), Ok(()));
        assert_eq!(trust.count(), 2);
    }

    #[test]
    fn who_was_there_first_belongs_whoever_comes() {
        let trust = Trust::default();
        trust.keep(&[]);
        trust.note(vec![refused("o1"), refused("o2"), refused("o3")]);
        assert_eq!(trust.belongs(), Ok(()));
        // Who has left is no trouble any more.
        trust.keep(&[Arc::new(NodeRecord::new(id("o2"), Role::All))]);
        assert_eq!(trust.count(), 1);
    }
}
