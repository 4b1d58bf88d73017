//! An etcd that stands still.

use std::time::Duration;

use tokio::time::Instant;

use super::backend::Cluster;
use super::directory::contract::{Backend, eventually, live_key, live_record};
use super::directory::{ClaimError, Error, Options, PATIENCE, Standing};

#[tokio::test]
async fn nobody_waits_long_for_an_etcd_that_stands_still() {
    let mut cluster = Cluster::start().await;
    let a = cluster.join("a", Options::default());
    let key = live_key("cam");
    let held = a
        .claim(live_record(&a, &key), None)
        .await
        .expect("nobody has it");
    cluster.etcd().pause(true);
    let began = Instant::now();
    let other = live_key("other");
    let error = a
        .claim(live_record(&a, &other), None)
        .await
        .expect_err("nobody answers");
    assert!(
        matches!(error, ClaimError::Unreachable(Error::TimedOut)),
        "{error}"
    );
    let waited = began.elapsed();
    assert!(waited < PATIENCE + Duration::from_millis(300), "{waited:?}");
    eventually(&a, "it is noticed", || !a.is_up()).await;
    assert!(began.elapsed() < 3 * PATIENCE, "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(a.resolve(&key).await, Err(Error::Down));
    assert!(
        began.elapsed() < Duration::from_millis(100),
        "nobody is asked"
    );

    cluster.etcd().pause(false);
    eventually(&a, "it is back", || a.is_up()).await;
    // The claim that was not answered may have been heard; it came to nothing all the same.
    eventually(&a, "nothing is left of it", || a.lookup(&other).is_none()).await;
    assert_eq!(a.resolve(&other).await, Ok(None));
    eventually(&a, "the claim is held", || {
        matches!(a.standing(&held), Standing::Held(_))
    })
    .await;
}
