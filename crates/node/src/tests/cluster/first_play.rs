//! A stream is played where it is not published.

use futures::future::join_all;

use super::*;

#[test]
fn as_many_as_ask_at_once_are_served_by_one_pull() {
    counted(async |recorded| {
        let cluster = Cluster::new(|_, _| {}).await;
        let _encoder = Encoder::accepted(&cluster.o1, "a", 1).await;
        let watch = async || {
            let mut player = cluster.e1.play("a").await;
            let seen = next_picture(&mut player).await;
            (player, seen)
        };
        let watching = join_all((0..50).map(|_| watch())).await;
        assert!(watching.iter().all(|(_, (mark, _))| *mark == 1));
        assert_eq!(pulls_begun(recorded), 1.0);
        assert_eq!(recorded.count("weir_relay_feeds{}"), 1.0);
        drop(watching);
        cluster.drain().await;
    });
}

#[tokio::test]
async fn a_node_that_takes_publishers_pulls_what_another_has() {
    let cluster = Cluster::new(|_, _| {}).await;
    let _encoder = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.o2.play("a").await;
    assert_eq!(next_picture(&mut player).await.0, 1);
    cluster.drain().await;
}

#[tokio::test]
async fn who_waits_for_a_stream_is_served_when_it_is_published_anywhere() {
    let cluster = Cluster::new(|_, config| config.play.wait = NEVER).await;
    let mut player = cluster.e1.play("a").await;
    let publish = async {
        until("it waits", async || cluster.e1.streams().await == 1).await;
        Encoder::accepted(&cluster.o1, "a", 1).await
    };
    let ((mark, _), _encoder) = futures::join!(next_picture(&mut player), publish);
    assert_eq!(mark, 1);
    cluster.drain().await;
}
