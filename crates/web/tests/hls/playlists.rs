//! Playlists: which, and when.

use hls::{Config, Mode};
use testkit::hls::{lint, lint_delta, lint_multivariant};

use crate::cast::Cast;
use crate::peer::uris;
use crate::site::Site;

#[tokio::test]
async fn a_player_finds_all_it_needs_from_one_url() {
    for mode in [Mode::LowLatency, Mode::Fmp4, Mode::Ts] {
        let cast = Cast::of(mode, 9);
        let site = Site::new(&[("live/a/b", cast.stream())]);
        let mut player = site.peer().await;
        let index = player.get("/live/a/b/index.m3u8").await;
        assert_eq!(lint_multivariant(index.playlist()), [""; 0]);
        assert!(index.playlist().contains("CODECS=\"mp4a.40.2\""));
        assert_eq!(uris(index.playlist()), ["media.m3u8"]);
        let media = player.get("/live/a/b/media.m3u8").await;
        assert_eq!(lint(media.playlist()), [""; 0], "{}", media.text());
        let (msn, part) = cast.newest();
        assert_eq!(media.text(), cast.text(msn, part, false));
        let mut uris = uris(media.text());
        if mode == Mode::LowLatency {
            // What is hinted at comes later.
            uris.pop();
        }
        assert!(uris.len() > 3, "{uris:?}");
        for uri in uris {
            let file = player.get(&format!("/live/a/b/{uri}")).await;
            assert_eq!(file.status, 200, "{uri}");
            let media_type = if mode == Mode::Ts {
                "video/mp2t"
            } else {
                "video/mp4"
            };
            assert_eq!(file.header("content-type"), Some(media_type), "{uri}");
            assert!(file.body.len() > 100, "{uri}");
        }
    }
}

#[tokio::test]
async fn names_of_streams_are_written_in_several_ways() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let streams = ["live/a", "cam", "cam/default"].map(|path| (path, cast.stream()));
    let site = Site::new(&streams);
    let mut player = site.peer().await;
    for path in [
        "/live/a/index.m3u8",
        "//live/a/index.m3u8",
        "/live%2Fa/index.m3u8",
        "/cam/index.m3u8",
        "/cam/default/index.m3u8",
        "/live/%61/index.m3u8?x=%zz&&_HLS=1&=",
    ] {
        player.get(path).await.playlist();
    }
    for path in [
        "/live/b/index.m3u8",
        "/live/a/b/index.m3u8",
        "/live/A/index.m3u8",
    ] {
        assert_eq!(
            player.get(path).await.refusal(),
            (404, "not_found".to_owned())
        );
    }
    // Nobody is asked for what cannot be a stream.
    let asked = site.asked().len();
    for path in [
        "/hls/a/index.m3u8",
        "/api/a/media.m3u8",
        "/live/a/other.m4s",
        "/live/%/index.m3u8",
    ] {
        assert_eq!(player.get(path).await.status, 404, "{path}");
    }
    assert_eq!(site.asked().len(), asked);
}

#[tokio::test]
async fn a_playlist_is_found_under_the_name_that_other_servers_give_it() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    for (path, place) in [
        ("/live/a.m3u8", "a/index.m3u8"),
        ("/live/a.m3u8?token=x&y", "a/index.m3u8?token=x&y"),
    ] {
        let elsewhere = player.get(path).await;
        assert_eq!(elsewhere.status, 302);
        assert_eq!(elsewhere.header("location"), Some(place));
        assert_eq!(elsewhere.header("cache-control"), Some("no-store"));
    }
    for path in ["//evil.example/.m3u8", "/live/%0d%0ax:y.m3u8", "/x:y.m3u8"] {
        assert_eq!(player.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_version_asked_for_is_answered_and_not_the_newest() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    let (msn, part) = cast.newest();
    let newest = part.expect("a part");
    for (msn, part) in (0..=newest).map(|part| (msn, part)).chain([(msn - 1, 3)]) {
        let path = format!("/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={part}");
        let version = player.get(&path).await;
        assert_eq!(version.playlist(), cast.text(msn, Some(part), false));
    }
    // Without a part, all of the segment.
    let path = format!("/live/a/media.m3u8?x=1&_HLS_msn={}", msn - 1);
    let whole = player.get(&path).await;
    let last = cast.window().segments().find(|it| it.msn() == msn - 1);
    let last = last.expect("it is there").parts().len() as u32 - 1;
    assert_eq!(whole.playlist(), cast.text(msn - 1, Some(last), false));
    // What has gone is answered with what there is.
    let gone = player
        .get("/live/a/media.m3u8?_HLS_msn=3&_HLS_part=0")
        .await;
    assert_eq!(gone.playlist(), cast.text(msn, part, false));
    assert_eq!(gone.header("cache-control"), Some("no-cache"));
}

#[tokio::test]
async fn who_knows_the_older_part_gets_the_rest() {
    let mut cast = Cast::cut(&Config {
        window: 30,
        ..Config::default()
    });
    cast.run(70_000);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    let whole = player.get("/live/a/media.m3u8").await;
    for skip in ["YES", "v2"] {
        let delta = player
            .get(&format!("/live/a/media.m3u8?_HLS_skip={skip}"))
            .await;
        assert!(
            delta.playlist().contains("#EXT-X-SKIP:"),
            "{}",
            delta.text()
        );
        assert_eq!(lint_delta(whole.playlist(), delta.playlist()), [""; 0]);
        assert_ne!(delta.header("etag"), whole.header("etag"));
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_sentence() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    for query in [
        "_HLS_msn=x",
        "_HLS_msn=-1",
        "_HLS_msn",
        "_HLS_part=1",
        "_HLS_msn=1&_HLS_msn=2",
        "_HLS_skip=NO",
        "_HLS_msn=99999999999999999999999",
    ] {
        let refusal = player
            .get(&format!("/live/a/media.m3u8?{query}"))
            .await
            .refusal();
        assert_eq!(refusal, (400, "invalid".to_owned()), "{query}");
    }
    assert!(site.asked().is_empty(), "no look-up was needed");
    // Too far ahead.
    let (msn, part) = cast.newest();
    for (msn, part) in [
        (msn + 9, 0),
        (msn, part.expect("a part") + 99),
        (u64::MAX, 0),
    ] {
        let path = format!("/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={part}");
        assert_eq!(
            player.get(&path).await.refusal(),
            (400, "invalid".to_owned())
        );
    }
}

#[tokio::test]
async fn the_end_is_told_at_once_to_whoever_asks_for_more() {
    let mut cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let (msn, part) = cast.newest();
    let ahead = format!(
        "/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={}",
        part.expect("a part") + 2
    );
    let mut waits = site.peer().await;
    waits.send("GET", &ahead, "").await;
    site.was_asked(1).await;
    cast.end();
    let end = waits.heard("GET").await;
    assert!(
        end.playlist().ends_with("#EXT-X-ENDLIST\n"),
        "{}",
        end.text()
    );
    // It may go on: then this will be another.
    assert_eq!(end.header("cache-control"), Some("no-cache"));
    for path in [
        &ahead[..],
        "/live/a/media.m3u8",
        "/live/a/media.m3u8?_HLS_skip=YES",
    ] {
        assert_eq!(waits.get(path).await.playlist(), end.text(), "{path}");
    }
    waits.get("/live/a/index.m3u8").await.playlist();
    drop(cast);
    // Nothing is left of it.
    for name in ["media.m3u8", "1.1-1.m4s"] {
        let gone = waits.get(&format!("/live/a/{name}")).await;
        assert_eq!(gone.refusal().0, 404, "{name}");
    }
}
