//! The ring: the newest tags of one stream.

mod block;
mod gop;
mod publisher;
mod stats;
mod waiters;
mod writer;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::configuration::Configuration;
use crate::cursor::{Cursor, Join, ReadError, Start};
use crate::sync::{AtomicU64, Mutex, Once, Ordering, RwLock, lock, read};
use crate::{Epoch, MarkedTag};

pub(crate) use block::Block;
pub use publisher::{DropReason, Fenced, Publisher, Pushed};
pub use stats::{Dropped, Stats};
pub(crate) use waiters::Waiter;
use waiters::Waiters;
use writer::Writer;

/// How much a ring may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of payloads and of bookkeeping. The current GOP is kept even beyond, up to
    /// `max_gop_bytes`.
    pub max_bytes: usize,
    /// Age of the oldest tag against the newest. The current GOP is kept even beyond.
    pub max_duration: Duration,
    /// Bytes of a GOP that is kept whole for joiners. A longer one is given up: joiners then
    /// wait for the next keyframe.
    pub max_gop_bytes: usize,
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_duration: Duration::from_secs(30),
            max_gop_bytes: 64 << 20,
            video_silence: Duration::from_secs(10),
            max_tracks: 16,
            max_configuration_bytes: 1 << 20,
            max_metadata_bytes: 64 << 10,
        }
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

/// The newest tags of one stream: one publisher writes, any number of cursors read.
///
/// Bounded by bytes and time, except that the current GOP stays whole. Cloning gives another
/// handle of the same ring.
#[derive(Clone, Debug)]
pub struct Ring(Arc<Inner>);

/// What the handles, the publisher and the cursors of a ring share.
#[derive(Debug)]
pub(crate) struct Inner {
    /// The number of the next tag. Moved, with `Release`, after that tag's slot is set.
    head: AtomicU64,
    ended: Once<EndReason>,
    index: RwLock<Index>,
    writer: Mutex<Writer>,
    waiters: Waiters,
}

/// What readers look up when they join or step to another block.
///
/// The writer changes it once per block, keypoint or configuration, and moves the head while it
/// does: who holds the lock sees a head that fits the rest.
#[derive(Debug)]
struct Index {
    blocks: VecDeque<Arc<Block>>,
    mark: Option<Mark>,
    /// Which configuration holds for a joiner from which position on; never empty. The last is
    /// the current one, those older than the oldest tag are dropped.
    configurations: VecDeque<(u64, Arc<Configuration>)>,
    /// Whether a joiner who finds no mark has to wait for a keypoint.
    waits_for_keypoint: bool,
}

/// The caught-up mark.
#[derive(Clone, Debug)]
struct Mark {
    seq: u64,
    configuration: Arc<Configuration>,
}

impl Ring {
    /// An empty ring, which takes memory when the first tag comes in.
    pub fn new(limits: Limits) -> Self {
        let configuration = Arc::new(Configuration::default());
        let index = Index {
            blocks: VecDeque::new(),
            mark: None,
            configurations: VecDeque::from([(0, Arc::clone(&configuration))]),
            waits_for_keypoint: false,
        };
        Self(Arc::new(Inner {
            head: AtomicU64::new(0),
            ended: Once::new(),
            index: RwLock::new(index),
            writer: Mutex::new(Writer::new(limits, configuration)),
            waiters: Waiters::new(),
        }))
    }

    /// Begins a publish at `now` (nanoseconds of unix time) and fences every earlier publisher.
    ///
    /// A higher epoch than before begins with an empty configuration and no mark; its time goes
    /// on for players where the last epoch's ended. The same epoch again carries on as if the
    /// publisher had never changed. A lower one is too late: its first push is refused.
    pub fn begin(&self, epoch: Epoch, now: i64) -> Publisher {
        let token = if self.0.ended().is_some() {
            None
        } else {
            let mut writer = lock(&self.0.writer);
            writer.begin(&self.0, epoch, now)
        };
        Publisher::new(Arc::clone(&self.0), token, epoch)
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
        let (position, waits) = match start {
            Start::CaughtUp => match &index.mark {
                Some(mark) => (mark.seq, false),
                None => (head, index.waits_for_keypoint),
            },
            Start::Live => (head, false),
            Start::Keyframe => (head, true),
            Start::Oldest => (oldest, false),
            Start::At(seq) => (seq.clamp(oldest, head), false),
        };
        let configuration = match &index.mark {
            Some(mark) if mark.seq == position => Arc::clone(&mark.configuration),
            _ => index.configuration(position),
        };
        let reference = position.min(head.saturating_sub(1));
        let block = index.locate(reference);
        let play_ms = block
            .and_then(|b| b.get(reference))
            .map_or(0, MarkedTag::play_ms);
        let join = Join {
            configuration,
            position,
            play_ms,
            waits_for_keypoint: waits,
        };
        (Cursor::new(Arc::clone(&self.0), position), join)
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

impl Index {
    /// The number of the oldest tag.
    fn oldest(&self) -> Option<u64> {
        self.blocks.front().map(|block| block.first())
    }

    fn locate(&self, position: u64) -> Option<&Arc<Block>> {
        let behind = self
            .blocks
            .partition_point(|block| block.first() <= position);
        behind.checked_sub(1).and_then(|at| self.blocks.get(at))
    }

    /// The configuration for a joiner at `position`.
    fn configuration(&self, position: u64) -> Arc<Configuration> {
        let behind = self
            .configurations
            .partition_point(|(from, _)| *from <= position);
        let at = behind.saturating_sub(1);
        self.configurations
            .get(at)
            .map(|(_, found)| Arc::clone(found))
            .unwrap_or_default()
    }

    /// Puts a configuration in force for joiners from `position` on.
    fn configure(&mut self, position: u64, configuration: Arc<Configuration>) {
        if self
            .configurations
            .back()
            .is_some_and(|(from, _)| *from == position)
        {
            self.configurations.pop_back();
        }
        self.configurations.push_back((position, configuration));
    }

    /// Forgets the oldest block and the configurations that nobody can join at any more.
    fn evict(&mut self) {
        self.blocks.pop_front();
        if let Some(oldest) = self.oldest() {
            while self
                .configurations
                .get(1)
                .is_some_and(|(from, _)| *from <= oldest)
            {
                self.configurations.pop_front();
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
