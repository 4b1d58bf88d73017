//! The accept loop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection::{Connection, Guard};
use super::peer::Peer;
use super::player::Overflow;
use super::queue::QueueLimits;
use crate::config::Config;
use crate::handler::{Handler, Reason};
use crate::tls::ReloadingAcceptor;

/// How long accepting pauses when the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Numbers the connections of the process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// What can be set about a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Protocol settings and limits.
    pub session: Arc<Config>,
    /// Most connections at a time, over all listeners; 0 for no limit. Beyond it they are closed
    /// at once.
    pub max_connections: usize,
    /// Write at once instead of waiting for acknowledgements of what went before.
    pub nodelay: bool,
    /// The kernel's receive buffer, if not as the system has it.
    pub receive_buffer: Option<usize>,
    /// The kernel's send buffer, if not as the system has it.
    pub send_buffer: Option<usize>,
    /// Bytes to have room for in a read.
    pub read_buffer: usize,
    /// A peer that takes nothing for this long is cut.
    pub write_timeout: Duration,
    /// Most that waits for one player.
    pub queue: QueueLimits,
    /// What to do when more would wait.
    pub overflow: Overflow,
    /// Pause between two [`on_stats_update`](Handler::on_stats_update).
    pub stats_interval: Duration,
    /// How long connections get to end when the server stops.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            session: Arc::default(),
            max_connections: 10_000,
            nodelay: true,
            receive_buffer: None,
            send_buffer: None,
            read_buffer: 64 * 1024,
            write_timeout: Duration::from_secs(30),
            queue: QueueLimits::default(),
            overflow: Overflow::default(),
            stats_interval: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// Accepts connections and lets a [`Handler`] decide about them.
///
/// ```no_run
/// # use weir_rtmp as rtmp;
/// # async fn example() -> std::io::Result<()> {
/// use rtmp::{handler::Logging, net::Server};
///
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:1935").await?;
/// let interrupted = async { drop(tokio::signal::ctrl_c().await) };
/// Server::new(Logging).serve(listener, interrupted).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server<H> {
    handler: Arc<H>,
    options: Arc<ServerOptions>,
    permits: Option<Arc<Semaphore>>,
}

impl<H> Clone for Server<H> {
    fn clone(&self) -> Self {
        Self {
            handler: self.handler.clone(),
            options: self.options.clone(),
            permits: self.permits.clone(),
        }
    }
}

impl<H: Handler> Server<H> {
    /// A server with the default options. Clones share the limit of connections.
    pub fn new(handler: impl Into<Arc<H>>) -> Self {
        Self::with_options(handler, ServerOptions::default())
    }

    /// A server.
    pub fn with_options(handler: impl Into<Arc<H>>, options: ServerOptions) -> Self {
        let limit = options.max_connections.min(Semaphore::MAX_PERMITS);
        let permits = (limit > 0).then(|| Arc::new(Semaphore::new(limit)));
        Self {
            handler: handler.into(),
            options: Arc::new(options),
            permits,
        }
    }

    /// Serves RTMP on `listener` until `shutdown` resolves; then tells publishers and players,
    /// and waits for their connections for up to [`ServerOptions::drain_timeout`].
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        self.run(listener, None, shutdown).await;
    }

    /// The same for RTMPS.
    pub async fn serve_tls(
        &self,
        listener: TcpListener,
        tls: Arc<ReloadingAcceptor>,
        shutdown: impl Future<Output = ()>,
    ) {
        self.run(listener, Some(tls), shutdown).await;
    }

    async fn run(
        &self,
        listener: TcpListener,
        tls: Option<Arc<ReloadingAcceptor>>,
        shutdown: impl Future<Output = ()>,
    ) {
        let (stop, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, addr)) => self.spawn(&mut connections, stream, addr, &tls, &stopped),
                    Err(error) => {
                        tracing::warn!(%error, "accept failed");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                // Keeps the set small; a connection that panicked has already said so.
                Some(_) = connections.join_next() => {}
                () = &mut shutdown => break,
            }
        }
        drop(listener);
        stop.send_replace(true);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if timeout(self.options.drain_timeout, all_ended)
            .await
            .is_err()
        {
            connections.shutdown().await;
        }
    }

    fn spawn(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        addr: SocketAddr,
        tls: &Option<Arc<ReloadingAcceptor>>,
        stopped: &watch::Receiver<bool>,
    ) {
        let permit = match self
            .permits
            .clone()
            .map(Semaphore::try_acquire_owned)
            .transpose()
        {
            Ok(permit) => permit,
            Err(_) => {
                tracing::warn!(peer = %addr, limit = self.options.max_connections, "too many connections");
                return;
            }
        };
        let (server, tls, stopped) = (self.clone(), tls.clone(), stopped.clone());
        connections
            .spawn(async move { server.connection(stream, addr, tls, stopped, permit).await });
    }

    async fn connection(
        self,
        stream: TcpStream,
        addr: SocketAddr,
        tls: Option<Arc<ReloadingAcceptor>>,
        stopped: watch::Receiver<bool>,
        _permit: Option<OwnedSemaphorePermit>,
    ) {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let peer = Peer::new(id, addr, tls.is_some());
        if !self.handler.on_connection(&peer).await {
            return;
        }
        let mut guard = Guard::new(self.handler, peer);
        if let Err(error) = prepare(&stream, &self.options) {
            guard.reason = Reason::Socket(error.to_string());
            return;
        }
        let Some(tls) = tls else {
            return run(guard, self.options, stream, stopped).await;
        };
        let limit = self.options.session.handshake_timeout;
        match timeout(limit, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => run(guard, self.options, stream, stopped).await,
            Ok(Err(error)) => {
                tracing::debug!(peer = %addr, %error, "no TLS");
                guard.reason = Reason::Socket(error.to_string());
            }
            Err(_) => guard.reason = Reason::Timeout(crate::session::Timeout::Handshake),
        }
    }
}

async fn run<H, S>(
    guard: Guard<H>,
    options: Arc<ServerOptions>,
    stream: S,
    stopped: watch::Receiver<bool>,
) where
    H: Handler,
    S: AsyncRead + AsyncWrite + Unpin,
{
    // On the heap: the future is large, and the task holds it next to its other states.
    Box::pin(Connection::new(guard, options, stream).run(stopped)).await;
}

fn prepare(stream: &TcpStream, options: &ServerOptions) -> io::Result<()> {
    stream.set_nodelay(options.nodelay)?;
    let socket = SockRef::from(stream);
    if let Some(size) = options.receive_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    if let Some(size) = options.send_buffer {
        socket.set_send_buffer_size(size)?;
    }
    Ok(())
}
