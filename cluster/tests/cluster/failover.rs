//! An origin dies. Its viewers stay where they are, and see the encoder again when it is back at another one.

use std::time::Duration;

use futures::future::join_all;
use testkit::{Clip, Recipe};
use tokio::time::Instant;
use weir_cluster::{
    Builder, Cluster, Encoder, EncoderOptions, FfmpegEncoder, Network, Side, Viewer,
};

use crate::decoder::Decoder;
use crate::trace::{Run, Trace, undisturbed};

const LIMIT: Duration = Duration::from_secs(30);
/// After the encoder is back, viewers wait so long at most.
const SWITCH: Duration = Duration::from_secs(1);
/// A lease lasts longer than this after the death of its node, and an encoder that is known does not wait for it.
const LEASE: Duration = Duration::from_millis(2500);

/// How it is known that it is the same encoder that comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    ByToken,
    /// Not at all: the claim of the dead origin ends with its lease.
    NotAtAll,
}

/// How an origin dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// It is killed, and its system closes its connections.
    OfProcess,
    /// Its machine loses power: nobody hears anything of it any more.
    OfMachine,
}

#[tokio::test]
async fn viewers_stay_when_the_origin_dies_under_an_encoder_with_a_token() {
    let cluster = cluster(Known::ByToken).start().await;
    fail_over(&cluster, Known::ByToken, Death::OfProcess, 50, 1).await;
}

#[tokio::test]
async fn viewers_stay_when_the_origin_dies_and_its_lease_decides() {
    let cluster = cluster(Known::NotAtAll).start().await;
    fail_over(&cluster, Known::NotAtAll, Death::OfProcess, 50, 1).await;
}

#[tokio::test]
async fn viewers_stay_when_the_machine_dies_under_an_encoder_with_a_token() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    let cluster = cluster(Known::ByToken).network(network).start().await;
    fail_over(&cluster, Known::ByToken, Death::OfMachine, 20, 1).await;
}

#[tokio::test]
async fn viewers_stay_when_the_machine_dies_and_its_lease_decides() {
    let Some(network) = Network::isolated_or_skip() else {
        return;
    };
    // So long that the edges have found out that they hear nothing any more, and call again and again.
    let cluster = cluster(Known::NotAtAll).set("directory.lease_ttl=8s");
    let cluster = cluster.network(network).start().await;
    fail_over(&cluster, Known::NotAtAll, Death::OfMachine, 20, 1).await;
}

#[tokio::test]
#[ignore = "takes two minutes"]
async fn many_viewers_stay_while_origins_die_one_after_the_other() {
    for (known, deaths) in [(Known::ByToken, 8), (Known::NotAtAll, 4)] {
        let cluster = cluster(known).start().await;
        fail_over(&cluster, known, Death::OfProcess, 400, deaths).await;
    }
}

#[tokio::test]
async fn ffmpeg_plays_on_when_the_origin_dies_to_which_ffmpeg_publishes() {
    let cluster = cluster(Known::ByToken).balanced().start().await;
    let balancer = cluster.balancer();
    let clip = Clip::of(Recipe::H264_AAC);
    let url = balancer.ingest_url("live/cam?token=secret");
    let place = cluster.place("encoder");
    let encoder = FfmpegEncoder::start(&place, &clip.file, &[&url], Duration::from_millis(300));
    let publishing = "weir_publishers{protocol=\"rtmp\"}";
    let has_it = async || {
        for origin in cluster.origins().filter(|origin| origin.is_running()) {
            if origin.metric(publishing).await > 0.0 {
                return Some(origin);
            }
        }
        None
    };
    let first = cluster.until("ffmpeg to publish", LIMIT, has_it).await;
    let url = balancer.url("live/cam");
    let (mut decoder, viewer) = (Decoder::play(&url), Viewer::play(&url));
    decoder.goes_on(30, LIMIT).await;

    first.kill().await;
    cluster.until("ffmpeg to be back", LIMIT, has_it).await;
    decoder.goes_on(60, LIMIT).await;
    assert!(encoder.starts() >= 2);
    decoder.was_content().await;
    let seen = viewer.seen();
    undisturbed("the viewer", &seen);
    assert_eq!(seen.backwards(), None);
}

fn cluster(known: Known) -> Builder {
    let cluster = Cluster::builder().etcd(1).origins(2).edges(2);
    let cluster = cluster.set("limits.headroom=1");
    match known {
        Known::ByToken => cluster.set(r#"auth.static={"live/*" = { publish = "secret" }}"#),
        Known::NotAtAll => cluster,
    }
}

/// Origins that have the stream die one after the other, while that many watch at two edges.
async fn fail_over(cluster: &Cluster, known: Known, death: Death, viewers: usize, deaths: usize) {
    let origins = ["o1", "o2"].map(|name| cluster.node(name));
    let token = match known {
        Known::ByToken => "?token=secret",
        Known::NotAtAll => "",
    };
    let urls = origins.map(|origin| origin.url(&format!("live/cam{token}")));
    let clip = Clip::of(Recipe::H264_AAC);
    let encoder = EncoderOptions::new(&[&urls[0], &urls[1]], &clip.tags)
        .stamped("cam")
        .from(&cluster.place("encoder"))
        .start();
    encoder.accepted_times(1, LIMIT).await;

    let edges = ["e1", "e2"].map(|name| cluster.node(name).url("live/cam"));
    let play = |number: usize| Viewer::play(&edges[number % edges.len()]);
    let viewers: Vec<_> = (0..viewers).map(play).collect();
    all_go_on(&viewers, 50).await;
    let mut decoder = Decoder::play(&edges[0]);
    decoder.goes_on(20, LIMIT).await;

    let mut outages = Vec::new();
    for count in 1..=deaths {
        let dies = origins[(count - 1) % origins.len()];
        let killed = Instant::now();
        if death == Death::OfMachine {
            cluster.partition(dies.name(), Side::Everything);
            // It has a way to find out that it goes nowhere; how long that takes is not the point.
            encoder.switch(&[&urls[count % urls.len()]]);
        }
        dies.kill().await;
        let back = encoder.accepted_times(count + 1, LIMIT).await;
        outages.push(back - killed);
        let waited = back - killed > LEASE;
        assert_eq!(waited, known == Known::NotAtAll, "{outages:?}");
        all_go_on(&viewers, 100).await;
        decoder.goes_on(40, LIMIT).await;
        has_it(cluster, origins[count % origins.len()].name()).await;
        if count < deaths {
            dies.restart().await;
        }
    }

    decoder.was_content().await;
    let accepted = encoder.accepted();
    let mut waits = vec![Duration::ZERO; deaths];
    for (number, (who, runs)) in saw(&viewers, &encoder).into_iter().enumerate() {
        let publishes: Vec<_> = runs.iter().map(|run| run.publish.1).collect();
        assert_eq!(publishes, (1..=deaths + 1).collect::<Vec<_>>(), "{who}");
        for (count, run) in runs.iter().skip(1).enumerate() {
            assert_eq!(
                run.first, 0,
                "{who} sees all of what the encoder sends anew"
            );
            waits[count] = waits[count].max(run.start.at - accepted[count + 1]);
        }
        let gap = viewers[number].look(|seen| seen.longest_gap(seen.connected[0]));
        let outage = outages.iter().max().expect("one died");
        let is_short = gap <= *outage + SWITCH;
        assert!(is_short, "{who}: {gap:?} of {outage:?}\n{}", cluster.logs());
    }
    println!("the encoder was away for {outages:?}; viewers then waited {waits:?} at most");
    assert!(waits.iter().all(|wait| *wait <= SWITCH), "{waits:?}");
    for edge in cluster.edges() {
        let switches = "weir_relay_switches_total{reason=\"epoch\"}";
        assert_eq!(edge.metric(switches).await, deaths as f64);
        assert_eq!(edge.metric("weir_relay_pulls").await, 1.0);
    }
}

async fn all_go_on(viewers: &[Viewer], frames: usize) {
    join_all(viewers.iter().map(|viewer| viewer.goes_on(frames, LIMIT))).await;
}

/// What each saw; all of them were left in peace, and each publish began with what can be decoded.
fn saw(viewers: &[Viewer], encoder: &Encoder) -> Vec<(String, Vec<Run>)> {
    let seen: Vec<_> = viewers.iter().map(Viewer::seen).collect();
    let trace = Trace::of(&[encoder]);
    let all = seen.iter().enumerate().map(|(number, seen)| {
        let who = format!("viewer {number}");
        undisturbed(&who, seen);
        let runs = trace.runs(&who, seen);
        for run in &runs {
            let mut frames = seen.media().skip_while(|&&frame| frame != run.start);
            let picture = frames.find(|frame| frame.is_video);
            assert!(
                picture.is_some_and(|picture| picture.is_keyframe),
                "{who}: {run:?} does not begin with a keyframe"
            );
        }
        (who, runs)
    });
    all.collect()
}

/// The directory has one owner of the stream, and this is it.
async fn has_it(cluster: &Cluster, node: &str) {
    let claims = cluster.claims().await.expect("the etcd answers");
    let owners: Vec<_> = claims.iter().map(|claim| claim.value.as_str()).collect();
    let is_there = |owner: &&str| owner.contains(&format!("{node:?}"));
    assert!(
        owners.len() == 1 && owners.iter().all(is_there),
        "{node} is to have it: {owners:?}"
    );
}
