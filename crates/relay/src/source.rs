//! What a node lends to the relay: its streams, and its answers.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::future::BoxFuture;
use media::{Epoch, Ring, StreamKey};
use tokio::sync::watch;

use crate::{About, Action, End, Query, Refusal, Release, Released, Subscribe, Viewers};

/// Who has called, authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its id.
    pub node: String,
    /// Where it called from.
    pub address: SocketAddr,
}

/// The node behind a [`Server`](crate::Server).
///
/// A caller that gives up drops the future that it waits for.
pub trait Source: Send + Sync + 'static {
    /// Where the bytes that go out are to be counted, if the node wants to know. Asked once.
    fn sent(&self) -> Option<Arc<AtomicU64>> {
        None
    }

    /// The clock that says when tags came in, as time since 1970: what a caller is told who asks for the time here.
    fn clock(&self) -> Duration {
        crate::clock::unix()
    }

    /// Opens a stream to an edge. Versions and loops were looked at.
    fn subscribe(
        &self,
        caller: Caller,
        subscribe: Subscribe,
    ) -> BoxFuture<'_, Result<Feed, Refusal>>;

    /// Lets go of a stream, or says why not.
    fn release(&self, caller: Caller, release: Release)
    -> BoxFuture<'_, Result<Released, Refusal>>;

    /// The node's record in the directory about a stream that it is the origin of: JSON.
    fn locate(&self, key: StreamKey) -> BoxFuture<'_, Option<String>>;

    /// Answers in JSON.
    fn status(&self, query: Query) -> BoxFuture<'_, Result<String, Refusal>>;

    /// Does it; what there is to say is JSON, or nothing.
    fn act(&self, caller: Caller, action: Action) -> BoxFuture<'_, Result<String, Refusal>>;
}

/// A stream on its way to one edge.
pub struct Feed {
    /// The tags.
    pub ring: Ring,
    /// What to say about an epoch of the ring. Called on the way of the tags: it must not wait.
    pub describe: Arc<dyn Fn(Epoch) -> About + Send + Sync>,
    /// Told when there may be something else to say about an epoch.
    pub changes: watch::Receiver<()>,
    /// What happens beside the tags.
    pub notices: watch::Receiver<Notice>,
    /// Told how many watch at the edge.
    pub viewers: Box<dyn FnMut(Viewers) + Send>,
    /// Dropped when the edge has left, or was left.
    pub guard: Box<dyn Any + Send>,
}

/// What a feed is told beside its tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Notice {
    /// Nothing.
    #[default]
    None,
    /// The node will be gone after this; the feed goes on until then.
    Draining {
        /// From now.
        within: Duration,
    },
    /// The feed ends with the tags that are in the ring now. Goes before a reason that the ring itself ended for.
    End(End),
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}
