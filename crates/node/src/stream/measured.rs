//! The cutter of a publish, which also measures what its segments take, and looks whether its numbers outrun the clock.

use std::sync::Arc;

use hls::{Bandwidth, Cutter, LastKnown, Meter};
use media::{Configuration, Cut, Epoch, MarkedTag, Marker, StreamKey};
use ractor::ActorRef;

use super::numbers::Numbers;
use super::{Book, Message};

/// Where numbers are ahead, the directory is told of so many more than were used: it is not told with each.
const MORE_SEGMENTS: u64 = 64;
const MORE_DISCONTINUITIES: u64 = 4;

/// Marks where segments begin, and writes down what they take.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) cutter: Cutter,
    pub(super) meter: Meter,
    pub(super) epoch: Epoch,
    pub(super) book: Book,
    pub(super) key: StreamKey,
    pub(super) numbers: Arc<Numbers>,
    /// The highest numbers that the directory knows of.
    pub(super) told: LastKnown,
    pub(super) stream: ActorRef<Message>,
}

impl Marker for Measured {
    fn mark(&mut self, tag: &MarkedTag, configuration: &Configuration) -> Option<Cut> {
        let cut = self.cutter.mark(tag, configuration);
        let news = self.meter.count(tag, cut.as_ref(), configuration);
        if let Some(Bandwidth { peak, average }) = news {
            let bandwidth = relay::Bandwidth { average, peak };
            self.book.measured(self.epoch, bandwidth);
        }
        if let Some(cut) = &cut
            && let Some(segment) = &cut.segment
        {
            let used = LastKnown {
                msn: cut.msn,
                discontinuity: segment.discontinuity,
            };
            self.note(used, tag.ingest);
        }
        cut
    }
}

impl Measured {
    /// A segment begins with these numbers.
    fn note(&mut self, used: LastKnown, now: i64) {
        let told = self.told;
        let is_told = used.msn <= told.msn && used.discontinuity <= told.discontinuity;
        if !self.numbers.note(&self.key, used, now) || is_told {
            return;
        }
        self.told = LastKnown {
            msn: used.msn.saturating_add(MORE_SEGMENTS),
            discontinuity: used.discontinuity.saturating_add(MORE_DISCONTINUITIES),
        };
        let outruns = Message::Outruns(self.epoch, self.told);
        drop(self.stream.cast(outruns));
    }
}
