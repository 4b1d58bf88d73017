//! An encoder comes back at another origin before the one that it was at has missed it; and others who want its
//! stream.

use std::time::Duration;

use testkit::{Clip, Publisher, Recipe};
use tokio::time::Instant;
use weir_cluster::{Builder, Cluster, Encoder, EncoderOptions, Network, Place, Viewer};

use crate::trace::publishes;

const LIMIT: Duration = Duration::from_secs(30);
/// An encoder that is known is taken within this.
const AT_ONCE: Duration = Duration::from_secs(1);
/// As long as an encoder may be silent where nobody is known.
const SILENCE: Duration = Duration::from_secs(3);

/// Two tokens that are good for the same stream.
const TOKENS: &str =
    r#"auth.static={"live/*" = { publish = "mine" }, "live/c*" = { publish = "theirs" }}"#;
const OCCUPIED: &str =
    "is being published by someone else; stop that encoder, or use another stream key";
const WRONG: &str = "the token given is not right for publishing this stream";
const REPLACED: &str = "this encoder was just replaced by another one with the same credentials";

fn cluster() -> Builder {
    let cluster = Cluster::builder().etcd(1).origins(2).edges(1);
    cluster.set("limits.headroom=1")
}

/// An encoder at `o1`, and viewers; then its cable to `o1` is cut, and it goes to `o2`. How long that takes.
async fn moves(cluster: &Cluster, query: &str) -> (Encoder, Vec<Viewer>, Duration) {
    let url = |node: &str| cluster.node(node).url(&format!("live/cam{query}"));
    let away = cluster.place("encoder");
    let clip = Clip::of(Recipe::H264_AAC);
    let encoder = EncoderOptions::new(&[&url("o1")], &clip.tags)
        .stamped("cam")
        .from(&away)
        .start();
    encoder.accepted_times(1, LIMIT).await;
    let edge = cluster.node("e1");
    let viewers: Vec<_> = (0..5)
        .map(|_| Viewer::play(&edge.url("live/cam")))
        .collect();
    all_go_on(&viewers, 50).await;

    cluster.partition("o1", "encoder");
    let origin = cluster.node("o1").place();
    let is_cut = async || (cluster.network().traffic(&away, origin).lost > 0).then_some(());
    cluster.until("packets to get lost", LIMIT, is_cut).await;
    let comes = Instant::now();
    encoder.switch(&[&url("o2")]);
    let back = encoder.accepted_times(2, LIMIT).await;
    assert_eq!(encoder.failures(), [], "it was taken when it asked");
    all_go_on(&viewers, 100).await;
    for (number, viewer) in viewers.iter().enumerate() {
        let seen = publishes(&format!("viewer {number}"), viewer, &[&encoder]);
        assert_eq!(seen, [(0, 1), (0, 2)], "viewer {number}");
    }
    (encoder, viewers, back - comes)
}

#[tokio::test]
async fn a_known_encoder_whose_network_was_cut_is_taken_at_once_and_nobody_else_is() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    let cluster = cluster().network(network).set(TOKENS).start().await;
    let (encoder, viewers, took) = moves(&cluster, "?token=mine").await;
    println!("taken after {took:?}");
    assert!(took < AT_ONCE, "{took:?}");
    let [old, new] = ["o1", "o2"].map(|name| cluster.node(name));
    // The connection that nobody will ever hear of again is over for the old one too.
    old.metric_becomes("weir_publishers{protocol=\"rtmp\"}", 0.0)
        .await;
    new.metric_becomes("weir_publishers{protocol=\"rtmp\"}", 1.0)
        .await;

    let clip = Clip::of(Recipe::H264_AAC);
    let refused = async |node: &str, query: &str, sentence: &str| {
        let url = cluster.node(node).url(&format!("live/cam{query}"));
        let asked = Publisher::start(&url, clip.tags.clone(), 1.0).await;
        let error = asked.expect_err("nobody else is taken").to_string();
        assert!(error.contains(sentence), "{node}, {query}: {error}");
    };
    for node in ["o1", "o2"] {
        refused(node, "?token=theirs", OCCUPIED).await;
        refused(node, "?token=guessed", WRONG).await;
    }

    cluster.heal_all();
    all_go_on(&viewers, 100).await;
    assert_eq!((encoder.accepted().len(), encoder.failures().len()), (2, 0));
    for (number, viewer) in viewers.iter().enumerate() {
        let seen = publishes(&format!("viewer {number}"), viewer, &[&encoder]);
        assert_eq!(seen, [(0, 1), (0, 2)], "viewer {number}");
    }
}

#[tokio::test]
async fn an_encoder_that_nobody_knows_waits_until_its_old_connection_was_silent() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    let cluster = cluster().network(network).start().await;
    let (encoder, _viewers, took) = moves(&cluster, "").await;
    println!("taken after {took:?}");
    assert!(took < SILENCE + AT_ONCE, "{took:?}");
    assert_eq!(encoder.accepted().len(), 2);
}

/// Two encoders of one stream with the same token, until one of them was refused that often. A viewer is
/// left in peace.
async fn fight(cluster: &Cluster, stream: &str, at: [(&str, &Place); 2], refusals: usize) {
    let clip = Clip::of(Recipe::H264_AAC);
    let start = |name: &str, (node, place): (&str, &Place)| {
        let url = cluster.node(node).url(&format!("{stream}?token=mine"));
        EncoderOptions::new(&[&url], &clip.tags)
            .stamped(name)
            .pause(Duration::from_millis(50))
            .from(place)
            .start()
    };
    let first = start("first", at[0]);
    first.accepted_times(1, LIMIT).await;
    let viewer = Viewer::play(&cluster.node("e1").url(stream));
    viewer.goes_on(50, LIMIT).await;
    let both = [first, start("second", at[1])];
    both[1].accepted_times(1, LIMIT).await;

    let count = || both.each_ref().map(|encoder| encoder.accepted().len());
    let peace = async || {
        let last = both.iter().flat_map(Encoder::accepted).max();
        let refused = |encoder: &Encoder| {
            let failures = encoder.failures();
            let late = failures.iter().filter(|(at, _)| Some(*at) > last);
            late.filter(|(_, why)| why.contains(REPLACED)).count()
        };
        both.iter()
            .any(|encoder| refused(encoder) >= refusals)
            .then_some(())
    };
    let what = format!("peace between two encoders of {stream}");
    let limit = LIMIT + Duration::from_millis(300) * u32::try_from(refusals).expect("few");
    cluster.until(&what, limit, peace).await;
    let times = count();
    println!("{stream}: taken {times:?} times");
    assert!(times.iter().sum::<usize>() <= 8, "{stream}: {times:?}");
    viewer.goes_on(50, LIMIT).await;
    assert_eq!(count(), times, "{stream}: it stays with one of them");
    let live = both.iter().filter(|encoder| encoder.is_live()).count();
    assert_eq!(live, 1, "{stream}");
    let seen = publishes(stream, &viewer, &[&both[0], &both[1]]);
    assert_eq!(seen[0], (0, 1), "{stream}");
}

#[tokio::test]
async fn two_encoders_of_one_host_with_the_same_token_do_not_fight_for_ever() {
    fights(None, 30).await;
}

#[tokio::test]
async fn two_encoders_of_two_hosts_with_the_same_token_do_not_fight_for_ever() {
    if let Some(network) = Network::isolated_or_skip() {
        fights(Some(network), 30).await;
    }
}

#[tokio::test]
#[ignore = "takes two minutes"]
async fn two_encoders_with_the_same_token_do_not_begin_to_fight_again() {
    fights(Network::isolated_or_skip(), 1500).await;
}

/// At two origins, and at one; from two places where there are some.
async fn fights(network: Option<Network>, refusals: usize) {
    let cluster = cluster().set(TOKENS);
    let cluster = match network {
        Some(network) => cluster.network(network).start().await,
        None => cluster.start().await,
    };
    let [one, other] = ["one", "other"].map(|name| cluster.place(name));
    tokio::join!(
        fight(
            &cluster,
            "live/cam",
            [("o1", &one), ("o2", &other)],
            refusals
        ),
        fight(
            &cluster,
            "live/own",
            [("o1", &one), ("o1", &other)],
            refusals
        ),
    );
}

async fn all_go_on(viewers: &[Viewer], frames: usize) {
    let all = viewers.iter().map(|viewer| viewer.goes_on(frames, LIMIT));
    futures::future::join_all(all).await;
}
