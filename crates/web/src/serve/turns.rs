//! Whose turn it is to have a handshake.
//!
//! So many have one at a time; others wait until one of these is done. An address that has more under way than who comes
//! gives one up for it, so none keeps the others out. Among its own, and where all have the same address, nobody who is
//! about to be done is broken off: only who has taken long for it already.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::crowd::Bell;
use crate::address::host;

pub(super) struct Turns {
    most: usize,
    /// Who has its turn for so long may be broken off.
    long: Duration,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    count: usize,
    /// Those of each address, in the order in which they came.
    hosts: HashMap<IpAddr, BTreeMap<u64, Taken>>,
}

struct Taken {
    since: Instant,
    bell: Arc<Bell>,
}

/// Somebody's, until dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    address: IpAddr,
    number: u64,
    bell: Arc<Bell>,
}

impl Turns {
    /// For so many at a time; 0 is any number.
    pub(super) fn new(most: usize, long: Duration) -> Self {
        Self {
            most,
            long,
            state: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Waits for one.
    pub(super) async fn wait(self: &Arc<Self>, address: IpAddr) -> Turn {
        loop {
            // First, so that nothing is missed that is freed from here on.
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(turn) = self.take(address) {
                return turn;
            }
            freed.await;
        }
    }

    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Turn> {
        let address = host(address);
        let mut state = self.lock();
        if self.most > 0 && state.count >= self.most && !state.make_room(address, self.long) {
            return None;
        }
        let bell = Arc::<Bell>::default();
        let number = state.next;
        state.next += 1;
        state.count += 1;
        let taken = Taken {
            since: Instant::now(),
            bell: Arc::clone(&bell),
        };
        state
            .hosts
            .entry(address)
            .or_default()
            .insert(number, taken);
        drop(state);
        let turns = Arc::clone(self);
        Some(Turn {
            turns,
            address,
            number,
            bell,
        })
    }

    /// One has its turn for long: who waits may look whether it is broken off.
    pub(super) fn look(&self) {
        self.freed.notify_one();
    }

    pub(super) fn long(&self) -> Duration {
        self.long
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Breaks one off for somebody of this address, if that is fair.
    fn make_room(&mut self, address: IpAddr, long: Duration) -> bool {
        let own = self.hosts.get(&address).map_or(0, BTreeMap::len);
        let most = self.hosts.iter().max_by_key(|(_, its)| its.len());
        let most = most.filter(|(_, its)| its.len() > own + 1);
        let fair = most.and_then(|(host, its)| Some((*host, *its.first_key_value()?.0)));
        let (host, number) = match fair {
            Some(fair) => fair,
            None => {
                let firsts = self.hosts.iter();
                let firsts = firsts.filter_map(|(host, its)| Some((host, its.first_key_value()?)));
                let oldest = firsts.min_by_key(|(_, (number, _))| **number);
                match oldest {
                    Some((host, (number, taken))) if taken.since.elapsed() >= long => {
                        (*host, *number)
                    }
                    _ => return false,
                }
            }
        };
        if let Some(taken) = self.remove(host, number) {
            taken.bell.ring();
        }
        true
    }

    fn remove(&mut self, host: IpAddr, number: u64) -> Option<Taken> {
        let its = self.hosts.get_mut(&host)?;
        let taken = its.remove(&number)?;
        if its.is_empty() {
            self.hosts.remove(&host);
        }
        self.count -= 1;
        Some(taken)
    }
}

impl Turn {
    /// Ready once it is broken off.
    pub(super) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.bell.poll(cx)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let left = self.turns.lock().remove(self.address, self.number);
        // Who was broken off has left its turn to another already.
        if left.is_some() {
            self.turns.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use tokio::time::advance;

    use super::*;

    const LONG: Duration = Duration::from_secs(5);

    fn turns(most: usize) -> Arc<Turns> {
        Arc::new(Turns::new(most, LONG))
    }

    fn address(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn over(turn: &Turn) -> bool {
        turn.bell.is_rung()
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_address_nobody_is_broken_off_who_has_just_begun() {
        let turns = turns(2);
        let (one, two) = (turns.wait(address(1)).await, turns.wait(address(1)).await);
        let mut three = Box::pin(turns.wait(address(1)));
        let mut four = Box::pin(turns.wait(address(1)));
        assert!(poll!(three.as_mut()).is_pending() && poll!(four.as_mut()).is_pending());
        drop(two);
        let three = three.await;
        assert!(poll!(four.as_mut()).is_pending());
        assert!(!over(&one) && !over(&three));
        // Whoever takes long has to go in the end.
        advance(LONG).await;
        turns.look();
        let _four = four.await;
        assert!(over(&one) && !over(&three));
        drop((one, three));
        assert_eq!(turns.lock().count, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_most_gives_one_up_for_who_has_fewer() {
        let turns = turns(4);
        let mut many = Vec::new();
        for _ in 0..4 {
            many.push(turns.wait(address(1)).await);
        }
        let two = turns.wait(address(2)).await;
        assert!(over(&many[0]) && !over(&many[1]));
        let three = turns.wait(address(2)).await;
        assert!(over(&many[1]) && !over(&many[2]));
        // Both have as many.
        assert!(poll!(Box::pin(turns.wait(address(2))).as_mut()).is_pending());
        assert!(poll!(Box::pin(turns.wait(address(1))).as_mut()).is_pending());
        assert!(!over(&two) && !over(&three));
        drop((many, two, three));
        assert!(turns.lock().hosts.is_empty() && turns.lock().count == 0);
    }
}
