//! Players of FLV over real sockets, in front of a real node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flv::file::Reader;
use flv::{Kind, Tag};
use node::Watch;
use node::config::{Secret, StaticToken};
use node::status::{Answer, Done, Order, Question, Refusal};
use node::watch::{Refused, Request};
use rtmp::net::{Client, Publisher};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use weir_web::{Check, Config, Server, Source};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

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
        self.0.health().await.active_streams
    }

    async fn checks(&self) -> Vec<Check> {
        self.0.ready().await
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

    async fn may_watch(&self, request: &Request) -> Result<(), Refused> {
        self.0.may_watch(request).await
    }

    async fn hls(&self, request: &node::hls::Request) -> Result<node::hls::Stream, Refused> {
        self.0.hls(request).await
    }

    async fn order(&self, order: Order) -> Result<Done, Refusal> {
        self.0.order_cluster(order).await
    }
}

/// A node with a stream `live/a`.
struct Site {
    node: node::Node,
    http: SocketAddr,
    publisher: Publisher,
    _server: Server,
}

async fn site(change: impl FnOnce(&mut node::Config, &mut Config)) -> Site {
    let mut config = node::Config::default();
    config.rtmp.listen = "127.0.0.1:0".parse().ok();
    // The tests of this process share its processors.
    config.limits.headroom = 1.0;
    let mut web = Config::default();
    web.http.listen = "127.0.0.1:0".parse().ok();
    change(&mut config, &mut web);
    let node = node::Node::start(config).await.expect("a node");
    let host = Arc::new(Host(node.clone()));
    let server = Server::start(&web, host).expect("a server");
    let url = format!("rtmp://{}/live/a", node.addresses()[0].1);
    let url = rtmp::Url::parse(&url).expect("a URL");
    let publisher = Client::default().publish(&url).await.expect("accepted");
    publisher.send(keyframe(0)).await.expect("open");
    let http = server.addresses()[0].1;
    Site {
        node,
        http,
        publisher,
        _server: server,
    }
}

/// A keyframe of Sorenson H.263, which needs no configuration.
fn keyframe(dts: u32) -> Tag {
    Tag::new(Kind::Video, dts, Bytes::from_static(&[0x12, 0, 0, 0x84]))
}

/// One connection.
struct Peer {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    async fn connect(site: &Site) -> Peer {
        let socket = TcpStream::connect(site.http).await.expect("connects");
        let read = Vec::new();
        Peer { socket, read }
    }

    async fn ask(&mut self, method: &str, path: &str, headers: &str) {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: weir\r\n{headers}\r\n");
        let sent = self.socket.write_all(request.as_bytes()).await;
        sent.expect("sends");
    }

    async fn some(&mut self) {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.read));
        let read = read.await.expect("in time").expect("a socket");
        assert!(
            read > 0,
            "more than {:?}",
            String::from_utf8_lossy(&self.read)
        );
    }

    /// The head of an answer: its status, and all of it in small letters.
    async fn head(&mut self) -> (u16, String) {
        loop {
            let ends = |bytes: &[u8]| bytes == b"\r\n\r\n";
            if let Some(end) = self.read.windows(4).position(ends) {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                let head = String::from_utf8(head).expect("a text");
                let status = head.split(' ').nth(1).expect("a status");
                return (status.parse().expect("a number"), head.to_lowercase());
            }
            self.some().await;
        }
    }

    /// A whole answer in JSON.
    async fn answer(&mut self) -> (u16, String, Value) {
        let (status, head) = self.head().await;
        let length = head.split("content-length: ").nth(1).expect("a length");
        let length = length.lines().next().and_then(|it| it.parse().ok());
        let length: usize = length.expect("a number");
        while self.read.len() < length {
            self.some().await;
        }
        let body: Vec<u8> = self.read.drain(..length).collect();
        (status, head, serde_json::from_slice(&body).expect("JSON"))
    }

    /// The first tags of the file that follows in chunks.
    async fn tags(&mut self, count: usize) -> Vec<Tag> {
        let (mut file, mut tags) = (Reader::default(), Vec::new());
        while tags.len() < count {
            let Some(chunk) = self.chunk() else {
                self.some().await;
                continue;
            };
            file.push(&chunk);
            tags.extend(file.pull().expect("a file"));
        }
        tags
    }

    /// The next chunk, once it is whole.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.read.windows(2).position(|it| it == b"\r\n")?;
        let size = std::str::from_utf8(&self.read[..line]).expect("a number");
        let size = usize::from_str_radix(size, 16).expect("a number");
        let (start, end) = (line + 2, line + 2 + size);
        if self.read.len() < end + 2 {
            return None;
        }
        let chunk: Vec<u8> = self.read.drain(..end + 2).collect();
        assert!(chunk.ends_with(b"\r\n"));
        Some(chunk[start..end].to_vec())
    }
}

#[tokio::test]
async fn a_player_gets_the_stream_as_a_file() {
    let site = site(|_, _| {}).await;
    let mut player = Peer::connect(&site).await;
    player.ask("GET", "/live/a.flv?unknown=1", "").await;
    let (status, head) = player.head().await;
    assert_eq!(status, 200);
    for header in [
        "content-type: video/x-flv",
        "cache-control: no-store",
        "connection: close",
        "transfer-encoding: chunked",
        "access-control-allow-origin: *",
        "x-accel-buffering: no",
    ] {
        assert!(
            head.contains(&format!("\r\n{header}\r\n")),
            "{header} in {head}"
        );
    }
    assert_eq!(player.tags(1).await, [keyframe(0)]);
    site.node.drain().await;
}

#[tokio::test]
async fn a_connection_may_have_brought_other_requests_before() {
    let site = site(|_, _| {}).await;
    let mut player = Peer::connect(&site).await;
    // All at once: the answers come first, whole and in their order.
    let asked = [
        "GET /api/ping HTTP/1.1\r\nhost: weir\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nhost: weir\r\n\r\n",
        "GET /live/a.flv HTTP/1.1\r\nhost: weir\r\n\r\n",
    ];
    let sent = player.socket.write_all(asked.concat().as_bytes()).await;
    sent.expect("sends");
    assert_eq!(player.answer().await.0, 200);
    assert_eq!(player.answer().await.0, 404);
    assert_eq!(player.head().await.0, 200);
    assert_eq!(player.tags(1).await, [keyframe(0)]);
    site.publisher.send(keyframe(40)).await.expect("open");
    while player.read.is_empty() {
        player.some().await;
    }
    site.node.drain().await;
}

#[tokio::test]
async fn who_reads_no_answers_gets_them_before_its_stream() {
    let site = site(|_, _| {}).await;
    let mut player = Peer::connect(&site).await;
    // More than all buffers between us take, and a player behind it.
    const MANY: usize = 40_000;
    let ask = "GET /api/ping HTTP/1.1\r\nhost: weir\r\n\r\n";
    let asked = ask.repeat(MANY) + "GET /live/a.flv HTTP/1.1\r\nhost: weir\r\n\r\n";
    let (mut near, mut far) = player.socket.into_split();
    let asks = tokio::spawn(async move {
        far.write_all(asked.as_bytes()).await.expect("sends");
        far
    });
    // Nothing is read until the server can write no more.
    near.readable().await.expect("answers");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut all = Vec::new();
    let file = b"\r\n\r\nd\r\nFLV\x01";
    while !all.ends_with(&[0x12, 0, 0, 0x84, 0, 0, 0, 15, b'\r', b'\n']) {
        let read = timeout(PATIENCE, near.read_buf(&mut all));
        assert!(read.await.expect("in time").expect("a socket") > 0);
    }
    let answers = all.windows(12).filter(|it| it == b"HTTP/1.1 200");
    assert_eq!(answers.count(), MANY + 1);
    assert!(all.windows(file.len()).any(|it| it == file));
    player.socket = near
        .reunite(asks.await.expect("no panic"))
        .expect("one socket");
    site.node.drain().await;
}

#[tokio::test]
async fn refusals_are_answers_like_any_other() {
    let site = site(|config, _| {
        let token = StaticToken::Each {
            publish: None,
            play: Some(Secret::new("secret".to_owned())),
        };
        config.auth.r#static.0.insert("live/a".to_owned(), token);
        let open = StaticToken::Each {
            publish: None,
            play: None,
        };
        config.auth.r#static.0.insert("live/b".to_owned(), open);
    })
    .await;
    for (path, headers, status, code) in [
        ("/live/a.flv", "", 401, "unauthorized"),
        ("/live/a.flv?token=guess", "", 403, "forbidden"),
        (
            "/live/a.flv",
            "authorization: Bearer guess\r\n",
            403,
            "forbidden",
        ),
        ("/live/a.flv?token=secret&tracks=some", "", 400, "invalid"),
        ("/live/b.flv", "", 404, "not_found"),
    ] {
        for method in ["GET", "HEAD"] {
            let mut player = Peer::connect(&site).await;
            player.ask(method, path, headers).await;
            let (answered, head) = match method {
                "GET" => {
                    let (answered, head, body) = player.answer().await;
                    assert_eq!(body["code"], code, "{path}");
                    assert!(body["error"].is_string(), "{path}");
                    (answered, head)
                }
                _ => player.head().await,
            };
            assert_eq!(answered, status, "{method} {path}");
            assert!(head.contains("access-control-allow-origin: *"), "{head}");
        }
    }
    for headers in ["", "authorization: Bearer secret\r\n"] {
        let path = match headers {
            "" => "/live/a.flv?token=secret",
            _ => "/live/a.flv",
        };
        let mut player = Peer::connect(&site).await;
        player.ask("HEAD", path, headers).await;
        let (status, head) = player.head().await;
        assert!(status == 200 && head.contains("video/x-flv"), "{head}");
        assert!(
            !head.contains("content-length"),
            "as long as the stream: {head}"
        );
        player.ask("GET", path, headers).await;
        assert_eq!(player.head().await.0, 200);
    }
    site.node.drain().await;
}

#[tokio::test]
async fn a_full_node_says_when_to_come_back() {
    let site = site(|config, _| config.limits.viewers_per_stream = 1).await;
    let mut first = Peer::connect(&site).await;
    first.ask("GET", "/live/a.flv", "").await;
    assert_eq!(first.head().await.0, 200);
    let mut second = Peer::connect(&site).await;
    second.ask("GET", "/live/a.flv", "").await;
    let (status, head, body) = second.answer().await;
    assert_eq!((status, &body["code"]), (503, &"unavailable".into()));
    let after = head.split("retry-after: ").nth(1).expect("when");
    let after = after.lines().next().and_then(|it| it.parse::<u64>().ok());
    assert!(
        after.is_some_and(|after| (1..=6).contains(&after)),
        "{head}"
    );
    site.node.drain().await;
}

/// The key of RFC 6455 1.3.
const UPGRADE: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn a_websocket_brings_a_message_for_each_tag() {
    let site = site(|_, _| {}).await;
    let mut player = Peer::connect(&site).await;
    player.ask("GET", "/live/a.flv", UPGRADE).await;
    let (status, head) = player.head().await;
    assert_eq!(status, 101);
    let proof = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_lowercase();
    assert!(head.contains(&proof), "{head}");
    // The head of the file is 13 bytes, the keyframe 19.
    while player.read.len() < 2 + 13 + 2 + 19 {
        player.some().await;
    }
    let heads = (&player.read[..5], &player.read[15..17]);
    assert_eq!(heads, (&b"\x82\x0dFLV"[..], &b"\x82\x13"[..]));
    // A ping, and its answer.
    player.read.clear();
    let ping = [0x89, 0x81, 0, 0, 0, 0, b'x'];
    player.socket.write_all(&ping).await.expect("sends");
    while player.read.len() < 3 {
        player.some().await;
    }
    assert_eq!(player.read, b"\x8a\x01x");
    site.node.drain().await;
}

#[tokio::test]
async fn a_websocket_that_cannot_be_is_refused_as_http_refuses() {
    let site = site(|_, web| {
        web.http.allow_origins = vec!["https://a.org".to_owned()];
    })
    .await;
    for (path, headers, status) in [
        ("/live/b.flv", UPGRADE.to_owned(), 404),
        ("/live/a.flv", UPGRADE.replace("13", "8"), 426),
        ("/live/a.flv", UPGRADE.replace("dGhl", ""), 400),
        (
            "/live/a.flv",
            format!("{UPGRADE}origin: https://b.org\r\n"),
            403,
        ),
        (
            "/live/a.flv",
            format!("{UPGRADE}origin: https://a.org\r\n"),
            101,
        ),
        ("/live/a.flv", UPGRADE.to_owned(), 101),
    ] {
        let mut player = Peer::connect(&site).await;
        player.ask("GET", path, &headers).await;
        assert_eq!(player.head().await.0, status, "{path} {headers}");
    }
    site.node.drain().await;
}

#[tokio::test]
async fn pages_learn_whether_they_may() {
    let site = site(|_, web| {
        web.http.allow_origins = vec!["https://a.org".to_owned()];
    })
    .await;
    let mut peer = Peer::connect(&site).await;
    for (method, path, status) in [
        ("OPTIONS", "/live/a.flv", 204),
        ("HEAD", "/live/a.flv", 200),
        ("POST", "/live/a.flv", 405),
        ("GET", "/live/a.flv", 200),
    ] {
        let headers = "origin: https://a.org\r\ncontent-length: 0\r\n";
        peer.ask(method, path, headers).await;
        let (answered, head) = match status {
            405 => {
                let (answered, head, _) = peer.answer().await;
                (answered, head)
            }
            _ => peer.head().await,
        };
        assert_eq!(answered, status, "{method}");
        let allowed = "access-control-allow-origin: https://a.org";
        assert_eq!(head.contains(allowed), status != 405, "{method}: {head}");
        assert_eq!(
            head.contains("vary: origin"),
            status != 405,
            "{method}: {head}"
        );
    }
    let mut other = Peer::connect(&site).await;
    other
        .ask("GET", "/live/a.flv", "origin: https://b.org\r\n")
        .await;
    let (status, head) = other.head().await;
    assert_eq!(status, 200, "a browser keeps it from the page");
    assert!(!head.contains("access-control-allow-origin"), "{head}");
    site.node.drain().await;
}

#[tokio::test]
async fn operators_have_a_listener_without_players() {
    let site = site(|_, web| web.admin.listen = "127.0.0.1:0".parse().ok()).await;
    let admin = site._server.addresses()[1].1;
    let socket = TcpStream::connect(admin).await.expect("connects");
    let mut peer = Peer {
        socket,
        read: Vec::new(),
    };
    peer.ask("GET", "/live/a.flv", "").await;
    assert_eq!(peer.answer().await.0, 404);
    site.node.drain().await;
}
