//! Who may be connected at a time, and who makes room where one more would be too many.
//!
//! Connections on which nothing is under way stand in line: all of them in one, and those of each address in one of
//! their own. Who has been there for longest is closed for the next that comes, but where somebody has many connections,
//! it is one of whoever has most. So nobody keeps others out, however many connections it opens; and those that are in
//! use stay.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

use crate::address::host;

/// Whose turn it is to make room is looked up once for so many.
const SAME_HOST: usize = 64;
/// More than a browser has, or some behind one wall.
const MANY: usize = 8;

/// The connections there are.
pub(super) struct Crowd {
    most: usize,
    per_address: usize,
    state: Mutex<State>,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// For anybody, beyond so many.
    All(usize),
    /// For this address.
    Address(usize),
}

/// A connection's place among the others, until dropped. It is idle to begin with.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: usize,
    bell: Arc<Bell>,
    /// As it was said last.
    is_idle: AtomicBool,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// Numbers of entries that nobody has.
    free: Vec<usize>,
    hosts: HashMap<IpAddr, Host>,
    count: usize,
    /// How many of them have many.
    large: usize,
    /// Those in line, of whatever address, in the order in which they came to stand there.
    idle: BTreeMap<u64, usize>,
    next: u64,
    /// Who makes room, for so many more.
    turn: Option<(IpAddr, usize)>,
}

struct Host {
    count: usize,
    /// The ends of its line: who is idle for longest, and who was last.
    line: Option<(usize, usize)>,
}

struct Entry {
    address: IpAddr,
    bell: Arc<Bell>,
    stand: Stand,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    Busy,
    /// In line, between these.
    Idle {
        since: u64,
        before: Option<usize>,
        behind: Option<usize>,
    },
    /// It has to go, and does not count any more.
    Dismissed,
}

/// Tells a connection that it has to go.
#[derive(Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Ready once it has rung.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        match self.is_rung() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Crowd {
    /// Of at most so many, and so many from one address; 0 is no limit.
    pub(super) fn new(most: usize, per_address: usize) -> Self {
        Self {
            most,
            per_address,
            state: Mutex::default(),
        }
    }

    /// Takes one in, for whom another may have to leave.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Over> {
        let address = host(address);
        let mut state = self.lock();
        let here = state.hosts.get(&address).map_or(0, |host| host.count);
        if self.per_address > 0 && here >= self.per_address && !state.dismiss(address) {
            return Err(Over::Address(self.per_address));
        }
        if self.most > 0 && state.count >= self.most && !state.make_room() {
            return Err(Over::All(self.most));
        }
        let bell = Arc::<Bell>::default();
        let number = state.add(address, Arc::clone(&bell));
        drop(state);
        let crowd = Arc::clone(self);
        Ok(Place {
            crowd,
            number,
            bell,
            is_idle: AtomicBool::new(true),
        })
    }

    /// Has the one go that is idle for longest, whether or not there are too many.
    pub(super) fn make_room(&self) -> bool {
        self.lock().make_room()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Something is under way: it stays.
    pub(super) fn is_busy(&self) {
        if !self.is_idle.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut state = self.crowd.lock();
        state.leave_line(self.number);
        state.stand(self.number, Stand::Busy);
    }

    /// Nothing is under way any more: it is the last in line.
    pub(super) fn is_idle(&self) {
        if self.is_idle.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut state = self.crowd.lock();
        state.leave_line(self.number);
        state.join_line(self.number);
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.bell.is_rung()
    }

    /// Ready once it has to go.
    pub(super) fn poll_dismissed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.bell.poll(cx)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.crowd.lock();
        state.leave_line(self.number);
        state.remove(self.number);
        state.free.push(self.number);
    }
}

impl State {
    fn add(&mut self, address: IpAddr, bell: Arc<Bell>) -> usize {
        self.count += 1;
        let none = Host {
            count: 0,
            line: None,
        };
        let host = self.hosts.entry(address).or_insert(none);
        host.count += 1;
        self.large += usize::from(host.count == MANY + 1);
        let entry = Entry {
            address,
            bell,
            stand: Stand::Busy,
        };
        let number = match self.free.pop() {
            Some(number) => number,
            None => self.entries.len(),
        };
        match self.entries.get_mut(number) {
            Some(free) => *free = entry,
            None => self.entries.push(entry),
        }
        self.join_line(number);
        number
    }

    /// It counts no more.
    fn remove(&mut self, number: usize) {
        let Some(entry) = self.entries.get_mut(number) else {
            return;
        };
        if std::mem::replace(&mut entry.stand, Stand::Dismissed) == Stand::Dismissed {
            return;
        }
        let address = entry.address;
        self.count -= 1;
        if let Some(host) = self.hosts.get_mut(&address) {
            host.count -= 1;
            self.large -= usize::from(host.count == MANY);
            if host.count == 0 {
                self.hosts.remove(&address);
            }
        }
    }

    /// Has the one go that is idle for longest: of whoever has most of those with many, or else of all.
    fn make_room(&mut self) -> bool {
        if self.large > 0 && self.dismiss_of_many() {
            return true;
        }
        let first = self.idle.first_key_value().map(|(_, number)| *number);
        let address = first
            .and_then(|first| self.entries.get(first))
            .map(|it| it.address);
        // It is the first of its own line as well.
        address.is_some_and(|address| self.dismiss(address))
    }

    fn dismiss_of_many(&mut self) -> bool {
        if let Some((address, more)) = self.turn
            && more > 0
            && self.hosts.get(&address).is_some_and(|it| it.count > MANY)
            && self.dismiss(address)
        {
            self.turn = Some((address, more - 1));
            return true;
        }
        let hosts = self.hosts.iter();
        let idle = hosts.filter(|(_, host)| host.line.is_some() && host.count > MANY);
        let most = idle.max_by_key(|(_, host)| host.count);
        let most = most.map(|(address, _)| *address);
        self.turn = most.map(|address| (address, SAME_HOST));
        most.is_some_and(|address| self.dismiss(address))
    }

    /// Has the one of an address go that is idle for longest.
    fn dismiss(&mut self, address: IpAddr) -> bool {
        let line = self.hosts.get(&address).and_then(|host| host.line);
        let Some((oldest, _)) = line else {
            return false;
        };
        self.leave_line(oldest);
        self.remove(oldest);
        if let Some(entry) = self.entries.get(oldest) {
            entry.bell.ring();
        }
        true
    }

    fn stand(&mut self, number: usize, stand: Stand) {
        if let Some(entry) = self.entries.get_mut(number)
            && entry.stand != Stand::Dismissed
        {
            entry.stand = stand;
        }
    }

    fn join_line(&mut self, number: usize) {
        let Some(entry) = self.entries.get(number) else {
            return;
        };
        if entry.stand == Stand::Dismissed {
            return;
        }
        let Some(host) = self.hosts.get_mut(&entry.address) else {
            return;
        };
        let last = host.line.map(|(_, last)| last);
        host.line = Some((host.line.map_or(number, |(first, _)| first), number));
        if let Some(last) = last {
            self.link(last, |_, behind| *behind = Some(number));
        }
        let (before, behind) = (last, None);
        let since = self.next;
        self.next += 1;
        self.idle.insert(since, number);
        self.stand(
            number,
            Stand::Idle {
                since,
                before,
                behind,
            },
        );
    }

    /// Leaves it busy, if it was in line.
    fn leave_line(&mut self, number: usize) {
        let Some(entry) = self.entries.get(number) else {
            return;
        };
        let Stand::Idle {
            since,
            before,
            behind,
        } = entry.stand
        else {
            return;
        };
        self.idle.remove(&since);
        if let Some(host) = self.hosts.get_mut(&entry.address) {
            host.line = host.line.and_then(|(first, last)| {
                let first = if first == number { behind? } else { first };
                let last = if last == number { before? } else { last };
                Some((first, last))
            });
        }
        if let Some(before) = before {
            self.link(before, |_, its| *its = behind);
        }
        if let Some(behind) = behind {
            self.link(behind, |its, _| *its = before);
        }
        self.stand(number, Stand::Busy);
    }

    fn link(&mut self, number: usize, change: impl FnOnce(&mut Option<usize>, &mut Option<usize>)) {
        if let Some(entry) = self.entries.get_mut(number)
            && let Stand::Idle { before, behind, .. } = &mut entry.stand
        {
            change(before, behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn enter(crowd: &Arc<Crowd>, address: IpAddr) -> Place {
        crowd.enter(address).expect("room")
    }

    fn gone(places: &[&Place]) -> Vec<bool> {
        places.iter().map(|place| place.is_dismissed()).collect()
    }

    #[test]
    fn who_is_idle_for_longest_makes_room() {
        let crowd = Arc::new(Crowd::new(3, 0));
        let (one, two, three) = (enter(&crowd, A), enter(&crowd, A), enter(&crowd, A));
        two.is_busy();
        one.is_busy();
        one.is_idle();
        let _four = enter(&crowd, B);
        assert_eq!(gone(&[&one, &two, &three]), [false, false, true]);
        let _five = enter(&crowd, B);
        assert_eq!(gone(&[&one, &two, &three]), [true, false, true]);
    }

    #[test]
    fn of_many_addresses_who_is_idle_for_longest_makes_room() {
        let crowd = Arc::new(Crowd::new(100, 0));
        let address = |number| IpAddr::from([10, 1, 0, number]);
        // Two of each.
        let mut places: Vec<_> = (0..100)
            .map(|number| enter(&crowd, address(number / 2)))
            .collect();
        for place in &places {
            place.is_busy();
        }
        assert!(crowd.enter(B).is_err(), "all are in use");
        for (number, place) in places.iter().enumerate().rev() {
            place.is_idle();
            place.is_idle();
            assert!(number > 0 || !place.is_dismissed());
        }
        for number in 0..50_u8 {
            let newcomer = enter(&crowd, address(100 + number));
            newcomer.is_busy();
            let last = places.pop().expect("one more");
            assert!(last.is_dismissed(), "{number}");
            assert!(places.iter().all(|place| !place.is_dismissed()), "{number}");
            std::mem::forget(newcomer);
        }
    }

    #[test]
    fn those_in_use_stay() {
        let crowd = Arc::new(Crowd::new(2, 0));
        let (one, two) = (enter(&crowd, A), enter(&crowd, B));
        one.is_busy();
        two.is_busy();
        assert_eq!(crowd.enter(A).err(), Some(Over::All(2)));
        drop(one);
        let _three = enter(&crowd, A);
        assert!(!two.is_dismissed());
    }

    #[test]
    fn room_is_made_by_who_has_most() {
        let crowd = Arc::new(Crowd::new(100, 0));
        let quiet = enter(&crowd, B);
        let mut many: Vec<_> = (0..99).map(|_| enter(&crowd, A)).collect();
        // One after the other, far more than there is room for.
        for _ in 0..500 {
            many.push(enter(&crowd, A));
        }
        assert!(!quiet.is_dismissed(), "it has but one");
        let left = many.iter().filter(|place| !place.is_dismissed()).count();
        assert_eq!(left, 99);
        many.clear();
        assert_eq!(crowd.lock().count, 1);
        assert_eq!(crowd.lock().hosts.len(), 1);
        assert_eq!(crowd.lock().large, 0);
    }

    #[test]
    fn an_address_may_have_so_many_and_its_own_make_room() {
        let crowd = Arc::new(Crowd::new(0, 2));
        let other = enter(&crowd, B);
        let (one, two) = (enter(&crowd, A), enter(&crowd, A));
        two.is_busy();
        // The same address, as an IPv6 socket shows it.
        let three = enter(&crowd, "::ffff:10.0.0.1".parse().expect("an address"));
        assert_eq!(gone(&[&other, &one, &two]), [false, true, false]);
        three.is_busy();
        assert_eq!(crowd.enter(A).err(), Some(Over::Address(2)));
        drop(one);
        assert_eq!(
            crowd.enter(A).err(),
            Some(Over::Address(2)),
            "it did not count"
        );
    }

    #[test]
    fn half_an_address_of_ipv6_is_a_whole_one() {
        let crowd = Arc::new(Crowd::new(0, 2));
        let address = |text: &str| text.parse().expect("an address");
        let one = enter(&crowd, address("2001:db8::1"));
        let _two = enter(&crowd, address("2001:db8::ffff:2"));
        let _three = enter(&crowd, address("2001:db8::8000:0:0:3"));
        let _other = enter(&crowd, address("2001:db8:0:1::1"));
        assert!(one.is_dismissed());
    }

    #[test]
    fn room_is_made_where_something_else_runs_out() {
        let crowd = Arc::new(Crowd::new(0, 0));
        assert!(!crowd.make_room(), "there is nobody");
        let (one, two) = (enter(&crowd, A), enter(&crowd, A));
        one.is_busy();
        assert!(crowd.make_room() && two.is_dismissed());
        assert!(!crowd.make_room() && !one.is_dismissed());
    }

    #[test]
    fn who_was_dismissed_stands_nowhere() {
        let crowd = Arc::new(Crowd::new(1, 0));
        let one = enter(&crowd, A);
        let two = enter(&crowd, A);
        one.is_idle();
        one.is_busy();
        assert!(one.is_dismissed() && !two.is_dismissed());
        drop(one);
        let three = enter(&crowd, A);
        assert!(two.is_dismissed() && !three.is_dismissed());
        drop((two, three));
        let state = crowd.lock();
        assert!(state.hosts.is_empty() && state.idle.is_empty());
        assert_eq!((state.count, state.large), (0, 0));
        assert_eq!(state.free.len(), state.entries.len());
    }
}
