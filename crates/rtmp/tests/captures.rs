//! Recorded sessions of real clients, replayed to the server's session. What comes out must be
//! what two other programs read in the same bytes (see `captures/README.md`).

mod support;

use bytes::BytesMut;
use flv::Kind;
use rtmp::chunk::{ChunkReader, Limits};
use rtmp::message::{self, UserControl};
use rtmp::{Config, Event};
use support::{Asked, Capture, Server, asked, capture, expected_frames, folder, frames, tag_line};
use weir_rtmp as rtmp;

/// Byte by byte takes its time.
const SMALL: usize = 60_000;

fn replay(capture: &Capture, sizes: impl IntoIterator<Item = usize>) -> Server {
    let mut server = Server::new(Config::default());
    let mut rest = &capture.c2s[..];
    for size in sizes {
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        rest = tail;
        server
            .feed(piece)
            .unwrap_or_else(|error| panic!("{}: {error}", capture.name));
        if rest.is_empty() {
            break;
        }
    }
    assert!(rest.is_empty(), "{}: replayed to the end", capture.name);
    server
}

fn check(server: &Server, asked: &Asked) {
    let name = &asked.capture;
    let connects: Vec<_> = server
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Connect(connect) => Some(connect),
            _ => None,
        })
        .collect();
    let [connect] = &connects[..] else {
        panic!("{name}: {} connects", connects.len())
    };
    let (app, query) = asked.app.split_once('?').unwrap_or((&asked.app, ""));
    assert_eq!(connect.app, app, "{name}");
    let found: Vec<_> = server
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Publish(publish) => {
                Some(("publish", &publish.app, &publish.name, &publish.params))
            }
            Event::Play(play) => Some(("play", &play.app, &play.name, &play.params)),
            _ => None,
        })
        .collect();
    match &asked.verb {
        None => assert_eq!(found, [], "{name}"),
        Some((verb, raw)) => {
            let [(found_verb, found_app, found_name, params)] = &found[..] else {
                panic!("{name}: {found:?}")
            };
            let (stream, stream_query) = raw.split_once('?').unwrap_or((raw, ""));
            assert_eq!(
                (*found_verb, found_app.as_str(), found_name.as_str()),
                (verb.as_str(), app, stream)
            );
            for pair in stream_query
                .split('&')
                .chain(query.split('&'))
                .filter(|pair| !pair.is_empty())
            {
                let (key, value) = pair.split_once('=').unwrap();
                assert_eq!(params.get(key), Some(value), "{name}");
            }
            let ended = |event: &&Event| {
                matches!(event, Event::PublishEnded { .. } | Event::PlayEnded { .. })
            };
            let ends = server.events.iter().filter(ended).count();
            assert_eq!(ends, usize::from(asked.ended), "{name}: ends exactly once");
        }
    }
}

fn check_tags(server: &Server, name: &str) {
    let tags = server.tags();
    let file = folder().join(format!("{name}.c2s.tags"));
    let Ok(expected) = std::fs::read_to_string(file) else {
        assert!(tags.is_empty(), "{name}");
        return;
    };
    let lines: Vec<_> = tags.iter().map(|tag| tag_line(tag)).collect();
    let expected: Vec<_> = expected.lines().collect();
    assert_eq!(lines, expected, "{name}");
    // Tracks of one kind are in their order in ffmpeg's list.
    let (mut video, mut audio) = (0, 0);
    for (media, expected) in expected_frames(&format!("{name}.c2s")) {
        let (kind, track) = match media.as_str() {
            "video" => (Kind::Video, &mut video),
            _ => (Kind::Audio, &mut audio),
        };
        assert_eq!(
            frames(&tags, kind, *track),
            expected,
            "{name}: {media} {track}"
        );
        *track += 1;
    }
    assert!(video + audio > 0, "{name}");
}

#[test]
fn every_session_is_read_as_others_read_it() {
    let mut count = 0;
    for asked in asked() {
        let capture = capture(&asked.capture);
        let whole = replay(&capture, [capture.c2s.len()]);
        check(&whole, &asked);
        check_tags(&whole, &asked.capture);
        let recorded = replay(&capture, capture.c2s_reads.iter().copied());
        assert_eq!(
            recorded.events.len(),
            whole.events.len(),
            "{}",
            capture.name
        );
        check(&recorded, &asked);
        check_tags(&recorded, &asked.capture);
        count += 1;
    }
    assert_eq!(count, 82);
}

#[test]
fn pieces_of_any_size_make_no_difference() {
    for asked in asked() {
        let capture = capture(&asked.capture);
        for size in [1, 7, 1009] {
            if size == 1 && capture.c2s.len() > SMALL {
                continue;
            }
            let pieces = std::iter::repeat_n(size, capture.c2s.len().div_ceil(size));
            let server = replay(&capture, pieces);
            check(&server, &asked);
            check_tags(&server, &asked.capture);
        }
    }
}

/// Whether the client answers pings. Those of a replay never went out, so no event tells.
fn answers_pings(name: &str) -> bool {
    let capture = capture(name);
    let mut input = BytesMut::from(&capture.c2s[1 + 2 * 1536..]);
    let mut reader = ChunkReader::new(Limits::default());
    while let Some(message) = reader.read(&mut input).unwrap() {
        let is_control = message.kind == message::Kind::UserControl;
        let said = UserControl::decode(&message.payload).filter(|_| is_control);
        if matches!(said, Some(UserControl::PingResponse(_))) {
            return true;
        }
    }
    false
}

#[test]
fn players_are_heard_to_ping_acknowledge_and_buffer() {
    let has = |name: &str, wanted: fn(&Event) -> bool| {
        let capture = capture(name);
        replay(&capture, [capture.c2s.len()])
            .events
            .iter()
            .any(wanted)
    };
    for client in ["ffmpeg51", "ffmpeg9", "gst122-rtmp2src", "rtmpdump"] {
        let name = format!("play-{client}-ping");
        assert!(answers_pings(&name), "{name}");
    }
    for name in [
        "play-ffmpeg9-ext-ts-chunk128",
        "play-rtmpdump-live-chunk128",
        "play-gst122-rtmp2src-chunk128",
    ] {
        assert!(
            has(
                name,
                |event| matches!(event, Event::Acknowledged { bytes } if *bytes > 1000)
            ),
            "{name}"
        );
    }
    for (name, length) in [
        ("play-ffmpeg51-nginx", 3000),
        ("play-rtmpdump-nginx", 36_000_000),
    ] {
        let capture = capture(name);
        let events = replay(&capture, [capture.c2s.len()]).events;
        let expected = Event::BufferLength {
            stream_id: 1,
            millis: length,
        };
        assert!(events.contains(&expected), "{name}");
    }
}
