//! A player's place on its connection: who writes its media, which tag is next, what it waits for.
//!
//! A player is served by a group or by a pump of its own, and changes between them. Each service has
//! a number, and every write quotes its own under the peer's lock. So one that was ended, by whomever,
//! writes nothing more, also when its task is in the middle of something on another processor.

use std::sync::Arc;

use bytes::Bytes;

use crate::format::{Format, SHARED_MESSAGE_STREAM};
use crate::peer::Peer;

/// A play on one message stream of a peer.
pub(crate) struct Seat {
    pub(crate) peer: Arc<Peer>,
    pub(crate) message_stream: u32,
    pub(crate) format: Format,
    /// What goes out before the first byte of media, and with it.
    pub(crate) preface: Bytes,
}

/// The number of a service; 0 is none.
pub(crate) type Service = u32;

/// The place of the play on one message stream.
#[derive(Debug, Default)]
pub(crate) struct Place {
    service: Service,
    open: bool,
    /// Something has been sent on it, under whatever service.
    begun: bool,
    pub(crate) standing: Standing,
}

/// How far a player has come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    /// The next tag; `None` until it has been sent its first one.
    pub(crate) next: Option<u64>,
    pub(crate) waits: Waits,
}

/// What a player waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// Nothing goes out before a keypoint: after a pause, or where there was no GOP to join.
    pub(crate) hold: bool,
    /// Video is left out up to the next keyframe that is not late.
    pub(crate) skip_video: bool,
}

impl Place {
    /// Whether this service may write.
    pub(crate) fn is_served_by(&self, service: Service) -> bool {
        self.open && self.service == service
    }

    /// Ends a service; false when it had ended before.
    pub(crate) fn close(&mut self, service: Service) -> bool {
        let served = self.is_served_by(service);
        if served {
            self.open = false;
        }
        served
    }

    /// Replaces a service by the next one.
    pub(crate) fn open(&mut self, service: Service) {
        self.service = service;
        self.open = true;
    }

    /// Whether anything has been sent on it.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Notes how far the player has come.
    pub(crate) fn stand(&mut self, standing: Standing) {
        self.begun |= standing.next.is_some();
        self.standing = standing;
    }

    /// Whether nobody has come in between since that service.
    pub(crate) fn was_served_by(&self, service: Service) -> bool {
        self.service == service
    }
}

impl Seat {
    /// Of a play by RTMP.
    pub(crate) fn rtmp(peer: Arc<Peer>, message_stream: u32) -> Seat {
        Seat {
            peer,
            message_stream,
            format: Format::Rtmp,
            preface: Bytes::new(),
        }
    }

    /// Of a play that has its connection to itself.
    pub(crate) fn alone(peer: Arc<Peer>, format: Format, preface: Bytes) -> Seat {
        Seat {
            peer,
            message_stream: SHARED_MESSAGE_STREAM,
            format,
            preface,
        }
    }

    /// Whether anything has been sent on it.
    pub(crate) fn has_begun(&self) -> bool {
        self.peer.lock().place(self.message_stream).has_begun()
    }

    /// Serves it as one who has been sent nothing.
    pub(crate) fn begin(&self) -> Service {
        let mut out = self.peer.lock();
        let service = out.next_service();
        let place = out.place(self.message_stream);
        place.open(service);
        place.standing = Standing::default();
        service
    }

    /// Serves it from where `before` left it, which writes no more. `None` when another play has taken the place.
    pub(crate) fn carry_on(&self, before: Service) -> Option<(Service, Standing)> {
        let mut out = self.peer.lock();
        let service = out.next_service();
        let place = out.place(self.message_stream);
        if !place.was_served_by(before) {
            return None;
        }
        place.open(service);
        Some((service, place.standing))
    }

    /// Ends a service: it writes nothing more once this returns.
    pub(crate) fn close(&self, service: Service) -> bool {
        self.peer.lock().place(self.message_stream).close(service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Served, Written};
    use crate::tests::pair::{all, burst, connected};

    fn seat(peer: &Arc<Peer>) -> Seat {
        Seat::rtmp(Arc::clone(peer), SHARED_MESSAGE_STREAM)
    }

    /// Lets a group serve it from that tag on.
    fn expects(seat: &Seat, next: u64) {
        let mut out = seat.peer.lock();
        out.place(seat.message_stream).standing.next = Some(next);
    }

    fn is_served(seat: &Seat, service: Service) -> bool {
        let mut out = seat.peer.lock();
        out.place(seat.message_stream).is_served_by(service)
    }

    fn keep(_: &Written) -> Standing {
        Standing::default()
    }

    #[tokio::test]
    async fn what_was_ready_when_a_service_ended_is_not_written() {
        let (peer, far) = connected().await;
        let seat = seat(&peer);
        let service = seat.begin();
        expects(&seat, 7);
        let (group, alone) = (burst(7, b"group"), burst(7, b"alone"));
        assert!(seat.close(service), "it was served until now");

        assert!(matches!(peer.serve(service, &group), Served::Left));
        let written = peer.serve_alone(seat.message_stream, service, &alone, keep);
        assert_eq!(written.expect("a socket"), None);
        assert!(!seat.close(service), "it had ended");
        assert_eq!(all(peer, far).await, b"");
    }

    #[tokio::test]
    async fn what_was_ready_for_one_service_is_not_written_under_the_next() {
        let (peer, far) = connected().await;
        let seat = seat(&peer);
        let old = seat.begin();
        expects(&seat, 7);
        let ready = burst(7, b"old");
        let (new, standing) = seat.carry_on(old).expect("its own place");
        assert_eq!(standing.next, Some(7));

        assert!(matches!(peer.serve(old, &ready), Served::Left));
        let written = peer.serve_alone(seat.message_stream, old, &ready, keep);
        assert_eq!(written.expect("a socket"), None);
        assert!(matches!(
            peer.serve(new, &burst(7, b"new")),
            Served::UpToDate(3)
        ));
        assert_eq!(all(peer, far).await, b"new");
    }

    #[tokio::test]
    async fn a_play_that_ends_late_leaves_the_next_one_on_its_stream_alone() {
        let (peer, far) = connected().await;
        let (first, second) = (seat(&peer), seat(&peer));
        let old = first.begin();
        let new = second.begin();
        expects(&second, 7);

        assert!(!first.close(old));
        assert!(first.carry_on(old).is_none());
        assert!(is_served(&second, new) && !is_served(&second, old));
        assert!(matches!(
            peer.serve(new, &burst(7, b"second")),
            Served::UpToDate(6)
        ));
        assert_eq!(all(peer, far).await, b"second");
    }

    #[tokio::test]
    async fn plays_on_other_streams_have_places_of_their_own() {
        let (peer, _far) = connected().await;
        let shared = seat(&peer);
        let other = Seat {
            message_stream: SHARED_MESSAGE_STREAM + 1,
            ..seat(&peer)
        };
        let (one, two) = (shared.begin(), other.begin());
        assert!(shared.close(one));
        assert!(is_served(&other, two) && !is_served(&shared, one));
    }
}
