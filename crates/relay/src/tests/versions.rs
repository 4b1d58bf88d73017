//! Nodes of the previous and of the next release.

use futures::{StreamExt, stream};
use media::{Epoch, Limits};
use prost::Message;
use proto::relay::v1 as wire;
use proto::relay::v1::down::Kind;
use tonic::Request;

use super::fake::{self, Proof};
use super::support::*;
use crate::client::raw;
use crate::clock::unix_millis;
use crate::{About, Action, End, Error, Event, Query, RefusalCode, Subscribe};

/// What the origin says first to an edge that sends this message.
async fn answer(up: &[u8]) -> Option<Kind> {
    answer_to(&[up]).await
}

async fn answer_to(ups: &[&[u8]]) -> Option<Kind> {
    let origin = origin().await;
    let ring = origin.node.stream("a", Limits::default()).ring;
    let mut publisher = ring.begin(epoch(5), 0);
    Encoder::default().start(&mut publisher);
    let mut calls = raw::client(origin.peer.address()).await;
    let ups: Vec<_> = ups
        .iter()
        .map(|up| wire::Up::decode(*up).expect("a message"))
        .collect();
    let mut request = Request::new(stream::iter(ups).chain(stream::pending()));
    *request.metadata_mut() = raw::sign(
        &member("edge"),
        &origin.peer,
        "Pull",
        &secret(),
        unix_millis(),
    );
    let mut down = soon(calls.pull(request))
        .await
        .expect("an answer")
        .into_inner();
    soon(down.message())
        .await
        .expect("no error")
        .and_then(|down| down.kind)
}

#[tokio::test]
async fn an_edge_that_says_no_more_than_the_key_is_served() {
    // Up { subscribe: { key: "live/a" } }, by hand.
    let said = answer(b"\x0a\x08\x1a\x06live/a").await;
    let Some(Kind::Described(described)) = said else {
        panic!("{said:?}");
    };
    assert_eq!((described.version, described.first), (1, 0));
}

#[tokio::test]
async fn an_edge_of_the_next_release_is_served_in_the_version_of_ours() {
    // Up { subscribe: { oldest 1, newest 2, key: "live/a", field 15: 7, field 16: "new" }, field 9: 1 }.
    let said =
        answer(b"\x0a\x14\x08\x01\x10\x02\x1a\x06live/a\x78\x07\x82\x01\x03new\x48\x01").await;
    let Some(Kind::Described(described)) = said else {
        panic!("{said:?}");
    };
    assert_eq!(described.version, 1);
}

#[tokio::test]
async fn what_an_edge_says_that_we_do_not_know_is_passed_over() {
    // Up { field 9: 1 } twice, and then what is wanted.
    let said = answer_to(&[b"\x48\x01", b"\x48\x01", b"\x0a\x08\x1a\x06live/a"]).await;
    assert!(matches!(said, Some(Kind::Described(_))), "{said:?}");
}

#[tokio::test]
async fn an_edge_of_the_release_after_next_is_told_to_wait() {
    // Up { subscribe: { oldest 2, newest 3, key: "live/a" } }.
    let said = answer(b"\x0a\x0c\x08\x02\x10\x03\x1a\x06live/a").await;
    let Some(Kind::End(end)) = said else {
        panic!("{said:?}");
    };
    let refusal = end.refusal.unwrap_or_default();
    assert_eq!(refusal.code(), wire::refusal::Code::Version);
    assert!(
        refusal.sentence.contains("one release at a time"),
        "{}",
        refusal.sentence
    );
}

#[tokio::test]
async fn an_origin_that_says_less_and_other_things_is_understood() {
    let down = |bytes: &[u8]| wire::Down::decode(bytes).expect("a message");
    let peer = fake::serve(
        vec![
            // Described { epoch: { number: 5 } }: no version, no configuration, no stream.
            down(b"\x0a\x04\x12\x02\x08\x05"),
            // A kind of message that we do not know: field 14.
            down(b"\x72\x02\x08\x01"),
            // Tags { time: 40, tags: [{ kind: 8, payload: "\xaf\x01x" }, { kind: 9, payload: "\x27\x01\0\0\0", time_step: 1,
            // field 15: 9 }] }: no number, no fine time, no ingest.
            down(b"\x12\x1d\x10\x50\x2a\x07\x08\x08\x12\x03\xaf\x01x\x2a\x10\x08\x09\x12\x05\x27\x01\0\0\0\x18\x02\x78\x09\x80\x01\x01"),
            // End { reason: 77 }.
            down(b"\x2a\x02\x08\x4d"),
        ],
        Proof::True,
    )
    .await;
    let (described, mut pulling) = pull(&client("edge"), &peer, "a").await;
    assert_eq!(described.description.epoch, Epoch::new(5, 0));
    assert_eq!(described.description.tags, []);
    assert_eq!(described.about, About::default());
    let tags = tags(&mut pulling).await;
    let said: Vec<_> = tags
        .iter()
        .map(|tag| (tag.number, tag.tag.dts, tag.time, tag.ingest))
        .collect();
    assert_eq!(said, [(0, 40, 40 * MS, 0), (1, 41, 41 * MS, 0)]);
    assert_eq!(
        soon(pulling.next()).await.expect("no error"),
        Event::Ended(End::Lost)
    );
}

#[tokio::test]
async fn an_origin_that_speaks_what_was_not_offered_is_not_believed() {
    let described = wire::Described {
        version: 2,
        epoch: Some(wire::Epoch { number: 5, node: 0 }),
        ..Default::default()
    };
    let down = wire::Down {
        kind: Some(Kind::Described(described)),
    };
    let peer = fake::serve(vec![down], Proof::True).await;
    let pulled = soon(client("edge").pull(&peer, Subscribe::new(key("a")))).await;
    assert!(matches!(pulled, Err(Error::Malformed(_))), "{pulled:?}");
}

#[tokio::test]
async fn a_node_that_does_not_know_a_call_has_refused_it() {
    let peer = fake::serve(Vec::new(), Proof::True).await;
    let edge = client("edge");
    let acted = soon(edge.act(&peer, Action::Drain)).await;
    let Err(Error::Refused(refusal)) = acted else {
        panic!("{acted:?}");
    };
    assert_eq!(refusal.code, RefusalCode::Unsupported);
    let located = soon(edge.locate(&peer, &key("a"))).await;
    let Err(Error::Refused(refusal)) = located else {
        panic!("{located:?}");
    };
    assert_eq!(refusal.code, RefusalCode::Invalid);
    // An answer of a kind that we do not know.
    let said = soon(edge.status(&peer, &Query::Node)).await;
    assert!(matches!(said, Err(Error::Malformed(_))), "{said:?}");
}
