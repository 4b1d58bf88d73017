//! What is counted of connections.

use std::io::{self, ErrorKind};

use metrics::{Counter, Gauge, counter, gauge};

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The peer left.
    Left,
    /// It said nothing for too long, or took nothing.
    TimedOut,
    /// It made room for another.
    Room,
    /// It was beyond a limit.
    Limit,
    /// It does not speak what is spoken here.
    Protocol,
    /// The socket failed.
    Socket,
    /// A player's, who is the node's from now on.
    Player,
    /// We closed.
    Closed,
}

const ENDS: [(End, &str); 8] = [
    (End::Left, "left"),
    (End::TimedOut, "timeout"),
    (End::Room, "room"),
    (End::Limit, "limit"),
    (End::Protocol, "protocol"),
    (End::Socket, "socket"),
    (End::Player, "player"),
    (End::Closed, "closed"),
];

/// Of one listener.
pub(super) struct Counts {
    there: Gauge,
    came: Counter,
    ended: [(End, Counter); ENDS.len()],
}

/// One connection, until dropped.
pub(super) struct Counted<'a> {
    counts: &'a Counts,
    end: End,
}

impl Counts {
    pub(super) fn new(listener: &'static str) -> Self {
        let ended = |(end, reason): (End, &'static str)| {
            let counter = counter!(
                "weir_http_disconnects_total", "listener" => listener, "reason" => reason
            );
            (end, counter)
        };
        Self {
            there: gauge!("weir_http_connections", "listener" => listener),
            came: counter!("weir_http_connections_total", "listener" => listener),
            ended: ENDS.map(ended),
        }
    }

    pub(super) fn connected(&self) -> Counted<'_> {
        self.there.increment(1.0);
        self.came.increment(1);
        Counted {
            counts: self,
            end: End::Closed,
        }
    }

    /// One that was closed as soon as it was there.
    pub(super) fn turned_away(&self) {
        self.came.increment(1);
        self.ended(End::Limit);
    }

    fn ended(&self, end: End) {
        let mut ends = self.ended.iter();
        if let Some((_, counter)) = ends.find(|(known, _)| *known == end) {
            counter.increment(1);
        }
    }
}

impl Counted<'_> {
    /// It has ended, so.
    pub(super) fn ended(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.counts.there.decrement(1.0);
        self.counts.ended(self.end);
    }
}

impl End {
    pub(super) fn of_io(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof => Self::Left,
            // Of TLS, which says no otherwise too.
            ErrorKind::InvalidData => Self::Protocol,
            _ => Self::Socket,
        }
    }

    /// What hyper has to say about it.
    pub(super) fn of(error: &hyper::Error) -> Self {
        let io = || {
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                if let Some(error) = error.downcast_ref::<io::Error>() {
                    return Some(error.kind());
                }
                cause = error.source();
            }
            None
        };
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_parse() {
            Self::Protocol
        } else if error.is_incomplete_message() {
            Self::Left
        } else {
            match io() {
                Some(kind) => Self::of_io(kind),
                // HTTP/2 that is none.
                None => Self::Protocol,
            }
        }
    }
}
