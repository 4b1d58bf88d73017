//! What both sides count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use media::{EndReason, Limits};
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use super::support::*;
use crate::{Auth, Client, End, Event, Subscribe, Tuning};

/// By name and label: `weir_relay_feeds_total opened`.
#[derive(Default)]
struct Recorded(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Recorded {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key.labels().map(|label| format!(" {}", label.value()));
        let name = key.name().to_owned() + &labels.collect::<String>();
        let mut cells = self.0.lock().expect("not poisoned");
        Arc::clone(cells.entry(name).or_default())
    }

    fn bits(&self, name: &str) -> u64 {
        let cells = self.0.lock().expect("not poisoned");
        cells
            .get(name)
            .map_or(0, |cell| cell.load(Ordering::SeqCst))
    }

    fn count(&self, name: &str) -> u64 {
        self.bits(name)
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.bits(name))
    }
}

/// Counts the samples.
struct Samples(Arc<AtomicU64>);

impl HistogramFn for Samples {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Samples(self.cell(key))))
    }
}

#[tokio::test]
async fn pulls_bytes_and_refusals_are_counted_on_both_sides() {
    let recorded = Recorded::default();
    // All of this test runs on this thread.
    let _recording = metrics::set_default_local_recorder(&recorded);
    let origin = origin().await;
    let stream = origin.node.stream("a", Limits::default());
    origin.node.stream("silent", Limits::default());
    let mut publisher = stream.ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 10);

    let edge = client("edge");
    for name in ["absent", "silent"] {
        let wanted = Subscribe::new(key(name));
        let refused = soon(edge.pull(&origin.peer, wanted)).await;
        refused.expect_err("nothing there");
    }
    let auth = Auth::secret("another secret of others").expect("long enough");
    let stranger = Client::new(member("edge"), auth, Tuning::default());
    let turned = soon(stranger.pull(&origin.peer, Subscribe::new(key("a")))).await;
    turned.expect_err("a stranger");

    let (_, mut pulling) = pull(&edge, &origin.peer, "a").await;
    let mut received = backfill(&mut pulling).await;
    assert_eq!(recorded.gauge("weir_relay_feeds"), 1.0);
    assert_eq!(recorded.gauge("weir_relay_pulls"), 1.0);
    assert_eq!(recorded.count("weir_delivery_seconds relay"), 0);
    encoder.send(&mut publisher, 1);
    received.extend(tags(&mut pulling).await);
    stream.ring.end(EndReason::Ended);
    let end = soon(pulling.next()).await.expect("no error");
    assert_eq!(end, Event::Ended(End::Ended));
    drop(pulling);
    until(|| recorded.gauge("weir_relay_feeds") == 0.0).await;
    assert_eq!(recorded.gauge("weir_relay_pulls"), 0.0);

    let bytes: usize = received.iter().map(|tag| tag.tag.payload.len()).sum();
    for (name, count) in [
        ("weir_relay_feeds_total opened", 1),
        ("weir_relay_feeds_total refused", 2),
        ("weir_relay_pulls_total opened", 1),
        ("weir_relay_pulls_total refused", 2),
        ("weir_relay_pulls_total not_admitted", 1),
        ("weir_relay_pulls_total ended", 1),
        ("weir_relay_calls_refused_total secret", 1),
        ("weir_relay_first_tag_seconds", 1),
        // Of what is live alone.
        ("weir_delivery_seconds relay", 1),
        ("weir_egress_bytes_total relay", bytes as u64),
        ("weir_ingress_bytes_total relay", bytes as u64),
    ] {
        assert_eq!(recorded.count(name), count, "{name}");
    }
}
