//! Streams that are to be at some edges before their first player, and stay there.
//!
//! What is to be warm is a shared setting: the key of the stream, and how many edges. Each node works out for itself
//! whether it is among them, by weighing itself against the others (rendezvous hashing), so that all come to the
//! same result, and few move when a node comes or goes.

use directory::{NodeId, NodeRecord, Role};
use media::StreamKey;
use serde::{Deserialize, Serialize};

/// What the setting of a stream says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Warm {
    /// At so many edges.
    pub(crate) edges: usize,
}

/// The nodes that are to have it: edges, or where there are none all that take players.
pub(crate) fn chosen<'a>(
    key: &StreamKey,
    count: usize,
    nodes: impl Iterator<Item = &'a NodeRecord> + Clone,
) -> Vec<&'a NodeId> {
    let stays = |node: &&NodeRecord| !node.draining;
    let mut edges: Vec<_> = nodes
        .clone()
        .filter(stays)
        .filter(|node| node.role == Role::Edge)
        .collect();
    if edges.is_empty() {
        edges = nodes
            .filter(stays)
            .filter(|node| node.role == Role::All)
            .collect();
    }
    edges.sort_by_key(|node| weight(key, &node.id));
    edges.iter().take(count).map(|node| &node.id).collect()
}

/// The same on all nodes, of whatever release: FNV-1a, stirred so that names that differ in their ends alone differ.
fn weight(key: &StreamKey, node: &NodeId) -> u64 {
    let text = key.as_str().bytes().chain([0]).chain(node.as_str().bytes());
    let hash = text.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str], role: Role) -> Vec<NodeRecord> {
        let node = |name: &&str| NodeRecord::new(NodeId::parse(name).expect("a name"), role);
        names.iter().map(node).collect()
    }

    #[test]
    fn few_move_when_a_node_leaves_and_those_that_leave_are_not_chosen() {
        let key = StreamKey::new("live", "cam").expect("a key");
        let mut edges = nodes(&["a", "b", "c", "d", "e"], Role::Edge);
        let before: Vec<_> = chosen(&key, 3, edges.iter()).into_iter().cloned().collect();
        assert_eq!(before.len(), 3);
        edges.reverse();
        assert_eq!(
            chosen(&key, 3, edges.iter()),
            before.iter().collect::<Vec<_>>()
        );
        let leaver = edges.iter_mut().find(|node| node.id == before[1]);
        leaver.expect("there").draining = true;
        let after = chosen(&key, 3, edges.iter());
        assert!(after.contains(&&before[0]) && after.contains(&&before[2]));
        assert!(!after.contains(&&before[1]) && after.len() == 3);
    }

    #[test]
    fn edges_go_before_nodes_that_do_everything() {
        let key = StreamKey::new("live", "cam").expect("a key");
        let all = nodes(&["x", "y"], Role::All);
        assert_eq!(chosen(&key, 9, all.iter()).len(), 2);
        let mut mixed = nodes(&["a"], Role::Edge);
        mixed.extend(all);
        mixed.extend(nodes(&["o"], Role::Origin));
        assert_eq!(chosen(&key, 9, mixed.iter()).len(), 1);
    }
}
