//! The life of a connection as its events tell it.

use std::collections::BTreeMap;

use rtmp::Event;

/// What a stream is used for, as far as events and answers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Publish {
        accepted: bool,
    },
    Play {
        accepted: bool,
    },
    /// Ended by us; events up to this batch were there before.
    Over {
        until: u64,
    },
}

/// Panics where events come that cannot follow from the ones before.
#[derive(Default)]
pub(crate) struct Life {
    connected: bool,
    closed: bool,
    uses: BTreeMap<u32, Use>,
    batch: u64,
}

impl Life {
    /// All events that are there are taken at once; a program does the same.
    pub(crate) fn begin_batch(&mut self) {
        self.batch += 1;
    }

    pub(crate) fn event(&mut self, event: &Event) {
        assert!(!self.closed, "{event:?} after the end");
        match event {
            Event::Connect(_) => {
                assert!(!self.connected, "connected twice");
                self.connected = true;
            }
            Event::Publish(publish) => {
                let old = self
                    .uses
                    .insert(publish.stream_id, Use::Publish { accepted: false });
                assert!(self.is_free(old), "a publish over {old:?}");
            }
            Event::Play(play) => {
                let old = self
                    .uses
                    .insert(play.stream_id, Use::Play { accepted: false });
                assert!(self.is_free(old), "a play over {old:?}");
            }
            Event::PublishEnded { stream_id } => {
                let old = self.take(*stream_id);
                let is_publish = matches!(old, Some(Use::Publish { .. }));
                assert!(is_publish || self.is_late(old), "ended: {old:?}");
            }
            Event::PlayEnded { stream_id } => {
                let old = self.take(*stream_id);
                let is_play = matches!(old, Some(Use::Play { .. }));
                assert!(is_play || self.is_late(old), "ended: {old:?}");
            }
            Event::Tag { stream_id, tag } => {
                let used = self.uses.get(stream_id).copied();
                let accepted = used == Some(Use::Publish { accepted: true });
                assert!(accepted || self.is_late(used), "a tag for {used:?}");
                assert!(!tag.payload.is_empty(), "an empty tag");
            }
            Event::Pause { stream_id, .. } => {
                let used = self.uses.get(stream_id).copied();
                let is_play = matches!(used, Some(Use::Play { .. }));
                assert!(is_play || self.is_late(used), "a pause for {used:?}");
            }
            Event::PeerClosed => self.closed = true,
            _ => {}
        }
    }

    pub(crate) fn accepted(&mut self, stream_id: u32) {
        if let Some(Use::Publish { accepted } | Use::Play { accepted }) =
            self.uses.get_mut(&stream_id)
        {
            *accepted = true;
        }
    }

    /// Rejected, or ended by us: no event follows, but some may be waiting.
    pub(crate) fn rejected(&mut self, stream_id: u32) {
        // Accepting it brought what waited for that.
        let until = self.batch + 1;
        self.uses.insert(stream_id, Use::Over { until });
    }

    pub(crate) fn over(&self) {
        assert!(self.closed, "never closed");
        let is_over = |used: &Use| matches!(used, Use::Over { .. });
        assert!(self.uses.values().all(is_over), "{:?}", self.uses);
    }

    /// What a stream was used for until now; ended by us, it stays so.
    fn take(&mut self, stream_id: u32) -> Option<Use> {
        match self.uses.get(&stream_id) {
            Some(Use::Over { .. }) => self.uses.get(&stream_id).copied(),
            _ => self.uses.remove(&stream_id),
        }
    }

    fn is_free(&self, used: Option<Use>) -> bool {
        matches!(used, None | Some(Use::Over { .. }))
    }

    fn is_late(&self, used: Option<Use>) -> bool {
        matches!(used, Some(Use::Over { until }) if self.batch <= until)
    }
}
