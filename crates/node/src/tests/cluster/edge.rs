//! Encoders that come to an edge.

use super::*;

#[tokio::test]
async fn is_refused_with_the_names_of_the_origins() {
    let cluster = Cluster::new(|_, _| {}).await;
    let why = Encoder::refused(&cluster.e1, "a").await;
    assert!(why.contains("this node is an edge"), "{why}");
    for origin in [&cluster.o1, &cluster.o2] {
        let url = origin.url("a");
        let told = format!("rtmp://{}:{}", url.host(), url.port());
        assert!(why.contains(&told), "{why}");
    }
    assert_eq!(cluster.e1.streams().await, 0);
    cluster.drain().await;
}

#[tokio::test]
async fn is_not_sent_to_an_origin_that_leaves() {
    let cluster = Cluster::new(|name, config| {
        if name == "o1" {
            config.node.drain_delay = NEVER;
            config.node.drain_timeout = 4 * NEVER;
        }
    })
    .await;
    let leaving = cluster.o1.node.clone();
    let drain = tokio::spawn(async move { leaving.drain().await });
    until("the edge knows", async || {
        let o1 = cluster.e1.directory.find_node(&id("o1"));
        o1.is_some_and(|o1| o1.draining)
    })
    .await;
    let why = Encoder::refused(&cluster.e1, "a").await;
    let names = |member: &Member| why.contains(&format!(":{}", member.url("a").port()));
    assert!(names(&cluster.o2) && !names(&cluster.o1), "{why}");
    // It takes no publisher any more itself.
    let why = Encoder::refused(&cluster.o1, "a").await;
    assert!(why.contains("shutting down"), "{why}");
    drain.abort();
}
