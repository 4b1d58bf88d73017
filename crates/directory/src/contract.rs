//! The suite that every backend passes.
//!
//! Each case is a function that takes a [`Backend`] of its own; [`CASES`](contract_cases) makes a
//! test of each:
//!
//! ```ignore
//! directory::contract_cases!(MyBackend::start().await);
//! ```
//!
//! A backend that knows no time but tokio's passes it without waiting:
//! `contract_cases!(start_paused = true, …)`.

mod claims;
mod nodes;
mod outages;
mod settings;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use media::{Epoch, StreamKey};

pub use self::claims::*;
pub use self::nodes::*;
pub use self::outages::*;
pub use self::settings::*;
pub use self::watching::*;
use crate::{
    Claim, Directory, Held, NodeId, Numbering, Options, Revision, StreamRecord, StreamState,
};

/// How long leases live in the suite.
pub const LEASE: Duration = Duration::from_secs(2);
/// Whatever is waited for is there after this.
const SOON: Duration = Duration::from_secs(6);

/// A directory, and what can go wrong with it.
pub trait Backend: Send + Sync {
    /// A node joins, with these options but leases of [`LEASE`].
    fn join(&self, node: &str, options: Options) -> Arc<dyn Directory>;

    /// A node is cut off from the directory, or no longer.
    fn cut<'a>(&'a self, node: &'a str, cut: bool) -> BoxFuture<'a, ()>;

    /// The lease of a node that is cut off runs out.
    fn expire<'a>(&'a self, node: &'a str) -> BoxFuture<'a, ()>;

    /// The directory is out of reach for everybody, or there again with all it had.
    fn stop(&self, stopped: bool) -> BoxFuture<'_, ()>;

    /// The directory stands still until all leases have run out, and goes on.
    fn stall<'a>(&'a self, nodes: &'a [&'a str]) -> BoxFuture<'a, ()>;

    /// The directory forgets what happened, but not what there is.
    fn compact(&self) -> BoxFuture<'_, ()>;

    /// What there is is kept for [`restore`](Self::restore).
    fn back_up(&self) -> BoxFuture<'_, ()>;

    /// The directory becomes what it was when it was backed up.
    fn restore(&self) -> BoxFuture<'_, ()>;
}

/// Makes a test of each case of the [`contract`](crate::contract), of an expression that starts a
/// [`Backend`].
#[macro_export]
macro_rules! contract_cases {
    ($backend:expr) => {
        $crate::contract_cases!(start_paused = false, $backend);
    };
    (start_paused = $paused:literal, $backend:expr) => {
        $crate::contract_cases!($paused, $backend;
            a_claim_is_known_to_all_until_it_is_released,
            of_many_who_claim_a_key_one_gets_it,
            only_a_higher_epoch_supersedes_exactly_what_it_saw,
            the_origin_that_is_superseded_learns_of_it,
            an_update_is_seen_and_keeps_the_claim,
            a_claim_that_is_dropped_is_released,
            a_claim_that_nobody_waited_for_leaves_nothing,
            a_key_is_claimed_again_and_again,
            a_publish_costs_three_writes,
            epochs_grow_over_everything_seen,
            nodes_know_each_other,
            what_a_dead_node_claimed_is_free_after_its_lease,
            a_node_that_leaves_is_gone_at_once,
            a_node_that_starts_anew_takes_its_keys_back,
            wrong_clocks_are_noticed,
            changes_come_in_order,
            who_comes_late_knows_all_the_same,
            a_compacted_history_does_no_harm,
            settings_are_shared,
            settings_change_by_compare_and_swap,
            settings_live_as_long_as_they_should,
            a_short_cut_changes_nothing,
            claims_survive_the_loss_of_the_lease,
            who_was_superseded_while_cut_off_learns_of_it,
            two_that_assumed_a_key_agree_on_the_higher_epoch,
            while_the_directory_is_away_work_goes_on,
            what_was_released_while_it_was_away_is_released,
            an_outage_that_ends_all_leases_is_no_news,
            what_died_in_an_outage_is_gone_in_the_end,
            a_restored_snapshot_brings_nothing_back,
        );
    };
    ($paused:literal, $backend:expr; $($case:ident,)+) => {
        $(
            #[tokio::test(start_paused = $paused)]
            async fn $case() {
                $crate::contract::$case(&$backend).await;
            }
        )+
    };
}

fn join(backend: &dyn Backend, node: &str) -> Arc<dyn Directory> {
    backend.join(node, Options::default())
}

/// Joins, and waits until it is in.
async fn joined(backend: &dyn Backend, node: &str) -> Arc<dyn Directory> {
    let directory = join(backend, node);
    eventually(&directory, "the node is in", || directory.is_up()).await;
    directory
}

async fn two(backend: &dyn Backend) -> (Arc<dyn Directory>, Arc<dyn Directory>) {
    (joined(backend, "a").await, joined(backend, "b").await)
}

/// The key `live/<name>`.
#[must_use]
pub fn live_key(name: &str) -> StreamKey {
    StreamKey::new("live", name).expect("a key")
}

use self::{live_key as key, live_record as record};

fn id(node: &str) -> NodeId {
    NodeId::parse(node).expect("a name")
}

/// What `directory` says of a stream that is published to it now.
#[must_use]
pub fn live_record(directory: &Arc<dyn Directory>, key: &StreamKey) -> StreamRecord {
    StreamRecord {
        key: key.clone(),
        node: directory.node().clone(),
        epoch: directory.next_epoch(None),
        identity: Some(crate::Fingerprint::of(b"secret", b"token")),
        protocol: "rtmp".to_owned(),
        state: StreamState::Live,
        since: 1_767_225_600_000,
        numbering: Numbering {
            media_sequence: 5,
            discontinuity_sequence: 2,
            carries_on: true,
        },
    }
}

async fn claim(directory: &Arc<dyn Directory>, key: &StreamKey) -> Claim {
    directory
        .claim(record(directory, key), None)
        .await
        .expect("nobody has it")
}

fn epoch(directory: &Arc<dyn Directory>, key: &StreamKey) -> Option<Epoch> {
    directory.lookup(key).map(|held| held.record.epoch)
}

fn owner(directory: &Arc<dyn Directory>, key: &StreamKey) -> Option<NodeId> {
    directory.lookup(key).map(|held| held.record.node.clone())
}

fn revision(held: Option<Arc<Held>>) -> Option<Revision> {
    held.map(|held| held.revision)
}

/// Waits until `there`, looking whenever something changes in `directory`.
///
/// # Panics
/// When it does not come to be.
pub async fn eventually(directory: &Arc<dyn Directory>, what: &str, there: impl Fn() -> bool) {
    let mut changes = directory.changes();
    let looking = async {
        while !there() {
            // Not everything that is waited for is a change.
            let look_again = tokio::time::sleep(Duration::from_millis(20));
            tokio::select! {
                _ = changes.next() => {}
                () = look_again => {}
            }
            // To look may take longer than the next change.
            tokio::time::sleep(Duration::from_millis(1)).await;
            while changes.try_next().is_some() {}
        }
    };
    if tokio::time::timeout(SOON, looking).await.is_err() {
        panic!("waited in vain until {what}");
    }
}
