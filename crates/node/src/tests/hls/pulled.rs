//! At an edge.

use super::super::cluster::{Cluster, NEVER, counted, pulls};
use super::*;
use crate::status::RefusalKind;

#[tokio::test]
async fn an_edge_that_comes_late_serves_what_the_origin_serves() {
    let cluster = Cluster::new(|_, _| {}).await;
    let publisher = cluster.o1.publish("a").await;
    send(&publisher, 0..29).await;
    let origin = ask(&cluster.o1.node, "a").await;
    full(&origin).await;
    let edge = ask(&cluster.e1.node, "a").await;
    let first = full(&edge).await;
    assert!(same(&origin.now(), &first) > 120);
    send(&publisher, 29..34).await;
    let newest = async |stream: &Stream| {
        view(stream, "the newest", |view| {
            let whole = view
                .window()
                .segments()
                .filter(|segment| segment.is_whole());
            view.is_caught_up() && whole.count() >= 13
        })
        .await
    };
    let (one, other) = (newest(&origin).await, newest(&edge).await);
    assert!(same(&one, &other) > 180);

    // What is measured at the origin is told everywhere.
    let told = |view: &View| view.multivariant().map(|it| it.text().to_owned());
    let is_told = || told(&origin.now()).is_some() && told(&origin.now()) == told(&edge.now());
    until("they tell the same", async || is_told()).await;
    let text = told(&edge.now()).expect("known");
    assert!(text.contains("AVERAGE-BANDWIDTH="), "{text}");
    let (_, told) = text.split_once(":BANDWIDTH=").expect("a figure");
    let (told, _) = told.split_once(',').expect("more figures");
    let told: f64 = told.parse().expect("a number");
    for segment in one.window().segments().filter(|it| it.is_whole()) {
        let (body, lasted) = (segment.body(), segment.duration());
        let (body, lasted) = (body.expect("whole"), lasted.expect("whole"));
        let bits = body.len() as f64 * 8.0 / lasted.as_secs_f64();
        assert!(bits <= told && bits > told * 0.7, "{bits} of {told}");
    }
    cluster.drain().await;
}

#[tokio::test]
async fn the_origin_decides_what_is_made_of_a_stream() {
    let cluster = Cluster::new(|name, config| match name {
        "o1" => config.hls.mode = Some(::hls::Mode::Ts),
        "o2" => config.hls.mode = None,
        _ => {}
    })
    .await;
    let publisher = cluster.o1.publish("a").await;
    send(&publisher, 0..29).await;
    let stream = ask(&cluster.e1.node, "a").await;
    let seen = full(&stream).await;
    assert_eq!(seen.mode(), ::hls::Mode::Ts);
    assert!(listed(&seen).expect("exact").contains(".ts\n"));

    let publisher = cluster.o2.publish("b").await;
    send(&publisher, 0..3).await;
    let no = refused(&cluster.e1.node, "b").await;
    assert_eq!(no.kind, RefusalKind::NotFound);
    assert!(no.sentence.contains("hls.mode"), "{no}");
    cluster.drain().await;
}

#[test]
fn an_edge_pulls_for_as_long_as_somebody_asks() {
    counted(async |recorded| {
        let cluster = Cluster::new(|_, config| {
            config.hls.segment = Duration::from_millis(500);
            config.pull.linger = Duration::from_millis(100);
        })
        .await;
        let publisher = cluster.o1.publish("a").await;
        send(&publisher, 0..5).await;
        let stream = ask(&cluster.e1.node, "a").await;
        let viewers = async || {
            let told = cluster.o1.viewers("a").await;
            told.get("hls").copied().unwrap_or(0)
        };
        until("the origin knows", async || viewers().await == 1).await;
        // Longer than anybody lingers.
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            ask(&cluster.e1.node, "a").await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(!stream.is_over() && pulls(recorded) == 1.0);
        until("the pull ends", async || pulls(recorded) == 0.0).await;
        assert!(stream.is_over() && !is_packaged(&cluster.e1.node, "a"));
        until("nothing is left of it", async || {
            cluster.e1.streams().await == 0
        })
        .await;
        cluster.drain().await;
    });
}

#[test]
fn what_nobody_publishes_is_not_looked_for_with_each_request() {
    counted(async |recorded| {
        let cluster = Cluster::new(|_, config| config.pull.negative_ttl = NEVER).await;
        for _ in 0..5 {
            assert_eq!(
                refused(&cluster.e1.node, "a").await.kind,
                RefusalKind::NotFound
            );
        }
        assert_eq!(recorded.count("weir_lookups_spared_total{}"), 4.0);
        // Until somebody does.
        let publisher = cluster.o1.publish("a").await;
        send(&publisher, 0..5).await;
        cluster.e1.hears_of("a", "o1").await;
        let stream = ask(&cluster.e1.node, "a").await;
        view(&stream, "something", |view| view.window().is_playable()).await;
        cluster.drain().await;
    });
}
