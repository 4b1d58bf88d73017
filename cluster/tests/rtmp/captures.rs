//! Recorded sessions of real encoders, byte for byte, to a live node.

use flv::{Kind, Tag};
use testkit::{Capture, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_cluster::Node;

/// The end of its second track, in H.264, is said in words that mean the first, which is in HEVC. It must not get through.
const ENDS_THE_WRONG_TRACK: &str = "pub-ffmpeg9-multitrack2-nginx";

/// Replays one; `pieces` is how much is written at a time.
async fn replays(node: &Node, capture: &Capture, pieces: usize) {
    let (app, name) = capture.key();
    let player = Peer::play(node.rtmp, app, name).await;
    let encoder = TcpStream::connect(node.rtmp)
        .await
        .expect("the node is there");
    let (mut answers, mut encoder) = encoder.into_split();
    let reader = tokio::spawn(async move {
        let mut ignored = Vec::new();
        // Whether it ends in order or with a reset.
        let _ = answers.read_to_end(&mut ignored).await;
    });
    for piece in capture.bytes().chunks(pieces) {
        encoder
            .write_all(piece)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", capture.name));
    }
    encoder
        .shutdown()
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", capture.name));
    player.status("NetStream.Play.Stop").await;
    testkit::wait::within("the end of the encoder's connection", reader)
        .await
        .expect("no panic");

    // Metadata is made once for all players.
    let media = |tag: &&Tag| tag.kind != Kind::Data;
    let tags = player.tags();
    let came: Vec<_> = tags.iter().filter(media).map(Capture::line).collect();
    let mut sent: Vec<_> = capture
        .tags
        .iter()
        .filter(|tag| tag.0 != Kind::Data)
        .cloned()
        .collect();
    if capture.name == ENDS_THE_WRONG_TRACK {
        sent.pop();
    }
    let differs = came.iter().zip(&sent).position(|(came, sent)| came != sent);
    assert!(
        came == sent,
        "{}: {} tags came of {}, the first other at {differs:?}: {:?} for {:?}",
        capture.name,
        came.len(),
        sent.len(),
        differs.map(|at| &came[at]),
        differs.map(|at| &sent[at]),
    );
    let metadata = capture.tags.iter().any(|tag| tag.0 == Kind::Data);
    let there = player
        .heard()
        .iter()
        .any(|heard| heard.tag().is_some_and(Tag::is_metadata));
    assert_eq!(there, metadata, "{}: metadata", capture.name);
}

async fn replays_all(pieces: usize) {
    let node = Node::start(&["play.wait=20s", "publish.grace=0s"]).await;
    let captures = Capture::publishers();
    assert!(captures.len() > 40, "{} captures", captures.len());
    for capture in &captures {
        replays(&node, capture, pieces).await;
    }
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 0.0)
        .await;
    node.stopped().await;
}

#[tokio::test]
async fn what_real_encoders_sent_comes_out_as_it_was() {
    replays_all(usize::MAX).await;
}

#[tokio::test]
async fn what_real_encoders_sent_comes_out_as_it_was_in_small_pieces() {
    replays_all(1009).await;
}
