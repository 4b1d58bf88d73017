//! Sockets to routes: bounded connections, deadlines for request heads and for those who read
//! answers, a graceful end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::api::PeerAddress;
use crate::config::Config;
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
            server.listeners.spawn(accept(
                listener,
                router(face, Arc::clone(&source)),
                Arc::new(Semaphore::new(permits)),
                config.http.header_timeout,
                stopped.clone(),
            ));
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

async fn accept(
    listener: TcpListener,
    router: Router,
    permits: Arc<Semaphore>,
    header_timeout: Duration,
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
                let service = TowerToHyperService::new(router.clone());
                let stopped = stopped.clone();
                connections.spawn(async move {
                    let service = Addressed { service, peer };
                    if let Err(error) = connection(socket, service, header_timeout, stopped).await {
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
}

impl Service<Request<Incoming>> for Addressed {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(PeerAddress(self.peer));
        self.service.call(request)
    }
}

async fn connection(
    socket: TcpStream,
    service: Addressed,
    header_timeout: Duration,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), hyper::Error> {
    // An answer is one write; waiting for more of it helps nobody.
    drop(socket.set_nodelay(true));
    // A peer that sends request after request and reads no answer meets no deadline of hyper's.
    let socket = Patient::new(socket, WRITE_TIMEOUT);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
