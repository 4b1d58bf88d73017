//! What several tests need: recorded sessions, and a way to play them to a session.

#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod peer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use flv::Tag;
use rtmp::{Config, Error, Event, Session};
use weir_rtmp as rtmp;

/// A recorded session; see `captures/README.md`.
pub struct Capture {
    pub name: String,
    pub c2s: Vec<u8>,
    pub s2c: Vec<u8>,
    /// Sizes of the recorder's reads from the client.
    pub c2s_reads: Vec<usize>,
    /// Sizes of the recorder's reads from the server.
    pub s2c_reads: Vec<usize>,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

/// A line of `sessions.txt`: what a capture's client asked for, read by another program.
pub struct Asked {
    pub capture: String,
    pub app: String,
    /// `publish` or `play`, and the name as sent.
    pub verb: Option<(String, String)>,
    /// Whether the client ended it by a command.
    pub ended: bool,
}

pub fn asked() -> Vec<Asked> {
    let text = fs::read_to_string(folder().join("sessions.txt")).unwrap();
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let &[capture, app, verb, name, end] = &words[..] else {
            panic!("{line}")
        };
        Asked {
            capture: capture.to_owned(),
            app: app.to_owned(),
            verb: (verb != "-").then(|| (verb.to_owned(), name.to_owned())),
            ended: end != "-",
        }
    };
    text.lines().map(line).collect()
}

pub fn capture(name: &str) -> Capture {
    let read = |ending: &str| fs::read(folder().join(format!("{name}.{ending}"))).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&read("json")).unwrap();
    let reads = |direction: &str| {
        let marks = json["marks"].as_array().unwrap().iter();
        let ours = marks.filter(|mark| mark[1] == direction);
        ours.map(|mark| mark[3].as_u64().unwrap() as usize)
            .filter(|&len| len > 0)
            .collect()
    };
    Capture {
        name: name.to_owned(),
        c2s: read("c2s.bin"),
        s2c: read("s2c.bin"),
        c2s_reads: reads("c2s"),
        s2c_reads: reads("s2c"),
    }
}

/// A server that says yes to everything.
pub struct Server {
    pub session: Session,
    pub input: BytesMut,
    pub events: Vec<Event>,
    pub output: BytesMut,
    pub now: Instant,
}

impl Server {
    pub fn new(config: Config) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(Arc::new(config), now),
            input: BytesMut::new(),
            events: Vec::new(),
            output: BytesMut::new(),
            now,
        }
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.input.extend_from_slice(bytes);
        self.session.handle_input(self.now, &mut self.input)?;
        self.drain();
        Ok(())
    }

    pub fn drain(&mut self) {
        loop {
            while let Some(output) = self.session.poll_output() {
                self.output.extend_from_slice(&output);
            }
            let Some(event) = self.session.poll_event() else {
                return;
            };
            match &event {
                Event::Connect(_) => self.session.accept_connect(),
                Event::Publish(publish) => self.session.accept_publish(publish.stream_id),
                Event::Play(play) => self.session.accept_play(play.stream_id),
                _ => {}
            }
            self.events.push(event);
        }
    }

    pub fn tags(&self) -> Vec<&Tag> {
        fn tag(event: &Event) -> Option<&Tag> {
            match event {
                Event::Tag { tag, .. } => Some(tag),
                _ => None,
            }
        }
        self.events.iter().filter_map(tag).collect()
    }
}

/// A line of a `.tags` list: kind, time, size and CRC of a tag.
pub fn tag_line(tag: &Tag) -> String {
    format!(
        "{} {} {} {:08x}",
        tag.kind.id(),
        tag.dts,
        tag.payload.len(),
        crc32(&tag.payload)
    )
}

/// The frames of one track as in a `.frames` list: time, size and CRC of each.
pub type Frames = Vec<String>;

/// ffmpeg's reading of a capture: media type and frames of each stream.
pub fn expected_frames(name: &str) -> Vec<(String, Frames)> {
    let text = fs::read_to_string(folder().join(format!("{name}.frames"))).unwrap();
    let mut streams: Vec<(String, Frames)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("stream ") {
            Some(stream) => {
                streams.push((stream.split_once(' ').unwrap().1.to_owned(), Frames::new()))
            }
            None => {
                let (index, frame) = line.split_once(' ').unwrap();
                streams[index.parse::<usize>().unwrap()]
                    .1
                    .push(frame.to_owned());
            }
        }
    }
    streams
}

/// The same from tags: of the kind, those of the track, as far as ffmpeg makes packets of them.
pub fn frames(tags: &[&Tag], kind: flv::Kind, track: u8) -> Frames {
    let wanted = |tag: &&&Tag| tag.kind == kind && tag.track() == track && tag.is_frame();
    let line = |tag: &&Tag| {
        let body: Bytes = tag.body();
        (!body.is_empty()).then(|| format!("{} {} {:08x}", tag.dts, body.len(), crc32(&body)))
    };
    tags.iter().filter(wanted).filter_map(line).collect()
}

/// CRC-32 as in zlib.
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    };
    !bytes.iter().fold(!0, step)
}
