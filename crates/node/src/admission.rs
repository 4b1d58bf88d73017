//! Who may connect: connections in all and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many refused peers at a time are told why; further ones are just closed.
const EXPLAINED: usize = 64;

/// Counts the connections there are.
#[derive(Clone)]
pub(crate) struct Admission {
    total: usize,
    per_address: usize,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    explained: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// What becomes of a new connection.
pub(crate) enum Admitted {
    Yes(Permit),
    /// Refused, and told why for as long as the permit lasts.
    Refused(Permit, Over),
    /// Too many are being refused to talk to each.
    Closed,
}

/// Why there is no room for a connection, in a sentence.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Over {
    /// The node has as much as it takes.
    #[error("{0}")]
    Node(String),
    /// The peer's address has.
    #[error("{0}")]
    Address(String),
}

/// A connection's place in the counts, until dropped.
pub(crate) struct Permit {
    counts: Arc<Mutex<Counts>>,
    address: Option<IpAddr>,
}

impl Admission {
    /// At most `total` connections, `per_address` from one address; 0 is no limit.
    pub(crate) fn new(total: usize, per_address: usize) -> Admission {
        Admission {
            total,
            per_address,
            counts: Arc::default(),
        }
    }

    pub(crate) fn admit(&self, address: IpAddr) -> Admitted {
        let address = address.to_canonical();
        let mut counts = self.counts();
        let here = counts.by_address.get(&address).copied().unwrap_or(0);
        let refusal = if self.total > 0 && counts.all >= self.total {
            Some(Over::Node(format!(
                "this node serves its limit of {} connections; try another node or later \
                 (limits.connections)",
                self.total
            )))
        } else if self.per_address > 0 && here >= self.per_address {
            Some(Over::Address(format!(
                "your address has {here} connections, which is the limit; close some \
                 (limits.connections_per_address)"
            )))
        } else {
            None
        };
        if let Some(why) = refusal {
            drop(counts);
            return self.refuse(why);
        }
        counts.all += 1;
        *counts.by_address.entry(address).or_default() += 1;
        Admitted::Yes(self.permit(Some(address)))
    }

    /// Lets a connection in for as long as it takes to say why it has to leave.
    pub(crate) fn refuse(&self, why: Over) -> Admitted {
        let mut counts = self.counts();
        if counts.explained >= EXPLAINED {
            return Admitted::Closed;
        }
        counts.explained += 1;
        Admitted::Refused(self.permit(None), why)
    }

    /// How many connections there are, without those that are being refused.
    pub(crate) fn connections(&self) -> usize {
        self.counts().all
    }

    fn permit(&self, address: Option<IpAddr>) -> Permit {
        Permit {
            counts: Arc::clone(&self.counts),
            address,
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(address) = self.address else {
            counts.explained -= 1;
            return;
        };
        counts.all -= 1;
        if let Some(here) = counts.by_address.get_mut(&address) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_address_and_in_all_and_forgets_who_left() {
        let admission = Admission::new(3, 2);
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let Admitted::Yes(first) = admission.admit(a) else {
            panic!("refused")
        };
        let Admitted::Yes(_second) = admission.admit(a) else {
            panic!("refused")
        };
        assert!(matches!(admission.admit(a), Admitted::Refused(..)));
        let Admitted::Yes(_third) = admission.admit(b) else {
            panic!("refused")
        };
        assert!(matches!(admission.admit(b), Admitted::Refused(..)));
        drop(first);
        assert!(matches!(admission.admit(a), Admitted::Yes(_)));
    }

    #[test]
    fn explains_itself_to_so_many_and_closes_the_others() {
        let admission = Admission::new(1, 0);
        let a = IpAddr::from([127, 0, 0, 1]);
        let _held = admission.admit(a);
        let told: Vec<Admitted> = (0..EXPLAINED).map(|_| admission.admit(a)).collect();
        assert!(
            told.iter()
                .all(|admitted| matches!(admitted, Admitted::Refused(..)))
        );
        assert!(matches!(admission.admit(a), Admitted::Closed));
        drop(told);
        assert!(matches!(admission.admit(a), Admitted::Refused(..)));
    }
}
