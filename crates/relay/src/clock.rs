//! The clock.

use std::time::{Duration, SystemTime};

/// Milliseconds of unix time.
pub(crate) fn unix_millis() -> i64 {
    i64::try_from(unix().as_millis()).unwrap_or(i64::MAX)
}

/// How long ago that was, in nanoseconds of unix time.
pub(crate) fn since(nanos: i64) -> Duration {
    unix().saturating_sub(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

fn unix() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}
