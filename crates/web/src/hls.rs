//! HLS: `/app/name/index.m3u8`, and what its playlists point to.
//!
//! What is asked for is there, or comes soon and is waited for, or will never come. The bytes that are sent are those
//! that the node keeps, for all viewers the same; only tokens are written into playlists for each.

mod cache;
mod counts;
mod files;
mod packed;
mod path;
mod playlists;
mod ranges;
mod run;
mod token;
mod wait;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::Poll;

use ::hls::Directives;
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header, request};
use axum::response::{IntoResponse, Response};
use node::hls;

use crate::api::{PeerAddress, bearer};
use crate::error::{Elsewhere, Refusal};
use crate::phase::Phases;
use crate::routes::{Shared, Source};
use counts::Counts;
pub(crate) use path::Asked;
use path::What;
pub(crate) use run::Run;
use token::Given;
use wait::{Failed, Places};

/// What pages may read of an answer, beside what they may read of any.
const EXPOSED: &str = "Accept-Ranges, Age, Content-Range, Date, ETag, Retry-After";

const LEAVING: Refusal = Refusal::fixed(
    StatusCode::SERVICE_UNAVAILABLE,
    "unavailable",
    "the node is shutting down; ask again",
)
.retry_after(1)
.elsewhere(Elsewhere::All);

const OVER: Refusal = Refusal::fixed(StatusCode::NOT_FOUND, "not_found", "this stream has ended");

/// What all requests for HLS share.
pub(crate) struct Desk {
    counts: Counts,
    places: Places,
    phases: Phases,
}

/// A request that is understood.
struct Inquiry<'a> {
    desk: &'a Desk,
    stream: hls::Stream,
    parts: &'a request::Parts,
    given: Given,
    peer: IpAddr,
}

impl Desk {
    /// One where so many may wait at a time, 0 any number, until the server stops.
    pub(crate) fn new(waiting: usize, phases: Phases) -> Self {
        Self {
            counts: Counts::new(),
            places: Places::new(waiting),
            phases,
        }
    }
}

/// Answers a request for what is `asked`.
pub(crate) async fn answer<S: Source>(
    shared: &Shared<S>,
    asked: Asked,
    request: Request<Body>,
) -> Response {
    let (parts, _) = request.into_parts();
    let desk = shared.hls();
    let what = asked.what.kind();
    let mut told = HeaderMap::new();
    let answered = match parts.method {
        Method::OPTIONS => {
            shared.cors().tell_before(&parts.headers, &mut told);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Method::GET | Method::HEAD => {
            shared.cors().tell(&parts.headers, &mut told);
            told.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSED),
            );
            tokio::select! {
                biased;
                answered = serve(shared, asked, &parts) => answered,
                // Whoever waits asks the next node.
                () = desk.phases.stopped() => Err(LEAVING),
            }
        }
        _ => Err(Refusal::METHOD_NOT_ALLOWED),
    };
    let mut response = answered.unwrap_or_else(refused);
    let elsewhere = response.extensions().get::<Elsewhere>().copied();
    if elsewhere.unwrap_or_default() != Elsewhere::No {
        ask_another_next(&mut response, parts.version);
    }
    if parts.method == Method::HEAD {
        response = without_body(response);
    }
    if let Some(origin) = told.remove(header::VARY) {
        // What the answer depends on may be more than the origin of a page.
        response.headers_mut().append(header::VARY, origin);
    }
    response.headers_mut().extend(told);
    desk.counts.answered(what, response.status());
    response
}

async fn serve<S: Source>(
    shared: &Shared<S>,
    asked: Asked,
    parts: &request::Parts,
) -> Result<Response, Refusal> {
    let query = parts.uri.query().unwrap_or_default();
    if let What::Elsewhere(place) = &asked.what {
        return Ok(redirect(place, query));
    }
    // What makes no sense needs no look-up.
    let directives = match asked.what {
        What::Media => playlists::directives(query)?,
        _ => Directives::default(),
    };
    let bearer = bearer(&parts.headers).and_then(|token| std::str::from_utf8(token).ok());
    let given = Given::read(query, bearer)?;
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let peer = parts.extensions.get();
    let peer = peer.map_or(nowhere, |PeerAddress(peer)| *peer);
    let request = hls::Request {
        path: asked.stream,
        query: query.to_owned(),
        token: bearer.map(str::to_owned),
        viewer: given.viewer(peer.ip(), parts.headers.get(header::USER_AGENT)),
        peer,
        name: match &asked.what {
            What::Name(name) => Some(*name),
            _ => None,
        },
    };
    let mut inquiry = Inquiry {
        desk: shared.hls(),
        stream: found(shared, &request).await?,
        parts,
        given,
        peer: peer.ip(),
    };
    let mut answered = inquiry.answer(&asked.what, directives).await;
    if let Err(Failed::Over) = answered {
        // Who came just when nobody had asked for long finds it shown anew.
        inquiry.stream = found(shared, &request).await?;
        answered = inquiry.answer(&asked.what, directives).await;
    }
    let mut response = answered.map_err(|failed| match failed {
        // Those who have waited for the same do not come back all at once.
        Failed::Refused(refusal) => refusal.later(request.viewer % 3),
        Failed::Over => OVER,
    })?;
    if inquiry.stream.is_leaving() {
        response.extensions_mut().insert(Elsewhere::All);
    }
    Ok(response)
}

/// The stream that is asked for. Whoever waits until it comes from elsewhere waits as all do.
async fn found<S: Source>(
    shared: &Shared<S>,
    request: &hls::Request,
) -> Result<hls::Stream, Refusal> {
    let mut found = pin!(shared.source().hls(request));
    if let Poll::Ready(found) = futures::poll!(found.as_mut()) {
        return Ok(found?);
    }
    let _place = shared.hls().places.take(request.peer.ip())?;
    Ok(found.await?)
}

impl Inquiry<'_> {
    async fn answer(&self, what: &What, directives: Directives) -> Result<Response, Failed> {
        match what {
            What::Multivariant => self.multivariant().await,
            What::Media => self.media(directives).await,
            What::Name(name) => self.file(name).await,
            What::Elsewhere(_) => Err(Refusal::NOT_FOUND.into()),
        }
    }
}

/// To where the same stream is found. It is written as seen from here, since a proxy may have put something in front.
fn redirect(place: &str, query: &str) -> Response {
    let place = match query {
        "" => place.to_owned(),
        query => format!("{place}?{query}"),
    };
    let Ok(place) = HeaderValue::try_from(place) else {
        return Refusal::NOT_FOUND.into_response();
    };
    let no_store = HeaderValue::from_static(cache::NO_STORE);
    let headers = [(header::LOCATION, place), (header::CACHE_CONTROL, no_store)];
    (StatusCode::FOUND, headers).into_response()
}

fn refused(refusal: Refusal) -> Response {
    let elsewhere = refusal.where_else();
    let mut response = refusal.into_response();
    response.extensions_mut().insert(elsewhere);
    let is_method = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    if is_method {
        let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

/// Behind a balancer the next connection goes to another node. (HTTP/2 says goodbye in its own way, to who sees it in the
/// answer.)
fn ask_another_next(response: &mut Response, version: Version) {
    if version <= Version::HTTP_11 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
}

/// As it would be, but for the body.
fn without_body(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        let length = HeaderValue::from(length);
        head.headers.entry(header::CONTENT_LENGTH).or_insert(length);
    }
    Response::from_parts(head, Body::empty())
}
