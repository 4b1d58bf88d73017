//! The server over real sockets, and clients that say much at once.

#[path = "support/relay.rs"]
mod relay;
#[path = "support/running.rs"]
mod running;

use std::sync::Mutex;

use amf::Value;
use bytes::BytesMut;
use flv::Tag;
use relay::Relay;
use rtmp::chunk::{ChunkReader, ChunkWriter, Limits};
use rtmp::command::Command;
use rtmp::handler::{Chain, Handler, Reason};
use rtmp::message::{Kind, Message};
use rtmp::net::{Publication, ServerOptions};
use running::{Running, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_rtmp as rtmp;

/// A client that sends what it is told to, all in one piece.
struct Raw {
    socket: TcpStream,
    writer: ChunkWriter,
    reader: ChunkReader,
    input: BytesMut,
}

impl Raw {
    /// After `connect`.
    async fn connected(server: &Running) -> Self {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        let hello = [&[3][..], &[0; 3072]].concat();
        socket.write_all(&hello).await.unwrap();
        socket.read_exact(&mut [0; 3073]).await.unwrap();
        let mut raw = Self {
            socket,
            writer: ChunkWriter::new(),
            reader: ChunkReader::new(Limits::default()),
            input: BytesMut::new(),
        };
        let app = [("app", Value::from("live"))].into_iter().collect();
        let connect = Command {
            object: Value::Object(app),
            ..Command::new("connect", 1.0, Vec::new())
        };
        raw.says(&[connect.to_message(3, 0)], b"").await;
        raw.hears("NetConnection.Connect.Success").await;
        raw
    }

    async fn says(&mut self, messages: &[Message], behind: &[u8]) {
        let mut bytes = BytesMut::new();
        for message in messages {
            self.writer.write(message, &mut bytes);
        }
        bytes.extend_from_slice(behind);
        self.socket.write_all(&bytes).await.unwrap();
    }

    /// Reads up to a status or result with that code; the codes that came, it included.
    async fn hears(&mut self, code: &str) -> Vec<String> {
        let mut codes = Vec::new();
        loop {
            while let Some(message) = self.reader.read(&mut self.input).unwrap() {
                let info = Command::decode(&message).and_then(|command| {
                    let info = command.arguments.first()?.as_object()?;
                    Some(info.get("code")?.as_str()?.to_owned())
                });
                codes.extend(info);
                if codes.last().is_some_and(|last| last == code) {
                    return codes;
                }
            }
            let read = self.socket.read_buf(&mut self.input).await.unwrap();
            assert!(read > 0, "closed before {code}; {codes:?}");
        }
    }
}

fn command(name: &str, arguments: &[Value], stream_id: u32) -> Message {
    Command::new(name, 0.0, arguments.to_vec()).to_message(3, stream_id)
}

fn sound(timestamp: u32) -> Message {
    Message {
        chunk_stream: 4,
        timestamp,
        kind: Kind::Audio,
        stream_id: 1,
        payload: vec![0xAF, 1, 0x21].into(),
    }
}

#[tokio::test]
async fn the_later_of_two_plays_sent_at_once_is_the_one_in_force() {
    let (relay, mut calls) = Relay::new();
    let server = serve(relay, ServerOptions::default()).await;
    let mut raw = Raw::connected(&server).await;
    let play = |name: &str| command("play", &[name.into()], 1);
    let pause = command("pause", &[true.into(), 0.0.into()], 1);
    raw.says(&[play("first"), play("second"), pause], b"").await;
    let start = ["NetStream.Play.Reset", "NetStream.Play.Start"];
    let expected = [&start[..], &start[..], &["NetStream.Pause.Notify"]].concat();
    assert_eq!(raw.hears("NetStream.Pause.Notify").await, expected);
    calls.wait("pause").await;
    let about = |name| matches!(name, "play" | "play_stop" | "pause");
    let calls: Vec<_> = calls.seen.iter().filter(|call| about(call.name)).collect();
    let calls: Vec<_> = calls
        .iter()
        .map(|call| format!("{} {}", call.name, call.details))
        .collect();
    assert_eq!(
        calls,
        [
            "play live/first",
            "play_stop live/first",
            "play live/second",
            "pause 0"
        ]
    );
    drop(raw);
    server.stop().await;
}

#[tokio::test]
async fn a_publish_that_came_with_a_breach_of_the_protocol_is_not_asked() {
    let (relay, mut calls) = Relay::new();
    let server = serve(relay, ServerOptions::default()).await;
    let mut raw = Raw::connected(&server).await;
    // A chunk that goes on where nothing has begun.
    let publish = command("publish", &["cam".into(), "live".into()], 1);
    raw.says(&[publish], &[0xC0 | 60]).await;
    let end = calls.wait("disconnect").await.end.clone().unwrap();
    assert!(matches!(end.reason, Reason::Protocol(_)), "{end:?}");
    assert_eq!(calls.count("publish"), 0);
    server.stop().await;
}

/// Remembers its publishes, and ends the first when the second has sent something.
#[derive(Default)]
struct Late(Mutex<Vec<Publication>>);

impl Handler for Late {
    fn on_media_tag(&self, publication: &Publication, _tag: &Tag) -> bool {
        let mut known = self.0.lock().unwrap();
        if !known.iter().any(|known| known.is(publication)) {
            known.push(publication.clone());
        }
        if known.len() > 1 {
            known[0].end("too late");
        }
        true
    }
}

#[tokio::test]
async fn a_publish_that_is_ended_late_takes_no_other_along() {
    let (relay, mut calls) = Relay::new();
    let server = serve(Chain(relay, Late::default()), ServerOptions::default()).await;
    let mut raw = Raw::connected(&server).await;
    let publish = |name: &str| command("publish", &[name.into(), "live".into()], 1);
    let close = command("closeStream", &[], 1);
    let both = [publish("first"), sound(1), close, publish("second")];
    raw.says(&both, b"").await;
    for time in [2, 3] {
        raw.says(&[sound(time)], b"").await;
        while calls.wait("media_tag").await.details != time.to_string() {}
    }
    assert_eq!(calls.count("unpublish"), 1);
    drop(raw);
    calls.wait("disconnect").await;
    assert_eq!(calls.count("unpublish"), 2);
    server.stop().await;
}
