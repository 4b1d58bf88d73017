//! One stream on its way to one edge.
//!
//! The pump is asked for the next message whenever the one before is on its way, and takes what has gathered in the
//! ring by then: a slow connection gets few large messages, a fast one many small ones, and no timer adds to the
//! latency.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Stream, StreamExt};
use media::{Cursor, EndReason, Epoch, Join, ReadError, Ring, Start};
use proto::relay::v1 as wire;
use tokio_stream::wrappers::WatchStream;
use tonic::{Status, Streaming};

use super::listen::Listening;
use crate::metrics::{FeedMetrics, Served};
use crate::wire::{Batch, about, described, end};
use crate::{About, Backfill, End, Feed, Notice, Refusal, RefusalCode, Source, Subscribe};

/// A stream of messages down.
#[derive(Debug)]
pub(super) struct Pump {
    feed: Kept,
    cursor: Cursor,
    /// The epoch that was described last.
    epoch: Epoch,
    /// The protocol version that is spoken.
    version: u32,
    backfill: Backfilling,
    batch: Batch,
    batch_bytes: usize,
    /// Made, and not asked for yet. Few: what there is beside tags.
    ready: VecDeque<wire::Down>,
    notices: WatchStream<Notice>,
    /// What was said of that epoch, and when there may be something else to say.
    said: About,
    changes: WatchStream<()>,
    ending: Option<Ending>,
    metrics: FeedMetrics,
    _listening: Listening,
}

/// What is kept of the feed as long as the pump runs.
struct Kept {
    source: Arc<dyn Source>,
    ring: Ring,
    describe: Arc<dyn Fn(Epoch) -> About + Send + Sync>,
    _guard: Box<dyn Any + Send>,
}

/// How far old tags are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backfilling {
    /// Up to the tag with this number in the ring.
    Until(u64),
    /// All of them, and the edge knows.
    Done,
}

/// What was decided about the end.
#[derive(Clone, Debug)]
enum Ending {
    /// To be sent once the tags below this number in the ring are.
    At(u64, End),
    Sent,
}

impl Pump {
    /// Starts where the edge wants.
    ///
    /// Refuses where nobody has written yet.
    pub(super) fn open(
        source: Arc<dyn Source>,
        feed: Feed,
        wanted: &Subscribe,
        version: u32,
        batch_bytes: usize,
        up: Streaming<wire::Up>,
        metrics: &Served,
    ) -> Result<Self, Refusal> {
        let ring = feed.ring;
        let resumed = wanted
            .resume
            .and_then(|place| ring.resume(place.epoch, place.number));
        let is_resumed = resumed.is_some();
        let (cursor, join) = resumed.unwrap_or_else(|| {
            ring.cursor(match wanted.backfill {
                Backfill::Window => Start::Window,
                Backfill::Join => Start::CaughtUp,
            })
        });
        let Some((epoch, _)) = join.next else {
            let sentence = "nothing of the stream is here yet";
            return Err(Refusal::new(RefusalCode::NotFound, sentence).retry_after(NOTHING_YET));
        };
        let mut pump = Self {
            feed: Kept {
                source,
                ring,
                describe: feed.describe,
                _guard: feed.guard,
            },
            cursor,
            epoch,
            version,
            backfill: Backfilling::Done,
            batch: Batch::default(),
            batch_bytes,
            ready: VecDeque::new(),
            notices: WatchStream::new(feed.notices),
            said: About::default(),
            changes: WatchStream::from_changes(feed.changes),
            ending: None,
            metrics: metrics.open(),
            _listening: Listening::start(up, feed.viewers),
        };
        pump.describe(&join, is_resumed);
        Ok(pump)
    }

    fn describe(&mut self, join: &Join, resumed: bool) {
        let about = (self.feed.describe)(self.epoch);
        let Some(description) = join.describe(about.hls.is_some()) else {
            return;
        };
        let described = wire::Described {
            stream: Some(about::to_wire(about.clone())),
            ..described(description, self.version, resumed)
        };
        self.said = about;
        self.ready
            .push_back(down(wire::down::Kind::Described(described)));
        self.backfill = Backfilling::Until(self.feed.ring.head());
    }

    /// Fills the batch with what has gathered.
    fn gather(&mut self) -> Result<(), ReadError> {
        while self.batch.weight() < self.batch_bytes {
            let batch = self.cursor.read()?;
            if batch.is_empty() {
                return Ok(());
            }
            let stop = batch.iter().find(|tag| {
                let weight = self.batch.weight() + Batch::weight_of(tag);
                let is_full = !self.batch.is_empty() && weight > self.batch_bytes;
                if is_full || tag.epoch != self.epoch || !self.batch.takes(tag.number) {
                    return true;
                }
                self.batch.push((*tag).into());
                false
            });
            if let Some(tag) = stop {
                let (seq, epoch) = (tag.seq, tag.epoch);
                self.cursor.seek(seq);
                if self.batch.is_empty() && epoch != self.epoch {
                    self.turn_to(seq, epoch)?;
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next tag is the first of another epoch.
    fn turn_to(&mut self, seq: u64, epoch: Epoch) -> Result<(), ReadError> {
        let (_, join) = self.feed.ring.cursor(Start::At(seq));
        if join.position != seq {
            let oldest = join.position;
            return Err(ReadError::Lagged { oldest });
        }
        self.epoch = epoch;
        self.describe(&join, false);
        Ok(())
    }

    fn take_batch(&mut self) -> wire::Down {
        let is_live = self.backfill == Backfilling::Done;
        let oldest = self.batch.ingest().filter(|_| is_live);
        let age = oldest.map(|ingest| {
            let then = Duration::from_nanos(u64::try_from(ingest).unwrap_or(0));
            self.feed.source.clock().saturating_sub(then)
        });
        self.metrics.sent(self.batch.bytes(), age);
        self.batch.take()
    }

    /// What happens beside the tags.
    fn hear(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = self.changes.poll_next_unpin(cx) {
            let about = (self.feed.describe)(self.epoch);
            if about != self.said {
                self.said = about.clone();
                let stream = about::to_wire(about);
                self.ready.push_back(down(wire::down::Kind::Stream(stream)));
            }
        }
        while let Poll::Ready(Some(notice)) = self.notices.poll_next_unpin(cx) {
            match notice {
                Notice::None => {}
                Notice::Draining { within } => {
                    let within = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
                    let draining = wire::Draining { within };
                    self.ready
                        .push_back(down(wire::down::Kind::Draining(draining)));
                }
                Notice::End(end) if self.ending.is_none() => {
                    self.ending = Some(Ending::At(self.feed.ring.head(), end));
                }
                Notice::End(_) => {}
            }
        }
    }

    /// Whether all that was old is sent, now that the cursor stands where it does.
    fn has_caught_up(&mut self) -> bool {
        let Backfilling::Until(head) = self.backfill else {
            return false;
        };
        // The ring may be an edge's that is itself still catching up.
        let is_there = self.cursor.position() >= head && !self.feed.ring.is_backfilling();
        if is_there {
            self.backfill = Backfilling::Done;
        }
        is_there
    }

    fn end(&mut self, end: &End) -> wire::Down {
        self.ending = Some(Ending::Sent);
        end::to_wire(end)
    }

    /// The next message, if there is one.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<wire::Down>> {
        loop {
            self.hear(cx);
            if let Some(down) = self.ready.pop_front() {
                return Poll::Ready(Some(down));
            }
            match &self.ending {
                Some(Ending::Sent) => return Poll::Ready(None),
                Some(Ending::At(head, end)) if self.cursor.position() >= *head => {
                    let end = end.clone();
                    return Poll::Ready(Some(self.end(&end)));
                }
                _ => {}
            }
            // Before there is more: in a stream that never pauses there always is.
            if self.has_caught_up() {
                return Poll::Ready(Some(caught_up()));
            }
            let gathered = self.gather();
            if !self.batch.is_empty() {
                return Poll::Ready(Some(self.take_batch()));
            }
            match gathered {
                Ok(()) if !self.ready.is_empty() => {}
                Ok(()) => {
                    // Asked to be woken first: what makes it true in between would wake nobody.
                    let news = self.cursor.poll_ready(cx);
                    if self.has_caught_up() {
                        return Poll::Ready(Some(caught_up()));
                    }
                    ready!(news);
                }
                Err(ReadError::Lagged { .. }) => return Poll::Ready(Some(self.end(&End::Lagged))),
                Err(ReadError::Ended(reason)) => {
                    return Poll::Ready(Some(self.end(&ended(reason))));
                }
            }
        }
    }
}

impl Stream for Pump {
    type Item = Result<wire::Down, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx).map(|down| down.map(Ok))
    }
}

/// When to ask again for a stream whose publisher has just come.
const NOTHING_YET: Duration = Duration::from_millis(100);

fn ended(reason: EndReason) -> End {
    match reason {
        EndReason::Ended | EndReason::Removed => End::Ended,
        EndReason::Shutdown => End::Draining,
        _ => End::Lost,
    }
}

fn caught_up() -> wire::Down {
    down(wire::down::Kind::CaughtUp(wire::CaughtUp {}))
}

fn down(kind: wire::down::Kind) -> wire::Down {
    wire::Down { kind: Some(kind) }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}
