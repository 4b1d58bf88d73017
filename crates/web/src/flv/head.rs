//! An answer as HTTP/1.1 writes it, for connections that have it to themselves.

use std::time::SystemTime;

use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::{BufMut, Bytes, BytesMut};

/// The head, and the body if there is one. Everything behind it is the answer too: the connection ends with it.
pub(crate) fn bytes(answer: Response<Bytes>) -> Bytes {
    let (mut head, body) = answer.into_parts();
    let headers = &mut head.headers;
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now())) {
        headers.insert(header::DATE, date);
    }
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if !body.is_empty() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let mut bytes = BytesMut::with_capacity(512 + body.len());
    let reason = head.status.canonical_reason().unwrap_or_default();
    let line = format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str());
    bytes.put_slice(line.as_bytes());
    for (name, value) in &head.headers {
        bytes.put_slice(name.as_str().as_bytes());
        bytes.put_slice(b": ");
        bytes.put_slice(value.as_bytes());
        bytes.put_slice(b"\r\n");
    }
    bytes.put_slice(b"\r\n");
    bytes.put_slice(&body);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_it_ends() {
        let text = |answer| String::from_utf8(bytes(answer).to_vec()).expect("a text");
        let stream = text(Response::new(Bytes::new()));
        assert!(stream.starts_with("HTTP/1.1 200 OK\r\n") && stream.ends_with("\r\n\r\n"));
        assert!(stream.contains("\r\nconnection: close\r\n") && stream.contains("\r\ndate: "));
        let mut refusal = Response::new(Bytes::from_static(b"no"));
        *refusal.status_mut() = StatusCode::NOT_FOUND;
        let refusal = text(refusal);
        assert!(refusal.starts_with("HTTP/1.1 404 Not Found\r\n"));
        assert!(refusal.contains("\r\ncontent-length: 2\r\n") && refusal.ends_with("\r\n\r\nno"));
    }
}
