//! What nodes share beside streams.

use std::time::Duration;

use serde_json::json;

use super::{Backend, eventually, two};
use crate::{Change, Expect, Kind, Life, SettingError, SettingName};

fn name(text: &str) -> SettingName {
    SettingName::parse(text).expect("a name")
}

/// What is set on one node is set on all.
pub async fn settings_are_shared(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let mut changes = b.changes();
    for kind in Kind::ALL {
        let value = json!({ "of": format!("{kind:?}"), "deep": [1, { "x": null }] });
        let set = a
            .put_setting(
                kind,
                name("live/cam"),
                value.clone(),
                Life::Kept,
                Expect::Any,
            )
            .await;
        let revision = set.expect("is set");
        eventually(&b, "it is known", || {
            b.setting(kind, &name("live/cam")).is_some()
        })
        .await;
        let known = b.setting(kind, &name("live/cam")).expect("is known");
        assert_eq!((&known.value, known.revision), (&value, revision));
        assert_eq!(
            changes.next().await,
            Some(Change::Setting(kind, name("live/cam")))
        );
        assert_eq!(b.settings(kind).len(), 1, "kinds do not mix");
    }
    for kind in Kind::ALL {
        b.delete_setting(kind, name("live/cam"), Expect::Any)
            .await
            .expect("is deleted");
        eventually(&a, "it is gone", || a.settings(kind).is_empty()).await;
        b.delete_setting(kind, name("live/cam"), Expect::Any)
            .await
            .expect("is gone already");
    }
    let long = json!("x".repeat(70_000));
    let error = a
        .put_setting(Kind::Rules, name("r"), long, Life::Kept, Expect::Any)
        .await;
    assert!(matches!(error, Err(SettingError::TooLong(_))));
}

/// Two who change a setting at once do not undo each other's change.
pub async fn settings_change_by_compare_and_swap(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let put = |node: &std::sync::Arc<dyn crate::Directory>, value: i64, expect| {
        let node = node.clone();
        async move {
            node.put_setting(Kind::Rules, name("r"), json!(value), Life::Kept, expect)
                .await
        }
    };
    let first = put(&a, 1, Expect::Absent).await.expect("is absent");
    let Err(SettingError::Changed(Some(there))) = put(&b, 2, Expect::Absent).await else {
        panic!("it is there");
    };
    assert_eq!((&there.value, there.revision), (&json!(1), first));
    let second = put(&b, 2, Expect::At(first)).await.expect("is as expected");
    assert!(second > first);
    assert!(matches!(
        put(&a, 3, Expect::At(first)).await,
        Err(SettingError::Changed(Some(_)))
    ));
    let gone = a
        .delete_setting(Kind::Rules, name("r"), Expect::At(first))
        .await;
    assert!(matches!(gone, Err(SettingError::Changed(Some(_)))));
    a.delete_setting(Kind::Rules, name("r"), Expect::At(second))
        .await
        .expect("is as expected");
    assert!(matches!(
        put(&a, 4, Expect::At(second)).await,
        Err(SettingError::Changed(None))
    ));
}

/// A setting goes with its time, or with its node, or stays.
pub async fn settings_live_as_long_as_they_should(backend: &dyn Backend) {
    let (a, b) = two(backend).await;
    let lives = [
        ("kept", Life::Kept),
        ("node", Life::Node),
        ("short", Life::For(Duration::from_secs(1))),
    ];
    for (text, life) in lives {
        a.put_setting(Kind::Warm, name(text), json!(text), life, Expect::Any)
            .await
            .expect("is set");
    }
    eventually(&b, "all was known", || {
        b.setting(Kind::Warm, &name("short")).is_some()
    })
    .await;
    eventually(&b, "the short one is over", || {
        b.setting(Kind::Warm, &name("short")).is_none()
    })
    .await;
    assert!(b.setting(Kind::Warm, &name("node")).is_some());
    a.leave().await;
    eventually(&b, "the node's is over", || {
        b.setting(Kind::Warm, &name("node")).is_none()
    })
    .await;
    assert!(b.setting(Kind::Warm, &name("kept")).is_some());
}
