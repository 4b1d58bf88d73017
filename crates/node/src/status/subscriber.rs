//! Somebody who watches, as the API shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One viewer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Subscriber {
    /// Its name in the cluster, for disconnecting it.
    pub id: String,
    /// The node it is connected to.
    pub node: String,
    /// What it is sent: `rtmp`, `flv`, `ws-flv`.
    pub protocol: String,
    /// Where it is connected from.
    pub address: String,
    /// When it began to watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// For how long it has watched, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
}

/// All viewers of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Subscribers {
    /// The stream.
    pub stream_key: String,
    /// In the order of nodes, and of their coming.
    pub subscribers: Vec<Subscriber>,
    /// How many there are; more than are listed where they are too many for one answer.
    pub total: usize,
    /// The nodes that did not answer: their viewers are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
    /// Why they did not, by name, in a few words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unreachable_because: BTreeMap<String, String>,
}
