//! What does it cost to package a stream of 2 Mbit/s, with and without a playlist for each part?
//!
//! `cargo bench -p weir-hls`. Twenty seconds are packaged at a time, as a node does that joins a
//! ring: so 100 streams take 5 times the time shown of each second.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flv::{Kind, Tag};
use media::{Epoch, Limits, Ring};
use weir_hls::{Config, Cutter, Feed, Mode, Numbering, Packager, Playlist};

const SECONDS: u32 = 20;
const NOW: i64 = 1_750_000_000_000_000_000;

/// 720p, a parameter set of High profile.
const RECORD: [u8; 48] = [
    0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 26, 0x67, 0x64, 0, 0x1f, 0xac, 0xd9, 0x40,
    0x50, 0x05, 0xbb, 0x01, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0x20, 0xf1, 0x83, 0x19, 0x60, 1, 0,
    6, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
];
/// Bytes of a picture and of a frame of sound: 1.9 Mbit/s and 0.1 Mbit/s.
const PICTURE: usize = 9500;
const SOUND: usize = 270;

fn stream(mode: Mode) -> Ring {
    let ring = Ring::new(Limits::default());
    let config = Config {
        mode,
        ..Config::default()
    };
    let cutter = Cutter::new(&config, &Numbering::after_crash(None, NOW));
    let mut publisher = ring.begin_marked(Epoch::new(1, 1), NOW, Box::new(cutter));
    let mut push = |kind, dts: u32, payload: Vec<u8>| {
        let ingest = NOW + i64::from(dts) * 1_000_000;
        let tag = Tag::new(kind, dts, Bytes::from(payload));
        publisher.push(tag, ingest).expect("the only publisher");
    };
    push(Kind::Video, 0, RECORD.to_vec());
    push(Kind::Audio, 0, vec![0xaf, 0, 0x11, 0x90]);
    let (mut sounds, end) = (0, SECONDS * 1000);
    for n in 0..SECONDS * 25 {
        let key = n % 50 == 0;
        let length = u32::try_from(PICTURE - 4).expect("it is small");
        let mut payload = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
        payload.extend_from_slice(&length.to_be_bytes());
        payload.push(if key { 0x65 } else { 0x41 });
        payload.resize(5 + PICTURE, 0x5a);
        push(Kind::Video, n * 40, payload);
        while sounds * 64 / 3 < ((n + 1) * 40).min(end) {
            let mut payload = vec![0xaf, 1];
            payload.resize(2 + SOUND, 0x21);
            push(Kind::Audio, sounds * 64 / 3, payload);
            sounds += 1;
        }
    }
    ring
}

/// Packages all of it; `each` looks at each part as it comes.
fn package(ring: &Ring, mode: Mode, mut each: impl FnMut(&Packager)) {
    let mut feed = Feed::new(ring);
    let mut packager = Packager::new(mode);
    loop {
        // Batches as they come while a stream is live.
        let (count, is_news) = feed.read(&mut packager, 3).expect("nothing is lost");
        if is_news {
            each(&packager);
        }
        if count == 0 {
            break;
        }
    }
    black_box(packager.window());
}

fn packaging(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packaging");
    let bytes = u64::from(SECONDS) * (25 * PICTURE as u64 + 47 * SOUND as u64);
    group.throughput(Throughput::Bytes(bytes));
    for (name, mode) in [
        ("ll", Mode::LowLatency),
        ("fmp4", Mode::Fmp4),
        ("ts", Mode::Ts),
    ] {
        let ring = stream(mode);
        group.bench_function(name, |bencher| {
            bencher.iter(|| package(&ring, mode, |_| {}));
        });
    }
    let ring = stream(Mode::LowLatency);
    group.bench_function("ll with playlists", |bencher| {
        bencher.iter(|| {
            package(&ring, Mode::LowLatency, |packager| {
                let window = packager.window().clone();
                let newest = window.newest();
                let text = newest.and_then(|newest| Playlist::media(&window, newest, false));
                black_box(text);
            });
        });
    });
    group.finish();
}

criterion_group!(benches, packaging);
criterion_main!(benches);
