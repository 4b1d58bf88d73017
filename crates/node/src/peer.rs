//! What the parts of a node share about one connected peer: its socket, and what must leave through it first.
//!
//! Control messages come from the connection's pump, media from a group or from the player's own
//! pump. All of them write here, one at a time, and only whole messages stand between them: the
//! rest of a message that the socket did not take whole goes out before anything else.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::task::AtomicWaker;
use media::{Epoch, Ring};
use ractor::ActorId;

use crate::burst::Burst;
use crate::format::SHARED_MESSAGE_STREAM;
use crate::seat::{Place, Service, Standing};
use crate::stream::Published;
use crate::transport::Transport;

/// Control bytes a peer may leave unread before it is given up: it asks and asks, and never reads.
const MAX_CONTROL: usize = 1 << 20;

/// One connected peer.
///
/// A group that writes to thousands meets each one's memory cold. So what a write needs stands
/// together at the front, in two cache lines that processors fetch as a pair.
#[repr(C, align(128))]
pub(crate) struct Peer {
    out: Mutex<Out>,
    pub(crate) transport: Transport,
    pub(crate) addr: SocketAddr,
    /// `None` when nobody takes it any more.
    posted: Mutex<Option<Vec<Command>>>,
    woken: AtomicBool,
    pump: AtomicWaker,
}

/// What goes out, and who may write it.
#[derive(Default)]
pub(crate) struct Out {
    /// The place of the play on message stream 1, which is the one that groups serve.
    shared: Place,
    services: Service,
    /// Something waits for the socket: in `rest`, or within TLS.
    kept: bool,
    /// Bytes of media that the socket has taken.
    sent: u64,
    /// What goes out before anything else.
    rest: Option<Box<Rest>>,
    /// The places of plays on other message streams; few peers have any.
    others: Vec<(u32, Place)>,
}

impl Out {
    pub(crate) fn next_service(&mut self) -> Service {
        self.services = self.services.wrapping_add(1).max(1);
        self.services
    }

    /// The place of the play on that message stream.
    pub(crate) fn place(&mut self, message_stream: u32) -> &mut Place {
        if message_stream == SHARED_MESSAGE_STREAM {
            return &mut self.shared;
        }
        // A session bounds its message streams, and so this.
        let found = self
            .others
            .iter()
            .position(|(stream, _)| *stream == message_stream);
        let index = found.unwrap_or_else(|| {
            self.others.push((message_stream, Place::default()));
            self.others.len() - 1
        });
        &mut self.others[index].1
    }
}

/// What waits for the socket.
#[derive(Default)]
struct Rest {
    queue: VecDeque<Bytes>,
    /// Bytes of control messages that were added since it was last empty.
    control: usize,
}

/// What others ask of a connection's pump.
#[derive(Debug)]
pub(crate) enum Command {
    /// The play of this subscriber is over.
    EndPlay { subscriber: ActorId, end: PlayEnd },
    /// The publish of this epoch is over, for a reason its person should read.
    EndPublish { epoch: Epoch, why: String },
    /// The publish that stood by is the one that counts now.
    Promote(Box<Promotion>),
    /// The node goes away: the peer should connect elsewhere, if it is such a one.
    Move(Moves),
    /// Close, with nothing more to say.
    Close,
    #[cfg(test)]
    Panic,
}

/// How an encoder that stood by goes on.
#[derive(Debug)]
pub(crate) struct Promotion {
    /// The epoch under which it stood by.
    pub(crate) from: Epoch,
    /// Where its tags went.
    pub(crate) aside: Ring,
    /// Where they go now.
    pub(crate) published: Published,
}

/// Whose turn it is to leave a node that goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moves {
    /// Who publishes: it is asked to, and goes when it is connected elsewhere.
    Encoder,
    /// Who does not.
    Player,
    /// Whoever is left: there is no more time.
    All,
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
    /// The node goes away.
    NodeLeaves,
    /// An operator wants it gone.
    Removed,
    /// A fault of ours.
    Fault,
}

impl PlayEnd {
    /// What the player is told.
    pub(crate) fn why(self) -> &'static str {
        match self {
            PlayEnd::StreamEnded => "the stream has ended",
            PlayEnd::NeverCame => {
                "nobody published this stream within the time that a play waits (play.wait)"
            }
            PlayEnd::TooSlow => "your connection is too slow for this stream; try a lower quality",
            PlayEnd::NodeLeaves => "this node is shutting down; connect again",
            PlayEnd::Removed => "an operator disconnected this player",
            PlayEnd::Fault => "the stream failed on the server; play it again",
        }
    }
}

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// The next tag to begin.
    pub(crate) next: u64,
    /// Bytes that the socket took, and those of a tag it took in part.
    pub(crate) bytes: usize,
    /// The socket took no more.
    pub(crate) blocked: bool,
}

/// What came of a group's write to one player.
#[derive(Debug)]
pub(crate) enum Served {
    /// It has everything; so many bytes were written.
    UpToDate(usize),
    /// Its socket took no more after so many bytes, or it missed tags: it must catch up alone.
    Behind(usize),
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
            posted: Mutex::new(Some(Vec::new())),
            woken: AtomicBool::new(false),
            pump: AtomicWaker::new(),
        }
    }

    /// Asks the connection's pump to do something. Where it has ended, the command is dropped: a promotion that
    /// comes too late says so by that.
    pub(crate) fn post(&self, command: Command) {
        if let Some(posted) = &mut *self.posted() {
            posted.push(command);
        }
        self.wake();
    }

    fn posted(&self) -> MutexGuard<'_, Option<Vec<Command>>> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was posted, or a writer left something behind. For the connection's pump.
    pub(crate) fn poll_woken(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.pump.register(cx.waker());
        // Mostly not, and then a look is cheaper than an exchange.
        if self.woken.load(Ordering::Acquire) && self.woken.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.pump.wake();
    }

    pub(crate) fn take_posted(&self) -> Vec<Command> {
        self.posted()
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Nobody obeys from now on.
    pub(crate) fn close_post(&self) {
        let left = self.posted().take();
        drop(left);
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
            rest.control += message.len();
            rest.queue.push_back(message);
        }
        if rest.control > MAX_CONTROL {
            return Err(io::Error::other("the peer does not read what it asks for"));
        }
        self.flush_locked(&mut out).map(drop)
    }

    /// Moves on what is due first; true when nothing is left of it.
    pub(crate) fn flush(&self) -> io::Result<bool> {
        self.flush_locked(&mut self.lock())
    }

    /// Writes a player's own burst, and notes where it stands then. `None` when that service has ended.
    pub(crate) fn serve_alone(
        &self,
        message_stream: u32,
        service: Service,
        burst: &Burst,
        standing: impl FnOnce(&Written) -> Standing,
    ) -> io::Result<Option<Written>> {
        let mut out = self.lock();
        if !out.place(message_stream).is_served_by(service) {
            return Ok(None);
        }
        let written = self.write(&mut out, burst, burst.first())?;
        out.place(message_stream).stand(standing(&written));
        Ok(Some(written))
    }

    /// Writes a group's burst to its player.
    pub(crate) fn serve(&self, service: Service, burst: &Burst) -> Served {
        let mut out = self.lock();
        if !out.shared.is_served_by(service) {
            return Served::Left;
        }
        let next = out.shared.standing.next.unwrap_or(u64::MAX);
        if burst.start_of(next).is_none() {
            return Served::Behind(0);
        }
        match self.write(&mut out, burst, next) {
            Ok(written) => {
                out.shared.standing.next = Some(written.next);
                if written.blocked {
                    Served::Behind(written.bytes)
                } else {
                    Served::UpToDate(written.bytes)
                }
            }
            Err(error) => {
                out.shared.close(service);
                Served::Failed(error)
            }
        }
    }

    /// Writes the burst from tag `next` on, which it has.
    fn write(&self, out: &mut Out, burst: &Burst, next: u64) -> io::Result<Written> {
        let start = burst.start_of(next).unwrap_or(burst.len());
        if !self.flush_locked(out)? {
            return Ok(Written {
                next,
                bytes: 0,
                blocked: true,
            });
        }
        if start == burst.len() {
            return Ok(Written {
                next: burst.end(),
                bytes: 0,
                blocked: false,
            });
        }
        let written = match burst.flat(start) {
            Some(flat) => self.transport.try_write(flat),
            None => self.transport.try_write_vectored(&burst.slices(start)),
        };
        let bytes = match written {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        out.sent += bytes as u64;
        let stop = start + bytes;
        if stop == burst.len() {
            let flushed = self.transport.try_flush()?;
            self.keep(out, !flushed);
            return Ok(Written {
                next: burst.end(),
                bytes,
                blocked: !flushed,
            });
        }
        if bytes == 0 {
            return Ok(Written {
                next,
                bytes,
                blocked: true,
            });
        }
        let (next, cut) = burst.cut(stop);
        // It goes out for certain, or the connection ends.
        let kept: usize = cut.iter().map(Bytes::len).sum();
        if !cut.is_empty() {
            out.rest.get_or_insert_default().queue.extend(cut);
            self.keep(out, true);
        }
        Ok(Written {
            next,
            bytes: bytes + kept,
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
            // A ping of ours is no sign of life of the peer.
            if rest.control == 0 {
                out.sent += written as u64;
            }
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
            self.wake();
        }
    }
}
