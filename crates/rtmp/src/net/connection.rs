//! One connection of a server: the session, the socket, and the handler's calls in between.

mod events;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::link::{Link, Progress};
use super::peer::{Counters, Peer, Publication, Requests};
use super::player::Player;
use super::server::ServerOptions;
use crate::handler::{Delivery, Disconnect, Handler, NalLengths, Reason};
use crate::session::Session;
use crate::wire;

/// The least and most that is taken from players' queues for one write; what has waited longest
/// goes first, the rest stays where it can still be dropped.
const BATCH: usize = 256 * 1024;
/// How long a closing connection waits for the peer to take our last words.
const FAREWELL: Duration = Duration::from_secs(1);
/// What a publisher hears when the server stops.
const SHUTDOWN_CODE: &str = "NetConnection.Connect.AppShutdown";
const SHUTDOWN: &str = "The server is stopping; please connect again.";

pub(crate) struct Connection<H: Handler, S> {
    handler: Arc<H>,
    delivery: Delivery,
    options: Arc<ServerOptions>,
    peer: Peer,
    link: Link<S>,
    session: Session,
    published: Vec<Published>,
    players: Vec<Player>,
    /// Bytes written as of the last time the session heard of it.
    noted: u64,
    /// Why it is going to end, once that is known.
    reason: Option<Reason>,
    /// Says goodbye; dropped last.
    guard: Guard<H>,
}

/// An accepted publish.
struct Published {
    publication: Publication,
    nal_lengths: NalLengths,
}

impl<H: Handler, S: AsyncRead + AsyncWrite + Unpin> Connection<H, S> {
    pub(crate) fn new(guard: Guard<H>, options: Arc<ServerOptions>, stream: S) -> Self {
        let (handler, peer) = (guard.handler.clone(), guard.peer.clone());
        Self {
            delivery: handler.delivery(),
            handler,
            session: Session::new(options.session.clone(), Instant::now()),
            link: Link::new(stream, options.read_buffer),
            options,
            peer,
            published: Vec::new(),
            players: Vec::new(),
            noted: 0,
            reason: None,
            guard,
        }
    }

    /// Serves the connection until it ends.
    pub(crate) async fn run(mut self, shutdown: watch::Receiver<bool>) {
        let reason = self.serve(shutdown).await;
        tracing::debug!(peer = %self.peer, %reason, "connection ends");
        self.guard.reason = reason;
        self.stop_streams();
        self.link.close(FAREWELL).await;
        self.count();
    }

    async fn serve(&mut self, mut shutdown: watch::Receiver<bool>) -> Reason {
        let mut stats = interval(self.options.stats_interval.max(Duration::from_millis(1)));
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        stats.tick().await;
        let wake = self.peer.wake().clone();
        loop {
            if let Some(reason) = self.settle().await {
                return reason;
            }
            let deadline = self.deadline();
            tokio::select! {
                // What has arrived counts, even if a callback took longer than a deadline.
                biased;
                progress = self.link.progress() => match self.handle_progress(progress) {
                    Ok(()) => {}
                    Err(reason) => {
                        if let Reason::Protocol(_) = reason {
                            self.session.close();
                        }
                        // What the peer said last may still mean something.
                        self.settle().await;
                        return reason;
                    }
                },
                () = wake.notified() => {}
                () = sleep_until(deadline.unwrap_or_else(tokio::time::Instant::now)), if deadline.is_some() => {
                    if self.is_stalled() {
                        return Reason::Stalled;
                    }
                    self.session.handle_timeout(Instant::now());
                }
                _ = stats.tick() => self.handler.on_stats_update(&self.peer, &self.peer.stats()),
                changed = shutdown.changed() => if changed.is_err() || *shutdown.borrow() {
                    self.shut_down().await;
                    return Reason::Shutdown;
                },
            }
        }
    }

    /// Answers everything there is to answer; a reason if the connection is to end.
    async fn settle(&mut self) -> Option<Reason> {
        let Requests {
            close,
            reconnect,
            ended_publications,
        } = self.peer.take_requests();
        if let Some(reconnect) = reconnect {
            self.session
                .request_reconnect(reconnect.tc_url.as_deref(), &reconnect.description);
        }
        for (id, description) in ended_publications {
            let is_its = |it: &&Published| it.publication.id() == id;
            // Another publish may have taken its message stream since.
            if let Some(published) = self.published.iter().find(is_its) {
                let stream_id = published.publication.stream_id();
                self.session
                    .end_publish(stream_id, "NetStream.Publish.BadName", &description);
                self.unpublish(stream_id);
            }
        }
        if close {
            self.drain().await;
            self.session.close();
            return Some(self.reason.take().unwrap_or(Reason::Requested));
        }
        self.drain().await;
        self.pump();
        if let Some(error) = self.session.failed() {
            return Some(Reason::Protocol(error.to_string()));
        }
        if self.session.is_closing() {
            return Some(self.reason.take().unwrap_or(Reason::Requested));
        }
        None
    }

    /// Output to the socket, events to the handler, until both are at rest.
    async fn drain(&mut self) {
        loop {
            while let Some(bytes) = self.session.poll_output() {
                self.link.push(bytes);
            }
            match self.session.poll_event() {
                Some(event) => self.handle_event(event).await,
                None => return,
            }
        }
    }

    fn handle_progress(&mut self, progress: std::io::Result<Progress>) -> Result<(), Reason> {
        let progress = progress.map_err(|error| Reason::Socket(error.to_string()))?;
        let now = Instant::now();
        self.count();
        let (_, written) = self.link.totals();
        self.session.note_sent(
            now,
            usize::try_from(written - self.noted).unwrap_or(usize::MAX),
        );
        self.noted = written;
        if !self.link.input.is_empty() {
            let taken = self.session.handle_input(now, &mut self.link.input);
            taken.map_err(|error| Reason::Protocol(error.to_string()))?;
        }
        match progress {
            Progress::Some => Ok(()),
            Progress::Eof => Err(Reason::Peer),
        }
    }

    /// Moves what players' queues hold to the socket, once it has taken what it was given.
    fn pump(&mut self) {
        if self.link.is_pending() {
            return;
        }
        let chunk_size = self.options.session.outbound_chunk_size();
        let mut ended = Vec::new();
        for player in &self.players {
            let (mut bytes, stream_id) = (0, player.stream_id());
            while bytes < BATCH {
                let Some(tag) = player.queue().take() else {
                    break;
                };
                bytes += tag.payload.len();
                let slices = wire::wire(&tag, tag.dts, chunk_size, stream_id);
                slices
                    .into_iter()
                    .for_each(|slice: Bytes| self.link.push(slice));
                Counters::add(&self.peer.counters().tags_sent, 1);
            }
            if bytes < BATCH && player.is_closed() && player.queue().is_empty() {
                ended.push(stream_id);
            }
        }
        for stream_id in ended {
            self.session.end_play(stream_id);
            self.stop_player(stream_id);
        }
        while let Some(bytes) = self.session.poll_output() {
            self.link.push(bytes);
        }
    }

    /// Tells the peer, and the handler, that all is over.
    async fn shut_down(&mut self) {
        self.session.request_reconnect(None, SHUTDOWN);
        for stream_id in self
            .players
            .iter()
            .map(Player::stream_id)
            .collect::<Vec<_>>()
        {
            self.session.end_play(stream_id);
            self.stop_player(stream_id);
        }
        for published in &self.published {
            let stream_id = published.publication.stream_id();
            self.session.end_publish(stream_id, SHUTDOWN_CODE, SHUTDOWN);
        }
        self.drain().await;
        self.session.close();
    }

    fn deadline(&self) -> Option<tokio::time::Instant> {
        let session = self
            .session
            .poll_timeout()
            .map(tokio::time::Instant::from_std);
        let stall = self.link.stalls_at(self.options.write_timeout);
        session.into_iter().chain(stall).min()
    }

    fn is_stalled(&self) -> bool {
        self.link
            .stalls_at(self.options.write_timeout)
            .is_some_and(|at| at <= tokio::time::Instant::now())
    }
}

impl<H: Handler, S: AsyncRead + AsyncWrite + Unpin> Connection<H, S> {
    /// Lets others see what has been moved.
    fn count(&self) {
        let (bytes_in, bytes_out) = self.link.totals();
        self.peer
            .counters()
            .bytes_in
            .store(bytes_in, Ordering::Relaxed);
        self.peer
            .counters()
            .bytes_out
            .store(bytes_out, Ordering::Relaxed);
    }
}

impl<H: Handler, S> Connection<H, S> {
    /// Every start has its stop.
    fn stop_streams(&mut self) {
        while let Some(published) = self.published.pop() {
            self.handler.on_unpublish(&published.publication);
        }
        while let Some(player) = self.players.pop() {
            player.end();
            self.handler.on_play_stop(&player);
        }
    }
}

/// The last calls come also when the task was aborted or a callback panicked.
impl<H: Handler, S> Drop for Connection<H, S> {
    fn drop(&mut self) {
        // A callback that panics here must not take the process along.
        let _ = catch_unwind(AssertUnwindSafe(|| self.stop_streams()));
    }
}

/// Sees to it that `on_disconnect` is called, whatever happens.
pub(crate) struct Guard<H: Handler> {
    handler: Arc<H>,
    peer: Peer,
    pub(crate) reason: Reason,
}

impl<H: Handler> Guard<H> {
    pub(crate) fn new(handler: Arc<H>, peer: Peer) -> Self {
        Self {
            handler,
            peer,
            reason: Reason::Aborted,
        }
    }
}

impl<H: Handler> Drop for Guard<H> {
    fn drop(&mut self) {
        let reason = std::mem::replace(&mut self.reason, Reason::Aborted);
        let end = Disconnect {
            reason,
            stats: self.peer.stats(),
        };
        let _ = catch_unwind(AssertUnwindSafe(|| {
            self.handler.on_disconnect(&self.peer, &end)
        }));
    }
}
