//! What is to come is waited for.

use std::time::Duration;

use hls::{Mode, Name};
use tokio::time::{sleep, timeout};

use crate::cast::Cast;
use crate::peer::{PATIENCE, uris};
use crate::site::Site;

#[tokio::test]
async fn a_reload_is_answered_as_soon_as_its_part_is_there() {
    let mut cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let (msn, part) = cast.newest();
    let next = part.expect("a part") + 1;
    let mut waits = site.peer().await;
    let path = format!("/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={next}");
    waits.send("GET", &path, "").await;
    // Two more, whose versions come later.
    let mut later = site.peer().await;
    let path = format!("/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={}", next + 1);
    later.send("GET", &path, "").await;
    let mut whole = site.peer().await;
    let path = format!("/live/a/media.m3u8?_HLS_msn={msn}");
    whole.send("GET", &path, "").await;
    site.was_asked(3).await;
    cast.next_part();
    let first = cast.newest();
    assert_eq!(
        waits.heard("GET").await.playlist(),
        cast.text(msn, first.1, false)
    );
    assert!(later.is_silent() && whole.is_silent());
    cast.next_part();
    let second = cast.newest();
    assert_eq!(
        later.heard("GET").await.playlist(),
        cast.text(second.0, second.1, false)
    );
    assert!(whole.is_silent());
    while cast.newest().0 == msn {
        cast.next_part();
    }
    let whole = whole.heard("GET").await;
    assert!(
        whole.playlist().contains(&format!("-{msn}.m4s\n")),
        "{}",
        whole.text()
    );
}

#[tokio::test]
async fn in_modes_without_parts_a_reload_waits_for_its_segment() {
    for mode in [Mode::Fmp4, Mode::Ts] {
        let mut cast = Cast::of(mode, 9);
        let site = Site::new(&[("live/a", cast.stream())]);
        let (msn, _) = cast.newest();
        let mut waits = site.peer().await;
        let path = format!("/live/a/media.m3u8?_HLS_msn={}", msn + 1);
        waits.send("GET", &path, "").await;
        site.was_asked(1).await;
        assert!(waits.is_silent());
        cast.next_part();
        assert_eq!(
            waits.heard("GET").await.playlist(),
            cast.text(msn + 1, None, false)
        );
    }
}

#[tokio::test]
async fn the_part_that_is_hinted_at_is_sent_when_it_is_there() {
    let mut cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    let media = player.get("/live/a/media.m3u8").await;
    let hint = uris(media.playlist()).pop().expect("a hint");
    player.send("GET", &format!("/live/a/{hint}"), "").await;
    site.was_asked(2).await;
    assert!(player.is_silent());
    cast.next_part();
    let part = player.heard("GET").await;
    assert_eq!(part.status, 200);
    let Some(name @ Name::Part { .. }) = Name::parse(&hint) else {
        panic!("{hint} is no part")
    };
    let hls::Answer::There(hls::Found::Media(body)) = cast.window().find(&name) else {
        panic!("{hint} is there")
    };
    assert_eq!(part.body, body.to_bytes());
}

#[tokio::test]
async fn a_thousand_reloads_are_answered_by_one_part() {
    const PLAYERS: usize = 1000;
    let mut cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let (msn, part) = cast.newest();
    let path = format!(
        "/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={}",
        part.expect("a part") + 1
    );
    let mut players = Vec::with_capacity(PLAYERS);
    for _ in 0..PLAYERS {
        let mut player = site.peer().await;
        player.send("GET", &path, "").await;
        players.push(player);
    }
    site.was_asked(PLAYERS).await;
    cast.next_part();
    let (msn, part) = cast.newest();
    let text = cast.text(msn, part, false);
    for player in &mut players {
        assert_eq!(player.heard("GET").await.playlist(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let (msn, part) = cast.newest();
    let part = part.expect("a part") + 1;
    let epoch = cast.window().segments().next().expect("a segment").epoch();
    let later = media::Epoch::new(epoch.number + 1, 7);
    let target = cast.stream().now().target();
    let file = target.max(::hls::ADVANCE);
    for (path, least, status, retries) in [
        (
            format!("media.m3u8?_HLS_msn={msn}&_HLS_part={part}"),
            target * 3,
            503,
            true,
        ),
        (format!("{epoch}-{msn}.{part}.m4s"), file, 404, false),
        (format!("{later}-7.m4s"), file, 404, false),
        (format!("{later}-0-init.mp4"), file, 404, false),
    ] {
        let begun = tokio::time::Instant::now();
        let mut player = site.peer().await;
        let answer = player.get(&format!("/live/a/{path}")).await;
        assert_eq!(answer.refusal().0, status, "{path}");
        assert_eq!(answer.header("retry-after").is_some(), retries, "{path}");
        // Nothing comes of it elsewhere either, so nobody connects anew for it.
        assert_eq!(answer.header("connection"), None, "{path}");
        let waited = begun.elapsed();
        let most = least + Duration::from_secs(1);
        assert!((least..most).contains(&waited), "{path}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_more_than_the_end_may_know_of_a_publish_that_is_not_known_here_yet() {
    let mut cast = Cast::of(Mode::LowLatency, 9);
    let later = Cast::of(Mode::LowLatency, 30);
    let site = Site::new(&[("live/a", cast.stream())]);
    cast.end();
    let target = cast.stream().now().target();
    let (msn, part) = later.newest();
    let part = part.expect("a part");
    let path = format!("/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={part}");
    let begun = tokio::time::Instant::now();
    let mut player = site.peer().await;
    let last = player.get(&path).await;
    assert_eq!(last.refusal().0, 503, "it was made up");
    let waited = begun.elapsed();
    let second = Duration::from_secs(1);
    assert!((target..target + second).contains(&waited), "{waited:?}");
    // It was not.
    player.send("GET", &path, "").await;
    site.was_asked(2).await;
    site.set("live/a", later.stream());
    drop(cast);
    let next = player.heard("GET").await;
    assert_eq!(next.playlist(), later.text(msn, Some(part), false));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_begins_is_waited_for_and_not_for_ever() {
    let mut cast = Cast::new(Mode::LowLatency);
    let site = Site::new(&[("live/a", cast.stream())]);
    for path in ["/live/a/index.m3u8", "/live/a/media.m3u8"] {
        let begun = tokio::time::Instant::now();
        let mut player = site.peer().await;
        let refused = player.get(path).await;
        assert_eq!(refused.refusal().0, 404);
        assert!(refused.header("retry-after").is_some());
        let waited = begun.elapsed().as_secs();
        assert!((12..14).contains(&waited), "{path}: {waited}");
    }
    let mut index = site.peer().await;
    index.send("GET", "/live/a/index.m3u8", "").await;
    let mut media = site.peer().await;
    media.send("GET", "/live/a/media.m3u8", "").await;
    site.was_asked(4).await;
    // Parts are there, and no segment yet.
    cast.run(1500);
    sleep(Duration::from_millis(10)).await;
    assert!(index.is_silent() && media.is_silent());
    cast.run(1500);
    index.heard("GET").await.playlist();
    assert!(media.heard("GET").await.playlist().contains("#EXTINF:"));
}

#[tokio::test(start_paused = true)]
async fn what_is_old_is_not_shown_as_new_while_the_rest_is_coming_in() {
    let mut cast = Cast::of(Mode::LowLatency, 9);
    cast.set_caught_up(false);
    let site = Site::new(&[("live/a", cast.stream())]);
    let (msn, part) = cast.newest();
    let mut newest = site.peer().await;
    newest.send("GET", "/live/a/media.m3u8", "").await;
    // Another node has more.
    let mut ahead = site.peer().await;
    let path = format!("/live/a/media.m3u8?_HLS_msn={}&_HLS_part=0", msn + 9);
    ahead.send("GET", &path, "").await;
    let epoch = cast.window().segments().next().expect("a segment").epoch();
    let mut file = site.peer().await;
    file.send("GET", &format!("/live/a/{epoch}-{}.m4s", msn + 8), "")
        .await;
    site.was_asked(3).await;
    sleep(Duration::from_secs(8)).await;
    assert!(newest.is_silent() && ahead.is_silent() && file.is_silent());
    // What is there is there.
    let path = format!(
        "/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={}",
        part.expect("a part")
    );
    let mut there = site.peer().await;
    assert_eq!(
        there.get(&path).await.playlist(),
        cast.text(msn, part, false)
    );
    cast.run(18_000);
    assert_eq!(file.heard("GET").await.status, 200);
    assert_eq!(
        ahead.heard("GET").await.playlist(),
        cast.text(msn + 9, Some(0), false)
    );
    assert!(newest.is_silent());
    cast.set_caught_up(true);
    let (msn, part) = cast.newest();
    assert_eq!(
        newest.heard("GET").await.playlist(),
        cast.text(msn, part, false)
    );
}

#[tokio::test]
async fn who_waits_is_told_when_the_server_stops() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let (msn, part) = cast.newest();
    let path = format!(
        "/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={}",
        part.expect("a part") + 1
    );
    let mut waits = site.peer().await;
    waits.send("GET", &path, "").await;
    site.was_asked(1).await;
    let stop = timeout(PATIENCE, site.server.stop());
    let (told, stopped) = tokio::join!(waits.heard("GET"), stop);
    stopped.expect("in time");
    assert_eq!(told.refusal(), (503, "unavailable".to_owned()));
    assert_eq!(told.header("retry-after"), Some("1"));
    assert_eq!(told.header("connection"), Some("close"));
}
