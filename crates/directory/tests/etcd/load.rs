//! Many streams.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use super::backend::Cluster;
use super::directory::contract::{Backend, eventually, live_key, live_record};
use super::directory::{Options, Standing};

/// So many take a while where they are not built for speed.
const MANY: usize = if cfg!(debug_assertions) {
    2_000
} else {
    10_000
};
/// Long enough for so many, on a busy machine and not built for speed.
const LONG: Duration = Duration::from_secs(60);

/// Waits until `there`, looking now and then: to look at so many at each change takes long.
async fn in_the_end(what: &str, there: impl Fn() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < LONG, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn thousands_of_claims_hang_on_one_lease() {
    let mut cluster = Cluster::start().await;
    let (a, b) = (
        cluster.join("a", Options::default()),
        cluster.join("b", Options::default()),
    );
    eventually(&b, "b is in", || b.is_up()).await;
    let began = Instant::now();
    let claims: Vec<_> = futures::stream::iter(0..MANY)
        .map(|i| {
            let a = a.clone();
            async move {
                let key = live_key(&format!("cam{i}"));
                a.claim(live_record(&a, &key), None)
                    .await
                    .expect("nobody has it")
            }
        })
        .buffer_unordered(64)
        .collect()
        .await;
    let took = began.elapsed();
    in_the_end("all are known", || b.streams().len() == MANY).await;
    println!(
        "{MANY} claims took {took:?}, and were known {:?} later",
        began.elapsed() - took
    );

    // One lease for each node, so one renewal for all of its streams.
    let mut admin = cluster.etcd().admin().await;
    let leases = admin.leases().await.expect("answers");
    assert_eq!(leases.leases().len(), 2);
    let mut lease = 0;
    for status in leases.leases() {
        let keys = etcd_client::LeaseTimeToLiveOptions::new().with_keys();
        let answer = admin
            .lease_time_to_live(status.id(), Some(keys))
            .await
            .expect("answers");
        match answer.keys().len() {
            0 => {}
            count => {
                assert_eq!(count, MANY);
                lease = status.id();
            }
        }
    }
    // Who joins learns them all.
    let began = Instant::now();
    let c = cluster.join("c", Options::default());
    in_the_end("c is in", || c.is_up()).await;
    assert_eq!(c.streams().len(), MANY);
    println!("they were listed in {:?}", began.elapsed());

    // The lease is gone: everything is claimed again, and written once.
    let before = admin.get("x", None).await.expect("answers");
    let before = before.header().expect("a header").revision();
    let began = Instant::now();
    admin.lease_revoke(lease).await.expect("revokes");
    in_the_end("all are held again", || {
        claims.iter().rev().all(|claim| matches!(a.standing(claim), Standing::Held(revision) if revision.number() > before))
    })
    .await;
    println!("they were claimed again in {:?}", began.elapsed());
    in_the_end("all are known again", || b.streams().len() == MANY).await;
    let after = admin.get("x", None).await.expect("answers");
    let after = after.header().expect("a header").revision();
    // All that was under the lease goes in one revision.
    assert_eq!(after - before, i64::try_from(MANY).expect("fits") + 1);
}
