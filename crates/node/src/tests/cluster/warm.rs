//! Streams that are pulled before anybody watches.

use directory::{Expect, Kind, Life, SettingName};
use serde_json::json;

use super::*;

#[test]
fn a_warm_stream_stays_at_its_edge_across_origins_until_it_is_told_otherwise() {
    counted(async |recorded| {
        let cluster = Cluster::new(|_, config| {
            with_token(config);
            config.pull.linger = Duration::ZERO;
        })
        .await;
        let name = SettingName::from(&key("a"));
        let directory = &cluster.o1.directory;
        let told = directory.put_setting(
            Kind::Warm,
            name.clone(),
            json!({ "edges": 1 }),
            Life::Kept,
            Expect::Any,
        );
        told.await.expect("it is set");
        // Before there is anything to pull.
        until("the edge looks for it", async || {
            cluster.e1.streams().await == 1
        })
        .await;
        let first = Encoder::accepted(&cluster.o1, "a?token=token", 1).await;
        until("it is pulled", async || pulls(recorded) == 1.0).await;
        let fed = async |member: &Member, count: f64| {
            until("its feed", async || {
                let by = cluster.e1.held("a").map(|held| held.record.node.clone());
                pulls(recorded) == count && by.as_ref() == Some(member.directory.node())
            })
            .await;
        };
        fed(&cluster.o1, 1.0).await;

        let _second = Encoder::accepted(&cluster.o2, "a?token=token", 2).await;
        first.ended().await;
        fed(&cluster.o2, 1.0).await;
        until("it was pulled anew", async || pulls_begun(recorded) >= 2.0).await;
        // The first viewer finds it there.
        let begun = pulls_begun(recorded);
        let mut player = cluster.e1.play("a").await;
        assert_eq!(next_picture(&mut player).await.0, 2);
        assert_eq!(pulls_begun(recorded), begun);
        player.close().await;

        let deleted = directory.delete_setting(Kind::Warm, name, Expect::Any);
        deleted.await.expect("it is no longer set");
        until("it is let go of", async || {
            pulls(recorded) == 0.0 && cluster.e1.streams().await == 0
        })
        .await;
        cluster.drain().await;
    });
}

#[test]
fn a_stream_that_ended_is_warm_again_when_it_comes_back() {
    counted(async |recorded| {
        let cluster = Cluster::new(|_, config| {
            config.publish.grace = Duration::ZERO;
            config.pull.linger = Duration::ZERO;
        })
        .await;
        let told = cluster.o1.directory.put_setting(
            Kind::Warm,
            SettingName::from(&key("a")),
            json!({ "edges": 1 }),
            Life::Kept,
            Expect::Any,
        );
        told.await.expect("it is set");
        for mark in [1, 2] {
            let encoder = Encoder::accepted(&cluster.o1, "a", mark).await;
            until("it is pulled", async || pulls(recorded) == 1.0).await;
            drop(encoder);
            until("it has ended", async || pulls(recorded) == 0.0).await;
        }
        cluster.drain().await;
    });
}
