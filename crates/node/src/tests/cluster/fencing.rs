//! Epochs: of two who serve one key, the higher one counts, for everybody.

use super::door::Door;
use super::*;
use directory::{StreamRecord, StreamState};

#[tokio::test]
async fn who_loses_its_claim_ends_its_publisher_with_a_reason() {
    let cluster = Cluster::new(|_, _| {}).await;
    let encoder = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.o1.play("a").await;
    goes_over(&mut player, 1, 1).await;
    // Somebody who does not ask.
    let rude = cluster.embedded.join(id("rude"), Options::default());
    let held = async || rude.resolve(&key("a")).await.ok().flatten();
    until("the directory is reached", async || held().await.is_some()).await;
    let held = held().await.expect("o1 has it");
    let record = StreamRecord {
        epoch: rude.next_epoch(Some(held.record.epoch)),
        state: StreamState::Live,
        ..held.record.clone()
    };
    let claim = rude.claim(record, Some(held.revision)).await;
    let claim = claim.expect("it has it by force");
    let why = encoder.ended().await;
    assert!(why.contains("which has it from now on"), "{why}");
    // Its player waits there for what the other has.
    assert_eq!(cluster.o1.streams().await, 1);
    drop(rude.release(claim).await);
    let _again = Encoder::accepted(&cluster.o2, "a", 2).await;
    goes_over(&mut player, 1, 2).await;
    cluster.drain().await;
}

#[tokio::test]
async fn an_edge_takes_nothing_of_a_lower_epoch_whatever_the_directory_says() {
    let door = Door::new().await;
    let cluster = Cluster::new(|name, config| {
        with_token(config);
        (config.publish.silence, config.publish.grace) = (NEVER, NEVER);
        if name == "o1" {
            config.relay.advertise = Some(door.address.to_string());
        }
    })
    .await;
    let addresses = cluster.o1.node.addresses();
    let relay = addresses.iter().find(|(name, _)| *name == "relay");
    door.leads_to(relay.expect("a relay").1);
    let old = Encoder::accepted(&cluster.o1, "a?token=token", 1).await;
    let mut player = cluster.e1.play("a").await;
    goes_over(&mut player, 1, 1).await;

    // o1 is cut off from all but its encoder, and that one is somewhere else as well.
    let then = cluster.embedded.snapshot();
    cluster.embedded.cut(&id("o1"));
    door.open(false);
    let new = Encoder::accepted(&cluster.o2, "a?token=token", 2).await;
    goes_over(&mut player, 1, 2).await;
    assert!(!old.task.is_finished(), "o1 knows of nothing");

    // Now nobody has it but o1, and the directory is what it was.
    drop(new);
    cluster.o2.node.drain().await;
    until("it is gone", async || cluster.e1.held("a").is_none()).await;
    cluster.embedded.restore(then);
    door.open(true);
    cluster.e1.hears_of("a", "o1").await;
    assert!(!old.task.is_finished(), "o1 has it");
    // What the edge had of o2 comes, and then nothing.
    let pause = Duration::from_millis(500);
    while let Ok((mark, _)) = timeout(pause, next_picture(&mut player)).await {
        assert_eq!(mark, 2, "o1 does not know that it was replaced");
    }

    // The next publish there is above all.
    cluster.embedded.heal(&id("o1"));
    let _next = Encoder::accepted(&cluster.o1, "a?token=token", 3).await;
    goes_over(&mut player, 3, 3).await;
    cluster.drain().await;
}
