//! The same through TLS, and by HTTP/2.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use futures::future::join_all;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rtmp::tls::Trust;
use testkit::certificate;
use tokio_rustls::client::TlsStream;

use super::*;

struct Https {
    site: Site,
    _folder: tempfile::TempDir,
}

impl Https {
    fn start(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let files = certificate::write(folder.path(), "localhost");
        let site = Site::start(|config| {
            config.http.listen = None;
            config.https.listen = "127.0.0.1:0".parse().ok();
            config.tls.cert = Some(files.certificate);
            config.tls.key = Some(files.key);
            change(config);
        });
        Self {
            site,
            _folder: folder,
        }
    }

    async fn secured(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        let socket = TcpStream::connect(self.site.address)
            .await
            .expect("connects");
        let connector = Trust::Anybody.connector().expect("a connector");
        let protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let name = "localhost".try_into().expect("a name");
        let secured = connector.with_alpn(protocols).connect(name, socket);
        timeout(PATIENCE, secured)
            .await
            .expect("in time")
            .expect("TLS")
    }

    async fn http2(&self) -> SendRequest<Body> {
        let stream = self.secured(&["h2", "http/1.1"]).await;
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(agreed.as_deref(), Some(&b"h2"[..]));
        http2(stream).await
    }
}

/// Speaks HTTP/2 on it.
async fn http2<S>(socket: S) -> SendRequest<Body>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(socket);
    let spoken = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (sender, connection) = spoken.await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &SendRequest<Body>, path: &str) -> Result<(u16, String), hyper::Error> {
    let request = Request::get(format!("https://localhost{path}")).body(Body::empty());
    let answer = sender.clone().send_request(request.expect("a request"));
    let answer: Response<Incoming> = timeout(PATIENCE, answer).await.expect("in time")?;
    let status = answer.status().as_u16();
    let body = to_bytes(Body::new(answer.into_body()), usize::MAX).await;
    let body = body.expect("a body").to_vec();
    Ok((status, String::from_utf8(body).expect("a text")))
}

#[tokio::test]
async fn http1_is_spoken_by_who_wants_it_and_by_who_does_not_say() {
    let https = Https::start(|_| {});
    for protocols in [&["http/1.1"][..], &[]] {
        let mut peer = Peer::new(https.secured(protocols).await);
        for _ in 0..3 {
            peer.ask("/health").await;
            assert_eq!(peer.answer().await.0, 200);
            peer.ask(SLOW).await;
            https.site.waiting(1).await;
            peer.ask("/metrics").await;
            https.site.let_go(1);
            assert_eq!(peer.answer().await.0, 404);
            assert_eq!(peer.answer().await.0, 200);
        }
    }
}

#[tokio::test]
async fn http2_answers_many_at_a_time() {
    let https = Https::start(|_| {});
    let sender = https.http2().await;
    let slow = join_all((0..50).map(|_| ask(&sender, SLOW)));
    let fast = async {
        https.site.waiting(50).await;
        let (status, text) = ask(&sender, "/metrics").await.expect("an answer");
        assert_eq!((status, text.len()), (200, 100_000));
        https.site.let_go(50);
    };
    let (slow, ()) = tokio::join!(slow, fast);
    for answer in slow {
        assert_eq!(answer.expect("an answer").0, 404);
    }
}

#[tokio::test]
async fn http2_without_tls_is_understood() {
    let site = Site::start(|_| {});
    let socket = TcpStream::connect(site.address).await.expect("connects");
    let sender = http2(socket).await;
    assert_eq!(ask(&sender, "/health").await.expect("an answer").0, 200);
}

#[tokio::test]
async fn a_request_that_is_taken_back_waits_no_more() {
    let https = Https::start(|_| {});
    let sender = https.http2().await;
    let asked = tokio::spawn({
        let sender = sender.clone();
        async move { ask(&sender, SLOW).await }
    });
    https.site.waiting(1).await;
    asked.abort();
    https.site.waiting(0).await;
    assert_eq!(ask(&sender, "/health").await.expect("an answer").0, 200);
}

#[tokio::test]
async fn who_speaks_no_tls_is_told() {
    let https = Https::start(|_| {});
    let mut peer = https.site.connect().await;
    peer.ask("/health").await;
    let told = peer.closed().await;
    assert!(
        told.starts_with("HTTP/1.1 400 ") && told.contains("https://"),
        "{told}"
    );
}

#[tokio::test]
async fn a_handshake_has_a_deadline() {
    let https = Https::start(|config| {
        config.https.handshake_timeout = Duration::from_millis(100);
    });
    let silent = https.site.connect().await;
    let mut slow = https.site.connect().await;
    slow.socket
        .write_all(&[22, 3, 1, 2, 0])
        .await
        .expect("sends");
    assert_eq!(silent.closed().await, "");
    assert_eq!(slow.closed().await, "");
    let mut peer = Peer::new(https.secured(&[]).await);
    peer.ask("/health").await;
    assert_eq!(peer.answer().await.0, 200);
}

#[tokio::test]
async fn who_does_not_go_on_with_a_handshake_keeps_nobody_out() {
    let https = Https::start(|config| {
        config.https.handshakes = 3;
        config.https.handshake_timeout = Duration::from_secs(2);
    });
    let (mut silent, mut slow) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        silent.push(https.site.connect().await);
    }
    // Who says nothing has no turn.
    drop(https.secured(&[]).await);
    for _ in 0..5 {
        let mut peer = https.site.connect().await;
        let sent = peer.socket.write_all(&[22, 3, 1, 2, 0]).await;
        sent.expect("sends");
        slow.push(peer);
    }
    let mut peer = Peer::new(https.secured(&[]).await);
    peer.ask("/health").await;
    assert_eq!(peer.answer().await.0, 200);
    for peer in silent.into_iter().chain(slow) {
        assert_eq!(peer.closed().await, "");
    }
}

#[tokio::test]
async fn more_handshakes_of_one_address_than_may_be_under_way_all_get_done() {
    let https = Https::start(|config| config.https.handshakes = 3);
    let all = (0..40).map(|_| https.secured(&["h2"]));
    assert_eq!(join_all(all).await.len(), 40);
}

#[tokio::test]
async fn a_silent_connection_of_http2_is_closed_and_a_used_one_is_not() {
    let https = Https::start(|config| {
        config.http.header_timeout = Duration::from_millis(150);
        config.http.idle_timeout = Duration::from_millis(150);
    });
    // It has agreed on HTTP/2, and does not speak it.
    let mut silent = https.secured(&["h2"]).await;
    let sender = https.http2().await;
    let asked = tokio::spawn({
        let sender = sender.clone();
        async move { ask(&sender, SLOW).await }
    });
    https.site.waiting(1).await;
    let read = timeout(PATIENCE, silent.read_to_end(&mut Vec::new())).await;
    drop(read.expect("an end"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    https.site.let_go(1);
    let answer = asked.await.expect("no panic");
    assert_eq!(answer.expect("an answer").0, 404);
    let closed = async {
        let mut sender = sender;
        while sender.ready().await.is_ok() && !sender.is_closed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("it is closed");
}

#[tokio::test]
async fn idle_connections_of_http2_make_room_and_those_in_use_do_not() {
    let https = Https::start(|config| config.http.connections = 2);
    let (one, two) = (https.http2().await, https.http2().await);
    for sender in [&one, &two] {
        assert_eq!(ask(sender, "/health").await.expect("an answer").0, 200);
    }
    let asked = tokio::spawn({
        let one = one.clone();
        async move { ask(&one, SLOW).await }
    });
    https.site.waiting(1).await;
    let three = https.http2().await;
    let asked_too = tokio::spawn({
        let three = three.clone();
        async move { ask(&three, SLOW).await }
    });
    https.site.waiting(2).await;
    assert!(ask(&two, "/health").await.is_err(), "it has made room");
    let four = https.http2().await;
    let (status, told) = ask(&four, "/api/ping").await.expect("an answer");
    assert!(status == 503 && told.contains("http.connections"), "{told}");
    let probe = https.http2().await;
    assert_eq!(ask(&probe, "/ready").await.expect("an answer").0, 200);
    https.site.let_go(2);
    for asked in [asked, asked_too] {
        assert_eq!(asked.await.expect("no panic").expect("an answer").0, 404);
    }
}

#[tokio::test]
async fn a_stop_ends_http2_behind_its_answers() {
    let https = Https::start(|_| {});
    let sender = https.http2().await;
    let asked = tokio::spawn({
        let sender = sender.clone();
        async move { ask(&sender, SLOW).await }
    });
    https.site.waiting(1).await;
    let Site { stub, server, .. } = https.site;
    let stopped = tokio::spawn(server.stop());
    tokio::time::sleep(Duration::from_millis(50)).await;
    stub.gate.add_permits(1);
    assert_eq!(asked.await.expect("no panic").expect("an answer").0, 404);
    let begun = std::time::Instant::now();
    stopped.await.expect("no panic");
    assert!(begun.elapsed() < Duration::from_secs(1), "nothing was left");
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_of() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let mut config = Config::default();
    config.http.listen = None;
    config.https.listen = "127.0.0.1:0".parse().ok();
    let stub = || {
        Arc::new(Stub {
            waiting: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        })
    };
    let error = Server::start(&config, stub()).expect_err("no certificate");
    assert!(error.to_string().contains("tls.cert"), "{error}");
    config.tls.cert = Some("/nowhere/cert.pem".into());
    config.tls.key = Some("/nowhere/key.pem".into());
    let error = Server::start(&config, stub()).expect_err("no file");
    assert!(error.to_string().contains("/nowhere/"), "{error}");
}
