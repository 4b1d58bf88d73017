//! Peers that mean harm, or are broken: they cost their own connection and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use media::Limits;
use proto::relay::v1 as wire;
use proto::relay::v1::down::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request};

use super::fake::{self, Proof};
use super::support::*;
use crate::client::raw;
use crate::clock::unix_millis;
use crate::{Error, Peer, Subscribe, Tuning, wire as ours};

const PATIENCE: Duration = Duration::from_secs(10);

async fn connect(peer: &Peer) -> TcpStream {
    TcpStream::connect(peer.address()).await.expect("connects")
}

/// Waits until the other side closes.
async fn closed(mut socket: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    soon(async { while let Ok(1..) = socket.read(&mut buffer).await {} }).await;
}

fn signed(peer: &Peer, method: &'static str) -> MetadataMap {
    raw::sign(&member("edge"), peer, method, &secret(), unix_millis())
}

#[tokio::test]
async fn garbage_ends_its_connection() {
    let origin = origin().await;
    let garbage: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0xff; 4096],
        // The preface, then nonsense.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        // The preface, then a frame of 16 MiB that never comes.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\x00\x00\x00\x00\x00",
    ];
    for bytes in garbage {
        let mut socket = connect(&origin.peer).await;
        socket.write_all(bytes).await.expect("writes");
        closed(socket).await;
    }
    soon(client("edge").ping(&origin.peer, PATIENCE))
        .await
        .expect("served all the same");
}

#[tokio::test]
async fn who_says_nothing_is_let_go_and_who_is_known_stays() {
    let tuning = Tuning {
        handshake_timeout: Duration::from_millis(200),
        ping_interval: Duration::from_secs(60),
        ..Tuning::default()
    };
    let origin = serve(secret(), tuning).await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let (_, mut known) = pull(&client("edge"), &origin.peer, "a").await;
    backfill(&mut known).await;
    let silent = connect(&origin.peer).await;
    let mut polite = connect(&origin.peer).await;
    polite
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .expect("writes");
    closed(silent).await;
    closed(polite).await;
    let quiet = tokio::time::timeout(Duration::from_millis(300), known.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test]
async fn strangers_are_few_at_a_time_and_do_not_count_once_they_are_known() {
    let tuning = Tuning {
        max_strangers: 2,
        handshake_timeout: Duration::from_secs(3600),
        ..Tuning::default()
    };
    let origin = serve(secret(), tuning).await;
    // More than two, one after the other.
    let edges: Vec<_> = (0..5)
        .map(|number| client(&format!("edge{number}")))
        .collect();
    for edge in &edges {
        soon(edge.ping(&origin.peer, PATIENCE))
            .await
            .expect("a node");
    }
    let first = connect(&origin.peer).await;
    let _second = connect(&origin.peer).await;
    let _third = connect(&origin.peer).await;
    closed(first).await;
    for edge in &edges {
        soon(edge.ping(&origin.peer, PATIENCE))
            .await
            .expect("still a node");
    }
}

#[tokio::test]
async fn who_is_silent_keeps_no_node_out() {
    let tuning = Tuning {
        max_strangers: 32,
        handshake_timeout: Duration::from_secs(3600),
        ..Tuning::default()
    };
    let origin = serve(secret(), tuning).await;
    let from = async |ip: &str| {
        let socket = TcpSocket::new_v4().expect("a socket");
        let here = format!("{ip}:0").parse().expect("an address");
        socket.bind(here).expect("binds");
        let there = origin.peer.address().parse().expect("an address");
        socket.connect(there).await.expect("connects")
    };
    let modest = from("127.0.0.3").await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(from("127.0.0.2").await);
    }
    soon(client("edge").ping(&origin.peer, PATIENCE))
        .await
        .expect("a node");
    for socket in crowd.drain(..60) {
        closed(socket).await;
    }
    // Of those who came from elsewhere nobody had to go.
    let gone = tokio::time::timeout(Duration::from_millis(100), closed(modest)).await;
    assert!(gone.is_err());
}

#[tokio::test]
async fn who_is_turned_away_again_and_again_is_thrown_out() {
    let origin = origin().await;
    let mut calls = raw::client(origin.peer.address()).await;
    let mut turned = 0;
    let last = loop {
        let status = soon(calls.ping(Request::new(wire::PingRequest {})))
            .await
            .expect_err("a stranger");
        if status.code() != Code::Unauthenticated {
            break status;
        }
        turned += 1;
        assert!(turned <= 32, "{turned}");
    };
    assert!(turned >= 16, "{turned}: {last}");
}

#[tokio::test]
async fn a_node_that_is_turned_away_now_and_then_stays() {
    let origin = origin().await;
    let mut calls = raw::client(origin.peer.address()).await;
    for _ in 0..5 {
        for _ in 0..20 {
            let turned = soon(calls.ping(Request::new(wire::PingRequest {}))).await;
            let status = turned.expect_err("not signed");
            assert_eq!(status.code(), Code::Unauthenticated);
        }
        let mut request = Request::new(wire::PingRequest {});
        *request.metadata_mut() = signed(&origin.peer, "Ping");
        soon(calls.ping(request)).await.expect("a node");
    }
}

#[tokio::test]
async fn a_huge_message_is_not_read() {
    let origin = origin().await;
    let mut calls = raw::client(origin.peer.address()).await;
    let mut request = Request::new(wire::LocateRequest {
        key: "x".repeat(1 << 20),
    });
    *request.metadata_mut() = signed(&origin.peer, "Locate");
    let status = soon(calls.locate(request)).await.expect_err("too long");
    assert!(
        matches!(
            status.code(),
            Code::OutOfRange | Code::Unknown | Code::Internal
        ),
        "{status}"
    );
    soon(client("edge").ping(&origin.peer, PATIENCE))
        .await
        .expect("served all the same");
}

#[tokio::test]
async fn a_pull_that_never_says_what_it_wants_is_ended() {
    let origin = origin().await;
    let mut calls = raw::client(origin.peer.address()).await;
    let viewers = wire::Up {
        kind: Some(wire::up::Kind::Viewers(wire::Viewers::default())),
    };
    for ups in [vec![viewers], vec![]] {
        let mut request = Request::new(stream::iter(ups));
        *request.metadata_mut() = signed(&origin.peer, "Pull");
        let status = soon(calls.pull(request)).await.expect_err("nothing wanted");
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    for key in ["", "nonsense", "live/../x"] {
        let wanted = wire::Subscribe {
            key: key.to_owned(),
            ..Default::default()
        };
        let up = wire::Up {
            kind: Some(wire::up::Kind::Subscribe(wanted)),
        };
        let mut request = Request::new(stream::iter([up]).chain(stream::pending()));
        *request.metadata_mut() = signed(&origin.peer, "Pull");
        let mut down = soon(calls.pull(request))
            .await
            .expect("an answer")
            .into_inner();
        let said = soon(down.message())
            .await
            .expect("no error")
            .and_then(|down| down.kind);
        let Some(Kind::End(end)) = said else {
            panic!("{said:?}");
        };
        assert_eq!(
            end.refusal.map(|refusal| refusal.code()),
            Some(wire::refusal::Code::Invalid)
        );
    }
}

#[tokio::test]
async fn a_node_that_calls_itself_is_told_so_even_if_it_does_not_say_that_it_waits() {
    let origin = origin().await;
    let mut calls = raw::client(origin.peer.address()).await;
    let wanted = wire::Subscribe {
        key: "live/a".to_owned(),
        ..Default::default()
    };
    let up = wire::Up {
        kind: Some(wire::up::Kind::Subscribe(wanted)),
    };
    let mut request = Request::new(stream::iter([up]).chain(stream::pending()));
    *request.metadata_mut() = raw::sign(
        &member("origin"),
        &origin.peer,
        "Pull",
        &secret(),
        unix_millis(),
    );
    let answer = soon(calls.pull(request)).await.expect("an answer");
    let said = soon(answer.into_inner().message()).await.expect("no error");
    let Some(Kind::End(end)) = said.and_then(|down| down.kind) else {
        panic!("it would feed itself");
    };
    assert_eq!(
        end.refusal.map(|refusal| refusal.code()),
        Some(wire::refusal::Code::Loop)
    );
}

#[tokio::test]
async fn who_talks_without_end_is_heard_at_leisure() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    let mut calls = raw::client(origin.peer.address()).await;
    let wanted = wire::Subscribe {
        key: "live/a".to_owned(),
        ..Default::default()
    };
    let first = wire::Up {
        kind: Some(wire::up::Kind::Subscribe(wanted)),
    };
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let endless = stream::repeat_with(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let crowd = wire::Viewers {
            by_protocol: (0..10)
                .map(|n| (format!("a protocol of no use {n}"), n))
                .collect(),
        };
        wire::Up {
            kind: Some(wire::up::Kind::Viewers(crowd)),
        }
    });
    let mut request = Request::new(stream::iter([first]).chain(endless));
    *request.metadata_mut() = signed(&origin.peer, "Pull");
    let begun = Instant::now();
    let mut down = soon(calls.pull(request))
        .await
        .expect("an answer")
        .into_inner();
    // The stream goes on beside.
    for _ in 0..100 {
        encoder.send(&mut publisher, 1);
        soon(down.message())
            .await
            .expect("no error")
            .expect("no end");
    }
    let heard = origin.node.crowd.lock().expect("not poisoned").len();
    assert!(
        heard <= 2 + begun.elapsed().as_millis() as usize / 50,
        "{heard}"
    );
    // It sends no more than fits into its window and the buffers on the way, and then waits.
    let settled = async {
        loop {
            let before = made.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            if made.load(Ordering::SeqCst) - before < 10 {
                return;
            }
        }
    };
    soon(settled).await;
}

fn described() -> wire::Down {
    wire::Down {
        kind: Some(Kind::Described(wire::Described::default())),
    }
}

#[tokio::test]
async fn nonsense_from_an_origin_is_an_error_and_no_more() {
    let tags = |tag: wire::Tag| {
        let tags = wire::Tags {
            tags: vec![
                wire::Tag {
                    kind: 9,
                    ..Default::default()
                },
                tag,
            ],
            ..Default::default()
        };
        wire::Down {
            kind: Some(Kind::Tags(tags)),
        }
    };
    let tag = || wire::Tag {
        kind: 9,
        ..Default::default()
    };
    for nonsense in [
        tags(wire::Tag { kind: 7, ..tag() }),
        tags(wire::Tag {
            kind: u32::MAX,
            ..tag()
        }),
        tags(wire::Tag {
            time_step: i64::MAX,
            ..tag()
        }),
        tags(wire::Tag {
            fine: i64::MIN,
            ..tag()
        }),
        tags(wire::Tag {
            composition: i64::MAX,
            ..tag()
        }),
        tags(wire::Tag {
            ingest_step: i64::MIN,
            ..tag()
        }),
        tags(wire::Tag {
            cut: Some(Box::new(wire::Cut {
                mark: Some(wire::Mark {
                    target: -1,
                    ..Default::default()
                }),
                ..Default::default()
            })),
            ..tag()
        }),
    ] {
        let peer = fake::serve(vec![described(), nonsense.clone()], Proof::True).await;
        let (_, mut pulling) = pull(&client("edge"), &peer, "a").await;
        let heard = soon(pulling.next()).await;
        assert!(
            matches!(heard, Err(Error::Malformed(_))),
            "{nonsense:?}: {heard:?}"
        );
    }
    // More tags than memory should have to hold.
    let many = wire::Down {
        kind: Some(Kind::Tags(wire::Tags {
            tags: vec![tag(); 2 * proto::MAX_TAGS],
            ..Default::default()
        })),
    };
    let peer = fake::serve(vec![described(), many], Proof::True).await;
    let (_, mut pulling) = pull(&client("edge"), &peer, "a").await;
    let heard = soon(pulling.next()).await;
    let Err(Error::Malformed(_)) = heard else {
        panic!("more tags than a message may hold");
    };
    // Tags before anybody said what they are.
    let peer = fake::serve(vec![tags(tag())], Proof::True).await;
    let pulled = soon(client("edge").pull(&peer, Subscribe::new(key("a")))).await;
    assert!(matches!(pulled, Err(Error::Malformed(_))), "{pulled:?}");
}

#[test]
fn numbers_that_run_out_are_refused() {
    let tags = wire::Tags {
        number: u64::MAX,
        tags: vec![
            wire::Tag {
                kind: 8,
                ..Default::default()
            };
            2
        ],
        ..Default::default()
    };
    assert!(ours::read_tags(tags).is_err());
}
