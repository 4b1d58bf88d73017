//! The ring: the newest tags of one stream.

mod block;
mod gop;
mod index;
mod play;
mod publisher;
mod replica;
mod stats;
mod waiters;
mod window;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::configuration::Configuration;
use crate::cursor::{Cursor, Join, ReadError, Start};
use crate::sync::{AtomicU64, Mutex, Once, Ordering, RwLock, lock, read, write};
use crate::{Epoch, MarkedTag, Marker};

pub(crate) use block::Block;
use index::Index;
pub use publisher::{DropReason, Fenced, Publisher, Pushed};
pub use replica::{Description, Refused, Relayed, Replica};
pub use stats::{Dropped, Stats};
pub(crate) use waiters::Waiter;
use waiters::Waiters;
pub use window::Newest;
use writer::Writer;

/// How much a ring may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of payloads and of bookkeeping. The current GOP and the window are kept even beyond,
    /// up to `max_gop_bytes` and `max_window_bytes`.
    pub max_bytes: usize,
    /// Age of the oldest tag against the newest. The current GOP and the window are kept even
    /// beyond.
    pub max_duration: Duration,
    /// Bytes of a GOP that is kept whole for joiners. A longer one is given up: joiners then
    /// wait for the next keyframe.
    pub max_gop_bytes: usize,
    /// Bytes up to which the window, the segments listed together with the newest, is kept
    /// beyond the other bounds.
    pub max_window_bytes: usize,
    /// How long a stream goes on without a picture until it counts as audio alone, so that
    /// joiners need not wait for a keyframe that will not come.
    pub video_silence: Duration,
    /// Audio tracks and video tracks, counted apart. Tags of further tracks are dropped.
    pub max_tracks: usize,
    /// Bytes of one metadata or configuration tag, which lives as long as the stream.
    pub max_configuration_bytes: usize,
    /// Bytes of one metadata tag, if that is less.
    pub max_metadata_bytes: usize,
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self {
        max_bytes: 64 << 20,
        max_duration: Duration::from_secs(30),
        max_gop_bytes: 64 << 20,
        max_window_bytes: 256 << 20,
        video_silence: Duration::from_secs(10),
        max_tracks: 16,
        max_configuration_bytes: 1 << 20,
        max_metadata_bytes: 64 << 10,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The publisher is gone and did not come back in time.
    Ended,
    /// The way to the publisher's node is lost for good.
    Lost,
    /// Somebody took the stream off this node.
    Removed,
    /// The node shuts down.
    Shutdown,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "ended",
            Self::Lost => "lost",
            Self::Removed => "removed",
            Self::Shutdown => "shutdown",
        })
    }
}

/// The newest tags of one stream: one publisher or replica writes, any number of cursors read.
///
/// Bounded by bytes and time, except that the current GOP stays whole, and the window. Cloning
/// gives another handle of the same ring.
#[derive(Clone, Debug)]
pub struct Ring(Arc<Inner>);

/// What the handles, the writers and the cursors of a ring share.
#[derive(Debug)]
pub(crate) struct Inner {
    /// The number of the next tag. Moved, with `Release`, after that tag's slot is set.
    head: AtomicU64,
    ended: Once<EndReason>,
    index: RwLock<Index>,
    writer: Mutex<Writer>,
    waiters: Waiters,
}

impl Ring {
    /// An empty ring, which takes memory when the first tag comes in.
    pub fn new(limits: Limits) -> Self {
        let configuration = Arc::new(Configuration::default());
        let index = Index::new(Arc::clone(&configuration));
        Self(Arc::new(Inner {
            head: AtomicU64::new(0),
            ended: Once::new(),
            index: RwLock::new(index),
            writer: Mutex::new(Writer::new(limits, configuration)),
            waiters: Waiters::new(),
        }))
    }

    /// Begins a publish at `now` (nanoseconds of unix time) and fences every earlier writer.
    ///
    /// A higher epoch than before begins with an empty configuration and no mark; its time goes
    /// on for players where the last epoch's ended. The same epoch again carries on as if the
    /// publisher had never changed. A lower one is too late: its first push is refused.
    pub fn begin(&self, epoch: Epoch, now: i64) -> Publisher {
        self.begin_with(epoch, now, None)
    }

    /// Like [`begin`](Self::begin), and `marker` decides where segments and parts begin. (The
    /// same epoch again keeps the marker that it has.)
    pub fn begin_marked(&self, epoch: Epoch, now: i64, marker: Box<dyn Marker>) -> Publisher {
        self.begin_with(epoch, now, Some(marker))
    }

    fn begin_with(&self, epoch: Epoch, now: i64, marker: Option<Box<dyn Marker>>) -> Publisher {
        let token = if self.0.ended().is_some() {
            None
        } else {
            let mut writer = lock(&self.0.writer);
            writer.begin(&self.0, epoch, now, marker)
        };
        // Who waited for an older stream to be caught up with need not any more.
        self.0.waiters.wake();
        Publisher::new(Arc::clone(&self.0), token, epoch)
    }

    /// A writer for what another node marked. It fences nobody until it
    /// [describes](Replica::describe) what it brings, but who joins a ring that nobody has
    /// written yet waits from now on until it has [caught up](Self::caught_up).
    pub fn replica(&self) -> Replica {
        let mut index = write(&self.0.index);
        index.backfilling |= index.count.is_none();
        drop(index);
        Replica::new(Arc::clone(&self.0))
    }

    /// Ends the stream: readers learn it once they have read the last tag, and no publisher can
    /// push again. Only the first reason counts.
    pub fn end(&self, reason: EndReason) {
        {
            // Under the writer's lock, so that no tag comes behind the end.
            let _writer = lock(&self.0.writer);
            self.0.ended.set(reason);
        }
        self.0.waiters.wake();
    }

    /// A new reader.
    pub fn cursor(&self, start: Start) -> (Cursor, Join) {
        let index = read(&self.0.index);
        let head = self.0.head();
        let oldest = index.oldest().unwrap_or(head);
        let mark = index.mark.as_ref().filter(|_| !index.backfilling);
        let mut known = None;
        let (position, waits) = match start {
            Start::CaughtUp => match mark {
                Some(mark) => {
                    known = Some(Arc::clone(&mark.configuration));
                    (mark.seq, false)
                }
                None => (head, index.waits_for_keypoint || index.backfilling),
            },
            Start::Live => (head, false),
            Start::Keyframe => (head, true),
            Start::Oldest => (oldest, false),
            Start::Window => (index.window().unwrap_or(head), false),
            Start::At(seq) => (seq.clamp(oldest, head), false),
        };
        let mut join = self.0.join(&index, position, head);
        join.waits_for_keypoint = waits;
        join.configuration = known.unwrap_or(join.configuration);
        (Cursor::new(Arc::clone(&self.0), position), join)
    }

    /// A new reader that starts at the tag `number` of `epoch`, wherever that is in this ring: as
    /// if it had read all before it here. `None` if tags from there on are missing here, or
    /// nothing is known of the epoch.
    ///
    /// Where this ring has not come so far yet, the reader starts at the next tag.
    pub fn resume(&self, epoch: Epoch, number: u64) -> Option<(Cursor, Join)> {
        let index = read(&self.0.index);
        let head = self.0.head();
        let position = index.find(epoch, number, head)?;
        let join = self.0.join(&index, position, head);
        Some((Cursor::new(Arc::clone(&self.0), position), join))
    }

    /// The epoch that is written, and the number within it that the next tag will get: where a
    /// broken pull goes on.
    pub fn next_number(&self) -> Option<(Epoch, u64)> {
        let index = read(&self.0.index);
        let count = index.count?;
        Some((count.epoch, count.number(self.0.head())))
    }

    /// Whether a replica still catches up, so that nobody finds a place to join.
    pub fn is_backfilling(&self) -> bool {
        read(&self.0.index).backfilling
    }

    /// Waits until no replica catches up any more, or the stream ends. A player joins then: the
    /// place where it would start before is an old one.
    pub async fn caught_up(&self) {
        let waiter = self.0.attach();
        let is_settled = || !self.is_backfilling() || self.ended().is_some();
        std::future::poll_fn(|cx| {
            if is_settled() {
                return Poll::Ready(());
            }
            waiter.register(cx.waker());
            // As for a cursor: what came in between woke nobody.
            if is_settled() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// The number that the next tag will get.
    pub fn head(&self) -> u64 {
        self.0.head()
    }

    /// The configuration in force with the newest tag.
    pub fn configuration(&self) -> Arc<Configuration> {
        let index = read(&self.0.index);
        index.configuration(self.0.head())
    }

    /// The configuration in force with the tag `seq`, what that tag itself changes included.
    /// `None` if the tag is not there, or not any more.
    pub fn configuration_at(&self, seq: u64) -> Option<Arc<Configuration>> {
        let index = read(&self.0.index);
        let epoch = index.tag(seq)?.epoch;
        index.configuration_of(epoch, seq.saturating_add(1))
    }

    /// The newest segment and where it ends by now: what the numbers of a new publish carry on
    /// from. `None` if there was none yet, or something without segments came behind.
    pub fn newest_segment(&self) -> Option<Newest> {
        lock(&self.0.writer).newest_segment()
    }

    /// Why the stream ended, if it did.
    pub fn ended(&self) -> Option<EndReason> {
        self.0.ended()
    }

    /// What there is in the ring and how it flows. Takes the publisher's lock for a moment.
    pub fn stats(&self) -> Stats {
        let oldest = read(&self.0.index).oldest();
        let head = self.0.head();
        lock(&self.0.writer).stats(oldest.unwrap_or(head), head)
    }
}

impl Inner {
    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    pub(crate) fn ended(&self) -> Option<EndReason> {
        self.ended.get().copied()
    }

    pub(crate) fn attach(&self) -> Waiter {
        self.waiters.attach()
    }

    fn join(&self, index: &Index, position: u64, head: u64) -> Join {
        let at = index.tag(position).filter(|_| position < head);
        let next = index
            .count
            .map(|count| (count.epoch, count.number(position)));
        let next = at.map(|tag| (tag.epoch, tag.number)).or(next);
        let reference = at.or_else(|| index.tag(head.checked_sub(1)?));
        Join {
            configuration: index.configuration(position),
            position,
            next,
            play_ms: reference.map_or(0, MarkedTag::play_ms),
            waits_for_keypoint: false,
            backfilling: index.backfilling,
        }
    }

    /// The block with the tag `position`, which is below the head.
    pub(crate) fn block(&self, position: u64) -> Result<Arc<Block>, ReadError> {
        let index = read(&self.index);
        match index.locate(position) {
            Some(block) => Ok(Arc::clone(block)),
            None => Err(ReadError::Lagged {
                oldest: index.oldest().unwrap_or(position),
            }),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
