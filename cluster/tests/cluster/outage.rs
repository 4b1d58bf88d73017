//! The directory is gone for a while, and nobody notices.

use std::time::Duration;

use serde_json::Value;
use testkit::{Clip, Recipe};
use tokio::time::{Instant, sleep};
use weir_cluster::{Cluster, Encoder, EncoderOptions, Viewer};

use crate::owners::{Owners, in_directory, served};
use crate::trace::{Trace, undisturbed};

const LIMIT: Duration = Duration::from_secs(30);
/// After the directory's return it says what is served within this.
const RECONCILED: Duration = Duration::from_secs(10);
/// After its lease, and a second, a node believes what the directory says.
const SETTLED: Duration = Duration::from_millis(6500);
/// The longest gap that a viewer sees, on a busy machine too: of a stream that goes on…
const GOES_ON: Duration = Duration::from_secs(2);
/// …and of one whose encoder comes back.
const COMES_BACK: Duration = Duration::from_secs(5);
/// A stream that ends while the directory is away.
const ENDS: &str = "live/ends";
const TOKEN: &str = r#"auth.static={"live/*" = { publish = "secret" }}"#;

/// How etcd is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// It stops in order, and begins with what it had.
    Stopped,
    /// It stands still, with all its sockets; leases run out in the moment it goes on.
    Paused,
}

#[tokio::test]
async fn nobody_notices_that_the_directory_stops() {
    outage(Loss::Stopped, Duration::ZERO).await;
}

#[tokio::test]
#[ignore = "takes two minutes"]
async fn nobody_notices_that_the_directory_stops_for_two_minutes() {
    outage(Loss::Stopped, Duration::from_secs(120)).await;
}

#[tokio::test]
async fn nobody_notices_that_the_directory_hangs() {
    outage(Loss::Paused, Duration::ZERO).await;
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn nobody_notices_that_the_directory_hangs_and_all_leases_run_out() {
    outage(Loss::Paused, Duration::from_secs(60)).await;
}

/// Who is there in the test.
struct Stage {
    cluster: Cluster,
    clip: Clip,
    encoders: Vec<(String, Encoder)>,
    audience: Vec<Spectator>,
}

/// A viewer, and what it is to have seen in the end.
struct Spectator {
    who: String,
    key: String,
    viewer: Viewer,
    /// The number of the publish in which it came.
    since: usize,
    came: Instant,
}

impl Stage {
    async fn publish(&mut self, key: &str, node: &str) {
        let url = self.url(key, node);
        let encoder = EncoderOptions::new(&[&url], &self.clip.tags);
        let encoder = encoder.stamped(key).start();
        encoder.accepted_times(1, LIMIT).await;
        self.encoders.push((key.to_owned(), encoder));
    }

    fn url(&self, key: &str, node: &str) -> String {
        self.cluster.node(node).url(&format!("{key}?token=secret"))
    }

    fn encoder(&self, key: &str) -> &Encoder {
        let found = self.encoders.iter().find(|(its, _)| its == key);
        &found.expect("it was made").1
    }

    /// The encoder breaks its connection off, and comes back at this node.
    async fn come_back(&self, key: &str, node: &str) {
        let encoder = self.encoder(key);
        let times = encoder.accepted().len();
        encoder.switch(&[&self.url(key, node)]);
        encoder.accepted_times(times + 1, LIMIT).await;
        assert_eq!(encoder.failures(), [], "{key} was taken when it asked");
    }

    async fn play(&mut self, key: &str, node: &str) {
        let came = Instant::now();
        let viewer = Viewer::play(&self.cluster.node(node).url(key));
        let who = format!("viewer {} of {key} at {node}", self.audience.len());
        let what = format!("the first frame of {who}");
        viewer
            .until(&what, LIMIT, |seen| seen.media().next().map(drop))
            .await;
        println!("{who}: first frame after {:?}", came.elapsed());
        self.audience.push(Spectator {
            who,
            key: key.to_owned(),
            viewer,
            since: self.encoder(key).accepted().len(),
            came,
        });
    }

    /// Everybody sees what is sent from now on.
    async fn all_go_on(&self) {
        for Spectator {
            who, key, viewer, ..
        } in &self.audience
        {
            let encoder = self.encoder(key);
            let now = encoder.sent().len();
            let what = format!("{who} to see what is sent now");
            let sees = |seen: &weir_cluster::Seen| {
                let sent = encoder.sent();
                let last = seen.media().last()?.hash;
                let new = sent.get(now..)?;
                new.iter().any(|sent| sent.hash == last).then_some(())
            };
            viewer.until(&what, LIMIT, sees).await;
        }
    }

    /// Waits until the directory says that these nodes have these streams and no others, with the
    /// epochs that they serve.
    async fn says(&self, streams: &[(&str, &str)]) -> Owners {
        let served = served(&self.cluster, streams);
        let says_so = async || {
            let says = in_directory(&self.cluster).await;
            (says.as_ref() == Some(&served)).then_some(())
        };
        let what = format!("the directory to say {served:?}");
        self.cluster.until(&what, RECONCILED, says_so).await;
        served
    }

    /// Nobody was disturbed, or missed anything of what was sent since it came.
    fn nobody_noticed(&self) {
        let seen: Vec<_> = self.audience.iter().map(|one| one.viewer.seen()).collect();
        let encoders: Vec<_> = self.encoders.iter().map(|(_, encoder)| encoder).collect();
        let trace = Trace::of(&encoders);
        for (spectator, seen) in self.audience.iter().zip(&seen) {
            let (who, key) = (&spectator.who, &spectator.key);
            undisturbed(who, seen);
            let runs = trace.runs(who, seen);
            let came: Vec<_> = runs.iter().map(|run| run.publish).collect();
            let number = self.encoders.iter().position(|(its, _)| its == key);
            let number = number.expect("it was made");
            let last = self.encoders[number].1.accepted().len();
            let expected: Vec<_> = (spectator.since..=last)
                .map(|publish| (number, publish))
                .collect();
            assert_eq!(came, expected, "{who}: {runs:?}");
            for run in runs.iter().skip(1) {
                assert_eq!(
                    run.first, 0,
                    "{who} sees a publish from its beginning: {run:?}"
                );
            }
            let gap = seen.longest_gap(spectator.came);
            println!("{who}: longest gap {gap:?}, {} publishes", runs.len());
            let limit = if runs.len() > 1 { COMES_BACK } else { GOES_ON };
            assert!(gap < limit, "{who}: {gap:?}");
        }
    }
}

async fn outage(loss: Loss, length: Duration) {
    let cluster = Cluster::builder().etcd(1).origins(2).edges(3);
    let cluster = cluster.set(TOKEN).set("limits.headroom=1");
    let cluster = cluster.set("publish.grace=3s").start().await;
    let mut stage = Stage {
        cluster,
        clip: Clip::of(Recipe::H264_AAC),
        encoders: Vec::new(),
        audience: Vec::new(),
    };
    for key in [
        "live/known",
        "live/back",
        "live/moves",
        "live/idle",
        "live/still",
    ] {
        stage.publish(key, "o1").await;
    }
    stage.publish(ENDS, "o2").await;
    for key in ["live/known", "live/back", "live/moves"] {
        stage.play(key, "e1").await;
        stage.play(key, "e2").await;
    }
    // Everybody has heard of all streams.
    for node in stage.cluster.nodes() {
        node.metric_becomes("weir_directory_up", 1.0).await;
    }

    let etcd = stage.cluster.etcd();
    match loss {
        Loss::Stopped => etcd.stop_all().await,
        Loss::Paused => etcd.pause_all().await,
    }
    let lost = Instant::now();
    // In the moment in which nobody has noticed yet…
    stage.play("live/known", "e3").await;
    stage.play("live/idle", "e1").await;
    stage.come_back("live/back", "o1").await;
    stage.come_back("live/moves", "o2").await;
    stage.publish("live/fresh", "o2").await;
    stage.play("live/fresh", "e1").await;
    stage.all_go_on().await;
    // …and after it.
    stage
        .cluster
        .sum_becomes("weir_directory_up", 0.0, LIMIT)
        .await;
    println!("everybody has noticed after {:?}", lost.elapsed());
    stage.encoders.retain(|(key, _)| key != ENDS);
    stage.play("live/still", "e3").await;
    stage.play("live/moves", "e3").await;
    stage.come_back("live/back", "o1").await;
    stage.come_back("live/moves", "o1").await;
    stage.publish("live/new", "o2").await;
    stage.play("live/new", "e3").await;
    stage.play("live/fresh", "e2").await;
    stage.all_go_on().await;
    let log = &stage.cluster.node("o2").log;
    let is_over = |line: &&Value| line["message"] == "stream ended" && line["span"]["key"] == ENDS;
    let over = log.until("the end of its grace", LIMIT, |lines| {
        lines.iter().find(is_over).cloned()
    });
    assert_eq!(over.await["why"], "the publisher did not come back");
    sleep(length.saturating_sub(lost.elapsed())).await;
    stage.all_go_on().await;

    let etcd = stage.cluster.etcd();
    match loss {
        Loss::Stopped => etcd.restart_all().await,
        Loss::Paused => etcd.resume_all(),
    }
    let back = Instant::now();
    println!("back after {:?}", back - lost);
    let served = stage
        .says(&[
            ("live/known", "o1"),
            ("live/back", "o1"),
            ("live/moves", "o1"),
            ("live/idle", "o1"),
            ("live/still", "o1"),
            ("live/fresh", "o2"),
            ("live/new", "o2"),
        ])
        .await;
    println!("reconciled after {:?}", back.elapsed());
    // It stays like that when all have settled.
    for node in stage.cluster.nodes() {
        node.metric_becomes("weir_directory_up", 1.0).await;
    }
    sleep(SETTLED.saturating_sub(back.elapsed())).await;
    assert_eq!(in_directory(&stage.cluster).await.as_ref(), Some(&served));
    stage.all_go_on().await;
    stage.play("live/new", "e1").await;
    stage.nobody_noticed();
    for node in stage.cluster.nodes() {
        assert_eq!(
            node.sum("weir_claims_lost_total").await,
            0.0,
            "{}",
            node.name()
        );
        assert_eq!(node.log.errors(), [""; 0], "{}", node.name());
    }
}

#[tokio::test]
async fn an_origin_that_dies_while_the_directory_is_away_is_replaced() {
    let cluster = Cluster::builder().etcd(1).origins(2).edges(2);
    let cluster = cluster.set(TOKEN).set("limits.headroom=1");
    let mut stage = Stage {
        cluster: cluster.start().await,
        clip: Clip::of(Recipe::H264_AAC),
        encoders: Vec::new(),
        audience: Vec::new(),
    };
    stage.publish("live/cam", "o1").await;
    stage.play("live/cam", "e1").await;
    stage.cluster.etcd().kill_all().await;
    let away = "weir_directory_up";
    stage.cluster.sum_becomes(away, 0.0, LIMIT).await;
    let died = Instant::now();
    stage.cluster.node("o1").kill().await;
    let encoder = stage.encoder("live/cam");
    encoder.switch(&[&stage.url("live/cam", "o2")]);
    encoder.accepted_times(2, LIMIT).await;
    stage.all_go_on().await;
    println!("goes on {:?} after the death", died.elapsed());
    stage.play("live/cam", "e2").await;
    stage.all_go_on().await;
    stage.cluster.etcd().restart_all().await;
    stage.says(&[("live/cam", "o2")]).await;
    stage.all_go_on().await;
    stage.nobody_noticed();
}
