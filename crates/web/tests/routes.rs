//! The routes over a real socket, in front of a node that is made up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use node::Watch;
use node::status::{Answer, Done, Order, Question, Refusal, RefusalKind};
use node::watch::{Refused, Request};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_web::{Check, Config, Server, Source};

#[derive(Default)]
struct Stub {
    draining: AtomicBool,
}

impl Source for Stub {
    fn node_id(&self) -> &str {
        "node-1"
    }

    fn role(&self) -> &'static str {
        "all"
    }

    async fn active_streams(&self) -> u64 {
        3
    }

    async fn checks(&self) -> Vec<Check> {
        let drain = match self.draining.load(Ordering::Relaxed) {
            true => Err("draining".to_owned()),
            false => Ok(()),
        };
        vec![("listeners", Ok(())), ("drain", drain)]
    }

    fn metrics(&self) -> String {
        "weir_build_info 1\n".to_owned()
    }

    fn admin_key(&self) -> Option<&str> {
        None
    }

    async fn ask(&self, _question: Question) -> Result<Answer, Refusal> {
        Err(Refusal::new(RefusalKind::Busy, "not now"))
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

    async fn order(&self, _order: Order) -> Result<Done, Refusal> {
        Err(Refusal::new(RefusalKind::Busy, "not now"))
    }
}

fn config(admin: bool) -> Config {
    let mut config = Config::default();
    config.http.listen = "127.0.0.1:0".parse().ok();
    config.admin.listen = if admin {
        "127.0.0.1:0".parse().ok()
    } else {
        None
    };
    config
}

/// Status, head and body of the answer to one request.
async fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let mut socket = TcpStream::connect(address).await.expect("connects");
    let request = format!("{method} {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("sends");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).expect("json")
}

#[tokio::test]
async fn health_says_who_and_how_long() {
    let server = Server::start(&config(false), Arc::new(Stub::default())).expect("starts");
    let (status, head, body) = ask(server.addresses()[0].1, "GET", "/health").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    let health = json(&body);
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(health["uptimeSeconds"].is_u64());
    assert_eq!(health["activeStreams"], 3);
    assert_eq!(health["nodeId"], "node-1");
    assert_eq!(health["role"], "all");
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let server = Server::start(&config(false), Arc::new(Stub::default())).expect("starts");
    for path in ["/health", "/ready", "/metrics", "/api/ping"] {
        let (status, head, body) = ask(server.addresses()[0].1, "HEAD", path).await;
        assert_eq!((status, body.as_str()), (200, ""), "{path}");
        assert!(head.contains("content-length: "), "{path}: {head}");
    }
}

#[tokio::test]
async fn ready_turns_to_503_with_the_reason() {
    let stub = Arc::new(Stub::default());
    let server = Server::start(&config(false), Arc::clone(&stub)).expect("starts");
    let (status, _, body) = ask(server.addresses()[0].1, "GET", "/ready").await;
    assert_eq!(status, 200);
    assert_eq!(json(&body)["ready"], true);
    assert_eq!(json(&body)["checks"]["drain"], "ok");

    stub.draining.store(true, Ordering::Relaxed);
    let (status, _, body) = ask(server.addresses()[0].1, "GET", "/ready").await;
    assert_eq!(status, 503);
    assert_eq!(json(&body)["ready"], false);
    assert_eq!(json(&body)["checks"]["drain"], "draining");
    assert_eq!(json(&body)["checks"]["listeners"], "ok");
}

#[tokio::test]
async fn metrics_and_ping_move_to_the_admin_listener() {
    let server = Server::start(&config(true), Arc::new(Stub::default())).expect("starts");
    let [("http", http), ("admin", admin)] = *server.addresses() else {
        panic!("two listeners")
    };
    assert_eq!(ask(http, "GET", "/metrics").await.0, 404);
    assert_eq!(ask(http, "GET", "/api/ping").await.0, 404);
    assert_eq!(ask(http, "GET", "/health").await.0, 200);

    let (status, head, body) = ask(admin, "GET", "/metrics").await;
    assert_eq!((status, body.as_str()), (200, "weir_build_info 1\n"));
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let pong = json(&ask(admin, "GET", "/api/ping").await.2);
    assert_eq!(pong["message"], "pong");
    assert!(
        pong["time"]
            .as_u64()
            .is_some_and(|time| time > 1_700_000_000)
    );
}

#[tokio::test]
async fn refusals_are_json() {
    let server = Server::start(&config(false), Arc::new(Stub::default())).expect("starts");
    let (status, _, body) = ask(server.addresses()[0].1, "GET", "/nothing").await;
    assert_eq!(
        (status, &json(&body)["code"]),
        (404, &Value::from("not_found"))
    );
    assert!(json(&body)["error"].is_string());
    let (status, _, body) = ask(server.addresses()[0].1, "POST", "/health").await;
    assert_eq!(
        (status, &json(&body)["code"]),
        (405, &Value::from("method_not_allowed"))
    );
}

#[tokio::test]
async fn a_peer_that_never_ends_its_request_is_cut() {
    let mut config = config(false);
    config.http.header_timeout = Duration::from_millis(50);
    config.http.connections = 1;
    let server = Server::start(&config, Arc::new(Stub::default())).expect("starts");
    let mut slow = TcpStream::connect(server.addresses()[0].1)
        .await
        .expect("connects");
    slow.write_all(b"GET /health HTT").await.expect("sends");
    // Waits for the only place, which the slow peer loses.
    assert_eq!(ask(server.addresses()[0].1, "GET", "/health").await.0, 200);
    drop(slow.read_to_end(&mut Vec::new()).await);
}

#[tokio::test]
async fn stops_while_a_peer_keeps_its_connection() {
    let server = Server::start(&config(false), Arc::new(Stub::default())).expect("starts");
    let mut idle = TcpStream::connect(server.addresses()[0].1)
        .await
        .expect("connects");
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: weir\r\n\r\n")
        .await
        .expect("sends");
    assert_ne!(idle.read(&mut [0; 4096]).await.expect("answers"), 0);
    server.stop().await;
    assert_eq!(idle.read(&mut [0; 16]).await.expect("closed"), 0);
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let server = Server::start(&config(false), Arc::new(Stub::default())).expect("starts");
    let taken = server.addresses()[0].1;
    let mut second = config(false);
    second.http.listen = Some(taken.into());
    let error = Server::start(&second, Arc::new(Stub::default())).expect_err("taken");
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}
