//! HTTP/2 on one connection.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::counts::End;
use super::guest::Guest;
use super::link::Link;
use crate::patience::{Patient, Terms};

/// RFC 9113 3.4: what whoever speaks it begins with, and nobody else.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A connection on which nothing is under way any more says goodbye, and has so long for it.
const GOODBYE: Duration = Duration::from_secs(1);

/// Whether somebody speaks it who has not been asked. Waits for its first bytes.
pub(super) async fn is_begun(socket: &TcpStream, guest: &Guest) -> Result<bool, End> {
    let mut first = [0; PREFACE.len()];
    let peeked = tokio::select! {
        peeked = timeout(guest.patience(), socket.peek(&mut first)) => peeked,
        () = poll_fn(|cx| guest.place.poll_dismissed(cx)) => return Err(End::Room),
        () = guest.site.phases.stopped() => return Err(End::Closed),
    };
    match peeked {
        Ok(Ok(0)) => Err(End::Left),
        Ok(Ok(length)) => {
            Ok(length >= 3 && PREFACE.starts_with(first.get(..length).unwrap_or_default()))
        }
        Ok(Err(error)) => Err(End::of_io(error.kind())),
        Err(_) => Err(End::TimedOut),
    }
}

/// Serves requests up to the end of the connection.
pub(super) async fn serve(link: Link, guest: &Guest) -> End {
    // Each answer has terms of its own; here anything will do.
    let terms = Terms {
        rate: 0,
        ..guest.site.terms
    };
    let socket = Patient::new(link, terms);
    let flow = socket.flow();
    let service = guest.service(flow);
    let http2 = &guest.site.http2;
    let connection = http2.serve_connection(TokioIo::new(socket), service);
    let mut connection = Box::pin(connection);
    let mut turn_to_go = Box::pin(guest.site.phases.turn_to_go());
    let mut deadline = Box::pin(sleep_until(Instant::now() + guest.patience()));
    // Whether it has been told that no more is answered, and why.
    let mut leaves = None;
    let mut seen = (false, 0);
    loop {
        let ended = poll_fn(|cx| {
            guest.exchange.watch(cx);
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            let is_open = guest.exchange.is_open();
            let now = (is_open, guest.exchange.requests());
            let before = std::mem::replace(&mut seen, now);
            if now != before {
                if is_open {
                    guest.place.is_busy();
                } else {
                    guest.place.is_idle();
                }
                let patience = match leaves {
                    Some(_) => GOODBYE,
                    None => guest.patience(),
                };
                deadline.as_mut().reset(Instant::now() + patience);
            }
            if !is_open && deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        });
        let is_last = poll_fn(|_| match guest.exchange.leaves() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        let end = tokio::select! {
            ended = ended => match (ended, leaves) {
                (Some(Ok(())), leaves) => return leaves.unwrap_or(End::Left),
                (Some(Err(error)), _) => {
                    debug!(peer = %guest.peer, %error, "http connection ended");
                    return End::of(&error);
                }
                // It has had its time to say goodbye.
                (None, Some(end)) => return end,
                (None, None) => End::TimedOut,
            },
            () = poll_fn(|cx| guest.place.poll_dismissed(cx)), if leaves.is_none() => End::Room,
            () = &mut turn_to_go, if leaves.is_none() => End::Closed,
            // What is under way is answered here, and the next on another connection: behind a balancer, elsewhere.
            () = is_last, if leaves.is_none() => End::Closed,
        };
        leaves = Some(end);
        deadline.as_mut().reset(Instant::now() + GOODBYE);
        connection.as_mut().graceful_shutdown();
    }
}
