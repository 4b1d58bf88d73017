//! Who has a stream.

use std::sync::Arc;

use directory::{Held, Role};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use media::StreamKey;
use relay::Peer;

use crate::context::Context;
use crate::membership::{PROBE, peer};

/// So many nodes are asked, while the directory is out of reach, for a stream that it had not told of.
const ASKED: usize = 64;

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

/// As the directory last told; asks it itself where that is nothing and `ask` is set. Where it cannot be asked, the
/// nodes are.
pub(super) async fn find(context: &Context, key: &StreamKey, ask: bool) -> Found {
    let directory = &context.membership.directory;
    if let Some(held) = directory.lookup(key) {
        return place(context, &held);
    }
    if directory.is_up() && !ask {
        return Found::Nobody;
    }
    match directory.resolve(key).await {
        Ok(Some(held)) => place(context, &held),
        Ok(None) => Found::Nobody,
        Err(_) => match ask_around(context, key).await {
            Some(peer) => Found::At(peer),
            None => Found::Nobody,
        },
    }
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

async fn ask_around(context: &Context, key: &StreamKey) -> Option<Peer> {
    let relay = context.membership.relay.as_ref()?;
    let nodes = context.membership.directory.nodes();
    let origins = nodes
        .iter()
        .filter(|node| node.id != *context.membership.me() && node.role != Role::Edge)
        .filter_map(|node| peer(node));
    let mut asked: FuturesUnordered<_> = origins
        .take(ASKED)
        .map(|peer| async move {
            let answer = tokio::time::timeout(PROBE, relay.client.locate(&peer, key)).await;
            matches!(answer, Ok(Ok(Some(_)))).then_some(peer)
        })
        .collect();
    while let Some(answer) = asked.next().await {
        if answer.is_some() {
            return answer;
        }
    }
    None
}
