//! What holds of the cuts of any stream.

mod support;

use std::time::Duration;

use flv::Tag;
use proptest::prelude::*;
use support::*;
use weir_hls::{Config, Mode, Numbering};

/// Pictures of some encoder.
#[derive(Clone, Debug)]
struct Pictures {
    rate: f64,
    gop: u32,
    /// Milliseconds by which they are uneven.
    jitter: u32,
    /// One in so many is lost.
    lost: u32,
    begins: u32,
    record: bool,
}

/// Sound of some encoder.
#[derive(Clone, Debug)]
struct Sound {
    /// Milliseconds by which it comes in before the pictures of its time.
    ahead: u32,
    lost: u32,
    begins: u32,
}

#[derive(Clone, Debug)]
enum Event {
    VideoRecord(u8),
    AudioRecord(bool),
    Metadata(f64),
    /// Nothing comes for a while.
    Stall(u32),
    /// No pictures, or no sound, come for a while.
    Covered(u32),
    Muted(u32),
    /// The encoder begins its clock anew.
    Restart,
}

#[derive(Clone, Debug)]
struct Stream {
    pictures: Option<Pictures>,
    sound: Option<Sound>,
    told: Option<f64>,
    events: Vec<(u32, Event)>,
    seconds: u32,
    seed: u32,
}

fn rates() -> impl Strategy<Value = f64> {
    let usual = prop::sample::select(vec![
        1.0, 5.0, 12.5, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0,
    ]);
    prop_oneof![3 => usual, 1 => 0.3..130.0]
}

fn streams() -> impl Strategy<Value = Stream> {
    let times = || prop_oneof![3 => Just(0_u32), 1 => 0..5000_u32];
    let lost = || prop_oneof![2 => Just(u32::MAX), 1 => 3..200_u32];
    let jitter = prop_oneof![2 => Just(0_u32), 1 => 0..60_u32];
    let pictures = (
        rates(),
        1..400_u32,
        jitter,
        lost(),
        times(),
        prop::bool::weighted(0.95),
    );
    let pictures = pictures.prop_map(|(rate, gop, jitter, lost, begins, record)| Pictures {
        rate,
        gop,
        jitter,
        lost,
        begins,
        record,
    });
    let sound = (prop_oneof![Just(0_u32), 0..1500_u32], lost(), times());
    let sound = sound.prop_map(|(ahead, lost, begins)| Sound {
        ahead,
        lost,
        begins,
    });
    let event = prop_oneof![
        (0..3_u8).prop_map(Event::VideoRecord),
        any::<bool>().prop_map(Event::AudioRecord),
        rates().prop_map(Event::Metadata),
        (0..15_000_u32).prop_map(Event::Stall),
        (0..15_000_u32).prop_map(Event::Covered),
        (0..15_000_u32).prop_map(Event::Muted),
        Just(Event::Restart),
    ];
    let seconds = 10..60_u32;
    let events = prop::collection::vec((0..60_000_u32, event), 0..8);
    (
        prop::option::weighted(0.8, pictures),
        prop::option::weighted(0.8, sound),
        prop::option::of(rates()),
        events,
        seconds,
        any::<u32>(),
    )
        .prop_map(|(pictures, sound, told, mut events, seconds, seed)| {
            events.sort_by_key(|(at, _)| *at);
            Stream {
                pictures,
                sound,
                told,
                events,
                seconds,
                seed,
            }
        })
}

fn configs() -> impl Strategy<Value = Config> {
    let mode = prop::sample::select(vec![
        Mode::LowLatency,
        Mode::LowLatency,
        Mode::Fmp4,
        Mode::Ts,
    ]);
    let segment = prop_oneof![2 => Just(2000_u64), 1 => 500..8000_u64];
    (mode, segment, 0..=100_u64, 3..15_u32).prop_map(|(mode, segment, part, window)| {
        let most = segment / 2;
        let part = match part {
            0..50 => 200.min(most),
            _ => 50 + (most - 50) * (part - 50) / 50,
        };
        Config {
            mode,
            segment: Duration::from_millis(segment),
            part: Duration::from_millis(part),
            window,
        }
    })
}

/// The same numbers each time.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % sides.max(1)
    }
}

impl Stream {
    /// The tags in the order in which they come in, and when.
    fn tags(&self) -> Vec<(u32, Tag)> {
        let mut dice = Dice(self.seed | 1);
        let end = self.seconds * 1000;
        let mut tags = Vec::new();
        if let Some(rate) = self.told {
            tags.push((0, metadata(&[("framerate", rate), ("videocodecid", 7.0)])));
        }
        if let Some(pictures) = &self.pictures {
            if pictures.record {
                tags.push((pictures.begins, avc_header(pictures.begins, 0)));
            }
            for n in 0.. {
                let even = (f64::from(n) * 1000.0 / pictures.rate).round() as u32;
                let dts = pictures.begins + even + dice.roll(pictures.jitter + 1);
                if dts >= end {
                    break;
                }
                let is_lost = dice.roll(pictures.lost) == 1;
                match n % pictures.gop {
                    _ if is_lost => {}
                    0 => tags.push((dts, keyframe(dts))),
                    _ => tags.push((dts, inter(dts))),
                }
            }
        }
        if let Some(sound) = &self.sound {
            tags.push((sound.begins, aac_header(sound.begins)));
            for frame in support::sound(f64::from(self.seconds)) {
                let dts = frame.dts + sound.begins;
                if dice.roll(sound.lost) != 1 {
                    tags.push((dts.saturating_sub(sound.ahead), frame.with_dts(dts)));
                }
            }
        }
        let (mut covered, mut muted) = (0..0, 0..0);
        for (at, event) in &self.events {
            let at = *at;
            match event {
                Event::VideoRecord(flavour) => tags.push((at, avc_header(at, *flavour))),
                Event::AudioRecord(true) => tags.push((at, aac_header(at))),
                Event::AudioRecord(false) => tags.push((at, other_aac_header(at))),
                Event::Metadata(rate) => tags.push((at, metadata(&[("framerate", *rate)]))),
                Event::Covered(ms) => covered = at..at + ms,
                Event::Muted(ms) => muted = at..at + ms,
                Event::Stall(_) | Event::Restart => {}
            }
        }
        tags.retain(|(at, tag)| {
            let missing = if tag.is_video() { &covered } else { &muted };
            !tag.is_frame() || !missing.contains(at)
        });
        tags.sort_by_key(|(at, _)| *at);
        // What happens to all clocks.
        for (at, tag) in &mut tags {
            let (mut late, mut back) = (0, 0);
            for (when, event) in &self.events {
                match event {
                    Event::Stall(ms) if when <= at => late += ms,
                    Event::Restart if when <= at => back = *when,
                    _ => {}
                }
            }
            *at += late;
            tag.dts = (tag.dts + late).saturating_sub(back);
        }
        tags
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_stream_is_cut_by_the_rules_and_the_same_wherever_one_begins(
        stream in streams(),
        config in configs(),
        joins in prop::collection::vec(0.0..1.0_f64, 2),
    ) {
        config.validate().unwrap();
        let tags = stream.tags();
        let origin = ring();
        let numbering = Numbering::after_crash(None, NOW);
        let mut publisher = begin(&origin, 1, &config, &numbering);
        let joins: Vec<_> = joins.iter().map(|at| (at * tags.len() as f64) as usize).collect();
        for (n, (at, tag)) in tags.iter().enumerate() {
            publisher.push(tag.clone(), NOW + i64::from(*at) * MS).unwrap();
            if joins.contains(&n) {
                prop_assert_eq!(made(&pulled(&origin)), made(&origin));
            }
        }
        let once = all(&origin, media::Start::Oldest);
        check(&config, &once);
        prop_assert_eq!(made(&pulled(&origin)), made(&origin));

        // The same tags again: the same cuts.
        let again = ring();
        let mut publisher = begin(&again, 1, &config, &numbering);
        for (at, tag) in tags {
            publisher.push(tag, NOW + i64::from(at) * MS).unwrap();
        }
        let cuts = |tags: &[media::MarkedTag]| {
            tags.iter().map(|it| it.cut().cloned()).collect::<Vec<_>>()
        };
        prop_assert_eq!(cuts(&once), cuts(&all(&again, media::Start::Oldest)));
    }
}
