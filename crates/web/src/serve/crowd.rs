//! Who may be connected at a time, and who makes room where one more would be too many.
//!
//! Connections on which nothing is under way stand in line: all of them in one, and those of each address in one of
//! their own. Who has been idle for longest is closed for the next that comes, but where somebody has many connections,
//! it is one of whoever has most. So nobody keeps others out, however many connections it opens; and those that are in
//! use stay.
//!
//! Who comes stands in line at once. After that a connection only shows whether it is idle, as it turns from one to the
//! other with each request: those that are get in line when somebody has to make room.

mod bell;
mod line;
mod sign;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use crate::address::host;
pub(super) use bell::Bell;
use line::Line;
use sign::Sign;

/// The connections there are.
pub(super) struct Crowd {
    most: usize,
    per_address: usize,
    begun: Instant,
    line: Mutex<Line>,
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
    sign: Arc<Sign>,
}

impl Crowd {
    /// Of at most so many, and so many from one address; 0 is no limit.
    pub(super) fn new(most: usize, per_address: usize) -> Self {
        Self {
            most,
            per_address,
            begun: Instant::now(),
            line: Mutex::default(),
        }
    }

    /// Takes one in, for whom another may have to leave.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Over> {
        let (address, now) = (host(address), self.now());
        let mut line = self.line();
        let is_full = self.per_address > 0 && line.count_of(address) >= self.per_address;
        if is_full && !line.make_room_of(address, now) {
            return Err(Over::Address(self.per_address));
        }
        if self.most > 0 && line.count() >= self.most && !line.make_room(now) {
            return Err(Over::All(self.most));
        }
        let sign = Arc::new(Sign::listed());
        let number = line.add(address, Arc::clone(&sign), now);
        drop(line);
        let crowd = Arc::clone(self);
        Ok(Place {
            crowd,
            number,
            sign,
        })
    }

    /// Has the one go that is idle for longest, whether or not there are too many.
    pub(super) fn make_room(&self) -> bool {
        let now = self.now();
        self.line().make_room(now)
    }

    /// Nanoseconds since it began.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Something is under way: it stays.
    pub(super) fn is_busy(&self) {
        if self.sign.is_busy() {
            self.crowd.line().leave(self.number);
        }
    }

    /// Nothing is under way any more.
    pub(super) fn is_idle(&self) {
        self.sign.is_idle(|| self.crowd.now());
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.sign.bell.is_rung()
    }

    /// Ready once it has to go.
    pub(super) fn poll_dismissed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.sign.bell.poll(cx)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.line().remove(self.number);
    }
}
