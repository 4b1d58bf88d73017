//! What goes up: first what is wanted, then how many watch.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use proto::relay::v1 as wire;
use proto::relay::v1::up::Kind;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::Viewers;
use crate::wire::viewers;

/// Between two counts.
const PAUSE: Duration = Duration::from_millis(100);

/// Ends when the sender of the counts is dropped.
pub(super) fn messages(
    wanted: wire::Subscribe,
    counts: watch::Receiver<Viewers>,
) -> impl Stream<Item = wire::Up> + Send + 'static {
    let wanted = up(Kind::Subscribe(wanted));
    let counts = stream::unfold((counts, Duration::ZERO), |(mut counts, pause)| async move {
        sleep(pause).await;
        counts.changed().await.ok()?;
        // The newest: those between were only on the way to it.
        let crowd = counts.borrow_and_update().clone();
        Some((up(Kind::Viewers(viewers::to_wire(crowd))), (counts, PAUSE)))
    });
    stream::once(std::future::ready(wanted)).chain(counts)
}

fn up(kind: Kind) -> wire::Up {
    wire::Up { kind: Some(kind) }
}
