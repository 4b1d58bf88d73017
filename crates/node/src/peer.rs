//! What the parts of a node share about one connected peer: its socket, and what must leave through it first.
//!
//! Control messages come from the connection's pump, media from a group or from the player's own
//! pump. All of them write here, one at a time, and only whole messages stand between them: the
//! rest of a message that the socket did not take whole goes out before anything else.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::burst::Burst;
use crate::seat::Place;
use crate::transport::Transport;

/// Control bytes a peer may leave unread before it is given up: it asks and asks, and never reads.
const MAX_REST: usize = 1 << 20;

/// One connected peer.
///
/// A group that writes to thousands meets each one's memory cold. So what a write needs stands
/// together at the front, in two cache lines that processors fetch as a pair.
#[repr(C, align(128))]
pub(crate) struct Peer {
    out: Mutex<Out>,
    pub(crate) transport: Transport,
    pub(crate) addr: SocketAddr,
    posted: Mutex<Vec<Command>>,
    wake: Notify,
}

/// What goes out, and who may write it.
#[derive(Default)]
pub(crate) struct Out {
    /// The place of the play that groups serve: the one on message stream 1.
    pub(crate) place: Place,
    /// All bytes the socket has taken.
    sent: u64,
    /// Something waits for the socket: in `rest`, or within TLS.
    kept: bool,
    /// What goes out before anything else.
    rest: Option<Box<Rest>>,
}

#[derive(Default)]
struct Rest {
    queue: VecDeque<Bytes>,
    len: usize,
}

/// What others ask of a connection's pump.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// The play on this message stream is over.
    EndPlay { stream_id: u32, end: PlayEnd },
    /// The publish on this message stream is over, for a reason its person should read.
    EndPublish { stream_id: u32, why: String },
    /// Ask the peer to connect again, here or elsewhere.
    Reconnect { why: String },
    /// Close, with nothing more to say.
    Close,
    #[cfg(test)]
    Panic,
}

/// Why a play is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlayEnd {
    /// The publisher ended the stream, or did not come back.
    StreamEnded,
    /// Nobody published within the time a play may wait.
    NeverCame,
    /// The player reads too slowly, even for audio alone.
    TooSlow,
    /// A fault of ours.
    Fault,
}

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// The next tag to begin.
    pub(crate) next: u64,
    /// The socket took no more.
    pub(crate) blocked: bool,
}

/// What came of a group's write to one player.
#[derive(Debug)]
pub(crate) enum Service {
    /// It has everything; so many bytes were written.
    UpToDate(usize),
    /// Its socket took no more, or it missed tags: it must catch up alone.
    Behind,
    /// It is no longer the group's.
    Left,
    Failed(io::Error),
}

impl Peer {
    pub(crate) fn new(addr: SocketAddr, transport: Transport) -> Peer {
        Peer {
            out: Mutex::default(),
            transport,
            addr,
            posted: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Asks the connection's pump to do something.
    pub(crate) fn post(&self, command: Command) {
        self.posted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(command);
        self.wake.notify_one();
    }

    /// Waits until something was posted, or a writer left something behind.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(crate) fn take_posted(&self) -> Vec<Command> {
        std::mem::take(&mut *self.posted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// Whether something waits for the socket to take more.
    pub(crate) fn has_rest(&self) -> bool {
        self.lock().kept
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings what a write needs near the processor: for several peers at once that takes the time of one.
    pub(crate) fn touch(&self) -> bool {
        self.out.try_lock().is_ok()
    }

    /// Sends control messages, after what is due first. Keeps what the socket does not take.
    pub(crate) fn send(&self, messages: impl IntoIterator<Item = Bytes>) -> io::Result<()> {
        let mut out = self.lock();
        let rest = out.rest.get_or_insert_default();
        for message in messages {
            rest.len += message.len();
            rest.queue.push_back(message);
        }
        if rest.len > MAX_REST {
            return Err(io::Error::other("the peer does not read what it asks for"));
        }
        self.flush_locked(&mut out).map(drop)
    }

    /// Moves on what is due first; true when nothing is left of it.
    pub(crate) fn flush(&self) -> io::Result<bool> {
        self.flush_locked(&mut self.lock())
    }

    /// Writes the burst from tag `next` on.
    pub(crate) fn write(&self, burst: &Burst, next: u64) -> io::Result<Written> {
        self.write_locked(&mut self.lock(), burst, next)
    }

    /// Writes a group's burst to its player, if that membership still holds.
    pub(crate) fn serve(&self, membership: u32, burst: &Burst) -> Service {
        let mut out = self.lock();
        if !out.place.is_member(membership) {
            return Service::Left;
        }
        let next = out.place.next.unwrap_or(u64::MAX);
        let Some(start) = burst.start_of(next) else {
            return Service::Behind;
        };
        match self.write_locked(&mut out, burst, next) {
            Ok(written) => {
                out.place.next = Some(written.next);
                if written.blocked {
                    Service::Behind
                } else {
                    Service::UpToDate(burst.len() - start)
                }
            }
            Err(error) => {
                out.place.leave_group(membership);
                Service::Failed(error)
            }
        }
    }

    fn write_locked(&self, out: &mut Out, burst: &Burst, next: u64) -> io::Result<Written> {
        let Some(start) = burst.start_of(next) else {
            return Ok(Written {
                next,
                blocked: false,
            });
        };
        if !self.flush_locked(out)? {
            return Ok(Written {
                next,
                blocked: true,
            });
        }
        if start == burst.len() {
            return Ok(Written {
                next: burst.end(),
                blocked: false,
            });
        }
        let written = match burst.flat(start) {
            Some(flat) => self.transport.try_write(flat),
            None => self.transport.try_write_vectored(&burst.slices(start)),
        };
        let written = match written {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        out.sent += written as u64;
        let stop = start + written;
        if stop == burst.len() {
            let flushed = self.transport.try_flush()?;
            self.keep(out, !flushed);
            return Ok(Written {
                next: burst.end(),
                blocked: !flushed,
            });
        }
        let (next, cut) = burst.cut(stop);
        if !cut.is_empty() {
            let rest = out.rest.get_or_insert_default();
            rest.len += cut.iter().map(Bytes::len).sum::<usize>();
            rest.queue.extend(cut);
            self.keep(out, true);
        }
        Ok(Written {
            next,
            blocked: true,
        })
    }

    fn flush_locked(&self, out: &mut Out) -> io::Result<bool> {
        if out.rest.is_none() && !out.kept {
            return Ok(true);
        }
        while let Some(rest) = out.rest.as_deref_mut()
            && !rest.queue.is_empty()
        {
            let slices: Vec<IoSlice<'_>> = rest
                .queue
                .iter()
                .take(64)
                .map(|bytes| IoSlice::new(bytes))
                .collect();
            let mut written = match self.transport.try_write_vectored(&slices) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.keep(out, true);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            };
            out.sent += written as u64;
            rest.len = rest.len.saturating_sub(written);
            while let Some(front) = rest.queue.front_mut() {
                if front.len() > written {
                    drop(front.split_to(written));
                    break;
                }
                written -= front.len();
                rest.queue.pop_front();
            }
        }
        // Most peers never need the queue again.
        out.rest = None;
        let flushed = self.transport.try_flush()?;
        self.keep(out, !flushed);
        Ok(flushed)
    }

    /// Notes whether something is left, and has the connection's pump wait for the socket then.
    fn keep(&self, out: &mut Out, left: bool) {
        if !std::mem::replace(&mut out.kept, left) && left {
            self.wake.notify_one();
        }
    }
}
