//! What a directory needs of whatever keeps it: keys with values and revisions, leases, and a watch.
//!
//! Everything that makes it a directory is above this, in [`member`](crate::member), the same for
//! every store.

pub(crate) mod etcd;
pub(crate) mod memory;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::record::Lease;

/// A way to what keeps the directory. Keys are those below the cluster's prefix.
pub(crate) trait Store: Send + Sync + 'static {
    /// Opens a session with whoever answers first. The caller limits how long that may take.
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, Fault>>;

    /// Whether leases run out when they are not renewed.
    fn leases_expire(&self) -> bool;
}

/// A working connection. When it breaks, another is opened in its place.
pub(crate) trait Session: Send + Sync + 'static {
    /// Who is at the other end, for logs.
    fn place(&self) -> &str;

    /// A new lease.
    fn grant(&self, term: Term) -> BoxFuture<'_, Result<Lease, Fault>>;

    /// Renews a lease. False: it is gone, and all that was under it.
    fn keep_alive(&self, lease: Lease) -> BoxFuture<'_, Result<bool, Fault>>;

    /// Ends a lease, and all that is under it.
    fn revoke(&self, lease: Lease) -> BoxFuture<'_, Result<(), Fault>>;

    /// Everything there is, all of one revision.
    fn list(&self) -> BoxFuture<'_, Result<Listing, Fault>>;

    /// What changes after a revision.
    fn watch(&self, after: i64) -> BoxFuture<'_, Result<Box<dyn Watch>, Fault>>;

    /// What is at a key.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Item>, Fault>>;

    /// Changes a key if what is there is what is expected, and says what is there if not.
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Outcome, Fault>>;
}

/// How long a lease lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// As long as it is renewed, each time for so long: a node's own.
    Renewed(Duration),
    /// So long.
    Fixed(Duration),
}

/// A watch on everything.
pub(crate) trait Watch: Send {
    /// What happened next, in order. Empty: nothing, but the store is alive.
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Event>, Fault>>;
}

/// A key and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) revision: i64,
    pub(crate) lease: Lease,
}

/// Everything there is, at one revision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) items: Vec<Item>,
    pub(crate) revision: i64,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) key: String,
    pub(crate) when: When,
    pub(crate) change: Put,
}

/// What a key becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Value { value: Vec<u8>, lease: Lease },
    Nothing,
}

/// What must be at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    Absent,
    At(i64),
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done, at this revision.
    Done(i64),
    /// This is there instead of what was expected.
    Differs(Option<Item>),
}

/// Something happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Put(Item),
    Gone { key: String, revision: i64 },
}

impl Event {
    pub(crate) fn revision(&self) -> i64 {
        match self {
            Self::Put(item) => item.revision,
            Self::Gone { revision, .. } => *revision,
        }
    }
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The connection is of no more use.
    #[error("{0}")]
    Broken(String),
    /// The store answered that it will not.
    #[error("{0}")]
    Refused(String),
    /// The lease is gone.
    #[error("the lease is gone")]
    NoLease,
    /// What was asked for is too long ago.
    #[error("the history is compacted")]
    Compacted,
}
