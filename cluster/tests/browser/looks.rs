//! The page itself: on a phone and on a desk, in light and dark.

use weir_cluster::Node;

use crate::coded::publish;
use crate::driver::{Browser, Shape};
use crate::{LIMIT, PLAYS, watch};

/// What reaches over the edges of the window.
const TOO_WIDE: &str = "[...document.querySelectorAll('body *')]\
    .filter((it) => it.getBoundingClientRect().right > innerWidth + 1)\
    .map((it) => it.outerHTML.slice(0, 80)).join()";

/// What a keyboard reaches, in order.
const REACHED: &str = "[...document.querySelectorAll('button, input, video, a')]\
    .filter((it) => it.checkVisibility() && it.tabIndex >= 0 && !it.disabled)\
    .map((it) => it.ariaLabel ?? it.labels?.[0]?.textContent ?? it.textContent).join('; ')";

#[tokio::test]
async fn the_page_fits_a_phone_and_a_desk() {
    let browser = Browser::start().await;
    let node = Node::start(&[]).await;
    let long =
        "live/a-name-of-some-length/that-goes-on-and-on-without-a-place-to-break-it-anywhere";
    let encoder = publish(&[&node.url(long)]);
    encoder.accepted_times(1, LIMIT).await;
    let nobody = "window.weir?.figures().state === 'waiting'";
    let chooses = "document.activeElement.id === 'stream'";
    for (name, shape) in [("desk", Shape::DESK), ("phone", Shape::PHONE)] {
        for (what, path, ready) in [
            ("plays", long, PLAYS),
            ("waits", "live/nobody", nobody),
            ("asks", "", chooses),
        ] {
            let page = browser.open(&watch(node.http, path), shape).await;
            page.until(ready, LIMIT).await;
            page.picture(&format!("{name}-{what}")).await;
            assert_eq!(page.look(TOO_WIDE).await, "", "{name} {what}");
            let scrolls = "document.documentElement.scrollWidth > innerWidth";
            assert_eq!(page.look(scrolls).await, false, "{name} {what}");
            let dark = "getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128";
            assert_eq!(page.look(dark).await, shape.dark, "{name} {what}");
            if what == "plays" {
                let reached = page.look(REACHED).await;
                let reached = reached.as_str().expect("a text").to_owned();
                for control in [
                    "Live picture of",
                    "Unmute",
                    "LL-HLS",
                    "HTTP-FLV",
                    "WebSocket",
                ] {
                    assert!(reached.contains(control), "{control} in {reached}");
                }
                assert_eq!(page.close().await, [""; 0], "{name}");
            }
        }
    }
    browser.close().await;
    node.stopped().await;
}

#[tokio::test]
async fn who_watches_may_have_sound_and_another_way_and_be_live_again() {
    let browser = Browser::start().await;
    let node = Node::start(&[]).await;
    let encoder = publish(&[&node.url("live/cam")]);
    encoder.accepted_times(1, LIMIT).await;
    let page = browser
        .open(&watch(node.http, "live/cam"), Shape::PHONE)
        .await;
    page.until(PLAYS, LIMIT).await;
    let muted = page.look("document.querySelector('video').muted").await;
    assert_eq!(muted, true);
    page.look("document.getElementById('unmute').click()").await;
    let sounds =
        "!document.querySelector('video').muted && document.getElementById('unmute').hidden";
    page.until(sounds, LIMIT).await;

    page.look("document.querySelector('video').pause()").await;
    page.until("weir.figures().latency > 6", LIMIT).await;
    page.look("document.querySelector('video').play()").await;
    page.until("!document.getElementById('live').hidden", LIMIT)
        .await;
    page.look("document.getElementById('live').click()").await;
    page.until("weir.figures().latency < 2", LIMIT).await;
    page.until("document.getElementById('live').hidden", LIMIT)
        .await;

    page.look("document.querySelector('input[value=ws]').click()")
        .await;
    let other = "weir.figures().plays === 2 && weir.figures().state === 'playing' && location.search === '?via=ws'";
    page.until(other, LIMIT).await;
    assert_eq!(page.close().await, [""; 0]);
    browser.close().await;
    node.stopped().await;
}
