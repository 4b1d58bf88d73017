//! Whatever the frames, what can be read in a segment is what was given.

mod support;

use bytes::Bytes;
use codec::{AudioCodec, VideoCodec};
use proptest::prelude::*;
use support::*;
use weir_mpegts::{Frame, Writer};

/// NAL units of slices, which have no start codes in them.
fn nals() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let nal = prop_oneof![8 => 1usize..300, 1 => 300usize..5000]
        .prop_map(|length| [vec![0x41], vec![0x9a; length - 1]].concat());
    prop::collection::vec(nal, 1..4)
}

#[derive(Clone, Debug)]
enum Given {
    Picture(Vec<Vec<u8>>),
    Sound(usize),
    /// A track of which nothing is known, or a frame of nothing.
    Nothing,
}

fn given() -> impl Strategy<Value = (Given, u64, u64)> {
    let what = prop_oneof![
        nals().prop_map(Given::Picture),
        (1usize..1000).prop_map(Given::Sound),
        Just(Given::Nothing),
    ];
    // Most as real streams have them, and some with jumps.
    let step = prop_oneof![8 => 0u64..4000, 1 => 0u64..(1 << 34)];
    (what, step, 0u64..20_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn comes_out_as_it_went_in(given in prop::collection::vec(given(), 0..60), start: u32) {
        let tracks = [video(VideoCodec::Avc, avcc(2)), audio(AudioCodec::Aac, AAC_48)];
        let writer = Writer::new(&tracks).unwrap();
        let mut time = u64::from(start);
        let mut frames = Vec::new();
        let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
        for (number, (what, step, composition)) in given.into_iter().enumerate() {
            time += step;
            match what {
                Given::Picture(nals) => {
                    let slices: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
                    let data = Bytes::from(with_lengths(2, &slices));
                    let pts = time + composition;
                    let keyframe = number % 7 == 0;
                    frames.push(Frame { track: VIDEO, dts: time, pts, keyframe, data });
                    pictures.push((time, pts, keyframe, nals));
                }
                Given::Sound(length) => {
                    let data = vec![number as u8; length];
                    frames.push(sound(time, data.clone()));
                    sounds.push((time, data));
                }
                Given::Nothing => frames.push(picture(time, true, Bytes::new())),
            }
        }
        let segment = writer.segment(15, &frames);
        prop_assert_eq!(&writer.segment(15, &frames), &segment);
        // The same once more: the counters have to go on.
        let read = read(&[segment, writer.segment(16, &frames)]);
        let envelopes = &read.envelopes[..read.envelopes.len() / 2];
        let wrapped = |time: u64| time & 0x1_ffff_ffff;

        let of_video: Vec<_> = envelopes.iter().filter(|it| it.pid == 0x100).collect();
        prop_assert_eq!(of_video.len(), pictures.len());
        for (envelope, (dts, pts, keyframe, nals)) in of_video.into_iter().zip(pictures) {
            prop_assert_eq!((envelope.dts, envelope.pts), (wrapped(dts), wrapped(pts)));
            prop_assert_eq!(envelope.random_access, keyframe);
            let before = if keyframe { 3 } else { 1 };
            prop_assert_eq!(&envelope.nals()[before..], &nals[..]);
        }

        let of_audio = envelopes.iter().filter(|it| it.pid == 0x101);
        let mut expected = sounds.into_iter();
        for envelope in of_audio {
            for (position, (_, data)) in envelope.adts().into_iter().enumerate() {
                let (time, sent) = expected.next().expect("no more than was sent");
                prop_assert_eq!(data, &sent[..]);
                // No frame is further than 1 ms from where its envelope puts it.
                let heard = envelope.pts + position as u64 * 1920;
                let apart = wrapped(time).abs_diff(wrapped(heard));
                prop_assert!(apart.min((1 << 33) - apart) <= 90, "{time} became {heard}");
            }
        }
        prop_assert!(expected.next().is_none());
    }

    #[test]
    fn no_bytes_make_it_stumble(
        record in prop::collection::vec(any::<u8>(), 0..40),
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8),
        size in 1u8..5,
    ) {
        let record = Bytes::from(record);
        let tracks = [
            video(VideoCodec::Avc, record.clone()),
            video(VideoCodec::Hevc, record.clone()),
            video(VideoCodec::Avc, avcc(size)),
            audio(AudioCodec::Opus, &[]),
        ];
        for track in tracks {
            let Ok(writer) = Writer::new(std::slice::from_ref(&track)) else { continue };
            let frames = data.iter().map(|data| Frame {
                track: track.id,
                ..picture(u64::MAX, true, data.clone())
            });
            read(&[writer.segment(0, &frames.collect::<Vec<_>>())]);
        }
    }
}
