//! What changes in the directory, as it happens.

use std::sync::Arc;

use media::StreamKey;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::{Held, Kind, NodeId, SettingName};

/// So many changes wait for a slow reader; one that falls behind further gets a
/// [`Change::Resync`] in their place.
pub(crate) const WAITING: usize = 1024;

/// Something changed; [`Directory`](crate::Directory) answers what it is now.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// The record of a stream is another, or gone.
    Stream(StreamKey),
    /// A claim of this node is lost to this record; nothing where this release cannot read it.
    Lost(StreamKey, Option<Arc<Held>>),
    /// A node joined, left, or announces something new about itself (but for its clock).
    Node(NodeId),
    /// A setting is another, or gone.
    Setting(Kind, SettingName),
    /// The clock of this node differs from ours by more than a second, or no longer does.
    Clock(NodeId),
    /// The directory can be reached, or no longer.
    Up(bool),
    /// Too many changes to tell one by one: anything may have changed, claims included.
    Resync,
}

/// A bounded subscription to the changes from now on.
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Change>);

impl Changes {
    pub(crate) fn new(receiver: broadcast::Receiver<Change>) -> Self {
        Self(receiver)
    }

    /// The next change. None: this node left the directory.
    pub async fn next(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(RecvError::Lagged(_)) => Some(self.resync()),
            Err(RecvError::Closed) => None,
        }
    }

    /// A change that has happened already.
    pub fn try_next(&mut self) -> Option<Change> {
        match self.0.try_recv() {
            Ok(change) => Some(change),
            Err(TryRecvError::Lagged(_)) => Some(self.resync()),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }

    /// Whatever else has gathered is a part of it.
    fn resync(&mut self) -> Change {
        self.0 = self.0.resubscribe();
        Change::Resync
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_learns_that_it_must_look_anew() {
        let (sender, receiver) = broadcast::channel(WAITING);
        let mut changes = Changes::new(receiver);
        for _ in 0..WAITING + 1 {
            sender.send(Change::Up(true)).expect("is heard");
        }
        assert_eq!(changes.next().await, Some(Change::Resync));
        sender.send(Change::Up(false)).expect("is heard");
        assert_eq!(changes.next().await, Some(Change::Up(false)));
        assert_eq!(changes.try_next(), None);
        drop(sender);
        assert_eq!(changes.next().await, None);
    }
}
