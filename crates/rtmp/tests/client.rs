//! The client's session: against what real servers said to real clients, against our own
//! server's session, and against servers that mean harm.

mod support;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amf::{Object, Value};
use bytes::{Bytes, BytesMut};
use flv::{Kind, Tag};
use rtmp::client::{Config, Error, Event, Intent, Phase, Session};
use rtmp::command::{Command, Level, on_status, status};
use rtmp::message::{COMMAND_CHUNK_STREAM, Message, UserControl};
use rtmp::{Url, chunk};
use support::{capture, expected_frames, folder, frames, tag_line};
use weir_rtmp as rtmp;

/// Byte by byte takes its time.
const SMALL: usize = 90_000;

struct Client {
    session: Session,
    input: BytesMut,
    output: BytesMut,
    events: Vec<Event>,
    now: Instant,
}

impl Client {
    fn new(intent: Intent) -> Self {
        Self::with(Config::default(), intent)
    }

    fn with(config: Config, intent: Intent) -> Self {
        let (url, now) = (
            Url::parse("rtmp://localhost/live/cam?token=x").unwrap(),
            Instant::now(),
        );
        let session = Session::new(Arc::new(config), &url, intent, now);
        Self {
            session,
            input: BytesMut::new(),
            output: BytesMut::new(),
            events: Vec::new(),
            now,
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.input.extend_from_slice(bytes);
        self.session.handle_input(self.now, &mut self.input)?;
        self.drain();
        Ok(())
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            self.output.extend_from_slice(&output);
        }
        self.events
            .extend(std::iter::from_fn(|| self.session.poll_event()));
    }

    fn tags(&self) -> Vec<&Tag> {
        let tags = self.events.iter().filter_map(|event| match event {
            Event::Tag(tag) => Some(tag),
            _ => None,
        });
        tags.collect()
    }

    fn has(&self, event: &Event) -> bool {
        self.events.contains(event)
    }
}

fn captures(prefix: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            Some(
                entry
                    .unwrap()
                    .file_name()
                    .to_str()?
                    .strip_suffix(".s2c.bin")?
                    .to_owned(),
            )
        })
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    assert!(names.len() > 30, "the captures are there");
    names
}

fn replay(name: &str, intent: Intent, sizes: &[usize]) -> Client {
    let bytes = capture(name).s2c;
    let mut client = Client::new(intent);
    let (mut rest, mut sizes) = (&bytes[..], sizes.iter().cycle());
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
        client
            .feed(piece)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        rest = tail;
    }
    client
}

#[test]
fn what_real_servers_sent_to_players_comes_out_as_two_other_programs_read_it() {
    for name in captures("play-") {
        let capture = capture(&name);
        let mut ways = vec![
            capture.s2c_reads.clone(),
            vec![usize::MAX],
            vec![1460],
            vec![7],
        ];
        if capture.s2c.len() < SMALL {
            ways.push(vec![1]);
        }
        for sizes in ways {
            let client = replay(&name, Intent::pull(), &sizes);
            assert!(matches!(client.events[0], Event::HandshakeDone), "{name}");
            assert!(
                matches!(client.events[1], Event::Connected { .. }),
                "{name}"
            );
            assert!(client.has(&Event::Playing), "{name}");
            let tags = client.tags();
            let list = fs::read_to_string(folder().join(format!("{name}.s2c.tags"))).unwrap();
            let ours: Vec<_> = tags.iter().map(|tag| tag_line(tag)).collect();
            assert_eq!(ours, list.lines().collect::<Vec<_>>(), "{name}");
            if !folder().join(format!("{name}.s2c.frames")).exists() {
                continue;
            }
            for (kind, expected) in expected_frames(&format!("{name}.s2c")) {
                let kind = if kind == "video" {
                    Kind::Video
                } else {
                    Kind::Audio
                };
                assert_eq!(frames(&tags, kind, 0), expected, "{name}: {kind:?}");
            }
        }
    }
}

#[test]
fn what_real_servers_answer_publishers_is_understood() {
    for name in captures("pub-") {
        for sizes in [vec![usize::MAX], vec![1]] {
            let client = replay(&name, Intent::Publish, &sizes);
            let rejected = client.events.iter().find_map(|event| match event {
                Event::Rejected(rejection) => Some(rejection.code.as_str()),
                _ => None,
            });
            match name.as_str() {
                // The server just closed.
                "pub-ffmpeg51-bad-app-nginx" => assert_eq!(client.events, [Event::HandshakeDone]),
                rejecting if rejecting.contains("-rejected-") => {
                    assert_eq!(rejected, Some("NetStream.Publish.BadName"), "{name}");
                    assert!(client.session.is_closing(), "{name}");
                }
                _ => {
                    assert!(
                        client.has(&Event::Publishing),
                        "{name}: {:?}",
                        client.events
                    );
                    assert_eq!(rejected, None, "{name}");
                }
            }
        }
    }
}

#[test]
fn pings_of_a_real_server_are_answered_with_the_same_bytes() {
    for name in captures("play-")
        .iter()
        .filter(|name| name.ends_with("-ping"))
    {
        let client = replay(name, Intent::pull(), &[usize::MAX]);
        let pongs = |bytes: &[u8]| -> Vec<Bytes> {
            let payloads = messages(bytes).into_iter().map(|message| message.payload);
            payloads
                .filter(|payload| payload.starts_with(&[0, 7]))
                .collect()
        };
        let theirs = pongs(&capture(name).c2s);
        assert!(theirs.len() > 1, "{name}");
        assert_eq!(pongs(&client.output), theirs, "{name}");
    }
}

/// The messages behind the handshake of a direction.
fn messages(bytes: &[u8]) -> Vec<Message> {
    let mut input = BytesMut::from(&bytes[3073..]);
    let mut reader = chunk::ChunkReader::new(chunk::Limits::default());
    std::iter::from_fn(|| reader.read(&mut input).unwrap()).collect()
}

/// Our server's session, which says yes, and a client's.
struct Pair {
    client: Client,
    server: support::Server,
}

impl Pair {
    fn new(intent: Intent) -> Self {
        Self {
            client: Client::new(intent),
            server: support::Server::new(rtmp::Config::default()),
        }
    }

    fn run(&mut self) {
        loop {
            self.client.drain();
            let up = self.client.output.split();
            self.server.feed(&up).unwrap();
            let down = self.server.output.split();
            if up.is_empty() && down.is_empty() {
                return;
            }
            self.client.feed(&down).unwrap();
        }
    }

    fn stream_id(&self) -> u32 {
        let id = |event: &rtmp::Event| match event {
            rtmp::Event::Play(play) => Some(play.stream_id),
            rtmp::Event::Publish(publish) => Some(publish.stream_id),
            _ => None,
        };
        self.server.events.iter().find_map(id).unwrap()
    }
}

fn video(dts: u32, len: usize) -> Tag {
    let mut payload = vec![0x27, 1, 0, 0, 0];
    payload.extend((0..len).map(|byte| byte as u8));
    Tag::new(Kind::Video, dts, payload.into())
}

fn audio(dts: u32) -> Tag {
    Tag::new(Kind::Audio, dts, Bytes::from_static(&[0xaf, 1, 0x21, 0x22]))
}

#[test]
fn publishes_to_our_own_server_across_the_24_bit_boundary() {
    let mut pair = Pair::new(Intent::Publish);
    pair.run();
    assert!(pair.client.has(&Event::Publishing) && pair.client.session.is_publishing());
    let Some(rtmp::Event::Publish(publish)) = pair
        .server
        .events
        .iter()
        .find(|event| matches!(event, rtmp::Event::Publish(_)))
    else {
        panic!("no publish")
    };
    assert_eq!(
        (publish.app.as_str(), publish.name.as_str()),
        ("live", "cam")
    );
    assert_eq!(publish.params.get("token"), Some("x"));
    assert!(
        pair.server
            .events
            .iter()
            .any(|event| matches!(event, rtmp::Event::FcPublish(_)))
    );

    let tags = [
        audio(0),
        video(16_777_214, 200_000),
        audio(16_777_215),
        video(16_777_216, 70_000),
        video(u32::MAX, 9),
    ];
    for tag in &tags {
        assert!(pair.client.session.send(tag));
    }
    pair.run();
    assert_eq!(pair.server.tags(), tags.iter().collect::<Vec<_>>());
    assert!(
        pair.client
            .events
            .iter()
            .any(|event| !matches!(event, Event::Acknowledged { bytes: 0 }))
    );

    pair.client.session.finish();
    pair.run();
    assert!(
        pair.server
            .events
            .iter()
            .any(|event| matches!(event, rtmp::Event::PublishEnded { .. }))
    );
    assert!(pair.client.session.is_closing());
    assert!(!pair.client.session.send(&audio(0)));
}

#[test]
fn metadata_is_published_the_way_encoders_do() {
    let mut pair = Pair::new(Intent::Publish);
    pair.run();
    let mut metadata = flv::Metadata::default();
    metadata.set("width", 320.0);
    pair.client.session.send(&metadata.to_tag(0));
    pair.run();
    let tags = pair.server.tags();
    assert_eq!(&tags[0].payload[..16], b"\x02\x00\x0d@setDataFrame");
    assert_eq!(flv::Metadata::from_tag(tags[0]), Some(metadata));
}

#[test]
fn plays_from_our_own_server_until_the_end() {
    let mut pair = Pair::new(Intent::pull());
    pair.run();
    assert!(pair.client.has(&Event::Playing));
    let stream_id = pair.stream_id();
    let tags = [video(16_777_000, 200_000), audio(16_777_300)];
    for tag in &tags {
        for slice in rtmp::wire::wire(tag, tag.dts, rtmp::Config::default().chunk_size, stream_id) {
            pair.server.output.extend_from_slice(&slice);
        }
    }
    pair.run();
    let received = pair.client.tags();
    assert_eq!(
        received[received.len() - 2..],
        tags.iter().collect::<Vec<_>>()
    );

    pair.server.session.end_play(stream_id);
    pair.server.drain();
    pair.run();
    let ends = pair
        .client
        .events
        .iter()
        .filter(|event| **event == Event::StreamEnded)
        .count();
    assert_eq!(ends, 1, "however often the server says it");
}

#[test]
fn both_ends_agree_on_enhanced_rtmp() {
    let mut pair = Pair::new(Intent::pull());
    pair.run();
    let Event::Connected { caps } = &pair.client.events[1] else {
        panic!("not connected")
    };
    assert!(caps.is_enhanced() && caps.knows("hvc1") && caps.knows("Opus") && caps.reconnects());
    assert!(pair.server.session.caps().unwrap().reconnects());

    let mut pair = Pair {
        client: Client::with(
            Config {
                caps: None,
                ..Config::default()
            },
            Intent::pull(),
        ),
        ..pair
    };
    pair.server = support::Server::new(rtmp::Config::default());
    pair.run();
    let Event::Connected { caps } = &pair.client.events[1] else {
        panic!("not connected")
    };
    assert!(!caps.is_enhanced(), "who does not ask is not told");
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
fn a_reconnect_request_names_where_to() {
    let mut pair = Pair::new(Intent::Publish);
    pair.run();
    assert!(
        pair.server
            .session
            .request_reconnect(Some("rtmp://other/live"), "moving")
    );
    pair.server.drain();
    pair.run();
    let request = Event::ReconnectRequest {
        tc_url: Some("rtmp://other/live".into()),
        description: "moving".into(),
    };
    assert!(pair.client.has(&request));
}

#[test]
fn pause_and_mute_arrive() {
    let mut pair = Pair::new(Intent::pull());
    pair.run();
    let stream_id = pair.stream_id();
    pair.client.session.pause(true, 1500);
    pair.client.session.receive_audio(false);
    pair.client.session.receive_video(false);
    pair.run();
    for event in [
        rtmp::Event::Pause {
            stream_id,
            paused: true,
            at_ms: 1500,
        },
        rtmp::Event::ReceiveAudio {
            stream_id,
            on: false,
        },
        rtmp::Event::ReceiveVideo {
            stream_id,
            on: false,
        },
        rtmp::Event::BufferLength {
            stream_id,
            millis: 1000,
        },
    ] {
        assert!(pair.server.events.contains(&event), "{event:?}");
    }
}

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
