//! Connections: few, from nodes, and each on probation until its first call is admitted.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tracing::{debug, warn};

use super::Shared;
use super::gate::Turned;
use super::strangers::{Place, Strangers};
use crate::headers::{PROOF, REFUSED};
use crate::{Caller, metrics};

/// What callers may have under way to us, on one pull or call: they say little.
const STREAM_WINDOW: u32 = 64 << 10;
/// On one connection.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// What waits in a stream's own buffer for the socket. More of it gathers better in the ring, which all share.
const SEND_BUFFER: usize = 128 << 10;

/// Calls that are given up before they were looked at, at a time: an edge may give up all its pulls at once.
const MAX_GIVEN_UP: usize = 4096;

/// Messages for calls that are over, in all. Edges say how many watch until they hear of the end.
const MAX_ERRORS: usize = 1 << 16;

/// A connection is cut after so many calls in a row that were not admitted.
const MAX_TURNED: u32 = 32;

/// The system has no descriptors left, say: a moment later it may.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn serve(
    shared: &Arc<Shared>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) {
    let strangers = Arc::new(Strangers::new(shared.tuning.max_strangers));
    let (stopping, stopped) = watch::channel(false);
    // Dropped with this future, and all connections with it.
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener) => {
                let Some((socket, address)) = accepted else { continue };
                let standing = Arc::new(Standing::new(&strangers, address));
                connections.spawn(connection(Arc::clone(shared), socket, address, standing, stopped.clone()));
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            let is_of_peer = matches!(
                error.kind(),
                io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
            );
            if !is_of_peer {
                warn!(%error, "cannot accept a connection from another node");
                sleep(ACCEPT_PAUSE).await;
            }
            None
        }
    }
}

/// How far a connection is trusted.
#[derive(Debug)]
struct Standing {
    /// Held by strangers.
    place: Mutex<Option<Place>>,
    /// Told when the place is somebody else's.
    crowded_out: Arc<Notify>,
    admitted: AtomicBool,
    turned: AtomicU32,
    expelled: Notify,
}

impl Standing {
    fn new(strangers: &Arc<Strangers>, address: SocketAddr) -> Self {
        let crowded_out = Arc::new(Notify::new());
        let place = strangers.enter(address, Arc::clone(&crowded_out));
        Self {
            place: Mutex::new(Some(place)),
            crowded_out,
            admitted: AtomicBool::new(false),
            turned: AtomicU32::new(0),
            expelled: Notify::new(),
        }
    }

    fn admit(&self) {
        self.turned.store(0, Ordering::Relaxed);
        if !self.admitted.swap(true, Ordering::Relaxed) {
            let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            drop(place.take());
        }
    }

    fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Relaxed)
    }

    fn turn(&self) {
        if self.turned.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_TURNED {
            self.expelled.notify_one();
        }
    }
}

async fn connection(
    shared: Arc<Shared>,
    socket: TcpStream,
    address: SocketAddr,
    standing: Arc<Standing>,
    stopped: watch::Receiver<bool>,
) {
    let deadline = Instant::now() + shared.tuning.handshake_timeout;
    // Each write is a batch already.
    let _ = socket.set_nodelay(true);
    let Some(certificates) = shared.auth.certificates() else {
        return speak(
            shared,
            TokioIo::new(socket),
            address,
            standing,
            deadline,
            stopped,
        )
        .await;
    };
    let acceptor = TlsAcceptor::from(Arc::clone(&certificates.server));
    let accepted = tokio::select! {
        accepted = timeout_at(deadline, acceptor.accept(socket)) => accepted,
        () = standing.crowded_out.notified() => return,
    };
    match accepted {
        Ok(Ok(stream)) => {
            // Whoever has a certificate is a node.
            standing.admit();
            speak(
                shared,
                TokioIo::new(stream),
                address,
                standing,
                deadline,
                stopped,
            )
            .await;
        }
        Ok(Err(error)) => debug!(peer = %address, %error, "no TLS with another node"),
        Err(_) => debug!(peer = %address, "no TLS in time"),
    }
}

async fn speak<I: Read + Write + Unpin + Send + 'static>(
    shared: Arc<Shared>,
    io: I,
    address: SocketAddr,
    standing: Arc<Standing>,
    deadline: Instant,
    mut stopped: watch::Receiver<bool>,
) {
    let tuning = &shared.tuning;
    let service =
        service_fn(|request| answer(Arc::clone(&shared), Arc::clone(&standing), address, request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(tuning.frame_bytes)
        .max_concurrent_streams(tuning.max_streams)
        .max_pending_accept_reset_streams(MAX_GIVEN_UP)
        .max_local_error_reset_streams(MAX_ERRORS)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(tuning.ping_interval)
        .keep_alive_timeout(tuning.ping_timeout)
        .auto_date_header(false)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let (mut is_stranger, mut is_stopping) = (true, false);
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    debug!(peer = %address, %error, "connection of another node broke");
                }
                return;
            }
            () = standing.expelled.notified() => {
                debug!(peer = %address, "too many calls that were not authenticated");
                return;
            }
            // One that was admitted at the same moment stays.
            () = standing.crowded_out.notified(), if is_stranger => {
                is_stranger = !standing.is_admitted();
                if is_stranger {
                    return;
                }
            }
            () = sleep_until(deadline), if is_stranger => {
                is_stranger = !standing.is_admitted();
                if is_stranger {
                    debug!(peer = %address, "not authenticated in time");
                    return;
                }
            }
            _ = stopped.wait_for(|stopped| *stopped), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    standing: Arc<Standing>,
    address: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let admitted = match shared.gate.admit(request.headers(), request.uri().path()) {
        Ok(admitted) => admitted,
        Err(turned) => {
            standing.turn();
            return Ok(turn(&shared, &turned, address));
        }
    };
    standing.admit();
    let node = admitted.caller;
    request.extensions_mut().insert(Caller { node, address });
    let mut response = shared.service.clone().call(request).await?;
    if let Some(proof) = admitted.proof {
        response.headers_mut().insert(PROOF, proof);
    }
    Ok(response)
}

fn turn(shared: &Shared, turned: &Turned, address: SocketAddr) -> Response<Body> {
    let (reason, sentence) = (turned.reason.name(), &turned.sentence);
    metrics::turned(turned.reason);
    // Anybody can make us say this: seldom aloud.
    match shared.gate.is_time_to_warn() {
        true => warn!(peer = %address, reason, "call refused: {sentence}"),
        false => debug!(peer = %address, reason, "call refused: {sentence}"),
    }
    let mut response = Status::unauthenticated(sentence).into_http();
    let headers = response.headers_mut();
    headers.insert(REFUSED, HeaderValue::from_static(reason));
    if let Some(proof) = &turned.proof {
        headers.insert(PROOF, proof.clone());
    }
    response
}
