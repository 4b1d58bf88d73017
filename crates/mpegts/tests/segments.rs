//! What is in a segment, byte by byte.

mod support;

use bytes::Bytes;
use codec::{AudioCodec, VideoCodec};
use support::*;
use weir_mpegts::{Frame, LEAD, Track, Unsupported, Writer};

const SECOND: u64 = 90_000;

fn segment(track: Track, frames: &[Frame]) -> Bytes {
    Writer::new(&[track]).unwrap().segment(0, frames)
}

fn avc(frames: &[Frame]) -> Read {
    read(&[segment(video(VideoCodec::Avc, avcc(4)), frames)])
}

const DELIMITER: &[u8] = &[9, 0xf0];
const SPS: &[u8] = &[0x67, 0x64, 0, 0x1f];
const PPS: &[u8] = &[0x68, 0xee];
const IDR: &[u8] = &[0x65, 0x88, 0x84];
const SLICE: &[u8] = &[0x41, 0x9a];

#[test]
fn begins_with_the_tables() {
    let tracks = [
        video(VideoCodec::Hevc, hvcc()),
        audio(AudioCodec::Opus, &[]),
    ];
    let segment = Writer::new(&tracks).unwrap().segment(0, &[]);
    assert_eq!(
        segment[..21],
        [
            0x47, 0x40, 0x00, 0x10, 0x00, 0x00, 0xb0, 0x0d, 0x00, 0x01, 0xc1, 0x00, 0x00, 0x00,
            0x01, 0xf0, 0x00, 0x2a, 0xb1, 0x04, 0xb2
        ]
    );
    assert_eq!(segment.len(), 2 * 188);
    assert_eq!((segment[3], segment[188 + 3]), (0x10, 0x10));
    let read = read(&[segment]);
    assert_eq!(read.clock_pid, 0x100);
    let hevc = (0x24, b"\x05\x04HEVC".to_vec());
    let opus = (0x06, b"\x05\x04Opus\x7f\x02\x80\x02".to_vec());
    assert_eq!(Vec::from_iter(read.tracks), [(0x100, hevc), (0x101, opus)]);
}

#[test]
fn other_tracks_make_a_table_of_another_version() {
    let version =
        |tracks: &[Track]| Writer::new(tracks).unwrap().segment(0, &[])[188 + 10] >> 1 & 31;
    let h264 = || video(VideoCodec::Avc, avcc(4));
    let alone = version(&[h264()]);
    assert_eq!(alone, version(&[video(VideoCodec::Avc, avcc(2))]));
    assert_ne!(alone, version(&[h264(), audio(AudioCodec::Aac, AAC_48)]));
}

#[test]
fn a_keyframe_gets_the_parameter_sets_that_it_lacks() {
    let key = with_lengths(4, &[IDR]);
    let read = avc(&[
        picture(0, true, key),
        picture(3600, false, with_lengths(4, &[SLICE, SLICE])),
        picture(7200, true, with_lengths(4, &[SPS, PPS, IDR])),
        picture(10800, true, with_lengths(4, &[PPS, IDR])),
    ]);
    let nals: Vec<_> = read
        .envelopes
        .iter()
        .map(|envelope| envelope.nals())
        .collect();
    assert_eq!(nals[0], [DELIMITER, SPS, PPS, IDR]);
    assert_eq!(nals[1], [DELIMITER, SLICE, SLICE]);
    assert_eq!(nals[2], [DELIMITER, SPS, PPS, IDR]);
    assert_eq!(nals[3], [DELIMITER, SPS, PPS, PPS, IDR]);
    let starts: Vec<bool> = read
        .envelopes
        .iter()
        .map(|envelope| envelope.random_access)
        .collect();
    assert_eq!(starts, [true, false, true, true]);
    assert_eq!(read.tracks[&FIRST_PID], (0x1b, vec![]));
    assert_eq!(read.envelopes[0].stream_id, 0xe0);
}

#[test]
fn hevc_has_three_kinds_of_them() {
    let idr: &[u8] = &[0x26, 1, 0xaf];
    let frame = picture(0, true, with_lengths(4, &[idr]));
    let read = read(&[segment(video(VideoCodec::Hevc, hvcc()), &[frame])]);
    let (vps, sps, pps): (&[u8], &[u8], &[u8]) = (&[0x40, 1], &[0x42, 1], &[0x44, 1]);
    assert_eq!(
        read.envelopes[0].nals(),
        [&[0x46, 1, 0x50], vps, sps, pps, idr]
    );
}

#[test]
fn a_delimiter_of_the_encoder_stays_and_no_second_one() {
    let own: &[u8] = &[9, 0x10];
    let read = avc(&[picture(
        0,
        false,
        with_lengths(4, &[own, SLICE, own, SLICE]),
    )]);
    assert_eq!(read.envelopes[0].nals(), [own, SLICE, SLICE]);
}

#[test]
fn lengths_take_one_to_four_bytes() {
    for size in [1, 2, 3, 4] {
        let frame = picture(0, false, with_lengths(size, &[SLICE, &[], IDR]));
        let read = read(&[segment(video(VideoCodec::Avc, avcc(size as u8)), &[frame])]);
        assert_eq!(read.envelopes[0].nals(), [DELIMITER, SLICE, IDR], "{size}");
    }
}

#[test]
fn what_cannot_be_decoded_is_left_out() {
    let mut cut = with_lengths(4, &[SLICE, IDR]);
    cut.pop();
    let read = avc(&[
        picture(0, true, Bytes::new()),
        picture(3600, true, vec![0, 0, 0, 0]),
        picture(7200, true, vec![0, 0, 0, 9, 0x65]),
        picture(10800, true, with_lengths(4, &[DELIMITER])),
        picture(14400, false, cut),
        Frame {
            track: 9,
            ..picture(18000, true, with_lengths(4, &[IDR]))
        },
    ]);
    assert_eq!(read.envelopes.len(), 1);
    assert_eq!(read.envelopes[0].nals(), [DELIMITER, SLICE]);
}

#[test]
fn times_are_those_of_the_frame_and_wrap() {
    let frame = |dts, pts| Frame {
        pts,
        ..picture(dts, false, with_lengths(4, &[SLICE]))
    };
    let wrap = 1u64 << 33;
    let read = avc(&[frame(wrap - 3600, wrap + 3600), frame(wrap, wrap)]);
    let times: Vec<_> = read.envelopes.iter().map(|it| (it.dts, it.pts)).collect();
    assert_eq!(times, [(wrap - 3600, 3600), (0, 0)]);
    assert_eq!(read.clocks, [wrap - 3600 - LEAD, wrap - LEAD]);
}

#[test]
fn aac_gets_headers() {
    let header = |record: &'static [u8]| {
        let segment = segment(audio(AudioCodec::Aac, record), &[sound(0, vec![0xaa; 300])]);
        let read = read(&[segment]);
        assert_eq!(read.tracks[&FIRST_PID], (0x0f, vec![]));
        assert_eq!(read.envelopes[0].stream_id, 0xc0);
        let frames = read.envelopes[0].adts();
        assert_eq!(frames[0].1, vec![0xaa; 300]);
        frames[0].0.to_vec()
    };
    assert_eq!(header(AAC_48), [0xff, 0xf1, 0x4c, 0x80, 0x26, 0x7f, 0xfc]);
    // HE-AAC: 24,000 Hz below 48,000 Hz, once said aloud and once behind the rest. HE-AAC v2:
    // one channel makes two.
    assert_eq!(
        header(&[0x2b, 0x11, 0x88, 0x00]),
        [0xff, 0xf1, 0x58, 0x80, 0x26, 0x7f, 0xfc]
    );
    assert_eq!(
        header(&[0x13, 0x10, 0x56, 0xe5, 0x98]),
        [0xff, 0xf1, 0x58, 0x80, 0x26, 0x7f, 0xfc]
    );
    assert_eq!(
        header(&[0xeb, 0x09, 0x88, 0x00]),
        [0xff, 0xf1, 0x58, 0x40, 0x26, 0x7f, 0xfc]
    );
}

#[test]
fn sound_without_a_gap_shares_envelopes() {
    // 21.33 ms each, in whole milliseconds, as RTMP has them.
    let time = |number: u64| number * 1024 / 48 * 90;
    let mut frames: Vec<Frame> = (0..8)
        .map(|number| sound(time(number), vec![number as u8 + 1; 9]))
        .collect();
    frames.extend((8..11).map(|number| sound(time(number) + 180, vec![number as u8 + 1; 9])));
    let read = read(&[segment(audio(AudioCodec::Aac, AAC_48), &frames)]);
    let counts: Vec<_> = read
        .envelopes
        .iter()
        .map(|it| (it.pts, it.adts().len()))
        .collect();
    // The first is alone. The eighth begins an envelope, and 2 ms are missing behind it.
    assert_eq!(
        counts,
        [
            (0, 1),
            (time(1), 3),
            (time(4), 3),
            (time(7), 1),
            (time(8) + 180, 3)
        ]
    );
    let sent = frames.iter().map(|frame| frame.data.to_vec());
    let received = read.envelopes.iter().flat_map(|it| it.adts());
    assert!(sent.eq(received.map(|(_, data)| data.to_vec())));
}

#[test]
fn opus_gets_lengths() {
    for (length, expected) in [
        (1, vec![1]),
        (254, vec![254]),
        (255, vec![255, 0]),
        (1000, vec![255, 255, 255, 235]),
    ] {
        let segment = segment(audio(AudioCodec::Opus, &[]), &[sound(0, vec![7; length])]);
        let read = read(&[segment]);
        let data = &read.envelopes[0].data;
        let (head, packet) = data.split_at(data.len() - length);
        assert_eq!(head, [&[0x7f, 0xe0][..], &expected].concat());
        assert_eq!(packet, vec![7; length]);
        assert_eq!(read.envelopes[0].stream_id, 0xbd);
    }
}

#[test]
fn other_sound_stays_as_it_is() {
    for (codec, stream_type, stream_id) in [
        (AudioCodec::Mp3, 0x03, 0xc0),
        (AudioCodec::Ac3, 0x81, 0xbd),
        (AudioCodec::Eac3, 0x87, 0xbd),
    ] {
        // Short ones too, which have to make sixteen packets.
        for length in [1, 3, 170, 400] {
            let read = read(&[segment(audio(codec, &[]), &[sound(5, vec![3; length])])]);
            assert_eq!(read.tracks[&FIRST_PID].0, stream_type);
            assert_eq!(read.envelopes[0].stream_id, stream_id);
            assert_eq!(read.envelopes[0].data, vec![3; length]);
        }
    }
}

#[test]
fn counters_go_on_in_the_next_segment() {
    let tracks = [
        video(VideoCodec::Avc, avcc(4)),
        audio(AudioCodec::Aac, AAC_48),
    ];
    let writer = Writer::new(&tracks).unwrap();
    let segments: Vec<Bytes> = (0..20usize)
        .map(|number| {
            let start = number as u64 * SECOND;
            writer.segment(
                number as u64 + 5,
                &[
                    picture(
                        start,
                        true,
                        with_lengths(4, &[&vec![0x65; 100 + 177 * number]]),
                    ),
                    sound(start, vec![1; 1 + 40 * number]),
                    picture(start + 3600, false, with_lengths(4, &[SLICE])),
                ],
            )
        })
        .collect();
    // The reader minds the counters. In the end they are as in the beginning.
    let read = read(&segments);
    let last = [(0, 8), (0x100, 15), (0x101, 15), (0x1000, 8)];
    assert_eq!(Vec::from_iter(read.counters), last);
    assert_eq!(read.envelopes.len(), 60);
}

#[test]
fn the_clock_is_told_ten_times_a_second() {
    let gaps = |read: &Read| {
        let pairs = read.clocks.windows(2);
        pairs.map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    };
    // A picture every other second, and sound all the time, which begins before it.
    let mut frames = vec![];
    for number in 0..200 {
        frames.push(sound(LEAD + number * 1920, vec![1; 9]));
        if number % 94 == 10 {
            frames.push(picture(LEAD + number * 1920, true, with_lengths(4, &[IDR])));
        }
    }
    let tracks = [
        audio(AudioCodec::Aac, AAC_48),
        video(VideoCodec::Avc, avcc(4)),
    ];
    let read_both = read(&[Writer::new(&tracks).unwrap().segment(0, &frames)]);
    assert_eq!(read_both.clock_pid, 0x101);
    assert_eq!(read_both.clocks[0], 0);
    assert!(read_both.clocks.len() > 42);
    assert!(gaps(&read_both).iter().all(|gap| (1..=9000).contains(gap)));

    // Sound alone, of which a frame is longer than that.
    let record: &[u8] = &[0x15, 0x88];
    let frames: Vec<Frame> = (0..20)
        .map(|number| sound(LEAD + number * 11520, vec![1; 9]))
        .collect();
    let slow = read(&[segment(audio(AudioCodec::Aac, record), &frames)]);
    assert!(gaps(&slow).iter().all(|gap| (1..=9000).contains(gap)));
    assert_eq!(slow.clocks.last(), Some(&(19 * 11520)));
}

#[test]
fn the_clock_does_not_go_back_or_fill_hours() {
    let at = |time| picture(time, false, with_lengths(4, &[SLICE]));
    let hour = 3600 * SECOND;
    let read = avc(&[at(hour), at(0), at(hour + 1), at(9 * hour)]);
    assert_eq!(read.clocks, [hour - LEAD, hour + 1 - LEAD, 9 * hour - LEAD]);
    assert_eq!(read.envelopes.len(), 4);
}

#[test]
fn what_has_no_place_is_refused_in_a_sentence() {
    let refused = |track| Writer::new(&[track]).map(drop).unwrap_err();
    let av1 = refused(video(VideoCodec::Av1, Bytes::new()));
    assert_eq!(
        av1.to_string(),
        "transport streams do not carry av1; fragmented MP4 may"
    );
    assert_eq!(
        refused(video(VideoCodec::Vp9, Bytes::new())),
        Unsupported::Codec("vp9")
    );
    assert_eq!(
        refused(audio(AudioCodec::Flac, &[])),
        Unsupported::Codec("flac")
    );
    let aac = |record| refused(audio(AudioCodec::Aac, record));
    assert!(matches!(
        aac(&[0x12]),
        Unsupported::Record { codec: "aac", .. }
    ));
    // ER AAC LD; frames of 960 samples; channels that only an element of the programme tells;
    // 47,999 Hz.
    assert!(matches!(aac(&[0xb9, 0x90, 0x00]), Unsupported::Aac(_)));
    assert!(matches!(aac(&[0x11, 0x94]), Unsupported::Aac(_)));
    assert!(matches!(
        aac(&[0x11, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        Unsupported::Aac(_)
    ));
    assert!(matches!(
        aac(&[0x17, 0x80, 0x5d, 0xbf, 0x90]),
        Unsupported::Aac(_)
    ));
    // Two speakers in the other order.
    let swapped = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\x01\x01\x01\x01\x00";
    assert_eq!(
        refused(audio(AudioCodec::Opus, swapped)),
        Unsupported::OpusChannels
    );
    assert!(matches!(
        refused(video(VideoCodec::Avc, Bytes::new())),
        Unsupported::Record { codec: "avc", .. }
    ));
    let many = vec![audio(AudioCodec::Opus, &[]); 40];
    assert_eq!(Writer::new(&many).map(drop), Err(Unsupported::Tracks));
}
