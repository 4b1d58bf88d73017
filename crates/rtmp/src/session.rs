//! The server's end of a connection.

mod answers;
mod clock;
mod commands;
mod event;
mod held;
mod names;
mod streams;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use flv::Tag;
use tracing::{debug, trace};

pub use event::{
    Connect, Event, FcPublish, Play, PlayRefusal, Publish, PublishKind, PublishRefusal, Timeout,
};
pub(crate) use names::Short;
pub use names::{DEFAULT_APP, DEFAULT_NAME, Params, stream_path};

use self::clock::{Clock, Due, Stage};
use self::held::{Held, Until};
use self::streams::{Streams, Use};
use crate::caps::Caps;
use crate::chunk::{self, ChunkReader, ChunkWriter};
use crate::command;
use crate::config::Config;
use crate::handshake::{self, Handshake};
use crate::message::{Kind, Message, UserControl};

/// Spare places in the event queue that a quiet session may keep.
const SPARE_EVENTS: usize = 8;

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer does not speak RTMP.
    #[error(transparent)]
    Handshake(#[from] handshake::Error),
    /// The chunk stream is broken or over a limit.
    #[error(transparent)]
    Chunk(#[from] chunk::Error),
    /// Too much came before an answer.
    #[error("more than {0} bytes of commands wait for an answer")]
    TooMuchHeld(usize),
    /// Too many commands came before an answer.
    #[error("more than {0} commands wait for an answer")]
    TooManyHeld(usize),
    /// The peer asks faster than it takes answers.
    #[error("more than {0} bytes of answers wait to be sent")]
    TooMuchOutput(usize),
    /// An aggregate message holds too much.
    #[error("more than {0} tags in one aggregate message")]
    TooManyTags(usize),
}

/// The server's end of an RTMP connection: bytes and instants come in, bytes and [`Event`]s go
/// out.
///
/// After every `handle_*` and every answer, drain [`poll_output`](Self::poll_output), then
/// [`poll_event`](Self::poll_event), then ask [`poll_timeout`](Self::poll_timeout). What is
/// written goes out whole and in order; media of a player ([`wire`](crate::wire)) may go
/// between two outputs, never inside one.
pub struct Session {
    config: Arc<Config>,
    reader: ChunkReader,
    writer: ChunkWriter,
    output: BytesMut,
    events: VecDeque<Event>,
    phase: Phase,
    peer: Option<Box<Peer>>,
    streams: Streams,
    held: Option<Box<Held>>,
    clock: Clock,
    received: u64,
    acknowledged: u64,
    ack_window: u32,
    closing: bool,
    closed: bool,
    failed: Option<Box<Error>>,
    /// How many messages took their way, each time they did.
    #[cfg(test)]
    dispatched: usize,
}

impl fmt::Debug for Session {
    /// Names are secrets at times, so there is little to see.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Session");
        shown
            .field("stage", &self.stage())
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

enum Phase {
    Handshake(Handshake),
    /// Nobody has said `connect` yet.
    Fresh,
    /// `connect` waits for its answer.
    Deciding {
        transaction: f64,
    },
    Open,
}

/// What `connect` said, as far as it is needed later.
struct Peer {
    app: String,
    params: Params,
    caps: Caps,
}

impl Session {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(config: Arc<Config>, now: Instant) -> Self {
        Self {
            reader: ChunkReader::new(config.chunk_limits()),
            writer: ChunkWriter::new(),
            output: BytesMut::new(),
            events: VecDeque::new(),
            phase: Phase::Handshake(Handshake::server()),
            peer: None,
            streams: Streams::default(),
            held: None,
            clock: Clock::new(now),
            received: 0,
            acknowledged: 0,
            ack_window: config.window_ack.max(1),
            closing: false,
            closed: false,
            failed: None,
            #[cfg(test)]
            dispatched: 0,
            config,
        }
    }

    /// Takes what has arrived off `input`. What is left there (part of a header) must be there
    /// again next time, with more behind it.
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), Error> {
        if self.closing {
            input.clear();
            return Ok(());
        }
        self.clock.input(now);
        let before = input.len();
        let taken = self.take(now, input);
        self.received += before.saturating_sub(input.len()) as u64;
        taken?;
        // Half a window: some publishers stop when a whole one is not acknowledged.
        let due = self.received - self.acknowledged >= u64::from(self.ack_window.div_ceil(2));
        if due && !self.closing && !matches!(self.phase, Phase::Handshake(_)) {
            self.acknowledged = self.received;
            self.send(&Message::acknowledgement(self.received as u32));
        }
        Ok(())
    }

    fn take(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), Error> {
        if let Phase::Handshake(handshake) = &mut self.phase {
            if !handshake.read(input, &mut self.output)? {
                return Ok(());
            }
            self.phase = Phase::Fresh;
            self.clock.enter(now);
            self.send(&Message::set_chunk_size(self.config.outbound_chunk_size()));
            self.event(Event::HandshakeDone);
        }
        loop {
            // Each message may change what the peer may do.
            self.reader.set_room(self.room());
            let Some(message) = self.reader.read(input)? else {
                return Ok(());
            };
            self.message(now, message, None)?;
            if self.closing {
                input.clear();
                return Ok(());
            }
            if self.output.len() > self.config.max_pending_output {
                return Err(Error::TooMuchOutput(self.config.max_pending_output));
            }
        }
    }

    /// Does what is due: pings, and closing where a deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.clock.due(now, self.stage(), &self.config) {
            Some(Due::Ping { timestamp }) => {
                self.send(&Message::user_control(UserControl::PingRequest(timestamp)));
            }
            Some(Due::Timeout(timeout)) => {
                self.close();
                self.event(Event::TimedOut(timeout));
            }
            None => {}
        }
    }

    /// The socket is gone, whoever closed it: ends what has not ended yet.
    pub fn handle_close(&mut self) {
        self.close();
        if !std::mem::replace(&mut self.closed, true) {
            for index in 0..self.streams.len() {
                self.end_use(index);
            }
            self.event(Event::PeerClosed);
        }
        self.output.clear();
    }

    /// Media of a player reached its socket: `bytes` were accepted.
    pub fn note_sent(&mut self, now: Instant, bytes: usize) {
        if bytes > 0 {
            self.clock.sent(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.clock.next(self.stage(), &self.config)
    }

    /// Bytes for the socket.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Bytes> {
        // Taken with its memory, so that a quiet session holds none.
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output).freeze())
    }

    /// What happened next.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if self.events.is_empty() && self.events.capacity() > SPARE_EVENTS {
            self.events = VecDeque::new();
        }
        event
    }

    /// Whether all is said: the caller closes the socket. It should end its own direction, then
    /// read on for up to a second: a peer that is still sending would otherwise lose our last
    /// words to a reset.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing && self.output.is_empty()
    }

    /// Closes after what has been said. What the peer asked for and nobody has heard of yet is
    /// not told any more: to grant it would be for nothing.
    pub fn close(&mut self) {
        self.closing = true;
        self.held = None;
        let streams = &mut self.streams;
        self.events.retain(|event| {
            let asked = match event {
                Event::Publish(publish) => Some(publish.stream_id),
                Event::Play(play) => Some(play.stream_id),
                _ => None,
            };
            // Nothing else is told of a stream behind an undecided request.
            if let Some(stream) = asked.and_then(|id| streams.with_id(id)) {
                stream.usage = Use::Idle;
            }
            !event.is_request()
        });
    }

    /// What the client announced of Enhanced RTMP; nothing before `connect`.
    #[must_use]
    pub fn caps(&self) -> Option<&Caps> {
        self.peer.as_ref().map(|peer| &peer.caps)
    }

    /// Whether part of a message has come and the rest has not: the peer may be waiting for an
    /// acknowledgement before it sends that.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        self.reader.is_mid_message()
    }

    /// What was wrong with a message that had waited for a decision, where the session closes for
    /// that. An error in what just arrived is [`handle_input`](Self::handle_input)'s.
    #[must_use]
    pub fn failed(&self) -> Option<&Error> {
        self.failed.as_deref()
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.received
    }

    fn stage(&self) -> Stage {
        match self.phase {
            _ if self.closing => Stage::Closing,
            Phase::Handshake(_) => Stage::Handshake,
            Phase::Fresh => Stage::Connect,
            Phase::Deciding { .. } => Stage::Deciding,
            Phase::Open => Stage::Open {
                publishing: self.streams.is_publishing(),
            },
        }
    }

    fn send(&mut self, message: &Message) {
        self.writer.write(message, &mut self.output);
    }

    fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// A message takes its way, having `waited` for a decision or for none.
    fn message(
        &mut self,
        now: Instant,
        message: Message,
        waited: Option<Until>,
    ) -> Result<(), Error> {
        #[cfg(test)]
        {
            self.dispatched += 1;
            assert!(self.dispatched < 1 << 20, "a message waits for itself");
        }
        trace!(kind = ?message.kind, len = message.payload.len(), time = message.timestamp, "message");
        match message.kind {
            Kind::WindowAckSize => {
                if let Some(size @ 1..) = message.value() {
                    self.ack_window = size;
                }
            }
            Kind::SetPeerBandwidth => {
                if let Some(size @ 1..) = message.value() {
                    self.send(&Message::window_ack_size(size));
                }
            }
            Kind::Acknowledgement => {
                if let Some(bytes) = message.value() {
                    self.event(Event::Acknowledged { bytes });
                }
            }
            Kind::UserControl => self.user_control(now, &message),
            Kind::Command | Kind::CommandAmf3 => match self.phase {
                Phase::Open => self.command(&message, waited)?,
                Phase::Fresh if command::Command::name(&message).as_deref() == Some("connect") => {
                    self.connect(&message);
                }
                // Some clients do not wait for the answer to `connect`, or do not even connect
                // before they ask for more.
                _ => self.hold(Until::Connected, message)?,
            },
            Kind::Audio | Kind::Video | Kind::Data | Kind::DataAmf3 | Kind::Aggregate => {
                match self.phase {
                    Phase::Open => self.media(now, message, waited)?,
                    Phase::Deciding { .. } => self.hold(Until::Connected, message)?,
                    _ => debug!("media before connect is ignored"),
                }
            }
            Kind::SetChunkSize | Kind::Abort | Kind::Other(_) => {}
        }
        Ok(())
    }

    fn user_control(&mut self, now: Instant, message: &Message) {
        match UserControl::decode(&message.payload) {
            Some(UserControl::PingRequest(time)) => {
                self.send(&Message::user_control(UserControl::PingResponse(time)));
            }
            Some(UserControl::PingResponse(time)) => {
                if let Some(round_trip) = self.clock.pong(now, time) {
                    self.event(Event::Pong { round_trip });
                }
            }
            Some(UserControl::SetBufferLength { stream_id, millis }) => {
                self.event(Event::BufferLength { stream_id, millis });
            }
            // RTMP 7.1.7: events we do not know are ignored.
            _ => {}
        }
    }

    fn media(
        &mut self,
        now: Instant,
        mut message: Message,
        waited: Option<Until>,
    ) -> Result<(), Error> {
        let own = self.streams.index_of(message.stream_id);
        if own.is_some_and(|index| self.streams.is_undecided(index)) {
            // Even a play: a publish that follows it may be held, and this behind that.
            return self.hold(Until::Decided(message.stream_id), message);
        }
        let Some((stream_id, decided)) = self.streams.publisher_of(message.stream_id) else {
            trace!("media without a publish is ignored");
            return Ok(());
        };
        if !decided {
            if let Some(Until::Decided(_)) = waited {
                trace!("media that waited for another publish is ignored");
                return Ok(());
            }
            // It came by way of stream 0.
            message.stream_id = stream_id;
            return self.hold(Until::Decided(stream_id), message);
        }
        self.clock.media(now);
        let kind = match message.kind {
            Kind::Audio => flv::Kind::Audio,
            Kind::Video => flv::Kind::Video,
            Kind::Aggregate => return self.aggregate(stream_id, message),
            _ => flv::Kind::Data,
        };
        let payload = command::data_body(&message);
        if !payload.is_empty() {
            let tag = Tag::new(kind, message.timestamp, payload);
            self.event(Event::Tag { stream_id, tag });
        }
        Ok(())
    }

    fn aggregate(&mut self, stream_id: u32, message: Message) -> Result<(), Error> {
        let limit = self.config.max_aggregate;
        for (index, tag) in flv::aggregate::split(message.timestamp, message.payload).enumerate() {
            if index == limit {
                return Err(Error::TooManyTags(limit));
            }
            if !tag.payload.is_empty() {
                self.event(Event::Tag { stream_id, tag });
            }
        }
        Ok(())
    }
}
