//! HTTP/1.1 on one connection.
//!
//! hyper reads requests and writes answers. What it needs for that is more than all else about a connection, so it is
//! there only while something is to be read or written: not between two requests, and not while an answer is being
//! made that takes a while, as those to HLS players do who ask for what is to come.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::server::conn::http1::{Connection, Parts};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;
use tracing::debug;

use super::counts::End;
use super::guest::Guest;
use super::link::{Link, Rewound};
use super::reply::{self, Again};
use super::service::{Addressed, Making};
use crate::flv::Wish;
use crate::patience::{Flow, Patient};

/// What a peer may send while it waits for an answer is read so far.
const AHEAD: usize = 1024;

/// What hyper reads and writes.
type Wire = TokioIo<Patient<Rewound<Link>>>;

/// Where a connection has come to without hyper.
enum Next {
    /// Nothing is under way.
    Idle(Link),
    /// More of it has been read already.
    Talk(Link, Bytes),
    /// An answer takes a while.
    Wait(Link, Bytes, Making),
    /// It is there, and is hyper's to send.
    Again(Link, Bytes, Again),
    /// It is a player's.
    Player(Link, Bytes, Wish),
    Over(End),
}

/// Serves requests up to the end of the connection, or until the first of a player, for whom all of it is.
pub(super) async fn serve(mut link: Link, guest: &Guest) -> End {
    // TLS may hold a request already that no news would tell of.
    let mut has_news = matches!(link, Link::Tls(_));
    loop {
        if !std::mem::take(&mut has_news)
            && let Err(end) = idle(&link, guest).await
        {
            return end;
        }
        let mut next = Box::pin(talk(link, Bytes::new(), None, guest)).await;
        link = loop {
            next = match next {
                Next::Idle(link) => break link,
                Next::Talk(link, begun) => Box::pin(talk(link, begun, None, guest)).await,
                Next::Wait(link, begun, making) => Box::pin(wait(link, begun, making, guest)).await,
                Next::Again(link, begun, again) => {
                    Box::pin(talk(link, begun, Some(again), guest)).await
                }
                Next::Player(link, begun, wish) => {
                    if let Some(players) = &guest.site.players {
                        let socket = link.into_socket();
                        (players.watch)(wish.watch(socket, guest.peer, &begun));
                    }
                    return End::Player;
                }
                Next::Over(end) => return end,
            };
        };
    }
}

/// Waits for the next request to begin.
async fn idle(link: &Link, guest: &Guest) -> Result<(), End> {
    guest.place.is_idle();
    let patience = guest.patience();
    let news = poll_fn(|cx| {
        if guest.place.poll_dismissed(cx).is_ready() {
            return Poll::Ready(Err(End::Room));
        }
        // Whether it has failed is found by who reads it.
        link.poll_readable(cx).map(|_| Ok(()))
    });
    tokio::select! {
        news = timeout(patience, news) => news.unwrap_or(Err(End::TimedOut)),
        () = guest.site.phases.stopped() => Err(End::Closed),
    }
}

/// Has hyper read and write until it is not needed for a while.
async fn talk(link: Link, begun: Bytes, again: Option<Again>, guest: &Guest) -> Next {
    let begun = match &again {
        Some(again) => [again.request(), &begun].concat().into(),
        None => begun,
    };
    let requests = {
        let mut turn = guest.exchange.turn();
        turn.made = again.map(|again| again.answer);
        turn.requests
    };
    // A peer that sends request after request and reads no answer meets no deadline of hyper's.
    let socket = Patient::new(Rewound::new(begun, link), guest.site.terms);
    let flow = socket.flow();
    let service = guest.service(Arc::clone(&flow));
    let http1 = &guest.site.http1;
    let mut connection = http1.serve_connection(TokioIo::new(socket), service);
    let mut stopped = pin!(guest.site.phases.stopped());
    let (mut stops, mut is_busy) = (false, false);
    let ended = loop {
        let step = poll_fn(|cx| {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Some(ended));
            }
            note(guest, &flow, &mut is_busy);
            match can_be_left(guest, &flow, requests) {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        });
        let dismissed = poll_fn(|cx| guest.place.poll_dismissed(cx));
        tokio::select! {
            // First: what hyper has not read yet it would not answer behind a shutdown.
            biased;
            step = step => break step,
            () = dismissed, if !stops => {
                if !guest.exchange.is_open() && !flow.waits() {
                    return Next::Over(End::Room);
                }
            }
            () = &mut stopped, if !stops => {}
        }
        stops = true;
        Pin::new(&mut connection).graceful_shutdown();
    };
    match ended {
        Some(Ok(())) if stops => Next::Over(End::Closed),
        Some(Ok(())) => Next::Over(End::Left),
        Some(Err(error)) => {
            debug!(peer = %guest.peer, %error, "http connection ended");
            Next::Over(End::of(&error))
        }
        None => leave(connection, guest),
    }
}

/// Whether hyper has done all that there is to do.
fn can_be_left(guest: &Guest, flow: &Flow, before: u64) -> bool {
    // What was answered before goes out first.
    if flow.waits() || flow.ends() {
        return false;
    }
    let turn = guest.exchange.turn();
    if turn.player.is_some() || turn.making.is_some() {
        return true;
    }
    // Nothing has been read that belongs to a request which is not whole. Where it came together with one that is,
    // that is seen as soon as hyper has left, and it goes on.
    let is_between = match turn.requests == before {
        true => flow.read() == 0,
        false => flow.read() == turn.read && !turn.has_body,
    };
    is_between && flow.starves() && !guest.exchange.is_open()
}

/// Has the others know whether it can make room for them.
fn note(guest: &Guest, flow: &Flow, was_busy: &mut bool) {
    let is_busy = guest.exchange.is_open() || flow.waits();
    if is_busy != std::mem::replace(was_busy, is_busy) {
        match is_busy {
            true => guest.place.is_busy(),
            false => guest.place.is_idle(),
        }
    }
}

fn leave(connection: Connection<Wire, Addressed>, guest: &Guest) -> Next {
    let Parts { io, read_buf, .. } = connection.into_parts();
    let (unread, link) = io.into_inner().into_inner().into_parts();
    let begun = match (read_buf.is_empty(), unread.is_empty()) {
        (_, true) => Bytes::copy_from_slice(&read_buf),
        (true, false) => unread,
        (false, false) => [&read_buf[..], &unread].concat().into(),
    };
    let mut turn = guest.exchange.turn();
    if let Some(wish) = turn.player.take() {
        return Next::Player(link, begun, wish);
    }
    match turn.making.take() {
        Some(making) => Next::Wait(link, begun, making),
        None if begun.is_empty() => Next::Idle(link),
        None => Next::Talk(link, begun),
    }
}

/// Waits for an answer, and sends it.
async fn wait(mut link: Link, mut begun: Bytes, making: Making, guest: &Guest) -> Next {
    let Making {
        mut answer,
        head_only,
        closes,
    } = making;
    let answer = poll_fn(|cx| {
        // First, so that nothing is left in TLS that no news would tell of. What is behind the first of it can wait.
        if begun.is_empty()
            && let Poll::Ready(ahead) = read_ahead(&mut link, cx)
        {
            if ahead.is_empty() {
                return Poll::Ready(None);
            }
            begun = ahead;
        }
        answer.as_mut().poll(cx).map(Some)
    });
    let Some(answer) = answer.await else {
        return Next::Over(End::Left);
    };
    let again = Again {
        answer,
        head_only,
        closes: closes || guest.site.is_stopped() || guest.place.is_dismissed(),
    };
    if !again.is_plain() {
        return Next::Again(link, begun, again);
    }
    // Apart, as its state is large, and who waits has to be small.
    match Box::pin(reply::send(link, again, guest.site.terms)).await {
        Ok(link) if begun.is_empty() => Next::Idle(link),
        Ok(link) => Next::Talk(link, begun),
        Err(end) => Next::Over(end),
    }
}

/// What the peer has sent; nothing where it is gone.
fn read_ahead(link: &mut Link, cx: &mut Context<'_>) -> Poll<Bytes> {
    let mut bytes = [0; AHEAD];
    let mut buffer = ReadBuf::new(&mut bytes);
    let read = Pin::new(link).poll_read(cx, &mut buffer);
    read.map(|read| match read {
        Ok(()) => BytesMut::from(buffer.filled()).freeze(),
        Err(_) => Bytes::new(),
    })
}
