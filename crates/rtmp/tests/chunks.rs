//! The chunk stream: bytes of the specification, bytes of encoders that differ, and whatever
//! else there may be.

use bytes::{BufMut, Bytes, BytesMut};
use flv::Tag;
use proptest::prelude::*;
use rtmp::chunk::{ChunkReader, ChunkWriter, Error, Limits};
use rtmp::message::{Kind, Message};
use rtmp::wire::wire;
use weir_rtmp as rtmp;

/// Reads everything at once.
fn read(bytes: &[u8]) -> Result<Vec<Message>, Error> {
    read_with(&mut ChunkReader::new(Limits::default()), bytes)
}

fn read_with(reader: &mut ChunkReader, bytes: &[u8]) -> Result<Vec<Message>, Error> {
    let mut input = BytesMut::from(bytes);
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut input)? {
        messages.push(message);
    }
    Ok(messages)
}

/// Time and payload of each message; also when the bytes come one by one.
fn times(bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let brief = |message: Message| (message.timestamp, message.payload.to_vec());
    let whole: Vec<_> = read(bytes).unwrap().into_iter().map(brief).collect();
    let mut reader = ChunkReader::new(Limits::default());
    let (mut input, mut single) = (BytesMut::new(), Vec::new());
    for byte in bytes {
        input.put_u8(*byte);
        while let Some(message) = reader.read(&mut input).unwrap() {
            single.push(brief(message));
        }
    }
    assert_eq!(whole, single);
    whole
}

/// A type 0 header on chunk stream 4: audio for stream 1.
fn full(time: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![4];
    bytes.extend(&time.min(0xFF_FFFF).to_be_bytes()[1..]);
    bytes.extend(&(length as u32).to_be_bytes()[1..]);
    bytes.extend([8, 1, 0, 0, 0]);
    if time >= 0xFF_FFFF {
        bytes.extend(time.to_be_bytes());
    }
    bytes
}

fn set_chunk_size(size: u32) -> Vec<u8> {
    [
        &[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0][..],
        &size.to_be_bytes(),
    ]
    .concat()
}

#[test]
fn a_full_header_is_read_with_its_little_endian_stream_id() {
    let bytes = [3, 0, 0, 10, 0, 0, 2, 9, 4, 3, 2, 1, 0xAA, 0xBB];
    let expected = Message {
        chunk_stream: 3,
        timestamp: 10,
        kind: Kind::Video,
        stream_id: 0x0102_0304,
        payload: Bytes::from_static(&[0xAA, 0xBB]),
    };
    assert_eq!(read(&bytes).unwrap(), std::slice::from_ref(&expected));
    let mut written = BytesMut::new();
    ChunkWriter::new().write(&expected, &mut written);
    assert_eq!(written[..], bytes);
}

#[test]
fn chunk_stream_ids_take_one_two_or_three_bytes() {
    for (id, basic) in [
        (2, &[2][..]),
        (63, &[63]),
        (64, &[0, 0]),
        (319, &[0, 255]),
        (320, &[1, 0, 1]),
        (65_599, &[1, 255, 255]),
    ] {
        let header = [0, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 7];
        let bytes = [basic, &header].concat();
        let messages = read(&bytes).unwrap();
        assert_eq!(messages[0].chunk_stream, id);
        let mut written = BytesMut::new();
        ChunkWriter::new().write(&messages[0], &mut written);
        assert_eq!(written[..], bytes);
    }
    assert_eq!(
        read(&[1, 9, 0, 0, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 7]).unwrap()[0].chunk_stream,
        73
    );
}

#[test]
fn later_headers_inherit_and_add_up() {
    let bytes = [
        &full(1000, 2)[..],
        &[1, 1],
        &[0x44, 0, 0, 20, 0, 0, 1, 9],
        &[2], // type 1: delta, length, kind
        &[0x84, 0, 0, 30],
        &[3], // type 2: delta
        &[0xC4],
        &[4], // type 3: the same delta again
    ]
    .concat();
    let expected = [
        (1000, vec![1, 1]),
        (1020, vec![2]),
        (1050, vec![3]),
        (1080, vec![4]),
    ];
    assert_eq!(times(&bytes), expected);
    let messages = read(&bytes).unwrap();
    assert!(messages.iter().all(|message| message.stream_id == 1));
    assert_eq!(messages[3].kind, Kind::Video);
}

#[test]
fn a_repeat_after_a_full_header_adds_its_time_only_where_that_is_plausible() {
    let bytes = [&full(21, 1)[..], &[1], &[0xC4, 2], &[0xC4, 3]].concat();
    assert_eq!(times(&bytes), [(21, vec![1]), (42, vec![2]), (63, vec![3])]);
    let bytes = [&full(100_000, 1)[..], &[1], &[0xC4, 2], &[0xC4, 3]].concat();
    assert_eq!(
        times(&bytes),
        [(100_000, vec![1]), (100_000, vec![2]), (100_000, vec![3])]
    );
}

#[test]
fn the_first_header_of_a_chunk_stream_may_be_type_1_but_not_2_or_3() {
    let messages = read(&[0x42, 0, 0, 50, 0, 0, 4, 3, 0, 0, 1, 0]).unwrap();
    assert_eq!((messages[0].timestamp, messages[0].stream_id), (50, 0));
    assert_eq!(messages[0].value(), Some(256));
    assert_eq!(read(&[0x84, 0, 0, 1]), Err(Error::NoHeader(4)));
    assert_eq!(read(&[0xC0, 1]), Err(Error::NoHeader(65)));
}

#[test]
fn negative_deltas_wrap() {
    let bytes = [
        &full(1000, 1)[..],
        &[1],
        &[0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xDD],
        &[2], // 35 ms back
        &[0xC4, 0xFF, 0xFF, 0xFF, 0xDD],
        &[3],
    ]
    .concat();
    assert_eq!(
        times(&bytes),
        [(1000, vec![1]), (965, vec![2]), (930, vec![3])]
    );
}

#[test]
fn extended_times_are_read_on_every_chunk_or_where_they_are() {
    for time in [0xFF_FFFF, 0x0100_0000, u32::MAX] {
        let repeated = time.to_be_bytes();
        let payload = [7; 200];
        let with = [
            &full(time, 200),
            &payload[..128],
            &[0xC4],
            &repeated,
            &payload[128..],
        ]
        .concat();
        let without = [&full(time, 200), &payload[..128], &[0xC4], &payload[128..]].concat();
        for bytes in [with, without] {
            let tail = [&full(5, 1)[..], &[9]].concat();
            let expected = [(time, payload.to_vec()), (5, vec![9])];
            assert_eq!(times(&[bytes, tail].concat()), expected);
        }
    }
}

#[test]
fn a_repeated_header_with_extended_delta_keeps_its_field() {
    // Type 1 with an extended delta after sequence headers at 0, its field on each chunk.
    let delta = 16_778_000_u32.to_be_bytes();
    let payload = [1; 130];
    let bytes = [
        &full(0, 1)[..],
        &[0],
        &[0x44, 0xFF, 0xFF, 0xFF, 0, 0, 130, 9],
        &delta,
        &payload[..128],
        &[0xC4],
        &delta,
        &payload[128..],
        &[0x84, 0, 0, 40],
        &payload[..128],
        &[0xC4],
        &payload[128..],
    ]
    .concat();
    assert_eq!(
        times(&bytes),
        [
            (0, vec![0]),
            (16_778_000, payload.to_vec()),
            (16_778_040, payload.to_vec())
        ]
    );
}

#[test]
fn a_repeated_header_may_bring_the_new_time_in_the_extended_field() {
    // However many of its bytes differ, and however few belong to the message.
    for time in [0x0100_0000_u32, 0x0100_00F0, 0x0100_FFF0, 0x01FF_FFF0] {
        let bytes = [
            &full(time, 1)[..],
            &[1],
            &[0xC4],
            &(time + 40).to_be_bytes(),
            &[2],
        ]
        .concat();
        assert_eq!(times(&bytes), [(time, vec![1]), (time + 40, vec![2])]);
    }
}

#[test]
fn a_header_alone_is_the_middle_of_a_message() {
    let mut reader = ChunkReader::new(Limits::default());
    let bytes = [&full(7, 3)[..], &[1, 2, 3]].concat();
    let mut input = BytesMut::new();
    for (index, byte) in bytes.iter().enumerate() {
        input.extend_from_slice(&[*byte]);
        let is_whole = reader.read(&mut input).unwrap().is_some();
        let arrived = index + 1;
        assert_eq!(is_whole, arrived == bytes.len());
        assert_eq!(reader.is_mid_message(), (12..15).contains(&arrived));
    }
}

#[test]
fn messages_interleave_and_abort_drops_only_its_own() {
    let video = [6, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0];
    let audio = [&full(7, 3)[..], &[1, 2, 3]].concat();
    let whole = [&video[..], &[5; 128], &audio, &[0xC6], &[5; 72]].concat();
    assert_eq!(times(&whole), [(7, vec![1, 2, 3]), (0, vec![5; 200])]);
    let mut reader = ChunkReader::new(Limits::default());
    let half_audio = [&full(9, 130)[..], &[1; 128]].concat();
    let abort = [2, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 6];
    let bytes = [
        &video[..],
        &[5; 128],
        &half_audio,
        &abort,
        &[0xC4, 1, 1],
        &video,
        &[6; 128],
        &[0xC6],
        &[6; 72],
    ];
    let messages = read_with(&mut reader, &bytes.concat()).unwrap();
    let payloads: Vec<_> = messages
        .iter()
        .map(|message| message.payload.to_vec())
        .collect();
    assert_eq!(payloads, [vec![1; 130], vec![6; 200]]);
    assert_eq!(reader.held(), 0);
}

#[test]
fn a_new_header_in_the_middle_of_a_message_gives_the_old_one_up() {
    let bytes = [&full(1, 200)[..], &[1; 128], &full(2, 2), &[2, 2]].concat();
    assert_eq!(times(&bytes), [(2, vec![2, 2])]);
}

#[test]
fn chunk_sizes_from_1_to_16_mib_are_honoured() {
    for size in [
        1_u32,
        128,
        4096,
        60_000,
        65_536,
        65_537,
        8 << 20,
        16 << 20,
        0x7FFF_FFFF,
        0x8000_1000,
    ] {
        let effective = (size & 0x7FFF_FFFF).min(0xFF_FFFF) as usize;
        let payload: Vec<u8> = (0..70_000_u32).map(|i| i as u8).collect();
        let mut bytes = [set_chunk_size(size), full(3, payload.len())].concat();
        for (index, piece) in payload.chunks(effective).enumerate() {
            if index > 0 {
                bytes.push(0xC4);
            }
            bytes.extend(piece);
        }
        let messages = read(&bytes).unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].payload, payload);
    }
    assert_eq!(read(&set_chunk_size(0)), Err(Error::ZeroChunkSize));
    assert_eq!(
        read(&set_chunk_size(0x8000_0000)),
        Err(Error::ZeroChunkSize)
    );
}

#[test]
fn our_chunk_size_changes_with_the_very_next_message() {
    let mut writer = ChunkWriter::new();
    let mut out = BytesMut::new();
    writer.write(&Message::set_chunk_size(4096), &mut out);
    let payload = Bytes::from_static(&[9; 211]);
    writer.write(
        &Message {
            chunk_stream: 3,
            timestamp: 0,
            kind: Kind::Command,
            stream_id: 0,
            payload,
        },
        &mut out,
    );
    assert_eq!(out.len(), 16 + 12 + 211);
}

#[test]
fn empty_messages_are_messages() {
    assert_eq!(
        times(&[&full(1, 0)[..], &[0xC4], &full(5, 0)].concat()).len(),
        3
    );
}

#[test]
fn lengths_over_the_limit_are_refused_before_anything_is_kept() {
    let limits = Limits {
        max_message: 1000,
        max_command: 100,
        ..Limits::default()
    };
    let refused = |bytes: &[u8]| {
        let mut reader = ChunkReader::new(limits);
        let result = read_with(&mut reader, bytes);
        assert_eq!(reader.held(), 0);
        result.unwrap_err()
    };
    let error = Error::TooLong {
        kind: Kind::Audio,
        length: 1001,
        limit: 1000,
    };
    assert_eq!(refused(&full(0, 1001)), error);
    let mut command = full(0, 101);
    command[7] = 20;
    let error = Error::TooLong {
        kind: Kind::Command,
        length: 101,
        limit: 100,
    };
    assert_eq!(refused(&command), error);
    let mut control = full(0, 101);
    control[7] = 4;
    let error = Error::TooLong {
        kind: Kind::UserControl,
        length: 101,
        limit: 100,
    };
    assert_eq!(refused(&control), error);
}

#[test]
fn declared_lengths_cost_nothing_until_the_bytes_come() {
    let limits = Limits {
        max_partial: 1 << 20,
        ..Limits::default()
    };
    let mut reader = ChunkReader::new(limits);
    for id in 10..26 {
        let mut bytes = full(0, 0xFF_FFFF);
        bytes[0] = id;
        bytes.extend([1; 128]);
        read_with(&mut reader, &bytes).unwrap();
    }
    assert!(reader.held() <= 16 * 16 * 1024, "{}", reader.held());
    // Whoever really sends that much meets the bound.
    let mut bytes = set_chunk_size(0xFF_FFFF);
    bytes.extend(full(0, 0xFF_FFFF));
    bytes.extend(vec![0; 2 << 20]);
    assert_eq!(
        read_with(&mut reader, &bytes),
        Err(Error::TooMuchHeld(1 << 20))
    );
    assert!(reader.held() <= 1 << 20);
}

#[test]
fn the_number_of_chunk_streams_is_bounded() {
    let mut reader = ChunkReader::new(Limits {
        max_chunk_streams: 3,
        ..Limits::default()
    });
    let on = |id: u8| [&[id], &full(0, 1)[1..], &[1]].concat();
    for id in [3, 4, 5, 3, 4, 5] {
        read_with(&mut reader, &on(id)).unwrap();
    }
    assert_eq!(
        read_with(&mut reader, &on(6)),
        Err(Error::TooManyChunkStreams(3))
    );
}

/// The wire form of a tag, joined.
fn joined(tag: &Tag, time: u32, chunk_size: u32, stream: u32) -> Vec<u8> {
    wire(tag, time, chunk_size, stream).concat()
}

#[test]
fn the_wire_form_has_full_headers_and_the_extended_time_on_every_chunk() {
    let payload: Vec<u8> = (0..1500_u32).map(|i| i as u8).collect();
    let tag = Tag::new(flv::Kind::Video, 0, payload.clone().into());
    let mut golden = vec![6, 0xFF, 0xFF, 0xFF, 0, 5, 0xDC, 9, 1, 0, 0, 0, 1, 0, 0, 5];
    golden.extend(&payload[..1000]);
    golden.extend([0xC6, 1, 0, 0, 5]);
    golden.extend(&payload[1000..]);
    assert_eq!(joined(&tag, 0x0100_0005, 1000, 1), golden);
    let tag = Tag::new(flv::Kind::Audio, 0, Bytes::from_static(&[0xAF, 1, 7]));
    assert_eq!(
        joined(&tag, 0x0203, 1000, 3),
        [4, 0, 2, 3, 0, 0, 3, 8, 3, 0, 0, 0, 0xAF, 1, 7]
    );
}

#[test]
fn the_wire_form_shares_long_payloads() {
    let tag = Tag::new(flv::Kind::Video, 0, vec![0x27; 5000].into());
    let slices = wire(&tag, 9, 4096, 1);
    assert_eq!(slices.len(), 4);
    assert_eq!(slices[1].as_ptr(), tag.payload.as_ptr());
    assert_eq!(slices[3].as_ptr(), tag.payload[4096..].as_ptr());
    let short = Tag::new(flv::Kind::Audio, 0, vec![0xAF; 300].into());
    assert_eq!(wire(&short, 9, 4096, 1).len(), 1);
}

fn any_message() -> impl Strategy<Value = Message> {
    let id = prop_oneof![3..64_u32, 64..320_u32, 320..65_600_u32];
    let time = prop_oneof![any::<u32>(), 0xFF_FFF0..0x100_0010_u32, 0..1000_u32];
    // Neither Set Chunk Size nor Abort, which the reader keeps.
    (
        id,
        time,
        3..=255_u8,
        any::<u32>(),
        prop::collection::vec(any::<u8>(), 0..3000),
    )
        .prop_map(
            |(chunk_stream, timestamp, kind, stream_id, payload)| Message {
                chunk_stream,
                timestamp,
                kind: kind.into(),
                stream_id,
                payload: payload.into(),
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_any_pieces(
        messages in prop::collection::vec(any_message(), 1..12),
        sizes in prop::collection::vec(1..5000_u32, 1..4),
        pieces in prop::collection::vec(1..700_usize, 1..20),
    ) {
        let mut writer = ChunkWriter::new();
        let mut bytes = BytesMut::new();
        for (index, message) in messages.iter().enumerate() {
            if let Some(size) = sizes.get(index) {
                writer.write(&Message::set_chunk_size(*size), &mut bytes);
            }
            writer.write(message, &mut bytes);
        }
        let mut reader = ChunkReader::new(Limits::default());
        let (mut input, mut read) = (BytesMut::new(), Vec::new());
        for piece in pieces.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            input.extend_from_slice(&bytes.split_to((*piece).min(bytes.len())));
            while let Some(message) = reader.read(&mut input).unwrap() {
                read.push(message);
            }
        }
        prop_assert_eq!(read, messages);
        prop_assert!(input.is_empty());
        prop_assert_eq!(reader.held(), 0);
    }

    #[test]
    fn the_wire_form_is_what_the_writer_writes(
        payload in prop::collection::vec(any::<u8>(), 0..3000),
        time in any::<u32>(),
        size in 1..4000_u32,
        stream in any::<u32>(),
        kind in 0..3_usize,
    ) {
        let kind = [flv::Kind::Audio, flv::Kind::Video, flv::Kind::Data][kind];
        let tag = Tag::new(kind, 1, payload.into());
        let message = Message {
            chunk_stream: [4, 6, 5][kind as usize],
            timestamp: time,
            kind: kind.id().into(),
            stream_id: stream,
            payload: tag.payload.clone(),
        };
        let mut writer = ChunkWriter::new();
        let mut written = BytesMut::new();
        writer.write(&Message::set_chunk_size(size), &mut written);
        written.clear();
        writer.write(&message, &mut written);
        prop_assert_eq!(joined(&tag, time, size, stream), written.to_vec());
    }

    #[test]
    fn random_bytes_never_panic_and_hold_no_more_than_the_bound(
        bytes in prop::collection::vec(any::<u8>(), 0..4000),
        piece in 1..500_usize,
    ) {
        let limits = Limits { max_partial: 100_000, ..Limits::default() };
        let mut reader = ChunkReader::new(limits);
        let mut input = BytesMut::new();
        'all: for piece in bytes.chunks(piece) {
            input.extend_from_slice(piece);
            loop {
                match reader.read(&mut input) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'all,
                }
            }
            prop_assert!(reader.held() <= 100_000);
        }
    }
}
