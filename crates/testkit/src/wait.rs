//! Waiting for an event instead of for a while.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Longer than anything on a busy machine takes, short enough for a person who waits for a test.
pub const LIMIT: Duration = Duration::from_secs(20);
/// How often a condition is looked at that cannot tell by itself.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until `look` finds something.
///
/// # Panics
/// When it has not within `LIMIT`; `what` says what was waited for.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited {LIMIT:?} in vain for {what}");
        sleep(LOOK).await;
    }
}

/// Waits for `future`, but no longer than [`LIMIT`].
///
/// # Panics
/// When it takes longer; `what` says what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(LIMIT, future).await {
        Ok(done) => done,
        Err(_) => panic!("waited {LIMIT:?} in vain for {what}"),
    }
}
