//! A reader's place in a ring.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::ring::{Block, Inner, Waiter};
use crate::sync::Once;
use crate::{Configuration, Description, EndReason, Epoch, MarkedTag};

/// Where a new cursor starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the caught-up mark: the newest point from which a joiner can decode all that follows.
    CaughtUp,
    /// At the next tag that comes in, whatever it is.
    Live,
    /// At the next keypoint that comes in.
    Keyframe,
    /// At the oldest tag still there.
    Oldest,
    /// Where a backfill begins: at the oldest segment that is listed; where there are none, at
    /// the oldest place where a joiner may start.
    Window,
    /// At the tag with this number, or the nearest to it that is or will be there.
    At(u64),
}

/// What a joiner needs to know beside its cursor.
///
/// Together with the tags from `position` on, each configuration tag reaches the joiner once: it
/// is either in the snapshot or still to come.
#[derive(Clone, Debug)]
pub struct Join {
    /// The configuration in force right before `position`.
    pub configuration: Arc<Configuration>,
    /// The number of the first tag that the cursor will read.
    pub position: u64,
    /// The epoch of that tag and its number there; `None` if nobody has written yet.
    pub next: Option<(Epoch, u64)>,
    /// The timestamp to give the tags of `configuration`: that of the tag at `position`, or of
    /// the newest if that is still to come.
    pub play_ms: u32,
    /// Whether to hold all frames back until a tag with `keypoint` set.
    ///
    /// In any case hold the frames of a video track back until its first keyframe: a stream that
    /// was audio alone when the joiner came may go on with pictures in mid-GOP.
    pub waits_for_keypoint: bool,
    /// Whether a replica still catches up: what comes next may be old. Wait for
    /// [`Ring::caught_up`] and join anew.
    ///
    /// [`Ring::caught_up`]: crate::Ring::caught_up
    pub backfilling: bool,
}

impl Join {
    /// What a replica needs to know before the tags from `position` on, of which those of this
    /// epoch have `cuts` or have none. `None` if nobody has written yet.
    pub fn describe(&self, cuts: bool) -> Option<Description> {
        let (epoch, number) = self.next?;
        let configuration = &self.configuration;
        let tags = configuration.tags.iter().map(|tag| (&**tag).into());
        Some(Description {
            epoch,
            number,
            version: configuration.version,
            tags: tags.collect(),
            video: configuration.video.clone(),
            audio: configuration.audio.clone(),
            cuts,
        })
    }
}

/// Why there is nothing to read, now and later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The tag at the cursor's position was evicted. The position stays as it is:
    /// [`seek`](Cursor::seek) to `oldest`, or join anew with [`Ring::cursor`], for the
    /// configuration may have changed in what was missed.
    ///
    /// [`Ring::cursor`]: crate::Ring::cursor
    #[error("fell behind: the oldest tag left is number {oldest}")]
    Lagged {
        /// The number of the oldest tag still there.
        oldest: u64,
    },
    /// All tags were read and no more will come.
    #[error("the stream ended: {0}")]
    Ended(EndReason),
}

/// A reader's place in a ring.
///
/// Reading takes no lock, except a shared one for the step from one block of tags to the next.
/// Cloning is cheap and the clone reads on its own. A cursor that never waits costs the writer
/// nothing.
#[derive(Debug)]
pub struct Cursor {
    ring: Arc<Inner>,
    position: u64,
    block: Option<Arc<Block>>,
    waiter: Option<Waiter>,
}

impl Cursor {
    pub(crate) fn new(ring: Arc<Inner>, position: u64) -> Self {
        Self {
            ring,
            position,
            block: None,
            waiter: None,
        }
    }

    /// The number of the tag to be read next.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many tags there are to read.
    pub fn behind(&self) -> u64 {
        self.ring.head().saturating_sub(self.position)
    }

    /// Takes the next tags, as many as lie together; empty if there is nothing new.
    pub fn read(&mut self) -> Result<Batch<'_>, ReadError> {
        self.read_at_most(usize::MAX)
    }

    /// Like [`read`](Self::read), but takes no more than `max` tags.
    pub fn read_at_most(&mut self, max: usize) -> Result<Batch<'_>, ReadError> {
        let Some(found) = self.find()? else {
            return Ok(Batch::EMPTY);
        };
        let range = found.start..found.end.min(found.start.saturating_add(max));
        self.position += range.len() as u64;
        let slots = self.block.as_ref().and_then(|block| block.slots(range));
        Ok(slots.map_or(Batch::EMPTY, |slots| Batch { slots }))
    }

    /// The slots of `self.block` that are to be read next; `None` if there are none yet.
    fn find(&mut self) -> Result<Option<Range<usize>>, ReadError> {
        let mut head = self.ring.head();
        if self.position >= head {
            let Some(reason) = self.ring.ended() else {
                return Ok(None);
            };
            // Nothing is written behind the end, so this is the last word.
            head = self.ring.head();
            if self.position >= head {
                return Err(ReadError::Ended(reason));
            }
        }
        if let Some(range) = self
            .block
            .as_ref()
            .and_then(|block| block.find(self.position, head))
        {
            return Ok(Some(range));
        }
        let block = self.ring.block(self.position)?;
        let range = block.find(self.position, head);
        self.block = Some(block);
        Ok(range)
    }

    /// Waits until [`read`](Self::read) has something to say.
    pub async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.poll_ready(cx)).await;
    }

    /// Like [`ready`](Self::ready), for use within a `poll`.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_news() {
            return Poll::Ready(());
        }
        let waiter = self.waiter.get_or_insert_with(|| self.ring.attach());
        waiter.register(cx.waker());
        // What came between the first look and the registration woke nobody.
        if self.has_news() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn has_news(&self) -> bool {
        self.ring.head() > self.position || self.ring.ended().is_some()
    }

    /// Goes to the tag with the number `position`, or the next to come if there is none yet.
    pub fn seek(&mut self, position: u64) {
        self.position = position.min(self.ring.head());
    }

    /// A cursor of the same ring that stands at `position`.
    pub fn clone_at(&self, position: u64) -> Self {
        let mut clone = self.clone();
        clone.seek(position);
        clone
    }
}

impl Clone for Cursor {
    fn clone(&self) -> Self {
        Self {
            ring: Arc::clone(&self.ring),
            position: self.position,
            block: self.block.clone(),
            waiter: None,
        }
    }
}

/// Some tags in order, borrowed from the ring.
///
/// They stay where they are however long the batch is kept; it pins one block of tags.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    slots: &'a [Once<MarkedTag>],
}

impl<'a> Batch<'a> {
    const EMPTY: Self = Self { slots: &[] };

    /// How many tags there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there was nothing new.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The tag at `index`.
    pub fn get(&self, index: usize) -> Option<&'a MarkedTag> {
        self.slots.get(index).and_then(Once::get)
    }

    /// The first tag.
    pub fn first(&self) -> Option<&'a MarkedTag> {
        self.get(0)
    }

    /// The last tag.
    pub fn last(&self) -> Option<&'a MarkedTag> {
        self.slots.last().and_then(Once::get)
    }

    /// The tags in order.
    pub fn iter(&self) -> Tags<'a> {
        Tags {
            slots: self.slots.iter(),
        }
    }
}

impl<'a> IntoIterator for Batch<'a> {
    type Item = &'a MarkedTag;
    type IntoIter = Tags<'a>;

    fn into_iter(self) -> Tags<'a> {
        self.iter()
    }
}

/// The tags of a [`Batch`] in order.
#[derive(Clone, Debug)]
pub struct Tags<'a> {
    slots: std::slice::Iter<'a, Once<MarkedTag>>,
}

impl<'a> Iterator for Tags<'a> {
    type Item = &'a MarkedTag;

    fn next(&mut self) -> Option<&'a MarkedTag> {
        self.slots.next().and_then(Once::get)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.slots.len()))
    }
}
