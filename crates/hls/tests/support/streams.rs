//! Streams of all kinds, made up by chance.

use std::time::Duration;

use flv::Tag;
use proptest::prelude::*;
use weir_hls::{Config, Mode};

use super::*;

/// Pictures of some encoder.
#[derive(Clone, Debug)]
pub(crate) struct Pictures {
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
pub(crate) struct Sound {
    /// Milliseconds by which it comes in before the pictures of its time.
    ahead: u32,
    lost: u32,
    begins: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    VideoRecord(u8),
    AudioRecord(bool),
    Metadata(f64),
    /// Nothing comes for a while.
    Stall(u32),
    /// No pictures, or no sound, come for a while.
    Covered(u32),
    Muted(u32),
    /// Frames without a byte come for a while.
    Empty(u32),
    /// The encoder begins its clock anew.
    Restart,
}

#[derive(Clone, Debug)]
pub(crate) struct Stream {
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

/// Streams that last up to so many seconds.
pub(crate) fn streams(longest: u32) -> impl Strategy<Value = Stream> {
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
        (0..1000_u32).prop_map(Event::Empty),
        Just(Event::Restart),
    ];
    let seconds = 10..longest;
    let events = prop::collection::vec((0..longest * 1000, event), 0..8);
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

pub(crate) fn configs() -> impl Strategy<Value = Config> {
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

/// How payloads are made, at a time in milliseconds.
pub(crate) struct Make {
    /// A record, of which there are some.
    pub(crate) record: fn(u32, u8) -> Tag,
    /// A picture, which may be a keyframe.
    pub(crate) picture: fn(u32, bool) -> Tag,
    pub(crate) sound: fn(u32) -> Tag,
}

impl Make {
    /// The least that cuts depend on.
    pub(crate) const PLAIN: Self = Self {
        record: avc_header,
        picture: |dts, key| if key { keyframe(dts) } else { inter(dts) },
        sound: aac,
    };

    /// What can be packaged, and every frame another.
    pub(crate) const REAL: Self = Self {
        record: real_avc_header,
        picture: real_picture,
        sound: |dts| audio(dts, &[&[0xaf, 1, 0x21][..], &dts.to_be_bytes()].concat()),
    };
}

/// A record of H.264 that can be read, of some level: 1280x720 pixels.
pub(crate) fn real_avc_header(dts: u32, flavour: u8) -> Tag {
    let level = 0x1f + flavour;
    let record = [
        0x17, 0, 0, 0, 0, 1, 0x64, 0, level, 0xff, 0xe1, 0, 26, 0x67, 0x64, 0, level, 0xac, 0xd9,
        0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0x20, 0xf1, 0x83, 0x19,
        0x60, 1, 0, 6, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
    ];
    video(dts, &record)
}

/// A picture in one NAL unit, shown 80 ms later, and every third 40 ms earlier than that.
fn real_picture(dts: u32, key: bool) -> Tag {
    let (head, unit) = if key { (0x17, 0x65) } else { (0x27, 0x41) };
    let composition = if dts.is_multiple_of(3) && !key {
        40
    } else {
        80
    };
    let head = [head, 1, 0, 0, composition, 0, 0, 0, 5, unit];
    video(dts, &[&head[..], &dts.to_be_bytes()].concat())
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
    /// The tags in the order in which they come in, and when; their payloads are made by `make`.
    pub(crate) fn tags(&self, make: &Make) -> Vec<(u32, Tag)> {
        let mut dice = Dice(self.seed | 1);
        let end = self.seconds * 1000;
        let mut tags = Vec::new();
        if let Some(rate) = self.told {
            tags.push((0, metadata(&[("framerate", rate), ("videocodecid", 7.0)])));
        }
        if let Some(pictures) = &self.pictures {
            if pictures.record {
                tags.push((pictures.begins, (make.record)(pictures.begins, 0)));
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
                    0 => tags.push((dts, (make.picture)(dts, true))),
                    _ => tags.push((dts, (make.picture)(dts, false))),
                }
            }
        }
        if let Some(sound) = &self.sound {
            tags.push((sound.begins, aac_header(sound.begins)));
            for frame in super::sound(f64::from(self.seconds)) {
                let dts = frame.dts + sound.begins;
                if dice.roll(sound.lost) != 1 {
                    tags.push((dts.saturating_sub(sound.ahead), (make.sound)(dts)));
                }
            }
        }
        let (mut covered, mut muted, mut empty) = (0..0, 0..0, 0..0);
        for (at, event) in &self.events {
            let at = *at;
            match event {
                Event::VideoRecord(flavour) => tags.push((at, (make.record)(at, *flavour))),
                Event::AudioRecord(true) => tags.push((at, aac_header(at))),
                Event::AudioRecord(false) => tags.push((at, other_aac_header(at))),
                Event::Metadata(rate) => tags.push((at, metadata(&[("framerate", *rate)]))),
                Event::Covered(ms) => covered = at..at + ms,
                Event::Muted(ms) => muted = at..at + ms,
                Event::Empty(ms) => empty = at..at + ms,
                Event::Stall(_) | Event::Restart => {}
            }
        }
        tags.retain(|(at, tag)| {
            let missing = if tag.is_video() { &covered } else { &muted };
            !tag.is_frame() || !missing.contains(at)
        });
        for (at, tag) in &mut tags {
            if tag.is_frame() && empty.contains(at) {
                let head = if tag.is_video() { 5 } else { 2 };
                *tag = Tag::new(tag.kind, tag.dts, tag.payload.slice(..head));
            }
        }
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
