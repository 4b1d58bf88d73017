//! A stream that is asked for over HLS: from when on it is packaged, and until when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use media::Epoch;
use metrics::Gauge;
use ractor::{Actor, ActorId, ActorRef, RpcReplyPort};
use tracing::{debug, error, warn};

use super::{Message, Phase, Refusal, State};
use crate::hls::{Entry, Listed, News, Stage, packager};
use crate::node;

/// Who asks over HLS gets what all requests share.
pub(crate) type HlsReply = RpcReplyPort<Result<Arc<Entry>, Refusal>>;

/// The first pause before a packager that failed is started again; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// One that runs for so long does not fail all the time.
const STEADY: Duration = Duration::from_secs(60);

/// How often one looks whether anybody still asks.
const LOOK: Duration = Duration::from_secs(1);

/// The packager of a stream, and what is made of it.
pub(super) struct Packaged {
    listed: Listed,
    stage: Arc<Stage>,
    /// None while a failed one is about to be started again, and after the end.
    packager: Option<ActorRef<packager::Message>>,
    started: Instant,
    failures: u32,
    /// Since when the stream is over.
    ended: Option<Instant>,
    counted: Counted,
    /// Who they are, for putting them together with those of other nodes.
    sketch: hls::Sketch,
}

/// So many viewers, on a gauge.
struct Counted {
    gauge: Gauge,
    count: usize,
}

impl Counted {
    fn set(&mut self, count: usize) {
        self.gauge.increment(count as f64 - self.count as f64);
        self.count = count;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Drop for Packaged {
    fn drop(&mut self) {
        if let Some(packager) = &self.packager {
            packager.stop(None);
        }
        // Its pump may have it for a moment longer.
        self.stage.close();
    }
}

impl State {
    pub(super) async fn asked_over_hls(&mut self, myself: &ActorRef<Message>, reply: HlsReply) {
        if matches!(self.phase, Phase::Over) {
            // The node opens a new stream for who asks again.
            return drop(self.node.cast(node::Message::Hls(self.key.clone(), reply)));
        }
        if matches!(self.phase, Phase::Expected | Phase::Pulled) {
            self.want_pull(myself).await;
        }
        if let Err(reply) = self.hls_asking.push(reply) {
            self.context.metrics.too_many_ask();
            drop(reply.send(Err(Refusal::TooManyAsk(self.key.clone()))));
        }
    }

    /// After each message: answers those who wait, where there is an answer by now.
    pub(super) async fn answer_over_hls(&mut self, myself: &ActorRef<Message>) {
        if self.hls_asking.is_empty() {
            return;
        }
        let answer = match self.may_package() {
            None => {
                self.look_at_hls_later(myself);
                return self.refuse_who_waited(myself);
            }
            Some(Ok(())) => self.package(myself).await,
            Some(Err(refusal)) => Err(refusal),
        };
        for reply in self.hls_asking.take() {
            drop(reply.send(answer.clone()));
        }
    }

    /// Whether there is something to package; `None` while it is not known.
    fn may_package(&self) -> Option<Result<(), Refusal>> {
        let is_cut = match &self.phase {
            Phase::Live(_) | Phase::Grace => self.context.config.hls.mode.is_some(),
            Phase::Pulled => {
                let from = self.pulled.as_ref()?.from.as_ref()?;
                from.about.hls.is_some()
            }
            Phase::Expected if self.is_looking() => return None,
            Phase::Expected if !self.context.config.play.wait.is_zero() => return None,
            Phase::Expected | Phase::Over => return Some(Err(self.no_such_stream())),
        };
        let off = || Refusal::NotOverHls(self.key.clone());
        Some(is_cut.then_some(()).ok_or_else(off))
    }

    /// The longest wait for a first publisher is over for these.
    fn refuse_who_waited(&mut self, myself: &ActorRef<Message>) {
        let wait = self.context.config.play.wait;
        if !matches!(self.phase, Phase::Expected) || wait.is_zero() || self.is_looking() {
            return;
        }
        let refusal = self.no_such_stream();
        for reply in self.hls_asking.take_waited(wait) {
            drop(reply.send(Err(refusal.clone())));
        }
        if let Some(next) = self.hls_asking.next_after(wait)
            && !std::mem::replace(&mut self.hls_wait_ends, true)
        {
            drop(myself.send_after(next, || Message::HlsWaitOver));
        }
    }

    /// What all requests share, packaged from now on if it was not.
    async fn package(&mut self, myself: &ActorRef<Message>) -> Result<Arc<Entry>, Refusal> {
        if let Some(hls) = &self.hls {
            return Ok(Arc::clone(&hls.listed.entry));
        }
        let stage = Arc::new(Stage::on(&self.context, News::nothing()));
        let entry = Arc::new(Entry::new(stage.stream(), self.context.clock.now()));
        entry.set_players(self.players.count());
        debug!(parent: &self.span, "packaged from now on");
        self.hls = Some(Packaged {
            listed: self.context.hls.list(&self.key, Arc::clone(&entry)),
            stage,
            packager: None,
            started: Instant::now(),
            failures: 0,
            ended: None,
            counted: Counted {
                gauge: self.context.metrics.hls_viewers(),
                count: 0,
            },
            sketch: hls::Sketch::default(),
        });
        self.start_packager(myself).await;
        self.look_at_hls_later(myself);
        Ok(entry)
    }

    /// Starts the packager, for the first time or after it failed.
    pub(super) async fn start_packager(&mut self, myself: &ActorRef<Message>) {
        let Some(hls) = self.hls.as_mut().filter(|hls| hls.packager.is_none()) else {
            return;
        };
        let arguments = packager::Arguments {
            context: Arc::clone(&self.context),
            ring: self.ring.clone(),
            book: self.book.clone(),
            stage: Arc::clone(&hls.stage),
            entry: Arc::clone(&hls.listed.entry),
            span: self.span.clone(),
        };
        hls.started = Instant::now();
        let cell = myself.get_cell();
        match Actor::spawn_linked(None, packager::Packager, arguments, cell).await {
            Ok((packager, _)) => hls.packager = Some(packager),
            Err(error) => {
                error!(parent: &self.span, %error, "packager not started");
                self.start_packager_later(myself);
            }
        }
    }

    /// Whether it was the packager that is gone: one that failed is started again, for as long as it is wanted.
    pub(super) fn packager_gone(
        &mut self,
        myself: &ActorRef<Message>,
        gone: ActorId,
        failed: bool,
    ) {
        let is_it = |packager: &mut ActorRef<packager::Message>| packager.get_id() == gone;
        let gone = self
            .hls
            .as_mut()
            .and_then(|hls| hls.packager.take_if(is_it));
        if gone.is_some() && failed {
            self.start_packager_later(myself);
        }
    }

    fn start_packager_later(&mut self, myself: &ActorRef<Message>) {
        let Some(hls) = &mut self.hls else {
            return;
        };
        if hls.started.elapsed() >= STEADY {
            hls.failures = 0;
        }
        let pause = (PAUSE * 2u32.saturating_pow(hls.failures)).min(MAX_PAUSE);
        hls.failures = hls.failures.saturating_add(1).min(16);
        warn!(parent: &self.span, ?pause, "the packager is started again");
        drop(myself.send_after(pause, || Message::StartPackager));
    }

    fn look_at_hls_later(&mut self, myself: &ActorRef<Message>) {
        if !std::mem::replace(&mut self.looks_at_hls, true) {
            drop(myself.send_after(LOOK, || Message::LookAtHls));
        }
    }

    /// Counts who watches, and ends what nobody has asked for in a long time.
    pub(super) async fn look_at_hls(&mut self, myself: &ActorRef<Message>) {
        self.looks_at_hls = false;
        self.hls_asking.forget_who_left();
        let Some(hls) = &mut self.hls else {
            return;
        };
        let now = self.context.clock.now();
        let before = hls.counted.count;
        let (sketch, count) = hls.listed.entry.count(now);
        hls.sketch = sketch;
        hls.counted.set(count);
        let has_changed = hls.counted.count != before;
        let memory = hls.listed.entry.memory();
        let is_unwanted = match hls.ended {
            // What is left is for late comers.
            Some(ended) => ended.elapsed() >= memory,
            None => {
                let patience = memory + self.context.config.pull.linger;
                self.context.clock.since(hls.listed.entry.asked()) >= patience
            }
        };
        if is_unwanted {
            debug!(parent: &self.span, "no longer packaged");
            self.hls = None;
        }
        if has_changed {
            self.tell_viewers();
        }
        if self.hls.is_some() {
            self.look_at_hls_later(myself);
        }
        if self.is_watched_over_hls() {
            // Its pull may have ended while nobody watched.
            self.want_pull(myself).await;
        }
    }

    /// Whether somebody has asked lately, or waits.
    pub(super) fn is_watched_over_hls(&self) -> bool {
        let asks = |hls: &Packaged| {
            let entry = &hls.listed.entry;
            // Who still asks while the node leaves is soon sent elsewhere by balancers.
            let memory = match self.draining {
                true => entry.stream().target() * 2,
                false => entry.memory(),
            };
            self.context.clock.since(entry.asked()) < memory
        };
        !self.hls_asking.is_empty() || self.hls.as_ref().is_some_and(asks)
    }

    /// How many watch over HLS, as of the last count.
    pub(super) fn viewers_over_hls(&self) -> usize {
        let hls = self.hls.as_ref();
        hls.map_or(0, |hls| hls.listed.entry.viewers())
    }

    /// Who they are.
    pub(super) fn sketch_over_hls(&self) -> hls::Sketch {
        let hls = self.hls.as_ref();
        hls.map(|hls| hls.sketch.clone()).unwrap_or_default()
    }

    /// So many play it in other ways: they share a limit.
    pub(super) fn tell_players(&self) {
        if let Some(hls) = &self.hls {
            hls.listed.entry.set_players(self.players.count());
        }
    }

    /// The publish that begins is not for HLS, or is.
    pub(super) fn turn_to_hls(&mut self) {
        if matches!(self.may_package(), Some(Err(_))) {
            self.hls = None;
        }
        if let Some(epoch) = self.epoch {
            self.context.hls.make_way(&self.key, epoch);
        }
    }

    /// The stream is over: what there is stays for late comers.
    pub(super) fn end_over_hls(&mut self, myself: &ActorRef<Message>) {
        let last = self.highest().unwrap_or(Epoch::new(0, 0));
        if let Some(hls) = &mut self.hls {
            hls.ended = Some(Instant::now());
            hls.listed.entry.end(last);
            self.look_at_hls_later(myself);
        }
        for reply in self.hls_asking.take() {
            let again = node::Message::Hls(self.key.clone(), reply);
            drop(self.node.cast(again));
        }
    }

    #[cfg(test)]
    pub(super) fn panic_packager(&self) {
        let packager = self.hls.as_ref().and_then(|hls| hls.packager.as_ref());
        if let Some(packager) = packager {
            drop(packager.cast(packager::Message::Panic));
        }
    }
}
