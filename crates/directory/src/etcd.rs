//! A directory in etcd.

use std::sync::Arc;

use crate::member::Member;
use crate::store::etcd::Etcd as Store;
use crate::{Config, Directory, NodeId, Options};

/// A directory in etcd, 3.4 or newer, for any number of nodes.
#[derive(Clone, Copy, Debug)]
pub struct Etcd;

impl Etcd {
    /// Joins the directory. Returns at once: it is reached when [`is_up`](Directory::is_up), and
    /// tried for as long as it is not. Wants a tokio runtime, and a configuration without
    /// [problems](Config::problems).
    #[must_use]
    pub fn join(config: Config, node: NodeId, options: Options) -> Arc<dyn Directory> {
        Member::join(Store::new(config), node, options)
    }
}

/// Joins the directory that is configured, as the node of this name. Wants a tokio runtime, and a
/// configuration without [problems](Config::problems).
#[must_use]
pub fn join(config: Config, node: NodeId) -> Arc<dyn Directory> {
    let options = Options {
        lease_ttl: config.lease_ttl,
        ..Options::default()
    };
    match config.kind {
        crate::DirectoryKind::Embedded => crate::Embedded::new().join(node, options),
        crate::DirectoryKind::Etcd => Etcd::join(config, node, options),
    }
}
