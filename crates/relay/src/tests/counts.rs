//! What both sides count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use media::{EndReason, Limits, Publisher, Ring};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use tokio::net::TcpStream;

use super::support::*;
use crate::{Auth, Client, End, Event, Subscribe, Tuning};

/// By name and label: `weir_relay_feeds_total opened`.
#[derive(Default)]
struct Recorded(Mutex<BTreeMap<String, Arc<AtomicU64>>>, Arc<Mutex<f64>>);

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

    /// The newest sample of any histogram.
    fn sample(&self) -> f64 {
        *self.1.lock().expect("not poisoned")
    }
}

/// Counts the samples.
struct Samples(Arc<AtomicU64>, Arc<Mutex<f64>>);

impl HistogramFn for Samples {
    fn record(&self, sample: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
        *self.1.lock().expect("not poisoned") = sample;
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
        Histogram::from_arc(Arc::new(Samples(self.cell(key), Arc::clone(&self.1))))
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

#[tokio::test]
async fn connections_that_make_room_for_others_are_counted() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let tuning = Tuning {
        max_strangers: 1,
        ..Tuning::default()
    };
    let origin = serve(secret(), tuning).await;
    let mut strangers = Vec::new();
    for _ in 0..4 {
        let stranger = TcpStream::connect(origin.peer.address()).await;
        strangers.push(stranger.expect("connects"));
    }
    until(|| recorded.count("weir_relay_calls_refused_total crowd") == 3).await;
}

#[tokio::test]
async fn the_age_of_what_goes_out_is_that_by_the_clock_of_the_tags() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let origin = origin().await;
    let stream = origin.node.stream("a", Limits::default());
    let mut publisher = stream.ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 1);
    let (_, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    let old = backfill(&mut pulling).await;
    let ingest = old.last().expect("a tag").ingest.unsigned_abs();
    // The machine's clock is another by now.
    let clock = Duration::from_nanos(ingest) + Duration::from_secs(7);
    *origin.node.clock.lock().expect("not poisoned") = Some(clock);
    encoder.send(&mut publisher, 1);
    tags(&mut pulling).await;
    assert_eq!(recorded.count("weir_delivery_seconds relay"), 1);
    let age = recorded.sample();
    assert!((6.9..7.0).contains(&age), "{age}");
}

/// Pushes a picture whenever bytes go out.
struct Restless(Mutex<(Publisher, Encoder)>);

impl CounterFn for Restless {
    fn increment(&self, _: u64) {
        let mut locked = self.0.lock().expect("not poisoned");
        let (publisher, encoder) = &mut *locked;
        encoder.send(publisher, 1);
    }

    fn absolute(&self, _: u64) {}
}

struct Feeding(Arc<Restless>);

impl Recorder for Feeding {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "weir_egress_bytes_total" => Counter::from_arc(Arc::clone(&self.0)),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn a_pull_of_a_stream_that_never_pauses_catches_up() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 10);
    let restless = Arc::new(Restless(Mutex::new((publisher, encoder))));
    let feeding = Feeding(restless);
    let _recording = metrics::set_default_local_recorder(&feeding);
    let origin = origin().await;
    origin.node.lend("a", ring);
    let (_, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    assert_eq!(tags(&mut pulling).await.len(), 20);
    let next = soon(pulling.next()).await.expect("no error");
    assert_eq!(next, Event::CaughtUp);
    assert_eq!(tags(&mut pulling).await.len(), 2);
}
