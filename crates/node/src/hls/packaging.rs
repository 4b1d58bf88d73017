//! What a packager does: read the ring, make segments, show them.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use hls::{Bounds, Feed, Mode, Packager, Variant};
use media::{Configuration, EndReason, ReadError, Ring};
use relay::Bandwidth;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::packager::Arguments;
use super::{Entry, News, Stage};
use crate::context::Context;
use crate::stream::Book;

/// So many tags are read at a time, so that an old window that comes in as a whole does not hold up what else runs on
/// this thread.
const BATCH: usize = 128;
/// And so many times, before what was made of them is shown though more is there to read.
const BATCHES: u32 = 16;

/// The task of a packager.
pub(super) struct Packaging {
    context: Arc<Context>,
    ring: Ring,
    book: Book,
    stage: Arc<Stage>,
    entry: Arc<Entry>,
    told: Option<Told>,
}

/// What players are told first, and what of.
struct Told {
    configuration: Arc<Configuration>,
    mode: Mode,
    bandwidth: Bandwidth,
    variant: Option<Variant>,
}

/// A ring on its way through a packager.
struct Run {
    feed: Feed,
    packager: Packager,
    changes: watch::Receiver<()>,
    /// Something was made that was not shown yet.
    is_news: bool,
    batches: u32,
    /// What was shown last was the newest there is anywhere.
    is_caught_up: bool,
    given_up: u64,
}

impl Packaging {
    pub(super) fn new(arguments: Arguments) -> Packaging {
        let Arguments {
            context,
            ring,
            book,
            stage,
            entry,
            span: _,
        } = arguments;
        Packaging {
            context,
            ring,
            book,
            stage,
            entry,
            told: None,
        }
    }

    /// Goes on until the stream is over; whoever wants it no longer drops this.
    pub(super) async fn run(mut self) {
        while self.follow().await {
            warn!("the packager was overtaken by the stream, and begins anew");
            self.context.metrics.hls_torn("lagged");
        }
    }

    /// Packages from the oldest listed segment on. Returns whether to begin anew.
    async fn follow(&mut self) -> bool {
        let config = &self.context.config.hls;
        let bounds = Bounds {
            segment: config.max_segment_bytes,
            all: config.max_bytes,
        };
        let mut run = Run {
            feed: Feed::new(&self.ring),
            packager: Packager::within(Mode::LowLatency, bounds),
            changes: self.book.changes(),
            is_news: false,
            batches: 0,
            is_caught_up: false,
            given_up: 0,
        };
        loop {
            // Looked at first: what is old is in the ring by then.
            let is_settled = !self.ring.is_backfilling();
            let book = &self.book;
            let Run { feed, packager, .. } = &mut run;
            match feed.read_as(packager, BATCH, |epoch| book.mode(epoch)) {
                Ok((0, _)) => {
                    let has_changed = run.changes.has_changed().unwrap_or(false);
                    if run.is_news || has_changed || run.is_caught_up != is_settled {
                        run.changes.mark_unchanged();
                        self.show(&mut run, is_settled);
                    }
                    tokio::select! {
                        () = run.feed.ready() => {}
                        () = self.ring.caught_up(), if !is_settled => {}
                        Ok(()) = run.changes.changed() => run.changes.mark_changed(),
                    }
                }
                Ok((_, is_news)) => {
                    run.is_news |= is_news;
                    if run.feed.behind() > 0 {
                        run.batches += 1;
                        if run.is_news && run.batches >= BATCHES && self.is_newer(&run) {
                            // What comes next is there already: this is not the newest.
                            self.show(&mut run, false);
                        }
                        tokio::task::yield_now().await;
                    }
                }
                Err(ReadError::Lagged { .. }) => return true,
                Err(ReadError::Ended(reason)) => {
                    debug!(%reason, "packaged to its end");
                    if matches!(reason, EndReason::Ended | EndReason::Removed) {
                        run.packager.end();
                    }
                    self.show(&mut run, true);
                    return false;
                }
            }
        }
    }

    /// Whether it has come as far as what is shown: who begins anew does not take away what there was.
    fn is_newer(&self, run: &Run) -> bool {
        let shown = self.entry.stream().now();
        run.packager.window().newest() >= shown.window().newest()
    }

    fn show(&mut self, run: &mut Run, is_caught_up: bool) {
        (run.is_news, run.batches) = (false, 0);
        run.is_caught_up = is_caught_up;
        let given_up = run.packager.given_up();
        if given_up > std::mem::replace(&mut run.given_up, given_up) {
            warn!("a segment is larger than hls.max_segment_bytes, and is left out");
            self.context.metrics.hls_torn("large");
        }
        let mode = run.packager.mode();
        let variant = self.variant(mode);
        self.stage.show(News {
            window: run.packager.window().clone(),
            mode,
            variant,
            is_caught_up,
        });
        if self.entry.stream().is_playable() {
            self.entry.has_joined(&self.context.metrics);
        }
    }

    /// What players are told of the stream as it is by now.
    fn variant(&mut self, mode: Mode) -> Option<Variant> {
        let configuration = self.ring.configuration();
        let bandwidth = self.book.bandwidth(configuration.epoch);
        let told = self.told.take().filter(|told| {
            Arc::ptr_eq(&told.configuration, &configuration)
                && (told.mode, told.bandwidth) == (mode, bandwidth)
        });
        let told = told.unwrap_or_else(|| Told {
            variant: (!configuration.video.is_empty() || !configuration.audio.is_empty()).then(
                || {
                    let Bandwidth { peak, average } = bandwidth;
                    Variant::of(&configuration, mode).with_bandwidth(peak, average)
                },
            ),
            configuration,
            mode,
            bandwidth,
        });
        let variant = told.variant.clone();
        self.told = Some(told);
        variant
    }
}
