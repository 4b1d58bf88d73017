//! Players of HTTP-FLV and WebSocket-FLV: `/app/name.flv`.
//!
//! Such a player is sent a stream for as long as there is one, and nothing else. So its connection goes to
//! the node as soon as its request is understood, and is written there like that of an RTMP player. Only
//! where that cannot be, since others share the connection (HTTP/2), its stream passes through here.

mod chunks;
mod pipe;
mod upgrade;

use std::io;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use axum::response::IntoResponse;
use bytes::{Bytes, BytesMut};
use futures::stream;
use node::Watch;
use node::config::RESERVED_APPS;
use node::watch::{self, Carrier, Socket};

use crate::api::bearer;
use crate::cors::Cors;
use crate::error::Refusal;
use crate::head;
use crate::percent;
use crate::routes::{Shared, Source};

/// What a player asks for, and how it is answered.
pub(crate) struct Wish {
    request: watch::Request,
    accepted: Response<()>,
    /// Who may read the answer, whatever it is.
    cors: HeaderMap,
}

/// The path of a stream, `live/cam`, in a request for an FLV player.
fn stream_path(path: &str) -> Option<String> {
    let path = path.strip_suffix(".flv")?;
    let path = percent::decoded(path.trim_start_matches('/'))?;
    let app = path.split('/').next().unwrap_or_default();
    (!RESERVED_APPS.contains(&app)).then_some(path)
}

impl Wish {
    /// What is wished for, if the whole connection is there for it, and it can be understood.
    pub(crate) fn of_connection<B>(request: &Request<B>, cors: &Cors) -> Option<Self> {
        if request.method() != Method::GET || request.version() > Version::HTTP_11 {
            return None;
        }
        let path = stream_path(request.uri().path())?;
        let mut wish = Self::read(path, request, cors).ok()?;
        let is_bare = wish.request.carrier == Carrier::Bytes;
        if is_bare && request.version() == Version::HTTP_11 {
            wish.request.carrier = Carrier::Chunks;
            let chunked = HeaderValue::from_static("chunked");
            let headers = wish.accepted.headers_mut();
            headers.insert(header::TRANSFER_ENCODING, chunked);
        }
        Some(wish)
    }

    fn read<B>(path: String, request: &Request<B>, cors: &Cors) -> Result<Self, Refusal> {
        let headers = request.headers();
        let (carrier, mut accepted) = match upgrade::asked(request)? {
            Some(_) if cors.forbids(headers) => return Err(Refusal::OTHER_ORIGIN),
            Some(accepted) => (Carrier::WebSocket, accepted),
            None => (Carrier::Bytes, accepted()),
        };
        let mut told = HeaderMap::new();
        cors.tell(headers, &mut told);
        accepted.headers_mut().extend(told.clone());
        let token = bearer(headers).and_then(|token| std::str::from_utf8(token).ok());
        Ok(Self {
            request: watch::Request {
                path,
                query: request.uri().query().unwrap_or_default().to_owned(),
                token: token.map(str::to_owned),
                carrier,
            },
            accepted,
            cors: told,
        })
    }

    /// The player, whose connection has brought so much behind its request.
    pub(crate) fn watch(self, socket: Socket, peer: SocketAddr, begun: &[u8]) -> Watch {
        let cors = self.cors;
        Watch {
            socket,
            peer,
            request: self.request,
            begun: BytesMut::from(begun),
            head: head::last(self.accepted.map(|()| Bytes::new())),
            refuse: Box::new(|refused| {
                let mut answer = Refusal::from(refused.clone()).response();
                answer.headers_mut().extend(cors);
                head::last(answer)
            }),
        }
    }
}

/// The head of the answer to who gets a stream of bytes.
fn accepted() -> Response<()> {
    let mut accepted = Response::new(());
    for (name, value) in [
        (header::CONTENT_TYPE, "video/x-flv"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        let value = HeaderValue::from_static(value);
        accepted.headers_mut().insert(name, value);
    }
    let passed_on = HeaderValue::from_static("no");
    // nginx would hold back what it passes on.
    accepted
        .headers_mut()
        .insert("x-accel-buffering", passed_on);
    accepted
}

/// Answers what no route does: requests of players that do not have a connection to themselves, and those
/// for which there is none.
pub(crate) async fn answer<S: Source>(
    State(shared): State<Shared<S>>,
    request: Request<Body>,
) -> axum::response::Response {
    let Some(path) = stream_path(request.uri().path()) else {
        return Refusal::NOT_FOUND.into_response();
    };
    let cors = shared.cors();
    let mut told = HeaderMap::new();
    let answered = match *request.method() {
        Method::OPTIONS => {
            cors.tell_before(request.headers(), &mut told);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Method::GET | Method::HEAD => {
            cors.tell(request.headers(), &mut told);
            match Wish::read(path, &request, cors) {
                Ok(wish) if *request.method() == Method::HEAD => would(&shared, wish).await,
                Ok(wish) => pipe::play(&shared, wish, request.extensions()).await,
                Err(refusal) => Err(refusal),
            }
        }
        _ => Err(Refusal::METHOD_NOT_ALLOWED),
    };
    let mut response = answered.unwrap_or_else(Refusal::into_response);
    let instead = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "GET, HEAD, OPTIONS")),
        StatusCode::UPGRADE_REQUIRED => Some((header::SEC_WEBSOCKET_VERSION, "13")),
        _ => None,
    };
    if let Some((name, value)) = instead {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response.headers_mut().extend(told);
    response
}

/// What a player would be answered.
async fn would<S: Source>(
    shared: &Shared<S>,
    wish: Wish,
) -> Result<axum::response::Response, Refusal> {
    shared.source().may_watch(&wish.request).await?;
    // Not one of no bytes: nobody knows how many there would be.
    let endless = Body::from_stream(stream::empty::<io::Result<Bytes>>());
    Ok(wish.accepted.map(|()| endless))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_what_stands_before_the_ending() {
        for (path, stream) in [
            ("/live/cam.flv", Some("live/cam")),
            ("/live/a/b.flv", Some("live/a/b")),
            ("/live%2Fcam.flv", Some("live/cam")),
            ("/live/a%7Eb.flv", Some("live/a~b")),
            ("/cam.flv", Some("cam")),
            ("/live/cam", None),
            ("/live/cam.flv/", None),
            ("/live/%.flv", None),
            ("/api/v1/streams/live/cam.flv", None),
            ("/health.flv", None),
        ] {
            assert_eq!(stream_path(path).as_deref(), stream, "{path}");
        }
    }
}
