//! What the relay counts. Handles are kept: a look-up by name costs ten times the count itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::{End, Error, NotAdmitted};

/// Counts one up on a gauge, until dropped.
#[derive(Debug)]
pub(crate) struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// What a server counts.
#[derive(Debug)]
pub(crate) struct Served {
    feeds: Gauge,
    opened: Counter,
    refused: Counter,
    bytes: Counter,
    sent: Option<Arc<AtomicU64>>,
    delivery: Histogram,
}

/// What one feed counts.
#[derive(Debug)]
pub(crate) struct FeedMetrics {
    bytes: Counter,
    sent: Option<Arc<AtomicU64>>,
    delivery: Histogram,
    _held: Held,
}

impl Served {
    /// What goes out is also counted in `sent`.
    pub(crate) fn new(sent: Option<Arc<AtomicU64>>) -> Self {
        describe();
        let total = |result: &'static str| counter!("weir_relay_feeds_total", "result" => result);
        Self {
            feeds: gauge!("weir_relay_feeds"),
            opened: total("opened"),
            refused: total("refused"),
            bytes: counter!("weir_egress_bytes_total", "protocol" => "relay"),
            sent,
            delivery: histogram!("weir_delivery_seconds", "protocol" => "relay"),
        }
    }

    pub(crate) fn open(&self) -> FeedMetrics {
        self.opened.increment(1);
        FeedMetrics {
            bytes: self.bytes.clone(),
            sent: self.sent.clone(),
            delivery: self.delivery.clone(),
            _held: Held::new(&self.feeds),
        }
    }

    pub(crate) fn refused(&self) {
        self.refused.increment(1);
    }
}

impl FeedMetrics {
    /// So many bytes go out; of what is live among them, the oldest has that age.
    pub(crate) fn sent(&self, bytes: usize, age: Option<Duration>) {
        self.bytes.increment(bytes as u64);
        if let Some(sent) = &self.sent {
            sent.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        if let Some(age) = age {
            self.delivery.record(age.as_secs_f64());
        }
    }
}

/// A call was refused at the gate.
pub(crate) fn turned(reason: NotAdmitted) {
    counter!("weir_relay_calls_refused_total", "reason" => reason.name()).increment(1);
}

/// A connection was closed before its caller was authenticated, to make room for others.
pub(crate) fn crowded_out() {
    counter!("weir_relay_calls_refused_total", "reason" => "crowd").increment(1);
}

/// What a client counts.
#[derive(Debug)]
pub(crate) struct Pulled {
    pulls: Gauge,
    first_tag: Histogram,
    bytes: Counter,
}

/// What one pull counts.
#[derive(Debug)]
pub(crate) struct PullMetrics {
    first_tag: Histogram,
    bytes: Counter,
    _held: Held,
}

impl Pulled {
    pub(crate) fn new() -> Self {
        describe();
        Self {
            pulls: gauge!("weir_relay_pulls"),
            first_tag: histogram!("weir_relay_first_tag_seconds"),
            bytes: counter!("weir_ingress_bytes_total", "protocol" => "relay"),
        }
    }

    pub(crate) fn open(&self) -> PullMetrics {
        result("opened");
        PullMetrics {
            first_tag: self.first_tag.clone(),
            bytes: self.bytes.clone(),
            _held: Held::new(&self.pulls),
        }
    }

    pub(crate) fn failed(&self, error: &Error) {
        result(error.name());
    }
}

impl PullMetrics {
    pub(crate) fn first_tag(&self, after: Duration) {
        self.first_tag.record(after.as_secs_f64());
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.bytes.increment(bytes as u64);
    }

    pub(crate) fn ended(&self, end: &End) {
        result(end.name());
    }

    pub(crate) fn failed(&self, error: &Error) {
        result(error.name());
    }
}

fn result(result: &'static str) {
    counter!("weir_relay_pulls_total", "result" => result).increment(1);
}

fn describe() {
    describe_gauge!(
        "weir_relay_feeds",
        "Streams that other nodes pull from this one"
    );
    describe_counter!("weir_relay_feeds_total", "Pulls by other nodes, by result");
    describe_counter!(
        "weir_relay_calls_refused_total",
        "Calls and connections of whoever was not authenticated, by reason"
    );
    describe_gauge!(
        "weir_relay_pulls",
        "Streams that this node pulls from others"
    );
    describe_counter!(
        "weir_relay_pulls_total",
        "Pulls from other nodes, opened and ended, by result"
    );
    describe_histogram!(
        "weir_relay_first_tag_seconds",
        "From the begin of a pull to its first tag"
    );
}
