//! A store in memory, with the faults of a real one to order.

mod data;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use self::data::Data;
use super::{Event, Fault, Item, Listing, Outcome, Session, Store, Term, Watch, Write};
use crate::NodeId;
use crate::record::Lease;

/// What all nodes of a process share.
#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// Counts up whenever a watch has something to look at.
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    data: Data,
    /// Connections of an earlier one are broken.
    era: u64,
    down: bool,
    cut: HashSet<NodeId>,
    /// How many have come to it.
    members: u64,
    granted: Vec<Granted>,
}

/// A lease, and who has it: a node, and which of those that had its name.
#[derive(Debug)]
struct Granted {
    node: NodeId,
    member: u64,
    lease: Lease,
}

impl Inner {
    fn revoke_those(&mut self, theirs: impl Fn(&Granted) -> bool) {
        let gone: Vec<_> = self
            .granted
            .extract_if(.., |granted| theirs(granted))
            .collect();
        for granted in gone {
            self.data.revoke(granted.lease);
        }
    }
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            news: watch::Sender::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is locked.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to it, and lets every watch look.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.lock());
        self.news.send_modify(|news| *news = news.wrapping_add(1));
        result
    }

    pub(crate) fn down(&self, down: bool) {
        self.change(|inner| inner.down = down);
    }

    pub(crate) fn cut(&self, node: &NodeId, cut: bool) {
        self.change(|inner| match cut {
            true => inner.cut.insert(node.clone()),
            false => inner.cut.remove(node),
        });
    }

    /// The leases of a node run out.
    pub(crate) fn expire(&self, node: &NodeId) {
        self.change(|inner| inner.revoke_those(|granted| granted.node == *node));
    }

    pub(crate) fn compact(&self) {
        self.change(|inner| inner.data.compact());
    }

    pub(crate) fn snapshot(&self) -> Data {
        self.lock().data.clone()
    }

    /// Everything becomes what it was; whoever is connected loses its connection.
    pub(crate) fn restore(&self, data: Data) {
        self.change(|inner| {
            inner.era += 1;
            // No lease is granted twice, whatever is forgotten.
            let last_lease = inner.data.last_lease();
            inner.data = data;
            inner.data.grant_after(last_lease);
        });
    }
}

/// A node's way to the store. When it is dropped, the node's leases are gone at once, unless it is
/// cut off: then somebody has to let them run out.
#[derive(Debug)]
pub(crate) struct Memory {
    shared: Arc<Shared>,
    node: NodeId,
    member: u64,
}

impl Memory {
    pub(crate) fn new(shared: Arc<Shared>, node: NodeId) -> Self {
        let member = {
            let mut inner = shared.lock();
            inner.members += 1;
            inner.members
        };
        Self {
            shared,
            node,
            member,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let cut = {
            let inner = self.shared.lock();
            inner.down || inner.cut.contains(&self.node)
        };
        if !cut {
            // Not those of whoever has come in its place by now.
            self.shared
                .change(|inner| inner.revoke_those(|granted| granted.member == self.member));
        }
    }
}

impl Store for Memory {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, Fault>> {
        let connection = Connection {
            shared: self.shared.clone(),
            node: self.node.clone(),
            member: self.member,
            era: self.shared.lock().era,
        };
        let open = connection.open().map(drop);
        async move { open.map(|()| Arc::new(connection) as Arc<dyn Session>) }.boxed()
    }

    fn leases_expire(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Connection {
    shared: Arc<Shared>,
    node: NodeId,
    member: u64,
    era: u64,
}

impl Connection {
    fn open(&self) -> Result<MutexGuard<'_, Inner>, Fault> {
        let inner = self.shared.lock();
        match inner.down || inner.era != self.era || inner.cut.contains(&self.node) {
            true => Err(Fault::Broken("cut off".to_owned())),
            false => Ok(inner),
        }
    }

    fn ask<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce(&mut Inner) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Fault>> {
        async move { Ok(ask(&mut *self.open()?)) }.boxed()
    }

    /// As [`ask`](Self::ask), where something may change.
    fn tell<'a, T: Send + 'a>(
        &'a self,
        tell: impl FnOnce(&mut Inner) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Fault>> {
        async move {
            drop(self.open()?);
            Ok(self.shared.change(tell))
        }
        .boxed()
    }
}

impl Session for Connection {
    fn place(&self) -> &str {
        "memory"
    }

    fn grant(&self, term: Term) -> BoxFuture<'_, Result<Lease, Fault>> {
        self.tell(move |inner| match term {
            Term::Renewed(_) => {
                let lease = inner.data.grant(None);
                inner.granted.push(Granted {
                    node: self.node.clone(),
                    member: self.member,
                    lease,
                });
                lease
            }
            Term::Fixed(ttl) => inner.data.grant(Some(Instant::now() + ttl)),
        })
    }

    fn keep_alive(&self, lease: Lease) -> BoxFuture<'_, Result<bool, Fault>> {
        self.ask(move |inner| inner.data.has(lease))
    }

    fn revoke(&self, lease: Lease) -> BoxFuture<'_, Result<(), Fault>> {
        self.tell(move |inner| {
            inner.granted.retain(|granted| granted.lease != lease);
            inner.data.revoke(lease);
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing, Fault>> {
        self.ask(|inner| inner.data.list())
    }

    fn watch(&self, after: i64) -> BoxFuture<'_, Result<Box<dyn Watch>, Fault>> {
        let watch = Watching {
            connection: Connection {
                shared: self.shared.clone(),
                node: self.node.clone(),
                member: self.member,
                era: self.era,
            },
            news: self.shared.news.subscribe(),
            after,
        };
        async move { Ok(Box::new(watch) as Box<dyn Watch>) }.boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Item>, Fault>> {
        self.ask(move |inner| inner.data.get(key))
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Outcome, Fault>> {
        async move { self.tell(move |inner| inner.data.write(write)).await? }.boxed()
    }
}

struct Watching {
    connection: Connection,
    news: watch::Receiver<u64>,
    after: i64,
}

impl Watching {
    /// What there is now, or when to look again even if nobody changes anything.
    fn look(&mut self) -> Result<Result<Vec<Event>, Option<Instant>>, Fault> {
        // Before looking: what changes from here on wakes us.
        self.news.mark_unchanged();
        let mut inner = self.connection.open()?;
        let events = inner.data.since(self.after)?;
        match events.last() {
            Some(last) => self.after = last.revision(),
            None => return Ok(Err(inner.data.next_expiry())),
        }
        Ok(Ok(events))
    }
}

impl Watch for Watching {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Event>, Fault>> {
        async move {
            loop {
                let due = match self.look()? {
                    Ok(events) => return Ok(events),
                    Err(due) => due,
                };
                // The sender lives as long as the connection.
                match due {
                    Some(at) => drop(tokio::time::timeout_at(at, self.news.changed()).await),
                    None => drop(self.news.changed().await),
                }
            }
        }
        .boxed()
    }
}
