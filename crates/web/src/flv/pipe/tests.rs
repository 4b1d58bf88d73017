//! What comes out of a pipe.

use std::sync::Arc;
use std::time::Duration;

use axum::body::BodyDataStream;
use futures::StreamExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use media::StreamKey;
use node::status::{self, Answer, Done, Order, Question};
use node::watch;
use rtmp::net::{Client, Publisher};
use tokio::time::timeout;

use super::*;
use crate::cors::Cors;
use crate::hls::Desk;
use crate::phase::{Phase, Phases};
use crate::routes::{Check, Face, router};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

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

    async fn ask(&self, question: Question) -> Result<Answer, status::Refusal> {
        self.0.ask_cluster(question).await
    }

    fn watch(&self, watch: Watch) {
        self.0.watch(watch);
    }

    async fn may_watch(&self, request: &watch::Request) -> Result<(), Refused> {
        self.0.may_watch(request).await
    }

    async fn hls(&self, request: &node::hls::Request) -> Result<node::hls::Stream, Refused> {
        self.0.hls(request).await
    }

    async fn order(&self, order: Order) -> Result<Done, status::Refusal> {
        self.0.order_cluster(order).await
    }
}

/// A node with a stream `live/a`, and its routes.
struct Site {
    node: node::Node,
    publisher: Publisher,
    tag: flv::Tag,
    routes: TowerToHyperService<axum::Router>,
    _stop: tokio::sync::watch::Sender<Phase>,
}

impl Site {
    async fn start() -> Self {
        let mut config = node::Config::default();
        config.rtmp.listen = "127.0.0.1:0".parse().ok();
        config.limits.headroom = 1.0;
        config.publish.grace = Duration::ZERO;
        let node = node::Node::start(config).await.expect("a node");
        let url = format!("rtmp://{}/live/a", node.addresses()[0].1);
        let url = rtmp::Url::parse(&url).expect("a URL");
        let publisher = Client::default().publish(&url).await.expect("accepted");
        // A keyframe of Sorenson H.263, which needs no configuration.
        let payload = Bytes::from_static(&[0x12, 0, 0, 0x84]);
        let tag = flv::Tag::new(flv::Kind::Video, 0, payload);
        publisher.send(tag.clone()).await.expect("open");
        let cors = Arc::new(Cors::new(&["*".to_owned()]));
        let (stop, phases) = Phases::new();
        let desk = Arc::new(Desk::new(0, phases));
        let routes = router(Face::All, Arc::new(Host(node.clone())), cors, desk);
        Self {
            node,
            publisher,
            tag,
            routes: TowerToHyperService::new(routes),
            _stop: stop,
        }
    }

    async fn ask(&self, path: &str) -> Response {
        let request = axum::http::Request::get(path).body(Body::empty());
        let answer = timeout(PATIENCE, self.routes.call(request.expect("a request"))).await;
        answer.expect("in time").expect("an answer")
    }

    /// A player that has got all there is so far.
    async fn player(&self) -> BodyDataStream {
        let answer = self.ask("/live/a.flv").await;
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("connection"));
        let (mut body, mut file) = (answer.into_body().into_data_stream(), Vec::new());
        let mut whole = BytesMut::from(&b"FLV\x01\x01\0\0\0\x09\0\0\0\0"[..]);
        flv::write_tag(&self.tag, 0, &mut whole);
        while file.len() < whole.len() {
            file.extend(next(&mut body).await.expect("more").expect("bytes"));
        }
        assert_eq!(file, whole);
        body
    }
}

async fn next(body: &mut BodyDataStream) -> Option<Result<Bytes, axum::Error>> {
    timeout(PATIENCE, body.next()).await.expect("in time")
}

#[tokio::test]
async fn who_shares_a_connection_gets_the_same_bytes() {
    let site = Site::start().await;
    let absent = site.ask("/live/b.flv").await;
    assert_eq!(absent.status(), 404);
    assert_eq!(absent.headers()["content-type"], "application/json");
    let body = site.player().await;
    drop(body);
    let left = async {
        while site.node.connections().await > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, left).await.expect("the player has left");
    site.node.drain().await;
}

#[tokio::test]
async fn a_stream_that_ends_is_told_from_one_that_breaks_off() {
    let site = Site::start().await;
    let mut broken = site.player().await;
    let question = Question::Subscribers(StreamKey::parse("live/a").expect("a key"));
    let answer = site.node.ask_cluster(question).await.expect("an answer");
    let Answer::Subscribers(there) = answer else {
        panic!("not what was asked")
    };
    let order = Order::Disconnect {
        key: StreamKey::parse("live/a").expect("a key"),
        subscriber: there.subscribers[0].id.clone(),
    };
    site.node.order_cluster(order).await.expect("done");
    assert!(matches!(next(&mut broken).await, Some(Err(_))));
    assert!(next(&mut broken).await.is_none());

    let mut whole = site.player().await;
    site.publisher.finish().await.expect("said goodbye");
    assert!(next(&mut whole).await.is_none());
    site.node.drain().await;
}
