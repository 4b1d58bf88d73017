use std::time::Duration;

use media::{Cut, Segment};
use proptest::prelude::*;
use prost::Message;

use super::*;

fn tag(number: u64, ms: i64, payload: &'static [u8]) -> Relayed {
    Relayed {
        tag: Tag::new(Kind::Video, ms as u32, Bytes::from_static(payload)),
        number,
        time: ms * NS_PER_MS,
        composition: 0,
        ingest: 0,
        came: 0,
        version: 0,
        keypoint: false,
        repeat: false,
        cut: None,
        metadata: None,
    }
}

/// Through bytes, as on the wire.
fn round_trip(tags: &[Relayed]) -> Result<Vec<Relayed>, Nonsense> {
    let mut batch = Batch::default();
    for tag in tags {
        assert!(batch.takes(tag.number));
        batch.push(tag.clone());
    }
    let bytes = batch.take().encode_to_vec();
    let down = wire::Down::decode(Bytes::from(bytes)).expect("ours");
    let Some(wire::down::Kind::Tags(message)) = down.kind else {
        panic!("tags");
    };
    read(message).map(|(tags, _)| tags)
}

#[test]
fn all_that_a_tag_says_goes_over_the_wire() {
    let segment = Segment {
        first_listed: 90,
        discontinuity: 3,
        version: 7,
        date_time: 1_790_000_000_123_456_789,
        independent: true,
        target: Duration::from_secs(4),
        part_target: Some(Duration::from_millis(200)),
    };
    let cut = Cut {
        msn: 100,
        part: 0,
        start: 79_999_000_000,
        segment: Some(segment),
    };
    let first = Relayed {
        // A third of a second of 90 kHz is no whole number of anything.
        time: 80_033_333_333,
        composition: 66_666_667,
        ingest: 1_790_000_000_000_000_001,
        version: 7,
        keypoint: true,
        cut: Some(cut.clone()),
        metadata: Some(Bytes::from_static(b"corrected")),
        ..tag(u64::MAX - 2, 80_033, &[0x17, 1, 0, 0, 0])
    };
    let second = Relayed {
        time: 80_010_000_000,
        composition: -5,
        ingest: 1_789_999_999_000_000_000,
        // A replica of an older configuration: versions may step back.
        version: 6,
        repeat: true,
        cut: Some(Cut {
            part: 1,
            segment: None,
            ..cut
        }),
        ..tag(u64::MAX - 1, 80_010, &[])
    };
    let tags = [first, second];
    assert_eq!(round_trip(&tags).as_deref(), Ok(&tags[..]));
}

#[test]
fn time_goes_on_over_the_wrap_of_its_32_bits() {
    let wrap = 1 << 32;
    let times = [-5, wrap - 40, wrap - 1, wrap, wrap + 40, 3 * wrap];
    let tags: Vec<_> = times
        .into_iter()
        .zip(0..)
        .map(|(ms, number)| tag(number, ms, &[]))
        .collect();
    assert_eq!(round_trip(&tags).as_deref(), Ok(&tags[..]));
}

#[test]
fn what_is_believed_is_believed_by_the_next_node_too() {
    let read_one = |time: i64, fine: i64| {
        let tag = wire::Tag {
            kind: 8,
            fine,
            ..Default::default()
        };
        read(wire::Tags {
            time,
            tags: vec![tag],
            ..Default::default()
        })
    };
    for time in [-MAX_MS, 0, MAX_MS] {
        for fine in [-MAX_FINE, -NS_PER_MS, -1, 0, 1, NS_PER_MS, MAX_FINE] {
            let (tags, _) = read_one(time, fine).expect("believed");
            assert_eq!(round_trip(&tags), Ok(tags), "{time} {fine}");
        }
        // The timestamp would say nothing about where it is.
        assert!(read_one(time, MAX_FINE + 1).is_err());
        assert!(read_one(time, -MAX_FINE - 1).is_err());
    }
    assert!(read_one(MAX_MS + 1, 0).is_err());
}

#[test]
fn a_tag_is_small_beside_its_payload() {
    let sound = |number: u64| Relayed {
        time: number as i64 * 21_333_333,
        ingest: 1_790_000_000_000_000_000 + number as i64 * 21_400_000,
        version: 4,
        ..tag(number, number as i64 * 21_333_333 / NS_PER_MS, &[0xaf; 350])
    };
    let mut batch = Batch::default();
    (0..100).for_each(|number| batch.push(sound(number)));
    let beside = batch.take().encoded_len() - 100 * 350;
    assert!(beside < 100 * 25, "{beside}");
}

#[test]
fn a_batch_takes_only_what_comes_next() {
    let mut batch = Batch::default();
    assert!(batch.takes(7));
    batch.push(tag(7, 0, &[]));
    assert!(batch.takes(8));
    assert!(!batch.takes(7) && !batch.takes(9));
    batch.take();
    assert!(batch.is_empty() && batch.takes(3));
    // Nor more than a message may hold.
    let most = proto::MAX_TAGS as u64;
    (0..most - 1).for_each(|number| batch.push(tag(number, 0, &[])));
    assert!(batch.takes(most - 1));
    batch.push(tag(most - 1, 0, &[]));
    assert!(!batch.takes(most));
}

#[test]
fn a_message_is_no_longer_than_its_weight() {
    let far = i64::MAX / 4;
    let cut = || Cut {
        msn: u64::MAX,
        part: u32::MAX,
        start: -far,
        segment: Some(Segment {
            first_listed: u64::MAX,
            discontinuity: u64::MAX,
            version: u32::MAX,
            date_time: -far,
            independent: true,
            target: Duration::from_nanos(far as u64),
            part_target: Some(Duration::from_nanos(far as u64)),
        }),
    };
    let mut batch = Batch::default();
    for number in 0..100 {
        let sign = if number % 2 == 0 { 1 } else { -1 };
        batch.push(Relayed {
            time: sign * far,
            composition: -far,
            ingest: sign * far,
            version: (number as u32 % 2) * u32::MAX / 2,
            keypoint: true,
            repeat: true,
            cut: Some(cut()),
            metadata: Some(Bytes::from_static(&[7; 5000])),
            ..tag(number, sign * far / NS_PER_MS, &[1; 100])
        });
    }
    let (bytes, weight) = (batch.bytes(), batch.weight());
    assert_eq!(bytes, 100 * 100);
    let message = batch.take().encoded_len();
    assert!(message <= weight, "{message} of {weight}");
}

#[test]
fn small_payloads_are_copied_out_of_large_messages_alone() {
    let message = Bytes::from(vec![0; 100_000]);
    let is_copied = |len: usize, all: usize| {
        let slice = message.slice(..len);
        let kept = keep(slice.clone(), all);
        assert_eq!(kept, slice);
        kept.as_ptr() != slice.as_ptr()
    };
    assert!(is_copied(350, 20_000));
    assert!(!is_copied(350, 350), "it is the message");
    assert!(!is_copied(350, 1400), "a quarter of the message");
    assert!(is_copied(1024, 20_000));
    assert!(!is_copied(1025, 20_000), "copying would cost");
}

prop_compose! {
    fn any_tag()(
        kind in any::<u32>(),
        steps in any::<[i64; 4]>(),
        version_step in any::<i32>(),
        payload in prop::collection::vec(any::<u8>(), 0..64),
        cut in prop::option::of(any::<(u64, u32, i64, i64, i64)>()),
    ) -> wire::Tag {
        let cut = cut.map(|(segment, part, start, date_time, target)| Box::new(wire::Cut {
            segment,
            part,
            start,
            mark: Some(wire::Mark { date_time, target, part_target: start, ..Default::default() }),
        }));
        wire::Tag {
            // Most of them something that there is.
            kind: [8, 9, 18, kind][kind as usize % 4],
            payload: payload.into(),
            time_step: steps[0] >> (steps[1] & 63),
            fine: steps[1] >> (steps[2] & 63),
            composition: steps[2] >> (steps[3] & 63),
            ingest_step: steps[3] >> (steps[0] & 63),
            version_step,
            cut,
            ..Default::default()
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_peer_says_is_tags_or_nonsense(
        number: u64,
        time: i64,
        ingest: i64,
        tags in prop::collection::vec(any_tag(), 0..8),
    ) {
        let message = wire::Tags { number, time: time >> 20, ingest: ingest >> 2, version: 1, tags };
        if let Ok((tags, _)) = read(message) {
            // And then it goes on over the wire as it came.
            prop_assert_eq!(round_trip(&tags), Ok(tags));
        }
    }

    #[test]
    fn whatever_bytes_a_peer_sends_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(wire::Down { kind: Some(wire::down::Kind::Tags(tags)) }) = wire::Down::decode(&bytes[..]) {
            let _ = read(tags);
        }
        if let Ok(wire::Down { kind: Some(wire::down::Kind::Described(described)) }) = wire::Down::decode(&bytes[..]) {
            let _ = crate::wire::description(described, true);
        }
        if let Ok(wire::Up { kind: Some(wire::up::Kind::Subscribe(wanted)) }) = wire::Up::decode(&bytes[..]) {
            let _ = crate::wire::subscribe::from_wire(wanted);
        }
    }
}
