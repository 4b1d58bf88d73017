//! A stream that goes on at another origin.

use super::super::cluster::{Cluster, NEVER, with_token};
use super::*;

/// Of a window that goes on: the publish before, and the one behind.
fn goes_on(view: &View, last: u64) -> bool {
    let text = listed(view).unwrap_or_default();
    let is_whole = |msn| {
        view.window()
            .segments()
            .any(|it| it.msn() == msn && it.is_whole())
    };
    text.contains("#EXT-X-DISCONTINUITY\n") && is_whole(last) && is_whole(last + 1)
}

#[tokio::test]
async fn the_window_goes_over_to_another_origin_and_to_edges_that_come_later() {
    let cluster = Cluster::new(|_, config| {
        with_token(config);
        (config.publish.silence, config.publish.grace) = (NEVER, NEVER);
    })
    .await;
    let first = cluster.o1.publish("a?token=token").await;
    send(&first, 0..29).await;
    // One edge is there all the while.
    let o1 = ask(&cluster.o1.node, "a").await;
    let before = full(&o1).await;
    let last = before.window().segments().next_back().expect("one").msn();

    let second = cluster.o2.publish("a?token=token").await;
    send(&second, 0..5).await;
    // Who asks where it was gets it from where it is.
    let o1 = view(&o1, "it goes on", |view| goes_on(view, last)).await;
    cluster.e1.hears_of("a", "o2").await;
    let late = ask(&cluster.e1.node, "a").await;
    let late = view(&late, "the same", |view| {
        view.is_caught_up() && goes_on(view, last)
    })
    .await;
    let o2 = ask(&cluster.o2.node, "a").await;
    let o2 = view(&o2, "the same", |view| {
        view.is_caught_up() && goes_on(view, last)
    })
    .await;
    let (of_o1, of_o2, of_late) = (listed(&o1), listed(&o2), listed(&late));
    assert!(of_o1.is_some() && of_o2.is_some() && of_late.is_some());
    for view in [&o1, &late] {
        assert!(same(view, &o2) > 120);
    }
    let text = of_late.expect("exact");
    assert!(text.matches("#EXTINF").count() >= 10, "{text}");
    cluster.drain().await;
    drop((first, second));
}

/// A stream that is still packaged though nobody watches, and goes on where that is made of it.
async fn moves_without_viewers(then: Option<::hls::Mode>) {
    let cluster = Cluster::new(|name, config| {
        with_token(config);
        config.hls.segment = Duration::from_millis(500);
        if name == "o2" {
            config.hls.mode = then;
        }
    })
    .await;
    let first = cluster.o1.publish("a?token=token").await;
    send(&first, 0..5).await;
    let stream = ask(&cluster.o1.node, "a").await;
    view(&stream, "something", |view| view.window().is_playable()).await;
    until("the viewer has gone", async || {
        cluster.o1.viewers("a").await.is_empty()
    })
    .await;
    assert!(is_packaged(&cluster.o1.node, "a"));
    let second = cluster.o2.publish("a?token=token").await;
    send(&second, 0..5).await;
    until("it is not here any more", async || stream.is_over()).await;
    assert!(!stream.now().window().has_ended());
    drop((first, second));
    cluster.drain().await;
}

#[tokio::test]
async fn a_stream_that_moves_has_no_end_where_it_was() {
    moves_without_viewers(Some(::hls::Mode::LowLatency)).await;
}

#[tokio::test]
async fn nor_if_nobody_takes_its_window_over() {
    moves_without_viewers(None).await;
}
