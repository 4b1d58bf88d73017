//! Why a stream is as it is: what all nodes and the directory say, in one sentence.

mod verdict;

use std::collections::BTreeMap;

use media::StreamKey;
use serde::{Deserialize, Serialize};

use super::{Part, Served, Silent, State};

/// Why a stream is as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Why {
    /// The stream.
    pub stream_key: String,
    /// What is the matter and what to do, in words.
    pub verdict: String,
    /// How it stands; left out where nobody publishes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The number of its publish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The node its encoder publishes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// From the node that was asked to the origin, as far as the stream goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Seconds since the encoder's last tag, at the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tag_age: Option<f64>,
    /// The codecs of all tracks, as RFC 6381 writes them where it does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codecs: Vec<String>,
    /// How many watch.
    pub viewers: u64,
    /// The nodes that have something of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<WhyNode>,
    /// The nodes that did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
    /// Why they did not, by name, in a few words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unreachable_because: BTreeMap<String, String>,
}

/// What one node has of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WhyNode {
    /// Its name.
    pub node: String,
    /// What it is to the stream.
    pub part: Part,
    /// The publish that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Seconds since the last tag that it has came in at the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tag_age: Option<f64>,
    /// How many watch at it.
    pub viewers: u64,
    /// Where a second encoder publishes from, which stands by at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby: Option<String>,
}

/// All that is known about one key.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) key: &'a StreamKey,
    /// The node that was asked.
    pub(crate) me: &'a str,
    /// How many nodes there are besides.
    pub(crate) others: usize,
    pub(crate) directory_up: bool,
    /// What the directory says.
    pub(crate) recorded: Option<Recorded>,
    /// What nodes say that have something of it.
    pub(crate) served: &'a [Served],
    /// Nodes that do not answer.
    pub(crate) silent: &'a Silent,
    /// Keys that may have been meant.
    pub(crate) similar: Vec<String>,
}

/// What the directory says about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) node: String,
    pub(crate) epoch: u64,
    pub(crate) state: State,
    /// Whether the directory knows that node.
    pub(crate) is_there: bool,
}

/// Puts it all together.
pub(crate) fn explain(facts: &Facts<'_>) -> Why {
    let source = facts.source();
    let published = source.filter(|source| source.stream.epoch.is_some());
    let recorded = facts.recorded.as_ref();
    let nodes = facts.served.iter().map(|served| WhyNode {
        node: served.node.clone(),
        part: served.part,
        epoch: served.stream.epoch,
        last_tag_age: served.last_tag_age,
        viewers: served.stream.viewers,
        standby: served.standby.clone(),
    });
    Why {
        stream_key: facts.key.as_str().to_owned(),
        verdict: verdict::verdict(facts),
        state: published
            .map(|source| source.stream.state)
            .or(recorded.map(|recorded| recorded.state)),
        epoch: published
            .and_then(|source| source.stream.epoch)
            .or(recorded.map(|recorded| recorded.epoch)),
        origin: facts.origin(),
        path: facts.path(),
        last_tag_age: published.and_then(|source| source.last_tag_age),
        codecs: published.map_or_else(Vec::new, |source| source.codecs.clone()),
        viewers: facts.served.iter().map(|it| it.stream.viewers).sum(),
        nodes: nodes.collect(),
        unreachable: facts.silent.names(),
        unreachable_because: facts.silent.reasons(),
    }
}

impl Facts<'_> {
    /// Who knows most about the stream: the origin of the newest publish, or who pulls it.
    fn source(&self) -> Option<&Served> {
        super::best(self.served)
    }

    /// The origin, as nodes say, or as the directory does.
    fn origin(&self) -> Option<String> {
        let told = self
            .source()
            .and_then(|source| source.stream.origin.clone());
        told.or_else(|| Some(self.recorded.as_ref()?.node.clone()))
    }

    /// From the node that was asked to the origin.
    fn path(&self) -> Vec<String> {
        let Some(mine) = self.mine() else {
            return self.origin().into_iter().collect();
        };
        let behind = mine.path.iter().rev().cloned();
        std::iter::once(self.me.to_owned()).chain(behind).collect()
    }

    /// What the node that was asked has of it.
    fn mine(&self) -> Option<&Served> {
        let mut served = self.served.iter();
        served.find(|served| served.node == self.me && served.part != Part::Waiting)
    }
}
