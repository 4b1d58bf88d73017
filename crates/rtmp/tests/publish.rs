//! What a server's session answers to encoders.

mod support;

use std::time::Duration;

use amf::Value;
use bytes::BytesMut;
use flv::Tag;
use rtmp::command::Command;
use rtmp::message::{Kind, Message, UserControl};
use rtmp::{Config, Event, PublishKind, PublishRefusal, Timeout};
use support::peer::{Peer, command, connect, message};
use weir_rtmp as rtmp;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn publish(stream_id: u32, name: &str) -> Message {
    command("publish", 0.0, &[name.into(), "live".into()], stream_id)
}

fn tags(events: &[Event]) -> Vec<(u32, &Tag)> {
    fn tag(event: &Event) -> Option<(u32, &Tag)> {
        match event {
            Event::Tag { stream_id, tag } => Some((*stream_id, tag)),
            _ => None,
        }
    }
    events.iter().filter_map(tag).collect()
}

fn ends(events: &[Event]) -> usize {
    let is_end =
        |event: &&Event| matches!(event, Event::PublishEnded { .. } | Event::PlayEnded { .. });
    events.iter().filter(is_end).count()
}

#[test]
fn streams_are_numbered_from_one_and_a_deleted_number_is_free_again() {
    let mut peer = Peer::connected(Config {
        max_streams: 2,
        ..Config::default()
    });
    for transaction in [2.0, 3.0, 4.0] {
        peer.says(&command("createStream", transaction, &[], 0));
    }
    let error = "_error/0 #4 error NetConnection.Call.Failed";
    assert_eq!(peer.hears(), ["_result/0 #2 1", "_result/0 #3 2", error]);
    peer.says(&command("deleteStream", 0.0, &[1.0.into()], 0));
    peer.says(&command("createStream", 5.0, &[], 0));
    assert_eq!(peer.hears(), ["_result/0 #5 1"]);
}

#[test]
fn the_sequence_of_obs_completes() {
    let mut peer = Peer::connected(Config::default());
    peer.says(&command("releaseStream", 2.0, &["obs?token=abc".into()], 0));
    peer.says(&command("FCPublish", 3.0, &["obs?token=abc".into()], 0));
    peer.says(&command("createStream", 4.0, &[], 0));
    peer.says(&command(
        "publish",
        5.0,
        &["obs?token=abc".into(), "live".into()],
        1,
    ));
    assert_eq!(
        peer.hears(),
        [
            "_result/0 #2",
            "_result/0 #3",
            "onFCPublish/0 status NetStream.Publish.Start",
            "_result/0 #4 1",
            "StreamBegin(1)",
            "onStatus/1 status NetStream.Publish.Start",
        ]
    );
    peer.says(&command("FCUnpublish", 6.0, &["obs?token=abc".into()], 0));
    peer.says(&command("deleteStream", 7.0, &[1.0.into()], 0));
    assert_eq!(
        peer.hears(),
        [
            "_result/0 #6",
            "onFCUnpublish/0 status NetStream.Unpublish.Success",
            "onStatus/1 status NetStream.Unpublish.Success",
        ]
    );
    let events = peer.events();
    let [
        Event::ReleaseStream(released),
        Event::FcPublish(announced),
        Event::CreateStream { stream_id: 1 },
        Event::Publish(publish),
        Event::PublishEnded { stream_id: 1 },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(
        (released.name.as_str(), announced.name.as_str()),
        ("obs", "obs")
    );
    assert_eq!(announced.params.get("token"), Some("abc"));
    assert_eq!(
        (publish.app.as_str(), publish.name.as_str()),
        ("live", "obs")
    );
    assert_eq!(publish.params.get("token"), Some("abc"));
}

#[test]
fn transaction_zero_wants_no_result() {
    let mut peer = Peer::connected(Config::default());
    peer.says(&command("releaseStream", 0.0, &["x".into()], 0));
    peer.says(&command("FCPublish", 0.0, &["x".into()], 0));
    assert_eq!(
        peer.hears(),
        ["onFCPublish/0 status NetStream.Publish.Start"]
    );
}

#[test]
fn publish_works_with_only_a_name_or_none_and_on_streams_nobody_created() {
    let cases: [(&[Value], &str, PublishKind); 6] = [
        (&["cam".into()], "cam", PublishKind::Live),
        (&[], "default", PublishKind::Live),
        (&["?token=x".into()], "default", PublishKind::Live),
        (&["cam".into(), "record".into()], "cam", PublishKind::Record),
        (&["cam".into(), "append".into()], "cam", PublishKind::Append),
        (&["cam".into(), "sideways".into()], "cam", PublishKind::Live),
    ];
    for (stream_id, (arguments, name, kind)) in cases.into_iter().enumerate() {
        let mut peer = Peer::connected(Config::default());
        peer.says(&command("publish", 0.0, arguments, stream_id as u32));
        let events = peer.events();
        let [Event::Publish(publish)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(
            (publish.stream_id, publish.name.as_str()),
            (stream_id as u32, name)
        );
        assert_eq!(publish.kind, kind);
        peer.says(&message(Kind::Audio, 0, 5, &[0xAF, 1, 2]));
        assert_eq!(
            tags(&peer.events()).len(),
            1,
            "media on stream 0 belongs to the only publish"
        );
    }
}

#[test]
fn a_refused_publish_says_why_and_closes() {
    // OBS logs no description but that of a code it knows, so one comes after ours.
    let unauthorized = ["NetStream.Publish.Unauthorized", "NetStream.Publish.Denied"];
    for (refusal, codes) in [
        (PublishRefusal::BadName, &["NetStream.Publish.BadName"][..]),
        (PublishRefusal::Unauthorized, &unauthorized),
    ] {
        let mut peer = Peer::connected(Config::default());
        peer.agreeable = false;
        peer.says(&publish(1, "cam"));
        assert!(matches!(&peer.events()[..], [Event::Publish(_)]));
        peer.server.session.reject_publish(1, refusal, "because");
        let messages = peer.hears_messages();
        assert_eq!(messages.len(), codes.len());
        for (message, code) in messages.iter().zip(codes) {
            let said = Command::decode(message).unwrap();
            assert_eq!((said.name.as_str(), message.stream_id), ("onStatus", 1));
            let info = said.arguments[0].as_object().unwrap();
            assert_eq!(info.get("code"), Some(&(*code).into()));
            assert_eq!(info.get("level"), Some(&"error".into()));
            assert_eq!(info.get("description"), Some(&"because".into()));
        }
        assert!(peer.server.session.is_closing());
        peer.says(&message(Kind::Audio, 1, 0, &[0xAF, 0, 1]));
        peer.server.session.handle_close();
        assert_eq!(peer.events(), [Event::PeerClosed]);
    }
}

#[test]
fn what_came_with_a_refused_request_is_not_asked_any_more() {
    let mut peer = Peer::publishing(Config::default());
    peer.agreeable = false;
    let mut bytes = peer.bytes(&command("FCPublish", 0.0, &["x".into()], 0));
    for message in [
        command("deleteStream", 0.0, &[1.0.into()], 0),
        command("createStream", 4.0, &[], 0),
        publish(2, "x"),
        command("close", 0.0, &[], 0),
        publish(3, "y"),
    ] {
        bytes.extend_from_slice(&peer.bytes(&message));
    }
    peer.says_bytes(&bytes).unwrap();
    let session = &mut peer.server.session;
    assert!(matches!(session.poll_event(), Some(Event::FcPublish(_))));
    session.reject_fc_publish(PublishRefusal::Unauthorized, "no");
    session.accept_publish(2);
    session.handle_close();
    // Ends are told: of what was granted before, and of nothing else.
    let ended = Event::PublishEnded { stream_id: 1 };
    assert_eq!(peer.events(), [ended, Event::PeerClosed]);
}

#[test]
fn what_came_with_a_request_that_the_session_refuses_is_not_asked_either() {
    let long = "x".repeat(2000);
    let mut few = Peer::connected(Config {
        max_streams: 2,
        ..Config::default()
    });
    few.agreeable = false;
    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    for (peer, stream_id, name) in [(&mut peer, 3, long.as_str()), (&mut few, 3, "one too many")] {
        let mut bytes = BytesMut::new();
        for message in [
            command("releaseStream", 0.0, &["x".into()], 0),
            publish(1, "a"),
            command("play", 0.0, &["b".into()], 2),
            publish(stream_id, name),
            publish(1, "c"),
        ] {
            bytes.extend_from_slice(&peer.bytes(&message));
        }
        peer.says_bytes(&bytes).unwrap();
        let session = &mut peer.server.session;
        session.accept_publish(1);
        session.accept_play(2);
        let events = peer.events();
        assert!(matches!(events[..], [Event::Refused { .. }]), "{events:?}");
        assert_eq!(peer.hears(), ["onStatus/3 error NetStream.Publish.BadName"]);
        assert!(peer.server.session.is_closing());
        peer.server.session.handle_close();
        assert_eq!(peer.events(), [Event::PeerClosed]);
    }
}

#[test]
fn what_came_before_a_deadline_and_was_not_heard_of_is_not_asked_after_it() {
    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    peer.says(&publish(1, "cam"));
    peer.passes(seconds(3600));
    assert_eq!(peer.events(), [Event::TimedOut(Timeout::Idle)]);
}

#[test]
fn a_publish_refused_after_a_timeout_does_not_end_once_more() {
    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    peer.says(&publish(1, "cam"));
    assert!(matches!(&peer.events()[..], [Event::Publish(_)]));
    peer.passes(seconds(3600));
    assert!(matches!(&peer.events()[..], [Event::TimedOut(_)]));
    let session = &mut peer.server.session;
    session.reject_publish(1, PublishRefusal::BadName, "late");
    session.handle_close();
    assert_eq!(peer.events(), [Event::PeerClosed]);
}

#[test]
fn what_is_granted_and_ended_while_closing_does_not_end_once_more() {
    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    for stream_id in 1..=3 {
        peer.says(&publish(stream_id, "cam"));
    }
    assert_eq!(peer.events().len(), 3);
    let session = &mut peer.server.session;
    session.reject_publish(1, PublishRefusal::BadName, "no");
    session.accept_publish(2);
    session.accept_publish(3);
    session.end_publish(3, "NetStream.Publish.BadName", "enough");
    session.handle_close();
    let ended = Event::PublishEnded { stream_id: 2 };
    assert_eq!(peer.events(), [ended, Event::PeerClosed]);
    assert_eq!(peer.hears(), [""; 0], "cleared when the socket was gone");
}

#[test]
fn media_held_by_way_of_stream_zero_is_not_given_to_the_next_publish() {
    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    peer.says(&publish(1, "first"));
    peer.says(&message(Kind::Audio, 0, 10, &[0xAF, 1, 1]));
    peer.says(&command("close", 0.0, &[], 0));
    peer.says(&publish(1, "second"));
    peer.events();
    peer.server.session.accept_publish(1);
    let events = peer.events();
    assert!(
        matches!(
            &events[..],
            [
                Event::Tag { .. },
                Event::PublishEnded { .. },
                Event::Publish(_)
            ]
        ),
        "{events:?}"
    );
    peer.server.session.accept_publish(1);
    assert_eq!(peer.events(), []);
}

#[test]
fn only_an_answer_to_our_newest_ping_counts_and_once() {
    let mut peer = Peer::publishing(Config::default());
    let pong = |time| Message::user_control(UserControl::PingResponse(time));
    peer.says(&pong(0));
    assert_eq!(peer.events(), []);
    peer.passes(seconds(30));
    let lines = peer.hears();
    assert_eq!(lines, ["PingRequest(30000)"]);
    peer.server.now += Duration::from_millis(7);
    for time in [29_999, 30_000, 30_000] {
        peer.says(&pong(time));
    }
    let round_trip = Duration::from_millis(7);
    assert_eq!(peer.events(), [Event::Pong { round_trip }]);
}

#[test]
fn a_deadline_may_be_never() {
    let never = Duration::MAX;
    let mut peer = Peer::publishing(Config {
        handshake_timeout: never,
        connect_timeout: never,
        idle_timeout: never,
        ping_timeout: never,
        ping_interval: seconds(30),
        ..Config::default()
    });
    peer.passes(seconds(30));
    peer.passes(seconds(30));
    assert_eq!(peer.events(), []);
    assert!(peer.server.session.poll_timeout().is_some());
}

#[test]
fn nobody_is_asked_to_reconnect_before_connect_is_answered() {
    let mut peer = Peer::new(Config::default());
    peer.agreeable = false;
    peer.says(&connect(&[("app", "live".into()), ("capsEx", 1.0.into())]));
    let session = &mut peer.server.session;
    assert!(!session.request_reconnect(None, "moving"));
    session.accept_connect();
    assert!(session.request_reconnect(None, "moving"));
}

#[test]
fn a_name_refused_at_fc_publish_ends_the_connection() {
    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    peer.says(&command("FCPublish", 0.0, &["x".into()], 0));
    peer.hears();
    peer.server
        .session
        .reject_fc_publish(PublishRefusal::BadName, "no");
    assert_eq!(peer.hears(), ["onStatus/0 error NetStream.Publish.BadName"]);
    assert!(peer.server.session.is_closing());
}

#[test]
fn a_publish_ended_from_this_side_is_an_error_and_no_event() {
    let mut peer = Peer::publishing(Config::default());
    peer.server
        .session
        .end_publish(1, "NetStream.Publish.BadName", "taken over");
    assert_eq!(peer.hears(), ["onStatus/1 error NetStream.Publish.BadName"]);
    assert!(peer.server.session.is_closing());
    peer.server.session.handle_close();
    assert_eq!(peer.events(), [Event::PeerClosed]);
}

#[test]
fn a_publish_ends_exactly_once_whichever_way() {
    let ways: [&[Message]; 9] = [
        &[command("deleteStream", 7.0, &[1.0.into()], 0)],
        &[command("deleteStream", 0.0, &["cam".into()], 0)],
        &[command("deleteStream", 0.0, &["cam?token=x".into()], 1)],
        &[command("closeStream", 0.0, &[], 1)],
        &[command("closeStream", 0.0, &[], 0)],
        &[command("FCUnpublish", 6.0, &["cam".into()], 0)],
        &[command("publish", 0.0, &[false.into()], 1)],
        &[command("close", 0.0, &[], 0)],
        &[
            command("FCUnpublish", 6.0, &["cam".into()], 0),
            command("closeStream", 0.0, &[], 1),
            command("deleteStream", 7.0, &[1.0.into()], 0),
        ],
    ];
    for way in ways {
        let mut peer = Peer::publishing(Config::default());
        for message in way {
            peer.says(message);
        }
        let unpublished = "onStatus/1 status NetStream.Unpublish.Success";
        assert_eq!(
            peer.hears()
                .iter()
                .filter(|line| *line == unpublished)
                .count(),
            1
        );
        peer.says(&message(Kind::Audio, 1, 0, &[0xAF, 1, 1]));
        peer.server.session.handle_close();
        peer.server.session.handle_close();
        assert_eq!(
            peer.events(),
            [Event::PublishEnded { stream_id: 1 }, Event::PeerClosed],
            "{way:?}"
        );
    }
    let mut peer = Peer::publishing(Config::default());
    peer.server.session.handle_close();
    assert_eq!(
        peer.events(),
        [Event::PublishEnded { stream_id: 1 }, Event::PeerClosed]
    );
}

#[test]
fn a_stream_may_be_published_again_after_it_ended() {
    let mut peer = Peer::publishing(Config::default());
    peer.says(&publish(1, "cam"));
    assert_eq!(peer.events(), [], "said twice");
    peer.says(&command("closeStream", 0.0, &[], 1));
    peer.says(&publish(1, "cam"));
    peer.says(&publish(1, "other"));
    let events = peer.events();
    assert_eq!(ends(&events), 2);
    assert!(matches!(events.last(), Some(Event::Publish(publish)) if publish.name == "other"));
}

#[test]
fn media_comes_out_as_tags_with_time_and_payload() {
    let mut peer = Peer::publishing(Config::default());
    peer.says(&message(Kind::Video, 1, 0xFF_FFFF, &[0x17, 1, 0, 0, 0, 9]));
    peer.says(&message(Kind::Audio, 1, 0x0100_0001, &[0xAF, 1, 7]));
    peer.says(&message(Kind::Audio, 1, 0x0100_0002, &[]));
    let metadata = b"\x02\x00\x0a@setData..".as_slice();
    peer.says(&message(Kind::Data, 1, 5, metadata));
    peer.says(&message(
        Kind::DataAmf3,
        1,
        6,
        &[&[0][..], metadata].concat(),
    ));
    let events = peer.events();
    let read: Vec<_> = tags(&events)
        .into_iter()
        .map(|(id, tag)| (id, tag.kind, tag.dts, tag.payload.to_vec()))
        .collect();
    let expected = [
        (1, flv::Kind::Video, 0xFF_FFFF, vec![0x17, 1, 0, 0, 0, 9]),
        (1, flv::Kind::Audio, 0x0100_0001, vec![0xAF, 1, 7]),
        (1, flv::Kind::Data, 5, metadata.to_vec()),
        (1, flv::Kind::Data, 6, metadata.to_vec()),
    ];
    assert_eq!(read, expected);
}

#[test]
fn an_aggregate_is_unpacked_and_bounded() {
    let mut body = BytesMut::new();
    for dts in [1000, 1023, 1046] {
        let tag = Tag::new(flv::Kind::Audio, dts, vec![0xAF, 1, dts as u8].into());
        flv::write_tag(&tag, dts, &mut body);
    }
    let mut peer = Peer::publishing(Config {
        max_aggregate: 3,
        ..Config::default()
    });
    peer.says(&message(Kind::Aggregate, 1, 5000, &body));
    let events = peer.events();
    let times: Vec<_> = tags(&events).iter().map(|(_, tag)| tag.dts).collect();
    assert_eq!(times, [5000, 5023, 5046]);
    let tag = Tag::new(flv::Kind::Audio, 0, vec![0xAF, 1].into());
    flv::write_tag(&tag, 0, &mut body);
    let bytes = peer.bytes(&message(Kind::Aggregate, 1, 5000, &body));
    assert_eq!(peer.says_bytes(&bytes), Err(rtmp::Error::TooManyTags(3)));
}

#[test]
fn media_before_publish_is_ignored() {
    let mut peer = Peer::new(Config::default());
    peer.says(&message(Kind::Video, 1, 0, &[0x17, 0]));
    peer.says(&connect(&[("app", "live".into())]));
    peer.says(&message(Kind::Video, 1, 0, &[0x17, 0]));
    peer.says(&publish(1, "cam"));
    peer.says(&message(Kind::Video, 1, 0, &[0x17, 1]));
    let events = peer.events();
    assert_eq!(tags(&events).len(), 1);
}

#[test]
fn what_comes_before_the_answers_takes_its_turn_behind_them() {
    let mut peer = Peer::new(Config::default());
    peer.agreeable = false;
    peer.says(&command("releaseStream", 2.0, &["cam".into()], 0));
    peer.says(&connect(&[("app", "live".into())]));
    peer.says(&command("createStream", 3.0, &[], 0));
    peer.says(&publish(1, "cam"));
    peer.says(&message(Kind::Video, 1, 0, &[0x17, 0, 0]));
    assert_eq!(peer.events().len(), 1, "connect alone");
    assert_eq!(peer.hears(), [""; 0]);
    peer.server.session.accept_connect();
    assert_eq!(
        peer.hears()[3..],
        [
            "_result/0 #1 status NetConnection.Connect.Success",
            "_result/0 #2",
            "_result/0 #3 1"
        ]
    );
    peer.says(&message(Kind::Audio, 1, 0, &[0xAF, 0]));
    peer.says(&command("deleteStream", 0.0, &[1.0.into()], 0));
    let events = peer.events();
    assert!(
        matches!(
            &events[1..],
            [Event::CreateStream { .. }, Event::Publish(_)]
        ),
        "{events:?}"
    );
    peer.server.session.accept_publish(1);
    let events = peer.events();
    assert_eq!(tags(&events).len(), 2);
    assert_eq!(events.len(), 3);
    assert_eq!(events[2], Event::PublishEnded { stream_id: 1 });
}

#[test]
fn an_undecided_publish_ends_with_the_connection_and_a_late_answer_does_nothing() {
    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    peer.says(&publish(1, "cam"));
    peer.says(&message(Kind::Video, 1, 0, &[0x17, 0, 0]));
    assert_eq!(peer.events().len(), 1);
    peer.says(&publish(2, "other"));
    peer.server.session.handle_close();
    peer.server.session.accept_publish(1);
    let ended = Event::PublishEnded { stream_id: 1 };
    let events = peer.events();
    assert_eq!(
        events,
        [ended, Event::PeerClosed],
        "of the other nobody has heard"
    );
    assert_eq!(peer.hears(), [""; 0]);
}

#[test]
fn ten_megabytes_are_acknowledged_as_the_window_says() {
    let mut peer = Peer::publishing(Config::default());
    peer.says(&Message::set_chunk_size(65_536));
    let frame = message(Kind::Video, 1, 0, &[0x27; 50_000]);
    for _ in 0..200 {
        peer.says(&frame);
    }
    assert_eq!(peer.hears().len(), 8, "one each half window of 2 500 000");
    peer.says(&Message::window_ack_size(100_000));
    for _ in 0..10 {
        peer.says(&frame);
    }
    let lines = peer.hears();
    let received = peer.server.session.bytes_received();
    assert_eq!(lines.len(), 10);
    assert_eq!(
        *lines.last().unwrap(),
        format!("Acknowledgement {received}")
    );
}

#[test]
fn a_publisher_without_media_is_cut_even_if_it_answers_pings() {
    let mut peer = Peer::publishing(Config::default());
    for _ in 0..4 {
        peer.passes(seconds(20));
        peer.says(&message(Kind::Audio, 1, 0, &[0xAF, 1, 1]));
        assert_eq!(peer.events().len(), 1);
    }
    peer.passes(seconds(30));
    peer.says(&Message::user_control(UserControl::PingResponse(1)));
    peer.passes(seconds(29));
    assert!(!peer.server.session.is_closing());
    peer.hears();
    peer.passes(seconds(1));
    assert_eq!(
        peer.events().last(),
        Some(&Event::TimedOut(Timeout::Publisher))
    );
    assert!(peer.server.session.is_closing());
}

#[test]
fn two_streams_on_one_connection_keep_apart() {
    let mut peer = Peer::publishing(Config::default());
    peer.says(&command("createStream", 4.0, &[], 0));
    peer.says(&publish(2, "other"));
    for (stream_id, time) in [(1, 10), (2, 20), (1, 30), (9, 40)] {
        peer.says(&message(Kind::Audio, stream_id, time, &[0xAF, 1, 1]));
    }
    peer.says(&command("deleteStream", 0.0, &["other".into()], 0));
    let events = peer.events();
    let read: Vec<_> = tags(&events)
        .iter()
        .map(|(id, tag)| (*id, tag.dts))
        .collect();
    assert_eq!(read, [(1, 10), (2, 20), (1, 30)]);
    assert_eq!(events.last(), Some(&Event::PublishEnded { stream_id: 2 }));
}
