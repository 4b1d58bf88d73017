//! Requests one after the other, however they are cut, and whatever they wait for.

use super::*;

#[tokio::test]
async fn one_connection_serves_request_after_request() {
    let site = Site::start(|_| {});
    let mut peer = site.connect().await;
    for path in ["/health", "/nowhere", "/metrics", "/ready", "/health"] {
        peer.ask(path).await;
        let status = match path {
            "/nowhere" => 404,
            _ => 200,
        };
        assert_eq!(peer.answer().await.0, status, "{path}");
    }
    site.server.stop().await;
    assert_eq!(peer.closed().await, "");
}

#[tokio::test]
async fn a_request_may_come_in_any_pieces() {
    let site = Site::start(|_| {});
    let all = "GET /health HTTP/1.1\r\nhost: weir\r\n\r\n".repeat(3);
    for size in [1, 7, 41, 55] {
        let mut peer = site.connect().await;
        for piece in all.as_bytes().chunks(size) {
            peer.socket.write_all(piece).await.expect("sends");
            peer.socket.flush().await.expect("sends");
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            assert_eq!(peer.answer().await.0, 200, "in pieces of {size}");
        }
    }
}

#[tokio::test]
async fn a_half_request_behind_a_whole_one_waits_for_the_rest() {
    let site = Site::start(|_| {});
    let mut peer = site.connect().await;
    peer.say("GET /health HTTP/1.1\r\nhost: weir\r\n\r\nGET /nowhere HTT")
        .await;
    assert_eq!(peer.answer().await.0, 200);
    // It has looked for more, and found nothing.
    tokio::time::sleep(Duration::from_millis(50)).await;
    peer.say("P/1.1\r\nhost: weir\r\n\r\n").await;
    assert_eq!(peer.answer().await.0, 404);
}

#[tokio::test]
async fn a_body_is_no_request() {
    let site = Site::start(|_| {});
    let inside = "GET /health HTTP/1.1\r\nhost: weir\r\n\r\n";
    for path in ["/health", "/nowhere", "/api/v1/warm"] {
        let mut peer = site.connect().await;
        let length = inside.len();
        peer.say(&format!(
            "POST {path} HTTP/1.1\r\nhost: weir\r\ncontent-length: {length}\r\n\r\n{inside}"
        ))
        .await;
        assert!((400..500).contains(&peer.answer().await.0), "{path}");
        peer.say("GET /metrics HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n")
            .await;
        let rest = peer.closed().await;
        assert!(!rest.contains("uptimeSeconds"), "{path}: {rest}");
    }
}

#[tokio::test]
async fn what_is_awaited_comes_and_then_what_was_asked_behind_it() {
    let site = Site::start(|_| {});
    let mut peer = site.connect().await;
    peer.ask(SLOW).await;
    site.waiting(1).await;
    peer.ask("/health").await;
    peer.ask("/nowhere").await;
    site.let_go(1);
    let (status, answer) = peer.answer().await;
    assert!(status == 404 && answer.contains("not here"), "{answer}");
    assert!(!answer.contains("connection: close"), "{answer}");
    assert_eq!(peer.answer().await.0, 200);
    assert_eq!(peer.answer().await.0, 404);
    // Over and over, on the same connection.
    for _ in 0..20 {
        peer.ask(SLOW).await;
        site.waiting(1).await;
        site.let_go(1);
        assert_eq!(peer.answer().await.0, 404);
    }
}

#[tokio::test]
async fn who_waits_for_a_head_gets_no_more() {
    let site = Site::start(|_| {});
    let mut peer = site.connect().await;
    peer.say(&format!("HEAD {SLOW} HTTP/1.1\r\nhost: weir\r\n\r\n"))
        .await;
    site.waiting(1).await;
    site.let_go(1);
    let (status, answer) = peer.answer_to("HEAD").await;
    assert!(status == 404 && answer.ends_with("\r\n\r\n"), "{answer}");
    peer.ask("/health").await;
    assert_eq!(peer.answer().await.0, 200);
}

#[tokio::test]
async fn what_is_to_be_the_last_is_the_last() {
    let site = Site::start(|_| {});
    for version in ["HTTP/1.1\r\nConnection: Close", "HTTP/1.0"] {
        let mut peer = site.connect().await;
        peer.say(&format!("GET {SLOW} {version}\r\nhost: weir\r\n\r\n"))
            .await;
        site.waiting(1).await;
        site.let_go(1);
        let answer = peer.closed().await;
        assert!(
            answer.starts_with("HTTP/1.") && answer.contains("not here"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn who_leaves_waits_no_more() {
    let site = Site::start(|_| {});
    let mut first = site.connect().await;
    let mut second = site.connect().await;
    first.ask(SLOW).await;
    second.ask(SLOW).await;
    site.waiting(2).await;
    drop(first);
    site.waiting(1).await;
    site.let_go(1);
    assert_eq!(second.answer().await.0, 404);
}

#[tokio::test]
async fn a_stop_lets_those_who_wait_have_their_answer() {
    let site = Site::start(|_| {});
    let mut peer = site.connect().await;
    let idle = site.connect().await;
    peer.ask(SLOW).await;
    site.waiting(1).await;
    let Site { stub, server, .. } = site;
    let stopped = tokio::spawn(server.stop());
    assert_eq!(idle.closed().await, "");
    stub.gate.add_permits(1);
    let answer = peer.closed().await;
    assert!(
        answer.contains("not here") && answer.contains("connection: close"),
        "{answer}"
    );
    stopped.await.expect("no panic");
}

#[tokio::test]
async fn a_head_that_never_ends_has_a_deadline_and_so_has_silence() {
    let site = Site::start(|config| {
        config.http.header_timeout = Duration::from_millis(100);
        config.http.idle_timeout = Duration::from_millis(300);
    });
    let silent = site.connect().await;
    let mut slow = site.connect().await;
    slow.say("GET /health HTT").await;
    let mut later = site.connect().await;
    later.ask("/health").await;
    assert_eq!(later.answer().await.0, 200);
    let begun = std::time::Instant::now();
    let told = slow.closed().await;
    assert!(!told.contains("200"), "{told}");
    assert_eq!(silent.closed().await, "");
    assert!(begun.elapsed() < Duration::from_millis(290));
    assert_eq!(later.closed().await, "");
    assert!(
        begun.elapsed() >= Duration::from_millis(200),
        "it may be idle for longer"
    );
}

#[tokio::test]
async fn a_head_has_a_length_that_it_may_have() {
    let site = Site::start(|_| {});
    let mut peer = site.connect().await;
    peer.say(&format!(
        "GET /health HTTP/1.1\r\nx: {}\r\n\r\n",
        "x".repeat(100_000)
    ))
    .await;
    assert_eq!(peer.answer().await.0, 431);
}

#[tokio::test]
async fn an_awaited_answer_is_the_same_as_one_that_was_there() {
    let site = Site::start(|_| {});
    for method in ["GET", "HEAD"] {
        let mut peer = site.connect().await;
        let ask = format!("{method} {SLOW} HTTP/1.1\r\nhost: weir\r\n\r\n");
        site.let_go(1);
        peer.say(&ask).await;
        let (_, there) = peer.answer_to(method).await;
        peer.say(&ask).await;
        site.waiting(1).await;
        site.let_go(1);
        let (_, awaited) = peer.answer_to(method).await;
        let lines = |answer: &str| {
            let lines = answer.lines().filter(|line| !line.starts_with("date: "));
            let mut lines: Vec<_> = lines.map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(&awaited), lines(&there), "{method}");
        assert_eq!(awaited.matches("\r\ndate: ").count(), 1, "{awaited}");
    }
}
