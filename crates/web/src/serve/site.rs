//! What a listener serves, and how.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use node::Watch;

use super::answers::Answers;
use super::counts::Counts;
use super::crowd::Crowd;
use super::tls::Tls;
use crate::config::Config;
use crate::cors::Cors;
use crate::flv::Wish;
use crate::patience::Terms;
use crate::phase::Phases;

/// The head of a request may be so long, and what is read ahead of a body as well.
const MAX_HEAD: usize = 32 << 10;
/// So much of what a peer sends is taken before somebody wants it, on one stream and on all.
const WINDOW: u32 = 64 << 10;
/// So much of an answer waits in a stream for the peer to take it.
const SEND_BUFFER: usize = 64 << 10;
/// A peer of HTTP/2 is asked so often whether it is there, and has as long to say so.
const ASK_EVERY: Duration = Duration::from_secs(20);
/// RFC 9113 10.5: streams that were reset before anybody could answer, and by us for their faults.
const RESETS: usize = 32;

/// One listener's.
pub(super) struct Site {
    pub(super) routes: TowerToHyperService<Router>,
    /// Where players go, on a listener that is for them.
    pub(super) players: Option<Players>,
    pub(super) tls: Option<Tls>,
    pub(super) crowd: Arc<Crowd>,
    /// Those beyond all limits, who are told so.
    pub(super) reserve: Arc<Crowd>,
    pub(super) counts: Counts,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    /// For those who take answers.
    pub(super) terms: Terms,
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<Answers>,
    pub(super) phases: Phases,
}

/// Who serves players, and whose web pages may be such.
pub(super) struct Players {
    pub(super) watch: Box<dyn Fn(Watch) + Send + Sync>,
    pub(super) cors: Arc<Cors>,
}

impl Site {
    /// What a player wants, if the whole connection is to be its own.
    pub(super) fn wish<B>(&self, request: &Request<B>) -> Option<Wish> {
        let players = self.players.as_ref()?;
        Wish::of_connection(request, &players.cors)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.phases.is_stopped()
    }
}

pub(super) fn terms(config: &Config) -> Terms {
    Terms {
        patience: config.http.write_timeout,
        rate: config.http.least_rate,
    }
}

pub(super) fn http1(config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.http.header_timeout)
        .max_buf_size(MAX_HEAD);
    builder
}

pub(super) fn http2(config: &Config) -> http2::Builder<Answers> {
    let streams = match config.https.streams {
        0 => None,
        most => Some(u32::try_from(most).unwrap_or(u32::MAX)),
    };
    let mut builder = http2::Builder::new(Answers::new(terms(config)));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(MAX_HEAD as u32)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .keep_alive_interval(ASK_EVERY)
        .keep_alive_timeout(ASK_EVERY);
    builder
}
