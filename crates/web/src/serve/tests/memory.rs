//! What a connection costs.

use super::*;

const MANY: usize = 100;

/// Bytes that each of many connections holds once `prepare` has been done with it.
fn held(prepare: impl AsyncFn(&Site, &mut Peer<TcpStream>), waits: bool) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let site = runtime.block_on(async {
        let site = Site::start(|_| {});
        // What all share is made for the first.
        let mut first = site.connect().await;
        first.ask("/health").await;
        first.answer().await;
        site
    });
    let mut peers = Vec::with_capacity(MANY);
    let measured = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..MANY {
                let mut peer = site.connect().await;
                prepare(&site, &mut peer).await;
                peer.read = Vec::new();
                peers.push(peer);
            }
            if waits {
                site.waiting(MANY).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
    });
    // Our end of each is among it.
    measured.bytes_current / i64::try_from(MANY).expect("a number")
}

/// As a browser asks.
fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: weir.example:8080\r\nConnection: keep-alive\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
         Accept: */*\r\nOrigin: https://weir.example\r\nReferer: https://weir.example/watch/live/cam\r\n\
         Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n\
         Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n\r\n"
    )
}

#[test]
fn an_idle_connection_holds_little() {
    let asked = held(
        async |_, peer| {
            for _ in 0..2 {
                peer.say(&request("/health")).await;
                peer.answer().await;
            }
        },
        false,
    );
    println!("{asked} bytes for each idle connection");
    assert!(asked < 4 << 10, "{asked} bytes for each idle connection");
}

#[test]
fn one_that_waits_for_its_answer_holds_little() {
    let waits = held(
        async |_, peer| {
            peer.say(&request("/health")).await;
            peer.answer().await;
            peer.say(&request(SLOW)).await;
        },
        true,
    );
    println!("{waits} bytes for each waiting connection");
    assert!(
        waits < 10 << 10,
        "{waits} bytes for each waiting connection"
    );
}
