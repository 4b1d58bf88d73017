//! Nodes around an etcd and behind a balancer.

mod ask;
mod faults;

use std::sync::{Mutex, PoisonError};

pub use self::faults::Side;
use crate::{Balancer, Builder, Etcd, Network, Node, Place};

/// A cluster on this machine. Everything in it ends when this is dropped.
///
/// Nodes are called `o1`, `o2`, … (origins), `e1`, … (edges) and `n1`, … (both).
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order.
    members: Vec<Member>,
    balancer: Option<Balancer>,
    etcd: Option<Etcd>,
    guests: Mutex<Vec<Place>>,
    network: Network,
}

/// A node, and what it is there for.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) role: Role,
    pub(crate) node: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Origin,
    Edge,
    All,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Edge => "edge",
            Self::All => "all",
        }
    }
}

impl Cluster {
    /// What it is called in the directory.
    pub const NAME: &'static str = "test";

    /// Describes a cluster, of nothing at first.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        network: Network,
        etcd: Option<Etcd>,
        members: Vec<Member>,
        balancer: Option<Balancer>,
    ) -> Self {
        Self {
            members,
            balancer,
            etcd,
            guests: Mutex::default(),
            network,
        }
    }

    /// A node by its name.
    ///
    /// # Panics
    /// When there is none.
    pub fn node(&self, name: &str) -> &Node {
        self.find(name)
            .unwrap_or_else(|| panic!("there is no node {name}"))
    }

    /// A node by its name, if there is one.
    pub fn find(&self, name: &str) -> Option<&Node> {
        self.nodes().find(|node| node.name() == name)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.members.iter().map(|member| &member.node)
    }

    /// The nodes that are origins and nothing else.
    pub fn origins(&self) -> impl Iterator<Item = &Node> {
        self.of(Role::Origin)
    }

    /// The nodes that are edges and nothing else.
    pub fn edges(&self) -> impl Iterator<Item = &Node> {
        self.of(Role::Edge)
    }

    fn of(&self, role: Role) -> impl Iterator<Item = &Node> {
        let members = self.members.iter();
        members
            .filter(move |member| member.role == role)
            .map(|member| &member.node)
    }

    /// What a node is there for: `origin`, `edge` or `all`.
    pub fn role(&self, node: &str) -> Option<&'static str> {
        let member = self
            .members
            .iter()
            .find(|member| member.node.name() == node);
        member.map(|member| member.role.name())
    }

    /// The directory.
    ///
    /// # Panics
    /// When it was made without.
    pub fn etcd(&self) -> &Etcd {
        self.try_etcd().expect("a cluster with an etcd")
    }

    /// The directory, if it was made with one.
    pub fn try_etcd(&self) -> Option<&Etcd> {
        self.etcd.as_ref()
    }

    /// The balancer.
    ///
    /// # Panics
    /// When it was made without.
    pub fn balancer(&self) -> &Balancer {
        self.try_balancer().expect("a cluster with a balancer")
    }

    /// The balancer, if it was made with one.
    pub fn try_balancer(&self) -> Option<&Balancer> {
        self.balancer.as_ref()
    }

    /// The network all that is in.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// A place for somebody else, an encoder for example; the same for the same name.
    ///
    /// # Panics
    /// When there are too many.
    pub fn place(&self, name: &str) -> Place {
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = guests.iter().find(|place| place.name() == name) {
            return place.clone();
        }
        let place = self.network.place(name);
        guests.push(place.clone());
        place
    }

    fn guests(&self) -> Vec<Place> {
        self.guests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
