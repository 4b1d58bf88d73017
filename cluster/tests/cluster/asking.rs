//! What a person is told who asks nodes by the commands `weir status`, `nodes`, `streams`, `why`.

use std::time::Duration;

use testkit::{Clip, Output, Recipe};
use weir_cluster::{Builder, Cluster, EncoderOptions, Node};

const LIMIT: Duration = Duration::from_secs(30);
const DISTRUST: &str = "nodes do not believe each other: no stream goes between them";
const REFUSED: &str = "refused: another relay.secret";

fn cluster() -> Builder {
    Cluster::builder().etcd(1).origins(2).edges(1)
}

/// What a command prints, with exit code 0.
async fn told(node: &Node, arguments: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = node.weir(arguments).await;
    assert!(status.success() && stderr.is_empty(), "{stdout}{stderr}");
    stdout
}

/// The same, once it has these words.
async fn tells(cluster: &Cluster, node: &str, arguments: &[&str], words: &str) -> String {
    let what = format!("{words:?} by {arguments:?} at {node}");
    let look = async || {
        let text = told(cluster.node(node), arguments).await;
        text.contains(words).then_some(text)
    };
    cluster.until(&what, LIMIT, look).await
}

#[tokio::test]
async fn a_node_with_another_secret_is_told_of_everywhere() {
    let odd = "relay.secret=the-secret-of-another-cluster";
    let cluster = cluster().set_for("e1", odd).start().await;
    let edge = cluster.node("e1");
    for (name, others) in [("o1", "e1: "), ("o2", "e1: "), ("e1", "o1, o2: ")] {
        let warned = cluster.node(name).log.wait(DISTRUST, 1).await;
        assert_eq!(warned["level"], "WARN", "{warned}");
        let nodes = warned["nodes"].as_str().unwrap_or_default();
        assert_eq!(nodes, format!("{others}{REFUSED}"), "{warned}");
    }
    let ready = edge.get("/ready").await;
    let why = ready.json()["checks"]["relay"].clone();
    assert_eq!((ready.status, why.is_string()), (503, true), "{why}");
    assert!(why.to_string().contains("relay.secret"), "{why}");
    for name in ["o1", "o2"] {
        let origin = cluster.node(name);
        assert_eq!(origin.get("/ready").await.status, 200);
        let nodes = told(origin, &["nodes"]).await;
        let row = nodes.lines().find(|line| line.starts_with("e1"));
        assert!(row.is_some_and(|row| row.contains(REFUSED)), "{nodes}");
        let status = told(origin, &["status"]).await;
        assert!(status.contains("ready for new work"), "{status}");
        let note = format!("note: no answer from e1 ({REFUSED})\n");
        assert!(status.contains(&note), "{status}");
        assert_eq!(origin.log.count(DISTRUST), 1);
    }
    let status = told(edge, &["status"]).await;
    let words =
        "not ready: relay: no other node believes this one (o1, o2: refused: another relay.secret)";
    assert!(status.contains(words), "{status}");

    let clip = Clip::of(Recipe::H264_AAC);
    let url = cluster.node("o1").url("live/cam");
    let encoder = EncoderOptions::new(&[&url], &clip.tags).start();
    encoder.accepted_times(1, LIMIT).await;
    let words = format!("o1 cannot be asked ({REFUSED}): o1 and e1 do not believe each other");
    tells(&cluster, "e1", &["why", "live/cam"], &words).await;
}

#[tokio::test]
async fn a_directory_out_of_reach_and_an_encoder_that_stands_by_are_told_of() {
    let backup = "publish.on_conflict=backup";
    let cluster = cluster().set(backup).start().await;
    let clip = Clip::of(Recipe::H264_AAC);
    let start = |node: &str| {
        let url = cluster.node(node).url("live/cam");
        EncoderOptions::new(&[&url], &clip.tags).start()
    };
    let first = start("o1");
    first.accepted_times(1, LIMIT).await;
    let why = tells(&cluster, "e1", &["why", "live/cam"], "live on o1").await;
    assert!(!why.contains("stand"), "{why}");
    let second = start("o2");
    second.accepted_times(1, LIMIT).await;
    for node in ["o1", "o2", "e1"] {
        let words = "A second encoder stands by at o2.";
        let why = tells(&cluster, node, &["why", "live/cam"], words).await;
        assert!(why.contains("standby   o2 (from 127.0.0.1:"), "{why}");
    }
    drop(first);
    let why = tells(&cluster, "e1", &["why", "live/cam"], "live on o2").await;
    assert!(!why.contains("stand"), "{why}");

    let status = told(cluster.node("e1"), &["status"]).await;
    assert!(!status.contains("directory"), "{status}");
    cluster.etcd().kill_all().await;
    let words = "note: the directory is out of reach of e1, o1, o2: ";
    for command in ["status", "nodes"] {
        tells(&cluster, "e1", &[command], words).await;
    }
    assert_eq!(cluster.node("e1").get("/ready").await.status, 200);
    cluster.etcd().restart_all().await;
    let look = async || {
        let status = told(cluster.node("e1"), &["status"]).await;
        (!status.contains("directory")).then_some(())
    };
    cluster.until("the directory back", LIMIT, look).await;
}
