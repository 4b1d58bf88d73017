//! Segments, parts and initialisations: whole, in pieces, and not.

use hls::Mode;

use crate::cast::Cast;
use crate::peer::{Peer, uris};
use crate::site::Site;

/// A name of each kind.
async fn names(player: &mut Peer) -> Vec<String> {
    let media = player.get("/live/a/media.m3u8").await;
    let uris = uris(media.playlist());
    let ends = ["-init.mp4", ".0.m4s", ".m4s"];
    let one = |end: &&str| {
        uris.iter()
            .find(|uri| uri.ends_with(end))
            .expect("one of each")
            .clone()
    };
    ends.iter().map(one).collect()
}

#[tokio::test]
async fn pieces_are_what_the_whole_has_there() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    for name in names(&mut player).await {
        let path = format!("/live/a/{name}");
        let whole = player.get(&path).await;
        assert_eq!(whole.header("accept-ranges"), Some("bytes"));
        let len = whole.body.len();
        for (asked, range) in [
            ("0-0".to_owned(), 0..1),
            ("10-".to_owned(), 10..len),
            ("-10".to_owned(), len - 10..len),
            (format!("0-{}", len - 1), 0..len),
            (format!("5-{}", len * 2), 5..len),
            (format!("{}-{}", len / 3, len / 2), len / 3..len / 2 + 1),
        ] {
            let part = player
                .ask("GET", &path, &format!("range: bytes={asked}\r\n"))
                .await;
            assert_eq!(part.status, 206, "{asked}");
            let told = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            assert_eq!(part.header("content-range"), Some(&*told));
            assert_eq!(part.body, whole.body[range], "{asked}");
            assert_eq!(part.header("etag"), whole.header("etag"));
            assert_eq!(part.header("cache-control"), whole.header("cache-control"));
        }
        for asked in ["0-1,4-5", "x", "5-2"] {
            let all = player
                .ask("GET", &path, &format!("range: bytes={asked}\r\n"))
                .await;
            assert_eq!((all.status, &all.body), (200, &whole.body), "{asked}");
        }
        let beyond = player
            .ask("GET", &path, &format!("range: bytes={len}-\r\n"))
            .await;
        assert_eq!(beyond.refusal().0, 416);
        assert_eq!(
            beyond.header("content-range"),
            Some(&*format!("bytes */{len}"))
        );
        // Of something else, all of this.
        let other = "range: bytes=0-0\r\nif-range: \"other\"\r\n";
        assert_eq!(player.ask("GET", &path, other).await.status, 200);
        let same = format!(
            "range: bytes=0-0\r\nif-range: {}\r\n",
            whole.header("etag").expect("a tag")
        );
        assert_eq!(player.ask("GET", &path, &same).await.status, 206);
    }
}

#[tokio::test]
async fn head_says_what_get_says() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    let (msn, part) = cast.newest();
    let mut paths = names(&mut player).await;
    paths.extend([
        "index.m3u8".to_owned(),
        "media.m3u8".to_owned(),
        format!(
            "media.m3u8?_HLS_msn={msn}&_HLS_part={}",
            part.expect("a part")
        ),
        "media.m3u8?token=x".to_owned(),
        "media.m3u8?_HLS_msn=x".to_owned(),
        "1.1-1.m4s".to_owned(),
        "../b/index.m3u8".to_owned(),
        "../a.m3u8".to_owned(),
    ]);
    for path in paths {
        let path = format!("/live/a/{path}").replace("a/../", "");
        let get = player.get(&path).await;
        let head = player.ask("HEAD", &path, "range: bytes=0-0\r\n").await;
        assert_eq!(
            (head.status, head.headers()),
            (get.status, get.headers()),
            "{path}"
        );
        assert!(get.header("content-length").is_some(), "{path}");
    }
    // What is to come is waited for by both.
    let mut cast = cast;
    let path = format!(
        "/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={}",
        part.expect("a part") + 1
    );
    let asked = site.asked().len();
    player.send("HEAD", &path, "").await;
    site.was_asked(asked + 1).await;
    assert!(player.is_silent());
    cast.next_part();
    let head = player.heard("HEAD").await;
    assert_eq!(head.headers(), player.get(&path).await.headers());
}

#[tokio::test]
async fn other_methods_are_refused() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let refused = player
            .ask(method, "/live/a/media.m3u8", "content-length: 0\r\n")
            .await;
        assert_eq!(refused.refusal(), (405, "method_not_allowed".to_owned()));
        assert_eq!(refused.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    assert!(site.asked().is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_refused_at_once() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    let first = cast.window().segments().next().expect("a segment");
    let (epoch, msn) = (first.epoch(), first.msn());
    let before = media::Epoch::new(epoch.number - 1, 1);
    for name in [
        // Of an older publish, too old, too far ahead, of another kind, and too many.
        format!("{before}-{msn}.m4s"),
        format!("{epoch}-{}.m4s", msn - 1),
        format!("{epoch}-{}.m4s", msn + 99),
        format!("{epoch}-{msn}.ts"),
        format!("{epoch}-{msn}.999.m4s"),
        format!("{epoch}-99999-init.mp4"),
        format!("{epoch}-{}.{}.m4s", u64::MAX, u32::MAX),
    ] {
        let begun = std::time::Instant::now();
        let refused = player.get(&format!("/live/a/{name}")).await;
        assert_eq!(refused.refusal(), (404, "not_found".to_owned()), "{name}");
        assert!(begun.elapsed().as_secs() < 2, "{name}");
    }
}
