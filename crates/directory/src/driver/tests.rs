use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::*;
use crate::record::Lease;
use crate::store::memory::{Memory, Shared as Hub};
use crate::store::{Item, Listing, Outcome, Term, Watch, Write};
use crate::{NodeId, Options};

/// A store whose history is always forgotten before it can be watched.
struct Forgetful(Memory, Arc<AtomicUsize>);

struct Open(Arc<dyn Session>, Arc<AtomicUsize>);

impl Store for Forgetful {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, Fault>> {
        async move { Ok(Arc::new(Open(self.0.connect().await?, self.1.clone())) as Arc<dyn Session>) }.boxed()
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
        match self.1.fetch_add(1, Ordering::Relaxed) {
            // In circles: so that the test ends.
            1000.. => std::future::pending().boxed(),
            _ => self.0.list(),
        }
    }

    fn watch(&self, _: i64) -> BoxFuture<'_, Result<Box<dyn Watch>, Fault>> {
        async { Err(Fault::Compacted) }.boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Item>, Fault>> {
        self.0.get(key)
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Outcome, Fault>> {
        self.0.write(write)
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_always_forgotten_is_not_listed_in_circles() {
    let node = NodeId::parse("a").expect("a name");
    let lists = Arc::new(AtomicUsize::new(0));
    let store = Forgetful(Memory::new(Hub::new(), node.clone()), lists.clone());
    let shared = Shared::new(node, Options::default(), false);
    let driver = tokio::spawn(drive(shared, Box::new(store)));
    tokio::time::sleep(Duration::from_secs(30)).await;
    driver.abort();
    let lists = lists.load(Ordering::Relaxed);
    assert!((20..100).contains(&lists), "{lists}");
}
