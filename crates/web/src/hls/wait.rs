//! Waiting for what is to come: bounded in time, and in how many do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use metrics::{Gauge, describe_gauge, gauge};
use node::hls::View;
use tokio::time::timeout;

use super::Inquiry;
use crate::error::Refusal;

/// A stream that is just about to begin here is waited for so long at least.
const BEGINNING: Duration = Duration::from_secs(10);

const NO_PLACE: Refusal = Refusal::fixed(
    StatusCode::SERVICE_UNAVAILABLE,
    "unavailable",
    "too many requests wait here for what is to come (http.waiting); try again",
)
.retry_after(1);

/// How many wait.
pub(super) struct Places {
    most: usize,
    taken: AtomicUsize,
    gauge: Gauge,
}

/// That of one who waits, until dropped.
struct Place<'a>(&'a Places);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    Refused(Refusal),
    /// The stream is over, or shown anew by who is asked again.
    Over,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Inquiry<'_> {
    /// What `look` says of the first view of which it says anything, now or within `patience` for what comes next:
    /// else `late` is said. Where the stream is just beginning, that takes longer.
    pub(super) async fn until<T>(
        &self,
        patience: impl FnOnce(&View) -> Duration,
        late: Refusal,
        mut look: impl FnMut(&View) -> Option<Result<T, Refusal>>,
    ) -> Result<T, Failed> {
        let now = self.stream.now();
        if let Some(said) = look(&now) {
            return said.map_err(Failed::Refused);
        }
        let is_beginning = !now.is_caught_up() || !now.window().is_playable();
        let patience = match is_beginning {
            true => patience(&now).max(beginning(&now)),
            false => patience(&now),
        };
        drop(now);
        let _place = self.desk.places.take()?;
        match timeout(patience, self.stream.until(look)).await {
            Ok(Some(said)) => said.map_err(Failed::Refused),
            Ok(None) => Err(Failed::Over),
            Err(_) => Err(Failed::Refused(late)),
        }
    }
}

impl Places {
    /// So many; 0 is any number.
    pub(super) fn new(most: usize) -> Self {
        describe_gauge!(
            "weir_hls_waiting",
            "Requests of HLS players that wait for what is to come"
        );
        Self {
            most: if most == 0 { usize::MAX } else { most },
            taken: AtomicUsize::default(),
            gauge: gauge!("weir_hls_waiting"),
        }
    }

    fn take(&self) -> Result<Place<'_>, Refusal> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        self.gauge.increment(1.0);
        let place = Place(self);
        if taken < self.most {
            Ok(place)
        } else {
            Err(NO_PLACE)
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.decrement(1.0);
    }
}

/// How long it may take until there is something to begin with.
pub(super) fn beginning(view: &View) -> Duration {
    BEGINNING.max(view.target() * 3)
}
