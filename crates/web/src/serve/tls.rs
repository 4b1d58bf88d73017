//! TLS on a new connection, for whoever gets it done in time.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use futures::future::{Either, select};
use rtmp::tls::ReloadingAcceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use super::counts::End;
use super::crowd::Crowd;
use super::guest::{Guest, dismissed};
use super::link::Link;
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
    /// Those who are not done.
    under_way: Arc<Crowd>,
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
            under_way: Arc::new(Crowd::new(most, 0)),
        }
    }

    /// What is offered in it.
    pub(super) fn protocols() -> Vec<Vec<u8>> {
        vec![HTTP2.to_vec(), HTTP1.to_vec()]
    }

    /// Has a handshake with whoever connected, unless it has to go before.
    pub(super) async fn handshake(&self, socket: TcpStream, guest: &Guest) -> Result<Secured, End> {
        // Whoever is under way for longest makes room.
        let Ok(turn) = self.under_way.enter(guest.peer.ip()) else {
            return Err(End::Limit);
        };
        let shaken = Box::pin(timeout(self.patience, self.shake(socket)));
        let too_many = Box::pin(select(
            Box::pin(dismissed(&guest.place)),
            Box::pin(dismissed(&turn)),
        ));
        match select(shaken, too_many).await {
            Either::Left((shaken, _)) => shaken.unwrap_or(Err(End::TimedOut)),
            Either::Right(_) => Err(End::Room),
        }
    }

    async fn shake(&self, mut socket: TcpStream) -> Result<Secured, End> {
        let mut first = [0];
        let peeked = socket.peek(&mut first).await;
        if peeked.map_err(|error| End::of_io(error.kind()))? == 0 {
            return Err(End::Left);
        }
        if first != [HANDSHAKE] {
            drop(timeout(LINGER, say_no(&mut socket)).await);
            return Err(End::Protocol);
        }
        match self.certificates.acceptor().accept(socket).await {
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

/// Answers who does not know, and lets it read that.
async fn say_no(socket: &mut TcpStream) -> std::io::Result<()> {
    let answer: Bytes = head::last(NO_TLS.response());
    socket.write_all(&answer).await?;
    socket.shutdown().await?;
    let mut rest = [0; 1024];
    while socket.read(&mut rest).await? > 0 {}
    Ok(())
}
