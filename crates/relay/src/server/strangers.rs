//! Connections whose callers have not authenticated themselves: so many at a time, and nobody is kept out by those
//! who are silent.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::metrics;
use crate::seldom::Seldom;

/// Of so many parts a network may have one before it is the first to make room.
const SHARE: usize = 16;

/// Those there are. A node is one of them for a moment; so where there is no room, the oldest makes some, of the
/// networks that have more than their share if there are such.
#[derive(Debug)]
pub(super) struct Strangers {
    most: usize,
    here: Mutex<Here>,
    warning: Seldom,
}

#[derive(Debug, Default)]
struct Here {
    last: u64,
    /// The oldest first.
    strangers: VecDeque<Stranger>,
}

#[derive(Debug)]
struct Stranger {
    id: u64,
    address: SocketAddr,
    told: Arc<Notify>,
}

/// A place among them, until dropped.
#[derive(Debug)]
pub(super) struct Place {
    strangers: Arc<Strangers>,
    id: u64,
}

impl Strangers {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            here: Mutex::default(),
            warning: Seldom::default(),
        }
    }

    /// Lets one in. Who has to make room for another is told.
    pub(super) fn enter(self: &Arc<Self>, address: SocketAddr, told: Arc<Notify>) -> Place {
        let (id, gone) = {
            let mut here = self.here();
            let gone = match here.strangers.len() < self.most {
                true => None,
                false => here.make_room(self.most / SHARE),
            };
            here.last += 1;
            let id = here.last;
            here.strangers.push_back(Stranger { id, address, told });
            (id, gone)
        };
        if let Some(gone) = gone {
            gone.told.notify_one();
            self.refuse(gone.address);
        }
        Place {
            strangers: Arc::clone(self),
            id,
        }
    }

    fn refuse(&self, peer: SocketAddr) {
        metrics::crowded_out();
        let most = self.most;
        match self.warning.is_time() {
            true => warn!(%peer, most, "too many connections that are not authenticated: closed"),
            false => debug!(%peer, most, "too many connections that are not authenticated: closed"),
        }
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Here {
    fn make_room(&mut self, share: usize) -> Option<Stranger> {
        let mut counts = HashMap::<_, usize>::new();
        for stranger in &self.strangers {
            *counts.entry(network(stranger.address)).or_default() += 1;
        }
        let has_more = |stranger: &Stranger| {
            let count = counts.get(&network(stranger.address));
            count.is_some_and(|count| *count > share.max(1))
        };
        let first = self.strangers.iter().position(has_more);
        self.strangers.remove(first.unwrap_or(0))
    }
}

/// Whoever has one IPv6 address has all that begin with the same 64 bits.
fn network(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V6(ip) => {
            let bits = ip.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        ip @ IpAddr::V4(_) => ip,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let strangers = &mut self.strangers.here().strangers;
        // In the order of their numbers.
        if let Ok(at) = strangers.binary_search_by_key(&self.id, |stranger| stranger.id) {
            strangers.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    struct Guest {
        told: Arc<Notify>,
        _place: Place,
    }

    impl Guest {
        fn was_sent_away(&self) -> bool {
            self.told.notified().now_or_never().is_some()
        }
    }

    fn enter(strangers: &Arc<Strangers>, from: &str) -> Guest {
        let told = Arc::new(Notify::new());
        let address = format!("{from}:50000").parse().expect("an address");
        Guest {
            _place: strangers.enter(address, Arc::clone(&told)),
            told,
        }
    }

    #[test]
    fn the_oldest_makes_room_and_nobody_does_where_there_is_some() {
        let strangers = Arc::new(Strangers::new(2));
        let (first, second) = (enter(&strangers, "10.0.0.1"), enter(&strangers, "10.0.0.2"));
        assert!(!first.was_sent_away());
        drop(second);
        let third = enter(&strangers, "10.0.0.3");
        assert!(!first.was_sent_away());
        let fourth = enter(&strangers, "10.0.0.4");
        assert!(first.was_sent_away());
        assert!(!third.was_sent_away() && !fourth.was_sent_away());
    }

    #[test]
    fn a_network_that_has_more_than_its_share_makes_room_first() {
        for crowd in ["10.0.0.9", "[2001:db8::7]"] {
            let strangers = Arc::new(Strangers::new(64));
            let early = enter(&strangers, "10.0.0.1");
            // No more than its share.
            let few: Vec<_> = (0..4).map(|_| enter(&strangers, "10.0.0.2")).collect();
            let many: Vec<_> = (0..59).map(|_| enter(&strangers, crowd)).collect();
            let newcomer = enter(&strangers, "10.0.0.3");
            assert!(many[0].was_sent_away() && !many[1].was_sent_away());
            let others = few.iter().chain([&early, &newcomer]);
            assert!(others.into_iter().all(|guest| !guest.was_sent_away()));
        }
    }

    #[test]
    fn addresses_that_one_owner_has_count_as_one() {
        let network = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(network("[2001:db8::7]:1"), network("[2001:db8::ffff:7]:2"));
        assert_ne!(network("[2001:db8::7]:1"), network("[2001:db8:0:1::7]:1"));
        assert_eq!(network("[::ffff:10.0.0.1]:1"), network("10.0.0.1:2"));
        assert_ne!(network("10.0.0.1:1"), network("10.0.0.2:1"));
    }
}
