//! When samples are.

mod support;

use support::nodes::Node;
use support::packaged::*;
use support::streams::{Make, real_avc_header};
use support::*;
use weir_hls::{Mode, Numbering};

/// Where the samples of each track in a part begin and end, in units of the track.
fn runs(part: &[u8]) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    let number = |bytes: &[u8], at: usize| {
        let bytes = bytes[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(bytes)
    };
    let mut duration = None;
    boxes(part, &mut |kind, body| match kind {
        b"tfhd" => duration = (number(body, 0) & 8 != 0).then(|| number(body, 8)),
        b"tfdt" => {
            let at = u64::from(number(body, 4)) << 32 | u64::from(number(body, 8));
            found.push((at, at));
        }
        b"trun" => {
            let flags = number(body, 0) & 0xff_ffff;
            let (count, mut at) = (number(body, 4), 12 + if flags & 4 != 0 { 4 } else { 0 });
            let sizes = [0x100, 0x200, 0x400, 0x800].map(|flag| usize::from(flags & flag != 0) * 4);
            for _ in 0..count {
                let own = (flags & 0x100 != 0).then(|| number(body, at));
                let length = own.or(duration).expect("a duration");
                found.last_mut().expect("a time").1 += u64::from(length);
                at += sizes.iter().sum::<usize>();
            }
        }
        _ => {}
    });
    found
}

/// The boxes of a fragment's head, those within others too.
fn boxes(mut bytes: &[u8], each: &mut impl FnMut(&[u8], &[u8])) {
    while bytes.len() >= 8 {
        let length = u32::from_be_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
        // The payloads lie elsewhere.
        let (own, rest) = bytes.split_at(length.min(bytes.len()));
        match &own[4..8] {
            b"moof" | b"traf" => boxes(&own[8..], each),
            kind => each(kind, &own[8..]),
        }
        bytes = rest;
    }
}

#[test]
fn sound_and_pictures_stay_together_for_half_an_hour() {
    let config = config(Mode::LowLatency);
    let ring = ring();
    let numbering = Numbering::after_crash(None, NOW);
    let mut publisher = begin(&ring, 1, &config, &numbering);
    let mut node = Node::new(&ring, config.mode);
    let headers = [
        metadata(&[("framerate", 29.97), ("videocodecid", 7.0)]),
        real_avc_header(0, 0),
        other_aac_header(0),
    ];
    push(&mut publisher, headers);
    let (pictures, sounds) = (1800 * 30_000 / 1001, 1800 * 44_100 / 1024_u32);
    let picture = |n: u32| (f64::from(n) * 1001.0 / 30.0).round() as u32;
    let sound = |n: u32| (f64::from(n) * 1024.0 / 44.1).round() as u32;
    let (mut n, mut m) = (0, 0);
    let mut before: Option<Vec<(u64, u64)>> = None;
    let mut parts = 0;
    while n < pictures && m < sounds {
        let tag = if picture(n) <= sound(m) {
            n += 1;
            (Make::REAL.picture)(picture(n - 1), (n - 1) % 60 == 0)
        } else {
            m += 1;
            (Make::REAL.sound)(sound(m - 1))
        };
        push(&mut publisher, [tag]);
        node.package(|version, window| {
            let segment = window
                .segments()
                .find(|it| it.msn() == version.msn)
                .unwrap();
            let part = &segment.parts()[version.part.unwrap() as usize];
            let runs = runs(&part.body().unwrap().slices()[0]);
            // Each track goes on where it was, to the sample.
            if let Some(before) = before.replace(runs.clone()) {
                let ends: Vec<_> = before.iter().map(|it| it.1).collect();
                let begins: Vec<_> = runs.iter().map(|it| it.0).collect();
                assert_eq!(begins, ends, "{version:?}");
            }
            parts += 1;
        });
    }
    assert!(parts > 8900, "{parts}");
    let newest = before.expect("parts");
    let (video, audio) = (newest[0].1 as f64 / 90.0, newest[1].1 as f64 / 44.1);
    let (last_picture, last_sound) = (f64::from(picture(n)), f64::from(sound(m)));
    assert!(last_picture - video < 300.0 && last_sound - audio < 300.0);
    // To a millisecond these are times at which something was sent.
    let nearest = |times: f64, rate: f64| (times / rate - (times / rate).round()).abs() * rate;
    assert!(nearest(video, 1001.0 / 30.0) < 1.0 && nearest(audio, 1024.0 / 44.1) < 1.0);
}
