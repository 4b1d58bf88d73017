//! What a server says, and what follows from it.

use amf::Value;
use flv::Tag;

use super::{STREAM_CHUNK_STREAM, Session, State};
use crate::caps::Caps;
use crate::client::{Event, Intent, Rejection, commands};
use crate::command::{self, Command};
use crate::message::{COMMAND_CHUNK_STREAM, Kind, Message, UserControl};

impl Session {
    pub(super) fn handle_message(&mut self, message: &Message) {
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
        match self.state {
            State::Running {
                stream_id,
                ended: true,
            } => self.started(stream_id),
            // Some servers send the stream without a word before it.
            State::Starting { stream_id, .. } if tag.kind != flv::Kind::Data => {
                self.started(stream_id);
            }
            _ => {}
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
            // `FCPublish` may be refused before there is a stream.
            (_, State::Connecting | State::Creating { .. } | State::Starting { .. })
                if commands::is_refusal(&status) =>
            {
                self.close(Event::Rejected(commands::rejection(command)));
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
            // What is not accepted yet cannot end: a publisher goes on waiting for its answer.
            &mut State::Starting { stream_id, .. } if self.intent != Intent::Publish => {
                self.state = State::Running {
                    stream_id,
                    ended: true,
                };
            }
            _ => return,
        }
        self.events.push_back(Event::StreamEnded);
    }
}
