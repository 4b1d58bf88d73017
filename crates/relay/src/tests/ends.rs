//! How pulls end, and what the edge may conclude.

use std::sync::Arc;
use std::time::Duration;

use media::{EndReason, Limits, StreamKey};
use tokio::net::TcpListener;

use super::support::*;
use crate::{
    Client, End, Error, Event, Member, Notice, Peer, RefusalCode, Server, Subscribe, Tuning,
};

async fn end_of(ends: impl FnOnce(&Stream)) -> (usize, End) {
    let origin = origin().await;
    let stream = origin.node.stream("a", Limits::default());
    let mut publisher = stream.ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 25);
    let (_, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    let mut count = backfill(&mut pulling).await.len();
    encoder.send(&mut publisher, 5);
    ends(&stream);
    loop {
        match soon(pulling.next()).await.expect("no error") {
            Event::Tags(tags) => count += tags.len(),
            Event::Ended(end) => {
                assert_eq!(
                    soon(pulling.next()).await.expect("still"),
                    Event::Ended(end.clone())
                );
                until(|| origin.node.feeds() == 0).await;
                // Nor is anybody listened to any more, who may go on talking.
                until(|| Arc::strong_count(&origin.node.crowd) == 1).await;
                return (count, end);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn every_reason_comes_through_and_behind_the_last_tag() {
    for (reason, end) in [
        (EndReason::Ended, End::Ended),
        (EndReason::Removed, End::Ended),
        (EndReason::Lost, End::Lost),
        (EndReason::Shutdown, End::Draining),
    ] {
        assert_eq!(end_of(|stream| stream.ring.end(reason)).await, (60, end));
    }
}

#[tokio::test]
async fn what_the_node_says_goes_before_what_the_ring_says() {
    let moved = End::Moved {
        node: "other".to_owned(),
    };
    let notice = Notice::End(moved.clone());
    let end = end_of(|stream| {
        stream.notices.send_replace(notice.clone());
        stream.ring.end(EndReason::Ended);
    });
    assert_eq!(end.await, (60, moved.clone()));
    // The ring may well go on, with what comes from the other node.
    let end = end_of(|stream| drop(stream.notices.send_replace(notice.clone())));
    assert_eq!(end.await, (60, moved));
}

#[tokio::test]
async fn a_node_that_drains_says_so_and_serves_on() {
    let origin = origin().await;
    let stream = origin.node.stream("a", Limits::default());
    let mut publisher = stream.ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 25);
    let (_, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    backfill(&mut pulling).await;
    let within = Duration::from_secs(30);
    stream.notices.send_replace(Notice::Draining { within });
    assert_eq!(
        soon(pulling.next()).await.expect("no error"),
        Event::Draining(within)
    );
    encoder.send(&mut publisher, 1);
    assert!(!tags(&mut pulling).await.is_empty());
}

#[tokio::test]
async fn who_reads_too_slowly_pulls_anew() {
    let origin = origin().await;
    let limits = Limits {
        max_bytes: 1 << 20,
        max_gop_bytes: 1 << 20,
        max_duration: Duration::from_secs(1),
        ..Limits::default()
    };
    let stream = origin.node.stream("a", limits);
    let mut publisher = stream.ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 25);
    let (_, mut pulling) = pull(&client("edge"), &origin.peer, "a").await;
    backfill(&mut pulling).await;
    // More than the connection and its windows take, so that the ring goes on without the edge.
    for _ in 0..2000 {
        encoder.picture(&mut publisher, 30_000);
        tokio::task::yield_now().await;
    }
    loop {
        match soon(pulling.next()).await.expect("no error") {
            Event::Tags(_) => {}
            Event::Ended(end) => break assert_eq!(end, End::Lagged),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_refused() {
    let origin = origin().await;
    let pulled = soon(client("edge").pull(&origin.peer, Subscribe::new(key("absent")))).await;
    let Err(Error::Refused(refusal)) = pulled else {
        panic!("{pulled:?}");
    };
    assert_eq!(refusal.code, RefusalCode::NotFound);
    assert!(!Error::Refused(refusal).is_retryable());
}

#[tokio::test]
async fn a_stream_of_which_nothing_is_there_yet_is_worth_another_try() {
    let origin = origin().await;
    origin.node.stream("a", Limits::default());
    let pulled = soon(client("edge").pull(&origin.peer, Subscribe::new(key("a")))).await;
    assert!(pulled.is_err_and(|error| error.is_retryable()));
    until(|| origin.node.feeds() == 0).await;
}

#[tokio::test]
async fn a_stream_that_would_come_back_to_where_it_is_from_is_refused() {
    let origin = origin().await;
    origin.node.stream("a", Limits::default());
    for (caller, hops) in [
        ("edge", vec!["far".to_owned(), "origin".to_owned()]),
        ("origin", Vec::new()),
        ("edge", vec!["hop".to_owned(); 9]),
    ] {
        let wanted = Subscribe {
            hops,
            ..Subscribe::new(key("a"))
        };
        let pulled = soon(client(caller).pull(&origin.peer, wanted)).await;
        let Err(Error::Refused(refusal)) = pulled else {
            panic!("{pulled:?}");
        };
        assert_eq!(refusal.code, RefusalCode::Loop);
    }
    assert!(origin.node.wanted.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn as_many_nodes_as_are_allowed_may_wait_for_a_stream() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    // The caller is the last of them.
    let behind = |count| vec!["hop".to_owned(); count];
    for (hops, allowed) in [(behind(7), true), (behind(8), false)] {
        let wanted = Subscribe {
            hops,
            ..Subscribe::new(key("a"))
        };
        let pulled = soon(client("edge").pull(&origin.peer, wanted)).await;
        assert_eq!(pulled.is_ok(), allowed, "{pulled:?}");
    }
}

#[tokio::test]
async fn who_waits_for_a_node_that_waits_itself_gives_up_in_time() {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    // It has begun to pull, and nothing came yet.
    let _replica = ring.replica();
    let call_timeout = Duration::from_millis(200);
    let tuning = Tuning {
        call_timeout,
        ..Tuning::default()
    };
    let edge = Client::new(member("edge"), secret(), tuning);
    let pulled = soon(edge.pull(&origin.peer, Subscribe::new(key("a")))).await;
    let Err(error @ Error::TimedOut(patience)) = pulled else {
        panic!("{pulled:?}");
    };
    assert_eq!(patience, call_timeout);
    assert!(error.is_retryable());
    until(|| origin.node.feeds() == 0).await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_broken_connection() {
    let origin = origin().await;
    let stream = origin.node.stream("a", Limits::default());
    let mut publisher = stream.ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let edge = client("edge");
    let (_, mut pulling) = pull(&edge, &origin.peer, "a").await;
    backfill(&mut pulling).await;
    let peer = origin.peer.clone();
    let node = Arc::clone(&origin.node);
    drop(origin);
    let broken = soon(pulling.next()).await;
    assert!(matches!(broken, Err(Error::Lost(_))), "{broken:?}");
    // All that it had open is closed, even though nobody asked the pumps.
    until(|| node.feeds() == 0).await;
    let refused = soon(edge.pull(&peer, Subscribe::new(key("a")))).await;
    let Err(error @ Error::Connect { .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_server_that_stops_waits_for_its_pulls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address").to_string();
    let node = Arc::new(Node::default());
    let stream = node.stream("a", Limits::default());
    let mut publisher = stream.ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let server = Server::new(member("origin"), secret(), Tuning::default(), node);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut serving = tokio::spawn(async move {
        server
            .serve(listener, async move { drop(stopped.await) })
            .await;
    });
    let peer = Peer::new("origin", address).expect("a name");
    let edge = client("edge");
    let (_, mut pulling) = pull(&edge, &peer, "a").await;
    backfill(&mut pulling).await;
    drop(stop);
    // The first to learn it; still waiting for the pull, though.
    until(|| std::net::TcpStream::connect(peer.address()).is_err()).await;
    assert!(!serving.is_finished());
    stream.notices.send_replace(Notice::End(End::Draining));
    assert_eq!(
        soon(pulling.next()).await.expect("no error"),
        Event::Ended(End::Draining)
    );
    drop(pulling);
    soon(&mut serving).await.expect("no panic");
}

#[tokio::test]
async fn all_the_questions_and_orders_arrive() {
    use crate::{Action, Query, Release};
    let origin = origin().await;
    origin.node.stream("a", Limits::default());
    let (edge, peer) = (client("edge"), &origin.peer);
    let record = soon(edge.locate(peer, &key("a"))).await.expect("an answer");
    assert_eq!(record.as_deref(), Some(r#"{"node":"origin"}"#));
    let record = soon(edge.locate(peer, &key("b"))).await.expect("an answer");
    assert_eq!(record, None);
    let json = soon(edge.status(peer, &Query::Why(key("a"))))
        .await
        .expect("an answer");
    assert_eq!(json, "Why(StreamKey(live/a))");
    soon(edge.act(peer, Action::Stop(key("a"))))
        .await
        .expect("done");
    assert_eq!(
        *origin.node.asked.lock().expect("not poisoned"),
        ["edge Stop(StreamKey(live/a))"]
    );
    let release = |identity: &[u8]| Release {
        key: StreamKey::parse("live/a").expect("a key"),
        epoch: epoch(9),
        identity: identity.to_vec(),
        publisher: String::new(),
        only_asks: false,
    };
    let released = soon(edge.release(peer, release(b"same")))
        .await
        .expect("released");
    assert_eq!(released.epoch, epoch(9));
    let kept = soon(edge.release(peer, release(b"other")))
        .await
        .expect_err("kept");
    assert_eq!(kept.retry_after(), Some(Duration::from_secs(3)));
    // From another task, as nodes do.
    let pong = tokio::spawn({
        let (edge, peer) = (edge.clone(), peer.clone());
        async move { edge.ping(&peer, Duration::from_secs(5)).await }
    });
    let pong = soon(pong).await.expect("no panic").expect("an answer");
    assert!(
        pong.clock
            .as_millis()
            .abs_diff(crate::clock::unix_millis() as u128)
            < 5000
    );
    assert!(Member::new("test", "a b").is_err());
}

#[tokio::test]
async fn who_asks_for_the_time_is_told_the_clock_of_the_tags() {
    let origin = origin().await;
    let clock = Duration::from_millis(1_600_000_000_123);
    *origin.node.clock.lock().expect("not poisoned") = Some(clock);
    let edge = client("edge");
    let pong = soon(edge.ping(&origin.peer, Duration::from_secs(5))).await;
    assert_eq!(pong.expect("an answer").clock, clock);
}
