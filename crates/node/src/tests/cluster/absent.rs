//! Streams that nobody has.

use super::*;

fn spared(recorded: &Recorded) -> f64 {
    recorded.count("weir_lookups_spared_total{}")
}

#[test]
fn what_was_not_there_is_not_looked_for_again_until_somebody_publishes_it() {
    counted(async |recorded| {
        let cluster = Cluster::new(|_, config| config.pull.negative_ttl = NEVER).await;
        for _ in 0..5 {
            let why = cluster.e1.refuses_play("a").await;
            assert!(why.contains("nobody publishes live/a"), "{why}");
        }
        assert_eq!(spared(recorded), 4.0);
        assert_eq!(cluster.e1.streams().await, 0);
        let _encoder = Encoder::accepted(&cluster.o1, "a", 1).await;
        cluster.e1.hears_of("a", "o1").await;
        let mut player = cluster.e1.play("a").await;
        assert_eq!(next_picture(&mut player).await.0, 1);
        cluster.drain().await;
    });
}

#[test]
fn what_was_not_there_is_looked_for_again_after_a_while() {
    counted(async |recorded| {
        let ttl = Duration::from_millis(50);
        let cluster = Cluster::new(|_, config| config.pull.negative_ttl = ttl).await;
        cluster.e1.refuses_play("a").await;
        tokio::time::sleep(2 * ttl).await;
        cluster.e1.refuses_play("a").await;
        assert_eq!(spared(recorded), 0.0);
        cluster.drain().await;
    });
}
