use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use media::{Epoch, StreamKey};
use tokio::task::JoinHandle;

use super::*;
use crate::record::Lease;
use crate::store::memory::{Memory, Shared as Hub};
use crate::store::{Item, Listing, Outcome, Term, Watch, Write};
use crate::{NodeId, Numbering, Options, StreamRecord, StreamState};

/// What is wrong with a store.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    /// What happened is always forgotten before it can be watched.
    Forgetful,
    /// It takes nothing.
    Full,
    /// It says nothing of what happens: the connection breaks instead.
    Short,
}

/// How often something was tried. What goes in circles comes to a stop, so that the test ends.
#[derive(Clone, Default)]
struct Tries(Arc<AtomicUsize>);

impl Tries {
    async fn count(&self) {
        if self.0.fetch_add(1, Ordering::Relaxed) > 1000 {
            pending().await
        }
    }
}

/// A store with something wrong, and how often that was met.
struct Bad(Memory, Wrong, Tries);

struct Open(Arc<dyn Session>, Wrong, Tries);

impl Store for Bad {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, Fault>> {
        async move {
            let inner = self.0.connect().await?;
            let session: Arc<dyn Session> = Arc::new(Open(inner, self.1, self.2.clone()));
            Ok(session)
        }
        .boxed()
    }

    fn leases_expire(&self) -> bool {
        self.0.leases_expire()
    }
}

impl Session for Open {
    fn place(&self) -> &str {
        self.0.place()
    }

    fn grant(&self, term: Term) -> BoxFuture<'_, Result<Lease, Fault>> {
        self.0.grant(term)
    }

    fn keep_alive(&self, lease: Lease) -> BoxFuture<'_, Result<bool, Fault>> {
        self.0.keep_alive(lease)
    }

    fn revoke(&self, lease: Lease) -> BoxFuture<'_, Result<(), Fault>> {
        self.0.revoke(lease)
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing, Fault>> {
        self.0.list()
    }

    fn watch(&self, after: i64) -> BoxFuture<'_, Result<Box<dyn Watch>, Fault>> {
        async move {
            let fault = match self.1 {
                Wrong::Full => return self.0.watch(after).await,
                Wrong::Forgetful => Fault::Compacted,
                Wrong::Short => Fault::Broken("cut".to_owned()),
            };
            self.2.count().await;
            Err(fault)
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Item>, Fault>> {
        self.0.get(key)
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Outcome, Fault>> {
        async move {
            if self.1 == Wrong::Full {
                self.2.count().await;
                return Err(Fault::Refused("no space".to_owned()));
            }
            self.0.write(write).await
        }
        .boxed()
    }
}

/// Drives a member of a bad store.
fn start(wrong: Wrong) -> (Arc<Shared>, Tries, JoinHandle<()>) {
    let node = NodeId::parse("a").expect("a name");
    let tries = Tries::default();
    let store = Bad(Memory::new(Hub::new(), node.clone()), wrong, tries.clone());
    let shared = Shared::new(node, Options::default(), false);
    let driver = tokio::spawn(drive(shared.clone(), Box::new(store)));
    (shared, tries, driver)
}

async fn in_half_a_minute(tries: &Tries, driver: JoinHandle<()>) -> usize {
    tokio::time::sleep(Duration::from_secs(30)).await;
    driver.abort();
    tries.0.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_always_forgotten_is_not_listed_in_circles() {
    let (_, tries, driver) = start(Wrong::Forgetful);
    let tries = in_half_a_minute(&tries, driver).await;
    assert!((20..100).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn sessions_that_never_last_are_not_opened_in_circles() {
    let (_, tries, driver) = start(Wrong::Short);
    let tries = in_half_a_minute(&tries, driver).await;
    assert!((20..100).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_written_in_circles() {
    let (shared, tries, driver) = start(Wrong::Full);
    shared.state().assume(StreamRecord {
        key: StreamKey::parse("live/cam").expect("a key"),
        node: shared.node.clone(),
        epoch: Epoch::new(5, shared.node.number()),
        identity: None,
        protocol: "rtmp".to_owned(),
        state: StreamState::Live,
        since: 0,
        numbering: Numbering::default(),
    });
    let tries = in_half_a_minute(&tries, driver).await;
    assert!((20..100).contains(&tries), "{tries}");
}
