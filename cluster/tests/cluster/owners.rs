//! Who has a stream: as the directory says, and as the origins do.

use std::collections::BTreeMap;

use serde_json::Value;
use weir_cluster::{Cluster, Node};

/// The streams by key, and who publishes each of them. In the directory a key is there once, so it
/// has one owner or none.
pub(crate) type Owners = BTreeMap<String, Owner>;

/// A node, and the number of the epoch with which it has a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) node: String,
    pub(crate) epoch: u64,
    /// `live` or `waiting`.
    pub(crate) state: String,
}

/// What the directory says; `None` when etcd does not answer.
pub(crate) async fn in_directory(cluster: &Cluster) -> Option<Owners> {
    let claims = cluster.claims().await.ok()?;
    let prefix = format!("/weir/{}/streams/", Cluster::NAME);
    let owners = claims.iter().map(|claim| {
        let key = claim.key.strip_prefix(&prefix).expect("its own prefix");
        let (value, text) = (claim.json(), |value: &Value| {
            value.as_str().unwrap_or_default().to_owned()
        });
        let epoch = text(&value["epoch"]);
        let number = epoch
            .split('.')
            .next()
            .and_then(|number| number.parse().ok());
        let owner = Owner {
            node: text(&value["node"]),
            epoch: number.unwrap_or_else(|| panic!("an epoch in {claim:?}")),
            state: text(&value["state"]),
        };
        (key.to_owned(), owner)
    });
    Some(owners.collect())
}

/// These streams at these nodes, each with the epoch of its last publish there.
pub(crate) fn served(cluster: &Cluster, streams: &[(&str, &str)]) -> Owners {
    let owners = streams.iter().map(|&(key, node)| {
        let owner = Owner {
            node: node.to_owned(),
            epoch: published(cluster.node(node), key),
            state: "live".to_owned(),
        };
        (key.to_owned(), owner)
    });
    owners.collect()
}

/// The epoch with which a node published a stream last, as it logged.
pub(crate) fn published(node: &Node, key: &str) -> u64 {
    let text = node.log.text();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut epochs = lines.filter_map(|line: Value| {
        let is_it = line["message"] == "published" && line["span"]["key"] == key;
        is_it.then(|| line["epoch"].as_u64())?
    });
    let last = epochs.next_back();
    last.unwrap_or_else(|| panic!("{} never published {key}:\n{text}", node.name()))
}
