//! The pump of a player that said over HTTP what it wants: asks for its stream, and notices when it leaves.
//!
//! It is sent an FLV file that goes on for as long as the stream does, as it is, in chunks, or in WebSocket messages.
//! The first bytes go out with the first tag, so that until then there can be a refusal in their place.

mod words;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Instant;

use bytes::BytesMut;
use ractor::ActorRef;
use tokio::time::Sleep;
use tracing::{Instrument, Span, debug, info, warn};

use super::End;
use super::ending::{farewell, is_gone};
use super::play::{ANSWER_TIME, ask_node};
use crate::admission::Over;
use crate::context::Context;
use crate::format::{Format, SHARED_MESSAGE_STREAM};
use crate::gate::Wants;
use crate::node;
use crate::peer::{Command, Moves, Peer, PlayEnd};
use crate::seat::Seat;
use crate::status::RefusalKind;
use crate::stream::SubscribeRequest;
use crate::subscriber;
use crate::transport::{Arrived, Told};
use crate::watch::{Refuse, Refused, Wanted, Wish};
use crate::websocket::{self, Said};

/// What a player sends that has nothing to say is passed over, up to so many bytes.
const MAX_STRAY: usize = 64 << 10;

/// One player.
pub(super) struct Player {
    context: Arc<Context>,
    node: ActorRef<node::Message>,
    peer: Arc<Peer>,
    format: Format,
    subscriber: Option<ActorRef<subscriber::Message>>,
    /// How to say no, for as long as nothing else has been said.
    refuse: Option<Refuse>,
    /// What has arrived and is only the beginning of something.
    begun: BytesMut,
    stray: usize,
    /// In a WebSocket, both ends talk.
    talk: Option<Box<Talk>>,
    span: Span,
}

/// What goes to and fro in a WebSocket beside the media.
struct Talk {
    reader: websocket::Reader,
    alarm: Pin<Box<Sleep>>,
    /// When something moved last, and how much had been sent by then.
    moved: Instant,
    sent: u64,
}

/// Why the pump goes on.
enum News {
    Input,
    /// The socket takes more.
    Room,
    Posted,
    Late,
}

/// Why it ends.
enum Last {
    /// With a word to the player.
    Word(PlayEnd),
    /// The player has said so, or what nobody understands: it is answered with this number.
    Answer(End, u16),
    /// As it is.
    Now(End),
}

impl Player {
    pub(super) fn new(
        context: Arc<Context>,
        node: ActorRef<node::Message>,
        peer: Arc<Peer>,
        format: Format,
        span: Span,
    ) -> Player {
        let limits = &context.config.limits;
        let talk = || {
            Box::new(Talk {
                reader: websocket::Reader::default(),
                alarm: Box::pin(tokio::time::sleep(limits.ping_interval)),
                moved: Instant::now(),
                sent: 0,
            })
        };
        let talk = (format == Format::WebSocketFlv).then(talk);
        // A player that only listens says nothing that would show that it is there.
        let kept = peer
            .transport
            .keep_alive(limits.ping_interval, limits.ping_timeout);
        if let Err(error) = kept {
            debug!(parent: &span, %error, "no keepalive");
        }
        Player {
            context,
            node,
            peer,
            format,
            subscriber: None,
            refuse: None,
            begun: BytesMut::new(),
            stray: 0,
            talk,
            span,
        }
    }

    pub(super) async fn run(mut self, wish: Box<Wish>, over: Option<Over>) -> End {
        let span = self.span.clone();
        // Boxed, since it is over soon and large, and the pump that waits is one per player.
        let began = Box::pin(self.begin(wish, over)).instrument(span.clone());
        let last = match began.await {
            Ok(()) => self.serve().await,
            Err(refused) => return Box::pin(self.turn_away(refused)).instrument(span).await,
        };
        match last {
            Ok(Last::Word(end)) => Box::pin(self.leave(end)).instrument(span).await,
            Ok(Last::Answer(end, code)) => {
                Box::pin(self.part(code)).instrument(span).await;
                end
            }
            Ok(Last::Now(end)) => end,
            Err(error) if is_gone(&error) => End::Left,
            Err(error) => {
                span.in_scope(|| debug!(%error, "socket failed"));
                End::Socket
            }
        }
    }

    /// Asks for the stream.
    async fn begin(&mut self, wish: Box<Wish>, over: Option<Over>) -> Result<(), Refused> {
        let Wish {
            format,
            request,
            begun,
            head,
            refuse,
        } = *wish;
        self.begun = begun;
        self.refuse = Some(refuse);
        let shown = request.shown();
        let note = |refused: &Refused| info!(key = shown, why = refused.sentence, "play refused");
        if let Some(over) = over {
            let kind = match over {
                Over::Node(_) => RefusalKind::Unavailable,
                Over::Address(_) => RefusalKind::Busy,
            };
            return Err(Refused::new(kind, over.to_string())).inspect_err(note);
        }
        let Wanted { key, tracks } = request.check(&self.context).inspect_err(note)?;
        let request = SubscribeRequest {
            seat: Seat::alone(Arc::clone(&self.peer), format, head),
            wants: Wants::both(tracks),
        };
        let ask = |reply| node::Message::Subscribe(key.clone(), request, reply);
        match ask_node(&self.node, ask, ANSWER_TIME).await {
            Some(Ok(subscriber)) => {
                drop(subscriber.cast(subscriber::Message::Start));
                debug!(%key, "plays");
                self.subscriber = Some(subscriber);
                Ok(())
            }
            Some(Err(refusal)) => Err(Refused::from(refusal)).inspect_err(note),
            None => {
                warn!(%key, "play not answered within the node");
                let why = "the server could not answer in time; try again";
                Err(Refused::new(RefusalKind::Unavailable, why))
            }
        }
    }

    async fn serve(&mut self) -> io::Result<Last> {
        // What came with the request, also where TLS has it already: no news would tell of that.
        if let Some(last) = self
            .hear()?
            .map_or_else(|| self.read(), |last| Ok(Some(last)))?
        {
            return Ok(last);
        }
        loop {
            match poll_fn(|cx| self.poll_news(cx)).await? {
                News::Posted => {
                    if let Some(last) = self.obey() {
                        return Ok(last);
                    }
                }
                News::Input => {
                    if let Some(last) = self.read()? {
                        return Ok(last);
                    }
                }
                News::Room => {
                    self.peer.flush()?;
                }
                News::Late => {
                    if self.time_passed()? {
                        return Ok(Last::Now(End::TimedOut));
                    }
                }
            }
        }
    }

    fn poll_news(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<News>> {
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
        match &mut self.talk {
            Some(talk) => talk.alarm.as_mut().poll(cx).map(|()| Ok(News::Late)),
            None => Poll::Pending,
        }
    }

    /// Reads what has arrived. The end, if it is one.
    fn read(&mut self) -> io::Result<Option<Last>> {
        loop {
            let arrived = self
                .peer
                .transport
                .try_read(&mut self.begun, Told::Yes, |_| {});
            let arrived = match arrived {
                Ok(Arrived::End) => return Ok(Some(Last::Now(End::Left))),
                Ok(arrived) => arrived,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            let last = self.hear()?;
            if last.is_some() || arrived != Arrived::Full {
                return Ok(last);
            }
        }
    }

    /// Takes in what has arrived. The end, if it says so.
    fn hear(&mut self) -> io::Result<Option<Last>> {
        let Some(talk) = &mut self.talk else {
            self.stray += std::mem::take(&mut self.begun).len();
            if self.stray > MAX_STRAY {
                debug!(parent: &self.span, "a player that talks and talks");
                return Ok(Some(Last::Now(End::Protocol)));
            }
            return Ok(None);
        };
        talk.moved = Instant::now();
        let mut asked = None;
        let last = loop {
            match talk.reader.read(&mut self.begun) {
                Ok(None) => break None,
                // RFC 6455 5.5.3: of several pings the last may be answered alone.
                Ok(Some(Said::Ping(payload))) => asked = Some(payload),
                Ok(Some(Said::Close)) => break Some(Last::Answer(End::Left, words::GOODBYE)),
                Err(error) => {
                    debug!(parent: &self.span, %error, "peer broke the protocol");
                    break Some(Last::Answer(End::Protocol, words::BROKEN));
                }
            }
        };
        // An empty buffer would stay as large as it once was.
        if self.begun.is_empty() {
            self.begun = BytesMut::new();
        }
        if last.is_none()
            && let Some(payload) = asked.filter(|_| self.has_begun())
        {
            self.peer.send([websocket::pong(&payload)])?;
        }
        Ok(last)
    }

    /// Asks a player whether it is there when nothing has moved for a while. True when it is gone.
    fn time_passed(&mut self) -> io::Result<bool> {
        let (sent, has_begun) = (self.peer.sent(), self.has_begun());
        let Some(talk) = &mut self.talk else {
            return Ok(false);
        };
        let limits = &self.context.config.limits;
        let now = Instant::now();
        let next = now + limits.ping_interval;
        talk.alarm.as_mut().reset(next.into());
        if sent != std::mem::replace(&mut talk.sent, sent) || !has_begun {
            talk.moved = now;
            return Ok(false);
        }
        let silent = now - talk.moved;
        if silent >= limits.ping_timeout {
            info!(parent: &self.span, "closed: the player does not answer");
            return Ok(true);
        }
        self.peer.send([websocket::ping()])?;
        Ok(false)
    }

    /// Does what others in the node ask. Its end, if it is to end.
    fn obey(&mut self) -> Option<Last> {
        let subscriber = self.subscriber.as_ref()?;
        for command in self.peer.take_posted() {
            match command {
                Command::EndPlay { end, .. } => return Some(Last::Word(end)),
                Command::Move(Moves::All) => return Some(Last::Word(PlayEnd::NodeLeaves)),
                Command::Move(Moves::Player) => {
                    drop(subscriber.cast(subscriber::Message::LeaveAtKeyframe));
                }
                Command::Close => return Some(Last::Now(End::Closed)),
                // It publishes nothing.
                Command::Move(Moves::Encoder)
                | Command::EndPublish { .. }
                | Command::Promote(_) => {}
                #[cfg(test)]
                Command::Panic => panic!("asked to"),
            }
        }
        None
    }

    /// Whether anything has been said to the player.
    fn has_begun(&self) -> bool {
        let mut out = self.peer.lock();
        out.place(SHARED_MESSAGE_STREAM).has_begun()
    }

    /// No media may follow what is said now.
    async fn hold(&mut self) {
        if let Some(subscriber) = self.subscriber.take() {
            let hold = |reply| subscriber::Message::Pause(true, reply);
            drop(subscriber.call(hold, Some(ANSWER_TIME)).await);
            drop(subscriber.cast(subscriber::Message::Leave));
        }
    }

    /// The WebSocket is over: says so with this number, if anything has been said.
    async fn part(&mut self, code: u16) {
        self.hold().await;
        if self.has_begun() {
            drop(self.peer.send([websocket::close(code, "")]));
            farewell(&self.peer, &mut self.begun).await;
        }
    }

    /// The play is over: says so in the way that is left.
    async fn leave(&mut self, end: PlayEnd) -> End {
        self.hold().await;
        match end {
            PlayEnd::TooSlow => info!("player is too slow"),
            PlayEnd::Removed => info!(why = end.why(), "play ended"),
            _ => {}
        }
        if !self.has_begun() {
            let refused = Refused::new(words::kind(end), end.why());
            if end == PlayEnd::NeverCame {
                info!(why = end.why(), "play refused");
            }
            return self.turn_away(refused).await;
        }
        if let Some(goodbye) = words::goodbye(self.format, end) {
            // Where it cannot be sent, there is nobody to read it.
            drop(self.peer.send([goodbye]));
        }
        farewell(&self.peer, &mut self.begun).await;
        End::Closed
    }

    /// Says no.
    async fn turn_away(&mut self, refused: Refused) -> End {
        if let Some(refuse) = self.refuse.take() {
            let answer = refuse(&refused);
            drop(self.peer.send([answer]));
        }
        farewell(&self.peer, &mut self.begun).await;
        End::Refused
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.peer.close_post();
        if let Some(subscriber) = &self.subscriber {
            drop(subscriber.cast(subscriber::Message::Leave));
        }
    }
}
