//! What the page says where there is nothing to see, and that it goes on by itself.

use testkit::{Clip, Recipe};
use weir_cluster::{EncoderOptions, Node};

use crate::coded::publish;
use crate::driver::{Browser, Page, Shape};
use crate::{LIMIT, PLAYS, watch};

async fn says(page: &Page<'_>, sentence: &str) {
    let said = format!("document.getElementById('sentence')?.textContent.includes('{sentence}')");
    page.until(&said, LIMIT).await;
}

#[tokio::test]
async fn a_stream_that_comes_and_goes_and_comes_is_played_each_time() {
    let browser = Browser::start().await;
    let node = Node::start(&["publish.grace=0s"]).await;
    for way in ["hls", "flv"] {
        let url = watch(node.http, &format!("live/{way}?via={way}"));
        let page = browser.open(&url, Shape::DESK).await;
        says(&page, &format!("Nobody publishes live/{way}")).await;
        for _ in 0..2 {
            let encoder = publish(&[&node.url(&format!("live/{way}"))]);
            encoder.accepted_times(1, LIMIT).await;
            page.until(PLAYS, LIMIT).await;
            drop(encoder);
            says(&page, "The stream has ended.").await;
        }
        page.close().await;
    }
    browser.close().await;
    node.stopped().await;
}

#[tokio::test]
async fn the_token_of_the_page_is_that_of_the_stream() {
    let browser = Browser::start().await;
    // What pages of others may do is not what the node's own may.
    let node = Node::start(&[
        "auth.static.live/*={ play = \"T&1\" }",
        "http.allow_origins=[\"https://example.org\"]",
    ])
    .await;
    let encoder = publish(&[&node.url("live/cam")]);
    encoder.accepted_times(1, LIMIT).await;
    for way in ["hls", "flv", "ws"] {
        for (query, sentence) in [
            ("", "This stream needs a token."),
            ("&token=x", "This may not be watched with this token."),
            ("&token=T%261", ""),
        ] {
            let url = watch(node.http, &format!("live/cam?via={way}{query}"));
            let page = browser.open(&url, Shape::DESK).await;
            if sentence.is_empty() {
                page.until(PLAYS, LIMIT).await;
                assert_eq!(page.close().await, [""; 0], "{way}");
            } else {
                says(&page, sentence).await;
                page.close().await;
            }
        }
    }
    browser.close().await;
    node.stopped().await;
}

#[tokio::test]
async fn a_codec_that_the_browser_does_not_know_is_named() {
    let browser = Browser::start().await;
    let node = Node::start(&[]).await;
    let clip = Clip::of(Recipe::HEVC_AAC);
    let encoder = EncoderOptions::new(&[&node.url("live/cam")], &clip.tags).start();
    encoder.accepted_times(1, LIMIT).await;
    for way in ["hls", "flv", "ws"] {
        let url = watch(node.http, &format!("live/cam?via={way}"));
        let page = browser.open(&url, Shape::DESK).await;
        says(&page, "This browser cannot play HEVC (H.265).").await;
        page.close().await;
    }
    browser.close().await;
    node.stopped().await;
}
