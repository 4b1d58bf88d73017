//! What there is to choose from.

use std::time::Duration;

use super::forms::{self, Choice};

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes publishers and players.
    All,
    /// Takes publishers.
    Origin,
    /// Takes players, and pulls what they play from origins.
    Edge,
}

impl Role {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        forms::name_of(&self)
    }
}

impl Choice for Role {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("all", Self::All),
        ("origin", Self::Origin),
        ("edge", Self::Edge),
    ];
}

/// Which tracks a player gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracks {
    /// All there are.
    All,
    /// The first of each kind, in ordinary tags.
    Main,
}

impl Choice for Tracks {
    const CHOICES: &'static [(&'static str, Self)] = &[("all", Self::All), ("main", Self::Main)];
}

/// Who may replace a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// The same identity at once, anybody once the publisher is silent.
    SameIdentityOrStale,
    /// Nobody.
    Reject,
    /// Anybody.
    Always,
    /// Nobody while it is there; a second one stands by until then.
    Backup,
}

impl Choice for OnConflict {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("same_identity_or_stale", Self::SameIdentityOrStale),
        ("reject", Self::Reject),
        ("always", Self::Always),
        ("backup", Self::Backup),
    ];
}

/// What an edge does with a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEdge {
    /// Refuses it, with the names of origins.
    Refuse,
    /// Sends it to an origin, if it can follow.
    Redirect,
}

impl Choice for AtEdge {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("refuse", Self::Refuse), ("redirect", Self::Redirect)];
}

impl Choice for rtmp::Enhanced {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("legacy", Self::Legacy),
        ("only", Self::Only),
    ];
}

/// How long tags gather before a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalesce {
    /// By load.
    Adaptive,
    /// Always this long.
    Fixed(Duration),
}
