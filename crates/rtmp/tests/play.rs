//! What a server's session answers to players.

mod support;

use std::time::Duration;

use amf::{Object, Value};
use bytes::BytesMut;
use rtmp::message::{Kind, Message, UserControl};
use rtmp::{Config, Event, PlayRefusal, Timeout};
use support::peer::{Peer, command, message};
use weir_rtmp as rtmp;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn publish(stream_id: u32, name: &str) -> Message {
    command("publish", 0.0, &[name.into(), "live".into()], stream_id)
}

#[test]
fn play_is_answered_in_order_with_a_reset_only_if_wanted() {
    let access = r#"data/1 [String("|RtmpSampleAccess"), Boolean(true), Boolean(true)]"#;
    let reset = "onStatus/1 status NetStream.Play.Reset";
    let start = "onStatus/1 status NetStream.Play.Start";
    for (arguments, wanted) in [
        (&[Value::from("cam")][..], true),
        (
            &["cam".into(), (-2.0).into(), (-1.0).into(), false.into()][..],
            false,
        ),
        (
            &["cam".into(), (-2.0).into(), (-1.0).into(), 0.0.into()][..],
            false,
        ),
        (
            &["cam".into(), (-2.0).into(), (-1.0).into(), true.into()][..],
            true,
        ),
    ] {
        let mut peer = Peer::connected(Config::default());
        peer.says(&command("play", 0.0, arguments, 1));
        let expected = ["StreamBegin(1)", reset, start, access];
        let expected: Vec<_> = expected
            .into_iter()
            .filter(|line| wanted || *line != reset)
            .collect();
        assert_eq!(peer.hears(), expected);
    }
    let mut peer = Peer::connected(Config::default());
    let arguments = ["p?x=1".into(), (-1000.0).into(), 3000.0.into()];
    peer.says(&command("play", 0.0, &arguments, 1));
    let events = peer.events();
    let [Event::Play(play)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (play.name.as_str(), play.start, play.duration, play.reset),
        ("p", -1000.0, 3000.0, true)
    );
}

#[test]
fn after_stream_not_found_the_connection_may_publish_and_play() {
    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    peer.says(&command("play", 4.0, &["cam".into()], 1));
    peer.server
        .session
        .reject_play(1, PlayRefusal::StreamNotFound, "nobody publishes it", false);
    assert_eq!(
        peer.hears(),
        ["onStatus/1 error NetStream.Play.StreamNotFound"]
    );
    peer.agreeable = true;
    peer.says(&publish(2, "cam"));
    peer.says(&command("play", 5.0, &["cam".into()], 1));
    let lines = peer.hears();
    assert!(lines.contains(&"onStatus/2 status NetStream.Publish.Start".to_owned()));
    assert!(lines.contains(&"onStatus/1 status NetStream.Play.Start".to_owned()));
    assert!(!peer.server.session.is_closing());

    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    peer.says(&command("play", 4.0, &["cam".into()], 1));
    peer.server
        .session
        .reject_play(1, PlayRefusal::Unauthorized, "wrong token", true);
    assert_eq!(
        peer.hears(),
        ["onStatus/1 error NetStream.Play.Unauthorized"]
    );
    assert!(peer.server.session.is_closing());
}

const ANSWERS: [&str; 4] = [
    "StreamBegin(1)",
    "onStatus/1 status NetStream.Play.Reset",
    "onStatus/1 status NetStream.Play.Start",
    r#"data/1 [String("|RtmpSampleAccess"), Boolean(true), Boolean(true)]"#,
];

fn play(stream_id: u32, name: &str) -> Message {
    command("play", 0.0, &[name.into()], stream_id)
}

/// A server that takes its time, and has been sent all of it in one piece.
fn asked(messages: &[Message]) -> Peer {
    let mut peer = Peer::connected(Config::default());
    peer.agreeable = false;
    let mut bytes = BytesMut::new();
    for message in messages {
        bytes.extend_from_slice(&peer.bytes(message));
    }
    peer.says_bytes(&bytes).unwrap();
    peer
}

#[test]
fn a_play_behind_an_undecided_one_replaces_it_with_all_its_answers() {
    let in_one_piece = asked(&[play(1, "first"), play(1, "second")]);
    let mut in_two = asked(&[play(1, "first")]);
    in_two.server.events = in_two.events();
    in_two.says(&play(1, "second"));
    for mut peer in [in_one_piece, in_two] {
        assert!(matches!(&peer.events()[..], [Event::Play(play)] if play.name == "first"));
        assert_eq!(peer.hears(), [""; 0]);
        peer.server.session.accept_play(1);
        assert_eq!(peer.hears(), ANSWERS);
        let events = peer.events();
        assert!(
            matches!(&events[..], [Event::PlayEnded { stream_id: 1 }, Event::Play(play)] if play.name == "second"),
            "{events:?}"
        );
        assert_eq!(peer.hears(), [""; 0]);
        peer.server.session.accept_play(1);
        assert_eq!(peer.hears(), ANSWERS);
        assert_eq!(peer.events(), []);
    }
}

#[test]
fn a_play_behind_one_that_is_refused_is_answered() {
    let mut peer = asked(&[play(1, "first"), play(1, "second")]);
    assert!(matches!(&peer.events()[..], [Event::Play(play)] if play.name == "first"));
    let session = &mut peer.server.session;
    session.reject_play(1, PlayRefusal::StreamNotFound, "not yet", false);
    assert!(matches!(&peer.events()[..], [Event::Play(play)] if play.name == "second"));
    let session = &mut peer.server.session;
    session.reject_play(1, PlayRefusal::Unauthorized, "no", true);
    assert_eq!(peer.events(), []);
    assert_eq!(
        peer.hears(),
        [
            "onStatus/1 error NetStream.Play.StreamNotFound",
            "onStatus/1 error NetStream.Play.Unauthorized"
        ]
    );
}

#[test]
fn a_pause_before_the_start_is_answered_behind_it() {
    let pause = |on: bool| command("pause", 0.0, &[on.into(), 5.0.into()], 1);
    let told = |paused| Event::Pause {
        stream_id: 1,
        paused,
        at_ms: 5,
    };
    let notice = ["onStatus/1 status NetStream.Pause.Notify", "StreamDry(1)"];
    let mut peer = asked(&[play(1, "cam"), pause(true)]);
    assert!(matches!(&peer.events()[..], [Event::Play(_)]));
    assert_eq!(peer.hears(), [""; 0]);
    peer.server.session.accept_play(1);
    assert!(peer.server.session.is_paused(1), "no media may follow");
    assert_eq!(peer.hears(), [&ANSWERS[..], &notice[..]].concat());
    assert_eq!(peer.events(), [told(true)]);
    peer.says(&pause(false));
    assert_eq!(peer.events(), [told(false)]);
    assert!(!peer.server.session.is_paused(1));

    // It holds for the play that it is about.
    let mut peer = asked(&[play(1, "cam"), pause(true), play(1, "other")]);
    peer.server.session.accept_play(1);
    assert!(!peer.server.session.is_paused(1));
    peer.server.session.accept_play(1);
    assert!(!peer.server.session.is_paused(1));
}

#[test]
fn what_is_said_on_a_stream_keeps_its_order_behind_an_undecided_play() {
    let mut peer = asked(&[
        play(1, "cam"),
        command("receiveAudio", 0.0, &[false.into()], 1),
        play(1, "other"),
        command("receiveVideo", 0.0, &[false.into()], 1),
        command("closeStream", 0.0, &[], 1),
        publish(1, "mine"),
        message(Kind::Audio, 1, 7, &[0xAF, 1, 1]),
    ]);
    assert!(matches!(&peer.events()[..], [Event::Play(_)]));
    peer.server.session.accept_play(1);
    let (stream_id, on) = (1, false);
    let events = peer.events();
    let [first, ended, Event::Play(_)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*first, Event::ReceiveAudio { stream_id, on });
    assert_eq!(*ended, Event::PlayEnded { stream_id });
    peer.server.session.accept_play(1);
    let events = peer.events();
    let [first, ended, Event::Publish(_)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*first, Event::ReceiveVideo { stream_id, on });
    assert_eq!(*ended, Event::PlayEnded { stream_id });
    peer.server.session.accept_publish(1);
    let events = peer.events();
    assert!(matches!(&events[..], [Event::Tag { .. }]), "{events:?}");
}

#[test]
fn others_do_not_wait_for_an_undecided_play() {
    let mut peer = asked(&[play(1, "cam"), play(2, "other")]);
    assert_eq!(peer.events().len(), 2);
    peer.server.session.accept_play(2);
    peer.says(&command("pause", 0.0, &[true.into()], 2));
    assert_eq!(peer.events().len(), 1);
}

#[test]
fn pause_and_going_on_are_answered_and_told() {
    let mut peer = Peer::playing(Config::default());
    peer.says(&command("pause", 0.0, &[true.into(), 1234.0.into()], 1));
    assert_eq!(
        peer.hears(),
        ["onStatus/1 status NetStream.Pause.Notify", "StreamDry(1)"]
    );
    peer.says(&command("pauseRaw", 0.0, &[false.into(), 1234.0.into()], 1));
    assert_eq!(
        peer.hears(),
        [
            "onStatus/1 status NetStream.Unpause.Notify",
            "StreamBegin(1)"
        ]
    );
    assert_eq!(
        peer.events(),
        [
            Event::Pause {
                stream_id: 1,
                paused: true,
                at_ms: 1234
            },
            Event::Pause {
                stream_id: 1,
                paused: false,
                at_ms: 1234
            },
        ]
    );
}

#[test]
fn a_play_that_is_over_ends_with_eof_and_stop_and_may_begin_again() {
    let mut peer = Peer::playing(Config::default());
    peer.server.session.end_play(1);
    assert_eq!(
        peer.hears(),
        [
            "onStatus/1 status NetStream.Play.UnpublishNotify",
            "StreamEof(1)",
            "onStatus/1 status NetStream.Play.Stop",
        ]
    );
    assert!(!peer.server.session.is_closing());
    assert_eq!(peer.events(), []);
    peer.says(&command("play", 0.0, &["cam".into()], 1));
    peer.says(&command("play", 0.0, &["other".into()], 1));
    let events = peer.events();
    assert!(
        matches!(
            &events[..],
            [
                Event::Play(_),
                Event::PlayEnded { stream_id: 1 },
                Event::Play(_)
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn nothing_unusual_disconnects() {
    let mut peer = Peer::playing(Config::default());
    for (name, arguments) in [
        ("getStreamLength", &[Value::from("cam")][..]),
        ("FCSubscribe", &["cam".into()]),
        ("_checkbw", &[]),
        ("play2", &[Object::new().into()]),
        ("seek", &[5000.0.into()]),
        ("receiveAudio", &[false.into()]),
        ("receiveVideo", &[false.into()]),
        ("dance", &[Value::Null, 1.0.into()]),
        ("_result", &[]),
        ("onStatus", &[]),
        ("pause", &[]),
        ("deleteStream", &[Value::Number(f64::NAN)]),
        ("deleteStream", &[99.0.into()]),
    ] {
        peer.says(&command(name, 9.0, arguments, 1));
    }
    for kind in [0, 7, 16, 19, 21, 23, 255] {
        peer.says(&message(kind.into(), 1, 0, &[1, 2, 3]));
    }
    for payload in [&[][..], &[0], &[0, 31, 0, 0, 0, 1], &[0, 3, 0]] {
        peer.says(&message(Kind::UserControl, 0, 0, payload));
    }
    for kind in [
        Kind::Command,
        Kind::CommandAmf3,
        Kind::WindowAckSize,
        Kind::SetChunkSize,
        Kind::Abort,
    ] {
        peer.says(&message(kind, 0, 0, &[]));
        peer.says(&message(kind, 0, 0, &[0xFF]));
    }
    assert!(!peer.server.session.is_closing());
    assert_eq!(
        peer.events(),
        [
            Event::Seek {
                stream_id: 1,
                to_ms: 5000
            },
            Event::ReceiveAudio {
                stream_id: 1,
                on: false
            },
            Event::ReceiveVideo {
                stream_id: 1,
                on: false
            },
            Event::Pause {
                stream_id: 1,
                paused: true,
                at_ms: 0
            },
        ]
    );
}

#[test]
fn a_player_that_answers_pings_is_never_cut_and_a_dead_one_is() {
    let mut peer = Peer::playing(Config::default());
    for _ in 0..10 {
        peer.passes(seconds(30));
        let lines = peer.hears();
        let [ping] = &lines[..] else {
            panic!("{lines:?}")
        };
        let time: u32 = ping
            .strip_prefix("PingRequest(")
            .unwrap()
            .strip_suffix(')')
            .unwrap()
            .parse()
            .unwrap();
        peer.server.now += Duration::from_millis(20);
        peer.says(&Message::user_control(UserControl::PingResponse(time)));
        assert_eq!(
            peer.events(),
            [Event::Pong {
                round_trip: Duration::from_millis(20)
            }]
        );
    }
    peer.passes(seconds(59));
    assert_eq!(peer.events(), []);
    peer.passes(seconds(1));
    assert_eq!(peer.events(), [Event::TimedOut(Timeout::Idle)]);
}

#[test]
fn a_player_whose_socket_takes_media_need_not_say_a_word() {
    let config = Config {
        ping_timeout: seconds(35),
        ..Config::default()
    };
    let mut peer = Peer::playing(config);
    for _ in 0..100 {
        peer.passes(seconds(10));
        peer.server.session.note_sent(peer.server.now, 1000);
    }
    assert_eq!(peer.events(), []);
    let ping = peer.server.session.poll_timeout().unwrap();
    peer.server.session.handle_timeout(ping);
    let dead = ping + seconds(35);
    peer.server.session.handle_timeout(dead - seconds(1));
    assert_eq!(peer.events(), []);
    peer.server.session.note_sent(dead, 0);
    peer.server.session.handle_timeout(dead);
    assert_eq!(peer.events(), [Event::TimedOut(Timeout::Ping)]);
}
