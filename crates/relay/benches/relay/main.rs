//! What does it cost, on each side, to relay 200 streams of 2 Mbit/s, and what would a bare tonic stream cost that
//! carries the same bytes?
//!
//! Origin and edge are a thread each, on a core each; a third plays the encoders, tag by tag in real time, and is not
//! counted. The time that is shown is the CPU time of one thread for a second of all streams, and so the throughput is
//! bytes of media per second of CPU. The bare stream has a message per tag, the windows and frames of ours, and as many
//! connections. Nothing looks into the tags, so their sizes are those of a real stream and their bytes are not.
//!
//! `cargo bench -p weir-relay`. At the end both in turns, with the ratios, and how long tags are under way (a
//! millisecond of that is the pace of the encoders).

mod bare;
mod encoders;
mod ours;
mod thread;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use encoders::{BYTES_PER_SECOND, Encoders, STREAMS};
use thread::Thread;

/// One way to carry streams: where tags go in, and the two threads that carry them.
trait Carrier {
    fn start(origin: &Thread, edge: &Thread) -> Self;
    /// A tag of a stream.
    fn push(&mut self, stream: usize, tag: flv::Tag);
    /// How many tags have reached the edge.
    fn arrived(&self) -> u64;
    /// How long tags were under way, so far.
    fn ages(&self) -> Vec<Duration>;
}

/// CPU time of both sides.
struct Spent {
    origin: Duration,
    edge: Duration,
}

/// A carrier at work.
struct Rig<C> {
    origin: Thread,
    edge: Thread,
    carrier: C,
    encoders: Encoders,
    sent: u64,
}

impl<C: Carrier> Rig<C> {
    fn new() -> Self {
        let (origin, edge) = (Thread::on_core(0), Thread::on_core(1));
        let carrier = C::start(&origin, &edge);
        let mut rig = Self {
            origin,
            edge,
            carrier,
            encoders: Encoders::default(),
            sent: 0,
        };
        rig.run(1);
        rig
    }

    fn run(&mut self, seconds: u64) -> Spent {
        let (origin, edge) = (self.origin.cpu(), self.edge.cpu());
        for _ in 0..seconds {
            let carrier = &mut self.carrier;
            self.sent += self
                .encoders
                .second(|stream, tag| carrier.push(stream, tag));
        }
        while self.carrier.arrived() < self.sent {
            std::thread::sleep(Duration::from_micros(200));
        }
        Spent {
            origin: self.origin.cpu() - origin,
            edge: self.edge.cpu() - edge,
        }
    }
}

fn measure<C: Carrier>(criterion: &mut Criterion, name: &str, rig: &mut Rig<C>) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(BYTES_PER_SECOND));
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_secs(10));
    group.bench_function("origin", |bencher| {
        bencher.iter_custom(|seconds| rig.run(seconds).origin);
    });
    group.bench_function("edge", |bencher| {
        bencher.iter_custom(|seconds| rig.run(seconds).edge);
    });
    group.finish();
}

/// Second by second in turns, so that a busy machine is unfair to neither.
const ROUNDS: usize = 15;

fn compare(bare: &mut Rig<bare::Bare>, ours: &mut Rig<ours::Ours>) {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (bare.run(1), ours.run(1))).collect();
    let gigabytes = BYTES_PER_SECOND as f64 / 1e9;
    println!("{STREAMS} streams, CPU seconds per gigabyte, medians of {ROUNDS} rounds:");
    for (side, spent) in [
        ("origin", (|spent| spent.origin) as fn(&Spent) -> Duration),
        ("edge", |spent| spent.edge),
    ] {
        let cost = |spent: Duration| spent.as_secs_f64() / gigabytes;
        let bare = median(rounds.iter().map(|(bare, _)| cost(spent(bare))));
        let ours = median(rounds.iter().map(|(_, ours)| cost(spent(ours))));
        let ratio = median(
            rounds
                .iter()
                .map(|(bare, ours)| cost(spent(ours)) / cost(spent(bare))),
        );
        println!("  {side:6}  bare {bare:.2}  relay {ours:.2}  ratio {ratio:.2}");
    }
    let (bare, ours) = (bare.carrier.ages(), ours.carrier.ages());
    println!(
        "under way, p50 and p99: bare {}, relay {}",
        percentiles(bare),
        percentiles(ours)
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn percentiles(mut ages: Vec<Duration>) -> String {
    ages.sort_unstable();
    let at = |percent: usize| {
        ages.get(ages.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    format!("{:?} {:?}", at(50), at(99))
}

fn relay(criterion: &mut Criterion) {
    let (mut bare, mut ours) = (Rig::<bare::Bare>::new(), Rig::<ours::Ours>::new());
    measure(criterion, "bare", &mut bare);
    measure(criterion, "relay", &mut ours);
    compare(&mut bare, &mut ours);
}

criterion_group!(benches, relay);
criterion_main!(benches);
