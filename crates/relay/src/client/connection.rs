//! One connection to another node.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::codegen::Service;
use tracing::debug;

use crate::auth::Loaded;
use crate::{Auth, Error, Tuning};

/// The window of a connection is that of all its streams together, so that one that is not read does not hold up
/// the others: as much as HTTP/2 can say.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// A pull that is dropped while the origin still sends it is remembered for so long: what comes for one that is
/// forgotten is an error of the connection, and after too many of them it is cut, with all that goes on there.
const REMEMBERED: Duration = Duration::from_secs(30);

/// A connection; closed a while after the last one dropped it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Body>,
    origin: Uri,
}

/// Sends requests on a connection.
#[derive(Clone, Debug)]
pub(crate) struct Sender(SendRequest<Body>);

/// Why there is no connection, for all who waited for it.
#[derive(Clone, Debug)]
pub(super) enum Failed {
    Connect(io::ErrorKind, String),
    Tls(String),
}

impl Connection {
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) fn sender(&self) -> Sender {
        Sender(self.sender.clone())
    }

    pub(super) fn origin(&self) -> Uri {
        self.origin.clone()
    }
}

/// Connects to the node at `address`.
pub(super) async fn connect(
    address: String,
    auth: Auth,
    tuning: Tuning,
) -> Result<Arc<Connection>, Failed> {
    let patience = tuning.connect_timeout;
    let connected = timeout(patience, open(&address, &auth, &tuning)).await;
    connected.unwrap_or_else(|_| {
        let what = format!("no connection within {patience:?}");
        Err(Failed::Connect(io::ErrorKind::TimedOut, what))
    })
}

async fn open(address: &str, auth: &Auth, tuning: &Tuning) -> Result<Arc<Connection>, Failed> {
    let socket = TcpStream::connect(address).await.map_err(failed)?;
    // Each write is a message already.
    socket.set_nodelay(true).map_err(failed)?;
    match auth.certificates() {
        None => speak(TokioIo::new(socket), &origin("http", address)?, tuning).await,
        Some(certificates) => {
            let stream = encrypt(socket, address, &certificates).await?;
            speak(TokioIo::new(stream), &origin("https", address)?, tuning).await
        }
    }
}

async fn encrypt(
    socket: TcpStream,
    address: &str,
    certificates: &Loaded,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failed> {
    let name = certificates.name_at(address);
    let name = name.map_err(|error| Failed::Tls(error.to_string()))?;
    let connector = TlsConnector::from(Arc::clone(&certificates.client));
    let connected = connector.connect(name, socket).await;
    connected.map_err(|error| {
        match error
            .get_ref()
            .is_some_and(|inner| inner.is::<rustls::Error>())
        {
            true => Failed::Tls(error.to_string()),
            false => failed(error),
        }
    })
}

async fn speak<I: Read + Write + Unpin + Send + 'static>(
    io: I,
    origin: &Uri,
    tuning: &Tuning,
) -> Result<Arc<Connection>, Failed> {
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(tuning.stream_window)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(tuning.frame_bytes)
        .max_concurrent_reset_streams(usize::try_from(tuning.max_streams).unwrap_or(usize::MAX))
        .reset_stream_duration(REMEMBERED)
        .keep_alive_interval(tuning.ping_interval)
        .keep_alive_timeout(tuning.ping_timeout)
        .keep_alive_while_idle(true)
        .handshake(io);
    let (sender, driver) = handshake.await.map_err(|error| {
        let kind = io::ErrorKind::ConnectionAborted;
        Failed::Connect(kind, error.to_string())
    })?;
    let origin = origin.clone();
    let connection = Arc::new(Connection { sender, origin });
    tokio::spawn(drive(driver, Arc::clone(&connection), tuning.linger));
    Ok(connection)
}

/// Moves the bytes; holds on to the connection until nobody has used it for a while.
async fn drive<D>(driver: D, connection: Arc<Connection>, linger: Duration)
where
    D: Future<Output = Result<(), hyper::Error>>,
{
    let mut driver = pin!(driver);
    let mut kept = Some(connection);
    loop {
        tokio::select! {
            ended = &mut driver => {
                if let Err(error) = ended {
                    debug!(%error, "connection to another node broke");
                }
                return;
            }
            () = sleep(linger), if kept.is_some() => {
                kept = kept.filter(|kept| Arc::strong_count(kept) > 1);
            }
        }
    }
}

impl Service<Request<Body>> for Sender {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.send_request(request).boxed()
    }
}

fn origin(scheme: &str, address: &str) -> Result<Uri, Failed> {
    let wrong = |_| {
        let what = "no address that a node could listen at".to_owned();
        Failed::Connect(io::ErrorKind::InvalidInput, what)
    };
    format!("{scheme}://{address}").parse().map_err(wrong)
}

fn failed(error: io::Error) -> Failed {
    Failed::Connect(error.kind(), error.to_string())
}

impl Failed {
    pub(super) fn at(self, address: &str) -> Error {
        let address = address.to_owned();
        match self {
            Self::Connect(kind, what) => Error::Connect {
                address,
                source: io::Error::new(kind, what),
            },
            Self::Tls(what) => Error::Tls { address, what },
        }
    }
}
