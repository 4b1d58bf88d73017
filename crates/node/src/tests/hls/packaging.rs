//! From the first who asks on.

use super::*;
use crate::stream;

#[tokio::test]
async fn nothing_is_packaged_until_somebody_asks_who_then_gets_a_full_window() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..31).await;
    assert!(!is_packaged(&node, "a"));
    let stream = ask(&node, "a").await;
    assert!(is_packaged(&node, "a"));
    let first = full(&stream).await;
    let text = listed(&first).expect("exact");
    assert!(
        text.contains("#EXT-X-PART:DURATION=") && text.contains("#EXT-X-MAP:"),
        "{text}"
    );
    assert_eq!(first.mode(), ::hls::Mode::LowLatency);
    assert_eq!(first.target(), Duration::from_secs(2));
    let begins = first.multivariant().expect("tracks");
    assert!(
        begins.text().contains("CODECS=\"avc1.64001F,mp4a.40.2\"")
            || begins.text().contains("CODECS=\"avc1.64001f,mp4a.40.2\""),
        "{}",
        begins.text()
    );

    // Who waits hears of what comes, and all hear the same.
    let newest = first.window().newest();
    let next = view(&stream, "a newer version", |view| {
        view.window().newest() > newest
    });
    let (next, ()) = tokio::join!(next, send(&publisher, 31..32));
    let version = next.window().newest().expect("it is newer");
    let (one, other) = (
        next.media(version, false),
        stream.now().media(version, false),
    );
    let (one, other) = (one.expect("there"), other.expect("there"));
    assert!(Arc::ptr_eq(&one, &other) || one.text() == other.text());
    assert!(same(&first, &next) > 100);
    node.drain().await;
}

#[tokio::test]
async fn a_publisher_that_comes_back_goes_on_behind_a_discontinuity() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..13).await;
    let stream = ask(&node, "a").await;
    let before = view(&stream, "segments", |view| {
        view.window().segments().count() >= 6
    })
    .await;
    drop(publisher);
    let again = publish(&node, "a").await;
    send(&again, 0..5).await;
    let after = view(&stream, "the next publish", |view| {
        listed(view).is_some_and(|text| text.contains("#EXT-X-DISCONTINUITY\n"))
    })
    .await;
    let (old, new) = (
        listed(&before).expect("exact"),
        listed(&after).expect("exact"),
    );
    assert_eq!(sequence(&old), sequence(&new), "the window is not full yet");
    let numbers: Vec<_> = after.window().segments().map(|it| it.msn()).collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{numbers:?}"
    );
    assert!(same(&before, &after) > 50);
    node.drain().await;
}

#[tokio::test]
async fn a_packager_that_fails_begins_anew_and_requests_go_on() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..31).await;
    let stream = ask(&node, "a").await;
    let before = full(&stream).await;
    tell(
        &node,
        Message::ToStream(key("a"), stream::Message::PanicPackager),
    );
    // What there was is there all the while.
    send(&publisher, 31..33).await;
    let newest = before.window().newest();
    let after = view(&stream, "what came since", |view| {
        assert!(view.window().newest().is_none() || same(&before, view) > 0);
        view.window().newest() > newest && view.is_caught_up()
    })
    .await;
    assert!(same(&before, &after) > 100);
    assert!(!stream.is_over());
    // The stream itself, and those who play it in other ways, have heard nothing of it.
    let mut player = play(&node, "a").await;
    expect_tag(&mut player, 32_000).await;
    node.drain().await;
}

#[tokio::test]
async fn a_large_segment_is_left_out_and_the_next_ones_are_not() {
    let node = node(|config| config.hls.max_segment_bytes = 6000).await;
    let publisher = publish(&node, "a").await;
    send(&publisher, 0..4).await;
    // Its pictures take much more.
    let mut large = picture(4000).payload.to_vec();
    large.resize(9 + 20_000, 0);
    large[5..9].copy_from_slice(&20_000_u32.to_be_bytes());
    publisher
        .send(Tag::new(Kind::Video, 4000, large.into()))
        .await
        .expect("open");
    let stream = ask(&node, "a").await;
    let seen = view(&stream, "the first segment", |view| {
        view.window().newest().is_some()
    })
    .await;
    let first = seen.window().segments().next().expect("a segment").msn();
    send(&publisher, 5..12).await;
    let seen = view(&stream, "those behind", |view| {
        let mut newest = view.window().segments().rev();
        newest.any(|segment| segment.is_whole() && segment.msn() > first + 2)
    })
    .await;
    let torn = seen
        .window()
        .segments()
        .filter(|segment| !segment.is_whole());
    // The one that was left out, and the newest, which is still coming.
    assert_eq!(torn.count(), 2);
    node.drain().await;
}
