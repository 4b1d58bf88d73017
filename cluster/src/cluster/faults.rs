//! Cables that are cut and slow.

use super::Cluster;
use crate::{Link, Place};

/// Whom a node is cut off from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// A place by its name: a node, `balancer`, `etcd0`, one made by [`Cluster::place`], or `here`,
    /// where this process is with its encoders and viewers.
    Place(String),
    /// All members of the etcd.
    Etcd,
    /// The rest of the cluster: nodes, etcd and balancer, but nobody who comes from outside.
    Cluster,
    /// Everybody there is.
    Everything,
}

impl From<&str> for Side {
    fn from(name: &str) -> Self {
        match name {
            "etcd" => Self::Etcd,
            "cluster" => Self::Cluster,
            "all" | "everything" => Self::Everything,
            name => Self::Place(name.to_owned()),
        }
    }
}

impl Cluster {
    /// Cuts the cables between a node (or any place) and others: packets vanish, and nobody is
    /// told.
    ///
    /// # Panics
    /// When there is no such place, or the network is not an isolated one.
    pub fn partition(&self, who: &str, from: impl Into<Side>) {
        self.link(who, from, Link::CUT);
    }

    /// Makes cables as good as new.
    ///
    /// # Panics
    /// When there is no such place, or the network is not an isolated one.
    pub fn heal(&self, who: &str, from: impl Into<Side>) {
        self.link(who, from, Link::default());
    }

    /// Makes all cables as good as new.
    pub fn heal_all(&self) {
        self.network.heal_all();
    }

    /// Makes cables what `link` says: slow, or losing packets, in both directions.
    ///
    /// # Panics
    /// When there is no such place, or the network is not an isolated one.
    pub fn link(&self, who: &str, to: impl Into<Side>, link: Link) {
        let side = to.into();
        let one = self
            .place_of(who)
            .unwrap_or_else(|| panic!("there is no place {who}"));
        let others = self.places(&side);
        assert!(!others.is_empty(), "there is nothing that is {side:?}");
        for other in others.iter().filter(|other| other.name() != one.name()) {
            self.network.set(&one, other, link);
        }
    }

    /// Whether there is something of that name to cut off.
    pub fn has_place(&self, name: &str) -> bool {
        !self.places(&Side::from(name)).is_empty()
    }

    fn place_of(&self, name: &str) -> Option<Place> {
        self.places(&Side::Everything)
            .into_iter()
            .find(|place| place.name() == name)
    }

    fn places(&self, side: &Side) -> Vec<Place> {
        match side {
            Side::Place(name) => self.place_of(name).into_iter().collect(),
            Side::Etcd => self.etcd_places().collect(),
            Side::Cluster => {
                let nodes = self.nodes().map(|node| node.place().clone());
                let balancer = self.try_balancer().map(|balancer| balancer.place().clone());
                nodes.chain(self.etcd_places()).chain(balancer).collect()
            }
            Side::Everything => {
                let mut all = self.places(&Side::Cluster);
                all.extend(self.guests());
                all.push(self.network.here());
                all
            }
        }
    }

    fn etcd_places(&self) -> impl Iterator<Item = Place> {
        let etcd = self.try_etcd().into_iter();
        etcd.flat_map(|etcd| (0..etcd.size()).map(|member| etcd.place(member).clone()))
    }
}
