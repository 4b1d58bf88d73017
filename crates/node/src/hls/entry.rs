//! What all requests for one stream share.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hls::{Answer, Audience, Name, Sketch};
use media::Epoch;

use super::{MEMORY, Stream};
use crate::metrics::Metrics;

/// Who waited for that long in vain asks again within this.
const AGAIN: Duration = Duration::from_secs(2);

/// When somebody asked last is noted so finely, in nanoseconds: on many processors it would else be passed around
/// with each request.
const FINELY: i64 = 50_000_000;
/// Of so many who wait for the first playlist is noted since when.
const JOINING: usize = 10_000;

/// A stream that is packaged here, and who asks for it.
#[derive(Debug)]
pub(crate) struct Entry {
    stream: Stream,
    /// When anybody asked last, in nanoseconds of the node's clock.
    asked: AtomicI64,
    audience: Audience,
    /// How many watch it over HLS, as of the last count, and those who came since.
    viewers: AtomicUsize,
    /// How many play it in other ways.
    players: AtomicUsize,
    /// Since when those wait who came before there was anything to play.
    joining: Mutex<Vec<Instant>>,
    /// The last publish, once the stream is over.
    ended: OnceLock<Epoch>,
}

impl Entry {
    /// Of a stream that is asked for at `now`.
    pub(crate) fn new(stream: Stream, now: i64) -> Entry {
        Entry {
            stream,
            asked: AtomicI64::new(now),
            audience: Audience::default(),
            viewers: AtomicUsize::default(),
            players: AtomicUsize::default(),
            joining: Mutex::default(),
            ended: OnceLock::new(),
        }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// When anybody asked last.
    pub(crate) fn asked(&self) -> i64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Who has not asked for so long does not watch any more.
    pub(crate) fn memory(&self) -> Duration {
        self.stream.target() * MEMORY + AGAIN
    }

    /// Whether somebody watches.
    pub(super) fn knows(&self, viewer: u64, now: i64) -> bool {
        self.audience.knows(viewer, since_1970(now), self.memory())
    }

    /// Takes note that somebody asks now. Returns whether it did not watch before.
    pub(super) fn note(&self, viewer: u64, now: i64) -> bool {
        if now.saturating_sub(self.asked()) > FINELY {
            self.asked.fetch_max(now, Ordering::Relaxed);
        }
        let is_new = self.audience.note(viewer, since_1970(now), self.memory());
        if is_new {
            self.viewers.fetch_add(1, Ordering::Relaxed);
        }
        is_new
    }

    /// How many watch over HLS, or came lately.
    pub(crate) fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    /// How many play it in other ways, who share its limit.
    pub(super) fn players(&self) -> usize {
        self.players.load(Ordering::Relaxed)
    }

    pub(crate) fn set_players(&self, players: usize) {
        self.players.store(players, Ordering::Relaxed);
    }

    /// Counts who watches at `now`, and in a way that can be put together with what other nodes count.
    pub(crate) fn count(&self, now: i64) -> (Sketch, usize) {
        let (sketch, count) = self.audience.count(since_1970(now), self.memory());
        self.viewers.store(count, Ordering::Relaxed);
        (sketch, count)
    }

    /// Somebody came who had asked then.
    pub(super) fn joins(&self, asked: Instant, metrics: &Metrics) {
        if self.stream.is_playable() {
            return metrics.hls_joined(asked.elapsed());
        }
        let mut joining = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        if joining.len() < JOINING {
            joining.push(asked);
        }
    }

    /// There is something to play.
    pub(super) fn has_joined(&self, metrics: &Metrics) {
        let mut joining = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        for asked in std::mem::take(&mut *joining) {
            metrics.hls_joined(asked.elapsed());
        }
    }

    /// The stream is over after this publish: what there is stays for late comers.
    pub(crate) fn end(&self, last: Epoch) {
        self.ended.get_or_init(|| last);
    }

    /// The last publish, if the stream is over.
    pub(super) fn ended(&self) -> Option<Epoch> {
        self.ended.get().copied()
    }

    /// The newest publish of which something is there.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        let view = self.stream.now();
        view.window().segments().next_back().map(|it| it.epoch())
    }

    /// Whether what has that name is there.
    pub(super) fn has(&self, name: &Name) -> bool {
        let view = self.stream.now();
        matches!(view.window().find(name), Answer::There(_))
    }
}

fn since_1970(nanoseconds: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}
