//! A node that leaves, in front of which players should not stay.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flv::{Kind, Tag};
use hls::Mode;
use node::Watch;
use node::hls::{Request, Stream};
use node::status::{Answer, Done, Order, Question, Refusal};
use node::watch::{self, Refused};
use rtmp::net::{Client, Publisher};
use tokio::time::{sleep, timeout};
use weir_web::{Check, Config, Server, Source};

use crate::cast::Cast;
use crate::http2::Sender;
use crate::peer::{PATIENCE, Peer};
use crate::site::Site;

/// A node, as the web sees it.
struct Host(node::Node);

impl Source for Host {
    fn node_id(&self) -> &str {
        self.0.id()
    }

    fn role(&self) -> &'static str {
        "all"
    }

    async fn active_streams(&self) -> u64 {
        0
    }

    async fn checks(&self) -> Vec<Check> {
        Vec::new()
    }

    fn metrics(&self) -> String {
        String::new()
    }

    fn admin_key(&self) -> Option<&str> {
        None
    }

    async fn ask(&self, question: Question) -> Result<Answer, Refusal> {
        self.0.ask_cluster(question).await
    }

    fn watch(&self, watch: Watch) {
        self.0.watch(watch);
    }

    async fn may_watch(&self, request: &watch::Request) -> Result<(), Refused> {
        self.0.may_watch(request).await
    }

    async fn hls(&self, request: &Request) -> Result<Stream, Refused> {
        self.0.hls(request).await
    }

    async fn order(&self, order: Order) -> Result<Done, Refusal> {
        self.0.order_cluster(order).await
    }
}

/// Some seconds of sound.
async fn publish(node: &node::Node) -> Publisher {
    let url = format!("rtmp://{}/live/a", node.addresses()[0].1);
    let url = rtmp::Url::parse(&url).expect("a URL");
    let publisher = Client::default().publish(&url).await.expect("accepted");
    let record = Tag::new(Kind::Audio, 0, Bytes::from_static(&[0xaf, 0, 0x11, 0x90]));
    publisher.send(record).await.expect("open");
    for frame in 0..300 {
        let payload = Bytes::from_static(&[0xaf, 1, 0x21, 0x10, 4]);
        let tag = Tag::new(Kind::Audio, frame * 64 / 3, payload);
        publisher.send(tag).await.expect("open");
    }
    publisher
}

#[tokio::test]
async fn who_is_answered_by_a_node_that_leaves_asks_another_next() {
    let mut config = node::Config::default();
    config.rtmp.listen = "127.0.0.1:0".parse().ok();
    config.limits.headroom = 1.0;
    let mut web = Config::default();
    web.http.listen = "127.0.0.1:0".parse().ok();
    let node = node::Node::start(config).await.expect("a node");
    let _publisher = publish(&node).await;
    let server = Server::start(&web, Arc::new(Host(node.clone()))).expect("a server");
    let mut player = Peer::connect(server.addresses()[0].1).await;
    let media = player.get("/live/a/media.m3u8").await;
    assert!(media.playlist().contains("#EXTINF:"));
    assert_eq!(media.header("connection"), None);
    let mut other = Sender::at(server.addresses()[0].1).await;
    assert_eq!(
        other.ask("GET", "/live/a/media.m3u8", &[]).await.status(),
        200
    );
    let drain = tokio::spawn({
        let node = node.clone();
        async move { node.drain().await }
    });
    let told = async {
        loop {
            let mut player = Peer::connect(server.addresses()[0].1).await;
            let media = player.get("/live/a/media.m3u8").await;
            // Who was there before is served to the end.
            media.playlist();
            if media.header("connection") == Some("close") {
                return player;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let mut player = timeout(PATIENCE, told).await.expect("in time");
    player.is_left().await;
    // By HTTP/2 that is said beside an answer, whatever it is.
    other.ask("GET", "/live/a/media.m3u8", &[]).await;
    other.is_left().await;
    timeout(PATIENCE, drain)
        .await
        .expect("in time")
        .expect("no panic");
}

#[tokio::test]
async fn whose_stream_is_over_is_looked_up_once_more() {
    let (cast, later) = (Cast::new(Mode::LowLatency), Cast::of(Mode::LowLatency, 9));
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    player.send("GET", "/live/a/media.m3u8", "").await;
    site.was_asked(1).await;
    site.set("live/a", later.stream());
    drop(cast);
    let (msn, part) = later.newest();
    let media = player.heard("GET").await;
    assert_eq!(media.playlist(), later.text(msn, part, false));
    // Once and no more.
    let cast = Cast::new(Mode::LowLatency);
    site.set("live/b", cast.stream());
    drop(cast);
    let refused = player.get("/live/b/media.m3u8").await;
    assert_eq!(refused.refusal(), (404, "not_found".to_owned()));
    assert_eq!(site.asked().len(), 4);
}
