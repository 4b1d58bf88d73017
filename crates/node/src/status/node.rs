//! A node, as the API shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Node {
    /// Its name.
    pub id: String,
    /// What it does: `all`, `origin`, `edge`.
    pub role: String,
    /// Where it is reached, by protocol.
    pub addresses: BTreeMap<String, String>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The version of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The share of it that is in use, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// Whether it is leaving.
    pub draining: bool,
    /// Whether it takes new work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// When its process started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// For how long it has run, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
    /// Streams that it has, its own and those it pulls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<u64>,
    /// How many watch at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewers: Option<u64>,
    /// Encoders that publish to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publishers: Option<u64>,
    /// Whether it reaches the directory; left out by a node alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory_up: Option<bool>,
    /// By how many seconds its clock is ahead of that of the node that was asked; only where it
    /// differs by more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_difference: Option<f64>,
}

/// All nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Nodes {
    /// In the order of their names.
    pub nodes: Vec<Node>,
    /// How many there are.
    pub total: usize,
    /// Those that did not answer: of them is told what the directory says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
    /// Why they did not, by name, in a few words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unreachable_because: BTreeMap<String, String>,
}
