//! Connections: how many, for how long, and what one stream does to another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use media::Limits;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::support::*;
use crate::{Auth, Client, Error, Event, Peer, Subscribe, TlsFiles, Tuning};

/// A way to a server that counts connections and can go dead.
struct Way {
    peer: Peer,
    made: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    is_dead: Arc<AtomicBool>,
}

impl Way {
    async fn to(server: &Peer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address").to_string();
        let way = Self {
            peer: Peer::new(server.node(), address).expect("a name"),
            made: Arc::default(),
            open: Arc::default(),
            is_dead: Arc::default(),
        };
        let (made, open, is_dead) = (way.made.clone(), way.open.clone(), way.is_dead.clone());
        let server = server.address().to_owned();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                made.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                let far = TcpStream::connect(&server).await.expect("connects");
                let (open, is_dead) = (Arc::clone(&open), Arc::clone(&is_dead));
                tokio::spawn(async move {
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    tokio::select! {
                        () = copy(near_in, far_out, &is_dead) => {}
                        () = copy(far_in, near_out, &is_dead) => {}
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        way
    }
}

/// Carries bytes on; once dead, swallows them.
async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    is_dead: &AtomicBool,
) {
    use tokio::io::AsyncWriteExt;
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if !is_dead.load(Ordering::SeqCst) && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn tuning() -> Tuning {
    Tuning {
        connections_per_peer: 1,
        ..Tuning::default()
    }
}

#[tokio::test]
async fn a_stream_that_is_not_read_does_not_hold_up_another() {
    let origin = origin().await;
    let limits = Limits {
        max_bytes: 1 << 30,
        max_gop_bytes: 1 << 30,
        ..Limits::default()
    };
    let slow = origin.node.stream("slow", limits).ring;
    let mut slow = slow.begin(epoch(5), 0);
    let quick = origin.node.stream("quick", Limits::default()).ring;
    let mut quick = quick.begin(epoch(5), 0);
    let (mut one, mut other) = (Encoder::default(), Encoder::default());
    one.start(&mut slow);
    other.start(&mut quick);
    other.send(&mut quick, 25);

    // All on one connection.
    let edge = Client::new(member("edge"), secret(), tuning());
    let (_, _stalled) = pull(&edge, &origin.peer, "slow").await;
    let (_, mut flowing) = pull(&edge, &origin.peer, "quick").await;
    backfill(&mut flowing).await;
    // Much more than the windows of the stream and of most connections.
    for _ in 0..100 {
        one.picture(&mut slow, 1 << 20);
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        other.send(&mut quick, 1);
        let begun = Instant::now();
        let mut got = 0;
        while got < 2 {
            got += tags(&mut flowing).await.len();
        }
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn many_streams_share_few_connections() {
    let origin = origin().await;
    let way = Way::to(&origin.peer).await;
    let mut publishers = Vec::new();
    for number in 0..64 {
        let ring = origin
            .node
            .stream(&format!("s{number}"), Limits::default())
            .ring;
        let mut publisher = ring.begin(epoch(5), 0);
        Encoder::default().start(&mut publisher);
        publishers.push(publisher);
    }
    let edge = client("edge");
    let names: Vec<_> = (0..64).map(|number| format!("s{number}")).collect();
    let pulls = join_all(names.iter().map(|name| pull(&edge, &way.peer, name))).await;
    assert_eq!(way.made.load(Ordering::SeqCst), 4);
    drop(pulls);
    // The next finds them still there.
    soon(edge.ping(&way.peer, Duration::from_secs(5)))
        .await
        .expect("an answer");
    assert_eq!(way.made.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_after_a_while() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let way = Way::to(&origin.peer).await;
    let tuning = Tuning {
        linger: Duration::from_millis(50),
        ..tuning()
    };
    let edge = Client::new(member("edge"), secret(), tuning);
    let (_, pulling) = pull(&edge, &way.peer, "a").await;
    // In use it stays.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(way.open.load(Ordering::SeqCst), 1);
    drop(pulling);
    until(|| way.open.load(Ordering::SeqCst) == 0).await;
    // The next makes another.
    soon(edge.ping(&way.peer, Duration::from_secs(5)))
        .await
        .expect("an answer");
    assert_eq!(way.made.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_peer_that_is_dead_without_a_word_is_noticed() {
    let pinging = || Tuning {
        ping_interval: Duration::from_millis(100),
        ping_timeout: Duration::from_millis(200),
        ..tuning()
    };
    let origin = serve(secret(), pinging()).await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let way = Way::to(&origin.peer).await;
    let edge = Client::new(member("edge"), secret(), pinging());
    let (_, mut pulling) = pull(&edge, &way.peer, "a").await;
    backfill(&mut pulling).await;
    // Quiet is not dead.
    let quiet = tokio::time::timeout(Duration::from_secs(1), pulling.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    way.is_dead.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    let broken = soon(pulling.next()).await;
    assert!(
        broken.as_ref().is_err_and(Error::is_retryable),
        "{broken:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    // The other side noticed too.
    until(|| origin.node.feeds() == 0).await;
}

#[tokio::test]
async fn a_host_that_is_silent_costs_all_who_ask_the_same_moment() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address").to_string();
    let silent = Peer::new("origin", address).expect("a name");
    let folder = tempfile::TempDir::new().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&cert, made.cert.pem()).expect("writes");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("writes");
    let files = TlsFiles {
        ca: cert.clone(),
        cert,
        key,
        name: None,
    };
    let tuning = Tuning {
        connect_timeout: Duration::from_millis(300),
        ..tuning()
    };
    let edge = Client::new(member("edge"), Auth::tls(files).expect("files"), tuning);
    let begun = Instant::now();
    let asked = (0..100).map(|number| edge.pull(&silent, Subscribe::new(key_of(number))));
    for pulled in soon(join_all(asked)).await {
        assert!(matches!(pulled, Err(Error::Connect { .. })), "{pulled:?}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

fn key_of(number: usize) -> media::StreamKey {
    key(&format!("s{number}"))
}

#[tokio::test]
async fn an_edge_reads_on_while_it_is_asked_to_wait() {
    // Dropping the future that waits loses nothing.
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 25);
    let (_, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    let mut numbers: Vec<_> = backfill(&mut pulling)
        .await
        .iter()
        .map(|tag| tag.number)
        .collect();
    while numbers.len() < 500 {
        encoder.send(&mut publisher, 1);
        let patience = Duration::from_micros(numbers.len() as u64 % 7 * 100);
        if let Ok(event) = tokio::time::timeout(patience, pulling.next()).await {
            let Ok(Event::Tags(tags)) = event else {
                panic!("{event:?}");
            };
            numbers.extend(tags.iter().map(|tag| tag.number));
        }
    }
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next));
}
