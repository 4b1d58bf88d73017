//! What does one tag cost one reader, with 1, 100 and 10 000 readers, one tag at a time and in
//! bursts; and what would it cost with one `tokio::sync::broadcast` instead of the ring?
//!
//! *Polling* readers are looked after by one thread, which is how a group of players is served.
//! *Waiting* readers are a task each on one current-thread runtime: the price of a wake-up, which
//! both channels pay. A channel holds what a joiner needs as well, so that both hold the same
//! number of tags. What is sent was captured from a real encoder. Throughput is in deliveries
//! (tags times readers).
//!
//! `cargo bench -p weir-media`. Ring and broadcast alternate within a group, so that a busy
//! machine is unfair to neither.

mod source;

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flv::Tag;
use source::Source;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast;
use tokio::task::LocalSet;
use weir_media::{Cursor, Epoch, Limits, Publisher, Pushed, ReadError, Ring, Start};

const READERS: [usize; 3] = [1, 100, 10_000];
/// Tags between two rounds of reading.
const PATTERNS: [(&str, u32); 2] = [("steady", 1), ("burst", 64)];
/// What a broadcast channel holds; a ring holds about as much at these limits.
const HELD: usize = 1024;

fn ring(source: &Source) -> (Ring, Publisher) {
    let limits = Limits {
        max_duration: source.duration(HELD),
        ..Limits::default()
    };
    let ring = Ring::new(limits);
    let publisher = ring.begin(Epoch::new(1, 1), 0);
    (ring, publisher)
}

fn push(publisher: &mut Publisher, source: &mut Source) {
    let tag = source.tag();
    let ingest = i64::from(tag.dts) * 1_000_000;
    let pushed = publisher.push(tag, ingest).expect("the only publisher");
    assert!(matches!(pushed, Pushed::Stored(_)));
}

/// What a reader does with a tag: enough that it has to be fetched.
fn use_tag(tag: &Tag) -> usize {
    tag.payload.len() + tag.dts as usize
}

fn read_ring(cursor: &mut Cursor) -> usize {
    let mut sum = 0;
    loop {
        match cursor.read() {
            Ok(batch) if batch.is_empty() => return sum,
            Ok(batch) => sum += batch.iter().map(|tag| use_tag(&tag.tag)).sum::<usize>(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn read_broadcast(receiver: &mut broadcast::Receiver<Arc<Tag>>) -> usize {
    let mut sum = 0;
    loop {
        match receiver.try_recv() {
            Ok(tag) => sum += use_tag(&tag),
            Err(broadcast::error::TryRecvError::Empty) => return sum,
            Err(error) => panic!("{error}"),
        }
    }
}

fn polling(criterion: &mut Criterion) {
    let source = Source::captured();
    for (pattern, tags) in PATTERNS {
        let mut group = criterion.benchmark_group(format!("polling/{pattern}"));
        for readers in READERS {
            group.throughput(Throughput::Elements(u64::from(tags) * readers as u64));
            group.bench_function(BenchmarkId::new("ring", readers), |bencher| {
                let mut source = source.clone();
                let (ring, mut publisher) = ring(&source);
                let mut cursors: Vec<_> =
                    (0..readers).map(|_| ring.cursor(Start::Live).0).collect();
                bencher.iter(|| {
                    (0..tags).for_each(|_| push(&mut publisher, &mut source));
                    black_box(cursors.iter_mut().map(read_ring).sum::<usize>())
                });
            });
            group.bench_function(BenchmarkId::new("broadcast", readers), |bencher| {
                let (sender, receiver) = broadcast::channel(HELD);
                let mut source = source.clone();
                let mut receivers: Vec<_> = (0..readers).map(|_| receiver.resubscribe()).collect();
                drop(receiver);
                bencher.iter(|| {
                    for _ in 0..tags {
                        sender.send(Arc::new(source.tag())).expect("readers");
                    }
                    black_box(receivers.iter_mut().map(read_broadcast).sum::<usize>())
                });
            });
        }
        group.finish();
    }
}

/// Counts deliveries until a round is complete.
#[derive(Default)]
struct Round {
    delivered: Cell<u64>,
}

impl Round {
    /// Lets the readers run until each has had its tags.
    async fn complete(&self, deliveries: u64) {
        while self.delivered.get() < deliveries {
            tokio::task::yield_now().await;
        }
        self.delivered.set(0);
    }

    fn count(&self, tags: u64) {
        self.delivered.set(self.delivered.get() + tags);
    }
}

async fn serve_ring(mut cursor: Cursor, round: Rc<Round>) {
    loop {
        match cursor.read() {
            Ok(batch) if batch.is_empty() => cursor.ready().await,
            Ok(batch) => {
                black_box(batch.iter().map(|tag| use_tag(&tag.tag)).sum::<usize>());
                round.count(batch.len() as u64);
            }
            Err(ReadError::Ended(_)) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn serve_broadcast(mut receiver: broadcast::Receiver<Arc<Tag>>, round: Rc<Round>) {
    while let Ok(tag) = receiver.recv().await {
        black_box(use_tag(&tag));
        round.count(1);
    }
}

/// Time for `rounds` rounds on a runtime that has the readers as tasks.
fn time_rounds(
    runtime: &Runtime,
    local: &LocalSet,
    rounds: u64,
    mut send: impl FnMut(),
    round: &Round,
    deliveries: u64,
) -> Duration {
    local.block_on(runtime, async {
        let start = Instant::now();
        for _ in 0..rounds {
            send();
            round.complete(deliveries).await;
        }
        start.elapsed()
    })
}

fn waiting(criterion: &mut Criterion) {
    let source = Source::captured();
    for (pattern, tags) in PATTERNS {
        let mut group = criterion.benchmark_group(format!("waiting/{pattern}"));
        for readers in READERS {
            let deliveries = u64::from(tags) * readers as u64;
            group.throughput(Throughput::Elements(deliveries));
            group.bench_function(BenchmarkId::new("ring", readers), |bencher| {
                let runtime = Builder::new_current_thread().build().expect("a runtime");
                let mut source = source.clone();
                let (ring, mut publisher) = ring(&source);
                let round = Rc::new(Round::default());
                let local = LocalSet::new();
                for _ in 0..readers {
                    let (cursor, _) = ring.cursor(Start::Live);
                    local.spawn_local(serve_ring(cursor, Rc::clone(&round)));
                }
                bencher.iter_custom(|rounds| {
                    let send = || (0..tags).for_each(|_| push(&mut publisher, &mut source));
                    time_rounds(&runtime, &local, rounds, send, &round, deliveries)
                });
            });
            group.bench_function(BenchmarkId::new("broadcast", readers), |bencher| {
                let runtime = Builder::new_current_thread().build().expect("a runtime");
                let (sender, receiver) = broadcast::channel(HELD);
                let mut source = source.clone();
                let round = Rc::new(Round::default());
                let local = LocalSet::new();
                for _ in 0..readers {
                    let receiver = receiver.resubscribe();
                    local.spawn_local(serve_broadcast(receiver, Rc::clone(&round)));
                }
                drop(receiver);
                bencher.iter_custom(|rounds| {
                    let send = || {
                        for _ in 0..tags {
                            sender.send(Arc::new(source.tag())).expect("readers");
                        }
                    };
                    time_rounds(&runtime, &local, rounds, send, &round, deliveries)
                });
            });
        }
        group.finish();
    }
}

/// What a tag costs with nobody there: time, marks, storage, eviction.
fn writing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("writing");
    group.throughput(Throughput::Elements(1));
    group.bench_function("ring", |bencher| {
        let mut source = Source::captured();
        let (_ring, mut publisher) = ring(&source);
        bencher.iter(|| push(&mut publisher, &mut source));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = polling, waiting, writing
}
criterion_main!(benches);
