//! Answers as HTTP/1.1 writes them, where that is not hyper's work.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::response::Parts;
use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::{BufMut, Bytes, BytesMut};

/// A whole answer that is the last of its connection. Everything behind it belongs to it.
pub(crate) fn last(answer: Response<Bytes>) -> Bytes {
    let (mut head, body) = answer.into_parts();
    let headers = &mut head.headers;
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if !body.is_empty() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let mut bytes = BytesMut::with_capacity(512 + body.len());
    write(&head, &mut bytes);
    bytes.put_slice(&body);
    bytes.freeze()
}

/// Adds the head of an answer, and when it was made.
pub(crate) fn write(head: &Parts, bytes: &mut BytesMut) {
    let reason = head.status.canonical_reason().unwrap_or_default();
    bytes.put_slice(b"HTTP/1.1 ");
    bytes.put_slice(head.status.as_str().as_bytes());
    bytes.put_slice(b" ");
    bytes.put_slice(reason.as_bytes());
    bytes.put_slice(b"\r\n");
    for (name, value) in &head.headers {
        bytes.put_slice(name.as_str().as_bytes());
        bytes.put_slice(b": ");
        bytes.put_slice(value.as_bytes());
        bytes.put_slice(b"\r\n");
    }
    bytes.put_slice(b"date: ");
    put_date(bytes);
    bytes.put_slice(b"\r\n\r\n");
}

thread_local! {
    /// The last second, and its name.
    static DATE: RefCell<(Duration, String)> = RefCell::default();
}

fn put_date(bytes: &mut BytesMut) {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = Duration::from_secs(second.as_secs());
    DATE.with_borrow_mut(|(made, name)| {
        if *made != second || name.is_empty() {
            (*made, *name) = (second, httpdate::fmt_http_date(now));
        }
        bytes.put_slice(name.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_it_ends() {
        let text = |answer| String::from_utf8(last(answer).to_vec()).expect("a text");
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
