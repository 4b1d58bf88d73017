//! The client's socket, and the end that plays.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::client::TlsStream;

use super::link::{Link, Progress};
use super::publisher::Publisher;
use super::queue::QueueLimits;
use crate::client::{self, Event, Intent, Rejection, Session};
use crate::tls::{TlsError, Trust};
use crate::url::Url;

/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_secs(1);
const READ_BUFFER: usize = 64 * 1024;

/// What can be set about a client.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Protocol settings, limits, and how long a server may be silent.
    pub session: Arc<client::Config>,
    /// Looking the host up, connecting, and TLS must end within this.
    pub connect_timeout: Duration,
    /// A server that takes nothing for this long is given up.
    pub write_timeout: Duration,
    /// Whom to trust with `rtmps://`.
    pub trust: Trust,
    /// The name that the certificate must bear, if not the URL's host.
    pub server_name: Option<String>,
    /// What a publisher holds until the server takes it.
    pub queue: QueueLimits,
    /// Where a pull begins, and whether it subscribes first.
    pub pull: Intent,
    /// Write at once instead of waiting for acknowledgements of what went before.
    pub nodelay: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            session: Arc::default(),
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            trust: Trust::WebPki,
            server_name: None,
            queue: QueueLimits::default(),
            pull: Intent::pull(),
            nodelay: true,
        }
    }
}

/// Why a client gave up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection in time.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// The host is not there, or the connection broke.
    #[error("connection failed")]
    Socket(#[from] io::Error),
    /// TLS could not be set up on this side.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The URL's host cannot be in a certificate.
    #[error("no valid host name for TLS")]
    ServerName,
    /// The server broke the protocol or a limit, or was silent.
    #[error(transparent)]
    Session(#[from] client::Error),
    /// The server refused.
    #[error("refused: {0}")]
    Rejected(Rejection),
    /// The server takes nothing any more.
    #[error("the server does not take what is sent")]
    Stalled,
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
}

impl ClientError {
    /// Whether trying again may help: not with a refusal, nor with what is wrong on this side.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ConnectTimeout(_) | Self::Socket(_) | Self::Stalled | Self::Closed => true,
            Self::Session(error) => matches!(error, client::Error::Timeout(_)),
            Self::Tls(_) | Self::ServerName | Self::Rejected(_) => false,
        }
    }
}

/// Plays and publishes streams of other servers.
#[derive(Debug, Clone, Default)]
pub struct Client {
    options: ClientOptions,
}

impl Client {
    /// A client.
    pub fn new(options: ClientOptions) -> Self {
        Self { options }
    }

    /// Connects to play `url`; [`Puller::next`] tells how it goes.
    ///
    /// # Errors
    /// When no connection can be made.
    pub async fn pull(&self, url: &Url) -> Result<Puller, ClientError> {
        let driver = self.connect(url, self.options.pull).await?;
        Ok(Puller { driver })
    }

    /// Connects to publish `url`, and returns once the server takes tags.
    ///
    /// # Errors
    /// When no connection can be made, or the server refuses.
    pub async fn publish(&self, url: &Url) -> Result<Publisher, ClientError> {
        let driver = self.connect(url, Intent::Publish).await?;
        Publisher::start(driver, self.options.queue).await
    }

    async fn connect(&self, url: &Url, intent: Intent) -> Result<Driver, ClientError> {
        let limit = self.options.connect_timeout;
        let stream = timeout(limit, self.open(url))
            .await
            .map_err(|_| ClientError::ConnectTimeout(limit))??;
        let session = Session::new(self.options.session.clone(), url, intent, Instant::now());
        let link = Link::new(stream, READ_BUFFER);
        Ok(Driver {
            link,
            session,
            write_timeout: self.options.write_timeout,
            failed: None,
        })
    }

    async fn open(&self, url: &Url) -> Result<Stream, ClientError> {
        let tcp = TcpStream::connect((url.host(), url.port())).await?;
        tcp.set_nodelay(self.options.nodelay)?;
        if !url.is_tls() {
            return Ok(Stream::Plain(tcp));
        }
        let name = self
            .options
            .server_name
            .clone()
            .unwrap_or_else(|| url.host().to_owned());
        let name = ServerName::try_from(name).map_err(|_| ClientError::ServerName)?;
        let stream = self.options.trust.connector()?.connect(name, tcp).await?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// A stream that is being played. Nothing is read, and no ping answered, while nobody asks for
/// the next event; dropping it closes the connection.
#[derive(Debug)]
pub struct Puller {
    driver: Driver,
}

impl Puller {
    /// What happens next; `None` when the server has closed the connection after saying so.
    /// May be dropped and called again without loss.
    ///
    /// # Errors
    /// When the connection fails, or the server refuses.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            match self.driver.turn(std::future::pending()).await? {
                Turn::Event(event) => return Ok(Some(event)),
                Turn::Closed => return Ok(None),
                Turn::Written | Turn::Woken => {}
            }
        }
    }

    /// Holds the stream, or lets it go on; `at` is where the player stands.
    pub fn pause(&mut self, paused: bool, at: Duration) {
        self.driver
            .session
            .pause(paused, u32::try_from(at.as_millis()).unwrap_or(u32::MAX));
    }

    /// Whether the server shall send audio.
    pub fn receive_audio(&mut self, on: bool) {
        self.driver.session.receive_audio(on);
    }

    /// Whether the server shall send video.
    pub fn receive_video(&mut self, on: bool) {
        self.driver.session.receive_video(on);
    }

    /// Bytes received and sent so far.
    pub fn totals(&self) -> (u64, u64) {
        self.driver.link.totals()
    }

    /// Says goodbye and closes.
    pub async fn close(mut self) {
        self.driver.finish().await;
    }
}

/// A session and its socket.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) link: Link<Stream>,
    pub(crate) session: Session,
    write_timeout: Duration,
    /// The connection has ended; events that came before are told first.
    failed: Option<ClientError>,
}

/// What [`Driver::turn`] came back for.
#[derive(Debug)]
pub(crate) enum Turn {
    Event(Event),
    /// Everything pending was written.
    Written,
    /// The other future has resolved.
    Woken,
    /// The session has ended in order.
    Closed,
}

impl Driver {
    /// Goes on until there is something to tell, or `wake` resolves. May be dropped without loss.
    pub(crate) async fn turn(
        &mut self,
        wake: impl Future<Output = ()>,
    ) -> Result<Turn, ClientError> {
        tokio::pin!(wake);
        loop {
            self.flush();
            match self.session.poll_event() {
                Some(Event::Rejected(rejection)) => return Err(ClientError::Rejected(rejection)),
                Some(event) => return Ok(Turn::Event(event)),
                None => {}
            }
            if let Some(error) = self.failed.take() {
                self.failed = Some(ClientError::Closed);
                return Err(error);
            }
            if self.session.is_closing() {
                return Ok(Turn::Closed);
            }
            let session = self
                .session
                .poll_timeout()
                .map(tokio::time::Instant::from_std);
            let stall = self.link.stalls_at(self.write_timeout);
            let deadline = session.into_iter().chain(stall).min();
            let was_pending = self.link.is_pending();
            tokio::select! {
                // What has arrived counts, even if nobody has looked since the deadline.
                biased;
                progress = self.link.progress() => self.handle_progress(progress),
                () = &mut wake => return Ok(Turn::Woken),
                () = sleep_until(deadline.unwrap_or_else(tokio::time::Instant::now)), if deadline.is_some() => {
                    if stall.is_some_and(|at| at <= tokio::time::Instant::now()) {
                        self.failed = Some(ClientError::Stalled);
                    } else if let Err(error) = self.session.handle_timeout(Instant::now()) {
                        self.failed = Some(error.into());
                    }
                }
            }
            if was_pending
                && !self.link.is_pending()
                && self.failed.is_none()
                && self.session.is_publishing()
            {
                return Ok(Turn::Written);
            }
        }
    }

    /// Gives the socket what the session has to say.
    pub(crate) fn flush(&mut self) {
        while let Some(bytes) = self.session.poll_output() {
            self.link.push(bytes);
        }
    }

    pub(crate) async fn finish(&mut self) {
        self.session.finish();
        self.flush();
        self.link.close(FAREWELL).await;
    }

    fn handle_progress(&mut self, progress: io::Result<Progress>) {
        let taken = self
            .session
            .handle_input(Instant::now(), &mut self.link.input);
        self.failed = match (taken, progress) {
            (Err(error), _) => Some(error.into()),
            (_, Err(error)) => Some(error.into()),
            (_, Ok(Progress::Eof)) => Some(ClientError::Closed),
            (_, Ok(Progress::Some)) => None,
        };
    }
}

/// TCP, with or without TLS.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
