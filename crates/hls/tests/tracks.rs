//! Which tracks and frames are packaged.

mod support;

use flv::Tag;
use media::Start;
use support::nodes::everything;
use support::packaged::*;
use support::streams::{Make, real_avc_header};
use support::*;
use weir_hls::{Mode, Version};

#[test]
fn payloads_are_not_copied_and_a_segment_is_its_parts() {
    let node = packaged(&config(Mode::LowLatency), stream(4.5));
    let payloads: Vec<_> = all(&node.ring, Start::Oldest)
        .iter()
        .map(|it| it.tag.payload.as_ptr_range())
        .collect();
    for segment in node.packager.window().segments().take(2) {
        let parts = segment.parts().iter();
        let bodies: Vec<_> = parts.filter_map(|part| part.body()).collect();
        for slice in bodies.iter().flat_map(|body| &body.slices()[1..]) {
            let at = slice.as_ptr();
            let shared = payloads.iter().any(|payload| payload.contains(&at));
            assert!(shared, "{slice:?}");
        }
        let whole: Vec<_> = bodies.iter().map(|body| body.to_bytes()).collect();
        let body = segment.body().expect("it is whole");
        assert_eq!(body.to_bytes(), whole.concat());
        assert_eq!(body.len(), whole.concat().len());
    }
}

#[test]
fn another_record_makes_another_initialisation_behind_a_discontinuity() {
    let mut tags = stream(6.1);
    // Between two keyframes: it counts from the next picture on.
    let at = tags.iter().position(|tag| tag.dts > 2600).unwrap();
    tags.insert(at, real_avc_header(2601, 1));
    let node = packaged(&config(Mode::LowLatency), tags);
    let window = node.packager.window();
    let segments: Vec<_> = window.segments().collect();
    let init = |at: usize| segments[at].init().expect("a track").name().to_string();
    assert_eq!([init(0), init(1)], ["1.1-4-init.mp4", "1.1-4-init.mp4"]);
    assert_eq!([init(2), init(3)], ["1.1-5-init.mp4", "1.1-5-init.mp4"]);
    assert_ne!(
        bytes(window, "1.1-4-init.mp4"),
        bytes(window, "1.1-5-init.mp4")
    );
    let text = playlist(window, newest(window));
    let behind = "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"1.1-5-init.mp4\"\n#EXT-X-PROGRAM";
    assert!(text.contains(behind), "{text}");
    // It does not begin with a keyframe.
    assert!(!text.contains("INDEPENDENT-SEGMENTS"), "{text}");
    // Who plays the end of what was before is told of it.
    let last = u32::try_from(segments[1].parts().len() - 1).unwrap();
    let before = Version {
        msn: FIRST + 1,
        part: Some(last),
    };
    let text = playlist(window, before);
    let hints = format!(
        "#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"1.1-5-init.mp4\"\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1.1-{}.0.m4s\"\n",
        FIRST + 2
    );
    assert!(text.ends_with(&hints), "{text}");
    assert!(text.contains("INDEPENDENT-SEGMENTS"), "{text}");
}

/// When the frames in a segment were sent, pictures and sound.
fn sent(segment: &weir_hls::Segment) -> (Vec<u32>, Vec<u32>) {
    let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
    let bodies = segment.parts().iter().filter_map(|part| part.body());
    for frame in bodies.flat_map(|body| &body.slices()[1..]) {
        let dts = frame.last_chunk().expect("four bytes");
        match frame.len() {
            9 => pictures.push(u32::from_be_bytes(*dts)),
            _ => sounds.push(u32::from_be_bytes(*dts)),
        }
    }
    (pictures, sounds)
}

#[test]
fn frames_that_belong_to_no_initialisation_are_left_out() {
    let mut tags = stream(6.1);
    let at = tags.iter().position(|tag| tag.dts > 2600).unwrap();
    tags.insert(at, other_aac_header(2601));
    let node = packaged(&config(Mode::LowLatency), tags);
    let segments: Vec<_> = node.packager.window().segments().collect();
    let (pictures, sounds) = sent(segments[1]);
    assert_eq!(pictures.len(), 50);
    let (first, last) = (sounds.iter().min().unwrap(), sounds.iter().max().unwrap());
    assert!(
        *first < 2100 && *last <= 2600 && *last > 2500,
        "{first} {last}"
    );
    assert!(sent(segments[2]).1.len() > 80);

    // An encoder that tells another record with each picture: more than there are numbers for.
    let pictures = (0..200_u32).flat_map(|n| {
        let dts = n * 20;
        [
            real_avc_header(dts, (n % 3) as u8),
            (Make::REAL.picture)(dts, true),
        ]
    });
    let node = packaged(&config(Mode::LowLatency), pictures.collect());
    let window = node.packager.window();
    for segment in window.segments().filter(|it| it.is_whole()) {
        let (pictures, _) = sent(segment);
        // What comes back to the record that it began with fits again.
        let flavours: Vec<_> = pictures.iter().map(|dts| dts / 20 % 3).collect();
        assert!(flavours.iter().all(|it| *it == flavours[0]), "{flavours:?}");
    }
    parsed(window);
}

#[test]
fn a_late_track_comes_with_the_next_keyframe() {
    let (sound, rest): (Vec<_>, Vec<_>) = stream(6.5).into_iter().partition(Tag::is_audio);
    let late = sound.into_iter().filter(|tag| tag.dts > 2500);
    let mut tags: Vec<_> = rest.into_iter().chain(late).collect();
    tags.sort_by_key(|tag| tag.dts);
    let at = tags.iter().position(|tag| tag.dts > 2500).unwrap();
    tags.insert(at, aac_header(2500));
    let node = packaged(&config(Mode::LowLatency), tags);
    let window = node.packager.window();
    let listed = parsed(window);
    let numbers: Vec<_> = listed.segments.iter().map(|it| it.discontinuity).collect();
    let first = DISCONTINUITY;
    assert_eq!(numbers, [first, first, first + 1, first + 1]);
    let sizes: Vec<_> = window.segments().filter_map(|it| it.init()).collect();
    assert!(sizes[1].body.len() + 200 < sizes[2].body.len());
}

#[test]
fn what_cannot_be_carried_is_left_out_and_where_nothing_is_left_there_is_a_gap() {
    // Speex and Sorenson H.263: FLV alone knows them.
    let speex = |dts| audio(dts, &[0xb6, 1, 2, 3]);
    let sorenson = |dts, key: bool| video(dts, &[if key { 0x12 } else { 0x22 }, 0, 0, 0x84]);
    let pictures = || pictures(25.0, 50, 4.5).into_iter();
    let strange: Vec<_> = pictures()
        .map(|it| sorenson(it.dts, it.is_keyframe()))
        .collect();
    let sound = |make: fn(u32) -> Tag| -> Vec<Tag> {
        support::sound(4.5).iter().map(|it| make(it.dts)).collect()
    };
    // With sound that can be.
    let tags = interleaved(vec![aac_header(0)], &[strange.clone(), sound(aac)]);
    let node = packaged(&config(Mode::LowLatency), tags);
    let listed = parsed(node.packager.window());
    assert!(listed.complete().all(|segment| !segment.gap));
    assert!(listed.segments[0].parts.iter().all(|part| part.independent));
    // With none.
    let tags = interleaved(vec![], &[strange, sound(speex)]);
    for mode in [Mode::LowLatency, Mode::Fmp4, Mode::Ts] {
        let node = packaged(&config(mode), tags.clone());
        let window = node.packager.window();
        let listed = parsed(window);
        assert!(listed.complete().all(|segment| segment.gap));
        let parts = listed.segments.iter().flat_map(|segment| &segment.parts);
        assert!(parts.clone().all(|part| part.gap));
        assert_eq!(parts.count() > 0, mode == Mode::LowLatency);
        assert!(!everything(window).is_empty());
        assert_eq!(bytes(window, &format!("1.1-{FIRST}.m4s")), None);
    }
}

#[test]
fn of_many_tracks_the_main_ones_are_packaged() {
    // Enhanced RTMP: one packet, two tracks of H.264.
    let many = |dts: u32, packet: u8, key: u8, bodies: [&[u8]; 2]| {
        let mut payload = vec![0x80 | key << 4 | 6, 0x10 | packet];
        payload.extend_from_slice(b"avc1");
        for (track, body) in (0..).zip(bodies) {
            payload.push(track);
            payload.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
            payload.extend_from_slice(body);
        }
        video(dts, &payload)
    };
    let record = real_avc_header(0, 0).body();
    let mut tags = vec![many(0, 0, 1, [&record, &record])];
    for n in 0..130_u32 {
        let key = if n % 50 == 0 { 1 } else { 2 };
        let unit = if key == 1 { 0x65 } else { 0x41 };
        let composition = [0, 0, 80];
        let of = |track: u8| [&composition[..], &[0, 0, 0, 2, unit, track]].concat();
        tags.push(many(n * 40, 1, key, [&of(7), &of(9)]));
    }
    let node = packaged(&config(Mode::LowLatency), tags);
    let window = node.packager.window();
    let segment = window.segments().next().unwrap();
    let body = segment.body().expect("it is whole");
    let frames: Vec<_> = body.slices().iter().filter(|it| it.len() == 6).collect();
    assert_eq!(frames.len(), 50);
    assert!(frames.iter().all(|frame| frame[5] == 7));
    parsed(window);
}
