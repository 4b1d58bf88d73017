//! Connections: how many, for how long, and what one stream does to another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use media::Limits;
use tokio::net::TcpListener;

use super::support::*;
use super::way::Way;
use crate::{Auth, Client, End, Error, Event, Peer, Subscribe, TlsFiles, Tuning, Viewers};

fn tuning() -> Tuning {
    Tuning {
        connections_per_peer: 1,
        ..Tuning::default()
    }
}

#[tokio::test]
async fn a_stream_that_is_not_read_does_not_hold_up_another() {
    let origin = origin().await;
    let way = Way::to(&origin.peer).await;
    let slow = origin.node.stream("slow", Limits::default()).ring;
    let mut slow = slow.begin(epoch(5), 0);
    let quick = origin.node.stream("quick", Limits::default()).ring;
    let mut quick = quick.begin(epoch(5), 0);
    let (mut one, mut other) = (Encoder::default(), Encoder::default());
    one.start(&mut slow);
    other.start(&mut quick);
    other.send(&mut quick, 25);

    // All on one connection.
    let stream_window = 1 << 20;
    let tuning = Tuning {
        stream_window,
        ..tuning()
    };
    let edge = Client::new(member("edge"), secret(), tuning);
    let stalled = join_all((0..24).map(|_| pull(&edge, &way.peer, "slow"))).await;
    let (_, mut flowing) = pull(&edge, &way.peer, "quick").await;
    backfill(&mut flowing).await;
    // More than the window of each, until they are full.
    for _ in 0..8 {
        one.picture(&mut slow, 1 << 20);
    }
    let full = stalled.len() * stream_window as usize;
    until(|| way.down() >= full).await;
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
    assert_eq!(way.made(), 1);
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
    assert_eq!(way.made(), 4);
    drop(pulls);
    // The next finds them still there.
    soon(edge.ping(&way.peer, Duration::from_secs(5)))
        .await
        .expect("an answer");
    assert_eq!(way.made(), 4);
}

#[tokio::test]
async fn who_pulls_from_many_nodes_keeps_the_connections_to_each() {
    let (one, other) = (origin().await, origin().await);
    let ways = [Way::to(&one.peer).await, Way::to(&other.peer).await];
    let edge = Client::new(member("edge"), secret(), tuning());
    for _ in 0..3 {
        for way in &ways {
            soon(edge.ping(&way.peer, Duration::from_secs(10)))
                .await
                .expect("an answer");
        }
    }
    assert_eq!(ways.each_ref().map(Way::made), [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pulls_that_begin_at_the_same_moment_share_them_too() {
    let origin = origin().await;
    let way = Way::to(&origin.peer).await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    for round in 1..=15 {
        let edge = Client::new(member("edge"), secret(), tuning());
        let pulls = (0..32).map(|_| {
            let (edge, peer) = (edge.clone(), way.peer.clone());
            tokio::spawn(async move { pull(&edge, &peer, "a").await })
        });
        for pulled in join_all(pulls).await {
            pulled.expect("no panic");
        }
        assert_eq!(way.made(), round);
    }
}

#[tokio::test]
async fn pulls_that_are_dropped_in_full_flow_do_no_harm_to_the_rest() {
    let origin = origin().await;
    let way = Way::to(&origin.peer).await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 1);
    let edge = Client::new(member("edge"), secret(), tuning());
    let (_, mut stays) = pull(&edge, &way.peer, "a").await;
    let mut numbers: Vec<_> = backfill(&mut stays)
        .await
        .iter()
        .map(|tag| tag.number)
        .collect();
    // More than HTTP/2 remembers of, and again and again.
    for _ in 0..8 {
        let others = join_all((0..200).map(|_| pull(&edge, &way.peer, "a"))).await;
        encoder.send(&mut publisher, 10);
        let last = last_number(&ring);
        drop(others);
        encoder.send(&mut publisher, 10);
        while numbers.last() < Some(&last) {
            numbers.extend(tags(&mut stays).await.iter().map(|tag| tag.number));
        }
    }
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next));
    assert_eq!(way.made(), 1);
    until(|| origin.node.feeds() == 1).await;
}

#[tokio::test]
async fn pulls_that_are_given_up_on_their_way_do_no_harm_to_the_rest() {
    let origin = origin().await;
    let way = Way::to(&origin.peer).await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let edge = Client::new(member("edge"), secret(), tuning());
    let (_, mut stays) = pull(&edge, &way.peer, "a").await;
    backfill(&mut stays).await;
    for round in 0..30 {
        let asked = join_all((0..100).map(|_| edge.pull(&way.peer, Subscribe::new(key("a")))));
        let patience = Duration::from_micros(round * 300);
        drop(tokio::time::timeout(patience, asked).await);
    }
    pull(&edge, &way.peer, "a").await;
    let quiet = tokio::time::timeout(Duration::from_millis(100), stays.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert_eq!(way.made(), 1);
}

#[tokio::test]
async fn pulls_that_end_at_once_do_no_harm_to_the_rest() {
    let origin = origin().await;
    let way = Way::to(&origin.peer).await;
    let edge = Client::new(member("edge"), secret(), tuning());
    let patience = Duration::from_secs(10);
    for _ in 0..30 {
        let stream = origin.node.stream("a", Limits::default());
        let mut publisher = stream.ring.begin(epoch(5), 0);
        Encoder::default().start(&mut publisher);
        let mut pulls = join_all((0..100).map(|_| pull(&edge, &way.peer, "a"))).await;
        // What the edge says crosses the end on the way.
        stream.ring.end(media::EndReason::Ended);
        for (_, pulling) in &pulls {
            pulling.viewers(Viewers(BTreeMap::from([("rtmp".to_owned(), 1)])));
        }
        for (_, pulling) in &mut pulls {
            while !matches!(
                soon(pulling.next()).await.expect("no error"),
                Event::Ended(_)
            ) {}
        }
        soon(edge.ping(&way.peer, patience))
            .await
            .expect("an answer");
    }
    assert_eq!(way.made(), 1);
}

fn last_number(ring: &media::Ring) -> u64 {
    ring.next_number().map_or(0, |(_, number)| number - 1)
}

#[tokio::test]
async fn of_what_is_not_read_no_more_than_a_window_and_a_little_is_under_way() {
    let origin = origin().await;
    let limits = Limits {
        max_bytes: 1 << 20,
        max_gop_bytes: 1 << 20,
        max_duration: Duration::from_secs(1),
        ..Limits::default()
    };
    let ring = origin.node.stream("a", limits).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 25);
    let tuning = Tuning {
        stream_window: 256 << 10,
        ..tuning()
    };
    let edge = Client::new(member("edge"), secret(), tuning);
    let (_, mut pulling) = pull(&edge, &origin.peer, "a").await;
    // 64 MB, with time for the connection to take what it will.
    for at in 0..2000 {
        encoder.picture(&mut publisher, 32_000);
        match at % 100 {
            0 => tokio::time::sleep(Duration::from_millis(1)).await,
            _ => tokio::task::yield_now().await,
        }
    }
    let mut under_way = 0;
    loop {
        match soon(pulling.next()).await.expect("no error") {
            Event::Tags(tags) => {
                under_way += tags.iter().map(|tag| tag.tag.payload.len()).sum::<usize>();
            }
            Event::CaughtUp => {}
            Event::Ended(end) => break assert_eq!(end, End::Lagged),
            other => panic!("{other:?}"),
        }
    }
    // The window, what the connection holds for the stream, and a batch or two that are being made.
    assert!(under_way < 2 << 20, "{under_way}");
}

#[tokio::test]
async fn a_long_way_costs_each_tag_its_length_and_no_more() {
    let delay = Duration::from_millis(50);
    let origin = origin().await;
    let way = Way::long(&origin.peer, delay).await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 100);
    // There and back once, whatever there is to fetch: twice would be 200 ms. A busy machine takes its time too, so
    // the best of some tries counts.
    let mut took = Vec::new();
    let mut pulling = None;
    for _ in 0..6 {
        let edge = client("edge");
        let begun = Instant::now();
        let (_, mut begins) = pull(&edge, &way.peer, "a").await;
        backfill(&mut begins).await;
        took.push(begun.elapsed());
        pulling = Some(begins);
    }
    assert!(
        took.iter().min() < Some(&Duration::from_millis(190)),
        "{took:?}"
    );
    let mut pulling = pulling.expect("some tries");
    let mut took = Vec::new();
    for _ in 0..21 {
        let begun = Instant::now();
        encoder.send(&mut publisher, 1);
        let mut got = 0;
        while got < 2 {
            got += tags(&mut pulling).await.len();
        }
        took.push(begun.elapsed());
    }
    took.sort();
    assert!(took[0] >= delay, "{took:?}");
    assert!(took[5] < delay + Duration::from_millis(35), "{took:?}");
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
    assert_eq!(way.open(), 1);
    drop(pulling);
    until(|| way.open() == 0).await;
    // The next makes another.
    soon(edge.ping(&way.peer, Duration::from_secs(5)))
        .await
        .expect("an answer");
    assert_eq!(way.made(), 2);
}

/// Notices within a moment that nobody is there.
fn pinging() -> Tuning {
    Tuning {
        ping_interval: Duration::from_millis(100),
        ping_timeout: Duration::from_millis(200),
        ..tuning()
    }
}

/// Takes an hour for it.
fn trusting() -> Tuning {
    Tuning {
        ping_interval: Duration::from_secs(3600),
        ..tuning()
    }
}

#[tokio::test]
async fn a_connection_waits_for_the_next_pull_however_long_it_was_in_use() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let way = Way::to(&origin.peer).await;
    let linger = Duration::from_millis(200);
    let edge = Client::new(member("edge"), secret(), Tuning { linger, ..tuning() });
    let (_, pulling) = pull(&edge, &way.peer, "a").await;
    tokio::time::sleep(linger * 5 / 2).await;
    drop(pulling);
    // The node has heard of it, so nothing of the pull is left.
    until(|| origin.node.feeds() == 0).await;
    pull(&edge, &way.peer, "a").await;
    assert_eq!(way.made(), 1);
}

#[tokio::test]
async fn an_origin_that_is_dead_without_a_word_is_noticed() {
    let origin = serve(secret(), trusting()).await;
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
    way.die();
    let begun = Instant::now();
    let broken = soon(pulling.next()).await;
    assert!(
        broken.as_ref().is_err_and(Error::is_retryable),
        "{broken:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_connection_without_pulls_is_watched_too() {
    let origin = serve(secret(), trusting()).await;
    let way = Way::to(&origin.peer).await;
    let tuning = Tuning {
        linger: Duration::from_secs(3600),
        ..pinging()
    };
    let edge = Client::new(member("edge"), secret(), tuning);
    let patience = Duration::from_secs(5);
    soon(edge.ping(&way.peer, patience)).await.expect("there");
    way.die();
    // Closed by the edge, so that the next pull does not wait for an answer in vain.
    until(|| way.open() == 0).await;
}

#[tokio::test]
async fn an_edge_that_is_dead_without_a_word_is_noticed() {
    let origin = serve(secret(), pinging()).await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let way = Way::to(&origin.peer).await;
    let edge = Client::new(member("edge"), secret(), trusting());
    let (_, mut pulling) = pull(&edge, &way.peer, "a").await;
    backfill(&mut pulling).await;
    let quiet = tokio::time::timeout(Duration::from_secs(1), pulling.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert_eq!(origin.node.feeds(), 1);
    way.die();
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
