//! The encoders: 200 streams of 2 Mbit/s, each at its own moment.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flv::{Kind, Tag};

pub(crate) const STREAMS: usize = 200;

/// 30 pictures and 47 packets of sound per second; a keyframe every two seconds.
const PICTURES: u64 = 30;
const SOUNDS: u64 = 47;
const KEYFRAME: usize = 60_000;
const PICTURE: usize = 6_700;
const SOUND: usize = 350;

/// Of all streams, over the two seconds of a GOP.
pub(crate) const BYTES_PER_SECOND: u64 = STREAMS as u64
    * ((KEYFRAME + PICTURE * (2 * PICTURES as usize - 1)) as u64 / 2 + SOUNDS * SOUND as u64);

/// Tags that come within a millisecond come together, as from a poll of many sockets.
const TICK: Duration = Duration::from_millis(1);

/// Two seconds of one stream: when each tag comes, in microseconds, and what it is.
fn gop() -> Vec<(u64, Kind, Bytes)> {
    let pictures = (0..2 * PICTURES).map(|at| {
        let (size, head) = if at == 0 {
            (KEYFRAME, 0x17)
        } else {
            (PICTURE, 0x27)
        };
        let mut payload = vec![at as u8; size];
        payload[..5].copy_from_slice(&[head, 1, 0, 0, 0]);
        (at * 1_000_000 / PICTURES, Kind::Video, payload.into())
    });
    let sounds = (0..2 * SOUNDS).map(|at| {
        let mut payload = vec![at as u8; SOUND];
        payload[..2].copy_from_slice(&[0xaf, 1]);
        (at * 1_000_000 / SOUNDS, Kind::Audio, payload.into())
    });
    let mut gop: Vec<_> = pictures.chain(sounds).collect();
    gop.sort_by_key(|(at, ..)| *at);
    gop
}

/// All streams, in the order in which their tags come.
pub(crate) struct Encoders {
    /// Two seconds: when, whose, what.
    tags: Vec<(u64, usize, Kind, Bytes)>,
    next: usize,
    /// Seconds since the start, in twos.
    round: u64,
}

impl Default for Encoders {
    fn default() -> Self {
        let gop = gop();
        let all = (0..STREAMS).flat_map(|stream| {
            let offset = (stream * 2_000_000 / STREAMS) as u64;
            let shifted = |(at, kind, payload): &(u64, Kind, Bytes)| {
                ((at + offset) % 2_000_000, stream, *kind, payload.clone())
            };
            gop.iter().map(shifted).collect::<Vec<_>>()
        });
        let mut tags: Vec<_> = all.collect();
        tags.sort_by_key(|(at, stream, ..)| (*at, *stream));
        Self {
            tags,
            next: 0,
            round: 0,
        }
    }
}

impl Encoders {
    /// Plays the next second in real time; returns how many tags that were.
    pub(crate) fn second(&mut self, mut push: impl FnMut(usize, Tag)) -> u64 {
        let begun = Instant::now();
        let from = if self.next == 0 { 0 } else { 1_000_000 };
        let mut sent = 0;
        while let Some((at, stream, kind, payload)) = self.tags.get(self.next) {
            if from == 0 && *at >= 1_000_000 {
                return sent;
            }
            let due = Duration::from_micros(at - from);
            while begun.elapsed() < due {
                std::thread::sleep(TICK);
            }
            let dts = self.round * 2000 + at / 1000;
            push(*stream, Tag::new(*kind, dts as u32, payload.clone()));
            sent += 1;
            self.next += 1;
        }
        self.next = 0;
        self.round += 1;
        sent
    }
}
