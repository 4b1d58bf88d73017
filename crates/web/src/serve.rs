//! Sockets to routes, and those of players to the node: bounded connections, deadlines for request heads
//! and for those who read answers, a graceful end.

mod answers;
mod counts;
mod crowd;
mod guest;
mod http1;
mod http2;
mod link;
mod reply;
mod service;
mod site;
#[cfg(test)]
mod tests;
mod thrift;
mod tls;
mod turns;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::service::TowerToHyperService;
use rtmp::tls::ReloadingAcceptor;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;

use self::counts::Counts;
use self::crowd::Crowd;
use self::guest::Guest;
use self::site::{Players, Site};
use self::tls::Tls;
use crate::config::Config;
use crate::cors::Cors;
use crate::hls::Desk;
use crate::phase::{Phase, Phases};
use crate::routes::{Face, Source, router};

/// Requests under way when the server stops may take this long.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// A pause after accepting failed, as it does without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The same where somebody is about to give up one.
const ROOM_PAUSE: Duration = Duration::from_millis(5);
/// It lasts, so it is not said at each try.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// So many beyond all limits are let in to be told so, and to look whether the node is well.
const RESERVE: usize = 64;

/// The listeners of a node's HTTP, and all that they serve. Dropped, it stops at once.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<(&'static str, SocketAddr)>,
    listeners: JoinSet<()>,
    phase: watch::Sender<Phase>,
}

impl Server {
    /// Listens, and serves from now on. Must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// An address that cannot be listened at, or a certificate that cannot be used.
    pub fn start<S: Source>(config: &Config, source: Arc<S>) -> io::Result<Self> {
        let (phase, phases) = Phases::new();
        let mut server = Self {
            addresses: Vec::new(),
            listeners: JoinSet::new(),
            phase,
        };
        let cors = Arc::new(Cors::new(&config.http.allow_origins));
        let desk = Arc::new(Desk::new(config.http.waiting, phases.clone()));
        let public = if config.admin.listen.is_some() {
            Face::Public
        } else {
            Face::All
        };
        // Players cannot keep operators out.
        let (everybody, operators) = (crowds(config), crowds(config));
        for (name, listen, face, (crowd, reserve)) in [
            ("http", &config.http.listen, public, &everybody),
            ("https", &config.https.listen, public, &everybody),
            ("admin", &config.admin.listen, Face::Admin, &operators),
        ] {
            let Some(listen) = listen else { continue };
            let tls = match name {
                "https" => Some(tls(config)?),
                _ => None,
            };
            let listener = listen.bind().map_err(|error| {
                let key = format!("{name}.listen");
                io::Error::new(error.kind(), listen.explain(&key, &error))
            })?;
            let listener = TcpListener::from_std(listener)?;
            server.addresses.push((name, listener.local_addr()?));
            let players = || {
                let source = Arc::clone(&source);
                Players {
                    watch: Box::new(move |watch| source.watch(watch)),
                    cors: Arc::clone(&cors),
                }
            };
            let (source, cors, desk) = (Arc::clone(&source), Arc::clone(&cors), Arc::clone(&desk));
            let site = Site {
                players: (face != Face::Admin).then(players),
                routes: TowerToHyperService::new(router(face, source, cors, desk)),
                tls,
                crowd: Arc::clone(crowd),
                reserve: Arc::clone(reserve),
                counts: Counts::new(name),
                header_timeout: config.http.header_timeout,
                idle_timeout: config.http.idle_timeout,
                terms: site::terms(config),
                http1: site::http1(config),
                http2: site::http2(config),
                phases: phases.clone(),
            };
            server.listeners.spawn(accept(listener, Arc::new(site)));
        }
        Ok(server)
    }

    /// Where it listens, by name.
    #[must_use]
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Has those who are connected go elsewhere within this time, one after the other, as far as they can be told to
    /// (HTTP/2); whoever is answered by a node that leaves is told with that. What is asked for is answered all the
    /// while.
    pub fn leave(&self, within: Duration) {
        self.phase.send_replace(Phase::Leaves(within));
    }

    /// Takes no further requests, and answers those it has.
    pub async fn stop(mut self) {
        self.phase.send_replace(Phase::Stopped);
        let ended = async { while self.listeners.join_next().await.is_some() {} };
        drop(tokio::time::timeout(STOP_TIMEOUT, ended).await);
    }
}

/// Those who may be connected, and those beyond them.
fn crowds(config: &Config) -> (Arc<Crowd>, Arc<Crowd>) {
    // A part is left for encoders, other nodes and files.
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let possible = usize::try_from(descriptors / 4 * 3).unwrap_or(usize::MAX);
    let most = match config.http.connections {
        0 => possible,
        most => most.min(possible),
    };
    let all = Crowd::new(most, config.http.connections_per_address);
    (Arc::new(all), Arc::new(Crowd::new(RESERVE, 0)))
}

fn tls(config: &Config) -> io::Result<Tls> {
    let (Some(certificate), Some(key)) = (&config.tls.cert, &config.tls.key) else {
        let sentence = "https.listen needs tls.cert and tls.key";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
    };
    let certificates = ReloadingAcceptor::with_alpn(certificate, key, Tls::protocols());
    let certificates = certificates.map_err(io::Error::other)?;
    let https = &config.https;
    let patience = https.handshake_timeout;
    Ok(Tls::new(certificates, https.handshakes, patience))
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    let mut connections = JoinSet::new();
    let mut stopped = pin!(site.phases.stopped());
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        match accepted {
            Ok((socket, peer)) => match Guest::welcome(&site, peer) {
                Some(guest) => {
                    connections.spawn(async move { guest.serve(socket).await });
                }
                None => site.counts.turned_away(),
            },
            Err(error) if is_peers_fault(&error) => {}
            Err(error) => {
                if warned.is_none_or(|when| when.elapsed() > WARN_EVERY) {
                    warn!(%error, "accepting http failed");
                    warned = Some(Instant::now());
                }
                // Whoever has nothing under way can give up its descriptor.
                let pause = match site.crowd.make_room() {
                    true => ROOM_PAUSE,
                    false => ACCEPT_PAUSE,
                };
                tokio::time::sleep(pause).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The peer gave up before it was accepted.
fn is_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
