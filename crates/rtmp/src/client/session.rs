use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use amf::Value;
use bytes::{Bytes, BytesMut};
use flv::Tag;

use super::{Config, Error, Event, Intent, Phase, Rejection, commands};
use crate::caps::Caps;
use crate::chunk::{ChunkReader, ChunkWriter};
use crate::command::{self, Command};
use crate::handshake::Handshake;
use crate::message::{COMMAND_CHUNK_STREAM, Kind, Message, UserControl};
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
#[derive(Debug)]
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
    deadline: Instant,
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
            deadline: now + config.handshake_timeout,
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
            State::Handshake(_) => Some(self.deadline),
            // Who takes our media need not say anything.
            State::Running { .. } if self.intent == Intent::Publish => None,
            State::Closing => None,
            _ => Some(self.heard + self.config.read_timeout),
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
        self.intent == Intent::Publish && matches!(self.state, State::Running { .. })
    }

    /// Sends a tag; its payload is shared. `false` if the server does not take tags (yet).
    pub fn send(&mut self, tag: &Tag) -> bool {
        let State::Running { stream_id, .. } = self.state else {
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

    fn handle_message(&mut self, message: &Message) {
        match message.kind {
            Kind::WindowAckSize => self.window = message.value().filter(|window| *window > 0),
            Kind::SetPeerBandwidth => {
                self.message(&Message::window_ack_size(self.config.window_ack))
            }
            Kind::Acknowledgement => {
                self.events
                    .extend(message.value().map(|bytes| Event::Acknowledged { bytes }));
            }
            Kind::UserControl => self.handle_user_control(message),
            Kind::Command | Kind::CommandAmf3 => {
                if let Some(command) = Command::decode(message) {
                    self.handle_command(&command);
                }
            }
            Kind::Audio => self.tag(Tag::new(
                flv::Kind::Audio,
                message.timestamp,
                message.payload.clone(),
            )),
            Kind::Video => self.tag(Tag::new(
                flv::Kind::Video,
                message.timestamp,
                message.payload.clone(),
            )),
            Kind::Data | Kind::DataAmf3 => {
                self.tag(Tag::new(
                    flv::Kind::Data,
                    message.timestamp,
                    command::data_body(message),
                ));
            }
            Kind::Aggregate => {
                let tags = flv::aggregate::split(message.timestamp, message.payload.clone());
                for tag in tags.take(self.config.max_aggregate) {
                    self.tag(tag);
                }
            }
            Kind::SetChunkSize | Kind::Abort | Kind::Other(_) => {}
        }
    }

    fn tag(&mut self, tag: Tag) {
        // Before `play` there is nothing of ours; whoever publishes has no use for tags.
        let plays = matches!(self.state, State::Starting { .. } | State::Running { .. });
        if !plays || self.intent == Intent::Publish || tag.payload.is_empty() {
            return;
        }
        if let State::Running {
            stream_id,
            ended: true,
        } = self.state
        {
            self.started(stream_id);
        }
        self.events.push_back(Event::Tag(tag));
    }

    fn handle_user_control(&mut self, message: &Message) {
        match UserControl::decode(&message.payload) {
            Some(UserControl::PingRequest(time)) => {
                self.message(&Message::user_control(UserControl::PingResponse(time)));
            }
            Some(UserControl::StreamEof(id)) if self.is_ours(id) => self.stream_ended(),
            Some(UserControl::StreamDry(id)) if self.is_ours(id) => {
                self.events.push_back(Event::StreamDry);
            }
            _ => {}
        }
    }

    fn is_ours(&self, id: u32) -> bool {
        matches!(self.state, State::Starting { stream_id, .. } | State::Running { stream_id, .. } if stream_id == id)
    }

    fn handle_command(&mut self, command: &Command) {
        match command.name.as_str() {
            "_result" => self.handle_result(command),
            "_error" => self.handle_error(command),
            "onStatus" => self.handle_status(command),
            // Bandwidth probes of Flash Media Server and its kin; it waits for the answer.
            "_onbwcheck" => {
                let answer = Command::result(command.transaction, vec![0.0.into()]);
                self.message(&answer.to_message(COMMAND_CHUNK_STREAM, 0));
            }
            "close" => self.close(Event::Closed),
            _ => {}
        }
    }

    fn handle_result(&mut self, command: &Command) {
        match self.state {
            State::Connecting => self.connected(command),
            State::Creating { transaction } => {
                // An answer that brings a number can only be that of `createStream`, whatever
                // its transaction says (Q03).
                let id = command.arguments.iter().find_map(Value::as_number);
                match id {
                    Some(id) => self.created(id as u32),
                    None if command.transaction == transaction => self.created(1),
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn connected(&mut self, command: &Command) {
        // E-RTMP puts the answer into the properties, some servers into the information.
        let read = |value: Option<&Value>| value.and_then(Value::as_object).map(Caps::from_object);
        let properties = read(Some(&command.object)).filter(Caps::is_enhanced);
        let caps = properties
            .or_else(|| read(command.arguments.first()))
            .unwrap_or_default();
        self.events.push_back(Event::Connected { caps });

        let stream = Value::from(self.stream.as_str());
        match self.intent {
            Intent::Publish => {
                self.command("releaseStream", vec![stream.clone()]);
                self.command("FCPublish", vec![stream]);
            }
            Intent::Pull { subscribe, .. } => {
                self.message(&Message::window_ack_size(self.config.window_ack));
                if subscribe {
                    self.command("FCSubscribe", vec![stream]);
                }
            }
        }
        let transaction = self.command("createStream", Vec::new());
        self.state = State::Creating { transaction };
    }

    fn created(&mut self, stream_id: u32) {
        self.transaction += 1;
        let transaction = f64::from(self.transaction);
        let stream = Value::from(self.stream.as_str());
        self.state = State::Starting {
            stream_id,
            transaction,
        };
        match self.intent {
            Intent::Publish => {
                let publish = Command::new("publish", transaction, vec![stream, "live".into()]);
                self.message(&publish.to_message(STREAM_CHUNK_STREAM, stream_id));
            }
            Intent::Pull { start, .. } => {
                let play = Command::new(
                    "play",
                    transaction,
                    vec![stream, commands::start(start).into()],
                );
                self.message(&play.to_message(STREAM_CHUNK_STREAM, stream_id));
                let millis =
                    u32::try_from(self.config.buffer_length.as_millis()).unwrap_or(u32::MAX);
                let buffer = UserControl::SetBufferLength { stream_id, millis };
                self.message(&Message::user_control(buffer));
            }
        }
    }

    fn handle_error(&mut self, command: &Command) {
        let fatal = match self.state {
            State::Connecting => true,
            // `releaseStream` and `FCPublish` fail on many servers, and nothing follows from it.
            State::Creating { transaction } | State::Starting { transaction, .. } => {
                command.transaction == transaction
            }
            _ => false,
        };
        if fatal {
            self.close(Event::Rejected(commands::rejection(command)));
        }
    }

    fn handle_status(&mut self, command: &Command) {
        let status = commands::status(command);
        match (status.code.as_str(), &self.state) {
            ("NetConnection.Connect.ReconnectRequest", _) => {
                let info = commands::information(command);
                let tc_url = info
                    .and_then(|info| info.get_ignore_case("tcUrl")?.as_str())
                    .map(str::to_owned);
                let description = status.description;
                self.events.push_back(Event::ReconnectRequest {
                    tc_url,
                    description,
                });
            }
            ("NetConnection.Connect.Closed", _) => self.close(Event::Closed),
            ("NetConnection.Connect.Rejected", _) => {
                self.close(Event::Rejected(commands::rejection(command)));
            }
            (
                "NetStream.Play.Start" | "NetStream.Publish.Start",
                &State::Starting { stream_id, .. },
            ) => {
                self.started(stream_id);
            }
            (
                "NetStream.Play.Start",
                &State::Running {
                    stream_id,
                    ended: true,
                },
            ) => self.started(stream_id),
            (
                "NetStream.Play.Stop"
                | "NetStream.Play.Complete"
                | "NetStream.Play.UnpublishNotify"
                | "NetStream.Unpublish.Success",
                State::Running { .. },
            ) => {
                self.events.push_back(Event::Status(status));
                self.stream_ended();
            }
            (_, State::Starting { .. }) if status.level == "error" => {
                let rejection = Rejection {
                    redirect: None,
                    code: status.code,
                    description: status.description,
                };
                self.close(Event::Rejected(rejection));
            }
            (_, State::Running { .. }) if status.level == "error" => {
                self.events.push_back(Event::Status(status));
                self.stream_ended();
            }
            _ => self.events.push_back(Event::Status(status)),
        }
    }

    fn started(&mut self, stream_id: u32) {
        self.state = State::Running {
            stream_id,
            ended: false,
        };
        self.events.push_back(match self.intent {
            Intent::Publish => Event::Publishing,
            Intent::Pull { .. } => Event::Playing,
        });
    }

    /// Servers say it up to three times, in a row; once is enough.
    fn stream_ended(&mut self) {
        match &mut self.state {
            State::Running { ended, .. } if !*ended => *ended = true,
            &mut State::Starting { stream_id, .. } => {
                self.state = State::Running {
                    stream_id,
                    ended: true,
                };
            }
            _ => return,
        }
        self.events.push_back(Event::StreamEnded);
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
