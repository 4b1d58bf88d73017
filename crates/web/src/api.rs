//! `/api/v1`: what the cluster does, and what it is to do.

mod access;
mod body;
mod path;

use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use media::StreamKey;
use node::status::{Order, Question};

use crate::error::Refusal;
use crate::routes::{Shared, Source};
pub(crate) use access::{PeerAddress, bearer};
use path::{StreamPath, Subject};

/// The routes, for operators.
pub(crate) fn routes<S: Source>(shared: &Shared<S>) -> Router<Shared<S>> {
    let allowed = axum::middleware::from_fn_with_state(shared.clone(), access::check::<S>);
    Router::new()
        .route("/api/v1/streams", get(streams::<S>))
        .route("/api/v1/streams/", get(streams::<S>))
        .route(
            "/api/v1/streams/{*path}",
            get(stream::<S>).post(order_stream::<S>),
        )
        .route("/api/v1/nodes", get(nodes::<S>))
        .route("/api/v1/nodes/{node}/drain", post(drain::<S>))
        .route("/api/v1/warm", post(warm::<S>))
        .route_layer(allowed)
}

async fn streams<S: Source>(State(shared): State<Shared<S>>) -> Response {
    ask(&shared, Question::Streams).await
}

async fn nodes<S: Source>(State(shared): State<Shared<S>>) -> Response {
    ask(&shared, Question::Nodes).await
}

async fn stream<S: Source>(State(shared): State<Shared<S>>, request: Request) -> Response {
    let StreamPath { key, subject } = match path::read(request.uri().path()) {
        Ok(path) => path,
        Err(refusal) => return refusal.into_response(),
    };
    let question = match subject {
        Subject::Itself => Question::Stream(key),
        Subject::Subscribers => Question::Subscribers(key),
        Subject::Why => Question::Why(key),
        Subject::Stop | Subject::Disconnect(_) => {
            return Refusal::METHOD_NOT_ALLOWED.into_response();
        }
    };
    ask(&shared, question).await
}

async fn order_stream<S: Source>(State(shared): State<Shared<S>>, request: Request) -> Response {
    let StreamPath { key, subject } = match path::read(request.uri().path()) {
        Ok(path) => path,
        Err(refusal) => return refusal.into_response(),
    };
    let order = match subject {
        Subject::Stop => Order::Stop(key),
        Subject::Disconnect(subscriber) => Order::Disconnect { key, subscriber },
        Subject::Itself | Subject::Subscribers | Subject::Why => {
            return Refusal::METHOD_NOT_ALLOWED.into_response();
        }
    };
    tell(&shared, order).await
}

async fn drain<S: Source>(State(shared): State<Shared<S>>, Path(node): Path<String>) -> Response {
    tell(&shared, Order::Drain(node)).await
}

async fn warm<S: Source>(State(shared): State<Shared<S>>, request: Request) -> Response {
    let read = body::read::<body::Warm>(request.into_body()).await;
    match read.and_then(body::Warm::order) {
        Ok(order) => tell(&shared, order).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn ask<S: Source>(shared: &Shared<S>, question: Question) -> Response {
    answer(shared.source().ask(question).await)
}

async fn tell<S: Source>(shared: &Shared<S>, order: Order) -> Response {
    answer(shared.source().order(order).await)
}

fn answer(answer: Result<impl serde::Serialize, node::status::Refusal>) -> Response {
    match answer {
        // It is of this moment.
        Ok(answer) => ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response(),
        Err(refusal) => Refusal::from(refusal).into_response(),
    }
}

/// The key that is written `app/name`, or `name` for one of the app `live`.
fn key(text: &str) -> Result<StreamKey, Refusal> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let key = match text.contains('/') {
        true => StreamKey::parse(text),
        false => StreamKey::new("live", text),
    };
    key.map_err(|error| Refusal::invalid(error.to_string()))
}
