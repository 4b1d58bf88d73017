//! HTTP-FLV and WebSocket-FLV by mpegts.js, on the page.

use std::time::Duration;

use weir_cluster::Node;

use crate::coded::{ages, publish};
use crate::driver::{Browser, Shape};
use crate::{LIMIT, PLAYS, watch};

#[tokio::test]
async fn flv_plays_less_than_a_second_behind() {
    let browser = Browser::start().await;
    let node = Node::start(&[]).await;
    let encoder = publish(&[&node.url("live/cam")]);
    encoder.accepted_times(1, LIMIT).await;
    for way in ["flv", "ws"] {
        let url = watch(node.http, &format!("live/cam?via={way}"));
        let page = browser.open(&url, Shape::DESK).await;
        page.until(PLAYS, LIMIT).await;
        let ages = ages(&page, &encoder, Duration::from_secs(6)).await;
        let figures = page.look("weir.figures()").await;
        println!(
            "{way}: {:.2} s, at most {:.2} s; {figures}",
            ages.mean(),
            ages.most()
        );
        assert!(ages.mean() < 1.0, "{way}: {ages:?}");
        assert_eq!(figures["plays"], 1, "{way}: {figures}");
        assert_eq!(figures["stalls"], 0, "{way}: {figures}");
        assert_eq!(figures["errors"]["fatal"], 0, "{way}: {figures}");
        assert_eq!(page.close().await, [""; 0], "{way}");
    }
    let players = ["flv", "ws-flv"]
        .map(|protocol| format!("weir_connections_total{{protocol=\"{protocol}\"}}"));
    for player in players {
        assert_eq!(node.metric(&player).await, 1.0, "{player}");
    }
    browser.close().await;
    node.stopped().await;
}
