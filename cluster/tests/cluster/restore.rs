//! An operator brings back an old snapshot of the directory.

use std::time::Duration;

use testkit::{Clip, Recipe};
use tokio::time::Instant;
use weir_cluster::{Cluster, EncoderOptions, Viewer};

use crate::owners::{in_directory, published, served};
use crate::trace::publishes;

const LIMIT: Duration = Duration::from_secs(30);
const TOKEN: &str = r#"auth.static={"live/*" = { publish = "secret" }}"#;

#[tokio::test]
async fn epochs_grow_over_a_directory_from_an_old_snapshot() {
    let cluster = Cluster::builder().etcd(1).origins(2).edges(2);
    let cluster = cluster.set(TOKEN).set("limits.headroom=1");
    let cluster = cluster.set("publish.grace=2s").start().await;
    let clip = Clip::of(Recipe::H264_AAC);
    let url = |node: &str, key: &str| cluster.node(node).url(&format!("{key}?token=secret"));
    let publish = |node: &str, key: &str| {
        let encoder = EncoderOptions::new(&[&url(node, key)], &clip.tags);
        encoder.stamped(key).start()
    };
    let (cam, gone) = (publish("o1", "live/cam"), publish("o1", "live/gone"));
    cam.accepted_times(1, LIMIT).await;
    gone.accepted_times(1, LIMIT).await;
    let viewers = ["e1", "e2"].map(|node| Viewer::play(&cluster.node(node).url("live/cam")));
    for viewer in &viewers {
        viewer.goes_on(50, LIMIT).await;
    }
    let snapshot = cluster.etcd().snapshot().await;
    let old = in_directory(&cluster).await.expect("etcd answers");
    assert_eq!(
        old,
        served(&cluster, &[("live/cam", "o1"), ("live/gone", "o1")])
    );

    // What the snapshot does not know: one stream has ended, one moved, one came.
    drop(gone);
    cam.switch(&[&url("o2", "live/cam")]);
    cam.accepted_times(2, LIMIT).await;
    let fresh = publish("o1", "live/fresh");
    fresh.accepted_times(1, LIMIT).await;
    let now = [("live/cam", "o2"), ("live/fresh", "o1")];
    let newer = served(&cluster, &now);
    becomes(&cluster, &newer).await;
    assert!(newer["live/cam"].epoch > old["live/cam"].epoch);

    cluster.etcd().restore(&snapshot).await;
    let restored = Instant::now();
    becomes(&cluster, &newer).await;
    println!("what is served is back after {:?}", restored.elapsed());
    for viewer in &viewers {
        viewer.goes_on(50, LIMIT).await;
    }

    // A node that has forgotten everything.
    cluster.node("o1").kill().await;
    drop(fresh);
    cluster.etcd().restore(&snapshot).await;
    cluster.node("o1").restart().await;
    cam.switch(&[&url("o1", "live/cam")]);
    cam.accepted_times(3, LIMIT).await;
    for viewer in &viewers {
        viewer.goes_on(50, LIMIT).await;
    }
    assert!(published(cluster.node("o1"), "live/cam") > newer["live/cam"].epoch);
    becomes(&cluster, &served(&cluster, &[("live/cam", "o1")])).await;
    for (number, viewer) in viewers.iter().enumerate() {
        let seen = publishes(&format!("viewer {number}"), viewer, &[&cam]);
        assert_eq!(seen, [(0, 1), (0, 2), (0, 3)], "viewer {number}");
    }
}

async fn becomes(cluster: &Cluster, owners: &crate::owners::Owners) {
    let what = format!("the directory to say {owners:?}");
    let mut says = None;
    let says_so = async || {
        says = in_directory(cluster).await;
        (says.as_ref() == Some(owners)).then_some(())
    };
    cluster.until(&what, LIMIT, says_so).await;
}
