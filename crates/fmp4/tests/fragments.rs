//! Heads of fragments, as another reader understands them.

mod support;

use mp4_atom::{Decode, Header, Moof};
use proptest::prelude::*;
use support::hex;
use weir_fmp4::{Run, Sample, fragment};

/// What is told of a sample: where its payload is, when it is decoded, how long it lasts.
type Told = (std::ops::Range<u64>, u64, Sample);

/// By track, what another reader finds, and the lengths of both boxes.
fn read(head: &[u8]) -> (Vec<(u32, Vec<Told>)>, u64, u64) {
    let mut rest = head;
    let moof = Moof::decode(&mut rest).unwrap();
    let moof_length = (head.len() - rest.len()) as u64;
    let mdat = Header::decode(&mut rest).unwrap();
    assert_eq!(mdat.kind, (*b"mdat").into());
    assert!(rest.is_empty(), "payloads follow at once");
    let mdat_length = mdat.size.unwrap() as u64 + head.len() as u64 - moof_length;
    let runs = moof.traf.iter().map(|traf| {
        let tfhd = &traf.tfhd;
        assert!(tfhd.default_base_is_moof && tfhd.base_data_offset.is_none());
        let [trun] = &traf.trun[..] else {
            panic!("one run a track")
        };
        let mut offset = u64::try_from(trun.data_offset.unwrap()).unwrap();
        let mut time = traf.tfdt.as_ref().unwrap().base_media_decode_time;
        let samples = trun.samples.iter().map(|told| {
            let flags = told.flags.or(tfhd.default_sample_flags).unwrap();
            let sample = Sample {
                duration: told.duration.or(tfhd.default_sample_duration).unwrap(),
                size: told.size.or(tfhd.default_sample_size).unwrap(),
                composition: told.cts.unwrap_or(0).try_into().unwrap(),
                sync: flags & 0x1_0000 == 0,
            };
            // It says that it depends on others, or that it does not.
            let depends = flags >> 24 & 3;
            assert_eq!(depends, if sample.sync { 2 } else { 1 });
            let payload = offset..offset + u64::from(sample.size);
            let told = (payload, time, sample);
            offset += u64::from(sample.size);
            time += u64::from(sample.duration);
            told
        });
        (tfhd.track_id, samples.collect())
    });
    let runs = runs.collect();
    (runs, moof_length, mdat_length)
}

/// Checks that another reader finds what was written.
fn check(sequence: u32, runs: &[Run<'_>]) {
    let head = fragment(sequence, runs);
    assert_eq!(head, fragment(sequence, runs));
    let moof = Moof::decode(&mut &head[..]).unwrap();
    assert_eq!(moof.mfhd.sequence_number, sequence);
    let (told, moof_length, mdat_length) = read(&head);
    let mut offset = head.len() as u64;
    let mut expected = Vec::new();
    for run in runs.iter().filter(|run| !run.samples.is_empty()) {
        let mut time = run.decode_time;
        let mut samples = Vec::new();
        for &sample in run.samples {
            let end = offset + u64::from(sample.size);
            samples.push((offset..end, time, sample));
            offset = end;
            time += u64::from(sample.duration);
        }
        expected.push((run.track, samples));
    }
    assert_eq!(told, expected);
    assert_eq!(
        moof_length + mdat_length,
        offset,
        "the boxes end with the last payload"
    );
}

fn sample(duration: u32, size: u32, composition: i32, sync: bool) -> Sample {
    Sample {
        duration,
        size,
        composition,
        sync,
    }
}

#[test]
fn a_fragment_byte_by_byte() {
    let pictures = [sample(40, 5, 80, true), sample(40, 3, 0, false)];
    let sounds = [sample(21, 2, 0, true), sample(22, 2, 0, true)];
    let head = fragment(
        7,
        &[
            Run {
                track: 1,
                decode_time: 0x1_0000_0002,
                samples: &pictures,
            },
            Run {
                track: 2,
                decode_time: 9,
                samples: &sounds,
            },
        ],
    );
    let expected = "
        000000c4 6d6f6f66
        00000010 6d666864 00000000 00000007
        0000005c 74726166
        00000018 74666864 00020028 00000001 00000028 01010000
        00000014 74666474 01000000 0000000100000002
        00000028 7472756e 01000a05 00000002 000000cc 02000000
            00000005 00000050 00000003 00000000
        00000050 74726166
        00000018 74666864 00020030 00000002 00000002 02000000
        00000014 74666474 01000000 0000000000000009
        0000001c 7472756e 01000101 00000002 000000d4 00000015 00000016
        00000014 6d646174";
    assert_eq!(hex(expected), head);
}

#[test]
fn the_length_of_the_payload_takes_64_bits_only_where_it_has_to() {
    let most = u32::MAX - 8;
    for (size, more, header) in [(most, 0, 8), (most, 1, 16), (u32::MAX, u32::MAX, 16)] {
        let samples = [sample(1, size, 0, true), sample(1, more, 0, true)];
        let run = Run {
            track: 1,
            decode_time: 0,
            samples: &samples,
        };
        let head = fragment(1, &[run]);
        let (_, moof_length, _) = read(&head);
        assert_eq!(head.len() as u64 - moof_length, header);
        check(1, &[run]);
    }
}

#[test]
fn tracks_without_samples_are_left_out() {
    let samples = [sample(1, 1, 0, true)];
    let run = |track, samples| Run {
        track,
        decode_time: 5,
        samples,
    };
    check(1, &[run(1, &[]), run(2, &samples), run(3, &[])]);
    check(1, &[run(1, &[])]);
    check(1, &[]);
    assert_eq!(fragment(1, &[run(1, &[])]), fragment(1, &[]));
}

/// Samples of a real track are much alike, which is told shortly.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let few = prop_oneof![6 => Just(40u32), 1 => any::<u32>().prop_map(|number| number % 50_000)];
    let composition = prop_oneof![4 => Just(0), 1 => -90_000..90_000, 1 => Just(80)];
    let sync = prop_oneof![3 => Just(false), 1 => Just(true)];
    let one = (few.clone(), few, composition, sync);
    let list = prop::collection::vec(one, 0..12);
    (list, any::<bool>()).prop_map(|(list, all_sync)| {
        let samples = list.into_iter().map(|(duration, size, composition, sync)| {
            sample(duration, size, composition, sync || all_sync)
        });
        samples.collect()
    })
}

proptest! {
    #[test]
    fn another_reader_finds_what_was_written(
        sequence: u32,
        tracks in prop::collection::vec((any::<u32>(), any::<u64>(), samples()), 0..4),
    ) {
        let runs = tracks.iter().map(|&(track, time, ref samples)| Run {
            track,
            decode_time: time >> 20,
            samples,
        });
        check(sequence, &runs.collect::<Vec<_>>());
    }
}
