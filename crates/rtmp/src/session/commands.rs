//! What clients ask for.

use amf::Value;
use tracing::debug;

use super::event::{Connect, Event, FcPublish, Play, Publish, PublishKind, PublishRefusal};
use super::held::Until;
use super::names::{self, Params};
use super::streams::Use;
use super::{Error, Peer, Phase, Session};
use crate::caps::Caps;
use crate::command::{Command, Level, is_beyond_limits, status};
use crate::config::Enhanced;
use crate::message::{COMMAND_CHUNK_STREAM, Message, UserControl};

impl Session {
    pub(super) fn connect(&mut self, message: &Message) {
        let Some(command) = Command::decode(message) else {
            return;
        };
        if command.object.is_null() && is_beyond_limits(message) {
            self.phase = Phase::Deciding {
                transaction: command.transaction,
            };
            return self
                .reject_connect_itself("the connect command is nested too deeply, or too large");
        }
        let object = command.object.into_object().unwrap_or_default();
        let (app, params) = names::app(&object, &command.arguments);
        let text = |name| {
            object
                .get_ignore_case(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let caps = match self.config.enhanced {
            Enhanced::Legacy => Caps::default(),
            Enhanced::Auto | Enhanced::Only => Caps::from_object(&object),
        };
        self.phase = Phase::Deciding {
            transaction: command.transaction,
        };
        if app.len() > self.config.max_name {
            return self.reject_connect_itself("the application name is too long");
        }
        if self.config.enhanced == Enhanced::Only && !caps.is_enhanced() {
            return self.reject_connect_itself(
                "this server takes clients with Enhanced RTMP only; update or enable it",
            );
        }
        self.peer = Some(Box::new(Peer {
            app: app.clone(),
            params: params.clone(),
            caps: caps.clone(),
        }));
        let connect = Connect {
            app,
            params,
            tc_url: text("tcUrl"),
            flash_ver: text("flashVer"),
            swf_url: text("swfUrl"),
            page_url: text("pageUrl"),
            object_encoding: object
                .get_ignore_case("objectEncoding")
                .and_then(Value::as_number)
                .unwrap_or_default(),
            object,
            caps,
        };
        self.event(Event::Connect(Box::new(connect)));
    }

    fn reject_connect_itself(&mut self, why: &'static str) {
        self.reject_connect(why);
        let request = "connect";
        self.event(Event::Refused { request, why });
    }

    pub(super) fn command(
        &mut self,
        message: &Message,
        waited: Option<Until>,
    ) -> Result<(), Error> {
        let Some(command) = Command::decode(message) else {
            debug!("a command without a name is ignored");
            return Ok(());
        };
        let stream_id = message.stream_id;
        let mut target = self.target(stream_id, &command);
        if let Some(Until::Decided(own)) = waited {
            // Not about another stream now than when it came, and so not to wait once more.
            target = target.filter(|&index| self.id_of(Some(index)) == Some(own));
        }
        if let Some(awaited) = target.filter(|&index| self.streams.is_undecided(index))
            && let Some(awaited) = self.id_of(Some(awaited))
        {
            // What comes behind a request that waits for its answer waits as well, so that no
            // answer can be taken for one to another request, and none is lost.
            return self.hold(Until::Decided(awaited), message.clone());
        }
        match command.name.as_str() {
            "createStream" => self.create_stream(&command),
            "releaseStream" => {
                self.result(&command);
                let announced = self.announced(&command);
                self.event(Event::ReleaseStream(announced));
            }
            "FCPublish" => {
                self.fc_answer(&command, "onFCPublish", "NetStream.Publish.Start");
                let announced = self.announced(&command);
                self.event(Event::FcPublish(announced));
            }
            "FCUnpublish" => {
                self.fc_answer(&command, "onFCUnpublish", "NetStream.Unpublish.Success");
                self.end_target(target);
            }
            "FCSubscribe" => self.fc_answer(&command, "onFCSubscribe", "NetStream.Play.Start"),
            // `false` in place of a name ends what goes on.
            "publish" | "play" if command.arguments.first() == Some(&Value::Boolean(false)) => {
                self.end_target(target);
            }
            "publish" => self.publish(stream_id, &command),
            "play" => self.play(stream_id, &command),
            "closeStream" => self.end_target(target),
            "deleteStream" => {
                self.end_target(target);
                self.streams.remove(target);
            }
            "close" => self.close_streams()?,
            "pause" | "pauseRaw" => self.pause(target, &command),
            "seek" => {
                let to_ms = millis(command.number(0));
                let info = status(Level::Status, "NetStream.Seek.Notify", "this is live");
                self.on_status(stream_id, info);
                self.event(Event::Seek { stream_id, to_ms });
            }
            "receiveAudio" => {
                let on = command.truth(0).unwrap_or(true);
                let stream_id = self.id_of(target).unwrap_or(stream_id);
                self.event(Event::ReceiveAudio { stream_id, on });
            }
            "receiveVideo" => {
                let on = command.truth(0).unwrap_or(true);
                let stream_id = self.id_of(target).unwrap_or(stream_id);
                self.event(Event::ReceiveVideo { stream_id, on });
            }
            "_checkbw" => self.result(&command),
            // No answer: ffmpeg takes an error for the end, and asks for the length of anything.
            name => debug!(name, "command ignored"),
        }
        Ok(())
    }

    /// The stream that a command is about, where it is about one that exists.
    fn target(&self, stream_id: u32, command: &Command) -> Option<usize> {
        match (command.name.as_str(), command.arguments.first()) {
            ("FCUnpublish", _) => self.streams.publish_named(&self.name_of(command).0),
            ("deleteStream", Some(Value::Number(id))) => self.streams.index_of(*id as u32),
            // Some clients give the name of the stream (GStreamer's rtmp2sink).
            ("deleteStream", Some(Value::String(_))) => {
                let named = self.streams.publish_named(&self.name_of(command).0);
                named.or_else(|| self.streams.meant_by(stream_id))
            }
            // `false` ends what goes on.
            ("publish" | "play", Some(Value::Boolean(false))) => self.streams.meant_by(stream_id),
            ("publish" | "play", _) => self.streams.index_of(stream_id),
            (
                "deleteStream" | "closeStream" | "pause" | "pauseRaw" | "seek" | "receiveAudio"
                | "receiveVideo",
                _,
            ) => self.streams.meant_by(stream_id),
            _ => None,
        }
    }

    fn id_of(&self, target: Option<usize>) -> Option<u32> {
        let stream = target.and_then(|index| self.streams.get(index));
        stream.map(|stream| stream.id)
    }

    fn create_stream(&mut self, command: &Command) {
        let limit = self.config.max_streams;
        let answer = match self.streams.create(limit) {
            Some(stream_id) => {
                self.event(Event::CreateStream { stream_id });
                Command::result(command.transaction, vec![stream_id.into()])
            }
            None => {
                let sentence =
                    format!("this connection has {limit} streams already; delete one first");
                let info = status(Level::Error, "NetConnection.Call.Failed", &sentence);
                Command::new("_error", command.transaction, vec![info.into()])
            }
        };
        self.send(&answer.to_message(COMMAND_CHUNK_STREAM, 0));
    }

    /// A result for those who count, and the notice that the FC commands are known for.
    fn fc_answer(&mut self, command: &Command, notice: &str, code: &str) {
        self.result(command);
        let info = status(Level::Status, code, command.text(0).unwrap_or_default());
        self.send(
            &Command::new(notice, 0.0, vec![info.into()]).to_message(COMMAND_CHUNK_STREAM, 0),
        );
    }

    /// An empty result, if one is wanted.
    fn result(&mut self, command: &Command) {
        if command.transaction != 0.0 {
            let result = Command::result(command.transaction, vec![Value::Undefined]);
            self.send(&result.to_message(COMMAND_CHUNK_STREAM, 0));
        }
    }

    fn publish(&mut self, stream_id: u32, command: &Command) {
        let (name, params) = self.name_of(command);
        if name.len() > self.config.max_name {
            return self.refuse_publish_itself(stream_id, "the stream name is too long");
        }
        let Some(index) = self.streams.open(stream_id, self.config.max_streams) else {
            return self.refuse_publish_itself(stream_id, "too many streams on this connection");
        };
        let Some(stream) = self.streams.get_mut(index) else {
            return;
        };
        if stream.usage.is_publish() && *stream.name == *name {
            debug!("a publish said twice is ignored");
            return;
        }
        self.end_use(index);
        if let Some(stream) = self.streams.get_mut(index) {
            stream.usage = Use::PublishAsked;
            stream.name = name.as_str().into();
        }
        let kind = match command.text(1) {
            Some("record") => PublishKind::Record,
            Some("append") => PublishKind::Append,
            _ => PublishKind::Live,
        };
        let app = self.app();
        self.event(Event::Publish(Box::new(Publish {
            stream_id,
            app,
            name,
            params,
            kind,
        })));
    }

    fn refuse_publish_itself(&mut self, stream_id: u32, why: &'static str) {
        self.refuse_publish(stream_id, PublishRefusal::BadName, why);
        let request = "publish";
        self.event(Event::Refused { request, why });
    }

    fn play(&mut self, stream_id: u32, command: &Command) {
        let (name, params) = self.name_of(command);
        let opened = self.streams.open(stream_id, self.config.max_streams);
        let Some(index) = opened.filter(|_| name.len() <= self.config.max_name) else {
            let why = "too many streams, or the name is too long";
            self.on_status(
                stream_id,
                status(Level::Error, "NetStream.Play.Failed", why),
            );
            let request = "play";
            return self.event(Event::Refused { request, why });
        };
        self.end_use(index);
        let reset = command.truth(3).unwrap_or(true);
        if let Some(stream) = self.streams.get_mut(index) {
            stream.usage = Use::PlayAsked;
            stream.reset = reset;
            stream.paused = false;
        }
        let app = self.app();
        let play = Play {
            stream_id,
            app,
            name,
            params,
            start: command.number(1).unwrap_or(-2.0),
            duration: command.number(2).unwrap_or(-1.0),
            reset,
        };
        self.event(Event::Play(Box::new(play)));
    }

    fn pause(&mut self, target: Option<usize>, command: &Command) {
        let paused = command.truth(0).unwrap_or(true);
        let at_ms = millis(command.number(1));
        let stream_id = match target.and_then(|index| self.streams.get_mut(index)) {
            Some(stream) if stream.usage.is_play() => {
                stream.paused = paused;
                stream.id
            }
            _ => return debug!("pause without a play is ignored"),
        };
        if paused {
            self.on_status(
                stream_id,
                status(Level::Status, "NetStream.Pause.Notify", "paused"),
            );
            self.send(&Message::user_control(UserControl::StreamDry(stream_id)));
        } else {
            self.on_status(
                stream_id,
                status(Level::Status, "NetStream.Unpause.Notify", "going on"),
            );
            self.send(&Message::user_control(UserControl::StreamBegin(stream_id)));
        }
        self.event(Event::Pause {
            stream_id,
            paused,
            at_ms,
        });
    }

    /// Ends all streams, each of them behind what waits on it.
    fn close_streams(&mut self) -> Result<(), Error> {
        for index in 0..self.streams.len() {
            if let Some(stream_id) = self.id_of(Some(index))
                && self.streams.is_undecided(index)
            {
                let close = Command::new("closeStream", 0.0, Vec::new());
                let close = close.to_message(COMMAND_CHUNK_STREAM, stream_id);
                self.hold(Until::Decided(stream_id), close)?;
            } else {
                self.end_use(index);
            }
        }
        Ok(())
    }

    fn end_target(&mut self, target: Option<usize>) {
        if let Some(index) = target {
            self.end_use(index);
        }
    }

    /// Ends what a stream is used for, and says so.
    pub(super) fn end_use(&mut self, index: usize) {
        let Some(stream) = self.streams.get_mut(index) else {
            return;
        };
        let (stream_id, usage) = (stream.id, stream.usage);
        stream.usage = Use::Idle;
        stream.name = Box::default();
        if usage.is_publish() {
            let info = status(
                Level::Status,
                "NetStream.Unpublish.Success",
                "publishing ended",
            );
            self.on_status(stream_id, info);
            self.event(Event::PublishEnded { stream_id });
        } else if usage.is_play() {
            self.event(Event::PlayEnded { stream_id });
        }
    }

    /// What the FC commands are about.
    fn announced(&self, command: &Command) -> Box<FcPublish> {
        let (name, params) = self.name_of(command);
        Box::new(FcPublish {
            app: self.app(),
            name,
            params,
        })
    }

    fn app(&self) -> String {
        self.peer
            .as_ref()
            .map(|peer| peer.app.clone())
            .unwrap_or_default()
    }

    /// The stream name in the first argument, and all parameters in their order.
    fn name_of(&self, command: &Command) -> (String, Params) {
        let app = self.peer.as_ref().map_or("", |peer| &peer.app);
        let written = command.text(0).unwrap_or_default();
        let (name, params) = names::split(written, names::default_name(app));
        match &self.peer {
            Some(peer) => (name, params.or(&peer.params)),
            None => (name, params),
        }
    }
}

fn millis(number: Option<f64>) -> u32 {
    number.unwrap_or_default() as u32
}
