//! Too many connections, and who is served all the same.

use super::*;

/// So many that are in use.
async fn busy(site: &Site, count: usize) -> Vec<Peer<TcpStream>> {
    let mut peers = Vec::new();
    for _ in 0..count {
        let mut peer = site.connect().await;
        peer.ask(SLOW).await;
        peers.push(peer);
    }
    site.waiting(count).await;
    peers
}

#[tokio::test]
async fn idle_connections_keep_nobody_out() {
    let site = Site::start(|config| config.http.connections = 4);
    let mut idle = Vec::new();
    for number in 0..4 {
        let mut peer = site.connect().await;
        // Some have asked before, and some have not; one has begun to.
        match number {
            0 => peer.say("GET /hea").await,
            number => {
                for _ in 0..number {
                    peer.ask("/health").await;
                    assert_eq!(peer.answer().await.0, 200);
                }
            }
        }
        idle.push(peer);
    }
    let mut used = busy(&site, 3).await;
    // The first three have made room.
    let mut last = idle.pop().expect("four of them");
    for peer in idle {
        assert_eq!(peer.closed().await, "");
    }
    last.ask("/health").await;
    assert_eq!(last.answer().await.0, 200);
    site.let_go(3);
    for peer in &mut used {
        assert_eq!(peer.answer().await.0, 404);
    }
}

#[tokio::test]
async fn where_all_are_in_use_others_are_told_and_probes_are_answered() {
    let site = Site::start(|config| config.http.connections = 3);
    let mut used = busy(&site, 3).await;
    let mut other = site.connect().await;
    other.ask("/api/ping").await;
    let told = other.closed().await;
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
    assert!(
        told.contains("\r\nretry-after: ") && told.contains("http.connections"),
        "{told}"
    );
    // Pages may read it, and caches keep it from nobody else.
    for header in ["access-control-allow-origin: *", "cache-control: no-store"] {
        assert!(told.contains(&format!("\r\n{header}\r\n")), "{told}");
    }
    for path in ["/health", "/ready"] {
        let mut probe = site.connect().await;
        probe.ask(path).await;
        assert_eq!(probe.answer().await.0, 200, "{path}");
    }
    // Also where many more come than are told, and say nothing.
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(site.connect().await);
    }
    let mut probe = site.connect().await;
    probe.ask("/health").await;
    assert_eq!(probe.answer().await.0, 200);
    site.let_go(3);
    for peer in &mut used {
        assert_eq!(peer.answer().await.0, 404);
    }
    let mut other = site.connect().await;
    other.ask("/api/ping").await;
    assert_eq!(other.answer().await.0, 200);
}

#[tokio::test]
async fn an_address_has_so_many_and_is_told() {
    let site = Site::start(|config| config.http.connections_per_address = 2);
    let _used = busy(&site, 2).await;
    let mut other = site.connect().await;
    other.ask("/api/ping").await;
    let told = other.closed().await;
    assert!(told.starts_with("HTTP/1.1 429 "), "{told}");
    assert!(told.contains("\r\nretry-after: "), "{told}");
    assert!(told.contains("http.connections_per_address"), "{told}");
    // Whoever has another address is served.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.2:0".parse().expect("an address"))
        .expect("free");
    let mut elsewhere = Peer::new(socket.connect(site.address).await.expect("connects"));
    elsewhere.ask("/api/ping").await;
    assert_eq!(elsewhere.answer().await.0, 200);
}

#[tokio::test]
async fn who_is_told_that_there_is_no_room_has_little_time_to_ask() {
    let site = Site::start(|config| {
        config.http.connections = 1;
        config.http.header_timeout = Duration::from_millis(100);
        config.http.idle_timeout = PATIENCE * 2;
    });
    let _used = busy(&site, 1).await;
    let mut probe = site.connect().await;
    probe.ask("/health").await;
    assert_eq!(probe.answer().await.0, 200);
    assert_eq!(probe.closed().await, "");
}
