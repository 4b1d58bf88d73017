//! A player's place in a stream: who writes its media, and which tag is next.

use std::sync::{Arc, Mutex, PoisonError};

use crate::peer::Peer;

/// One player of one stream, as its actor and its own pump see it.
pub(crate) struct Seat {
    pub(crate) peer: Arc<Peer>,
    /// Of a play that no group serves. The place of one that a group may serve lies in the peer,
    /// where the group needs it.
    own: Option<Mutex<Place>>,
}

/// The place itself.
#[derive(Debug, Default)]
pub(crate) struct Place {
    served: Served,
    /// It waits for a keyframe before it can be sent video again.
    lacks_video: bool,
    memberships: u32,
    /// The next tag; `None` until it has been sent its first one.
    pub(crate) next: Option<u64>,
}

/// Who writes a player's media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Served {
    /// Nobody: it paused, or left.
    #[default]
    No,
    /// Its own pump: it joins, it is behind, or it wants something of its own.
    Alone,
    /// A group, with others that are up to date; under this membership and no earlier one.
    InGroup(u32),
}

impl Place {
    pub(crate) fn is_member(&self, membership: u32) -> bool {
        self.served == Served::InGroup(membership)
    }

    /// Ends a membership; false when it had ended before.
    pub(crate) fn leave_group(&mut self, membership: u32) -> bool {
        let member = self.is_member(membership);
        if member {
            self.served = Served::No;
        }
        member
    }

    /// Has a group serve it from tag `next` on; returns the membership's number.
    fn enter_group(&mut self, next: u64) -> u32 {
        self.memberships = self.memberships.wrapping_add(1);
        self.served = Served::InGroup(self.memberships);
        self.next = Some(next);
        self.lacks_video = false;
        self.memberships
    }
}

impl Seat {
    /// The seat of a play on that message stream.
    pub(crate) fn new(peer: Arc<Peer>, message_stream: u32) -> Seat {
        let own = (message_stream != crate::burst::SHARED_MESSAGE_STREAM).then(Mutex::default);
        let seat = Seat { peer, own };
        // An earlier play on the same message stream has left its place behind.
        seat.restart();
        seat
    }

    /// Changes who serves it; returns who did and the next tag. Whoever served it before writes no more.
    pub(crate) fn hand_to(&self, served: Served) -> (Served, Option<u64>) {
        self.with(|place| (std::mem::replace(&mut place.served, served), place.next))
    }

    /// Has a group serve it from tag `next` on; returns the membership's number.
    pub(crate) fn enter_group(&self, next: u64) -> u32 {
        self.with(|place| place.enter_group(next))
    }

    /// Notes how far its own pump came.
    pub(crate) fn note(&self, next: u64, lacks_video: bool) {
        self.with(|place| {
            place.next = Some(next);
            place.lacks_video = lacks_video;
        });
    }

    /// It joins anew: what it was sent before does not count.
    pub(crate) fn restart(&self) {
        self.with(|place| place.next = None);
    }

    pub(crate) fn lacks_video(&self) -> bool {
        self.with(|place| place.lacks_video)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Place) -> T) -> T {
        match &self.own {
            None => change(&mut self.peer.lock().place),
            Some(own) => change(&mut own.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}
