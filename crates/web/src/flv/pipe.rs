//! A player that shares its connection with other requests: what the node writes for it passes through here.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Body;
use axum::http::Extensions;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::stream;
use node::Watch;
use node::status::RefusalKind;
use node::watch::{Carrier, Refused, Request, Socket};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::Wish;
use super::chunks::Chunks;
use crate::api::PeerAddress;
use crate::error::Refusal;
use crate::routes::{Shared, Source};

/// So much is passed on at once.
const PIECE: usize = 64 << 10;

/// The answer to a player, once there is something for it.
pub(super) async fn play<S: Source>(
    shared: &Shared<S>,
    wish: Wish,
    extensions: &Extensions,
) -> Result<Response, Refusal> {
    let (socket, pipe) = Socket::pipe().map_err(|error| full(&error))?;
    let (tell, told) = oneshot::channel();
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let peer = extensions.get().map_or(nowhere, |PeerAddress(peer)| *peer);
    shared.source().watch(Watch {
        socket,
        peer,
        request: Request {
            // They tell us whether it has ended or has broken off.
            carrier: Carrier::Chunks,
            ..wish.request
        },
        begun: BytesMut::new(),
        head: Bytes::new(),
        refuse: Box::new(move |refused| {
            // Where the player has left, nobody listens.
            drop(tell.send(refused.clone()));
            Bytes::new()
        }),
    });
    let mut pipe = Pipe {
        socket: pipe,
        chunks: Chunks::default(),
        piece: Bytes::new(),
    };
    // The end comes behind the refusal that is its reason.
    let first = match pipe.next().await {
        Some(Ok(first)) => first,
        None | Some(Err(_)) => return Err(told.await.map_or_else(|_| gone(), Refusal::from)),
    };
    let rest = stream::unfold(Some(pipe), async |pipe| {
        let mut pipe = pipe?;
        let next = pipe.next().await?;
        // Behind a fault comes nothing.
        let more = next.is_ok().then_some(pipe);
        Some((next, more))
    });
    let first = stream::iter([Ok(first)]);
    let all = stream::StreamExt::chain(first, rest);
    Ok(wish.accepted.map(|()| Body::from_stream(all)))
}

/// The end of a pipe at which a stream comes out.
struct Pipe {
    socket: UnixStream,
    chunks: Chunks,
    piece: Bytes,
}

impl Pipe {
    /// What comes next; nothing behind all there is.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            match self.chunks.next(&mut self.piece) {
                Ok(Some(bytes)) => return Some(Ok(bytes)),
                Ok(None) if self.chunks.are_over() => return None,
                Ok(None) => {}
                Err(error) => return Some(Err(io::Error::other(error))),
            }
            match self.read().await {
                Ok(piece) if piece.is_empty() => {
                    return Some(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(piece) => self.piece = piece,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// What is there, once anything is; nothing at the end.
    async fn read(&self) -> io::Result<Bytes> {
        loop {
            // Who waits needs no memory for what is to come.
            self.socket.readable().await?;
            let mut piece = BytesMut::with_capacity(PIECE);
            match self.socket.try_read_buf(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(|_| piece.freeze()),
            }
        }
    }
}

fn full(error: &io::Error) -> Refusal {
    let sentence = format!("this node cannot take another player: {error}; try again");
    Refused::new(RefusalKind::Unavailable, sentence).into()
}

fn gone() -> Refusal {
    let sentence = "the node is shutting down; connect again";
    Refused::new(RefusalKind::Unavailable, sentence).into()
}

#[cfg(test)]
mod tests;
