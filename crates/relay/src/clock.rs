//! The clock.

use std::time::{Duration, SystemTime};

/// Milliseconds of unix time.
pub(crate) fn unix_millis() -> i64 {
    i64::try_from(unix().as_millis()).unwrap_or(i64::MAX)
}

/// Unix time.
pub(crate) fn unix() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}
