//! Which web pages may read what is played from here.

use axum::http::uri::Uri;
use axum::http::{HeaderMap, HeaderValue, header};

/// The origins that may.
#[derive(Debug, Clone)]
pub(crate) struct Cors {
    /// `None` is any.
    origins: Option<Vec<String>>,
}

/// Whether it is written as an origin is: scheme, host and port, and nothing behind.
pub(crate) fn is_origin(text: &str) -> bool {
    let whole = |uri: Uri| {
        let has_host = uri.scheme().is_some() && uri.host().is_some();
        has_host && uri.path() == "/" && uri.query().is_none()
    };
    text == "*" || !text.ends_with('/') && text.parse().is_ok_and(whole)
}

impl Cors {
    pub(crate) fn new(origins: &[String]) -> Self {
        let any = origins.iter().any(|origin| origin == "*");
        Self {
            origins: (!any).then(|| origins.to_vec()),
        }
    }

    /// Whether a page asks, of an origin that may not. Programs that are no browser name none.
    pub(crate) fn forbids(&self, request: &HeaderMap) -> bool {
        let is_named = request.contains_key(header::ORIGIN);
        is_named && self.allowed(request).is_none() && !is_own(request)
    }

    /// Says in the answer who may read it.
    pub(crate) fn tell(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.origins.is_some() {
            answer.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = self.allowed(request) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
    }

    /// Says besides with what it may be asked for.
    pub(crate) fn tell_before(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        self.tell(request, answer);
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Range"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ] {
            answer.insert(name, HeaderValue::from_static(value));
        }
    }

    fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let Some(origins) = &self.origins else {
            return Some(HeaderValue::from_static("*"));
        };
        let origin = request.get(header::ORIGIN)?;
        let is_it = |known: &String| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        origins.iter().any(is_it).then(|| origin.clone())
    }
}

/// Whether the page that asks came from here: browsers name the origin of a WebSocket to its own server, too.
fn is_own(request: &HeaderMap) -> bool {
    let text = |name| request.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
    let pair = origin.zip(text(header::HOST));
    pair.is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_this_server_may_whatever_others_may() {
        let cors = Cors::new(&["https://a.org".to_owned()]);
        for (origin, host, forbidden) in [
            ("http://node:8080", "node:8080", false),
            ("https://Node", "node", false),
            ("http://node:8080", "node", true),
            ("https://b.org", "node:8080", true),
            ("null", "null", true),
        ] {
            let mut request = HeaderMap::new();
            request.insert(header::ORIGIN, HeaderValue::from_static(origin));
            request.insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(cors.forbids(&request), forbidden, "{origin} at {host}");
        }
    }

    fn told(origins: &[&str], origin: Option<&'static str>) -> (Option<String>, bool, bool) {
        let origins: Vec<_> = origins.iter().map(|&origin| origin.to_owned()).collect();
        let cors = Cors::new(&origins);
        let (mut request, mut answer) = (HeaderMap::new(), HeaderMap::new());
        if let Some(origin) = origin {
            request.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        cors.tell(&request, &mut answer);
        let allowed = answer.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        let allowed = allowed.map(|it| it.to_str().expect("a text").to_owned());
        let varies = answer.contains_key(header::VARY);
        (allowed, varies, cors.forbids(&request))
    }

    #[test]
    fn any_page_may_or_those_that_are_named() {
        let any = Some("*".to_owned());
        for origin in [None, Some("https://a.org")] {
            assert_eq!(told(&["*"], origin), (any.clone(), false, false));
        }
        let named = ["https://a.org", "http://localhost:3000"];
        for origin in ["https://a.org", "http://localhost:3000"] {
            let allowed = Some(origin.to_owned());
            assert_eq!(told(&named, Some(origin)), (allowed, true, false));
        }
        // No page at all.
        assert_eq!(told(&named, None), (None, true, false));
        // One of elsewhere, also where that only looks alike.
        for origin in [
            "https://b.org",
            "http://a.org",
            "https://a.org.b.org",
            "null",
        ] {
            assert_eq!(told(&named, Some(origin)), (None, true, true), "{origin}");
        }
    }

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_no_path() {
        for right in [
            "*",
            "https://a.org",
            "http://[::1]:80",
            "http://localhost:3000",
        ] {
            assert!(is_origin(right), "{right}");
        }
        for wrong in [
            "",
            "a.org",
            "https://a.org/",
            "https://a.org/x",
            "https://*.a.org x",
        ] {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }
}
