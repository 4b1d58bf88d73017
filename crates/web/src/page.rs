//! The page that plays a stream in a browser: `/watch/app/name`, and what belongs to it, `/assets/…`.
//!
//! Its source is in `page/`; it is built with npm, and lies in the binary. It finds out for itself
//! which stream its address names, so it is the same for all.

mod files;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use self::files::{EMBEDDED, File};
use crate::error::Refusal;

/// Nothing of other hosts, and no script but ours; media come from memory. A WebSocket is named
/// since old browsers do not count it to `'self'`. Whoever embeds players in a page may embed this.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; \
                      connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; \
                      form-action 'none'";

/// Looked at anew each time: a node that was replaced may have another.
const FRESH: &str = "no-cache";
/// Names of assets have a hash of what is in them.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

const NOT_BUILT: Refusal = Refusal::fixed(
    StatusCode::NOT_FOUND,
    "no_page",
    "this program was built without the page: install Node.js and npm, run make page, and build it again; \
     players find the stream at /app/name/index.m3u8 and /app/name.flv",
);

/// What is answered for the page, whatever else the routes know.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = async |request: Request| page(EMBEDDED, request.headers());
    let asset = async |Path(name): Path<String>, request: Request| {
        asset(EMBEDDED, &name, request.headers())
    };
    Router::new()
        .route("/watch", get(page))
        .route("/watch/", get(page))
        .route("/watch/{*stream}", get(page))
        .route("/assets/{*name}", get(asset))
}

fn page(files: &[File], asked: &HeaderMap) -> Response<Body> {
    let Some(file) = files::find(files, "index.html") else {
        return NOT_BUILT.into_response();
    };
    let mut answer = answer(file, asked, FRESH);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // The address may have a token in it.
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        let value = HeaderValue::from_static(value);
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn asset(files: &[File], name: &str, asked: &HeaderMap) -> Response<Body> {
    match files::find(files, &format!("assets/{name}")) {
        Some(file) => answer(file, asked, FOR_EVER),
        None => Refusal::NOT_FOUND.into_response(),
    }
}

/// A file as it is wanted: packed, or not at all if it is known already.
fn answer(file: &File, asked: &HeaderMap, kept: &'static str) -> Response<Body> {
    let packed = file.gzip.filter(|_| takes_gzip(asked));
    let tag = file.tag(packed.is_some());
    let mut answer = Response::new(Body::empty());
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, kept),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "Accept-Encoding"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if knows(asked, &tag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return answer;
    }
    let kind = HeaderValue::from_static(file.content_type());
    headers.insert(header::CONTENT_TYPE, kind);
    if packed.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *answer.body_mut() = Body::from(packed.unwrap_or(file.bytes));
    answer
}

/// RFC 9110 12.5.3, as far as anybody writes it.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let is_gzip = |coding: &str| {
        let mut parts = coding.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refuses = |weight: &str| weight.trim_end_matches(['0', '.']) == "q=";
        is_named && !parts.any(refuses)
    };
    list(asked, header::ACCEPT_ENCODING).any(is_gzip)
}

/// RFC 9110 13.1.2.
fn knows(asked: &HeaderMap, tag: &str) -> bool {
    list(asked, header::IF_NONE_MATCH)
        .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

fn list(asked: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = asked.get_all(name).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use axum::http::Method;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    const FILES: &[File] = &[
        File {
            name: "index.html",
            bytes: b"<html>",
            gzip: None,
        },
        File {
            name: "assets/main-1.js",
            bytes: b"play()",
            gzip: Some(b"packed"),
        },
    ];

    fn asking(headers: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let pairs = headers.iter();
        pairs
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    async fn body(answer: Response<Body>) -> Vec<u8> {
        let body = axum::body::to_bytes(answer.into_body(), 1000).await;
        body.expect("a short body").to_vec()
    }

    #[tokio::test]
    async fn the_page_is_the_same_for_each_stream_and_runs_no_script_of_others() {
        let answer = page(FILES, &HeaderMap::new());
        assert_eq!(answer.status(), 200);
        let headers = answer.headers();
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(headers["cache-control"], "no-cache");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        let policy = headers["content-security-policy"].to_str();
        let policy = policy.expect("a text");
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(body(answer).await, b"<html>");
    }

    #[tokio::test]
    async fn an_asset_is_kept_for_ever_and_packed_for_who_takes_it_so() {
        for (accepts, packed) in [
            ("gzip, deflate, br", true),
            ("br;q=1, GZIP ; q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("br", false),
        ] {
            let asked = asking(&[(header::ACCEPT_ENCODING, accepts)]);
            let answer = asset(FILES, "main-1.js", &asked);
            let headers = answer.headers();
            assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
            assert_eq!(headers["cache-control"], FOR_EVER);
            assert_eq!(headers["vary"], "Accept-Encoding");
            let coding = headers.contains_key("content-encoding");
            assert_eq!(coding, packed, "{accepts}");
            let bytes: &[u8] = if packed { b"packed" } else { b"play()" };
            assert_eq!(body(answer).await, bytes, "{accepts}");
        }
        assert_eq!(asset(FILES, "main-2.js", &HeaderMap::new()).status(), 404);
        assert_eq!(
            asset(FILES, "../index.html", &HeaderMap::new()).status(),
            404
        );
    }

    #[tokio::test]
    async fn who_knows_a_file_is_not_sent_it_again() {
        let tag = asset(FILES, "main-1.js", &HeaderMap::new()).headers()["etag"].clone();
        let other = page(FILES, &HeaderMap::new()).headers()["etag"].clone();
        assert_ne!(tag, other);
        let known = |known: &HeaderValue| {
            let mut asked = HeaderMap::new();
            asked.insert(header::IF_NONE_MATCH, known.clone());
            asset(FILES, "main-1.js", &asked)
        };
        let answer = known(&tag);
        assert_eq!(answer.status(), 304);
        assert_eq!(answer.headers()["etag"], tag);
        assert!(body(answer).await.is_empty());
        assert_eq!(known(&other).status(), 200);
        let weak = format!("W/{}, \"x\"", tag.to_str().expect("a text"));
        let weak = HeaderValue::from_str(&weak).expect("a header");
        assert_eq!(known(&weak).status(), 304);
        // The packed form is another representation.
        let mut asked = asking(&[(header::ACCEPT_ENCODING, "gzip")]);
        asked.insert(header::IF_NONE_MATCH, tag);
        assert_eq!(asset(FILES, "main-1.js", &asked).status(), 200);
    }

    #[tokio::test]
    async fn it_is_at_every_path_of_streams_to_look_at_alone() {
        let routes = TowerToHyperService::new(routes::<()>().with_state(()));
        for path in [
            "/watch",
            "/watch/",
            "/watch/live/cam",
            "/watch/live/a/b?token=x",
        ] {
            for (method, status) in [
                (Method::GET, page(EMBEDDED, &HeaderMap::new()).status()),
                (Method::HEAD, page(EMBEDDED, &HeaderMap::new()).status()),
                (Method::POST, StatusCode::METHOD_NOT_ALLOWED),
            ] {
                let asked = Request::builder().method(&method).uri(path);
                let asked = asked.body(Body::empty()).expect("a request");
                let answer = routes.call(asked).await.expect("an answer");
                assert_eq!(answer.status(), status, "{method} {path}");
            }
        }
    }

    #[tokio::test]
    async fn a_program_without_the_page_says_how_to_get_it() {
        let answer = page(&[], &HeaderMap::new());
        assert_eq!(answer.status(), 404);
        let said = String::from_utf8(body(answer).await).expect("a text");
        assert!(said.contains("make page"), "{said}");
    }
}
