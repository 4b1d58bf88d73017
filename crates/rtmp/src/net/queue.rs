//! The bounded queue between whoever has tags and the task that sends them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flv::Tag;
use tokio::sync::Notify;

/// How much may wait to be sent to one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Tags: 1024, about ten seconds of an ordinary stream.
    pub tags: usize,
    /// Bytes of payload: 8 MiB. One tag of any size is taken by an empty queue.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            tags: 1024,
            bytes: 8 * 1024 * 1024,
        }
    }
}

/// The queue was closed: the peer is gone, or the stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection has ended")]
pub struct Closed;

/// What became of a tag that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offer {
    Taken,
    /// The queue is full; the tag comes back.
    Full(Tag),
    Closed,
}

#[derive(Debug)]
pub(crate) struct Queue {
    limits: QueueLimits,
    state: Mutex<State>,
    /// Wakes the task that sends. Shared by all queues of a connection.
    filled: Arc<Notify>,
    /// Wakes those who wait for room.
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    tags: VecDeque<Tag>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits, filled: Arc<Notify>) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            filled,
            emptied: Notify::new(),
        }
    }

    /// Adds `tag` if it fits. `reserve` widens the limits, for what must not be lost.
    pub(crate) fn offer(&self, tag: Tag, reserve: usize) -> Offer {
        let mut state = self.lock();
        if state.closed {
            return Offer::Closed;
        }
        let (tags, bytes) = (
            self.limits.tags.saturating_mul(reserve),
            self.limits.bytes.saturating_mul(reserve),
        );
        let fits =
            state.tags.len() < tags && state.bytes.saturating_add(tag.payload.len()) <= bytes;
        if !fits && !state.tags.is_empty() {
            return Offer::Full(tag);
        }
        state.bytes += tag.payload.len();
        state.tags.push_back(tag);
        drop(state);
        self.filled.notify_one();
        Offer::Taken
    }

    /// Adds `tag`, once there is room.
    pub(crate) async fn send(&self, mut tag: Tag) -> Result<(), Closed> {
        loop {
            // Listen first, look second: what is emptied in between is not missed.
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            tag = match self.offer(tag, 1) {
                Offer::Taken => return Ok(()),
                Offer::Closed => return Err(Closed),
                Offer::Full(tag) => tag,
            };
            emptied.await;
        }
    }

    /// Takes the tag that has waited longest.
    pub(crate) fn take(&self) -> Option<Tag> {
        let mut state = self.lock();
        let tag = state.tags.pop_front()?;
        state.bytes -= tag.payload.len();
        if state.tags.is_empty() {
            // A queue at rest keeps no memory.
            state.tags.shrink_to(8);
        }
        drop(state);
        self.emptied.notify_waiters();
        Some(tag)
    }

    /// Refuses more tags; those inside may still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.emptied.notify_waiters();
        self.filled.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().tags.is_empty()
    }

    /// Throws away what is inside.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        state.tags = VecDeque::new();
        state.bytes = 0;
        drop(state);
        self.emptied.notify_waiters();
    }

    /// Resolves once the queue is closed.
    pub(crate) async fn closed(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.is_closed() {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use flv::Kind;

    use super::*;

    fn tag(dts: u32, len: usize) -> Tag {
        Tag::new(Kind::Audio, dts, Bytes::from(vec![0xaf; len]))
    }

    fn queue(tags: usize, bytes: usize) -> Queue {
        Queue::new(QueueLimits { tags, bytes }, Arc::default())
    }

    #[test]
    fn refuses_what_goes_beyond_either_limit() {
        let queue = queue(2, 100);
        assert_eq!(queue.offer(tag(0, 10), 1), Offer::Taken);
        assert!(matches!(queue.offer(tag(1, 91), 1), Offer::Full(_)));
        assert_eq!(queue.offer(tag(1, 90), 1), Offer::Taken);
        assert!(matches!(queue.offer(tag(2, 0), 1), Offer::Full(_)));
        assert_eq!(
            queue.offer(tag(2, 0), 2),
            Offer::Taken,
            "the reserve is there for this"
        );
        assert_eq!(queue.take().map(|tag| tag.dts), Some(0));
    }

    #[test]
    fn an_empty_queue_takes_a_tag_of_any_size() {
        let queue = queue(2, 100);
        assert_eq!(queue.offer(tag(0, 1000), 1), Offer::Taken);
        assert!(matches!(queue.offer(tag(1, 1), 1), Offer::Full(_)));
    }

    #[tokio::test]
    async fn a_sender_waits_for_room_and_for_the_end() {
        let queue = Arc::new(queue(1, 100));
        queue.send(tag(0, 1)).await.unwrap();
        let sender = tokio::spawn({
            let queue = queue.clone();
            async move { (queue.send(tag(1, 1)).await, queue.send(tag(2, 1)).await) }
        });
        tokio::task::yield_now().await;
        assert_eq!(queue.take().map(|tag| tag.dts), Some(0));
        tokio::task::yield_now().await;
        queue.close();
        assert_eq!(sender.await.unwrap(), (Ok(()), Err(Closed)));
        assert_eq!(
            queue.take().map(|tag| tag.dts),
            Some(1),
            "what was taken is still sent"
        );
        assert!(queue.take().is_none());
    }
}
