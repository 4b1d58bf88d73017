//! What peers may make us hold before we have accepted anything of theirs.

mod support;

use allocation_counter::{AllocationInfo, measure};
use rtmp::message::{Kind, Message};
use rtmp::{Config, Error, Event};
use support::peer::{Peer, command, message};
use weir_rtmp as rtmp;

const CHUNK: usize = 20_000;
/// A peer's chunk streams but those that it speaks on otherwise.
const CHUNK_STREAMS: std::ops::Range<u8> = 8..36;
/// What a session holds besides: chunk streams, places for events, spare room of buffers.
const GRACE: u64 = 64 << 10;

/// The first chunk of a long message.
fn begin(chunk_stream: u8, kind: Kind, length: u32) -> Vec<u8> {
    let [_, a, b, c] = length.to_be_bytes();
    let header = [chunk_stream, 0, 0, 0, a, b, c, kind.into(), 1, 0, 0, 0];
    [&header[..], &[7; CHUNK]].concat()
}

/// A further one, of so many bytes.
fn go_on(chunk_stream: u8, bytes: usize) -> Vec<u8> {
    [&[0xC0 | chunk_stream][..], &vec![7; bytes]].concat()
}

/// Sends so many chunks of a message of `length` on each chunk stream, and ends none. What memory
/// that took, and what came of it.
fn flood(
    peer: &mut Peer,
    kind: Kind,
    length: u32,
    chunks: usize,
) -> (AllocationInfo, Result<(), Error>) {
    peer.says(&Message::set_chunk_size(CHUNK as u32));
    let mut result = Ok(());
    let held = measure(|| {
        for chunk in 0..chunks {
            for chunk_stream in CHUNK_STREAMS {
                let bytes = match chunk {
                    0 => begin(chunk_stream, kind, length),
                    _ => go_on(chunk_stream, CHUNK),
                };
                if result.is_ok() {
                    result = peer.says_bytes(&bytes);
                }
            }
        }
    });
    (held, result)
}

fn undecided() -> Peer {
    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    peer.says(&command("publish", 0.0, &["cam".into()], 1));
    peer
}

fn unpublished() -> Peer {
    let mut peer = Peer::publishing(Config::default());
    peer.says(&command("deleteStream", 0.0, &[1.0.into()], 0));
    peer
}

#[test]
fn media_that_nobody_asked_to_publish_is_not_held() {
    for (stage, mut peer) in [
        ("before connect", Peer::new(Config::default())),
        ("connected", Peer::connected(Config::default())),
        ("playing", Peer::playing(Config::default())),
        ("unpublished", unpublished()),
    ] {
        for kind in [Kind::Video, Kind::Data, Kind::Aggregate, Kind::Other(99)] {
            let (held, result) = flood(&mut peer, kind, 1 << 20, 10);
            assert_eq!(result, Ok(()), "{stage}: {kind:?}");
            assert!(held.bytes_max < GRACE, "{stage}: {kind:?} takes {held:?}");
        }
    }
}

#[test]
fn commands_of_all_chunk_streams_share_a_bound() {
    let most = Config::default().max_unaccepted;
    for kind in [Kind::Command, Kind::UserControl] {
        for (stage, mut peer) in [
            ("before connect", Peer::new(Config::default())),
            ("connected", Peer::connected(Config::default())),
            ("playing", Peer::playing(Config::default())),
            ("undecided", undecided()),
        ] {
            let (held, result) = flood(&mut peer, kind, 60_000, 2);
            let refused = matches!(result, Err(Error::Chunk(_)));
            assert!(refused, "{stage}: {kind:?}: {result:?}");
            assert!(held.bytes_max < most as u64 + GRACE, "{stage}: {held:?}");
        }
    }
}

#[test]
fn half_commands_and_those_that_wait_share_a_bound() {
    let mut peer = Peer::new(Config::default());
    let long = "x".repeat(40_000);
    peer.says(&Message::set_chunk_size(CHUNK as u32));
    peer.says_bytes(&begin(8, Kind::Command, 60_000)).unwrap();
    // Before connect, they wait.
    let bytes = peer.bytes(&command("createStream", 0.0, &[long.as_str().into()], 0));
    let results: Vec<_> = (0..3).map(|_| peer.says_bytes(&bytes)).collect();
    assert_eq!(results[..2], [Ok(()), Ok(())]);
    assert!(results[2].is_err());
}

#[test]
fn media_that_waits_for_an_answer_has_one_bound_whole_or_half() {
    let most = Config::default().max_held;
    let mut peer = undecided();
    let whole = message(Kind::Video, 1, 0, &[0x27; 100_000]);
    let held = measure(|| (0..30).for_each(|_| peer.says(&whole)));
    assert!(held.bytes_current >= 3_000_000, "it waits: {held:?}");
    let (half, result) = flood(&mut peer, Kind::Video, 1 << 20, 10);
    assert_eq!(result, Ok(()));
    let all = half.bytes_current + held.bytes_current;
    assert!(all < (most as u64 + GRACE) as i64, "{all} bytes");
}

#[test]
fn what_was_under_way_when_a_publish_ended_is_not_held() {
    let mut peer = Peer::publishing(Config::default());
    let (held, result) = flood(&mut peer, Kind::Video, 1 << 20, 4);
    assert_eq!(result, Ok(()));
    assert!(held.bytes_current > 2_000_000, "{held:?}");
    let ended = measure(|| peer.says(&command("deleteStream", 0.0, &[1.0.into()], 0)));
    let left = held.bytes_current + ended.bytes_current;
    assert!(left < GRACE as i64, "{left} bytes");
}

fn tags(events: &[Event]) -> Vec<usize> {
    let length = |event: &Event| match event {
        Event::Tag { tag, .. } => Some(tag.payload.len()),
        _ => None,
    };
    events.iter().filter_map(length).collect()
}

#[test]
fn what_was_let_go_takes_nothing_else_along() {
    let mut peer = Peer::connected(Config::default());
    peer.says(&Message::set_chunk_size(CHUNK as u32));
    // Two messages of which one ends before, the other after the publish.
    let (first, second) = (8, 9);
    peer.says_bytes(&begin(first, Kind::Video, 30_000)).unwrap();
    peer.says_bytes(&begin(second, Kind::Video, 30_000))
        .unwrap();
    assert!(peer.server.session.is_mid_message());
    peer.says_bytes(&go_on(first, 10_000)).unwrap();
    peer.says(&command("publish", 0.0, &["cam".into()], 1));
    assert!(peer.server.session.is_mid_message());
    peer.says_bytes(&go_on(second, 10_000)).unwrap();
    assert!(!peer.server.session.is_mid_message());
    assert_eq!(tags(&peer.events()), [0; 0]);
    for chunk_stream in [first, second] {
        peer.says_bytes(&begin(chunk_stream, Kind::Video, 25_000))
            .unwrap();
        peer.says_bytes(&go_on(chunk_stream, 5000)).unwrap();
    }
    assert_eq!(tags(&peer.events()), [25_000; 2]);
}

#[test]
fn a_first_picture_that_comes_with_the_request_is_kept() {
    let mut peer = undecided();
    peer.says(&Message::set_chunk_size(CHUNK as u32));
    peer.says_bytes(&begin(8, Kind::Video, 1 << 20)).unwrap();
    peer.server.session.accept_publish(1);
    let rest = (1 << 20) - CHUNK;
    for _ in 0..rest / CHUNK {
        peer.says_bytes(&go_on(8, CHUNK)).unwrap();
    }
    peer.says_bytes(&go_on(8, rest % CHUNK)).unwrap();
    assert_eq!(tags(&peer.events()), [1 << 20]);
}
