//! What an edge says while its stream goes down: how many watch.

use std::time::Duration;

use proto::relay::v1 as wire;
use proto::relay::v1::up::Kind;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tonic::Streaming;

use crate::Viewers;
use crate::wire::viewers;

/// After each message the edge has a pause: whoever sends without end fills its own window and no more.
const PAUSE: Duration = Duration::from_millis(50);

/// Listens until dropped.
#[derive(Debug)]
pub(super) struct Listening(JoinHandle<()>);

impl Listening {
    pub(super) fn start(up: Streaming<wire::Up>, tell: Box<dyn FnMut(Viewers) + Send>) -> Self {
        Self(tokio::spawn(listen(up, tell)))
    }
}

/// An edge that says nothing any more still listens: only the end of the stream down is an end.
async fn listen(mut up: Streaming<wire::Up>, mut tell: Box<dyn FnMut(Viewers) + Send>) {
    while let Ok(Some(message)) = up.message().await {
        if let Some(Kind::Viewers(crowd)) = message.kind {
            tell(viewers::from_wire(crowd));
        }
        sleep(PAUSE).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}
