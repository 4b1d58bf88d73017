//! Who watches.

use super::*;
use crate::status::{Answer as Told, Question};

/// Does something with all that is counted meanwhile.
fn counted(work: impl AsyncFnOnce(&Recorded)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let recorded = Recorded::default();
    recorded.during(|| runtime.block_on(work(&recorded)));
}

#[test]
fn who_asks_over_and_over_is_one_viewer_until_they_have_gone() {
    counted(async |recorded| {
        let node = node(|config| {
            config.hls.segment = Duration::from_millis(500);
            config.limits.viewers_per_stream = 3;
        })
        .await;
        let publisher = publish(&node, "a").await;
        send(&publisher, 0..5).await;
        let there = || recorded.count("weir_subscribers{protocol=\"hls\"}");
        let allowed = || recorded.count("weir_auth_total{action=\"play\",result=\"allowed\"}");
        for viewer in [1, 2, 1, 2, 1] {
            let asked = node.hls(&request("a", viewer)).await;
            let stream = asked.expect("it is there");
            view(&stream, "something", |view| view.window().is_playable()).await;
        }
        until("they are counted", async || there() == 2.0).await;
        assert_eq!(allowed(), 2.0, "once each");
        let joins = recorded.samples("weir_join_seconds{protocol=\"hls\"}");
        assert_eq!(joins.len(), 2, "{joins:?}");

        // They are viewers like others, for whoever asks, and for the limit.
        let mut player = play(&node, "a").await;
        expect_tag(&mut player, 4000).await;
        let told = node.ask_cluster(Question::Stream(key("a"))).await;
        let Ok(Told::Stream(told)) = told else {
            panic!("{told:?}");
        };
        let by_protocol = &told.stream.viewers_by_protocol;
        assert_eq!(
            (by_protocol.get("hls"), by_protocol.get("rtmp")),
            (Some(&2), Some(&1))
        );
        let third = node.hls(&request("a", 3)).await.expect_err("one too many");
        assert!(
            third.sentence.contains("limits.viewers_per_stream"),
            "{third}"
        );
        assert!(
            node.hls(&request("a", 2)).await.is_ok(),
            "who is there stays"
        );
        player.close().await;
        until("there is room", async || {
            node.hls(&request("a", 3)).await.is_ok()
        })
        .await;

        // Three target durations later.
        until("they have gone", async || there() == 0.0).await;
        let stream = ask(&node, "a").await;
        assert_eq!(allowed(), 5.0, "a session of its own");
        assert!(!stream.is_over(), "nobody has forgotten the stream yet");

        stream.egress().sent(1000);
        assert_eq!(
            recorded.count("weir_egress_bytes_total{protocol=\"hls\"}"),
            1000.0
        );
        node.drain().await;
    });
}
