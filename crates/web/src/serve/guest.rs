//! Somebody who is connected.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use node::status::RefusalKind;
use node::watch::Refused;
use tokio::net::TcpStream;

use super::counts::End;
use super::crowd::{Over, Place};
use super::link::Link;
use super::service::{Addressed, Exchange};
use super::site::Site;
use super::{http1, http2};
use crate::error::Refusal;
use crate::patience::Flow;

/// Who is beyond a limit has so long to ask for what it is told in answer.
const SOON: Duration = Duration::from_secs(5);

/// One connection's peer.
pub(super) struct Guest {
    pub(super) site: Arc<Site>,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
    /// What it is told, where there is no room for it.
    pub(super) over: Option<Refusal>,
    pub(super) exchange: Arc<Exchange>,
}

impl Guest {
    /// Whoever has connected; nobody, where it cannot even be told that there is no room.
    pub(super) fn welcome(site: &Arc<Site>, peer: SocketAddr) -> Option<Self> {
        let (place, over) = match site.crowd.enter(peer.ip()) {
            Ok(place) => (place, None),
            Err(over) => (site.reserve.enter(peer.ip()).ok()?, Some(over.refusal())),
        };
        Some(Self {
            site: Arc::clone(site),
            peer,
            place,
            over,
            exchange: Arc::default(),
        })
    }

    /// Serves it to the end.
    pub(super) async fn serve(&self, socket: TcpStream) {
        let counted = self.site.counts.connected();
        // An answer is one write; waiting for more of it helps nobody.
        drop(socket.set_nodelay(true));
        let end = self.talk(socket).await;
        counted.ended(match end {
            End::Closed | End::Left | End::TimedOut if self.over.is_some() => End::Limit,
            end => end,
        });
    }

    async fn talk(&self, socket: TcpStream) -> End {
        let Some(tls) = &self.site.tls else {
            return match http2::is_begun(&socket, self).await {
                Ok(true) => http2::serve(Link::Plain(socket), self).await,
                Ok(false) => http1::serve(Link::Plain(socket), self).await,
                Err(end) => end,
            };
        };
        match Box::pin(tls.handshake(socket, self)).await {
            Ok(secured) if secured.is_http2 => http2::serve(secured.link, self).await,
            Ok(secured) => http1::serve(secured.link, self).await,
            Err(end) => end,
        }
    }

    pub(super) fn service(&self, flow: Arc<Flow>) -> Addressed {
        Addressed {
            site: Arc::clone(&self.site),
            peer: self.peer,
            over: self.over.clone(),
            exchange: Arc::clone(&self.exchange),
            flow,
        }
    }

    /// How long it may take to begin its next request.
    pub(super) fn patience(&self) -> Duration {
        let site = &self.site;
        match (&self.over, self.exchange.requests()) {
            (Some(_), _) => site.header_timeout.min(SOON),
            (None, 0) => site.header_timeout,
            (None, _) => site.idle_timeout,
        }
    }
}

/// Returns once it has to go.
pub(super) async fn dismissed(place: &Place) {
    poll_fn(|cx| place.poll_dismissed(cx)).await;
}

impl Over {
    /// What is said in answer to anything.
    fn refusal(self) -> Refusal {
        let (kind, sentence) = match self {
            Self::All(most) => (
                RefusalKind::Unavailable,
                format!(
                    "this node serves its limit of {most} HTTP connections, all of them in use; try another \
                     node, or later (http.connections)"
                ),
            ),
            Self::Address(most) => (
                RefusalKind::Busy,
                format!(
                    "your address has {most} HTTP connections in use, which is the limit; close some \
                     (http.connections_per_address)"
                ),
            ),
        };
        Refusal::from(Refused::new(kind, sentence))
    }
}
