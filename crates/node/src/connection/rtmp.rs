//! The pump of an RTMP connection: moves bytes between the socket and the session, and answers what the peer asks.

mod gather;
mod publishing;
mod requests;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ractor::ActorRef;
use rtmp::command;
use rtmp::{Event, PublishRefusal, Session};
use tokio::time::{Sleep, sleep_until, timeout};
use tracing::{Instrument, Level, Span, debug, enabled, info};

use self::gather::Gather;
use super::End;
use super::ending::{farewell, is_gone};
use crate::config::write_duration;
use crate::context::Context;
use crate::node;
use crate::pace;
use crate::peer::{Command, Moves, Peer, PlayEnd};
use crate::publishers;
use crate::stream::Leave;
use crate::subscriber;
use crate::transport::{Arrived, Told};

/// Reads in a row before others run.
const READS_PER_TURN: usize = 16;
/// A peer over a limit has so long to ask, and be told.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// One RTMP conversation.
pub(super) struct Conversation {
    context: Arc<Context>,
    node: ActorRef<node::Message>,
    peer: Arc<Peer>,
    session: Box<Session>,
    /// What has arrived and is only the beginning of something.
    begun: BytesMut,
    publishes: Vec<Publishing>,
    plays: Vec<Playing>,
    /// What the peer calls itself.
    program: Box<str>,
    /// It is over a limit, and is told so when it connects.
    refusal: Option<String>,
    refused_plays: u32,
    /// Bytes known to have been sent, for the idle time-out.
    sent: u64,
    end: Option<End>,
    /// The last turn left input unread.
    more: bool,
    gather: Gather,
    /// Entered for whatever may be logged, but not for every tag.
    span: Span,
}

/// Why the pump goes on.
enum News {
    Input,
    /// The socket takes more.
    Room,
    Posted,
    Late,
}

/// A publish of this connection.
struct Publishing {
    stream_id: u32,
    publisher: media::Publisher,
    _leave: Leave,
    listed: publishers::Entry,
    _counted: pace::Publisher,
}

/// A play of this connection.
struct Playing {
    stream_id: u32,
    key: media::StreamKey,
    subscriber: ActorRef<subscriber::Message>,
    wants: crate::gate::Wants,
}

impl Conversation {
    pub(super) fn new(
        context: Arc<Context>,
        node: ActorRef<node::Message>,
        peer: Arc<Peer>,
        refusal: Option<String>,
        span: Span,
    ) -> Conversation {
        let session = Box::new(Session::new(Arc::clone(&context.rtmp), Instant::now()));
        Conversation {
            context,
            node,
            peer,
            session,
            begun: BytesMut::new(),
            publishes: Vec::new(),
            plays: Vec::new(),
            program: Box::default(),
            refusal,
            refused_plays: 0,
            sent: 0,
            end: None,
            more: false,
            gather: Gather::default(),
            span,
        }
    }

    pub(super) async fn run(mut self) -> End {
        let end = if self.refusal.is_some() {
            let told = timeout(REFUSAL_TIME, self.converse()).await;
            told.unwrap_or(Ok(End::Refused))
        } else {
            self.converse().await
        };
        self.session.handle_close();
        match end {
            Ok(end) => end,
            Err(error) if is_gone(&error) => End::Left,
            // Only TLS finds fault with data: mostly the peer's trust in the certificate fails.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.span.in_scope(|| tls_failed(&error));
                End::Socket
            }
            Err(error) => {
                self.span.in_scope(|| debug!(%error, "socket failed"));
                End::Socket
            }
        }
    }

    async fn converse(&mut self) -> io::Result<End> {
        let mut alarm = std::pin::pin!(sleep_until(self.deadline().into()));
        loop {
            self.flush()?;
            if self.session.is_closing() {
                return Ok(self.farewell().await);
            }
            self.set_alarm(alarm.as_mut());
            let news = poll_fn(|cx| self.poll_news(cx, alarm.as_mut())).await;
            match news? {
                News::Input => {
                    self.gather.woke();
                    if let Some(end) = self.read(Told::Yes).await? {
                        return Ok(end);
                    }
                    if self.more {
                        // One that always has more must not keep the processor to itself.
                        tokio::task::yield_now().await;
                        // Nor does it have all the time it wants.
                        if alarm.deadline().into_std() <= Instant::now()
                            && let Some(end) = self.time_passed().await?
                        {
                            return Ok(end);
                        }
                    }
                }
                News::Room => {
                    self.peer.flush()?;
                }
                News::Posted => {
                    if self.span.clone().in_scope(|| self.obey()) {
                        return Ok(End::Closed);
                    }
                }
                News::Late => {
                    if let Some(end) = self.time_passed().await? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// What is to be done next. Nothing is registered anew that is registered: this runs for every read.
    fn poll_news(
        &self,
        cx: &mut task::Context<'_>,
        alarm: Pin<&mut Sleep>,
    ) -> Poll<io::Result<News>> {
        if self.peer.poll_woken(cx).is_ready() {
            return Poll::Ready(Ok(News::Posted));
        }
        if let Poll::Ready(ready) = self.peer.transport.poll_readable(cx) {
            return Poll::Ready(ready.map(|()| News::Input));
        }
        if self.peer.has_rest()
            && let Poll::Ready(ready) = self.peer.transport.poll_writable(cx)
        {
            return Poll::Ready(ready.map(|()| News::Room));
        }
        alarm.poll(cx).map(|()| Ok(News::Late))
    }

    /// Reads what has arrived and does what it asks. The end, if it is one.
    async fn read(&mut self, told: Told) -> io::Result<Option<End>> {
        self.more = false;
        for _ in 0..READS_PER_TURN {
            let mut taken = Ok(());
            let arrived = self
                .peer
                .transport
                .try_read(&mut self.begun, told, |input| {
                    let _entered = is_logged().then(|| self.span.enter());
                    taken = self.session.handle_input(Instant::now(), input);
                });
            let arrived = match arrived {
                Ok(Arrived::End) => return Ok(Some(self.end.unwrap_or(End::Left))),
                Ok(arrived) => arrived,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            if let Err(error) = taken {
                self.span.in_scope(|| broke_the_protocol(&error));
                self.flush()?;
                return Ok(Some(End::Protocol));
            }
            self.act().await?;
            self.more = arrived == Arrived::Full;
            if !self.more {
                break;
            }
        }
        let is_whole = self.begun.is_empty() && !self.session.is_mid_message();
        // An answer acknowledges, too. Where there is none, one who still asks may wait for us.
        let answered = self.flush()?;
        let asks = self.publishes.is_empty() && self.plays.is_empty();
        if asks && !answered || !is_whole {
            self.peer.transport.acknowledge_now();
        }
        let may_wait = is_whole && !self.publishes.is_empty() && self.context.pace.audio_waits();
        if may_wait || self.gather.due().is_some() {
            self.gather
                .rest(Instant::now(), may_wait, &self.peer.transport);
        }
        Ok(None)
    }

    /// Acts on all the session has to say.
    async fn act(&mut self) -> io::Result<()> {
        let mut now = self.context.clock.now();
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Tag { stream_id, tag } => self.media(stream_id, tag, now),
                // Boxed, since it is seldom and large, and the pump that waits for input is one per player.
                other => {
                    let span = self.span.clone();
                    Box::pin(self.asked(other)).instrument(span).await?;
                    now = self.context.clock.now();
                }
            }
        }
        Ok(())
    }

    /// Hands the session's words to the socket; false if it had none.
    fn flush(&mut self) -> io::Result<bool> {
        let Some(first) = self.session.poll_output() else {
            return Ok(false);
        };
        let more = std::iter::from_fn(|| self.session.poll_output());
        self.peer.send(std::iter::once(first).chain(more))?;
        Ok(true)
    }

    /// Does what others in the node ask. True when it is to close at once.
    fn obey(&mut self) -> bool {
        for command in self.peer.take_posted() {
            match command {
                Command::EndPlay { subscriber, end } => {
                    let is_its = |playing: &Playing| playing.subscriber.get_id() == subscriber;
                    // Another play may have taken its message stream since.
                    if let Some(index) = self.plays.iter().position(is_its) {
                        let Playing { stream_id, key, .. } = self.plays.swap_remove(index);
                        self.play_ended(stream_id, &key, end);
                    }
                }
                Command::EndPublish { epoch, why } => {
                    let is_its = |publishing: &Publishing| publishing.publisher.epoch() == epoch;
                    if let Some(index) = self.publishes.iter().position(is_its) {
                        info!(why, "publish ended");
                        let stream_id = self.publishes.swap_remove(index).stream_id;
                        self.session
                            .end_publish(stream_id, PublishRefusal::BadName.code(), &why);
                        self.end = Some(End::Closed);
                    }
                }
                Command::Promote(promotion) => self.promoted(*promotion),
                Command::Move(turn) => self.asked_to_move(turn),
                Command::Close => return true,
                #[cfg(test)]
                Command::Panic => panic!("asked to"),
            }
        }
        false
    }

    fn play_ended(&mut self, stream_id: u32, key: &media::StreamKey, end: PlayEnd) {
        match end {
            PlayEnd::StreamEnded | PlayEnd::NodeLeaves => self.session.end_play(stream_id),
            PlayEnd::NeverCame => {
                let wait = write_duration(self.context.config.play.wait);
                let why = &format!(
                    "nobody published {key} within {wait}, the time that a play waits (play.wait)"
                );
                info!(%key, why, "play refused");
                let code = "NetStream.Play.StreamNotFound";
                self.session
                    .notify(stream_id, command::Level::Error, code, why);
                self.session.end_play(stream_id);
                // As for any absent stream, the connection stays.
                return;
            }
            PlayEnd::TooSlow | PlayEnd::Removed | PlayEnd::Fault => {
                match end {
                    PlayEnd::TooSlow => info!("player is too slow"),
                    PlayEnd::Removed => info!(why = end.why(), "play ended"),
                    _ => {}
                }
                let (level, code) = (command::Level::Error, "NetStream.Play.Failed");
                self.session.notify(stream_id, level, code, end.why());
                self.session.end_play(stream_id);
            }
        }
        if self.plays.is_empty() && self.publishes.is_empty() {
            self.end = Some(End::Closed);
            self.session.close();
        }
    }

    /// The node goes away: who can move is asked to, and has until the end for it; others are told the end when it
    /// is their turn.
    fn asked_to_move(&mut self, turn: Moves) {
        let why = PlayEnd::NodeLeaves.why();
        let publishes = !self.publishes.is_empty();
        match turn {
            Moves::Encoder if publishes => drop(self.session.request_reconnect(None, why)),
            Moves::Player if !publishes => {
                if self.session.request_reconnect(None, why) {
                    return;
                }
                if self.plays.is_empty() {
                    self.say_goodbye(why);
                }
                for playing in &self.plays {
                    drop(
                        playing
                            .subscriber
                            .cast(subscriber::Message::LeaveAtKeyframe),
                    );
                }
            }
            Moves::Encoder | Moves::Player => {}
            Moves::All => {
                self.session.request_reconnect(None, why);
                self.say_goodbye(why);
            }
        }
    }

    fn say_goodbye(&mut self, why: &str) {
        for playing in std::mem::take(&mut self.plays) {
            drop(playing.subscriber.cast(subscriber::Message::Leave));
            self.session.end_play(playing.stream_id);
        }
        for publishing in std::mem::take(&mut self.publishes) {
            info!(why, "publish ended");
            self.session
                .end_publish(publishing.stream_id, PublishRefusal::BadName.code(), why);
        }
        self.end = Some(End::Closed);
        self.session.close();
    }

    async fn time_passed(&mut self) -> io::Result<Option<End>> {
        let now = Instant::now();
        let waited = self.gather.due().is_some_and(|due| due <= now);
        if waited {
            self.gather.waited(now, &self.context.pace);
        }
        self.span.clone().in_scope(|| self.check_deadlines(now));
        // Boxed: it is seldom, and would lie in each player's pump a second time.
        if waited {
            Box::pin(self.read(Told::No)).await
        } else {
            Ok(None)
        }
    }

    fn check_deadlines(&mut self, now: Instant) {
        let sent = self.peer.sent();
        let moved = usize::try_from(sent - self.sent).unwrap_or(usize::MAX);
        self.sent = sent;
        self.session.note_sent(now, moved);
        self.session.handle_timeout(now);
        while let Some(event) = self.session.poll_event() {
            if let Event::TimedOut(what) = event {
                info!(%what, "closed");
                self.end = Some(End::TimedOut);
            }
        }
    }

    fn deadline(&self) -> Instant {
        // Nothing is due only while closing, which does not wait for this.
        self.session
            .poll_timeout()
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    /// Moves the alarm only when it would ring too late: most of the time it rings early, and looks again.
    /// Not so the one that an encoder's tags wait for, which would ring between any two frames.
    fn set_alarm(&self, mut alarm: Pin<&mut Sleep>) {
        if let Some(due) = self.gather.due() {
            alarm.as_mut().reset(due.min(self.deadline()).into());
            return;
        }
        let deadline = self.deadline().into();
        if deadline < alarm.deadline() || alarm.is_elapsed() {
            alarm.as_mut().reset(deadline);
        }
    }

    async fn farewell(&mut self) -> End {
        farewell(&self.peer, &mut self.begun).await;
        if let Some(error) = self.session.failed() {
            self.span.in_scope(|| broke_the_protocol(error));
            return End::Protocol;
        }
        self.end.unwrap_or(End::Refused)
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.peer.close_post();
        for playing in &self.plays {
            drop(playing.subscriber.cast(subscriber::Message::Leave));
        }
    }
}

fn broke_the_protocol(error: &rtmp::Error) {
    let hint = match error {
        rtmp::Error::Handshake(error) => error.hint(),
        _ => None,
    };
    match hint {
        // Somebody took the wrong port, and should find out why it does not work.
        Some(hint) => info!(%error, hint, "no RTMP"),
        None => debug!(%error, "peer broke the protocol"),
    }
}

fn tls_failed(error: &io::Error) {
    let hint = error.get_ref().and_then(|error| error.downcast_ref());
    match hint {
        // What has no TLS record in it at all.
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            let hint =
                "this looks like plain RTMP or HTTP; use rtmps:// here, or the port of rtmp.listen";
            info!(%error, hint, "TLS failed");
        }
        _ => info!(%error, "TLS failed"),
    }
}

/// Whether anybody may read what a session has to say about every message.
fn is_logged() -> bool {
    enabled!(Level::DEBUG) || enabled!(target: "weir_rtmp", Level::DEBUG)
}
