//! Who may use the API.
//!
//! With a key, whoever has it. Without one anybody may look, and only this machine may change
//! anything: not a web page that its browser shows, nor who comes through a proxy on it that says
//! so. One that passes requests on as its own cannot be told from a program here: that takes a key.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::Refusal;
use crate::routes::{Shared, Source};

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

/// Lets those through who may.
pub(super) async fn check<S: Source>(
    State(shared): State<Shared<S>>,
    request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<PeerAddress>();
    let peer = peer.map(|PeerAddress(address)| address.ip());
    let key = shared.source().admin_key();
    let (method, version) = (request.method(), request.version());
    match allowed(key, method, version, request.headers(), peer) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn allowed(
    key: Option<&str>,
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<(), Refusal> {
    let Some(key) = key else {
        if method.is_safe() {
            return Ok(());
        }
        let is_here = peer.is_some_and(|peer| is_from_here(peer, headers));
        // nginx, unless told otherwise: by HTTP/1.0, to the address that it was given.
        return match (is_here, version >= Version::HTTP_11) {
            (true, true) => Ok(()),
            (true, false) => Err(Refusal::OLD_HTTP),
            (false, _) => Err(Refusal::FROM_ELSEWHERE),
        };
    };
    match bearer(headers) {
        Some(given) if same(key.as_bytes(), given) => Ok(()),
        _ => Err(Refusal::UNAUTHORIZED),
    }
}

/// Whether a program on this machine asks for itself.
fn is_from_here(peer: IpAddr, headers: &HeaderMap) -> bool {
    let passed_on = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    // A page from elsewhere has a host of its own, even if it leads its name here.
    let foreign = headers.get(header::ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().ok();
        let origin = origin.and_then(|origin| Some(origin.split_once("://")?.1));
        origin.is_none() || origin != host
    });
    peer.to_canonical().is_loopback()
        && !passed_on.iter().any(|name| headers.contains_key(*name))
        && host.is_none_or(is_loopback_name)
        && !foreign
}

fn is_loopback_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The token that a request comes with.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_first_chunk::<7>()?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| key.trim_ascii())
}

/// Compares without telling by its time how much was right.
fn same(wanted: &[u8], given: &[u8]) -> bool {
    let mut differs = usize::from(wanted.is_empty()) | (wanted.len() ^ given.len());
    for (index, byte) in given.iter().enumerate() {
        let wanted = wanted.get(index % wanted.len().max(1));
        differs |= usize::from(byte ^ wanted.copied().unwrap_or(0));
    }
    differs == 0
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            )
        };
        pairs.iter().map(pair).collect()
    }

    fn may(key: Option<&str>, method: Method, peer: &str, pairs: &[(&str, &str)]) -> bool {
        let peer = peer.parse().expect("an address");
        let version = Version::HTTP_11;
        allowed(key, &method, version, &headers(pairs), Some(peer)).is_ok()
    }

    #[test]
    fn without_a_key_anybody_may_look_and_this_machine_may_act() {
        let local = [("host", "localhost:8080")];
        for method in [Method::GET, Method::HEAD] {
            assert!(may(None, method, "10.0.0.1", &[("host", "weir.example")]));
        }
        for (peer, host) in [
            ("127.0.0.1", "localhost:8080"),
            ("127.0.0.1", "127.0.0.1:8080"),
            ("::1", "[::1]:8080"),
            ("::ffff:127.0.0.1", "LOCALHOST"),
        ] {
            assert!(
                may(None, Method::POST, peer, &[("host", host)]),
                "{peer} {host}"
            );
        }
        assert!(!may(None, Method::POST, "10.0.0.1", &local));
        let (post, version) = (Method::POST, Version::HTTP_11);
        assert!(allowed(None, &post, version, &headers(&local), None).is_err());
    }

    #[test]
    fn by_old_http_nothing_is_changed_without_a_key() {
        let peer = Some(IpAddr::from([127, 0, 0, 1]));
        let ask = |key, method, headers: &HeaderMap| {
            let version = Version::HTTP_10;
            allowed(key, &method, version, headers, peer).is_ok()
        };
        for host in [&[("host", "127.0.0.1:8080")][..], &[]] {
            assert!(!ask(None, Method::POST, &headers(host)), "{host:?}");
            assert!(ask(None, Method::GET, &headers(host)), "{host:?}");
        }
        let with = headers(&[("authorization", "Bearer sesame")]);
        assert!(ask(Some("sesame"), Method::POST, &with));
    }

    #[test]
    fn neither_a_proxy_nor_a_page_from_elsewhere_is_this_machine() {
        let local = ("host", "localhost:8080");
        for more in [
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("origin", "https://evil.example"),
            ("origin", "http://localhost:9999"),
            ("origin", "null"),
        ] {
            assert!(
                !may(None, Method::POST, "127.0.0.1", &[local, more]),
                "{more:?}"
            );
        }
        // Its name leads here, and its browser believes that it talks to it.
        let rebound = [
            ("host", "evil.example:8080"),
            ("origin", "http://evil.example:8080"),
        ];
        assert!(!may(None, Method::POST, "127.0.0.1", &rebound));
        let ours = [local, ("origin", "http://localhost:8080")];
        assert!(may(None, Method::POST, "127.0.0.1", &ours));
    }

    #[test]
    fn with_a_key_it_alone_counts() {
        let key = Some("sesame");
        for method in [Method::GET, Method::POST] {
            let with = |given| may(key, method.clone(), "10.0.0.1", &[("authorization", given)]);
            assert!(with("Bearer sesame") && with("bearer  sesame"));
            for wrong in [
                "Bearer",
                "Bearer ",
                "Bearer sesam",
                "Bearer sesamesesame",
                "Basic sesame",
            ] {
                assert!(!with(wrong), "{wrong}");
            }
            assert!(!may(
                key,
                method.clone(),
                "127.0.0.1",
                &[("host", "localhost")]
            ));
        }
        // One that was left empty opens nothing.
        assert!(!may(
            Some(""),
            Method::GET,
            "10.0.0.1",
            &[("authorization", "Bearer ")]
        ));
    }
}
