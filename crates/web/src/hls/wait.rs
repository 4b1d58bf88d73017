//! Waiting for what is to come: bounded in time, and in how many do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use metrics::{Gauge, describe_gauge, gauge};
use node::hls::View;
use tokio::time::timeout;

use super::Inquiry;
use crate::address::host;
use crate::error::{Elsewhere, Refusal};

/// A stream that is just about to begin here is waited for so long at least.
const BEGINNING: Duration = Duration::from_secs(10);

const NO_PLACE: Refusal = Refusal::fixed(
    StatusCode::SERVICE_UNAVAILABLE,
    "unavailable",
    "too many requests wait here for what is to come (http.waiting); try again",
)
.retry_after(1)
.elsewhere(Elsewhere::Rather);

const NO_SHARE: Refusal = Refusal::fixed(
    StatusCode::SERVICE_UNAVAILABLE,
    "unavailable",
    "so many requests of your address wait here that hardly any more could for others (http.waiting); try again",
)
.retry_after(1)
.elsewhere(Elsewhere::Rather);

/// An address may have so many times as many places as there are left. So one alone has all but a fifth, two have four
/// ninths each, and however many there are, something is left for the next.
const SHARE: usize = 4;
/// Addresses are counted apart by so many locks.
const SHARDS: usize = 64;

/// How many wait.
pub(super) struct Places {
    most: usize,
    taken: AtomicUsize,
    /// Those of each address.
    addresses: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
    gauge: Gauge,
}

/// That of one who waits, until dropped.
pub(super) struct Place<'a> {
    places: &'a Places,
    address: IpAddr,
}

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
        let _place = self.desk.places.take(self.peer)?;
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
            addresses: std::array::from_fn(|_| Mutex::default()),
            gauge: gauge!("weir_hls_waiting"),
        }
    }

    /// One for somebody of this address.
    pub(super) fn take(&self, address: IpAddr) -> Result<Place<'_>, Refusal> {
        let address = host(address);
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        self.gauge.increment(1.0);
        let own = {
            let mut shard = self.shard(address);
            let own = shard.entry(address).or_default();
            *own += 1;
            *own - 1
        };
        let places = self;
        let place = Place { places, address };
        match self.most.saturating_sub(taken) {
            0 => Err(NO_PLACE),
            left if own >= left.saturating_mul(SHARE) => Err(NO_SHARE),
            _ => Ok(place),
        }
    }

    fn shard(&self, address: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        let bits = match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        let mixed = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let [first, ..] = &self.addresses;
        let shard = self.addresses.get(mixed as usize % SHARDS);
        let shard = shard.unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut shard = self.places.shard(self.address);
        if let Some(own) = shard.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                shard.remove(&self.address);
            }
        }
        drop(shard);
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
        self.places.gauge.decrement(1.0);
    }
}

/// How long it may take until there is something to begin with.
pub(super) fn beginning(view: &View) -> Duration {
    BEGINNING.max(view.target() * 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_one_address_asks_for_others_find_a_place() {
        let places = Places::new(100);
        let address = |number| IpAddr::from([10, 0, 0, number]);
        let all = |number| {
            let taken: Vec<_> = std::iter::from_fn(|| places.take(address(number)).ok()).collect();
            taken
        };
        let first = all(1);
        assert_eq!(first.len(), 80);
        let second = all(2);
        assert_eq!(second.len(), 16);
        let third = all(3);
        assert!(!third.is_empty());
        assert!(places.take(address(1)).is_err());
        // Whoever leaves, leaves nothing behind.
        drop((first, second, third));
        assert_eq!(places.taken.load(Ordering::Relaxed), 0);
        assert!(places.shard(address(1)).is_empty());
        assert_eq!(all(4).len(), 80);
    }

    #[test]
    fn one_place_is_somebodys_and_no_limit_is_none() {
        let address = IpAddr::from([0; 16]);
        let (one, any) = (Places::new(1), Places::new(0));
        let _place = one.take(address).expect("a place");
        assert!(one.take(address).is_err());
        let many: Vec<_> = (0..1000).map(|_| any.take(address)).collect();
        assert!(many.iter().all(Result::is_ok));
    }
}
