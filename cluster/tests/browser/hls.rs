//! LL-HLS by hls.js, on the page.

use std::net::SocketAddr;
use std::time::Duration;

use weir_cluster::{Builder, Cluster, Encoder, Node};

use crate::coded::{ages, publish};
use crate::driver::{Browser, Shape};
use crate::{LIMIT, PLAYS, watch};

/// How far behind pictures may be on the average, in seconds: parts have 200 ms.
const BEHIND: f64 = 1.5;
/// How long the first picture may take, in seconds, where the stream is there already. Three edges as they are built for
/// tests, and a browser, on two processors: that is no measure.
const FIRST: f64 = if cfg!(debug_assertions) { 2.0 } else { 1.0 };

#[tokio::test]
async fn low_latency_hls_plays_from_one_node() {
    let browser = Browser::start().await;
    let node = Node::start(&[]).await;
    let encoder = publish(&[&node.url("live/cam")]);
    encoder.accepted_times(1, LIMIT).await;
    plays_well(&browser, &encoder, node.http, Duration::from_secs(8)).await;
    browser.close().await;
    node.stopped().await;
}

#[tokio::test]
async fn it_plays_from_edges_that_alternate_by_request() {
    let browser = Browser::start().await;
    let cluster = cluster().start().await;
    let encoder = publish(&[&cluster.balancer().ingest_url("live/cam?token=T")]);
    encoder.accepted_times(1, LIMIT).await;
    let balancer = cluster.balancer().http;
    plays_well(&browser, &encoder, balancer, Duration::from_secs(15)).await;
    for edge in cluster.edges() {
        let requests = edge.sum("weir_hls_requests_total").await;
        assert!(requests > 20.0, "{} had {requests}", edge.name());
    }
    browser.close().await;
}

#[tokio::test]
#[ignore = "takes five minutes"]
async fn it_plays_so_for_five_minutes() {
    let browser = Browser::start().await;
    let cluster = cluster().start().await;
    let encoder = publish(&[&cluster.balancer().ingest_url("live/cam?token=T")]);
    encoder.accepted_times(1, LIMIT).await;
    let balancer = cluster.balancer().http;
    plays_well(&browser, &encoder, balancer, Duration::from_secs(300)).await;
    browser.close().await;
}

#[tokio::test]
async fn a_page_goes_on_when_the_encoder_comes_back_to_another_origin() {
    let browser = Browser::start().await;
    let cluster = cluster().start().await;
    let [o1, o2] = ["o1", "o2"].map(|name| cluster.node(name));
    // With a token it is known for the same encoder, which may take its stream over at once.
    let [first, second] = [o1, o2].map(|origin| origin.url("live/cam?token=T"));
    let encoder = publish(&[&first, &second]);
    encoder.accepted_times(1, LIMIT).await;
    let url = watch(cluster.balancer().http, "live/cam");
    let page = browser.open(&url, Shape::DESK).await;
    page.until(PLAYS, LIMIT).await;
    page.look("window.witness = true").await;

    o1.kill().await;
    encoder.accepted_times(2, LIMIT).await;
    // Pictures tell when they were taken.
    let now = page.look("Date.now()").await;
    let fresh = format!("Date.now() - weir.figures().byClock * 1000 > {now}");
    page.until(&fresh, LIMIT).await;
    let ages = ages(&page, &encoder, Duration::from_secs(5)).await;
    let figures = page.look("weir.figures()").await;
    println!("{:.2} s after a take-over; {figures}", ages.mean());
    assert!(ages.mean() < BEHIND, "{ages:?} {figures}");
    assert_eq!(
        page.look("window.witness").await,
        true,
        "the page was not loaded anew"
    );
    browser.close().await;
}

fn cluster() -> Builder {
    Cluster::builder()
        .etcd(1)
        .origins(2)
        .edges(3)
        .balanced()
        .set("auth.static.live/*={ publish = \"T\" }")
}

/// A page that finds the stream there plays it as it should be.
async fn plays_well(browser: &Browser, encoder: &Encoder, at: SocketAddr, time: Duration) {
    let url = watch(at, "live/cam");
    // The first of them finds edges that have to fetch the stream. What else this machine does must not count.
    let mut first = f64::MAX;
    for _ in 0..3 {
        let page = browser.open(&url, Shape::DESK).await;
        page.until(PLAYS, LIMIT).await;
        let took = page.look("weir.figures().firstFrame").await;
        first = first.min(took.as_f64().expect("a time"));
        assert_eq!(page.close().await, [""; 0]);
    }
    assert!(first < FIRST, "the first picture took {first} s");

    let page = browser.open(&url, Shape::DESK).await;
    page.until(PLAYS, LIMIT).await;
    let ages = ages(&page, encoder, time).await;
    let figures = page.look("weir.figures()").await;
    println!(
        "{first:.2} s to the first picture, {:.2} s behind, at most {:.2} s; {figures}",
        ages.mean(),
        ages.most()
    );
    assert!(ages.mean() < BEHIND, "{ages:?} {figures}");
    assert!(figures["latency"].as_f64() < Some(BEHIND), "{figures}");
    assert_eq!(figures["plays"], 1, "{figures}");
    assert_eq!(figures["stalls"], 0, "{figures}");
    for errors in ["fatal", "stalls"] {
        assert_eq!(figures["errors"][errors], 0, "{figures}");
    }
    assert_eq!(page.close().await, [""; 0]);
}
