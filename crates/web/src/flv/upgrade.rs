//! How a connection becomes a WebSocket (RFC 6455, section 4).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Refusal;

/// RFC 6455 1.3: what the other end is to find in the answer, hashed with its key.
const SALT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const OTHER_VERSION: Refusal = Refusal::fixed(
    StatusCode::UPGRADE_REQUIRED,
    "upgrade_required",
    "this server speaks version 13 of WebSocket",
);
const NO_KEY: Refusal = Refusal::fixed(
    StatusCode::BAD_REQUEST,
    "invalid",
    "a WebSocket is asked for by HTTP/1.1, with one Sec-WebSocket-Key of 16 bytes in Base64",
);

/// The head of the answer to who asks for a WebSocket, if anybody does.
pub(super) fn asked<B>(request: &Request<B>) -> Result<Option<Response<()>>, Refusal> {
    let headers = request.headers();
    let asks = request.method() == Method::GET
        && names(headers, header::CONNECTION, "upgrade")
        && names(headers, header::UPGRADE, "websocket");
    if !asks {
        return Ok(None);
    }
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        return Err(OTHER_VERSION);
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (key, more) = (keys.next(), keys.next());
    let key = key
        .and_then(|key| key.to_str().ok())
        .filter(|key| is_key(key));
    let (Some(key), None, Version::HTTP_11) = (key, more, request.version()) else {
        return Err(NO_KEY);
    };
    let mut accepted = Response::new(());
    *accepted.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let proof = HeaderValue::from_str(&proof(key)).map_err(|_| NO_KEY)?;
    for (name, value) in [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, proof),
    ] {
        accepted.headers_mut().insert(name, value);
    }
    Ok(Some(accepted))
}

/// Whether a header has this word in its list.
fn names(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut words = texts.flat_map(|text| text.split(','));
    words.any(|it| it.trim().eq_ignore_ascii_case(word))
}

fn is_key(key: &str) -> bool {
    key.len() == 24 && STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// That somebody has understood.
fn proof(key: &str) -> String {
    let salted = [key.as_bytes(), SALT.as_bytes()].concat();
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &salted))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one of RFC 6455 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    /// The status of the answer to a request with these headers, and its proof.
    fn answer(headers: &[(&str, &str)]) -> (u16, Option<String>) {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match asked(&request.body(()).expect("a request")) {
            Ok(None) => (200, None),
            Ok(Some(accepted)) => {
                let proof = accepted.headers().get(header::SEC_WEBSOCKET_ACCEPT);
                let proof = proof.map(|proof| proof.to_str().expect("a text").to_owned());
                (accepted.status().as_u16(), proof)
            }
            Err(refusal) => (refusal.response().status().as_u16(), None),
        }
    }

    const ASKS: [(&str, &str); 2] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
    ];

    #[test]
    fn who_asks_as_it_should_be_is_accepted() {
        let all = [
            &ASKS[..],
            &[("sec-websocket-version", "13"), ("sec-websocket-key", KEY)],
        ];
        let proof = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned();
        assert_eq!(answer(&all.concat()), (101, Some(proof)));
        assert_eq!(answer(&[]), (200, None));
        assert_eq!(answer(&[("upgrade", "websocket")]), (200, None));
        assert_eq!(
            answer(&[("connection", "upgrade"), ("upgrade", "h2c")]),
            (200, None)
        );
    }

    #[test]
    fn who_asks_otherwise_is_told_what_is_missing() {
        let with = |more: &[(&'static str, &'static str)]| answer(&[&ASKS[..], more].concat()).0;
        let version = ("sec-websocket-version", "13");
        let key = ("sec-websocket-key", KEY);
        assert_eq!(with(&[key]), 426);
        assert_eq!(with(&[("sec-websocket-version", "8"), key]), 426);
        assert_eq!(with(&[version]), 400);
        assert_eq!(with(&[version, key, key]), 400);
        assert_eq!(with(&[version, ("sec-websocket-key", "c2hvcnQ=")]), 400);
    }
}
