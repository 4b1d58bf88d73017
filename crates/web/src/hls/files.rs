//! Initialisations, segments and parts; and how anything is answered that is there.

use ::hls::{ADVANCE, Answer, Body, Found, Name};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use node::hls::View;

use super::Inquiry;
use super::cache::{self, Keeps};
use super::ranges::{self, Wanted};
use super::run::Run;
use super::wait::Failed;
use crate::error::Refusal;

const GONE: Refusal = Refusal::fixed(
    StatusCode::NOT_FOUND,
    "not_found",
    "there is nothing of this name here: it is too old, or will not come soon",
);
const BEYOND: Refusal = Refusal::fixed(
    StatusCode::RANGE_NOT_SATISFIABLE,
    "invalid",
    "there is nothing in this range",
);

/// What is there, and what holds of it.
pub(super) struct Answered {
    pub(super) media_type: &'static str,
    pub(super) body: Body,
    /// What it is known by, if the same bytes are sent everywhere.
    pub(super) tag: Option<String>,
    pub(super) keeps: Keeps,
    /// Whether it may be asked for in pieces.
    pub(super) has_ranges: bool,
}

impl Inquiry<'_> {
    pub(super) async fn file(&self, name: &Name) -> Result<Response, Failed> {
        let look = |view: &View| match view.window().find(name) {
            Answer::There(found) => Some(Ok(found)),
            Answer::Wait => None,
            // Another node was there already, and here it comes.
            Answer::TooFar if !view.is_caught_up() => None,
            Answer::TooFar | Answer::Gone => Some(Err(GONE)),
        };
        let body = match self
            .until(|view| view.target().max(ADVANCE), GONE, look)
            .await?
        {
            Found::Init(init) => Body::new([init.body.clone()]),
            Found::Media(body) => body,
        };
        Ok(self.respond(Answered {
            media_type: name.media_type(),
            body,
            tag: Some(format!("\"{name}\"")),
            keeps: Keeps::Forever,
            has_ranges: true,
        }))
    }

    pub(super) fn respond(&self, answered: Answered) -> Response {
        let Answered {
            media_type,
            body,
            tag,
            keeps,
            has_ranges,
        } = answered;
        let length = body.len();
        let asked = &self.parts.headers;
        let known = tag.as_deref().is_some_and(|tag| cache::has(asked, tag));
        let wanted = match &tag {
            // RFC 9110 14.2: ranges are for GET.
            Some(tag) if has_ranges && self.parts.method == Method::GET => {
                ranges::wanted(asked, length, tag)
            }
            _ => Wanted::Whole,
        };
        let (status, range) = match wanted {
            _ if known => (StatusCode::NOT_MODIFIED, 0..0),
            Wanted::Whole => (StatusCode::OK, 0..length),
            Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Wanted::Beyond => return beyond(length),
        };
        let mut response = Response::default();
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let control = cache::control(keeps, self.given.is_private());
        headers.insert(header::CACHE_CONTROL, control);
        if let Some(tag) = tag.and_then(|tag| HeaderValue::try_from(tag).ok()) {
            headers.insert(header::ETAG, tag);
        }
        if known {
            return response;
        }
        if self.parts.method == Method::GET {
            let run = Run::new(self.stream.egress(), body, range.start, range.len());
            response.extensions_mut().insert(run);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.len()));
        if has_ranges {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if status == StatusCode::PARTIAL_CONTENT {
            let last = range.end.saturating_sub(1);
            let told = format!("bytes {}-{last}/{length}", range.start);
            if let Ok(told) = HeaderValue::try_from(told) {
                headers.insert(header::CONTENT_RANGE, told);
            }
        }
        response
    }
}

fn beyond(length: usize) -> Response {
    let mut response = BEYOND.into_response();
    let headers = response.headers_mut();
    let no_store = HeaderValue::from_static(cache::NO_STORE);
    headers.insert(header::CACHE_CONTROL, no_store);
    if let Ok(told) = HeaderValue::try_from(format!("bytes */{length}")) {
        headers.insert(header::CONTENT_RANGE, told);
    }
    response
}
