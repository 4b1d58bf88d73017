//! What is answered at which path.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use node::Watch;
use node::status::{self, Answer, Done, Order, Question};
use node::watch::{self, Refused};
use serde::Serialize;

use crate::api;
use crate::cors::Cors;
use crate::error::Refusal;
use crate::flv;
use crate::hls::{self, Asked, Desk};
use crate::page;

/// The name of something that is checked, and what is wrong with it.
pub type Check = (&'static str, Result<(), String>);

/// What the answers say. Whatever it asks has a time-out.
pub trait Source: Send + Sync + 'static {
    /// The name of the node.
    fn node_id(&self) -> &str;

    /// What the node does.
    fn role(&self) -> &'static str;

    /// Streams that have a publisher.
    fn active_streams(&self) -> impl Future<Output = u64> + Send;

    /// What must be fine for new work to come here.
    fn checks(&self) -> impl Future<Output = Vec<Check>> + Send;

    /// The metrics, in the text form of Prometheus.
    fn metrics(&self) -> String;

    /// What opens the API; without one, this machine may change things.
    fn admin_key(&self) -> Option<&str>;

    /// Answers for the whole cluster.
    fn ask(
        &self,
        question: Question,
    ) -> impl Future<Output = Result<Answer, status::Refusal>> + Send;

    /// Serves a player, whose connection is the node's from then on.
    fn watch(&self, watch: Watch);

    /// Whether a player that asks so would get something.
    fn may_watch(
        &self,
        request: &watch::Request,
    ) -> impl Future<Output = Result<(), Refused>> + Send;

    /// The stream over HLS that is asked for.
    fn hls(
        &self,
        request: &node::hls::Request,
    ) -> impl Future<Output = Result<node::hls::Stream, Refused>> + Send;

    /// Has something done, wherever in the cluster.
    fn order(&self, order: Order) -> impl Future<Output = Result<Done, status::Refusal>> + Send;
}

/// Who a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// Everybody, where operators have a listener of their own.
    Public,
    /// Operators.
    Admin,
    /// Both.
    All,
}

/// What all requests have at hand.
pub(crate) struct Shared<S> {
    source: Arc<S>,
    cors: Arc<Cors>,
    hls: Arc<Desk>,
    start: Instant,
}

impl<S> Shared<S> {
    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    pub(crate) fn cors(&self) -> &Cors {
        &self.cors
    }

    pub(crate) fn hls(&self) -> &Desk {
        &self.hls
    }
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            cors: Arc::clone(&self.cors),
            hls: Arc::clone(&self.hls),
            start: self.start,
        }
    }
}

/// The routes of one listener.
pub(crate) fn router<S: Source>(
    face: Face,
    source: Arc<S>,
    cors: Arc<Cors>,
    hls: Arc<Desk>,
) -> Router {
    let shared = Shared {
        source,
        cors,
        hls,
        start: Instant::now(),
    };
    // Balancers and probes ask every listener.
    let mut router = Router::new()
        .route("/health", get(health::<S>))
        .route("/ready", get(ready::<S>));
    if face != Face::Public {
        router = router
            .route("/metrics", get(metrics::<S>))
            .route("/api/ping", get(ping))
            .merge(api::routes(&shared));
    }
    if face != Face::Admin {
        router = router.merge(page::routes());
    }
    // What players ask for is no path that a route could name.
    router = match face {
        Face::Public | Face::All => router.fallback(play::<S>),
        Face::Admin => router.fallback(async || Refusal::NOT_FOUND),
    };
    router
        .method_not_allowed_fallback(async || Refusal::METHOD_NOT_ALLOWED)
        .with_state(shared)
}

/// Answers those who watch, and all who ask for what is not there.
async fn play<S: Source>(shared: State<Shared<S>>, request: Request) -> Response {
    match Asked::of(request.uri().path()) {
        Some(asked) => hls::answer(&shared, asked, request).await,
        None => flv::answer(shared, request).await,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health<'a> {
    status: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    active_streams: u64,
    node_id: &'a str,
    role: &'static str,
}

/// Liveness alone: whoever can answer is alive.
async fn health<S: Source>(State(shared): State<Shared<S>>) -> impl IntoResponse {
    let source = &shared.source;
    let health = Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: shared.start.elapsed().as_secs(),
        active_streams: source.active_streams().await,
        node_id: source.node_id(),
        role: source.role(),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(health)).into_response()
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    checks: BTreeMap<&'static str, String>,
    time: u64,
}

async fn ready<S: Source>(State(shared): State<Shared<S>>) -> impl IntoResponse {
    let checks = shared.source.checks().await;
    let ready = checks.iter().all(|(_, check)| check.is_ok());
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let said = |check: Result<(), String>| check.err().unwrap_or_else(|| "ok".to_owned());
    let checks = checks
        .into_iter()
        .map(|(name, check)| (name, said(check)))
        .collect();
    let answer = Ready {
        ready,
        checks,
        time: unix_seconds(),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(answer))
}

async fn metrics<S: Source>(State(shared): State<Shared<S>>) -> impl IntoResponse {
    metrics::gauge!("weir_uptime_seconds").set(shared.start.elapsed().as_secs_f64());
    // Thousands of series take milliseconds to write, which the media on this worker must not feel.
    let text = tokio::task::spawn_blocking(move || shared.source.metrics()).await;
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text.unwrap_or_default(),
    )
}

#[derive(Serialize)]
struct Pong {
    message: &'static str,
    time: u64,
}

async fn ping() -> Json<Pong> {
    Json(Pong {
        message: "pong",
        time: unix_seconds(),
    })
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
