//! The client's session against what real servers said to real clients, and against our own
//! server's session.

#[path = "support/client.rs"]
mod client;
mod support;

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use client::{Client, messages};
use flv::{Kind, Tag};
use rtmp::client::{Config, Event, Intent};
use support::{capture, expected_frames, folder, frames, tag_line};
use weir_rtmp as rtmp;

/// Byte by byte takes its time.
const SMALL: usize = 90_000;

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
fn a_play_without_media_outlives_pings_that_come_late() {
    let mut pair = Pair::new(Intent::pull());
    pair.run();
    // Both have the settings that are their defaults.
    let end = pair.server.now + Duration::from_secs(600);
    while pair.server.now < end {
        let due = pair.server.session.poll_timeout().unwrap();
        pair.server.now = due;
        pair.server.session.handle_timeout(due);
        pair.server.drain();
        let arrives = due + Duration::from_secs(5);
        pair.client.now = arrives;
        assert_eq!(pair.client.session.handle_timeout(arrives), Ok(()));
        pair.run();
    }
    let timed_out = |event: &rtmp::Event| matches!(event, rtmp::Event::TimedOut(_));
    assert!(!pair.server.events.iter().any(timed_out));
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
