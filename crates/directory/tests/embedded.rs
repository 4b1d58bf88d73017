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

directory::contract_cases!(
    start_paused = true,
    Memory(Embedded::new(), Mutex::default())
);

#[tokio::test]
async fn a_watch_that_is_overtaken_lists_anew() {
    let hub = Embedded::new();
    let (a, b) = (
        hub.join(id("a"), Options::default()),
        hub.join(id("b"), Options::default()),
    );
    eventually(&b, "both are in", || a.is_up() && b.is_up()).await;
    let earlier = live_key("earlier");
    let _earlier = a.claim(live_record(&a, &earlier), None).await;
    eventually(&b, "the earlier is known", || b.lookup(&earlier).is_some()).await;
    let mut changes = b.changes();
    let key = live_key("cam");
    // Before b has had a chance to look.
    let claim = a.claim(live_record(&a, &key), None).now_or_never();
    let claim = claim.expect("nothing is waited for").expect("is free");
    hub.compact();
    assert_eq!(b.lookup(&key), None);
    assert_eq!(changes.next().await, Some(Change::Stream(key.clone())));
    assert_eq!(b.lookup(&key), a.lookup(&key));
    // And watches from there, and believes what it hears: nothing was away.
    let began = tokio::time::Instant::now();
    a.release(claim).await.expect("releases");
    assert_eq!(changes.next().await, Some(Change::Stream(key.clone())));
    assert_eq!(b.lookup(&key), None);
    assert!(began.elapsed() < LEASE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_predecessor_takes_nothing_along() {
    let hub = Embedded::new();
    let before = hub.join(id("a"), Options::default());
    eventually(&before, "it is in", || before.is_up()).await;
    let left = before.claim(live_record(&before, &live_key("left")), None);
    let left = left.await.expect("nobody has it");
    let a = hub.join(id("a"), Options::default());
    eventually(&a, "it is in", || a.is_up()).await;
    let claim = a.claim(live_record(&a, &live_key("cam")), None).await;
    let claim = claim.expect("nobody has it");
    let standing = a.standing(&claim);
    drop((left, before));
    eventually(&a, "what was left is gone", || {
        a.lookup(&live_key("left")).is_none()
    })
    .await;
    assert_eq!(a.standing(&claim), standing);
    assert!(a.lookup(&live_key("cam")).is_some());
}

#[tokio::test]
async fn no_lease_is_granted_twice() {
    let hub = Embedded::new();
    let before = hub.snapshot();
    let a = hub.join(id("a"), Options::default());
    let claim = a.claim(live_record(&a, &live_key("cam")), None).await;
    let claim = claim.expect("nobody has it");
    hub.cut(&id("a"));
    hub.restore(before);
    let b = hub.join(id("b"), Options::default());
    let of_b = b.claim(live_record(&b, &live_key("other")), None).await;
    let of_b = of_b.expect("nobody has it");
    hub.heal(&id("a"));
    eventually(&a, "it is claimed again", || {
        b.lookup(&live_key("cam")).is_some()
    })
    .await;
    let standing = b.standing(&of_b);
    hub.expire(&id("a"));
    eventually(&a, "it is claimed again", || {
        matches!(a.standing(&claim), directory::Standing::Held(revision) if revision.number() > 2)
    })
    .await;
    assert_eq!(b.standing(&of_b), standing, "that was a's lease alone");
}
