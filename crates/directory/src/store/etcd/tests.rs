use std::time::Duration;

use super::process;
use super::*;
use crate::record::Lease;
use crate::store::{Event, Outcome, Put, Term, When, Write};
use crate::{DirectoryKind, PATIENCE};

fn store(etcd: &process::Etcd, cluster: &str) -> Etcd {
    Etcd::new(Config {
        kind: DirectoryKind::Etcd,
        endpoints: vec![etcd.url()],
        cluster: cluster.to_owned(),
        ..Config::default()
    })
}

fn put(key: &str, when: When, lease: Lease) -> Write {
    let change = Put::Value {
        value: b"v".to_vec(),
        lease,
    };
    Write {
        key: key.to_owned(),
        when,
        change,
    }
}

async fn done(session: &dyn Session, write: Write) -> i64 {
    match session.write(write).await {
        Ok(Outcome::Done(revision)) => revision,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn writes_only_where_it_finds_what_is_expected() {
    let etcd = process::Etcd::start().await;
    let session = store(&etcd, "default").connect().await.expect("connects");
    let first = done(&*session, put("k", When::Absent, Lease::NONE)).await;
    let there = session.get("k").await.expect("answers").expect("is there");
    assert_eq!((there.key.as_str(), there.revision), ("k", first));
    let differs = Ok(Outcome::Differs(Some(there)));
    assert_eq!(
        session.write(put("k", When::Absent, Lease::NONE)).await,
        differs
    );
    assert_eq!(
        session
            .write(put("k", When::At(first + 1), Lease::NONE))
            .await,
        differs
    );
    let second = done(&*session, put("k", When::At(first), Lease::NONE)).await;
    let nothing = |when| Write {
        key: "k".to_owned(),
        when,
        change: Put::Nothing,
    };
    assert!(done(&*session, nothing(When::At(second))).await > second);
    assert_eq!(
        session.write(nothing(When::At(second))).await,
        Ok(Outcome::Differs(None))
    );
    done(&*session, put("k", When::Always, Lease::NONE)).await;
}

#[tokio::test]
async fn a_lease_that_is_gone_is_told_from_a_broken_connection() {
    let etcd = process::Etcd::start().await;
    let session = store(&etcd, "default").connect().await.expect("connects");
    let lease = session
        .grant(Term::Renewed(Duration::from_secs(2)))
        .await
        .expect("grants");
    assert_eq!(session.keep_alive(lease).await, Ok(true));
    assert_eq!(
        session.keep_alive(lease).await,
        Ok(true),
        "on the same stream"
    );
    done(&*session, put("k", When::Absent, lease)).await;
    session.revoke(lease).await.expect("revokes");
    assert_eq!(session.get("k").await, Ok(None));
    assert_eq!(session.keep_alive(lease).await, Ok(false));
    assert_eq!(
        session.keep_alive(Lease(12345)).await,
        Ok(false),
        "on a stream of its own"
    );
    assert_eq!(
        session.write(put("k", When::Absent, lease)).await,
        Err(Fault::NoLease)
    );
}

#[tokio::test]
async fn lists_what_does_not_fit_on_a_page_and_nothing_of_others() {
    let etcd = process::Etcd::start().await;
    let session = store(&etcd, "default").connect().await.expect("connects");
    let other = store(&etcd, "default2").connect().await.expect("connects");
    assert_eq!(session.list().await.expect("lists").items, []);
    let mut keys: Vec<_> = (0..1203).map(|i| format!("streams/live/cam{i}")).collect();
    for key in &keys {
        done(&*session, put(key, When::Absent, Lease::NONE)).await;
    }
    let last = done(&*other, put("streams/live/cam0", When::Absent, Lease::NONE)).await;
    let listing = session.list().await.expect("lists");
    assert_eq!(listing.revision, last);
    let listed: Vec<_> = listing.items.into_iter().map(|item| item.key).collect();
    keys.sort();
    assert_eq!(listed, keys);
    assert_eq!(other.list().await.expect("lists").items.len(), 1);

    // More than a page of what no release of ours has written, in front of all that is ours.
    let mut admin = etcd.admin().await;
    for i in 0..501_u16 {
        let key = [b"/weir/default/nodes/\xff".as_slice(), &i.to_be_bytes()].concat();
        admin.put(key, "v", None).await.expect("puts");
    }
    assert_eq!(session.list().await.expect("lists").items.len(), keys.len());
}

#[tokio::test]
async fn watches_from_where_it_is_told_unless_that_is_forgotten() {
    let etcd = process::Etcd::start().await;
    let session = store(&etcd, "default").connect().await.expect("connects");
    let other = store(&etcd, "default2").connect().await.expect("connects");
    let first = done(&*session, put("a", When::Absent, Lease::NONE)).await;
    let second = done(&*session, put("b", When::Absent, Lease::NONE)).await;
    let mut watch = session.watch(first).await.expect("watches");
    done(&*other, put("c", When::Absent, Lease::NONE)).await;
    let third = done(
        &*session,
        Write {
            key: "a".to_owned(),
            when: When::Always,
            change: Put::Nothing,
        },
    )
    .await;
    let mut events = Vec::new();
    while events.len() < 2 {
        events.extend(
            tokio::time::timeout(PATIENCE, watch.next())
                .await
                .expect("answers")
                .expect("watches"),
        );
    }
    assert!(matches!(&events[0], Event::Put(item) if item.key == "b" && item.revision == second));
    assert_eq!(
        events[1],
        Event::Gone {
            key: "a".to_owned(),
            revision: third
        }
    );

    etcd.admin()
        .await
        .compact(third, None)
        .await
        .expect("compacts");
    assert!(session.watch(third).await.is_ok());
    let end = match session.watch(first).await {
        Ok(mut watch) => watch.next().await.err(),
        Err(fault) => Some(fault),
    };
    assert_eq!(end, Some(Fault::Compacted));
}

#[tokio::test]
async fn what_happens_to_etcd_happens_to_the_watch() {
    let mut etcd = process::Etcd::start().await;
    let session = store(&etcd, "default").connect().await.expect("connects");
    let mut watch = session.watch(0).await.expect("watches");
    etcd.stop();
    assert!(matches!(watch.next().await, Err(Fault::Broken(_))));
    assert!(matches!(session.get("a").await, Err(Fault::Broken(_))));
    let fault = store(&etcd, "default")
        .connect()
        .await
        .map(drop)
        .expect_err("nobody is there");
    assert!(
        matches!(&fault, Fault::Broken(what) if what.contains(&etcd.url())),
        "{fault}"
    );
}
