//! An encoder comes to another origin than the one that has its stream.

use tokio::time::Instant;

use super::door::Door;
use super::*;
use crate::config::OnConflict;

const SILENCE: Duration = Duration::from_millis(400);

#[tokio::test]
async fn who_is_known_takes_its_stream_over_at_once() {
    let cluster = Cluster::new(|_, config| {
        with_token(config);
        (config.publish.silence, config.publish.grace) = (NEVER, NEVER);
    })
    .await;
    let first = Encoder::accepted(&cluster.o1, "a?token=token", 1).await;
    let mut player = cluster.e1.play("a").await;
    goes_over(&mut player, 1, 1).await;
    let before = cluster.e1.held("a").expect("it plays it").record.epoch;
    let _second = Encoder::accepted(&cluster.o2, "a?token=token", 2).await;
    let why = first.ended().await;
    assert!(why.contains("published at another node"), "{why}");
    goes_over(&mut player, 1, 2).await;
    cluster.e1.hears_of("a", "o2").await;
    let after = cluster.e1.held("a").expect("it plays it").record.epoch;
    assert!(after > before);
    cluster.drain().await;
}

#[tokio::test]
async fn a_stranger_is_refused_while_the_publisher_sends() {
    let cluster = Cluster::new(|_, config| config.publish.grace = NEVER).await;
    let first = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.e1.play("a").await;
    goes_over(&mut player, 1, 1).await;
    let why = Encoder::refused(&cluster.o2, "a").await;
    assert!(why.contains("being published by someone else"), "{why}");
    goes_over(&mut player, 1, 1).await;
    assert!(!first.task.is_finished());
    assert_eq!(cluster.o2.streams().await, 0);
    cluster.drain().await;
}

#[test]
fn nothing_is_pulled_for_who_is_refused() {
    counted(async |recorded| {
        let cluster = Cluster::new(|_, config| {
            with_token(config);
            (config.publish.silence, config.publish.grace) = (NEVER, NEVER);
        })
        .await;
        let [mut here, mut there] = [&cluster.o1, &cluster.o2];
        let mut last = Encoder::accepted(here, "a?token=token", 1).await;
        let mut begun = 0.0;
        // One takes it from the other, each time with what there was, until both nodes have had enough of that.
        for _ in 0..6 {
            until("it sends", async || {
                there
                    .held("a")
                    .is_some_and(|held| held.record.node == id(here.node.id()))
            })
            .await;
            let next = Encoder::accepted(there, "a?token=token", 2).await;
            last.ended().await;
            last = next;
            (here, there) = (there, here);
            begun += 1.0;
            assert_eq!(pulls_begun(recorded), begun);
        }
        let why = Encoder::refused(there, "a?token=token").await;
        assert!(why.contains("just replaced"), "{why}");
        assert_eq!(pulls_begun(recorded), begun);
        drop(last);
        cluster.drain().await;
    });
}

#[test]
fn nor_for_a_stranger() {
    counted(async |recorded| {
        let cluster = Cluster::new(|_, config| config.publish.grace = NEVER).await;
        let _first = Encoder::accepted(&cluster.o1, "a", 1).await;
        cluster.o2.hears_of("a", "o1").await;
        let why = Encoder::refused(&cluster.o2, "a").await;
        assert!(why.contains("being published by someone else"), "{why}");
        assert_eq!(pulls_begun(recorded), 0.0);
        cluster.drain().await;
    });
}

#[tokio::test]
async fn anybody_takes_the_place_of_one_who_is_silent() {
    let cluster = Cluster::new(|_, config| {
        (config.publish.silence, config.publish.grace) = (SILENCE, NEVER);
    })
    .await;
    let first = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.e1.play("a").await;
    goes_over(&mut player, 1, 1).await;
    first.falls_silent();
    // What it sent before counts against the newcomer.
    tokio::time::sleep(SILENCE / 4).await;
    let asked = Instant::now();
    let _second = Encoder::accepted(&cluster.o2, "a", 2).await;
    assert!(asked.elapsed() > SILENCE / 4, "{:?}", asked.elapsed());
    let why = first.ended().await;
    assert!(why.contains("published at another node"), "{why}");
    goes_over(&mut player, 1, 2).await;
    cluster.drain().await;
}

#[tokio::test]
async fn anybody_takes_the_place_of_one_who_has_left() {
    let cluster = Cluster::new(|_, config| {
        (config.publish.silence, config.publish.grace) = (NEVER, NEVER);
    })
    .await;
    let first = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.e1.play("a").await;
    goes_over(&mut player, 1, 1).await;
    drop(first);
    until("it has left", async || {
        cluster.o1.node.connections().await == 0
    })
    .await;
    let _second = Encoder::accepted(&cluster.o2, "a", 2).await;
    goes_over(&mut player, 1, 2).await;
    // Nothing of it stays where it was.
    until("o1 has nothing left of it", async || {
        cluster.o1.streams().await == 0
    })
    .await;
    cluster.drain().await;
}

#[tokio::test]
async fn a_second_encoder_stands_by_at_another_origin() {
    let cluster = Cluster::new(|_, config| {
        config.publish.on_conflict = OnConflict::Backup;
        config.publish.silence = NEVER;
    })
    .await;
    let first = Encoder::accepted(&cluster.o1, "a", 1).await;
    let mut player = cluster.e1.play("a").await;
    goes_over(&mut player, 1, 1).await;
    cluster.o2.hears_of("a", "o1").await;
    let _second = Encoder::accepted(&cluster.o2, "a", 2).await;
    // Nobody sees it yet.
    goes_over(&mut player, 1, 1).await;
    drop(first);
    // At once: the other is gone, and not just silent.
    goes_over(&mut player, 1, 2).await;
    cluster.e1.hears_of("a", "o2").await;
    cluster.drain().await;
}

/// A configuration of H.264, or a keyframe that needs it, of one flavour.
fn avc(dts: u32, flavour: u8, is_configuration: bool) -> Tag {
    let record = [
        1, 0x64, 0, 0x1F, 0xFF, 0xE1, 0, 4, 0x67, 0x64, 0, flavour, 1, 0, 1, 0x68,
    ];
    let picture = [0, 0, 0, 2, 0x65, flavour];
    let kind = u8::from(!is_configuration);
    let what: &[u8] = if is_configuration { &record } else { &picture };
    let payload = [&[0x17, kind, 0, 0, 0], what].concat();
    Tag::new(Kind::Video, dts, payload.into())
}

#[tokio::test]
async fn who_watches_gets_the_configuration_of_a_publish_that_its_edge_came_late_to() {
    let door = Door::new().await;
    let cluster = Cluster::new(|name, config| {
        with_token(config);
        if name == "o2" {
            config.relay.advertise = Some(door.address.to_string());
        }
    })
    .await;
    let addresses = cluster.o2.node.addresses();
    let relay = addresses.iter().find(|(name, _)| *name == "relay");
    door.leads_to(relay.expect("a relay").1);
    let publish = async |member: &Member, flavour: u8| {
        let published = Client::default()
            .publish(&member.url("a?token=token"))
            .await;
        let publisher = published.expect("accepted");
        for (frame, is_configuration) in [(0, true), (0, false), (40, false), (80, false)] {
            let tag = avc(frame, flavour, is_configuration);
            publisher.send(tag).await.expect("open");
        }
        publisher
    };
    let _first = publish(&cluster.o1, 1).await;
    let mut player = cluster.e1.play("a").await;
    let mut next = async || loop {
        match timeout(PATIENCE, player.next()).await.expect("in time") {
            Ok(Some(Event::Tag(tag))) if tag.is_video() => return tag,
            Ok(Some(_)) => {}
            other => panic!("it plays no more: {other:?}"),
        }
    };
    loop {
        let tag = next().await;
        if tag.is_frame() && tag.dts == 80 {
            break;
        }
    }

    door.open(false);
    let second = publish(&cluster.o2, 2).await;
    cluster.e1.hears_of("a", "o2").await;
    door.open(true);
    let configuration = next().await;
    assert!(configuration.is_configuration(), "{configuration:?}");
    assert_eq!(configuration.payload, avc(0, 2, true).payload);
    assert_eq!(next().await.payload, avc(0, 2, false).payload);
    drop(second);
    cluster.drain().await;
}
