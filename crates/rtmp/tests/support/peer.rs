//! A client of few words, to test the server's session with.

use std::time::Duration;

use amf::{Object, Value};
use bytes::{Bytes, BytesMut};
use rtmp::chunk::{ChunkReader, ChunkWriter, Limits};
use rtmp::command::Command;
use rtmp::message::{Kind, Message, UserControl};
use rtmp::{Config, Event};
use weir_rtmp as rtmp;

use super::Server;

/// A client and the server it talks to.
pub struct Peer {
    pub server: Server,
    writer: ChunkWriter,
    reader: ChunkReader,
    /// Whether the server says yes by itself.
    pub agreeable: bool,
}

pub fn message(kind: Kind, stream_id: u32, timestamp: u32, payload: &[u8]) -> Message {
    let payload = Bytes::copy_from_slice(payload);
    Message {
        chunk_stream: 3,
        timestamp,
        kind,
        stream_id,
        payload,
    }
}

/// A command with a null object.
pub fn command(name: &str, transaction: f64, arguments: &[Value], stream_id: u32) -> Message {
    Command::new(name, transaction, arguments.to_vec()).to_message(3, stream_id)
}

pub fn connect(members: &[(&str, Value)]) -> Message {
    let object: Object = members.iter().cloned().collect();
    let command = Command {
        object: object.into(),
        ..Command::new("connect", 1.0, Vec::new())
    };
    command.to_message(3, 0)
}

impl Peer {
    /// After the handshake.
    pub fn new(config: Config) -> Self {
        let mut server = Server::new(config);
        server.feed(&[&[3][..], &[0; 3072]].concat()).unwrap();
        assert_eq!(server.events.split_off(0), [Event::HandshakeDone]);
        server.output.clear();
        Self {
            server,
            writer: ChunkWriter::new(),
            reader: reader(),
            agreeable: true,
        }
    }

    /// After `connect` to the app `live`.
    pub fn connected(config: Config) -> Self {
        let mut peer = Self::new(config);
        peer.says(&connect(&[("app", "live".into())]));
        peer.hears();
        peer.server.events.clear();
        peer
    }

    /// After publishing `cam` on stream 1.
    pub fn publishing(config: Config) -> Self {
        let mut peer = Self::connected(config);
        peer.says(&command("createStream", 2.0, &[], 0));
        peer.says(&command("publish", 3.0, &["cam".into(), "live".into()], 1));
        peer.hears();
        peer.server.events.clear();
        peer
    }

    /// After playing `cam` on stream 1.
    pub fn playing(config: Config) -> Self {
        let mut peer = Self::connected(config);
        peer.says(&command("createStream", 2.0, &[], 0));
        peer.says(&command("play", 3.0, &["cam".into()], 1));
        peer.hears();
        peer.server.events.clear();
        peer
    }

    pub fn bytes(&mut self, message: &Message) -> BytesMut {
        let mut bytes = BytesMut::new();
        self.writer.write(message, &mut bytes);
        bytes
    }

    pub fn says(&mut self, message: &Message) {
        let bytes = self.bytes(message);
        self.says_bytes(&bytes).unwrap();
    }

    pub fn says_bytes(&mut self, bytes: &[u8]) -> Result<(), rtmp::Error> {
        if self.agreeable {
            return self.server.feed(bytes);
        }
        self.server.input.extend_from_slice(bytes);
        let server = &mut self.server;
        server.session.handle_input(server.now, &mut server.input)
    }

    /// What the server wrote since, each message as a line.
    pub fn hears(&mut self) -> Vec<String> {
        self.hears_messages().iter().map(line).collect()
    }

    pub fn hears_messages(&mut self) -> Vec<Message> {
        while let Some(output) = self.server.session.poll_output() {
            self.server.output.extend_from_slice(&output);
        }
        let mut messages = Vec::new();
        while let Some(message) = self.reader.read(&mut self.server.output).unwrap() {
            messages.push(message);
        }
        assert!(self.server.output.is_empty());
        messages
    }

    /// What happened since.
    pub fn events(&mut self) -> Vec<Event> {
        while let Some(event) = self.server.session.poll_event() {
            self.server.events.push(event);
        }
        std::mem::take(&mut self.server.events)
    }

    pub fn passes(&mut self, time: Duration) {
        self.server.now += time;
        let now = self.server.now;
        self.server.session.handle_timeout(now);
    }
}

/// Reads with the chunk size that a server announces by default.
fn reader() -> ChunkReader {
    let mut reader = ChunkReader::new(Limits::default());
    let mut announcement = BytesMut::new();
    ChunkWriter::new().write(&Message::set_chunk_size(65_536), &mut announcement);
    assert!(reader.read(&mut announcement).unwrap().is_none());
    reader
}

/// `onStatus/1 error NetStream.Publish.BadName`, `StreamBegin(1)`, `WindowAckSize 2500000`.
fn line(message: &Message) -> String {
    match message.kind {
        Kind::UserControl => format!("{:?}", UserControl::decode(&message.payload).unwrap()),
        Kind::Command => {
            let command = Command::decode(message).unwrap();
            let mut line = format!("{}/{}", command.name, message.stream_id);
            if command.name.starts_with('_') {
                line += &format!(" #{}", command.transaction);
            }
            match command.arguments.first() {
                Some(Value::Number(number)) => line += &format!(" {number}"),
                Some(Value::Object(info)) => {
                    for name in ["level", "code"] {
                        line += &format!(" {}", info.get(name).and_then(Value::as_str).unwrap());
                    }
                }
                _ => {}
            }
            line
        }
        Kind::Data => format!(
            "data/{} {:?}",
            message.stream_id,
            amf::decode_all(&message.payload)
        ),
        kind => format!("{kind:?} {}", message.value().unwrap()),
    }
}
