use super::*;
use crate::{DropReason, Limits};

#[test]
fn a_joiner_gets_each_header_once_then_a_keyframe_then_all_since() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(
        &mut publisher,
        [
            metadata(0, 25.0),
            aac_header(0),
            avc_header(0, 1),
            keyframe(0),
            aac(10),
            inter(40),
            keyframe(1000),
            aac(1005),
            inter(1040),
        ],
    );
    let (snapshot, tags, join) = join(&ring, Start::CaughtUp);
    let headers = [metadata(0, 25.0), avc_header(0, 1), aac_header(0)];
    assert_eq!(snapshot, payloads(headers));
    assert_eq!(times(&tags), [1000, 1005, 1040]);
    assert!(tags[0].keypoint && tags[0].tag.is_keyframe());
    assert!(!join.waits_for_keypoint);
    assert_eq!(join.play_ms, 1000);
    assert_eq!(join.configuration.version, tags[0].version);
}

#[test]
fn a_header_right_before_the_keyframe_is_in_the_snapshot_and_a_later_one_inline() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [avc_header(0, 1), keyframe(0), inter(40)]);
    push_all(
        &mut publisher,
        [avc_header(80, 2), keyframe(80), aac_header(85), aac(85)],
    );
    let (snapshot, tags, _) = join(&ring, Start::CaughtUp);
    assert_eq!(snapshot, payloads([avc_header(0, 2)]));
    let inline: Vec<_> = tags
        .iter()
        .map(|marked| marked.tag.payload.clone())
        .collect();
    assert_eq!(inline, payloads([keyframe(80), aac_header(85), aac(85)]));
    assert!(tags[0].version < tags[1].version);
    assert_eq!(tags[1].version, tags[2].version);
}

#[test]
fn the_same_header_again_is_passed_on_but_changes_nothing() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(
        &mut publisher,
        [metadata(0, 30.0), avc_header(0, 1), keyframe(0)],
    );
    let before = ring.configuration();
    push_all(
        &mut publisher,
        [metadata(40, 30.0), avc_header(40, 1), inter(40)],
    );
    assert_eq!(ring.configuration().version, before.version);
    let (_, tags, _) = join(&ring, Start::CaughtUp);
    assert_eq!(
        tags.iter().map(|tag| tag.repeat).collect::<Vec<_>>(),
        [false, true, true, false]
    );
}

#[test]
fn metadata_is_kept_as_players_get_it_and_the_last_one_wins() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let bare = metadata(0, 25.0);
    let mut wrapped = b"\x02\x00\x0d@setDataFrame".to_vec();
    wrapped.extend_from_slice(&bare.payload);
    let wrapped = Tag::new(Kind::Data, 0, wrapped.into());
    push_all(&mut publisher, [metadata(0, 50.0), wrapped]);
    let (snapshot, ..) = join(&ring, Start::CaughtUp);
    assert_eq!(snapshot, payloads([bare]));
    let known = ring.configuration().metadata();
    assert_eq!(known.and_then(|metadata| metadata.frame_rate()), Some(25.0));
}

#[test]
fn frames_are_refused_until_their_decoder_can_be_configured() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let pushed = push_all(
        &mut publisher,
        [
            keyframe(0),
            aac(0),
            aac_header(0),
            aac(10),
            inter(40),
            avc_header(80, 1),
            keyframe(80),
        ],
    );
    let no = Pushed::Dropped(DropReason::Unconfigured);
    let yes = Pushed::Stored;
    assert_eq!(pushed, [no, no, yes(0), yes(1), no, yes(2), yes(3)]);
    assert_eq!(ring.stats().dropped.unconfigured, 3);
    assert_eq!(ring.stats().dropped.total(), 3);
}

#[test]
fn codecs_without_records_need_none() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(
        &mut publisher,
        [video(0, &[0x12, 0, 0, 0x84]), audio(0, &[0x2f, 0xff])],
    );
    let configuration = ring.configuration();
    let codec = configuration.main_video().and_then(|track| track.codec);
    assert_eq!(codec, Some(codec::VideoCodec::SorensonH263));
    let codec = configuration.main_audio().and_then(|track| track.codec);
    assert_eq!(codec, Some(codec::AudioCodec::Mp3));
    assert!(configuration.tags.is_empty());
    assert_eq!(join(&ring, Start::CaughtUp).1.len(), 2);
}

#[test]
fn the_headers_of_all_tracks_reach_a_joiner() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    // Enhanced RTMP: OneTrack, track 1, AVC.
    let second = |packet: u8, body: &[u8]| {
        let frame_type = 0x90 | 6;
        let mut payload = vec![frame_type, packet, b'a', b'v', b'c', b'1', 1];
        payload.extend_from_slice(body);
        video(0, &payload)
    };
    let start = second(0, &[1, 0x64, 0, 0x1f]);
    let hdr = video(0, &[0x94, b'a', b'v', b'c', b'1', 2, 0, 0]);
    let frame = second(3, &[0xcc]);
    let pushed = push_all(
        &mut publisher,
        [
            frame.clone(),
            start.clone(),
            avc_header(0, 1),
            hdr.clone(),
            frame,
            keyframe(0),
        ],
    );
    assert_eq!(pushed[0], Pushed::Dropped(DropReason::Unconfigured));
    assert_eq!(pushed[4], Pushed::Stored(3));
    let (snapshot, tags, _) = join(&ring, Start::CaughtUp);
    assert_eq!(snapshot, payloads([avc_header(0, 1), start, hdr]));
    // The frame of track 1 is a keyframe too, but track 0 decides.
    assert_eq!(tags.len(), 1);
    assert_eq!(ring.configuration().video.len(), 2);
}

#[test]
fn a_record_of_many_tracks_is_kept_as_long_as_one_of_them_needs_it() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    // ManyTracks, AVC: tracks 0 and 1 with a record of two bytes each.
    let both = |flavour| {
        let head = [0x96, 0x10, b'a', b'v', b'c', b'1'];
        let records = [0, 0, 0, 2, 1, flavour, 1, 0, 0, 2, 1, flavour];
        video(0, &[&head[..], &records[..]].concat())
    };
    push_all(&mut publisher, [both(1)]);
    assert_eq!(ring.configuration().video.len(), 2);
    assert_eq!(join(&ring, Start::Live).0, payloads([both(1)]));
    // The newer record of track 0 must come behind the older one.
    push_all(&mut publisher, [avc_header(0, 1)]);
    let snapshot = join(&ring, Start::Live).0;
    assert_eq!(snapshot, payloads([both(1), avc_header(0, 1)]));
    push_all(&mut publisher, [both(2)]);
    assert_eq!(join(&ring, Start::Live).0, payloads([both(2)]));
}

#[test]
fn a_legacy_end_of_another_track_does_not_end_the_main_one() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let hevc = video(0, &[0x90, b'h', b'v', b'c', b'1', 1, 2, 3]);
    let end = video(40, &[0x17, 2, 0, 0, 0]);
    let pushed = push_all(&mut publisher, [hevc, end]);
    assert_eq!(pushed[1], Pushed::Dropped(DropReason::WrongCodec));
}

#[test]
fn nonsense_is_refused_and_tracks_have_a_limit() {
    let limits = Limits {
        max_tracks: 2,
        max_configuration_bytes: 64,
        ..Limits::default()
    };
    let ring = Ring::new(limits);
    let mut publisher = ring.begin(epoch(1), 0);
    let opus = |track| audio(0, &[0x95, 0x01, b'O', b'p', b'u', b's', track, 0xfc]);
    let mut large = vec![0x17, 0, 0, 0, 0];
    large.resize(65, 1);
    let pushed = push_all(
        &mut publisher,
        [
            opus(0),
            opus(1),
            opus(2),
            video(0, &[]),
            video(0, &[0x17, 0, 0, 0, 0]),
            video(0, &large),
        ],
    );
    assert_eq!(
        pushed,
        [
            Pushed::Stored(0),
            Pushed::Stored(1),
            Pushed::Dropped(DropReason::TooManyTracks),
            Pushed::Dropped(DropReason::Malformed),
            Pushed::Dropped(DropReason::Malformed),
            Pushed::Dropped(DropReason::TooLarge),
        ]
    );
}

#[test]
fn without_a_keyframe_a_joiner_waits_for_the_next() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [avc_header(0, 1), aac_header(0), aac(5)]);
    let (mut cursor, join) = ring.cursor(Start::CaughtUp);
    assert!(join.waits_for_keypoint);
    assert_eq!(join.position, ring.head());
    assert_eq!(join.configuration.tags.len(), 2);
    push_all(&mut publisher, [aac(40), keyframe(80)]);
    let keypoints: Vec<_> = drain(&mut cursor).iter().map(|tag| tag.keypoint).collect();
    assert_eq!(keypoints, [false, true]);
    assert!(!ring.cursor(Start::CaughtUp).1.waits_for_keypoint);
    assert!(ring.cursor(Start::Keyframe).1.waits_for_keypoint);
}

#[test]
fn each_track_begins_with_a_keyframe_in_each_publish() {
    let ring = Ring::new(Limits::default());
    let no = Pushed::Dropped(DropReason::NoKeyframe);
    let yes = Pushed::Stored;
    let mut first = ring.begin(epoch(1), 0);
    let begins = [avc_header(0, 1), aac_header(0), inter(0), aac(5)];
    let pushed = push_all(&mut first, begins);
    assert_eq!(pushed, [yes(0), yes(1), no, yes(2)]);
    // A change of the record asks for none: some encoders go on.
    let goes_on = [keyframe(40), inter(80), avc_header(120, 2), inter(120)];
    let pushed = push_all(&mut first, goes_on);
    assert_eq!(pushed, [3, 4, 5, 6].map(yes));
    // OneTrack, track 1, AVC: it has its own.
    let second = |frame: u8, packet: u8| {
        let payload = [frame << 4 | 0x86, packet, b'a', b'v', b'c', b'1', 1, 9];
        video(160, &payload)
    };
    let other = [second(1, 0), second(2, 3), second(1, 3), second(2, 3)];
    let pushed = push_all(&mut first, other);
    assert_eq!(pushed, [yes(7), no, yes(8), yes(9)]);

    // It comes back in mid-GOP: who stayed gets nothing that it cannot decode.
    let (mut stayed, _) = ring.cursor(Start::Live);
    let mut second = ring.begin(epoch(2), 0);
    push_all(
        &mut second,
        [avc_header(0, 3), inter(0), inter(40), keyframe(80)],
    );
    let frames = drain(&mut stayed);
    assert!(frames[1].tag.is_keyframe() && frames.len() == 2);
    assert_eq!(ring.stats().dropped.no_keyframe, 4);
}

#[test]
fn pictures_of_codecs_that_refresh_bit_by_bit_need_no_keyframe() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let pushed = push_all(&mut publisher, [video(0, &[0x22, 0, 0, 0x84])]);
    assert_eq!(pushed, [Pushed::Stored(0)]);
}

#[test]
fn tracks_that_are_announced_again_count_once() {
    let limits = Limits {
        max_tracks: 3,
        ..Limits::default()
    };
    let ring = Ring::new(limits);
    let mut publisher = ring.begin(epoch(1), 0);
    // ManyTracks, AVC: so many tracks with a record of two bytes each.
    let records = |tracks: u8| {
        let mut payload = vec![0x96, 0x10, b'a', b'v', b'c', b'1'];
        (0..tracks).for_each(|track| payload.extend([track, 0, 0, 2, 1, tracks]));
        video(0, &payload)
    };
    let pushed = push_all(&mut publisher, [records(2), records(3), records(4)]);
    let too_many = Pushed::Dropped(DropReason::TooManyTracks);
    assert_eq!(pushed, [Pushed::Stored(0), Pushed::Stored(1), too_many]);
}

#[test]
fn a_record_with_a_time_of_its_own_does_not_make_the_camera_seem_silent() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    let begins = [avc_header(0, 1), aac_header(0), aac(16_778_000)];
    push_all(&mut publisher, begins);
    assert!(ring.cursor(Start::CaughtUp).1.waits_for_keypoint);
    push_all(&mut publisher, [keyframe(16_778_020)]);
    assert_eq!(times(&join(&ring, Start::CaughtUp).1), [16_778_020]);
}

#[test]
fn sound_alone_is_joined_about_a_second_back() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [aac_header(0)]);
    push_all(&mut publisher, (0..250).map(|n| aac(n * 20)));
    let (snapshot, tags, _) = join(&ring, Start::CaughtUp);
    assert_eq!(snapshot.len(), 1);
    assert_eq!(times(&tags).first(), Some(&4000));
    assert!(tags[0].keypoint);
}

#[test]
fn video_that_comes_late_takes_the_mark_from_the_sound() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(&mut publisher, [aac_header(0), aac(0), aac(20)]);
    assert!(!ring.cursor(Start::CaughtUp).1.waits_for_keypoint);
    push_all(&mut publisher, [avc_header(40, 1), aac(40)]);
    assert!(ring.cursor(Start::CaughtUp).1.waits_for_keypoint);
    push_all(&mut publisher, [keyframe(60), aac(60)]);
    assert_eq!(times(&join(&ring, Start::CaughtUp).1), [60, 60]);
}

#[test]
fn a_camera_that_is_switched_off_does_not_keep_joiners_waiting() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    push_all(
        &mut publisher,
        [avc_header(0, 1), aac_header(0), keyframe(0)],
    );
    push_all(&mut publisher, (0..1000).map(|n| aac(n * 20)));
    let (_, tags, join) = join(&ring, Start::CaughtUp);
    assert!(!join.waits_for_keypoint);
    assert!(tags[0].play_ms() >= 18_900 && tags[0].tag.is_audio());
    // It comes back in mid-GOP.
    push_all(&mut publisher, [inter(20_000)]);
    assert!(ring.cursor(Start::CaughtUp).1.waits_for_keypoint);
    push_all(&mut publisher, [keyframe(20_040)]);
    assert!(!ring.cursor(Start::CaughtUp).1.waits_for_keypoint);
}

#[test]
fn nothing_of_an_old_publish_reaches_who_joins_the_new_one() {
    let ring = Ring::new(Limits::default());
    let mut first = ring.begin(epoch(1), 0);
    push_all(
        &mut first,
        [
            metadata(0, 25.0),
            avc_header(0, 1),
            aac_header(0),
            keyframe(0),
            aac(5),
        ],
    );
    let mut second = ring.begin(epoch(2), 0);
    let (snapshot, tags, join_between) = join(&ring, Start::CaughtUp);
    assert!(snapshot.is_empty() && tags.is_empty());
    assert!(ring.configuration().version > 3 && ring.configuration().metadata().is_none());
    let refused = push_all(&mut second, [aac(10)]);
    assert_eq!(refused, [Pushed::Dropped(DropReason::Unconfigured)]);
    push_all(&mut second, [avc_header(10, 2), keyframe(10)]);
    let (snapshot, tags, join_after) = join(&ring, Start::CaughtUp);
    assert_eq!(snapshot, payloads([avc_header(0, 2)]));
    assert_eq!(tags.len(), 1);
    assert_eq!(tags[0].epoch, epoch(2));
    assert!(join_after.configuration.version > join_between.configuration.version);
}

#[test]
fn time_goes_on_for_players_from_publish_to_publish() {
    let ring = Ring::new(Limits::default());
    let mut first = ring.begin(epoch(1), 0);
    push_all(&mut first, [avc_header(0, 1), keyframe(5000), inter(5040)]);
    // Two seconds later, and the encoder starts at 0 again.
    let mut second = ring.begin(epoch(2), 7000 * MS);
    let mut push = |tag: Tag, ingest: i64| second.push(tag, ingest * MS).unwrap();
    push(metadata(0, 25.0), 7000);
    push(avc_header(0, 2), 7000);
    push(keyframe(0), 7040);
    push(inter(40), 7080);
    let (mut cursor, _) = ring.cursor(Start::Oldest);
    let all = drain(&mut cursor);
    assert_eq!(times(&all), [0, 5000, 5040, 5040, 5040, 7040, 7080]);
    // In its own time the epoch is as the encoder sent it.
    assert_eq!(all[5].tag.dts, 0);
    assert_eq!(all[5].time, 0);
    // A third one in the same instant still moves on.
    let mut third = ring.begin(epoch(3), 7080 * MS);
    third.push(avc_header(9000, 3), 7080 * MS).unwrap();
    third.push(keyframe(9000), 7080 * MS).unwrap();
    assert_eq!(times(&drain(&mut cursor)), [7080, 7081]);
}

#[test]
fn a_joiner_in_the_middle_gets_the_configuration_of_that_place() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(epoch(1), 0);
    for n in 0..40_u32 {
        push_all(
            &mut publisher,
            [avc_header(n * 40, n as u8), keyframe(n * 40)],
        );
    }
    for n in 0..40_u8 {
        let (_, join) = ring.cursor(Start::At(u64::from(n) * 2 + 1));
        let tags = &join.configuration.tags;
        assert_eq!(tags.len(), 1);
        assert_eq!(tags[0].tag.payload, avc_header(0, n).payload);
    }
    let (_, join) = ring.cursor(Start::At(0));
    assert!(join.configuration.tags.is_empty());
    let (cursor, join) = ring.cursor(Start::At(1000));
    assert_eq!((join.position, cursor.position()), (80, 80));
}
