//! What is kept of a request while it waits for its answer.

use axum::http::uri::Uri;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use bytes::{BufMut, Bytes, BytesMut};

/// Copies what it says out of the buffer that it was read to, which is many times as large.
pub(super) fn lighten<B>(request: &mut Request<B>) {
    let path = request.uri().path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    let values = request.headers().values().map(HeaderValue::len);
    let length = path.len() + values.sum::<usize>();
    let mut all = BytesMut::with_capacity(length);
    all.put_slice(path.as_bytes());
    for value in request.headers().values() {
        all.put_slice(value.as_bytes());
    }
    let mut rest = all.freeze();
    let path = rest.split_to(path.len());
    // An address that names a host too is rare, and stays as it is.
    if request.uri().authority().is_none()
        && let Ok(uri) = Uri::from_maybe_shared(path)
    {
        *request.uri_mut() = uri;
    }
    for value in request.headers_mut().values_mut() {
        replace(value, rest.split_to(value.len().min(rest.len())));
    }
}

fn replace(value: &mut HeaderValue, bytes: Bytes) {
    if let Ok(mut copy) = HeaderValue::from_maybe_shared(bytes) {
        copy.set_sensitive(value.is_sensitive());
        *value = copy;
    }
}

/// Whether the connection is to end with the answer.
pub(super) fn closes(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut words = texts.flat_map(|text| text.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case("close"))
}

/// HTTP/2 names the host elsewhere: says it as everybody looks for it.
pub(super) fn name_host<B>(request: &mut Request<B>) {
    if request.headers().contains_key(header::HOST) {
        return;
    }
    let host = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    if let Some(Ok(host)) = host.map(HeaderValue::from_str) {
        request.headers_mut().insert(header::HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_the_same_when_it_is_lighter() {
        let read = Bytes::from(vec![b'x'; 8192]);
        let mut request = Request::get("/live/cam/media.m3u8?_HLS_msn=1")
            .header("user-agent", "player")
            .header("cookie", "a=1")
            .header("cookie", "")
            .header("cookie", "b=2")
            .body(())
            .expect("a request");
        let long = HeaderValue::from_maybe_shared(read.slice(..300)).expect("a value");
        request.headers_mut().insert("x-long", long);
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        lighten(&mut request);
        assert_eq!((request.uri(), request.headers()), (&uri, &headers));
        drop((uri, headers));
        assert!(read.is_unique(), "nothing of it is held");
    }

    #[test]
    fn the_last_request_says_so() {
        let mut headers = HeaderMap::new();
        assert!(!closes(&headers));
        headers.insert("connection", HeaderValue::from_static("keep-alive"));
        assert!(!closes(&headers));
        headers.append("connection", HeaderValue::from_static("upgrade, Close"));
        assert!(closes(&headers));
    }

    #[test]
    fn the_host_is_named_in_one_way() {
        let mut request = Request::get("https://weir.example:8443/live")
            .body(())
            .expect("a request");
        name_host(&mut request);
        assert_eq!(request.headers()["host"], "weir.example:8443");
    }
}
