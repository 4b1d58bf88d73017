//! What a pull does: look, connect, write the ring, begin again.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::NodeId;
use media::{Epoch, Refused, Replica, Ring, StreamKey};
use ractor::ActorRef;
use relay::{
    Backfill, Described, End, Error, Event, Peer, Position, Pulling, RefusalCode, Subscribe,
    Viewers,
};
use tokio::sync::{Notify, watch};
use tracing::{debug, info, warn};

use super::clocks::Difference;
use super::find::{Clues, Found, Search, ask_nodes, find};
use super::{Began, News};
use crate::chance;
use crate::context::Context;
use crate::stream::{self, Book};

/// The pause before a broken feed is tried again: it doubles up to the longer one, until a feed has caught up.
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(2);
/// How often one looks whether a stream that nobody has is there, beside being told.
const LOOK: Duration = Duration::from_secs(1);

/// The task of a pull.
pub(super) struct Feed {
    context: Arc<Context>,
    key: StreamKey,
    ring: Ring,
    /// For what the origin says of what is in the ring.
    book: Book,
    stream: ActorRef<stream::Message>,
    look: Arc<Notify>,
    viewers: watch::Receiver<Viewers>,
    /// For the first feed.
    replica: Option<Replica>,
    /// It was there once.
    found: bool,
    clues: Clues,
    /// Since when nobody has it, after somebody had.
    orphaned: Option<Instant>,
    /// Something has come in.
    has_begun: bool,
    /// Since when nothing does, before that.
    failing: Option<Instant>,
    /// Somebody was told why.
    is_warned: bool,
    /// Where the next feed begins if it cannot resume.
    backfill: Backfill,
    pause: Duration,
}

/// How a feed from one node ended.
enum Over {
    /// The stream is over.
    Ended,
    /// Another node has it now, or this one: to be looked at once.
    Elsewhere,
    /// That node has it now.
    Moved(String),
    /// It came in, and broke.
    Lost,
    /// It did not begin.
    Failed,
}

impl Feed {
    pub(super) fn new(
        context: Arc<Context>,
        key: StreamKey,
        (ring, book): (Ring, Book),
        stream: ActorRef<stream::Message>,
        look: Arc<Notify>,
        viewers: watch::Receiver<Viewers>,
    ) -> Feed {
        Feed {
            context,
            key,
            // Whoever joins from now on waits for what is about to come.
            replica: Some(ring.replica()),
            ring,
            book,
            stream,
            look,
            viewers,
            found: false,
            clues: Clues::default(),
            orphaned: None,
            has_begun: false,
            failing: None,
            is_warned: false,
            backfill: Backfill::Window,
            pause: SHORT,
        }
    }

    /// The same of a stream that somebody has, though the directory may not have heard of it yet.
    pub(super) fn of_known(mut self) -> Feed {
        self.found = true;
        self
    }

    /// Goes on until the stream is over; whoever wants it no longer drops this.
    pub(super) async fn run(mut self) {
        let mut asks = true;
        loop {
            let seen = self.ring.next_number().map(|next| next.0);
            let ask = std::mem::take(&mut asks);
            let search = find(&self.context, &self.key, ask, &self.clues, seen);
            let Search { found, in_vain } = search.await;
            // All nodes would be asked again.
            let least = if in_vain { LOOK } else { Duration::ZERO };
            let pause = match found {
                Found::At(peer) => {
                    self.is_there();
                    let over = self.pull(&peer).await;
                    self.learn(&peer, &over);
                    match over {
                        Over::Ended => {
                            if !self.goes_on_elsewhere().await {
                                return self.tell(News::Ended("the publisher left"));
                            }
                            a_moment()
                        }
                        Over::Elsewhere | Over::Moved(_) => {
                            self.pause = SHORT;
                            a_moment()
                        }
                        Over::Lost => {
                            self.tell(News::Lost);
                            self.back_off()
                        }
                        Over::Failed if self.is_in_vain() => {
                            return self.tell(News::Ended(
                                "it cannot be pulled from the node that has it",
                            ));
                        }
                        Over::Failed => self.back_off().max(least),
                    }
                }
                Found::Hidden => {
                    self.is_there();
                    self.back_off().max(least)
                }
                // The stream is about to hear of its publisher, or an earlier process left this.
                Found::Here => self.back_off().max(SHORT).max(least),
                Found::Nobody => {
                    if self.is_over() {
                        return self.tell(News::Ended("nobody publishes it any more"));
                    }
                    LOOK
                }
            };
            tokio::select! {
                // Whoever has it from now on has not failed yet, and may need a moment to have it.
                () = self.look.notified() => self.pause = SHORT,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn tell(&self, news: News) {
        drop(self.stream.cast(stream::Message::Pulled(news)));
    }

    /// The directory may not have heard yet of what the end of a feed says.
    fn learn(&mut self, peer: &Peer, over: &Over) {
        let moved_to = match over {
            Over::Elsewhere => return,
            Over::Moved(node) => Some(node.as_str()),
            Over::Ended | Over::Lost | Over::Failed => None,
        };
        let (context, key) = (&self.context, &self.key);
        self.clues.not_at(context, key, peer.node(), moved_to);
    }

    /// Whether a stream that ended has another publisher, of whom the directory could not tell.
    async fn goes_on_elsewhere(&self) -> bool {
        if self.context.membership.directory.is_up() {
            return false;
        }
        let seen = self.ring.next_number().map(|next| next.0);
        let other = ask_nodes(&self.context, &self.key, seen).await;
        other.is_some()
    }

    fn is_there(&mut self) {
        self.orphaned = None;
        if !std::mem::replace(&mut self.found, true) {
            self.tell(News::Found);
        }
    }

    /// Whether nobody has it for so long that nobody will.
    fn is_over(&mut self) -> bool {
        if !self.found {
            self.tell(News::Nobody);
            return false;
        }
        let membership = &self.context.membership;
        if !membership.directory.is_up() {
            // Nothing counts as gone.
            return false;
        }
        let since = *self.orphaned.get_or_insert_with(Instant::now);
        since.elapsed() >= self.context.config.publish.grace
    }

    /// Whether nothing has come from the beginning, for so long that whoever waits is better told. One that has
    /// seen something holds its picture.
    fn is_in_vain(&mut self) -> bool {
        let membership = &self.context.membership;
        if self.has_begun || !membership.directory.is_up() {
            return false;
        }
        let since = *self.failing.get_or_insert_with(Instant::now);
        since.elapsed() >= self.context.config.publish.grace
    }

    /// The next pause, half of it left to chance: edges that lost the same origin do not come all at once.
    fn back_off(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONG);
        chance::about(pause)
    }

    /// Pulls from one node until it ends.
    async fn pull(&mut self, peer: &Peer) -> Over {
        let Some(relay) = &self.context.membership.relay else {
            return Over::Failed;
        };
        let place = self.ring.next_number();
        let resume = place.map(|(epoch, number)| Position { epoch, number });
        let subscribe = Subscribe {
            resume,
            backfill: self.backfill,
            ..Subscribe::new(self.key.clone())
        };
        // The difference of the clocks is learnt on the way.
        let compare = compare(&self.context, peer);
        let open = async { tokio::join!(compare, relay.client.pull(peer, subscribe)) };
        let (clocks, pulled) = tokio::select! {
            opened = open => opened,
            // A node that went without a word does not even refuse.
            () = self.moves_from(peer) => return Over::Elsewhere,
        };
        let (described, pulling) = match pulled {
            Ok(pulled) => pulled,
            Err(error) => return self.failed(peer, &error),
        };
        if let Some((before, _)) = place {
            let epoch = described.description.epoch;
            let reason = match (before == epoch, described.resumed) {
                (false, _) => "epoch",
                (true, true) => "resumed",
                (true, false) => "late",
            };
            self.context.metrics.switched(reason);
        }
        let replica = self.replica.take().unwrap_or_else(|| self.ring.replica());
        let mut running = Running {
            feed: self,
            node: peer.node(),
            replica,
            epoch: described.description.epoch,
            clocks,
        };
        running.run(peer, described, pulling).await
    }

    fn failed(&mut self, peer: &Peer, error: &Error) -> Over {
        match error {
            // It has just come, or just gone.
            Error::Refused(refusal) if refusal.code == RefusalCode::NotFound => {
                debug!(%peer, %error, "not there to be pulled");
            }
            // Once for each pull: it is tried again and again.
            _ if std::mem::replace(&mut self.is_warned, true) => {
                debug!(%peer, %error, "cannot be pulled");
            }
            _ => warn!(%peer, %error, "cannot be pulled"),
        }
        Over::Failed
    }

    /// Waits until the directory says that another node has it.
    async fn moves_from(&self, peer: &Peer) {
        let directory = &self.context.membership.directory;
        let is_elsewhere = |node: &NodeId| node.as_str() != peer.node();
        loop {
            self.look.notified().await;
            let held = directory.lookup(&self.key);
            if held.is_some_and(|held| is_elsewhere(&held.record.node)) {
                return;
            }
        }
    }

    /// Whether the directory knows of a higher epoch at another node.
    fn is_superseded(&self, node: &str, epoch: Epoch) -> bool {
        let directory = &self.context.membership.directory;
        directory
            .lookup(&self.key)
            .is_some_and(|held| held.record.epoch > epoch && held.record.node.as_str() != node)
    }
}

/// A feed that comes in.
struct Running<'a> {
    feed: &'a mut Feed,
    node: &'a str,
    replica: Replica,
    epoch: Epoch,
    clocks: Difference,
}

impl Running<'_> {
    async fn run(&mut self, peer: &Peer, described: Described, mut pulling: Pulling) -> Over {
        let context = Arc::clone(&self.feed.context);
        let mut compares = pin!(compare_again(&context, peer, self.clocks));
        pulling.viewers(self.feed.viewers.borrow_and_update().clone());
        if let Some(over) = self.describe(described) {
            return over;
        }
        loop {
            tokio::select! {
                event = pulling.next() => {
                    let over = match event {
                        Ok(event) => self.hear(event),
                        Err(error) => {
                            info!(node = self.node, %error, "the feed broke");
                            Some(Over::Lost)
                        }
                    };
                    if let Some(over) = over {
                        return over;
                    }
                }
                () = self.feed.look.notified() => {
                    if self.feed.is_superseded(self.node, self.epoch) {
                        return Over::Elsewhere;
                    }
                }
                Ok(()) = self.feed.viewers.changed() => {
                    pulling.viewers(self.feed.viewers.borrow_and_update().clone());
                }
                clocks = &mut compares => {
                    self.clocks = clocks;
                    compares.set(compare_again(&context, peer, clocks));
                }
            }
        }
    }

    fn describe(&mut self, described: Described) -> Option<Over> {
        self.epoch = described.description.epoch;
        // Before the first tag: who reads the ring looks there.
        self.feed.book.describe(self.epoch, described.about.clone());
        if self.replica.describe(described.description).is_err() {
            // What is here is newer: this node has not heard that it was replaced.
            debug!(node = self.node, epoch = %self.epoch, "an epoch that is over");
            return Some(Over::Failed);
        }
        self.feed.has_begun = true;
        self.feed.tell(News::Began(Box::new(Began {
            epoch: self.epoch,
            node: self.node.to_owned(),
            about: described.about,
        })));
        None
    }

    fn hear(&mut self, event: Event) -> Option<Over> {
        match event {
            Event::Described(described) => self.describe(*described),
            Event::About(about) => {
                self.feed.book.describe(self.epoch, *about);
                None
            }
            Event::Tags(tags) => {
                let now = self.feed.context.clock.now();
                for mut tag in tags {
                    tag.ingest = tag.ingest.saturating_sub(self.clocks.ahead);
                    // A way that was slow or broken is not the players' lag.
                    tag.came = now;
                    match self.replica.push(tag) {
                        Ok(_) => {}
                        Err(Refused::Fenced(_)) => return Some(Over::Elsewhere),
                        Err(refused) => {
                            warn!(node = self.node, %refused, "the feed skipped tags");
                            return Some(Over::Lost);
                        }
                    }
                }
                None
            }
            Event::CaughtUp => {
                (self.feed.pause, self.feed.backfill) = (SHORT, Backfill::Window);
                let caught_up = self.replica.caught_up();
                caught_up.is_err().then_some(Over::Elsewhere)
            }
            Event::Draining(within) => {
                debug!(node = self.node, ?within, "the origin drains");
                None
            }
            Event::Ended(end) => Some(self.ended(&end)),
        }
    }

    fn ended(&mut self, end: &End) -> Over {
        debug!(node = self.node, end = end.name(), "the feed ended");
        match end {
            // An origin that was cut off does not know that another has gone on.
            End::Ended if self.feed.is_superseded(self.node, self.epoch) => Over::Elsewhere,
            End::Ended => Over::Ended,
            End::Moved { node } => Over::Moved(node.clone()),
            End::Refused(_) => Over::Failed,
            End::Lagged => {
                // From the oldest tag on it would lag once more: with less, it has a chance.
                self.feed.backfill = Backfill::Join;
                Over::Lost
            }
            _ => Over::Lost,
        }
    }
}

/// The pause before a stream that has moved is pulled from elsewhere: many move with it.
fn a_moment() -> Duration {
    chance::about(2 * SHORT)
}

async fn compare(context: &Context, peer: &Peer) -> Difference {
    match &context.membership.relay {
        Some(relay) => {
            let compare = relay.clocks.compare(&relay.client, &context.clock, peer);
            compare.await
        }
        None => Difference::default(),
    }
}

/// The same a while after it was found to be this.
async fn compare_again(context: &Context, peer: &Peer, clocks: Difference) -> Difference {
    tokio::time::sleep(clocks.ask_again()).await;
    compare(context, peer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_move_together_do_not_come_at_the_same_moment() {
        let pauses: Vec<_> = (0..20).map(|_| a_moment()).collect();
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause >= SHORT));
    }
}
