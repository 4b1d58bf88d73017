//! What is counted about the directory. Handles are kept: a look-up by name costs ten times the count.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

/// What the directory is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Connect,
    List,
    KeepAlive,
    Announce,
    Claim,
    Update,
    Release,
    Resolve,
    Setting,
}

impl Op {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Connect, "connect"),
        (Self::List, "list"),
        (Self::KeepAlive, "keep_alive"),
        (Self::Announce, "announce"),
        (Self::Claim, "claim"),
        (Self::Update, "update"),
        (Self::Release, "release"),
        (Self::Resolve, "resolve"),
        (Self::Setting, "setting"),
    ];
}

/// The handles of one node.
pub(crate) struct Metrics {
    up: Gauge,
    seconds: [Histogram; Op::ALL.len()],
    claims: Gauge,
    lost: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        describe_gauge!("weir_directory_up", "1 while the directory can be reached");
        describe_histogram!(
            "weir_directory_seconds",
            "What the directory took to answer, by what it was asked"
        );
        describe_gauge!("weir_claims", "Stream keys that this node holds");
        describe_counter!(
            "weir_claims_lost_total",
            "Stream keys that were lost to another node"
        );
        Self {
            up: gauge!("weir_directory_up"),
            seconds: Op::ALL.map(|(_, name)| histogram!("weir_directory_seconds", "op" => name)),
            claims: gauge!("weir_claims"),
            lost: counter!("weir_claims_lost_total"),
        }
    }

    pub(crate) fn up(&self, up: bool) {
        self.up.set(if up { 1.0 } else { 0.0 });
    }

    /// An answer came after so long.
    pub(crate) fn answered(&self, op: Op, after: Duration) {
        // In the order of their declaration.
        if let Some(histogram) = self.seconds.get(op as usize) {
            histogram.record(after.as_secs_f64());
        }
    }

    pub(crate) fn claims(&self, count: usize) {
        self.claims.set(count as f64);
    }

    pub(crate) fn lost(&self) {
        self.lost.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_listed_in_the_order_of_their_declaration() {
        for (i, (op, _)) in Op::ALL.iter().enumerate() {
            assert_eq!(*op as usize, i);
        }
    }
}
