//! No more wait than may.

use std::time::Duration;

use hls::Mode;
use tokio::time::{sleep, timeout};

use crate::cast::Cast;
use crate::peer::PATIENCE;
use crate::site::{FAR, Site};

#[tokio::test]
async fn who_leaves_while_waiting_frees_its_place() {
    let mut cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::with(&[("live/a", cast.stream())], |web| web.http.waiting = 1);
    let (msn, part) = cast.newest();
    let path = format!(
        "/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={}",
        part.expect("a part") + 1
    );
    let mut first = site.peer().await;
    first.send("GET", &path, "").await;
    site.was_asked(1).await;
    let mut second = site.peer().await;
    let full = second.get(&path).await;
    assert_eq!(full.refusal(), (503, "unavailable".to_owned()));
    assert!(full.text().contains("http.waiting"), "{}", full.text());
    assert!(full.header("retry-after").is_some());
    // The next connection may be to another node.
    assert_eq!(full.header("connection"), Some("close"));
    second.is_left().await;
    let mut second = site.peer().await;
    // What is there takes no place.
    second.get("/live/a/media.m3u8").await.playlist();
    drop(first);
    let waits = async {
        loop {
            second.send("GET", &path, "").await;
            sleep(Duration::from_millis(20)).await;
            if second.is_silent() {
                return;
            }
            assert_eq!(second.heard("GET").await.status, 503);
            second = site.peer().await;
        }
    };
    timeout(PATIENCE, waits).await.expect("the place is free");
    cast.next_part();
    second.heard("GET").await.playlist();
}

#[tokio::test]
async fn who_waits_for_what_another_node_has_takes_a_place() {
    let site = Site::with(&[], |web| web.http.waiting = 1);
    let path = format!("/{FAR}/index.m3u8");
    let mut first = site.peer().await;
    first.send("GET", &path, "").await;
    site.was_asked(1).await;
    let full = site.peer().await.get(&path).await;
    assert_eq!(full.refusal(), (503, "unavailable".to_owned()));
    assert!(full.text().contains("http.waiting"), "{}", full.text());
}
