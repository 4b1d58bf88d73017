//! Players in web pages of other origins.

use hls::Mode;

use crate::cast::Cast;
use crate::site::Site;

#[tokio::test]
async fn pages_may_read_every_answer() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut page = site.peer().await;
    for (path, status) in [
        ("/live/a/index.m3u8", 200),
        ("/live/a.m3u8", 302),
        ("/live/a/media.m3u8?_HLS_msn=x", 400),
        ("/live/b/index.m3u8", 404),
        ("/live/a/1.1-1.m4s", 404),
    ] {
        let answer = page.ask("GET", path, "origin: https://a.org\r\n").await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
        let exposed = answer
            .header("access-control-expose-headers")
            .expect("some");
        assert!(
            exposed.contains("ETag") && exposed.contains("Content-Range"),
            "{exposed}"
        );
        assert_ne!(answer.header("vary"), Some("Origin"));
    }
    let before = page
        .ask("OPTIONS", "/live/a/media.m3u8", "origin: https://a.org\r\n")
        .await;
    assert_eq!(before.status, 204);
    assert_eq!(before.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        before.header("access-control-allow-methods"),
        Some("GET, HEAD")
    );
    let headers = before.header("access-control-allow-headers").expect("some");
    assert!(
        headers.contains("Range") && headers.contains("Authorization"),
        "{headers}"
    );
}

#[tokio::test]
async fn pages_of_other_origins_may_not_where_some_are_named() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::with(&[("live/a", cast.stream())], |web| {
        web.http.allow_origins = vec!["https://a.org".to_owned()];
    });
    let mut page = site.peer().await;
    for (origin, allowed) in [
        ("https://a.org", Some("https://a.org")),
        ("https://b.org", None),
    ] {
        let headers = format!("origin: {origin}\r\n");
        for (method, path) in [
            ("GET", "/live/a/media.m3u8"),
            ("OPTIONS", "/live/a/index.m3u8"),
        ] {
            let answer = page.ask(method, path, &headers).await;
            assert_eq!(
                answer.header("access-control-allow-origin"),
                allowed,
                "{method} {origin}"
            );
            let varies = answer.headers().iter().filter(|(name, _)| name == "vary");
            let varies: Vec<_> = varies.map(|(_, value)| value.as_str()).collect();
            match method {
                "GET" => assert_eq!(varies, ["Accept-Encoding", "Origin"]),
                _ => assert_eq!(varies, ["Origin"]),
            }
        }
    }
    // Programs are no pages.
    page.get("/live/a/index.m3u8").await.playlist();
}
