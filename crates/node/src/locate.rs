//! Who has a stream where the directory does not know: the nodes themselves are asked.

use std::time::Duration;

use directory::{Role, StreamRecord};
use futures::future::join_all;
use media::StreamKey;
use relay::Peer;

use crate::membership::{Membership, PROBE, peer};

/// So many nodes are asked at most.
const ASKED: usize = 64;
/// Who is there answers within this.
const PATIENCE: Duration = PROBE;

/// The node that publishes a stream, and what it would say of it in the directory. One that was cut off may still
/// believe that it is the one: the highest epoch counts.
pub(crate) async fn ask_around(
    membership: &Membership,
    key: &StreamKey,
) -> Option<(Peer, StreamRecord)> {
    let relay = membership.relay.as_ref()?;
    let nodes = membership.directory.nodes();
    let others = nodes
        .iter()
        .filter(|node| node.id != *membership.me() && node.role != Role::Edge)
        .filter_map(|node| peer(node));
    let asked = others.take(ASKED).map(|peer| async move {
        let answer = tokio::time::timeout(PATIENCE, relay.client.locate(&peer, key)).await;
        let text = answer.ok()?.ok()??;
        let record = StreamRecord::from_json(key.clone(), &text)?;
        (record.node.as_str() == peer.node()).then_some((peer, record))
    });
    let found = join_all(asked).await.into_iter().flatten();
    found.max_by_key(|(_, record)| record.epoch)
}
