use std::fmt;

/// The fencing number of one publish: it only grows, over all nodes.
///
/// Of two epochs the one with the higher number is newer; where two nodes chose the same number
/// at the same time, the node decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// At least one more than every number known before, and at least the unix time in ms.
    pub number: u64,
    /// The node that chose it.
    pub node: u64,
}

impl Epoch {
    /// The epoch with this number, chosen by this node.
    pub fn new(number: u64, node: u64) -> Self {
        Self { number, node }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:x}", self.number, self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_decides_before_the_node() {
        assert!(Epoch::new(2, 1) > Epoch::new(1, 9));
        assert!(Epoch::new(2, 2) > Epoch::new(2, 1));
    }
}
