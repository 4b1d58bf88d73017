//! From the first byte to an accepted `connect`, message by message.

mod support;

use std::time::Duration;

use amf::{Object, Value};
use bytes::BytesMut;
use rtmp::chunk::ChunkWriter;
use rtmp::command::Command;
use rtmp::message::{BandwidthLimit, Kind, Message, UserControl};
use rtmp::{Config, Enhanced, Event, Timeout};
use support::Server;
use support::peer::{Peer, connect, message};
use weir_rtmp as rtmp;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn set_chunk_size_is_the_first_control_message_and_holds_from_the_next_byte_on() {
    let mut server = Server::new(Config::default());
    server.feed(&[&[6][..], &[0x55; 3072]].concat()).unwrap();
    assert_eq!(server.output.len(), 3073 + 16);
    let golden = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 1, 0, 0];
    assert_eq!(server.output.split_off(3073)[..], golden);
    let mut bytes = BytesMut::new();
    ChunkWriter::new().write(&connect(&[("app", "live".into())]), &mut bytes);
    server.output.clear();
    server.feed(&bytes).unwrap();
    let golden = [
        2, 0, 0, 0, 0, 0, 4, 5, 0, 0, 0, 0, 0, 0x26, 0x25, 0xA0, // Window Ack Size
        2, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0x26, 0x25, 0xA0, 2, // Set Peer Bandwidth
        2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // StreamBegin(0)
    ];
    assert_eq!(server.output[..golden.len()], golden);
    // The result is longer than 128 bytes and comes in one chunk.
    let result = &server.output[golden.len()..];
    assert_eq!(result[0], 3);
    let length = u32::from_be_bytes([0, result[4], result[5], result[6]]) as usize;
    assert!(length > 128);
    assert_eq!(result.len(), 12 + length);
}

#[test]
fn an_accepted_connect_is_answered_in_the_usual_order_with_the_usual_words() {
    let mut peer = Peer::new(Config {
        window_ack: 1_000_000,
        ..Config::default()
    });
    peer.says(&connect(&[("app", "live".into())]));
    let messages = peer.hears_messages();
    let [window, bandwidth, begin, result] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(*window, Message::window_ack_size(1_000_000));
    assert_eq!(
        *bandwidth,
        Message::set_peer_bandwidth(2_500_000, BandwidthLimit::Dynamic)
    );
    assert_eq!(*begin, Message::user_control(UserControl::StreamBegin(0)));
    let result = Command::decode(result).unwrap();
    assert_eq!((result.name.as_str(), result.transaction), ("_result", 1.0));
    let properties = result.object.as_object().unwrap();
    assert_eq!(properties.get("fmsVer"), Some(&"FMS/3,5,7,7009".into()));
    assert_eq!(properties.get("capabilities"), Some(&31.0.into()));
    let info = result.arguments[0].as_object().unwrap();
    assert_eq!(
        info.get("code"),
        Some(&"NetConnection.Connect.Success".into())
    );
    assert_eq!(info.get("level"), Some(&"status".into()));
    assert_eq!(info.get("objectEncoding"), Some(&0.0.into()));
    assert_eq!(properties.get("capsEx"), None);
}

#[test]
fn connect_is_read_whatever_the_case_of_its_keys() {
    let mut peer = Peer::new(Config::default());
    peer.says(&connect(&[
        ("App", "studio/".into()),
        ("tcurl", "rtmp://h/studio?token=t".into()),
        ("flashver", "FMLE/3.0 (compatible; x)".into()),
        ("PageURL", "http://p".into()),
        ("swfUrl", "http://s".into()),
        ("objectEncoding", 3.0.into()),
        ("mine", "kept".into()),
    ]));
    let events = peer.events();
    let [Event::Connect(connect)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (connect.app.as_str(), connect.tc_url.as_str()),
        ("studio", "rtmp://h/studio?token=t")
    );
    assert_eq!(connect.flash_ver, "FMLE/3.0 (compatible; x)");
    assert_eq!(
        (connect.page_url.as_str(), connect.swf_url.as_str()),
        ("http://p", "http://s")
    );
    assert_eq!(connect.object_encoding, 3.0);
    assert_eq!(connect.object.get("mine"), Some(&"kept".into()));
    assert_eq!(connect.params.get("token"), Some("t"));
}

#[test]
fn an_amf3_connect_works() {
    let mut peer = Peer::new(Config::default());
    let inner = connect(&[("app", "live".into())]).payload;
    peer.says(&message(
        Kind::CommandAmf3,
        0,
        0,
        &[&[0][..], &inner].concat(),
    ));
    assert_eq!(
        peer.hears().last().unwrap(),
        "_result/0 #1 status NetConnection.Connect.Success"
    );
}

#[test]
fn a_missing_app_comes_from_the_tc_url_and_nothing_at_all_is_live() {
    for (members, app) in [
        (
            &[("tcUrl", Value::from("rtmp://h:1935/show/sub?x=1"))][..],
            "show/sub",
        ),
        (
            &[
                ("app", Value::from("")),
                ("tcUrl", Value::from("rtmp://h//key")),
            ][..],
            "live",
        ),
        (&[][..], "live"),
    ] {
        let mut peer = Peer::new(Config::default());
        peer.says(&connect(members));
        let events = peer.events();
        let Event::Connect(connect) = &events[0] else {
            panic!("{events:?}")
        };
        assert_eq!(connect.app, app);
    }
}

#[test]
fn enhanced_rtmp_is_answered_in_properties_and_information_alike() {
    let mut peer = Peer::new(Config::default());
    let video: Object = [("hvc1", 7.0), ("nope", 7.0)].into_iter().collect();
    peer.says(&connect(&[
        ("app", "live".into()),
        (
            "fourCcList",
            Value::StrictArray(vec!["av01".into(), "xxxx".into()]),
        ),
        ("videoFourCcInfoMap", video.into()),
        ("capsEx", 3.0.into()),
    ]));
    let result = Command::decode(peer.hears_messages().last().unwrap()).unwrap();
    let expected: Object = [("hvc1", 4.0)].into_iter().collect();
    for object in [result.object.as_object(), result.arguments[0].as_object()] {
        let object = object.unwrap();
        assert_eq!(
            object.get("fourCcList"),
            Some(&Value::StrictArray(vec!["av01".into()]))
        );
        assert_eq!(
            object.get("videoFourCcInfoMap").and_then(Value::as_object),
            Some(&expected)
        );
        assert_eq!(object.get("audioFourCcInfoMap"), None);
        assert_eq!(object.get("capsEx"), Some(&3.0.into()));
    }
    assert!(peer.server.session.caps().unwrap().knows("av01"));
}

#[test]
fn enhanced_only_rejects_who_announces_nothing_and_legacy_announces_nothing() {
    let mut peer = Peer::new(Config {
        enhanced: Enhanced::Only,
        ..Config::default()
    });
    peer.says(&connect(&[("app", "live".into())]));
    assert_eq!(
        peer.hears(),
        [
            "_error/0 #1 error NetConnection.Connect.Rejected",
            "onStatus/0 error NetConnection.Connect.InvalidApp"
        ]
    );
    assert!(peer.server.session.is_closing());
    let events = peer.events();
    let [Event::Refused { request, why }] = events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(request, "connect");
    assert!(why.contains("Enhanced RTMP only"));

    let list = Value::StrictArray(vec!["*".into()]);
    for (enhanced, answered) in [(Enhanced::Only, true), (Enhanced::Legacy, false)] {
        let mut peer = Peer::new(Config {
            enhanced,
            ..Config::default()
        });
        peer.says(&connect(&[
            ("app", "live".into()),
            ("fourCcList", list.clone()),
        ]));
        let result = Command::decode(peer.hears_messages().last().unwrap()).unwrap();
        assert_eq!(
            result
                .object
                .as_object()
                .unwrap()
                .get("fourCcList")
                .is_some(),
            answered
        );
    }
}

#[test]
fn a_rejected_connect_says_why_and_closes_once_that_is_written() {
    let mut peer = Peer::new(Config::default());
    peer.agreeable = false;
    peer.says(&connect(&[("app", "live".into())]));
    peer.server.session.reject_connect("no such app");
    assert!(
        !peer.server.session.is_closing(),
        "something is still to be written"
    );
    let messages = peer.hears_messages();
    // Once in the words of the specification, and once in those that librtmp logs.
    let codes = [
        "NetConnection.Connect.Rejected",
        "NetConnection.Connect.InvalidApp",
    ];
    assert_eq!(messages.len(), codes.len());
    for (message, code) in messages.iter().zip(codes) {
        let said = Command::decode(message).unwrap();
        let info = said.arguments[0].as_object().unwrap();
        assert_eq!(info.get("code"), Some(&code.into()));
        assert_eq!(info.get("level"), Some(&"error".into()));
        assert_eq!(info.get("description"), Some(&"no such app".into()));
        assert_eq!(message.stream_id, 0);
    }
    assert!(peer.server.session.is_closing());
    assert_eq!(peer.server.session.poll_timeout(), None);
}

#[test]
fn a_redirect_names_the_other_server() {
    let mut peer = Peer::new(Config::default());
    peer.agreeable = false;
    peer.says(&connect(&[("app", "live".into())]));
    peer.server
        .session
        .redirect_connect("rtmp://other/live", "busy here");
    let messages = peer.hears_messages();
    assert_eq!(
        messages.len(),
        1,
        "nothing that would end a client that goes elsewhere"
    );
    let error = Command::decode(&messages[0]).unwrap();
    let info = error.arguments[0].as_object().unwrap();
    assert_eq!(
        info.get("code"),
        Some(&"NetConnection.Connect.Rejected".into())
    );
    let ex = info.get("ex").and_then(Value::as_object).unwrap();
    assert_eq!(ex.get("redirect"), Some(&"rtmp://other/live".into()));
    assert!(peer.server.session.is_closing());
}

#[test]
fn a_second_connect_is_ignored() {
    let mut peer = Peer::connected(Config::default());
    peer.says(&connect(&[("app", "other".into())]));
    assert_eq!(peer.hears(), [""; 0]);
    assert_eq!(peer.events(), []);
}

#[test]
fn pings_are_echoed_and_peer_bandwidth_is_answered() {
    let mut peer = Peer::connected(Config::default());
    peer.says(&Message::user_control(UserControl::PingRequest(77)));
    peer.says(&Message::set_peer_bandwidth(123_456, BandwidthLimit::Hard));
    assert_eq!(peer.hears(), ["PingResponse(77)", "WindowAckSize 123456"]);
    peer.says(&Message::user_control(UserControl::SetBufferLength {
        stream_id: 1,
        millis: 300,
    }));
    peer.says(&Message::acknowledgement(999));
    assert_eq!(
        peer.events(),
        [
            Event::BufferLength {
                stream_id: 1,
                millis: 300
            },
            Event::Acknowledged { bytes: 999 }
        ]
    );
}

#[test]
fn a_reconnect_request_reaches_who_announced_to_obey() {
    let mut peer = Peer::connected(Config::default());
    assert!(!peer.server.session.request_reconnect(None, "moving"));
    assert_eq!(peer.hears(), [""; 0]);
    let mut peer = Peer::new(Config::default());
    peer.says(&connect(&[("app", "live".into()), ("capsEx", 1.0.into())]));
    peer.hears();
    assert!(
        peer.server
            .session
            .request_reconnect(Some("rtmp://there/live"), "moving")
    );
    let status = Command::decode(&peer.hears_messages()[0]).unwrap();
    let info = status.arguments[0].as_object().unwrap();
    assert_eq!(
        info.get("code"),
        Some(&"NetConnection.Connect.ReconnectRequest".into())
    );
    assert_eq!(info.get("level"), Some(&"status".into()));
    assert_eq!(info.get("tcUrl"), Some(&"rtmp://there/live".into()));
}

#[test]
fn handshake_and_connect_have_deadlines_of_their_own() {
    let mut server = Server::new(Config::default());
    server.feed(&[3]).unwrap();
    assert_eq!(
        server.session.poll_timeout(),
        Some(server.now + seconds(10))
    );
    server.session.handle_timeout(server.now + seconds(9));
    assert_eq!(server.session.poll_event(), None);
    server.session.handle_timeout(server.now + seconds(10));
    assert_eq!(
        server.session.poll_event(),
        Some(Event::TimedOut(Timeout::Handshake))
    );
    assert!(server.session.is_closing());

    let mut peer = Peer::new(Config::default());
    peer.passes(seconds(59));
    assert_eq!(peer.events(), []);
    peer.says(&message(Kind::Acknowledgement, 0, 0, &[0; 4]));
    peer.passes(seconds(1));
    assert!(
        peer.events().contains(&Event::TimedOut(Timeout::Connect)),
        "input alone is no connect"
    );
}
