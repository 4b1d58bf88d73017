//! The contract, in memory.

use std::sync::{Arc, Mutex};

use directory::contract::{Backend, LEASE, eventually, live_key, live_record};
use directory::{Change, Directory, Embedded, NodeId, Options, Snapshot};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use weir_directory as directory;

struct Memory(Embedded, Mutex<Option<Snapshot>>);

fn id(node: &str) -> NodeId {
    NodeId::parse(node).expect("a name")
}

impl Backend for Memory {
    fn join(&self, node: &str, options: Options) -> Arc<dyn Directory> {
        self.0.join(
            id(node),
            Options {
                lease_ttl: LEASE,
                ..options
            },
        )
    }

    fn cut<'a>(&'a self, node: &'a str, cut: bool) -> BoxFuture<'a, ()> {
        match cut {
            true => self.0.cut(&id(node)),
            false => self.0.heal(&id(node)),
        }
        ready(()).boxed()
    }

    fn expire<'a>(&'a self, node: &'a str) -> BoxFuture<'a, ()> {
        self.0.expire(&id(node));
        ready(()).boxed()
    }

    fn stop(&self, stopped: bool) -> BoxFuture<'_, ()> {
        self.0.down(stopped);
        ready(()).boxed()
    }

    fn stall<'a>(&'a self, nodes: &'a [&'a str]) -> BoxFuture<'a, ()> {
        self.0.down(true);
        for node in nodes {
            self.0.expire(&id(node));
        }
        async {
            // So that everybody has noticed.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            self.0.down(false);
        }
        .boxed()
    }

    fn compact(&self) -> BoxFuture<'_, ()> {
        self.0.compact();
        ready(()).boxed()
    }

    fn back_up(&self) -> BoxFuture<'_, ()> {
        *self.1.lock().expect("a lock") = Some(self.0.snapshot());
        ready(()).boxed()
    }

    fn restore(&self) -> BoxFuture<'_, ()> {
        let snapshot = self.1.lock().expect("a lock").take();
        self.0.restore(snapshot.expect("it was backed up"));
        ready(()).boxed()
    }
}

directory::contract_cases!(Memory(Embedded::new(), Mutex::default()));

#[tokio::test]
async fn a_watch_that_is_overtaken_lists_anew() {
    let hub = Embedded::new();
    let (a, b) = (
        hub.join(id("a"), Options::default()),
        hub.join(id("b"), Options::default()),
    );
    eventually(&b, "both are in", || a.is_up() && b.is_up()).await;
    let mut changes = b.changes();
    let key = live_key("cam");
    // Before b has had a chance to look.
    let claim = a.claim(live_record(&a, &key), None).now_or_never();
    let claim = claim.expect("nothing is waited for").expect("is free");
    hub.compact();
    assert_eq!(b.lookup(&key), None);
    assert_eq!(changes.next().await, Some(Change::Stream(key.clone())));
    assert_eq!(b.lookup(&key), a.lookup(&key));
    // And watches from there.
    a.release(claim).await.expect("releases");
    assert_eq!(changes.next().await, Some(Change::Stream(key.clone())));
    assert_eq!(b.lookup(&key), None);
}
