//! A socket with a deadline for whoever is to read from it, that tells how things stand.

mod budget;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

pub(crate) use self::budget::{Budget, Terms};

/// Writing to it fails once the peer has taken nothing for a while, or little for longer.
pub(crate) struct Patient<S> {
    socket: S,
    budget: Budget,
    /// Runs while the peer takes nothing.
    deadline: Option<Pin<Box<Sleep>>>,
    flow: Arc<Flow>,
}

/// How things stand on a socket, for who cannot reach it: the task that drives it, and no other.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    waits: AtomicBool,
    starves: AtomicBool,
    ends: AtomicBool,
    read: AtomicU64,
}

impl Flow {
    /// Whether something waits for the peer to take it.
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Whether there was nothing left to be read.
    pub(crate) fn starves(&self) -> bool {
        self.starves.load(Ordering::Relaxed)
    }

    /// Whether it is being shut down.
    pub(crate) fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    /// The bytes that have been read.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl<S> Patient<S> {
    pub(crate) fn new(socket: S, terms: Terms) -> Self {
        Self {
            socket,
            budget: Budget::new(terms),
            deadline: None,
            flow: Arc::default(),
        }
    }

    /// How things stand, for as long as it is there.
    pub(crate) fn flow(&self) -> Arc<Flow> {
        Arc::clone(&self.flow)
    }

    pub(crate) fn into_inner(self) -> S {
        self.socket
    }

    fn wait_for<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        let waits = &self.flow.waits;
        waits.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(written) = written {
            self.budget.takes(written.as_ref().map_or(0, bytes));
            self.deadline = None;
            return Poll::Ready(written);
        }
        let until = self.budget.waits();
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        ready!(deadline.as_mut().poll(cx));
        let sentence = "the peer does not read what it is sent";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, sentence)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wait_for(cx, written, |bytes| *bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.wait_for(cx, written, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.wait_for(cx, flushed, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flow.ends.store(true, Ordering::Relaxed);
        // Within TLS that is something to be written too.
        let shut = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.wait_for(cx, shut, |()| 0)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        let bytes = buffer.filled().len() - before;
        let flow = &self.flow;
        flow.starves.store(read.is_pending(), Ordering::Relaxed);
        flow.read.fetch_add(bytes as u64, Ordering::Relaxed);
        read
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use hyper::server::conn::http1;
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    /// Far more than anything here takes.
    const LIMIT: Duration = Duration::from_secs(30);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: weir\r\n\r\n";

    fn terms(patience: Duration) -> Terms {
        Terms { patience, rate: 0 }
    }

    async fn serve(socket: DuplexStream, patience: Duration) -> Result<(), hyper::Error> {
        let router = Router::new().route("/", get(async || "x".repeat(1000)));
        let socket = TokioIo::new(Patient::new(socket, terms(patience)));
        let service = TowerToHyperService::new(router);
        let connection = http1::Builder::new().serve_connection(socket, service);
        timeout(LIMIT, connection).await.expect("an end")
    }

    #[tokio::test]
    async fn a_peer_that_asks_and_reads_nothing_is_left() {
        let (mut peer, socket) = duplex(256);
        let asks = async {
            // As long as anybody takes it.
            while peer.write_all(REQUEST).await.is_ok() {}
        };
        let (ended, ()) = tokio::join!(serve(socket, Duration::from_millis(20)), asks);
        let error = ended.expect_err("it is left");
        assert!(error.to_string().contains("writing"), "{error}");
    }

    #[tokio::test]
    async fn a_peer_that_reads_is_served() {
        let (mut peer, socket) = duplex(256);
        let reads = async {
            let last = b"GET / HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n";
            let all = [&REQUEST.repeat(3), &last[..]].concat();
            peer.write_all(&all).await.expect("sends");
            let mut answers = String::new();
            let read = peer.read_to_string(&mut answers).await;
            read.expect("answers");
            answers
        };
        let (ended, answers) = tokio::join!(serve(socket, LIMIT), reads);
        ended.expect("a good end");
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_byte_after_byte_is_left() {
        let (mut peer, socket) = duplex(1);
        let rate = 1000;
        let mut socket = Patient::new(
            socket,
            Terms {
                patience: LIMIT,
                rate,
            },
        );
        let trickles = async {
            while peer.read_u8().await.is_ok() {
                tokio::time::sleep(LIMIT / 10).await;
            }
        };
        let writes = async {
            let error = socket.write_all(&[0; 100]).await.expect_err("it is left");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(socket);
        };
        tokio::join!(trickles, writes);
    }

    #[tokio::test]
    async fn whatever_is_taken_ends_the_wait() {
        let (mut peer, socket) = duplex(1);
        let mut socket = Patient::new(socket, terms(LIMIT));
        socket.write_all(b"a").await.expect("there is room");
        assert!(socket.deadline.is_none());
        let waits = poll_fn(|cx| {
            let written = Pin::new(&mut socket).poll_write(cx, b"b");
            Poll::Ready(written.is_pending())
        });
        assert!(waits.await);
        assert!(socket.deadline.is_some());
        assert_eq!(peer.read_u8().await.expect("is there"), b'a');
        socket.write_all(b"b").await.expect("there is room");
        assert!(socket.deadline.is_none());
    }
}
