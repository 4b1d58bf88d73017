//! The name of a node.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a node in its cluster: 1 to 63 letters, digits, `-`, `_` and `.`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(Arc<str>);

/// The text is no name of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a node: use 1 to 63 letters, digits, '-', '_' and '.'")]
pub struct NodeIdError(String);

impl NodeId {
    /// How long a name may be, in bytes.
    pub const MAX_LEN: usize = 63;

    /// The name that is written like this.
    pub fn parse(text: &str) -> Result<Self, NodeIdError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        match (1..=Self::MAX_LEN).contains(&text.len()) && text.chars().all(allowed) {
            true => Ok(Self(text.into())),
            // What a peer wrote is not repeated at any length.
            false => Err(NodeIdError(text.chars().take(Self::MAX_LEN).collect())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number that stands for the node in an [`Epoch`](media::Epoch), where it decides between
    /// two that chose the same number: the FNV-1a hash of the name, so that every node and every
    /// release reaches the same one.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        Self::parse(text)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.0)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for fine in ["a", "weir-1", "Node_2.local", &"n".repeat(63)] {
            assert_eq!(
                NodeId::parse(fine).map(|id| id.to_string()).as_deref(),
                Ok(fine)
            );
        }
        for wrong in ["", "a b", "a/b", "ä", "a\0", &"n".repeat(64)] {
            assert!(NodeId::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn its_number_is_the_same_in_every_release() {
        let number = |text| NodeId::parse(text).expect("a name").number();
        assert_eq!(number("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(number("weir-1"), 0xc850_72de_5517_af30);
    }
}
