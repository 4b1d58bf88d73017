//! The client's session against servers of a test's making: odd, slow, and such as mean harm.

#[path = "support/client.rs"]
mod client;

use std::time::Duration;

use amf::{Object, Value};
use bytes::{Bytes, BytesMut};
use client::{Client, messages};
use rtmp::chunk;
use rtmp::client::{Config, Error, Event, Intent, Phase};
use rtmp::command::{Command, Level, on_status, status};
use rtmp::message::{COMMAND_CHUNK_STREAM, Message, UserControl};
use weir_rtmp as rtmp;

/// A server that says whatever a test wants.
struct Fake {
    client: Client,
    writer: chunk::ChunkWriter,
}

impl Fake {
    fn new(intent: Intent) -> Self {
        let mut client = Client::new(intent);
        let mut hello = vec![0; 3073];
        hello[0] = 3;
        client.feed(&hello).unwrap();
        Self {
            client,
            writer: chunk::ChunkWriter::new(),
        }
    }

    fn accepted(intent: Intent) -> Self {
        let mut fake = Self::new(intent);
        let connected = Command::result(1.0, vec![status(Level::Status, "", "").into()]);
        let created = Command::result(99.0, vec![7.0.into()]);
        for command in [connected, created] {
            fake.say(&command.to_message(COMMAND_CHUNK_STREAM, 0))
                .unwrap();
        }
        fake
    }

    fn say(&mut self, message: &Message) -> Result<(), Error> {
        let mut bytes = BytesMut::new();
        self.writer.write(message, &mut bytes);
        self.client.feed(&bytes)
    }

    fn said(&self) -> Vec<Command> {
        messages(&self.client.output)
            .iter()
            .filter_map(Command::decode)
            .collect()
    }
}

#[test]
fn enhanced_capabilities_are_read_from_properties_and_from_information() {
    for in_properties in [true, false] {
        let mut caps = Object::new();
        caps.insert("fourCcList", Value::StrictArray(vec!["av01".into()]));
        let mut command = Command::result(1.0, vec![status(Level::Status, "", "").into()]);
        if in_properties {
            command.object = caps.into();
        } else {
            command.arguments = vec![caps.into()];
        }
        let mut server = Fake::new(Intent::pull());
        server
            .say(&command.to_message(COMMAND_CHUNK_STREAM, 0))
            .unwrap();
        let Some(Event::Connected { caps }) = server.client.events.last() else {
            panic!("not connected")
        };
        assert!(caps.knows("av01"), "{in_properties}");
    }
}

#[test]
fn goes_on_although_transactions_are_wrong_and_release_stream_fails() {
    let mut fake = Fake::new(Intent::Publish);
    let connected = Command::result(0.0, vec![status(Level::Status, "", "").into()]);
    fake.say(&connected.to_message(COMMAND_CHUNK_STREAM, 0))
        .unwrap();
    let failed = status(Level::Error, "NetConnection.Call.Failed", "releaseStream");
    fake.say(&Command::new("_error", 2.0, vec![failed.into()]).to_message(COMMAND_CHUNK_STREAM, 0))
        .unwrap();
    fake.say(&Command::result(3.0, vec![Value::Undefined]).to_message(COMMAND_CHUNK_STREAM, 0))
        .unwrap();
    fake.say(&Command::result(77.0, vec![5.0.into()]).to_message(COMMAND_CHUNK_STREAM, 0))
        .unwrap();
    let publish = fake.said().pop().unwrap();
    assert_eq!(
        (publish.name.as_str(), publish.text(0), publish.text(1)),
        ("publish", Some("cam?token=x"), Some("live"))
    );
    fake.say(&on_status(
        5,
        status(Level::Status, "NetStream.Publish.Start", ""),
    ))
    .unwrap();
    assert!(fake.client.has(&Event::Publishing));
}

#[test]
fn connect_says_what_it_was_told_to_say() {
    let mut extra = Object::new();
    extra.insert("token", "secret");
    let config = Config {
        flash_ver: "LNX 9,0,124,2".into(),
        swf_url: Some("http://h/p.swf".into()),
        page_url: Some("http://h/".into()),
        extra,
        ..Config::default()
    };
    let mut client = Client::with(config, Intent::pull());
    client.feed(&[&[3][..], &[0; 3072]].concat()).unwrap();
    let connect = Command::decode(&messages(&client.output).pop().unwrap()).unwrap();
    let object = connect.object.as_object().unwrap();
    for (key, value) in [
        ("app", "live"),
        ("tcUrl", "rtmp://localhost/live"),
        ("flashVer", "LNX 9,0,124,2"),
        ("swfUrl", "http://h/p.swf"),
        ("pageUrl", "http://h/"),
        ("token", "secret"),
    ] {
        assert_eq!(
            object.get(key).and_then(Value::as_str),
            Some(value),
            "{key}"
        );
    }
}

#[test]
fn a_rejection_brings_code_reason_and_redirect() {
    let mut info = status(Level::Error, "NetConnection.Connect.Rejected", "elsewhere");
    let redirect: Object = [("redirect", Value::from("rtmp://other/live"))]
        .into_iter()
        .collect();
    info.insert("ex", redirect);
    let mut fake = Fake::new(Intent::pull());
    fake.say(&Command::new("_error", 1.0, vec![info.into()]).to_message(COMMAND_CHUNK_STREAM, 0))
        .unwrap();
    let Some(Event::Rejected(rejection)) = fake.client.events.last() else {
        panic!("not rejected")
    };
    assert_eq!(rejection.code, "NetConnection.Connect.Rejected");
    assert_eq!(rejection.redirect.as_deref(), Some("rtmp://other/live"));
    assert!(fake.client.session.is_closing());
}

#[test]
fn a_stream_that_is_not_there_is_a_rejection() {
    let mut fake = Fake::accepted(Intent::pull());
    fake.say(&on_status(
        7,
        status(Level::Error, "NetStream.Play.StreamNotFound", "no"),
    ))
    .unwrap();
    assert!(matches!(
        fake.client.events.last(),
        Some(Event::Rejected(_))
    ));
}

#[test]
fn a_publish_that_was_not_accepted_yet_cannot_end() {
    let mut server = Fake::accepted(Intent::Publish);
    server
        .say(&Message::user_control(UserControl::StreamEof(7)))
        .unwrap();
    assert!(!server.client.session.is_publishing());
    assert!(!server.client.has(&Event::StreamEnded));
    let info = status(Level::Status, "NetStream.Publish.Start", "");
    server.say(&on_status(7, info)).unwrap();
    assert!(server.client.session.is_publishing());
    assert!(server.client.has(&Event::Publishing));
}

#[test]
fn a_stream_that_comes_back_plays_again() {
    let mut fake = Fake::accepted(Intent::pull());
    fake.say(&on_status(
        7,
        status(Level::Status, "NetStream.Play.Start", ""),
    ))
    .unwrap();
    fake.say(&Message::user_control(UserControl::StreamEof(7)))
        .unwrap();
    fake.say(&on_status(
        7,
        status(Level::Status, "NetStream.Play.UnpublishNotify", ""),
    ))
    .unwrap();
    fake.say(&on_status(
        7,
        status(Level::Status, "NetStream.Play.Start", ""),
    ))
    .unwrap();
    fake.client
        .events
        .retain(|event| !matches!(event, Event::Status(_)));
    let [.., a, b, c] = &fake.client.events[..] else {
        panic!("{:?}", fake.client.events)
    };
    assert_eq!(
        [a, b, c],
        [&Event::Playing, &Event::StreamEnded, &Event::Playing]
    );
}

#[test]
fn acknowledges_in_time_and_not_for_every_byte() {
    let mut fake = Fake::accepted(Intent::pull());
    fake.say(&Message::window_ack_size(20_000)).unwrap();
    fake.client.output.clear();
    fake.client.output.resize(3073, 0);
    for _ in 0..100 {
        let payload = Bytes::from(vec![0xaf; 1000]);
        let audio = rtmp::message::Kind::Audio;
        let message = Message {
            chunk_stream: 4,
            timestamp: 0,
            kind: audio,
            stream_id: 7,
            payload,
        };
        fake.say(&message).unwrap();
    }
    let acks = messages(&fake.client.output);
    assert!((9..=12).contains(&acks.len()), "{}", acks.len());
    // RTMP 5.4.3: an acknowledgement says how much has come so far.
    assert!(
        acks.windows(2)
            .all(|pair| pair[0].value() < pair[1].value())
    );
}

#[test]
fn bandwidth_probes_are_answered() {
    let mut fake = Fake::accepted(Intent::pull());
    fake.say(&Command::new("_onbwcheck", 9.0, Vec::new()).to_message(COMMAND_CHUNK_STREAM, 0))
        .unwrap();
    let answer = fake.said().pop().unwrap();
    assert_eq!((answer.name.as_str(), answer.transaction), ("_result", 9.0));
}

#[test]
fn a_server_that_only_asks_is_given_up_before_it_fills_memory() {
    let config = Config {
        max_pending_output: 4096,
        ..Config::default()
    };
    let mut client = Client::with(config, Intent::pull());
    client.feed(&[&[3][..], &[0; 3072]].concat()).unwrap();
    let mut pings = BytesMut::new();
    let mut writer = chunk::ChunkWriter::new();
    for time in 0..1000 {
        writer.write(
            &Message::user_control(UserControl::PingRequest(time)),
            &mut pings,
        );
    }
    assert_eq!(client.feed(&pings), Err(Error::TooMuchOutput(4096)));
}

#[test]
fn declared_lengths_cost_nothing_and_limits_hold() {
    let mut fake = Fake::accepted(Intent::pull());
    // 0xFFFFFF bytes of command, declared on many chunk streams.
    let declared = [
        &[3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0][..],
        &[0; 128],
    ]
    .concat();
    let error = fake.client.feed(&declared).unwrap_err();
    assert!(
        matches!(error, Error::Chunk(chunk::Error::TooLong { .. })),
        "{error}"
    );

    let mut fake = Fake::accepted(Intent::pull());
    let many: Vec<u8> = (3..64)
        .flat_map(|id| [&[id, 0, 0, 0, 0, 1, 0, 9, 0, 0, 0, 0][..], &[0; 128]].concat())
        .collect();
    let error = fake.client.feed(&many).unwrap_err();
    assert!(
        matches!(error, Error::Chunk(chunk::Error::TooManyChunkStreams(_))),
        "{error}"
    );
}

#[test]
fn garbage_never_panics() {
    // xorshift64, so that a failure can be had again.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..2000 {
        let mut fake = match round % 3 {
            0 => Fake::new(Intent::pull()),
            1 => Fake::accepted(Intent::pull()),
            _ => Fake::accepted(Intent::Publish),
        };
        for _ in 0..random() % 20 {
            let kind = [1, 2, 3, 4, 5, 6, 8, 9, 15, 17, 18, 20, 22][random() as usize % 13];
            let payload: Vec<u8> = (0..random() % 40)
                .map(|_| [random() as u8, 0, 2, 3][random() as usize % 4])
                .collect();
            let message = Message {
                chunk_stream: 3,
                timestamp: random() as u32,
                kind: kind.into(),
                stream_id: 7,
                payload: payload.into(),
            };
            if fake.say(&message).is_err() {
                break;
            }
        }
        let noise: Vec<u8> = (0..random() % 200).map(|_| random() as u8).collect();
        let _ = fake.client.feed(&noise);
    }
}

#[test]
fn what_is_no_rtmp_server_is_noticed_at_once() {
    let mut client = Client::new(Intent::pull());
    assert!(matches!(
        client.feed(b"HTTP/1.1 400 Bad Request\r\n"),
        Err(Error::Handshake(_))
    ));
}

#[test]
fn each_wait_has_its_end() {
    let late = |client: &mut Client, seconds| {
        client
            .session
            .handle_timeout(client.now + Duration::from_secs(seconds))
    };
    let mut client = Client::new(Intent::pull());
    assert_eq!(late(&mut client, 9), Ok(()));
    assert_eq!(late(&mut client, 10), Err(Error::Timeout(Phase::Handshake)));

    let mut fake = Fake::new(Intent::pull());
    assert_eq!(late(&mut fake.client, 29), Ok(()));
    assert_eq!(
        late(&mut fake.client, 30),
        Err(Error::Timeout(Phase::Connect))
    );

    let mut fake = Fake::accepted(Intent::pull());
    assert_eq!(
        late(&mut fake.client, 30),
        Err(Error::Timeout(Phase::Stream))
    );
    fake.say(&on_status(
        7,
        status(Level::Status, "NetStream.Play.Start", ""),
    ))
    .unwrap();
    assert_eq!(
        late(&mut fake.client, 30),
        Err(Error::Timeout(Phase::Media))
    );

    let mut fake = Fake::accepted(Intent::Publish);
    fake.say(&on_status(
        7,
        status(Level::Status, "NetStream.Publish.Start", ""),
    ))
    .unwrap();
    assert_eq!(
        fake.client.session.poll_timeout(),
        None,
        "who takes media need not speak"
    );
}

#[test]
fn printing_a_session_keeps_its_secrets() {
    let mut extra = Object::new();
    extra.insert("token", "secret");
    let client = Client::with(
        Config {
            extra: extra.clone(),
            ..Config::default()
        },
        Intent::Publish,
    );
    let printed = format!(
        "{:?} {:?}",
        client.session,
        Config {
            extra,
            ..Config::default()
        }
    );
    assert!(
        !printed.contains("secret") && !printed.contains("token=x"),
        "{printed}"
    );
}

#[test]
fn a_refusal_of_any_level_at_any_time_before_the_stream_is_told_as_one() {
    let connected = Command::result(1.0, vec![status(Level::Status, "", "").into()])
        .to_message(COMMAND_CHUNK_STREAM, 0);
    for (intent, level, code) in [
        (
            Intent::Publish,
            Level::Error,
            "NetStream.Publish.Unauthorized",
        ),
        (Intent::Publish, Level::Status, "NetStream.Publish.BadName"),
        (
            Intent::pull(),
            Level::Status,
            "NetStream.Play.StreamNotFound",
        ),
        (Intent::pull(), Level::Status, "NetStream.Play.Failed"),
    ] {
        // At FCPublish or the like, on stream 0.
        let mut early = Fake::new(intent);
        early.say(&connected).unwrap();
        early
            .say(&on_status(0, status(level, code, "why")))
            .unwrap();
        let mut late = Fake::accepted(intent);
        late.say(&on_status(7, status(level, code, "why"))).unwrap();
        for fake in [early, late] {
            let Some(Event::Rejected(rejection)) = fake.client.events.last() else {
                panic!("{code}: {:?}", fake.client.events)
            };
            assert_eq!(rejection.code, code);
            assert!(fake.client.session.is_closing());
        }
    }
}

#[test]
fn pings_alone_do_not_keep_a_client_waiting() {
    let mut fake = Fake::accepted(Intent::pull());
    let begun = fake.client.now;
    fake.client.now += Duration::from_secs(20);
    fake.say(&Message::user_control(UserControl::PingRequest(1)))
        .unwrap();
    let late = fake
        .client
        .session
        .handle_timeout(begun + Duration::from_secs(30));
    assert_eq!(late, Err(Error::Timeout(Phase::Stream)));
}

#[test]
fn media_that_comes_without_a_word_before_it_is_the_stream() {
    let mut fake = Fake::accepted(Intent::pull());
    let sound = |timestamp| Message {
        chunk_stream: 4,
        timestamp,
        kind: rtmp::message::Kind::Audio,
        stream_id: 7,
        payload: Bytes::from_static(&[0xAF, 1, 1]),
    };
    for seconds in (0..60).step_by(20) {
        fake.client.now += Duration::from_secs(20);
        let now = fake.client.now;
        assert_eq!(fake.client.session.handle_timeout(now), Ok(()));
        fake.say(&sound(seconds)).unwrap();
    }
    let told = |event: &&Event| **event == Event::Playing;
    assert_eq!(fake.client.events.iter().filter(told).count(), 1);
    assert_eq!(fake.client.tags().len(), 3);
}

#[test]
fn a_stream_that_the_server_ended_takes_no_tags() {
    let mut fake = Fake::accepted(Intent::Publish);
    let tag = flv::Tag::new(flv::Kind::Audio, 0, Bytes::from_static(&[0xAF, 1, 1]));
    let say = |code| on_status(7, status(Level::Status, code, ""));
    fake.say(&say("NetStream.Publish.Start")).unwrap();
    assert!(fake.client.session.send(&tag));
    fake.say(&say("NetStream.Unpublish.Success")).unwrap();
    assert!(!fake.client.session.send(&tag));
}

#[test]
fn a_client_may_wait_for_ever() {
    let config = Config {
        handshake_timeout: Duration::MAX,
        read_timeout: Duration::MAX,
        ..Config::default()
    };
    let mut client = Client::with(config, Intent::pull());
    assert_eq!(client.session.poll_timeout(), None);
    client.feed(&[&[3][..], &[0; 3072]].concat()).unwrap();
    assert_eq!(client.session.poll_timeout(), None);
}
