//! Who has a stream.

use std::sync::Arc;

use directory::{Held, NodeId};
use media::{Epoch, StreamKey};
use relay::Peer;
use tracing::debug;

use crate::context::Context;
use crate::locate::ask_around;

/// What a search came to.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) found: Found,
    /// The nodes were asked, all of them, and none has it.
    pub(super) in_vain: bool,
}

/// Where a stream is.
#[derive(Debug)]
pub(super) enum Found {
    /// There.
    At(Peer),
    /// A node has it of which nobody knows where it is.
    Hidden,
    /// This node has it.
    Here,
    Nobody,
}

/// What was found out without the directory.
#[derive(Debug, Default)]
pub(super) struct Clues {
    /// What the directory says with this epoch is out of date: the node does not have the stream, or cannot be
    /// reached.
    stale: Option<Epoch>,
    /// That node said who has it.
    moved_to: Option<NodeId>,
}

impl Clues {
    /// There is nothing to be had from a node, which may have said where there is.
    pub(super) fn not_at(
        &mut self,
        context: &Context,
        key: &StreamKey,
        node: &str,
        moved_to: Option<&str>,
    ) {
        let told = context.membership.directory.lookup(key);
        if let Some(told) = told.filter(|told| told.record.node.as_str() == node) {
            self.stale = Some(told.record.epoch);
        }
        self.moved_to = moved_to.and_then(|node| NodeId::parse(node).ok());
    }
}

/// As the directory last told; asks it itself where that is nothing and `ask` is set. Where it cannot be asked, the
/// nodes are. What is older than `seen` is of no use.
pub(super) async fn find(
    context: &Context,
    key: &StreamKey,
    ask: bool,
    clues: &Clues,
    seen: Option<Epoch>,
) -> Search {
    let directory = &context.membership.directory;
    let told = |found| Search {
        found,
        in_vain: false,
    };
    if let Some(held) = directory.lookup(key) {
        let epoch = Some(held.record.epoch);
        if clues.stale == epoch {
            let moved_to = clues.moved_to.as_ref();
            if let Some(peer) = moved_to.and_then(|node| context.membership.peer(node)) {
                return told(Found::At(peer));
            }
            if !directory.is_up() {
                let asked = ask_nodes(context, key, seen.max(epoch)).await;
                return Search::among_nodes(asked, || place(context, &held));
            }
        }
        return told(place(context, &held));
    }
    if directory.is_up() && !ask {
        return told(Found::Nobody);
    }
    match directory.resolve(key).await {
        Ok(Some(held)) => told(place(context, &held)),
        Ok(None) => told(Found::Nobody),
        Err(_) => {
            let asked = ask_nodes(context, key, seen).await;
            Search::among_nodes(asked, || Found::Nobody)
        }
    }
}

impl Search {
    fn among_nodes(asked: Option<Peer>, otherwise: impl FnOnce() -> Found) -> Search {
        Search {
            in_vain: asked.is_none(),
            found: asked.map_or_else(otherwise, Found::At),
        }
    }
}

/// Who has it, by the nodes' own words, with an epoch of at least `newest`.
pub(super) async fn ask_nodes(
    context: &Context,
    key: &StreamKey,
    newest: Option<Epoch>,
) -> Option<Peer> {
    let (peer, record) = ask_around(&context.membership, key).await?;
    if Some(record.epoch) < newest {
        debug!(%peer, epoch = %record.epoch, "an epoch that is over");
        return None;
    }
    Some(peer)
}

fn place(context: &Context, held: &Arc<Held>) -> Found {
    let node = &held.record.node;
    if node == context.membership.me() {
        return Found::Here;
    }
    match context.membership.peer(node) {
        Some(peer) => Found::At(peer),
        None => Found::Hidden,
    }
}
