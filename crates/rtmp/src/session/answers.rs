//! What the server decides.

use amf::{Object, Value};

use super::event::{PlayRefusal, PublishRefusal};
use super::held::Until;
use super::streams::Use;
use super::{Phase, Session};
use crate::command::{self, Command, Level, status};
use crate::message::{BandwidthLimit, COMMAND_CHUNK_STREAM, Message, UserControl};

/// What Flash called itself; some clients want to hear it.
const FMS_VERSION: &str = "FMS/3,5,7,7009";
const CAPABILITIES: f64 = 31.0;
const REJECTED: &str = "NetConnection.Connect.Rejected";
/// librtmp, so OBS, logs why it is rejected only where this code says it.
const INVALID_APP: &str = "NetConnection.Connect.InvalidApp";

impl Session {
    /// Accepts `connect`; what the client sent since takes its way.
    pub fn accept_connect(&mut self) {
        let Phase::Deciding { transaction } = self.phase else {
            return;
        };
        self.phase = Phase::Open;
        self.clock.enter(self.clock.last_input());
        self.send(&Message::window_ack_size(self.config.window_ack));
        self.send(&Message::set_peer_bandwidth(
            self.config.peer_bandwidth,
            BandwidthLimit::Dynamic,
        ));
        self.send(&Message::user_control(UserControl::StreamBegin(0)));
        let mut properties = Object::new();
        properties.insert("fmsVer", FMS_VERSION);
        properties.insert("capabilities", CAPABILITIES);
        let mut info = status(
            Level::Status,
            "NetConnection.Connect.Success",
            "Connection succeeded.",
        );
        info.insert("objectEncoding", 0.0);
        // The specification wants the answer among the properties, other servers give it with
        // the information, and clients look in either.
        if let Some(peer) = &self.peer {
            let answer = peer.caps.answer();
            answer.write(&mut properties);
            answer.write(&mut info);
        }
        let result = Command {
            object: properties.into(),
            ..Command::result(transaction, vec![info.into()])
        };
        self.send(&result.to_message(COMMAND_CHUNK_STREAM, 0));
        self.release_held(Until::Connected);
    }

    /// Refuses `connect` and closes.
    pub fn reject_connect(&mut self, description: &str) {
        let known = status(Level::Error, INVALID_APP, description);
        self.refuse_connect(status(Level::Error, REJECTED, description), Some(known));
    }

    /// Refuses `connect`, names another server and closes.
    pub fn redirect_connect(&mut self, url: &str, description: &str) {
        let mut info = status(Level::Error, REJECTED, description);
        let redirect: Object = [("code", Value::from(302.0)), ("redirect", Value::from(url))]
            .into_iter()
            .collect();
        info.insert("ex", redirect);
        self.refuse_connect(info, None);
    }

    fn refuse_connect(&mut self, info: Object, known: Option<Object>) {
        let Phase::Deciding { transaction } = self.phase else {
            return;
        };
        let error = Command::new("_error", transaction, vec![info.into()]);
        self.send(&error.to_message(COMMAND_CHUNK_STREAM, 0));
        if let Some(known) = known {
            self.on_status(0, known);
        }
        self.close();
    }

    /// Refuses what an encoder announced with FCPublish, and closes. Nothing is told of a publish
    /// that came with it.
    pub fn reject_fc_publish(&mut self, refusal: PublishRefusal, description: &str) {
        self.refuse_publish(0, refusal, description);
    }

    /// Accepts a publish; media that waited for this follows as events.
    pub fn accept_publish(&mut self, stream_id: u32) {
        if !self.decide(stream_id, Use::PublishAsked, Use::Publishing) {
            return;
        }
        self.clock.media(self.clock.last_input());
        self.send(&Message::user_control(UserControl::StreamBegin(stream_id)));
        self.on_status(
            stream_id,
            status(
                Level::Status,
                "NetStream.Publish.Start",
                "publishing started",
            ),
        );
        self.release_held(Until::Decided(stream_id));
    }

    /// Refuses a publish and closes. No [`Event::PublishEnded`](super::Event::PublishEnded) follows.
    pub fn reject_publish(&mut self, stream_id: u32, refusal: PublishRefusal, description: &str) {
        if self.decide(stream_id, Use::PublishAsked, Use::Idle) {
            self.refuse_publish(stream_id, refusal, description);
        }
    }

    /// Ends a publish from this side, with an error that says why, and closes. No
    /// [`Event::PublishEnded`](super::Event::PublishEnded) follows.
    pub fn end_publish(&mut self, stream_id: u32, code: &str, description: &str) {
        if self.decide(stream_id, Use::Publishing, Use::Idle) {
            self.on_status(stream_id, status(Level::Error, code, description));
            self.close();
        }
    }

    /// Accepts a play. Media may follow as soon as the output is written, unless the client
    /// [has it pause](Self::is_paused) already. What it sent on that stream since follows as
    /// events.
    pub fn accept_play(&mut self, stream_id: u32) {
        if !self.decide(stream_id, Use::PlayAsked, Use::Playing) {
            return;
        }
        self.send(&Message::user_control(UserControl::StreamBegin(stream_id)));
        if self
            .streams
            .with_id(stream_id)
            .is_some_and(|stream| stream.reset)
        {
            self.on_status(
                stream_id,
                status(Level::Status, "NetStream.Play.Reset", "resetting"),
            );
        }
        self.on_status(
            stream_id,
            status(Level::Status, "NetStream.Play.Start", "playing started"),
        );
        // Flash players may then look at the samples; the others skip it.
        let access = [Value::from("|RtmpSampleAccess"), true.into(), true.into()];
        self.send(&command::data(stream_id, &access));
        self.release_held(Until::Decided(stream_id));
    }

    /// Whether the client has been told that a play pauses.
    #[must_use]
    pub fn is_paused(&self, stream_id: u32) -> bool {
        let index = self.streams.index_of(stream_id);
        let stream = index.and_then(|index| self.streams.get(index));
        stream.is_some_and(|stream| stream.usage == Use::Playing && stream.paused)
    }

    /// Refuses a play; the connection may stay for another try. No [`Event::PlayEnded`](super::Event::PlayEnded) follows.
    pub fn reject_play(
        &mut self,
        stream_id: u32,
        refusal: PlayRefusal,
        description: &str,
        close: bool,
    ) {
        if self.decide(stream_id, Use::PlayAsked, Use::Idle) {
            self.on_status(stream_id, status(Level::Error, refusal.code(), description));
            if close {
                self.close();
            } else {
                self.release_held(Until::Decided(stream_id));
            }
        }
    }

    /// Ends a play because there is nothing more to come. No [`Event::PlayEnded`](super::Event::PlayEnded) follows.
    pub fn end_play(&mut self, stream_id: u32) {
        if self.decide(stream_id, Use::Playing, Use::Idle) {
            let code = "NetStream.Play.UnpublishNotify";
            self.on_status(stream_id, status(Level::Status, code, "the stream ended"));
            self.send(&Message::user_control(UserControl::StreamEof(stream_id)));
            self.on_status(
                stream_id,
                status(Level::Status, "NetStream.Play.Stop", "playing stopped"),
            );
        }
    }

    /// Tells a player that nothing comes for the moment.
    pub fn stream_dry(&mut self, stream_id: u32) {
        self.send(&Message::user_control(UserControl::StreamDry(stream_id)));
    }

    /// Tells a player that it goes on.
    pub fn stream_begin(&mut self, stream_id: u32) {
        self.send(&Message::user_control(UserControl::StreamBegin(stream_id)));
    }

    /// Tells the peer something about a stream.
    pub fn notify(&mut self, stream_id: u32, level: Level, code: &str, description: &str) {
        self.on_status(stream_id, status(level, code, description));
    }

    /// Asks the client to connect anew, elsewhere if `tc_url` says so; `false` (and nothing
    /// sent) if it never announced that it obeys, or is not connected.
    pub fn request_reconnect(&mut self, tc_url: Option<&str>, description: &str) -> bool {
        let obeys = self
            .peer
            .as_ref()
            .is_some_and(|peer| peer.caps.reconnects());
        let asks = obeys && matches!(self.phase, Phase::Open);
        if asks {
            let code = "NetConnection.Connect.ReconnectRequest";
            let mut info = status(Level::Status, code, description);
            if let Some(tc_url) = tc_url {
                info.insert("tcUrl", tc_url);
            }
            self.on_status(0, info);
        }
        asks
    }

    pub(super) fn refuse_publish(
        &mut self,
        stream_id: u32,
        refusal: PublishRefusal,
        description: &str,
    ) {
        self.on_status(stream_id, status(Level::Error, refusal.code(), description));
        if let Some(code) = refusal.known_code() {
            self.on_status(stream_id, status(Level::Error, code, description));
        }
        self.close();
    }

    pub(super) fn on_status(&mut self, stream_id: u32, info: Object) {
        if !self.closed {
            self.send(&command::on_status(stream_id, info));
        }
    }

    /// Changes what a stream is used for, if it is what it is thought to be. `false` if there is
    /// nothing to say about it; a use that was ended while closing is not told to end later.
    fn decide(&mut self, stream_id: u32, from: Use, to: Use) -> bool {
        match self.streams.with_id(stream_id) {
            Some(stream) if stream.usage == from => {
                stream.usage = to;
                !self.closing
            }
            _ => false,
        }
    }
}
