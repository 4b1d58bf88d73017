//! Refusals: `{"error": "sentence", "code": "snake_case"}`.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use node::status::RefusalKind;
use serde::Serialize;

/// Why a request is refused.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    error: Cow<'static, str>,
    code: &'static str,
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
        }
    }

    /// What was asked makes no sense.
    pub(crate) fn invalid(error: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: Cow::Owned(error.into()),
            code: "invalid",
        }
    }
}

impl From<node::status::Refusal> for Refusal {
    fn from(refusal: node::status::Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Busy => StatusCode::TOO_MANY_REQUESTS,
            RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            status,
            error: Cow::Owned(refusal.sentence),
            code: refusal.kind.name(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let with = match status {
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::TOO_MANY_REQUESTS => (header::RETRY_AFTER, "1"),
            _ => return response,
        };
        let (name, value) = with;
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        response
    }
}
