//! Sockets to routes, and those of players to the node: bounded connections, deadlines for request heads
//! and for those who read answers, a graceful end.

use std::future::{Pending, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use futures::future::Either;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use node::watch::Socket;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::api::PeerAddress;
use crate::config::Config;
use crate::cors::Cors;
use crate::flv::Wish;
use crate::patience::Patient;
use crate::routes::{Face, Source, router};

/// A peer that has taken nothing of its answer for so long does not want it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests under way when the server stops may take this long.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// A pause after accepting failed, as it does without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listeners of a node's HTTP, and all that they serve. Dropped, it stops at once.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<(&'static str, SocketAddr)>,
    listeners: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Listens, and serves from now on. Must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// An address that cannot be listened at.
    pub fn start<S: Source>(config: &Config, source: Arc<S>) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut server = Self {
            addresses: Vec::new(),
            listeners: JoinSet::new(),
            stop,
        };
        let cors = Arc::new(Cors::new(&config.http.allow_origins));
        let public = if config.admin.listen.is_some() {
            Face::Public
        } else {
            Face::All
        };
        for (name, listen, face) in [
            ("http", &config.http.listen, public),
            ("admin", &config.admin.listen, Face::Admin),
        ] {
            let Some(listen) = listen else { continue };
            let listener = listen.bind().map_err(|error| {
                let key = format!("{name}.listen");
                io::Error::new(error.kind(), listen.explain(&key, &error))
            })?;
            let listener = TcpListener::from_std(listener)?;
            server.addresses.push((name, listener.local_addr()?));
            let permits = match config.http.connections {
                0 => Semaphore::MAX_PERMITS,
                most => most.min(Semaphore::MAX_PERMITS),
            };
            let players = || Players {
                source: Arc::clone(&source),
                cors: Arc::clone(&cors),
            };
            let site = Site {
                router: router(face, Arc::clone(&source), Arc::clone(&cors)),
                players: (face != Face::Admin).then(players),
                header_timeout: config.http.header_timeout,
            };
            let permits = Arc::new(Semaphore::new(permits));
            let accept = accept(listener, Arc::new(site), permits, stopped.clone());
            server.listeners.spawn(accept);
        }
        Ok(server)
    }

    /// Where it listens, by name.
    #[must_use]
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Takes no further requests, and answers those it has.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.listeners.join_next().await.is_some() {} };
        drop(tokio::time::timeout(STOP_TIMEOUT, ended).await);
    }
}

/// What a listener serves, and how.
struct Site<S> {
    router: Router,
    /// Where players go, on a listener that is for them.
    players: Option<Players<S>>,
    header_timeout: Duration,
}

/// Who serves players, and whose web pages may be such.
struct Players<S> {
    source: Arc<S>,
    cors: Arc<Cors>,
}

async fn accept<S: Source>(
    listener: TcpListener,
    site: Arc<Site<S>>,
    permits: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        // Beyond the limit peers wait in the kernel's queue, which is bounded as well.
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match accepted {
            Ok((socket, peer)) => {
                let (site, stopped) = (Arc::clone(&site), stopped.clone());
                connections.spawn(async move {
                    // An answer is one write; waiting for more of it helps nobody.
                    drop(socket.set_nodelay(true));
                    if let Err(error) = connection(socket, peer, &site, stopped).await {
                        debug!(%peer, %error, "http connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "accepting http failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The routes, for one peer: they learn where requests come from.
struct Addressed {
    service: TowerToHyperService<Router>,
    peer: SocketAddr,
    cors: Option<Arc<Cors>>,
    /// What a player asks for, for whom the connection is to be.
    wish: Arc<Mutex<Option<Wish>>>,
}

type Routes = TowerToHyperService<Router>;

impl Service<Request<Incoming>> for Addressed {
    type Response = <Routes as Service<Request<Incoming>>>::Response;
    type Error = <Routes as Service<Request<Incoming>>>::Error;
    type Future =
        Either<<Routes as Service<Request<Incoming>>>::Future, Pending<PlayerIsElsewhere<Self>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let cors = self.cors.as_deref();
        if let Some(wish) = cors.and_then(|cors| Wish::of_connection(&request, cors)) {
            *lock(&self.wish) = Some(wish);
            return Either::Right(pending());
        }
        request.extensions_mut().insert(PeerAddress(self.peer));
        Either::Left(self.service.call(request))
    }
}

/// What is never said here, since somebody else answers.
type PlayerIsElsewhere<S> =
    Result<<S as Service<Request<Incoming>>>::Response, <S as Service<Request<Incoming>>>::Error>;

fn lock(wish: &Mutex<Option<Wish>>) -> MutexGuard<'_, Option<Wish>> {
    wish.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves requests up to the end of the connection, or until the first of a player, for whom all of it is.
async fn connection<S: Source>(
    socket: TcpStream,
    peer: SocketAddr,
    site: &Site<S>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), hyper::Error> {
    // A peer that sends request after request and reads no answer meets no deadline of hyper's.
    let socket = Patient::new(socket, WRITE_TIMEOUT);
    let waits = socket.waits();
    let wish = Arc::new(Mutex::new(None));
    let service = Addressed {
        service: TowerToHyperService::new(site.router.clone()),
        peer,
        cors: site
            .players
            .as_ref()
            .map(|players| Arc::clone(&players.cors)),
        wish: Arc::clone(&wish),
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(site.header_timeout)
        .serve_connection(TokioIo::new(socket), service);
    let mut stopping = false;
    loop {
        let next = poll_fn(|cx| {
            let ended = Pin::new(&mut connection).poll(cx).map(Some);
            // What was answered before goes out first; hyper has nothing left that does not wait for the peer.
            let is_taken =
                ended.is_pending() && !waits.load(Ordering::Relaxed) && lock(&wish).is_some();
            if is_taken { Poll::Ready(None) } else { ended }
        });
        tokio::select! {
            ended = next => match ended {
                Some(ended) => return ended,
                None => break,
            },
            _ = stopped.wait_for(|stopped| *stopped), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    let parts = connection.into_parts();
    let wish = lock(&wish).take();
    if let (Some(players), Some(wish)) = (&site.players, wish) {
        let socket = Socket::tcp(parts.io.into_inner().into_inner());
        players
            .source
            .watch(wish.watch(socket, peer, &parts.read_buf));
    }
    Ok(())
}
