//! What a handler holds in its hands: a connection and the streams on it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use flv::Tag;
use tokio::sync::Notify;

use crate::handler::Stats;
use crate::session::{Connect, Params, Publish, PublishKind, Short};

/// One connection of a server, as its handler sees it. Clones are the same connection.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    id: u64,
    addr: SocketAddr,
    tls: bool,
    opened: Instant,
    connect: OnceLock<Connect>,
    counters: Counters,
    requests: Mutex<Requests>,
    /// Wakes the task of the connection.
    wake: Arc<Notify>,
}

/// What a connection's task counts; others may look.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) video_tags: AtomicU64,
    pub(crate) keyframes: AtomicU64,
    pub(crate) audio_tags: AtomicU64,
    pub(crate) tags_sent: AtomicU64,
    pub(crate) tags_dropped: AtomicU64,
}

/// What was asked of a connection from outside. Each kind can be asked once, so it is bounded by
/// what the connection has.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) close: bool,
    pub(crate) reconnect: Option<Reconnect>,
    /// By their numbers.
    pub(crate) ended_publications: Vec<(u64, String)>,
}

#[derive(Debug)]
pub(crate) struct Reconnect {
    pub(crate) tc_url: Option<String>,
    pub(crate) description: String,
}

impl Peer {
    pub(crate) fn new(id: u64, addr: SocketAddr, tls: bool) -> Self {
        Self(Arc::new(Inner {
            id,
            addr,
            tls,
            opened: Instant::now(),
            connect: OnceLock::new(),
            counters: Counters::default(),
            requests: Mutex::default(),
            wake: Arc::default(),
        }))
    }

    /// A number that no other connection of the process has.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Where it comes from.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        self.0.tls
    }

    /// What it said in `connect`; nothing before that.
    pub fn connect(&self) -> Option<&Connect> {
        self.0.connect.get()
    }

    /// What it has moved so far.
    pub fn stats(&self) -> Stats {
        let counters = &self.0.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            duration: self.0.opened.elapsed(),
            bytes_in: get(&counters.bytes_in),
            bytes_out: get(&counters.bytes_out),
            video_tags: get(&counters.video_tags),
            keyframes: get(&counters.keyframes),
            audio_tags: get(&counters.audio_tags),
            tags_sent: get(&counters.tags_sent),
            tags_dropped: get(&counters.tags_dropped),
        }
    }

    /// Ends the connection, once what is pending has been written.
    pub fn close(&self) {
        self.requests().close = true;
        self.0.wake.notify_one();
    }

    /// Asks the client to connect anew, to `tc_url` if there is one. A client that never
    /// announced that it obeys is left alone.
    pub fn request_reconnect(&self, tc_url: Option<&str>, description: &str) {
        let reconnect = Reconnect {
            tc_url: tc_url.map(str::to_owned),
            description: description.to_owned(),
        };
        self.requests().reconnect = Some(reconnect);
        self.0.wake.notify_one();
    }

    pub(crate) fn set_connect(&self, connect: Connect) -> &Connect {
        self.0.connect.get_or_init(|| connect)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn wake(&self) -> &Arc<Notify> {
        &self.0.wake
    }

    pub(crate) fn take_requests(&self) -> Requests {
        std::mem::take(&mut *self.requests())
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.0
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, tag: &Tag) {
        match tag.kind {
            flv::Kind::Video => Self::add(&self.video_tags, 1),
            flv::Kind::Audio => Self::add(&self.audio_tags, 1),
            flv::Kind::Data => {}
        }
        if tag.is_keyframe() {
            Self::add(&self.keyframes, 1);
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.addr.fmt(f)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("id", &self.0.id)
            .field("addr", &self.0.addr)
            .finish_non_exhaustive()
    }
}

/// One publish on a connection. Clones are the same publish.
#[derive(Clone)]
pub struct Publication(Arc<PublicationInner>);

struct PublicationInner {
    id: u64,
    peer: Peer,
    request: Publish,
}

/// Numbers the publishes of the process.
static NEXT_PUBLICATION: AtomicU64 = AtomicU64::new(1);

impl Publication {
    pub(crate) fn new(peer: Peer, request: Publish) -> Self {
        let id = NEXT_PUBLICATION.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(PublicationInner { id, peer, request }))
    }

    /// A number that no other publish has; a message stream can have one after another.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// Whose it is.
    pub fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// The app.
    pub fn app(&self) -> &str {
        &self.0.request.app
    }

    /// The name, without its query; it may be a secret.
    pub fn name(&self) -> &str {
        &self.0.request.name
    }

    /// `app/name`: what a player has to ask for.
    pub fn path(&self) -> String {
        format!("{}/{}", self.app(), self.name())
    }

    /// The parameters of the name, and those of `connect`.
    pub fn params(&self) -> &Params {
        &self.0.request.params
    }

    /// Live, or to be recorded.
    pub fn kind(&self) -> PublishKind {
        self.0.request.kind
    }

    /// Its message stream.
    pub fn stream_id(&self) -> u32 {
        self.0.request.stream_id
    }

    /// Whether `other` is this very publish.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Ends the publish and its connection, with a sentence for the person at the encoder.
    pub fn end(&self, description: &str) {
        let mut requests = self.0.peer.requests();
        let id = self.id();
        if !requests
            .ended_publications
            .iter()
            .any(|(ended, _)| *ended == id)
        {
            requests
                .ended_publications
                .push((id, description.to_owned()));
        }
        drop(requests);
        self.0.peer.wake().notify_one();
    }
}

/// Shortened: the name may be a secret.
impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:?}", self.app(), Short(self.name()))
    }
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication")
            .field("peer", &self.0.peer)
            .field("request", &self.0.request)
            .finish()
    }
}
