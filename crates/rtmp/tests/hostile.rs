//! Peers that mean no good: each limit has its test, and no bytes make a session panic.

mod support;

use amf::{Object, Value};
use bytes::BytesMut;
use proptest::prelude::*;
use rtmp::message::{Kind, Message, UserControl};
use rtmp::{Config, Error, Event, handshake};
use support::peer::{Peer, command, connect, message};
use support::{Server, asked, capture};
use weir_rtmp as rtmp;

#[test]
fn another_protocol_is_refused_at_its_first_byte() {
    let mut server = Server::new(Config::default());
    let refused = server.feed(b"GET / HTTP/1.1\r\n");
    assert_eq!(
        refused,
        Err(Error::Handshake(handshake::Error::Version(b'G')))
    );
    assert!(server.output.is_empty());
}

#[test]
fn commands_without_connect_are_kept_only_so_far() {
    let mut peer = Peer::new(Config {
        max_held: 2000,
        ..Config::default()
    });
    let bytes = peer.bytes(&command("createStream", 2.0, &[], 0));
    let results: Vec<_> = (0..100).map(|_| peer.says_bytes(&bytes)).collect();
    let refused = results.iter().position(Result::is_err).unwrap();
    assert!(refused > 5 && refused < 40);
    assert_eq!(results[refused], Err(Error::TooMuchHeld(2000)));
}

#[test]
fn requests_behind_an_undecided_one_are_counted() {
    // Each waits behind the one before.
    for verb in ["publish", "play"] {
        let mut peer = Peer::connected(Config {
            max_held_commands: 20,
            ..Config::default()
        });
        peer.agreeable = false;
        peer.says(&command(verb, 0.0, &["a".into()], 1));
        let again = peer.bytes(&command(verb, 0.0, &["b".into()], 1));
        for _ in 0..20 {
            peer.says_bytes(&again).unwrap();
        }
        assert_eq!(peer.says_bytes(&again), Err(Error::TooManyHeld(20)));
    }
}

#[test]
fn an_answer_is_never_taken_for_one_to_another_request() {
    // What is allowed, its end by whatever words, and what is not allowed, on the same stream.
    let ends = [
        None,
        Some(command("close", 0.0, &[], 0)),
        Some(command("closeStream", 0.0, &[], 1)),
        Some(command("deleteStream", 0.0, &[1.0.into()], 0)),
        Some(command("FCUnpublish", 0.0, &["open".into()], 0)),
    ];
    for verb in ["publish", "play"] {
        for (end, heard_of) in ends.iter().flat_map(|end| [(end, true), (end, false)]) {
            let mut peer = Peer::connected(Config::default());
            peer.agreeable = false;
            peer.says(&command(verb, 0.0, &["open".into()], 1));
            let mut events = if heard_of { peer.events() } else { Vec::new() };
            if let Some(end) = end {
                peer.says(end);
            }
            peer.says(&command(verb, 0.0, &["closed".into()], 1));
            events.extend(peer.events());
            let session = &mut peer.server.session;
            session.accept_publish(1);
            session.accept_play(1);
            let after = peer.events();
            let names = |events: &[Event]| -> Vec<String> {
                let name = |event: &Event| match event {
                    Event::Publish(publish) => publish.name.clone(),
                    Event::Play(play) => play.name.clone(),
                    Event::PublishEnded { .. } | Event::PlayEnded { .. } => "ended".to_owned(),
                    other => format!("{other:?}"),
                };
                events.iter().map(name).collect()
            };
            assert_eq!(names(&events), ["open"], "{verb}, {end:?}");
            assert_eq!(names(&after), ["ended", "closed"], "{verb}, {end:?}");
        }
    }
}

#[test]
fn media_for_an_undecided_publish_is_kept_only_so_far_and_then_lost() {
    let mut peer = Peer::connected(Config {
        max_held: 10_000,
        ..Config::default()
    });
    peer.agreeable = false;
    peer.says(&command("publish", 0.0, &["cam".into()], 1));
    for _ in 0..100 {
        peer.says(&message(Kind::Video, 1, 0, &[0x27; 1000]));
    }
    peer.server.session.accept_publish(1);
    let tags = peer
        .events()
        .iter()
        .filter(|event| matches!(event, Event::Tag { .. }))
        .count();
    assert_eq!(tags, 9);
    peer.says(&message(Kind::Video, 1, 0, &[0x27; 1000]));
    assert_eq!(peer.events().len(), 1);
}

#[test]
fn media_for_an_undecided_publish_is_counted_and_empty_media_not_kept() {
    let mut peer = Peer::connected(Config {
        max_held_media: 10,
        max_held_commands: 2,
        ..Config::default()
    });
    peer.agreeable = false;
    peer.says(&command("publish", 0.0, &["cam".into()], 1));
    for _ in 0..20 {
        peer.says(&message(Kind::Audio, 1, 0, &[]));
    }
    for number in 0..20 {
        peer.says(&message(Kind::Audio, 1, 0, &[0xAF, 1, number]));
    }
    // Commands are counted by themselves: an encoder may end what was never answered.
    peer.says(&command("FCUnpublish", 0.0, &["cam".into()], 0));
    peer.server.session.accept_publish(1);
    let events = peer.events();
    let tags = events
        .iter()
        .filter(|event| matches!(event, Event::Tag { .. }));
    assert_eq!(tags.count(), 10);
    assert_eq!(events.last(), Some(&Event::PublishEnded { stream_id: 1 }));
}

#[test]
fn what_is_wrong_with_a_message_that_waited_is_told() {
    let tag = [&[8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xAF][..], &[0, 0, 0, 12]].concat();
    let aggregate = message(Kind::Aggregate, 1, 0, &tag.repeat(3));
    let config = Config {
        max_aggregate: 2,
        ..Config::default()
    };
    let broken = Error::TooManyTags(2);
    let mut peer = Peer::publishing(config.clone());
    let bytes = peer.bytes(&aggregate);
    assert_eq!(peer.says_bytes(&bytes), Err(broken.clone()));
    let mut peer = Peer::connected(config);
    peer.agreeable = false;
    peer.says(&command("publish", 0.0, &["cam".into()], 1));
    peer.says(&aggregate);
    assert_eq!(peer.server.session.failed(), None);
    peer.server.session.accept_publish(1);
    assert_eq!(peer.server.session.failed(), Some(&broken));
    peer.hears();
    assert!(peer.server.session.is_closing());
}

#[test]
fn of_what_connect_says_a_connection_keeps_only_so_much() {
    let query = "a&".repeat(10_000);
    let tc_url = format!("rtmp://h/live?{query}");
    let codecs: Vec<Value> = (0..5000).map(|_| "zzzz".into()).collect();
    let map: Object = (0..1000)
        .map(|number| (number.to_string(), Value::from(1.0)))
        .collect();
    let mut members: Vec<(String, Value)> = (0..200)
        .map(|number| (format!("k{number}"), "v".into()))
        .collect();
    members.push(("app".into(), format!("live?{}", &query[..4000]).into()));
    members.push(("tcUrl".into(), tc_url.into()));
    members.push(("fourCcList".into(), Value::StrictArray(codecs)));
    members.push(("videoFourCcInfoMap".into(), map.clone().into()));
    members.push(("audioFourCcInfoMap".into(), map.into()));
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let mut peer = Peer::new(Config {
        max_command: 1 << 20,
        ..Config::default()
    });
    peer.says(&connect(&members));
    let events = peer.events();
    let [Event::Connect(connect)] = &events[..] else {
        panic!("{} events", events.len())
    };
    assert_eq!(connect.params.iter().count(), 3 * 64);
    let caps = peer.server.session.caps().unwrap();
    let counts = [caps.fourccs.len(), caps.video.len(), caps.audio.len()];
    assert_eq!(counts, [64; 3]);
}

#[test]
fn long_names_are_refused() {
    let long = "x".repeat(2000);
    let refused = |events: &[Event]| -> Vec<&'static str> {
        let request = |event: &Event| match event {
            Event::Refused { request, .. } => *request,
            other => panic!("{other:?}"),
        };
        events.iter().map(request).collect()
    };
    let mut peer = Peer::new(Config::default());
    peer.says(&connect(&[("app", long.as_str().into())]));
    assert_eq!(
        peer.hears(),
        [
            "_error/0 #1 error NetConnection.Connect.Rejected",
            "onStatus/0 error NetConnection.Connect.InvalidApp"
        ]
    );
    assert_eq!(refused(&peer.events()), ["connect"]);
    let mut peer = Peer::connected(Config::default());
    peer.says(&command("play", 0.0, &[long.as_str().into()], 1));
    assert_eq!(peer.hears(), ["onStatus/1 error NetStream.Play.Failed"]);
    peer.says(&command("publish", 0.0, &[long.as_str().into()], 1));
    assert_eq!(peer.hears(), ["onStatus/1 error NetStream.Publish.BadName"]);
    assert!(peer.server.session.is_closing());
    assert_eq!(refused(&peer.events()), ["play", "publish"]);
}

#[test]
fn streams_nobody_created_count_as_well() {
    let mut peer = Peer::connected(Config {
        max_streams: 3,
        ..Config::default()
    });
    for stream_id in 1..=3 {
        peer.says(&command("play", 0.0, &["cam".into()], stream_id));
    }
    peer.hears();
    peer.says(&command("play", 0.0, &["cam".into()], 4));
    assert_eq!(peer.hears(), ["onStatus/4 error NetStream.Play.Failed"]);
    assert!(!peer.server.session.is_closing());
}

#[test]
fn answers_nobody_takes_end_the_connection() {
    let mut peer = Peer::connected(Config {
        max_pending_output: 4096,
        ..Config::default()
    });
    peer.agreeable = false;
    let ping = peer.bytes(&Message::user_control(UserControl::PingRequest(1)));
    let flood: BytesMut = ping
        .iter()
        .copied()
        .cycle()
        .take(ping.len() * 1000)
        .collect();
    assert_eq!(peer.says_bytes(&flood), Err(Error::TooMuchOutput(4096)));
}

#[test]
fn deeply_nested_values_cost_nothing() {
    let mut payload = b"\x02\x00\x07connect\x00\x3f\xf0\x00\x00\x00\x00\x00\x00".to_vec();
    for _ in 0..15_000 {
        payload.extend(b"\x03\x00\x01a");
    }
    let mut peer = Peer::new(Config::default());
    let bytes = peer.bytes(&message(Kind::Command, 0, 0, &payload));
    peer.says_bytes(&bytes).unwrap();
    let mut nested = Value::from(1.0);
    for _ in 0..40 {
        nested = [("a", nested)].into_iter().collect::<Object>().into();
    }
    let mut peer = Peer::connected(Config::default());
    peer.says(&command("dance", 0.0, &[nested], 0));
}

#[test]
fn a_quiet_session_is_small() {
    let mut peer = Peer::playing(Config::default());
    for time in 0..100 {
        peer.says(&Message::user_control(UserControl::PingResponse(time)));
        peer.says(&Message::acknowledgement(time));
    }
    peer.hears();
    peer.events();
    // What it owns on the heap: chunk streams, streams, what connect said, places for events.
    println!(
        "a session is {} bytes and its heap",
        size_of::<rtmp::Session>()
    );
    assert!(size_of::<rtmp::Session>() <= 512);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000), piece in 1..300_usize) {
        let mut peer = Peer::publishing(Config::default());
        for piece in bytes.chunks(piece) {
            if peer.says_bytes(piece).is_err() {
                break;
            }
        }
    }

    #[test]
    fn random_messages_never_panic(
        messages in prop::collection::vec(
            (any::<u8>(), 0..3_u32, any::<u32>(), prop::collection::vec(any::<u8>(), 0..60)), 0..40),
    ) {
        let mut peer = Peer::publishing(Config::default());
        for (kind, stream_id, time, payload) in messages {
            if kind == 1 {
                continue;
            }
            let bytes = peer.bytes(&message(kind.into(), stream_id, time, &payload));
            if peer.says_bytes(&bytes).is_err() {
                break;
            }
        }
    }

    #[test]
    fn damaged_recordings_never_panic(
        index in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let asked = asked();
        let mut bytes = capture(&index.get(&asked).capture).c2s;
        bytes.truncate(20_000);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut server = Server::new(Config::default());
        for piece in bytes.chunks(777) {
            if server.feed(piece).is_err() {
                break;
            }
        }
    }
}

#[test]
fn a_connect_that_is_nested_too_deeply_is_rejected() {
    let mut peer = Peer::new(Config::default());
    let mut payload = BytesMut::new();
    amf::encode(&Value::from("connect"), &mut payload);
    amf::encode(&Value::from(1.0), &mut payload);
    for _ in 0..1000 {
        // An object whose only member is an object.
        payload.extend_from_slice(b"\x03\x00\x01a");
    }
    peer.says(&message(Kind::Command, 0, 0, &payload));
    let told = peer.hears().join(" ");
    assert!(told.contains("_error"), "{told}");
    let events = peer.events();
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::Connect(_)))
    );
}
