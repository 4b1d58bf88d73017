//! `/api/v1` over a real socket, in front of a node that is made up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use media::StreamKey;
use node::Watch;
use node::status::{
    Answer, Done, Draining, Found, Nodes, Order, Question, Refusal, RefusalKind, Stopped, Stream,
    Streams, Subscribers, Until, Warm, Why,
};
use node::watch::{Refused, Request};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_web::{Check, Config, Server, Source};

/// Remembers what it was asked and told.
#[derive(Default)]
struct Stub {
    key: Option<&'static str>,
    questions: Mutex<Vec<Question>>,
    orders: Mutex<Vec<Order>>,
}

impl Source for Stub {
    fn node_id(&self) -> &str {
        "node-1"
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
        self.key
    }

    async fn ask(&self, question: Question) -> Result<Answer, Refusal> {
        self.questions
            .lock()
            .expect("no panic")
            .push(question.clone());
        Ok(match question {
            Question::Nodes => Answer::Nodes(Nodes::default()),
            Question::Streams => Answer::Streams(Streams {
                unreachable: vec!["e1".to_owned()],
                ..Streams::default()
            }),
            Question::Stream(key) if key.as_str() == "live/none" => {
                return Err(Refusal::new(RefusalKind::NotFound, "nobody publishes it"));
            }
            Question::Stream(key) => {
                let stream = Stream {
                    stream_key: key.as_str().to_owned(),
                    ..Stream::default()
                };
                Answer::Stream(Box::new(Found {
                    stream,
                    ..Found::default()
                }))
            }
            Question::Subscribers(_) => Answer::Subscribers(Subscribers::default()),
            Question::Why(_) => Answer::Why(Box::new(Why {
                verdict: "it is what it is".to_owned(),
                ..Why::default()
            })),
        })
    }

    fn watch(&self, _watch: Watch) {}

    async fn may_watch(&self, _request: &Request) -> Result<(), Refused> {
        Ok(())
    }

    async fn hls(&self, _request: &node::hls::Request) -> Result<node::hls::Stream, Refused> {
        Err(Refused {
            kind: RefusalKind::NotFound,
            sentence: "nobody publishes it".to_owned(),
            retry_after: None,
        })
    }

    async fn order(&self, order: Order) -> Result<Done, Refusal> {
        self.orders.lock().expect("no panic").push(order.clone());
        Ok(match order {
            Order::Stop(key) => Done::Stopped(Stopped {
                message: "stream stopped".to_owned(),
                stream_key: key.as_str().to_owned(),
            }),
            Order::Drain(node) => Done::Draining(Draining {
                message: "node is draining".to_owned(),
                node,
            }),
            Order::Warm { key, .. } => Done::Warm(Warm {
                stream_key: key.as_str().to_owned(),
                ..Warm::default()
            }),
            Order::Disconnect { .. } => {
                return Err(Refusal::new(RefusalKind::Busy, "not now"));
            }
        })
    }
}

struct Running {
    stub: Arc<Stub>,
    server: Server,
}

impl Running {
    fn start(key: Option<&'static str>) -> Self {
        let mut config = Config::default();
        config.http.listen = "127.0.0.1:0".parse().ok();
        let stub = Arc::new(Stub {
            key,
            ..Stub::default()
        });
        let server = Server::start(&config, Arc::clone(&stub)).expect("starts");
        Self { stub, server }
    }

    fn address(&self) -> SocketAddr {
        self.server.addresses()[0].1
    }

    /// Status, head and body of the answer to one request.
    async fn ask(&self, request: &str, headers: &str, body: &str) -> (u16, String, Value) {
        let length = body.len();
        let text = format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-length: {length}\r\n{headers}\r\n{body}"
        );
        self.send(&text).await
    }

    async fn send(&self, text: &str) -> (u16, String, Value) {
        let mut socket = TcpStream::connect(self.address()).await.expect("connects");
        socket.write_all(text.as_bytes()).await.expect("sends");
        let mut answer = String::new();
        let read = socket.read_to_string(&mut answer);
        let read = tokio::time::timeout(Duration::from_secs(30), read).await;
        read.expect("in time").expect("answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let json = serde_json::from_str(body).unwrap_or_default();
        (status.expect("a status"), head.to_ascii_lowercase(), json)
    }

    fn questions(&self) -> Vec<Question> {
        std::mem::take(&mut self.stub.questions.lock().expect("no panic"))
    }

    fn orders(&self) -> Vec<Order> {
        std::mem::take(&mut self.stub.orders.lock().expect("no panic"))
    }
}

fn key(text: &str) -> StreamKey {
    StreamKey::parse(text).expect("a key")
}

#[tokio::test]
async fn questions_reach_the_cluster() {
    let running = Running::start(None);
    let get = async |path: &str| running.ask(&format!("GET {path}"), "", "").await;
    let (status, head, streams) = get("/api/v1/streams").await;
    assert_eq!(status, 200);
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert_eq!(streams["streams"], Value::Array(Vec::new()));
    assert_eq!(
        (&streams["total"], &streams["unreachable"][0]),
        (&0.into(), &"e1".into())
    );
    let (_, _, nodes) = get("/api/v1/nodes").await;
    assert!(nodes["nodes"].is_array() && nodes.get("unreachable").is_none());
    let (_, _, stream) = get("/api/v1/streams/live%2Fcam").await;
    assert_eq!(stream["streamKey"], "live/cam");
    assert_eq!(
        stream["viewersByProtocol"],
        Value::Object(serde_json::Map::new())
    );
    assert_eq!(
        get("/api/v1/streams/cam/why").await.2["verdict"],
        "it is what it is"
    );
    assert_eq!(get("/api/v1/streams/a/b/c/subscribers").await.0, 200);
    assert_eq!(
        running.questions(),
        [
            Question::Streams,
            Question::Nodes,
            Question::Stream(key("live/cam")),
            Question::Why(key("live/cam")),
            Question::Subscribers(key("a/b/c")),
        ]
    );
    let (status, _, refusal) = get("/api/v1/streams/live/none").await;
    assert_eq!((status, &refusal["code"]), (404, &"not_found".into()));
    let (status, _, refusal) = get("/api/v1/streams/live/a%20b").await;
    assert_eq!((status, &refusal["code"]), (400, &"invalid".into()));
    for path in [
        "/api/v1/streams/live/cam/stop",
        "/api/v1/warm",
        "/api/v1/nodes/a/drain",
    ] {
        let (status, _, refusal) = get(path).await;
        assert_eq!(
            (status, &refusal["code"]),
            (405, &"method_not_allowed".into()),
            "{path}"
        );
    }
    assert_eq!(get("/api/v1/nothing").await.0, 404);
}

#[tokio::test]
async fn head_answers_where_get_does() {
    let running = Running::start(None);
    for path in [
        "/api/v1/streams",
        "/api/v1/streams/live/cam/why",
        "/api/v1/nodes",
    ] {
        let (status, head, body) = running.ask(&format!("HEAD {path}"), "", "").await;
        assert_eq!((status, body), (200, Value::Null), "{path}");
        assert!(head.contains("content-length: "), "{path}: {head}");
    }
    assert_eq!(running.questions().len(), 3);
}

#[tokio::test]
async fn orders_reach_the_cluster() {
    let running = Running::start(None);
    let post = async |path: &str, body: &str| running.ask(&format!("POST {path}"), "", body).await;
    let (status, _, done) = post("/api/v1/streams/live/cam/stop", "").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&done["message"], &done["streamKey"]),
        (&"stream stopped".into(), &"live/cam".into())
    );
    assert_eq!(post("/api/v1/nodes/e1/drain", "{}").await.2["node"], "e1");
    let warm = r#"{"streamKey": "cam", "edges": 2}"#;
    assert_eq!(post("/api/v1/warm", warm).await.0, 200);
    let (status, head, refusal) = post("/api/v1/streams/cam/subscribers/e1.7/disconnect", "").await;
    assert_eq!((status, &refusal["code"]), (429, &"busy".into()));
    assert!(head.contains("retry-after: 1"), "{head}");
    assert_eq!(
        running.orders(),
        [
            Order::Stop(key("live/cam")),
            Order::Drain("e1".to_owned()),
            Order::Warm {
                key: key("live/cam"),
                edges: 2,
                until: Until::Stopped
            },
            Order::Disconnect {
                key: key("live/cam"),
                subscriber: "e1.7".to_owned()
            },
        ]
    );
    assert_eq!(post("/api/v1/streams/live/cam", "").await.0, 405);
}

#[tokio::test]
async fn bodies_are_bounded_and_read_strictly() {
    let running = Running::start(None);
    let warm = async |body: &str| {
        let (status, _, refusal) = running.ask("POST /api/v1/warm", "", body).await;
        (
            status,
            refusal["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"streamKey": "a b"}"#,
        r#"{"streamKey": "cam", "edge": 2}"#,
        r#"{"streamKey": "cam", "edges": -1}"#,
        r#"{"streamKey": "cam", "until": "soon"}"#,
    ] {
        assert_eq!(warm(wrong).await, (400, "invalid".to_owned()), "{wrong}");
    }
    let long = format!(r#"{{"streamKey": "{}"}}"#, "a".repeat(70_000));
    assert_eq!(warm(&long).await, (413, "too_large".to_owned()));
    assert_eq!(running.orders(), []);
}

#[tokio::test]
async fn with_a_key_only_who_has_it_may_ask() {
    let running = Running::start(Some("sesame"));
    for request in [
        "GET /api/v1/streams",
        "HEAD /api/v1/nodes",
        "POST /api/v1/streams/cam/stop",
    ] {
        for headers in ["", "authorization: Bearer wrong\r\n"] {
            let (status, head, _) = running.ask(request, headers, "").await;
            assert_eq!(status, 401, "{request}");
            assert!(head.contains("www-authenticate: bearer"), "{head}");
        }
        let (status, ..) = running
            .ask(request, "authorization: Bearer sesame\r\n", "")
            .await;
        assert_eq!(status, 200, "{request}");
    }
    // Probes and scrapers have no key.
    for path in ["/health", "/ready", "/metrics", "/api/ping"] {
        assert_eq!(
            running.ask(&format!("GET {path}"), "", "").await.0,
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn without_a_key_only_this_machine_may_change_anything() {
    let running = Running::start(None);
    let stop = "POST /api/v1/streams/cam/stop";
    let (status, _, refusal) = running.ask(stop, "x-forwarded-for: 10.0.0.1\r\n", "").await;
    assert_eq!((status, &refusal["code"]), (403, &"forbidden".into()));
    let sentence = refusal["error"].as_str().expect("a sentence");
    assert!(sentence.contains("auth.admin_key"), "{sentence}");
    let (status, ..) = running
        .ask(stop, "origin: http://evil.example\r\n", "")
        .await;
    assert_eq!(status, 403);
    // As a proxy on this machine asks, unless it is told otherwise.
    let old = format!("{stop} HTTP/1.0\r\nhost: 127.0.0.1:8080\r\n\r\n");
    let (status, _, refusal) = running.send(&old).await;
    assert_eq!((status, &refusal["code"]), (403, &"forbidden".into()));
    let sentence = refusal["error"].as_str().expect("a sentence");
    assert!(sentence.contains("HTTP/1.0"), "{sentence}");
    let rebound = format!("{stop} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
    assert_eq!(running.send(&rebound).await.0, 403);
    assert_eq!(running.orders(), []);
    assert_eq!(
        running
            .ask("GET /api/v1/streams", "x-forwarded-for: 10.0.0.1\r\n", "")
            .await
            .0,
        200
    );
    assert_eq!(running.ask(stop, "", "").await.0, 200);
}

#[tokio::test]
async fn the_api_moves_to_the_admin_listener() {
    let mut config = Config::default();
    config.http.listen = "127.0.0.1:0".parse().ok();
    config.admin.listen = "127.0.0.1:0".parse().ok();
    let server = Server::start(&config, Arc::new(Stub::default())).expect("starts");
    let statuses = server.addresses().iter().map(async |(_, address)| {
        let mut socket = TcpStream::connect(address).await.expect("connects");
        let request = "GET /api/v1/nodes HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("answers");
        answer.split(' ').nth(1).map(str::to_owned)
    });
    let mut found = Vec::new();
    for status in statuses {
        found.push(status.await.expect("a status"));
    }
    assert_eq!(found, ["404", "200"]);
}
