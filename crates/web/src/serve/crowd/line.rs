//! The lines in which idle connections stand.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::Sign;

/// Whose turn it is to make room is looked up once for so many.
const SAME_HOST: usize = 64;
/// More than a browser has, or some behind one wall.
pub(super) const MANY: usize = 8;
/// Among so many one looks each time who is idle by now…
pub(super) const FEW: usize = 1024;
/// …among more, when so many nanoseconds have gone by.
pub(super) const LOOK: u64 = 100_000_000;

/// All connections, and those of them that stand in line.
#[derive(Default)]
pub(super) struct Line {
    entries: Vec<Entry>,
    /// Numbers of entries that nobody has.
    free: Vec<usize>,
    hosts: HashMap<IpAddr, Host>,
    count: usize,
    /// How many hosts have many.
    large: usize,
    /// Who stands in line, by since when it is idle, in nanoseconds.
    idle: BTreeSet<(u64, usize)>,
    /// The same, those of each address by themselves.
    of_hosts: BTreeSet<(IpAddr, u64, usize)>,
    /// Who makes room, for so many more.
    turn: Option<(IpAddr, usize)>,
    /// When one looked last who is idle.
    looked: Option<u64>,
}

#[derive(Default)]
struct Host {
    count: usize,
    /// So many of them stand in line.
    idle: usize,
}

struct Entry {
    address: IpAddr,
    sign: Arc<Sign>,
    stand: Stand,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// In no line: it is in use, or was when somebody looked.
    Out,
    /// In line, idle since then.
    Idle(u64),
    /// It has to go, and does not count any more.
    Dismissed,
}

impl Line {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn count_of(&self, address: IpAddr) -> usize {
        self.hosts.get(&address).map_or(0, |host| host.count)
    }

    /// Takes one in, whose sign says that it stands in line. Returns its number.
    pub(super) fn add(&mut self, address: IpAddr, sign: Arc<Sign>, now: u64) -> usize {
        self.count += 1;
        let host = self.hosts.entry(address).or_default();
        host.count += 1;
        self.large += usize::from(host.count == MANY + 1);
        let entry = Entry {
            address,
            sign,
            stand: Stand::Out,
        };
        let number = self.free.pop().unwrap_or(self.entries.len());
        match self.entries.get_mut(number) {
            Some(free) => *free = entry,
            None => self.entries.push(entry),
        }
        self.join(number, now);
        number
    }

    /// It is not there any more: its number is another's.
    pub(super) fn remove(&mut self, number: usize) {
        self.leave(number);
        self.uncount(number);
        self.free.push(number);
    }

    /// Has the one go that is idle for longest: of whoever has most of those with many, or else of all.
    pub(super) fn make_room(&mut self, now: u64) -> bool {
        self.look(now);
        if self.large > 0 && self.dismiss_of_many() {
            return true;
        }
        let first = self.idle.first().map(|(_, number)| *number);
        first.is_some_and(|first| self.dismiss(first))
    }

    /// Has the one of an address go that is idle for longest.
    pub(super) fn make_room_of(&mut self, address: IpAddr, now: u64) -> bool {
        self.look(now);
        self.dismiss_of(address)
    }

    /// Leaves the line, if it stands there.
    pub(super) fn leave(&mut self, number: usize) {
        if let Some(entry) = self.entries.get_mut(number)
            && let Stand::Idle(since) = entry.stand
        {
            entry.stand = Stand::Out;
            self.idle.remove(&(since, number));
            self.of_hosts.remove(&(entry.address, since, number));
            if let Some(host) = self.hosts.get_mut(&entry.address) {
                host.idle -= 1;
            }
        }
    }

    fn join(&mut self, number: usize, since: u64) {
        if let Some(entry) = self.entries.get_mut(number)
            && entry.stand == Stand::Out
        {
            entry.stand = Stand::Idle(since);
            self.idle.insert((since, number));
            self.of_hosts.insert((entry.address, since, number));
            if let Some(host) = self.hosts.get_mut(&entry.address) {
                host.idle += 1;
            }
        }
    }

    /// Has those stand in line who have become idle since somebody looked last.
    fn look(&mut self, now: u64) {
        let is_early = |looked: u64| now.saturating_sub(looked) < LOOK;
        if self.entries.len() > FEW && self.looked.is_some_and(is_early) {
            return;
        }
        self.looked = Some(now);
        for number in 0..self.entries.len() {
            let entry = self.entries.get(number);
            let entry = entry.filter(|entry| entry.stand == Stand::Out);
            if let Some(since) = entry.and_then(|entry| entry.sign.list()) {
                self.join(number, since);
            }
        }
    }

    fn dismiss_of_many(&mut self) -> bool {
        if let Some((address, more)) = self.turn
            && more > 0
            && self.count_of(address) > MANY
            && self.dismiss_of(address)
        {
            self.turn = Some((address, more - 1));
            return true;
        }
        let hosts = self.hosts.iter();
        let idle = hosts.filter(|(_, host)| host.idle > 0 && host.count > MANY);
        let most = idle.max_by_key(|(_, host)| host.count);
        let most = most.map(|(address, _)| *address);
        self.turn = most.map(|address| (address, SAME_HOST));
        most.is_some_and(|address| self.dismiss_of(address))
    }

    fn dismiss_of(&mut self, address: IpAddr) -> bool {
        let its = self.of_hosts.range((address, 0, 0)..).next();
        let its = its.filter(|(host, ..)| *host == address);
        let number = its.map(|(_, _, number)| *number);
        number.is_some_and(|number| self.dismiss(number))
    }

    fn dismiss(&mut self, number: usize) -> bool {
        self.leave(number);
        self.uncount(number);
        let entry = self.entries.get(number);
        if let Some(entry) = entry {
            entry.sign.bell.ring();
        }
        entry.is_some()
    }

    /// It counts no more.
    fn uncount(&mut self, number: usize) {
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
}

#[cfg(test)]
impl Line {
    /// Whether nothing is left of anybody.
    pub(super) fn is_empty(&self) -> bool {
        let is_empty = self.hosts.is_empty() && self.idle.is_empty() && self.of_hosts.is_empty();
        is_empty && (self.count, self.large) == (0, 0) && self.free.len() == self.entries.len()
    }

    pub(super) fn hosts(&self) -> (usize, usize) {
        (self.hosts.len(), self.large)
    }
}
