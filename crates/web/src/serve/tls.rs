//! TLS on a new connection, for whoever gets it done in time.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use futures::future::{Either, select};
use rtmp::tls::ReloadingAcceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::counts::End;
use super::guest::{Guest, dismissed};
use super::link::Link;
use super::turns::{Turn, Turns};
use crate::error::Refusal;
use crate::head;

/// The name of HTTP/2, as both ends agree on it.
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
/// The first byte of whoever begins with TLS.
const HANDSHAKE: u8 = 22;
/// Who is told that TLS is spoken here has so long to read it.
const LINGER: Duration = Duration::from_secs(1);

const NO_TLS: Refusal = Refusal::fixed(
    StatusCode::BAD_REQUEST,
    "invalid",
    "this port speaks HTTPS alone: ask with https://",
);

/// What a listener needs for it.
pub(super) struct Tls {
    certificates: ReloadingAcceptor,
    patience: Duration,
    /// Those who have begun, and are not done.
    turns: Arc<Turns>,
}

/// A connection that is ready, and whether HTTP/2 is spoken on it.
pub(super) struct Secured {
    pub(super) link: Link,
    pub(super) is_http2: bool,
}

impl Tls {
    /// One where so many may be under way at a time, each for so long.
    pub(super) fn new(certificates: ReloadingAcceptor, most: usize, patience: Duration) -> Self {
        Self {
            certificates,
            patience,
            turns: Arc::new(Turns::new(most, patience / 2)),
        }
    }

    /// What is offered in it.
    pub(super) fn protocols() -> Vec<Vec<u8>> {
        vec![HTTP2.to_vec(), HTTP1.to_vec()]
    }

    /// Has a handshake with whoever connected, unless it has to go before.
    pub(super) async fn handshake(&self, socket: TcpStream, guest: &Guest) -> Result<Secured, End> {
        let shaken = Box::pin(timeout(self.patience, self.shake(socket, guest.peer.ip())));
        let too_many = Box::pin(dismissed(&guest.place));
        match select(shaken, too_many).await {
            Either::Left((shaken, _)) => shaken.unwrap_or(Err(End::TimedOut)),
            Either::Right(_) => Err(End::Room),
        }
    }

    async fn shake(&self, mut socket: TcpStream, address: IpAddr) -> Result<Secured, End> {
        // Who says nothing takes nobody's turn.
        let mut first = [0];
        let peeked = socket.peek(&mut first).await;
        if peeked.map_err(|error| End::of_io(error.kind()))? == 0 {
            return Err(End::Left);
        }
        if first != [HANDSHAKE] {
            drop(timeout(LINGER, say_no(&mut socket)).await);
            return Err(End::Protocol);
        }
        // Who waits for it costs a socket, of which there are not too many.
        let turn = self.turns.wait(address).await;
        let accepted = Box::pin(self.certificates.acceptor().accept(socket));
        let accepted = match select(accepted, Box::pin(self.over(&turn))).await {
            Either::Left((accepted, _)) => accepted,
            Either::Right(_) => return Err(End::Room),
        };
        match accepted {
            Ok(stream) => {
                let (_, state) = stream.get_ref();
                let is_http2 = state.alpn_protocol() == Some(HTTP2);
                let link = Link::Tls(Box::new(stream));
                Ok(Secured { link, is_http2 })
            }
            Err(error) => {
                debug!(%error, "no TLS");
                Err(End::of_io(error.kind()))
            }
        }
    }
}

impl Tls {
    /// Returns once somebody is broken off.
    async fn over(&self, turn: &Turn) {
        let over = poll_fn(|cx| turn.poll_over(cx));
        let long = Box::pin(sleep(self.turns.long()));
        if let Either::Right(((), over)) = select(over, long).await {
            self.turns.look();
            over.await;
        }
    }
}

/// Answers who does not know, and lets it read that.
async fn say_no(socket: &mut TcpStream) -> std::io::Result<()> {
    let answer: Bytes = head::last(NO_TLS.response());
    socket.write_all(&answer).await?;
    socket.shutdown().await?;
    let mut rest = [0; 1024];
    while socket.read(&mut rest).await? > 0 {}
    Ok(())
}
