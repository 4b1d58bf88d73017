//! A directory in the memory of one process.

use std::sync::Arc;

use crate::member::Member;
use crate::store::memory::{Data, Memory, Shared};
use crate::{Directory, NodeId, Options};

/// A directory in the memory of one process: for a node alone, and for several nodes in one test.
///
/// Leases do not run out by themselves; a node that is dropped leaves at once. What goes wrong with a
/// real directory goes wrong here to order: [`cut`](Self::cut), [`expire`](Self::expire),
/// [`down`](Self::down), [`restore`](Self::restore).
#[derive(Clone, Debug)]
pub struct Embedded(Arc<Shared>);

impl Embedded {
    /// An empty directory.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "an empty directory is made on purpose"
    )]
    pub fn new() -> Self {
        Self(Shared::new())
    }

    /// The directory of a node alone. Wants a tokio runtime.
    #[must_use]
    pub fn alone(node: NodeId) -> Arc<dyn Directory> {
        Self::new().join(node, Options::default())
    }

    /// Lets a node join. Wants a tokio runtime.
    #[must_use]
    pub fn join(&self, node: NodeId, options: Options) -> Arc<dyn Directory> {
        Member::join(Memory::new(self.0.clone(), node.clone()), node, options)
    }

    /// Cuts a node off, until it is [healed](Self::heal). If it is dropped meanwhile, as by a
    /// process that is killed, what it claimed stays until its lease [expires](Self::expire).
    pub fn cut(&self, node: &NodeId) {
        self.0.cut(node, true);
    }

    /// Ends a [`cut`](Self::cut).
    pub fn heal(&self, node: &NodeId) {
        self.0.cut(node, false);
    }

    /// The lease of a node runs out.
    pub fn expire(&self, node: &NodeId) {
        self.0.expire(node);
    }

    /// The directory is out of reach for everybody, or is there again.
    pub fn down(&self, down: bool) {
        self.0.down(down);
    }

    /// Forgets what happened so far, so that a watch that is behind must list anew.
    pub fn compact(&self) {
        self.0.compact();
    }

    /// All that is there, for [`restore`](Self::restore).
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.snapshot())
    }

    /// Makes everything what it was, as from a backup.
    pub fn restore(&self, snapshot: Snapshot) {
        self.0.restore(snapshot.0);
    }
}

/// What was in a directory once.
#[derive(Clone, Debug)]
pub struct Snapshot(Data);
