//! Refusals: `{"error": "sentence", "code": "snake_case"}`.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use node::status::RefusalKind;
use node::watch::Refused;
use serde::Serialize;

/// Why a request is refused.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    error: Cow<'static, str>,
    code: &'static str,
    /// When to try again, in seconds.
    #[serde(skip)]
    retry_after: Option<u64>,
    #[serde(skip)]
    elsewhere: Elsewhere,
}

/// Where the next request is better asked. It comes along with an answer, in its extensions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// It would be no better anywhere else.
    #[default]
    No,
    /// At another node, if that costs no others their connection.
    Rather,
    /// At another node, and all others who share the connection as well.
    All,
}

impl Refusal {
    pub(crate) const NOT_FOUND: Self = Self::fixed(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing at this path",
    );

    pub(crate) const METHOD_NOT_ALLOWED: Self = Self::fixed(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not answer to this method",
    );

    pub(crate) const UNAUTHORIZED: Self = Self::fixed(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "this needs the key of the API, and not another: send Authorization: Bearer and what auth.admin_key of this node \
         is set to",
    );

    pub(crate) const FROM_ELSEWHERE: Self = Self::fixed(
        StatusCode::FORBIDDEN,
        "forbidden",
        "without auth.admin_key only requests from this machine itself, to localhost, may change \
         anything: set a key and send it as a bearer token",
    );

    pub(crate) const OLD_HTTP: Self = Self::fixed(
        StatusCode::FORBIDDEN,
        "forbidden",
        "without auth.admin_key a request by HTTP/1.0 may change nothing, since proxies on this \
         machine ask so for others: set a key and send it as a bearer token, or ask by HTTP/1.1",
    );

    pub(crate) const OTHER_ORIGIN: Self = Self::fixed(
        StatusCode::FORBIDDEN,
        "forbidden",
        "pages of this origin may not play from here (http.allow_origins)",
    );

    pub(crate) const TOO_LARGE: Self = Self::fixed(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        "the body is too long",
    );

    pub(crate) const fn fixed(status: StatusCode, code: &'static str, error: &'static str) -> Self {
        Self {
            status,
            error: Cow::Borrowed(error),
            code,
            retry_after: None,
            elsewhere: Elsewhere::No,
        }
    }

    /// The same, with a word on when to try again.
    pub(crate) const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same, which another node may not have to say.
    pub(crate) const fn elsewhere(mut self, elsewhere: Elsewhere) -> Self {
        self.elsewhere = elsewhere;
        self
    }

    /// The same, where there is such a word, some seconds later.
    pub(crate) fn later(self, seconds: u64) -> Self {
        let retry_after = self.retry_after.map(|after| after + seconds);
        Self {
            retry_after,
            ..self
        }
    }

    /// What was asked makes no sense.
    pub(crate) fn invalid(error: impl Into<String>) -> Self {
        Self::of(RefusalKind::Invalid, error.into())
    }

    fn of(kind: RefusalKind, sentence: String) -> Self {
        Self {
            status: status(kind),
            error: Cow::Owned(sentence),
            code: kind.name(),
            retry_after: (kind == RefusalKind::Busy).then_some(1),
            elsewhere: match kind {
                // A full node, or one that leaves.
                RefusalKind::Unavailable => Elsewhere::All,
                _ => Elsewhere::No,
            },
        }
    }

    /// Where the next request is better asked.
    pub(crate) fn where_else(&self) -> Elsewhere {
        self.elsewhere
    }

    /// The whole answer.
    pub(crate) fn response(self) -> Response<Bytes> {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        // What is refused is refused now, and to who asks.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn status(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::Invalid => StatusCode::BAD_REQUEST,
        RefusalKind::Unauthorized => StatusCode::UNAUTHORIZED,
        RefusalKind::Forbidden => StatusCode::FORBIDDEN,
        RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::Conflict => StatusCode::CONFLICT,
        RefusalKind::Busy => StatusCode::TOO_MANY_REQUESTS,
        RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<node::status::Refusal> for Refusal {
    fn from(refusal: node::status::Refusal) -> Self {
        Self::of(refusal.kind, refusal.sentence)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self {
            retry_after: refused.retry_after.map(|after| after.as_secs()),
            ..Self::of(refused.kind, refused.sentence)
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> axum::response::Response {
        self.response().map(Body::from)
    }
}
