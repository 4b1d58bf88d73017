//! Who speaks to whom.

use std::fmt;

/// A node in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    cluster: String,
    node: String,
}

/// A name that could not be sent: 1 to 63 letters, digits and `-`, `_`, `.` are allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a cluster or a node: use 1 to 63 letters, digits, '-', '_' and '.'")]
pub struct NameError(String);

impl Member {
    /// The node with the id `node` in `cluster`.
    ///
    /// # Errors
    ///
    /// A name with other characters than letters, digits and `-`, `_`, `.`, or a length other than 1 to 63.
    pub fn new(cluster: impl Into<String>, node: impl Into<String>) -> Result<Self, NameError> {
        Ok(Self {
            cluster: name(cluster.into())?,
            node: name(node.into())?,
        })
    }

    /// Its cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Its id.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }
}

/// Another node, and where its relay listens.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    node: String,
    address: String,
}

impl Peer {
    /// The node with the id `node` at `address` (`host:port`).
    ///
    /// # Errors
    ///
    /// A name that could not be sent.
    pub fn new(node: impl Into<String>, address: impl Into<String>) -> Result<Self, NameError> {
        Ok(Self {
            node: name(node.into())?,
            address: address.into(),
        })
    }

    /// Its id. Another node that answers at its address refuses.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.node, self.address)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn name(text: String) -> Result<String, NameError> {
    match is_name(&text) {
        true => Ok(text),
        false => Err(NameError(text)),
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=63).contains(&text.len()) && text.chars().all(allowed)
}
