//! Nodes that do not believe each other, a directory out of reach, and who stands by.

use super::*;
use crate::config::OnConflict;

const OURS: &str = "what all nodes know";
const THEIRS: &str = "what nobody else knows";

async fn with_secret(shared: &Embedded, name: &str, secret: &str) -> Place {
    place_with(shared, name, |config| {
        config.relay.secret = Some(relay::Secret::new(secret.to_owned()));
    })
    .await
}

impl Place {
    /// What it says of itself under this name, if it is ready to say no.
    async fn check(&self, name: &str) -> Option<String> {
        let checks = self.node.ready().await;
        let check = checks.into_iter().find(|(it, _)| *it == name);
        check.expect("such a check").1.err()
    }
}

#[tokio::test]
async fn a_node_with_another_secret_is_told_of_with_that_reason_everywhere() {
    let shared = Embedded::new();
    let a = with_secret(&shared, "a", OURS).await;
    let b = with_secret(&shared, "b", OURS).await;
    until("b knows a", async || {
        (b.nodes().await.total == 2 && a.nodes().await.total == 2).then_some(())
    })
    .await;
    let odd = with_secret(&shared, "odd", THEIRS).await;
    let why = until("it learns of it", async || odd.check("relay").await).await;
    assert!(
        why.contains("no other node believes this one")
            && why.contains("(a, b: refused: another relay.secret)"),
        "{why}"
    );
    // Whoever was there before is as good as before.
    for node in [&a, &b] {
        let heard = async || {
            let nodes = node.nodes().await;
            (nodes.total == 3).then_some(nodes)
        };
        let nodes = until("the newcomer", heard).await;
        assert_eq!(nodes.unreachable, ["odd"]);
        assert_eq!(
            nodes.unreachable_because.get("odd").map(String::as_str),
            Some("refused: another relay.secret")
        );
        assert_eq!(node.check("relay").await, None);
        let ready = nodes.nodes.iter().map(|node| node.ready);
        assert_eq!(ready.collect::<Vec<_>>(), [Some(true), Some(true), None]);
    }
    let nodes = odd.nodes().await;
    assert_eq!(nodes.unreachable, ["a", "b"]);
    assert_eq!(nodes.nodes[2].ready, Some(false));

    let _publisher = a.publish("cam").await;
    let why = until("it is in the directory", async || {
        let why = odd.why("live/cam").await;
        why.origin.is_some().then_some(why)
    })
    .await;
    assert!(
        why.verdict
            .contains("a cannot be asked (refused: another relay.secret)"),
        "{why:?}"
    );
    let refused = odd.order(Order::Stop(key("live/cam"))).await;
    let refused = refused.expect_err("it cannot be told");
    assert!(
        refused.sentence.contains("another relay.secret"),
        "{refused}"
    );
}

#[tokio::test]
async fn of_two_that_differ_neither_is_the_wrong_one() {
    let shared = Embedded::new();
    let a = with_secret(&shared, "a", OURS).await;
    let b = with_secret(&shared, "b", THEIRS).await;
    for (node, other) in [(&a, "b"), (&b, "a")] {
        until("it learns of it", async || {
            let relay = node.node.context().membership.relay.as_ref()?;
            (relay.trust.count() == 1).then_some(())
        })
        .await;
        assert_eq!(node.check("relay").await, None);
        assert!(node.nodes().await.unreachable_because.contains_key(other));
    }
    // Started anew with the right one, it is believed at once.
    b.node.drain().await;
    let _b = with_secret(&shared, "b", OURS).await;
    until("they agree", async || {
        let relay = a.node.context().membership.relay.as_ref()?;
        (relay.trust.count() == 0 && a.nodes().await.unreachable.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_says_whether_it_reaches_the_directory() {
    let shared = Embedded::new();
    let (a, b) = (place(&shared, "a").await, place(&shared, "b").await);
    let told = async |up: [Option<bool>; 2]| {
        until("that", async || {
            let nodes = b.nodes().await.nodes;
            let told: Vec<_> = nodes.iter().map(|node| node.directory_up).collect();
            (told == up).then_some(())
        })
        .await;
    };
    told([Some(true); 2]).await;
    shared.cut(a.directory.node());
    told([Some(false), Some(true)]).await;
    assert_eq!(a.check("directory").await, None, "that harms nobody");
}

#[tokio::test]
async fn who_stands_by_is_told_of_at_all_nodes() {
    let shared = Embedded::new();
    let backed = |config: &mut Config| {
        config.publish.on_conflict = OnConflict::Backup;
        config.publish.silence = Duration::from_secs(1);
    };
    let a = place_with(&shared, "a", backed).await;
    let b = place_with(&shared, "b", backed).await;
    let publisher = sending(a.publish("cam").await);
    until("it is in the directory", async || {
        b.directory.lookup(&key("live/cam"))
    })
    .await;
    assert!(!a.why("live/cam").await.verdict.contains("stands by"));
    let second = sending(b.publish("cam").await);
    for node in [&a, &b] {
        let why = node.why("live/cam").await;
        let words = "live/cam is live on a";
        assert!(why.verdict.starts_with(words), "{why:?}");
        let words = "A second encoder stands by at b.";
        assert!(why.verdict.contains(words), "{why:?}");
        let at: Vec<_> = why.nodes.iter().map(|it| it.standby.is_some()).collect();
        assert_eq!(at, [false, true], "{why:?}");
    }

    // At the origin itself, too; and on air it stands by no more.
    let third = sending(a.publish("cam").await);
    let why = b.why("live/cam").await;
    assert!(why.verdict.contains("stand by at a, b."), "{why:?}");
    third.abort();
    publisher.abort();
    until("the second is on air", async || {
        let why = a.why("live/cam").await;
        let is_so = why.origin.as_deref() == Some("b") && !why.verdict.contains("stand");
        is_so.then_some(())
    })
    .await;
    second.abort();
}

/// Sends pictures until it is aborted.
fn sending(publisher: Publisher) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        for time in (40..).step_by(40) {
            let picture = Bytes::from_static(&[0x12, 0, 0, 0x84]);
            let picture = Tag::new(Kind::Video, time, picture);
            if publisher.send(picture).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    })
}
