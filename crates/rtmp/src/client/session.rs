mod answers;

use std::collections::VecDeque;
use std::fmt;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Instant;

use amf::Value;
use bytes::{Bytes, BytesMut};
use flv::Tag;

use super::{Config, Error, Event, Intent, Phase, commands};
use crate::chunk::{ChunkReader, ChunkWriter};
use crate::command::Command;
use crate::handshake::Handshake;
use crate::message::{COMMAND_CHUNK_STREAM, Message};
use crate::url::Url;
use crate::wire;

/// Chunk stream of `play` and `publish`.
const STREAM_CHUNK_STREAM: u32 = 8;
/// Encoders send metadata behind this name, servers take it off again.
const SET_DATA_FRAME: &str = "@setDataFrame";

/// The client's end of an RTMP connection: bytes and instants come in, bytes and [`Event`]s go
/// out.
///
/// After every `handle_*` and [`send`](Self::send), drain `poll_output`, then `poll_event`, then
/// ask `poll_timeout`.
pub struct Session {
    config: Arc<Config>,
    intent: Intent,
    app: String,
    tc_url: String,
    /// Name and query, as `play` and `publish` have it.
    stream: String,
    state: State,
    reader: ChunkReader,
    writer: ChunkWriter,
    output: VecDeque<Bytes>,
    /// Bytes of answers in `output`: what the server makes us hold.
    pending: usize,
    events: VecDeque<Event>,
    transaction: u32,
    received: u64,
    acknowledged: u64,
    /// The server wants an acknowledgement after so many bytes.
    window: Option<u32>,
    heard: Instant,
    /// When the state began.
    entered: Instant,
}

#[derive(Debug)]
enum State {
    Handshake(Handshake),
    Connecting,
    /// Waits for the answer to the `createStream` with this transaction.
    Creating {
        transaction: f64,
    },
    /// `play` or `publish` is out.
    Starting {
        stream_id: u32,
        transaction: f64,
    },
    /// The stream has begun; `ended` while it has stopped again.
    Running {
        stream_id: u32,
        ended: bool,
    },
    /// Nothing more is said or heard.
    Closing,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the stream: name and query may be secrets.
        let mut shown = f.debug_struct("Session");
        shown.field("intent", &self.intent).field("app", &self.app);
        shown.field("state", &self.state).finish_non_exhaustive()
    }
}

impl Session {
    /// Begins: C0 and C1 are in the output at once.
    #[must_use]
    pub fn new(config: Arc<Config>, url: &Url, intent: Intent, now: Instant) -> Self {
        let mut hello = BytesMut::new();
        let handshake = Handshake::client(&mut hello);
        Self {
            app: url.app().to_owned(),
            tc_url: config.tc_url.clone().unwrap_or_else(|| url.tc_url()),
            stream: url.stream(),
            intent,
            state: State::Handshake(handshake),
            reader: ChunkReader::new(config.limits),
            writer: ChunkWriter::new(),
            output: VecDeque::from([hello.freeze()]),
            pending: 0,
            events: VecDeque::new(),
            transaction: 1,
            received: 0,
            acknowledged: 0,
            window: None,
            heard: now,
            entered: now,
            config,
        }
    }

    /// Takes all that can be taken from the front of `input`; what stays is the beginning of
    /// something.
    ///
    /// # Errors
    /// When the server breaks the protocol or a limit; the connection cannot go on.
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), Error> {
        let before = input.len();
        let state = discriminant(&self.state);
        if let State::Handshake(handshake) = &mut self.state {
            let mut answer = BytesMut::new();
            let done = handshake.read(input, &mut answer)?;
            if !answer.is_empty() {
                self.output.push_back(answer.freeze());
            }
            if done {
                self.connect();
            }
        }
        while !matches!(self.state, State::Handshake(_) | State::Closing) {
            let Some(message) = self.reader.read(input)? else {
                break;
            };
            self.handle_message(&message);
        }
        if self.is_closing() {
            input.clear();
        }
        self.received += (before - input.len()) as u64;
        if before > input.len() {
            self.heard = now;
        }
        if state != discriminant(&self.state) {
            self.entered = now;
        }
        self.acknowledge();
        if self.pending > self.config.max_pending_output {
            return Err(Error::TooMuchOutput(self.config.max_pending_output));
        }
        Ok(())
    }

    /// Notices that time has passed.
    ///
    /// # Errors
    /// When the server was silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return Ok(());
        }
        Err(Error::Timeout(match self.state {
            State::Handshake(_) => Phase::Handshake,
            State::Connecting => Phase::Connect,
            State::Creating { .. } | State::Starting { .. } => Phase::Stream,
            State::Running { .. } | State::Closing => Phase::Media,
        }))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Handshake(_) => self.entered.checked_add(self.config.handshake_timeout),
            // Who takes our media need not say anything.
            State::Running { .. } if self.intent == Intent::Publish => None,
            State::Closing => None,
            State::Running { .. } => self.heard.checked_add(self.config.read_timeout),
            // What counts is the answer: a server may ping for ever without one.
            _ => self.entered.checked_add(self.config.read_timeout),
        }
    }

    /// The next bytes to send.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        let bytes = self.output.pop_front()?;
        if self.output.is_empty() {
            self.pending = 0;
            self.output.shrink_to(16);
        }
        Some(bytes)
    }

    /// The next thing learnt.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether the connection is to be closed once all output is sent.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing)
    }

    /// Whether the server takes tags.
    #[must_use]
    pub fn is_publishing(&self) -> bool {
        self.intent == Intent::Publish && matches!(self.state, State::Running { ended: false, .. })
    }

    /// Sends a tag; its payload is shared. `false` if the server does not take tags (yet, or
    /// any more).
    pub fn send(&mut self, tag: &Tag) -> bool {
        let State::Running {
            stream_id,
            ended: false,
        } = self.state
        else {
            return false;
        };
        if self.intent != Intent::Publish {
            return false;
        }
        let wrapped;
        let tag = match wrap_metadata(tag) {
            Some(tag) => {
                wrapped = tag;
                &wrapped
            }
            None => tag,
        };
        let chunk_size = self.writer.chunk_size();
        self.output
            .extend(wire::wire(tag, tag.dts, chunk_size, stream_id));
        true
    }

    /// Holds a played stream, or lets it go on. `at_ms` is where the player stands.
    pub fn pause(&mut self, paused: bool, at_ms: u32) {
        self.stream_command("pause", vec![paused.into(), at_ms.into()]);
    }

    /// Whether the server shall send audio.
    pub fn receive_audio(&mut self, on: bool) {
        self.stream_command("receiveAudio", vec![on.into()]);
    }

    /// Whether the server shall send video.
    pub fn receive_video(&mut self, on: bool) {
        self.stream_command("receiveVideo", vec![on.into()]);
    }

    /// Ends the stream politely. Nothing is heard any more; send the output, then close.
    pub fn finish(&mut self) {
        let stream_id = match self.state {
            State::Starting { stream_id, .. } | State::Running { stream_id, .. } => Some(stream_id),
            _ => None,
        };
        if let Some(stream_id) = stream_id {
            if self.intent == Intent::Publish {
                let stream = Value::from(self.stream.as_str());
                self.command("FCUnpublish", vec![stream]);
            }
            self.command("deleteStream", vec![stream_id.into()]);
        }
        self.state = State::Closing;
    }

    fn connect(&mut self) {
        self.state = State::Connecting;
        self.events.push_back(Event::HandshakeDone);
        self.message(&Message::set_chunk_size(
            self.config
                .chunk_size
                .clamp(1, crate::chunk::MAX_CHUNK_SIZE),
        ));
        let publishing = self.intent == Intent::Publish;
        let connect = commands::connect(&self.config, &self.app, &self.tc_url, publishing);
        self.message(&connect.to_message(COMMAND_CHUNK_STREAM, 0));
    }

    fn close(&mut self, event: Event) {
        self.events.push_back(event);
        self.state = State::Closing;
    }

    /// Half a window early, so that no server ever stops to wait for us.
    fn acknowledge(&mut self) {
        let Some(window) = self.window else { return };
        if self.received - self.acknowledged >= u64::from(window / 2).max(1) && !self.is_closing() {
            self.acknowledged = self.received;
            // RTMP 5.4.3: the count wraps around.
            self.message(&Message::acknowledgement(self.received as u32));
        }
    }

    /// Sends a command about the connection and returns its transaction.
    fn command(&mut self, name: &str, arguments: Vec<Value>) -> f64 {
        self.transaction += 1;
        let transaction = f64::from(self.transaction);
        let command = Command::new(name, transaction, arguments);
        self.message(&command.to_message(COMMAND_CHUNK_STREAM, 0));
        transaction
    }

    fn stream_command(&mut self, name: &str, arguments: Vec<Value>) {
        if let State::Starting { stream_id, .. } | State::Running { stream_id, .. } = self.state {
            let command = Command::new(name, 0.0, arguments);
            self.message(&command.to_message(STREAM_CHUNK_STREAM, stream_id));
        }
    }

    fn message(&mut self, message: &Message) {
        let mut bytes = BytesMut::new();
        self.writer.write(message, &mut bytes);
        self.pending += bytes.len();
        self.output.push_back(bytes.freeze());
    }
}

/// Metadata as encoders send it: `@setDataFrame` tells the server to keep it.
fn wrap_metadata(tag: &Tag) -> Option<Tag> {
    let flv::Info::Data(info) = tag.info() else {
        return None;
    };
    if info.wrapped || info.event != flv::Event::Metadata {
        return None;
    }
    let mut payload = BytesMut::with_capacity(tag.payload.len() + 3 + SET_DATA_FRAME.len());
    amf::encode(&Value::from(SET_DATA_FRAME), &mut payload);
    payload.extend_from_slice(&tag.payload);
    Some(Tag::new(flv::Kind::Data, tag.dts, payload.freeze()))
}
