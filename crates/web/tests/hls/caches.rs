//! What caches are told.

use std::io::Read;

use flate2::read::GzDecoder;
use hls::Mode;

use crate::cast::Cast;
use crate::peer::uris;
use crate::site::{Site, TOKEN};

#[tokio::test]
async fn what_never_changes_is_kept_and_what_does_is_not() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let streams = ["live/a", "live/locked"].map(|path| (path, cast.stream()));
    let site = Site::new(&streams);
    let mut player = site.peer().await;
    let (msn, part) = cast.newest();
    let exact = format!(
        "media.m3u8?_HLS_msn={msn}&_HLS_part={}",
        part.expect("a part")
    );
    let media = player.get("/live/a/media.m3u8").await;
    let target = cast.stream().now().target();
    let kept = format!("max-age={}", target.as_secs() * 6);
    let mut expected = vec![
        ("index.m3u8".to_owned(), "no-cache"),
        ("media.m3u8".to_owned(), "no-cache"),
        ("media.m3u8?_HLS_skip=YES".to_owned(), "no-cache"),
        // Too old: this is the newest.
        ("media.m3u8?_HLS_msn=1".to_owned(), "no-cache"),
        (exact.clone(), &*kept),
        (format!("{exact}&_HLS_skip=YES"), &*kept),
    ];
    let files = uris(media.playlist()).into_iter().take(3);
    expected.extend(files.map(|name| (name, "max-age=31536000, immutable")));
    for (name, control) in expected {
        let open = player.get(&format!("/live/a/{name}")).await;
        let public = match control {
            "no-cache" => control.to_owned(),
            control => format!("public, {control}"),
        };
        assert_eq!(open.header("cache-control"), Some(&*public), "{name}");
        // What a token opens is for its owner, in whichever way it is given.
        let private = format!("private, {control}");
        let mark = if name.contains('?') { '&' } else { '?' };
        let path = format!("/live/locked/{name}");
        let asked = player.get(&format!("{path}{mark}token={TOKEN}")).await;
        assert_eq!(asked.header("cache-control"), Some(&*private), "{name}");
        let bearer = format!("authorization: Bearer {TOKEN}\r\n");
        let asked = player.ask("GET", &path, &bearer).await;
        assert_eq!(asked.header("cache-control"), Some(&*private), "{name}");
        assert_eq!(asked.body, open.body, "a bearer token is carried nowhere");
    }
}

#[tokio::test]
async fn who_has_it_already_is_told_so() {
    let mut cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    let media = player.get("/live/a/media.m3u8").await;
    let mut names: Vec<String> = uris(media.playlist()).into_iter().take(4).collect();
    names.push("media.m3u8".to_owned());
    names.push("media.m3u8?_HLS_skip=YES".to_owned());
    for name in names {
        let path = format!("/live/a/{name}");
        let whole = player.get(&path).await;
        let tag = whole.header("etag").expect("a tag");
        assert!(
            tag.starts_with('"') && tag.ends_with('"'),
            "{tag} is strong"
        );
        for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            for method in ["GET", "HEAD"] {
                let headers = format!("if-none-match: {known}\r\nrange: bytes=0-0\r\n");
                let known = player.ask(method, &path, &headers).await;
                assert_eq!(known.status, 304, "{name} {headers}");
                assert_eq!(known.header("etag"), Some(tag));
                assert_eq!(known.header("cache-control"), whole.header("cache-control"));
                assert_eq!(known.header("access-control-allow-origin"), Some("*"));
            }
        }
        let other = player.ask("GET", &path, "if-none-match: \"x\"\r\n").await;
        assert_eq!(other, whole);
    }
    // Another version is another thing.
    cast.next_part();
    let tag = media.header("etag").expect("a tag");
    let headers = format!("if-none-match: {tag}\r\n");
    let next = player.ask("GET", "/live/a/media.m3u8", &headers).await;
    assert_ne!(next.playlist(), media.text());
    // And so is the same with its end.
    let tag = next.header("etag").expect("a tag").to_owned();
    cast.end();
    let headers = format!("if-none-match: {tag}\r\n");
    let end = player.ask("GET", "/live/a/media.m3u8", &headers).await;
    assert!(end.playlist().contains("#EXT-X-ENDLIST"));
}

#[tokio::test]
async fn playlists_come_in_gzip_to_who_takes_it() {
    let mut cast = Cast::of(Mode::LowLatency, 15);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    let packs = "accept-encoding: br, gzip\r\n";
    for _ in 0..2 {
        for path in [
            "/live/a/media.m3u8",
            "/live/a/media.m3u8?_HLS_skip=YES",
            "/live/a/index.m3u8",
        ] {
            let plain = player.get(path).await;
            let packed = player.ask("GET", path, packs).await;
            assert_eq!(plain.header("content-encoding"), None);
            assert_eq!(packed.header("content-encoding"), Some("gzip"));
            let mut text = String::new();
            let read = GzDecoder::new(&packed.body[..]).read_to_string(&mut text);
            read.expect("gzip");
            assert_eq!(text, plain.playlist());
            for either in [&plain, &packed] {
                assert_eq!(either.header("vary"), Some("Accept-Encoding"));
            }
            assert_eq!(packed.header("content-type"), plain.header("content-type"));
            assert_eq!(
                packed.header("cache-control"),
                plain.header("cache-control")
            );
            let head = player.ask("HEAD", path, packs).await;
            assert_eq!(head.headers(), packed.headers());
            if let Some(tag) = packed.header("etag") {
                assert_ne!(plain.header("etag"), Some(tag));
                let headers = format!("{packs}if-none-match: {tag}\r\n");
                let known = player.ask("GET", path, &headers).await;
                assert_eq!(
                    (known.status, known.header("content-encoding")),
                    (304, None)
                );
            }
        }
        cast.next_part();
    }
    // Each with a token has its own, which is made for nobody else; and media is packed already.
    let media = player.get("/live/a/media.m3u8?token=a").await;
    let asked = player.ask("GET", "/live/a/media.m3u8?token=a", packs).await;
    assert_eq!(asked, media);
    let file = format!("/live/a/{}", uris(media.playlist())[0]);
    let file = player.ask("GET", &file, packs).await;
    assert_eq!((file.status, file.header("content-encoding")), (200, None));
}

#[tokio::test]
async fn a_name_that_is_gone_is_not_said_to_be_the_same() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    let headers = "if-none-match: \"1.1-1.m4s\"\r\n";
    assert_eq!(
        player
            .ask("GET", "/live/a/1.1-1.m4s", headers)
            .await
            .refusal()
            .0,
        404
    );
}
