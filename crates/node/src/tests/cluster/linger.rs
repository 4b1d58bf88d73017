//! How long a stream is pulled that nobody watches.

use ractor::concurrency::oneshot;
use tokio::time::Instant;

use super::*;
use crate::config::Tracks;
use crate::gate::Wants;
use crate::node::Message;
use crate::peer::Peer;
use crate::seat::Seat;
use crate::stream::{self, SubscribeRequest};
use crate::tests::{pair, tell};

const LINGER: Duration = Duration::from_millis(200);

#[test]
fn a_pull_goes_on_for_a_while_without_a_viewer_and_then_ends() {
    counted(async |recorded| {
        let cluster = Cluster::new(|_, config| config.pull.linger = LINGER).await;
        let _encoder = Encoder::accepted(&cluster.o1, "a", 1).await;
        let mut player = cluster.e1.play("a").await;
        next_picture(&mut player).await;
        player.close().await;
        let left = Instant::now();
        until("the pull ends", async || pulls(recorded) == 0.0).await;
        assert!(left.elapsed() >= LINGER, "{:?}", left.elapsed());
        until("nothing is left of it", async || {
            cluster.e1.streams().await == 0 && recorded.count("weir_relay_feeds{}") == 0.0
        })
        .await;
        // The stream itself is where it was.
        let mut player = cluster.e1.play("a").await;
        next_picture(&mut player).await;
        assert_eq!(pulls_begun(recorded), 2.0);
        cluster.drain().await;
    });
}

/// Asks a node for the stream, which may do nothing else before this returns; then whether it may play.
fn ask(member: &Member, peer: Arc<Peer>) -> impl Future<Output = bool> + use<> {
    let request = SubscribeRequest {
        seat: Seat::rtmp(peer, 1),
        wants: Wants::both(Tracks::All),
    };
    let (reply, answer) = oneshot();
    let subscribe = Message::Subscribe(key("a"), request, reply.into());
    tell(&member.node, subscribe);
    async move { answer.await.expect("an answer").is_ok() }
}

/// An edge that pulls for a viewer who has left, and what it was asked so far: one play.
async fn lingering() -> (Cluster, Encoder) {
    let cluster = Cluster::new(|_, _| {}).await;
    let encoder = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.e1.play("a").await;
    next_picture(&mut player).await;
    player.close().await;
    until("the viewer has left", async || {
        cluster.e1.node.connections().await == 0
    })
    .await;
    (cluster, encoder)
}

/// The time is over for a stream that was asked for so many times.
fn linger_is_over(requests: u64) -> Message {
    Message::ToStream(key("a"), stream::Message::LingerOver(requests))
}

#[test]
fn who_comes_while_the_pull_closes_is_served_by_it() {
    counted(async |recorded| {
        let (cluster, _encoder) = lingering().await;
        // The stream asks its node whether it may go. By then the node knows of the next viewer, and the stream
        // does not yet.
        let (peer, _far) = pair::connected().await;
        tell(&cluster.e1.node, linger_is_over(1));
        assert!(ask(&cluster.e1, Arc::clone(&peer)).await);
        assert_eq!((pulls_begun(recorded), pulls(recorded)), (1.0, 1.0));
        assert_eq!(cluster.e1.streams().await, 1);
        // What was meant for a moment that is over ends nothing.
        tell(&cluster.e1.node, linger_is_over(1));
        assert!(ask(&cluster.e1, peer).await);
        assert_eq!(pulls_begun(recorded), 1.0);
        cluster.drain().await;
    });
}

#[test]
fn who_comes_when_the_pull_has_closed_gets_another() {
    counted(async |recorded| {
        let (cluster, _encoder) = lingering().await;
        tell(&cluster.e1.node, linger_is_over(1));
        until("the pull has closed", async || {
            cluster.e1.streams().await == 0
        })
        .await;
        let (peer, _far) = pair::connected().await;
        assert!(ask(&cluster.e1, peer).await);
        until("another begins", async || pulls_begun(recorded) == 2.0).await;
        cluster.drain().await;
    });
}
