//! The cutter of a publish, which also measures what its segments take.

use hls::{Bandwidth, Cutter, Meter};
use media::{Configuration, Cut, Epoch, MarkedTag, Marker};

use super::Book;

/// Marks where segments begin, and writes down what they take.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) cutter: Cutter,
    pub(super) meter: Meter,
    pub(super) epoch: Epoch,
    pub(super) book: Book,
}

impl Marker for Measured {
    fn mark(&mut self, tag: &MarkedTag, configuration: &Configuration) -> Option<Cut> {
        let cut = self.cutter.mark(tag, configuration);
        let news = self.meter.count(tag, cut.as_ref(), configuration);
        if let Some(Bandwidth { peak, average }) = news {
            let bandwidth = relay::Bandwidth { average, peak };
            self.book.measured(self.epoch, bandwidth);
        }
        cut
    }
}
