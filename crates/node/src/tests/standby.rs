//! Two encoders of one stream, of which the second goes on when the first is gone.

use bytes::Bytes;
use flv::{Kind, Tag};
use rtmp::client::Event;
use rtmp::net::{Client, Puller};
use tokio::time::timeout;

use super::{PATIENCE, expect_tag, key, keyframe, node, play, publish, url};
use crate::config::OnConflict;

/// A keyframe that is told from others by its last byte.
fn picture(dts: u32, mark: u8) -> Tag {
    Tag::new(
        Kind::Video,
        dts,
        Bytes::copy_from_slice(&[0x12, 0, 0, 0x84, mark]),
    )
}

/// The time of the next picture with that mark, and the marks of those before.
async fn next_marked(player: &mut Puller, mark: u8) -> u32 {
    let seen = async {
        loop {
            match player.next().await.expect("a connection that lives") {
                Some(Event::Tag(tag)) if tag.is_video() && tag.payload.last() == Some(&mark) => {
                    return tag.dts;
                }
                Some(Event::StreamEnded) | None => panic!("the stream ended"),
                Some(_) => {}
            }
        }
    };
    timeout(PATIENCE, seen).await.expect("such a picture")
}

#[tokio::test]
async fn the_one_that_stands_by_goes_on_with_the_pictures_that_it_has_sent() {
    let node = node(|config| config.publish.on_conflict = OnConflict::Backup).await;
    let first = publish(&node, "a").await;
    first.send(keyframe(0)).await.expect("open");
    let mut player = play(&node, "a").await;
    expect_tag(&mut player, 0).await;

    let second = publish(&node, "a").await;
    second.send(picture(0, 1)).await.expect("open");
    second.send(picture(40, 2)).await.expect("open");
    // A third is one too many.
    let third = timeout(PATIENCE, Client::default().publish(&url(&node, "a"))).await;
    assert!(third.expect("in time").is_err());
    // Nobody sees the second yet.
    first.send(picture(40, 9)).await.expect("open");
    next_marked(&mut player, 9).await;

    drop(first);
    // What it sent last, before anybody needed it, and then the rest.
    let time = next_marked(&mut player, 2).await;
    second.send(picture(80, 3)).await.expect("open");
    assert!(next_marked(&mut player, 3).await > time);

    // Its place is free for another.
    let fourth = publish(&node, "a").await;
    fourth.send(picture(0, 4)).await.expect("open");
    drop(second);
    next_marked(&mut player, 4).await;
    node.drain().await;
}

#[tokio::test]
async fn a_silent_publisher_is_gone_for_the_one_that_stands_by() {
    let node = node(|config| {
        config.publish.on_conflict = OnConflict::Backup;
        config.publish.silence = std::time::Duration::from_millis(300);
    })
    .await;
    let first = publish(&node, "a").await;
    first.send(picture(0, 1)).await.expect("open");
    let mut player = play(&node, "a").await;
    next_marked(&mut player, 1).await;
    let second = publish(&node, "a").await;
    let sends = async {
        for frame in 0.. {
            second.send(picture(frame * 20, 2)).await.expect("open");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = sends => {}
        _ = next_marked(&mut player, 2) => {}
    }
    drop(first);
    second.send(picture(40, 3)).await.expect("open");
    next_marked(&mut player, 3).await;
    node.drain().await;
}

#[tokio::test]
async fn the_one_that_stands_by_is_told_when_the_stream_is_stopped() {
    let node = node(|config| config.publish.on_conflict = OnConflict::Backup).await;
    let first = publish(&node, "a").await;
    first.send(picture(0, 1)).await.expect("open");
    let second = publish(&node, "a").await;
    second.send(picture(0, 2)).await.expect("open");
    node.stop_stream(key("a"), "enough");
    for mut publisher in [first, second] {
        let told = async {
            while publisher.event().await.is_some() {}
            publisher.finish().await
        };
        let told = timeout(PATIENCE, told).await.expect("in time");
        let told = told.expect_err("it is told to go").to_string();
        assert!(told.contains("enough"), "{told}");
    }
    node.drain().await;
}

#[tokio::test]
async fn a_stream_whose_encoders_all_leave_at_once_has_none() {
    let node = node(|config| {
        config.publish.on_conflict = OnConflict::Backup;
        config.publish.silence = std::time::Duration::from_secs(3600);
    })
    .await;
    let mut player = play_later(&node).await;
    for mark in 0..10 {
        let first = publish(&node, "a").await;
        first.send(picture(0, 2 * mark)).await.expect("open");
        next_marked(&mut player, 2 * mark).await;
        let second = publish(&node, "a").await;
        second.send(picture(0, 2 * mark + 1)).await.expect("open");
        drop((first, second));
    }
    node.drain().await;
}

/// A player that came before the stream.
async fn play_later(node: &crate::Node) -> Puller {
    let first = publish(node, "a").await;
    first.send(picture(0, 200)).await.expect("open");
    let mut player = play(node, "a").await;
    next_marked(&mut player, 200).await;
    player
}
