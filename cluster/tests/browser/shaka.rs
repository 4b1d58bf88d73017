//! LL-HLS by Shaka Player, which the page does not have.

use std::time::Duration;

use weir_cluster::Node;

use crate::LIMIT;
use crate::coded::{ages, publish};
use crate::driver::{Browser, Shape};

const START: &str = r#"(async () => {
    const video = document.createElement("video");
    Object.assign(video, { muted: true, autoplay: true });
    document.body.append(video);
    window.player = new shaka.Player();
    window.errors = [];
    player.addEventListener("error", ({ detail }) => errors.push(`${detail.code} ${detail.data}`));
    player.configure({ streaming: { lowLatencyMode: true, liveSync: { enabled: true } } });
    try {
        await player.attach(video);
        await player.load("URL");
    } catch (error) {
        throw new Error(`${error} ${error.code} ${error.data} ${error.stack}`);
    }
})()"#;

#[tokio::test]
async fn shaka_player_plays_low_latency_hls() {
    let browser = Browser::start().await;
    let node = Node::start(&[]).await;
    let encoder = publish(&[&node.url("live/cam")]);
    encoder.accepted_times(1, LIMIT).await;
    // A document of the node, whatever is in it: browsers let strange ones not ask this machine.
    let page = browser
        .open(&format!("http://{}/health", node.http), Shape::DESK)
        .await;
    page.run("node_modules/shaka-player/dist/shaka-player.compiled.js")
        .await;
    // It fails where there is little more than one segment: it looks for captions in what is not there yet.
    let lists = "fetch('/live/cam/media.m3u8').then((it) => it.text()).then((it) => it.split('#EXTINF').length > 3)";
    page.until(lists, LIMIT).await;
    let url = format!("http://{}/live/cam/index.m3u8", node.http);
    page.look(&START.replace("URL", &url)).await;
    page.until(
        "document.querySelector('video').currentTime > 0 && !player.isBuffering()",
        LIMIT,
    )
    .await;
    // It catches up with live by and by.
    let stats = "(({ stallsDetected, gapsJumped, liveLatency, bufferingTime, estimatedBandwidth }) => \
                 ({ stallsDetected, gapsJumped, liveLatency, bufferingTime, estimatedBandwidth }))(player.getStats())";
    let ages = ages(&page, &encoder, Duration::from_secs(10)).await;
    let stats = page.look(stats).await;
    println!(
        "{:.2} s, at most {:.2} s; {stats}",
        ages.mean(),
        ages.most()
    );
    assert!(ages.mean() < 3.0, "{ages:?}");
    assert_eq!(stats["stallsDetected"], 0, "{stats}");
    assert_eq!(page.look("errors.join()").await, "");
    page.close().await;
    browser.close().await;
    node.stopped().await;
}
