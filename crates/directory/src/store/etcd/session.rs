//! A connection to one member of etcd.

use std::sync::Arc;

use etcd_client::{
    Client, Compare, CompareOp, Event as EtcdEvent, GetOptions, KeyValue, KvClient,
    LeaseKeepAliveStream, LeaseKeeper, PutOptions, Txn, TxnOp, TxnOpResponse, WatchClient,
    WatchOptions, WatchStream,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use super::fault::fault;
use crate::record::Lease;
use crate::store::{Event, Fault, Item, Listing, Outcome, Put, Session, Term, Watch, When, Write};

/// So many keys are asked for at a time.
const PAGE: i64 = 500;
/// A page is not longer, nor is what a watch says at once.
const MAX_MESSAGE: usize = 64 << 20;

pub(super) struct Connection {
    client: Client,
    kv: KvClient,
    place: String,
    prefix: Arc<str>,
    /// The stream on which the lease is renewed.
    renewals: Mutex<Option<(LeaseKeeper, LeaseKeepAliveStream)>>,
}

impl Connection {
    pub(super) fn new(client: Client, place: &str, prefix: Arc<str>) -> Self {
        let kv = client.kv_client();
        let kv = kv.max_decoding_message_size(MAX_MESSAGE);
        Self {
            client,
            kv,
            place: place.to_owned(),
            prefix,
            renewals: Mutex::default(),
        }
    }

    /// Finds out whether the member answers, lets us in, and agrees with the others.
    pub(super) async fn check(&self) -> Result<(), Fault> {
        let options = GetOptions::new().with_prefix().with_count_only();
        let answer = self.kv.clone().get(&*self.prefix, Some(options)).await;
        answer.map(drop).map_err(fault)
    }

    fn key(&self, key: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_bytes()].concat()
    }

    /// What there is from a key on, and where the next page begins.
    async fn page(
        &self,
        from: Vec<u8>,
        revision: i64,
    ) -> Result<(Listing, Option<Vec<u8>>), Fault> {
        // The end of the prefix: it ends with a slash, and a zero comes next.
        let mut end = self.prefix.as_bytes().to_vec();
        end.pop();
        end.push(b'/' + 1);
        let options = GetOptions::new()
            .with_range(end)
            .with_limit(PAGE)
            .with_revision(revision);
        let mut page = self
            .kv
            .clone()
            .get(from, Some(options))
            .await
            .map_err(fault)?;
        let revision = page.header().map_or(0, |header| header.revision());
        // Behind the last key, whether that is ours or not.
        let last = page.kvs().last().filter(|_| page.more());
        let next = last.map(|kv| [kv.key(), b"\0"].concat());
        let items = page
            .take_kvs()
            .into_iter()
            .filter_map(|kv| item(kv, &self.prefix))
            .collect();
        Ok((Listing { items, revision }, next))
    }

    async fn all(&self) -> Result<Listing, Fault> {
        let mut from = self.key("");
        let mut listing = Listing::default();
        loop {
            let (page, next) = self.page(from, listing.revision).await?;
            // Later pages are of the revision of the first, whatever has happened since.
            if listing.revision == 0 {
                listing.revision = page.revision;
            }
            listing.items.extend(page.items);
            match next {
                Some(next) => from = next,
                None => return Ok(listing),
            }
        }
    }

    async fn renew(&self, lease: Lease) -> Result<bool, Fault> {
        let mut renewals = self.renewals.lock().await;
        if let Some((keeper, answers)) = renewals
            .as_mut()
            .filter(|(keeper, _)| keeper.id() == lease.0)
        {
            keeper.keep_alive().await.map_err(fault)?;
            let answer = answers.message().await.map_err(fault)?;
            let answer = answer.ok_or_else(|| Fault::Broken("renewals ended".to_owned()))?;
            return Ok(answer.ttl() > 0);
        }
        match self
            .client
            .lease_client()
            .keep_alive(lease.0)
            .await
            .map_err(fault)
        {
            Ok(open) => *renewals = Some(open),
            Err(Fault::NoLease) => return Ok(false),
            Err(fault) => return Err(fault),
        }
        Ok(true)
    }

    async fn change(&self, write: Write) -> Result<Outcome, Fault> {
        let key = self.key(&write.key);
        let change = match write.change {
            Put::Value { value, lease } => TxnOp::put(
                key.clone(),
                value,
                Some(PutOptions::new().with_lease(lease.0)),
            ),
            Put::Nothing => TxnOp::delete(key.clone(), None),
        };
        let when = match write.when {
            When::Always => Vec::new(),
            When::Absent => vec![Compare::create_revision(key.clone(), CompareOp::Equal, 0)],
            When::At(at) => vec![Compare::mod_revision(key.clone(), CompareOp::Equal, at)],
        };
        let transaction = Txn::new()
            .when(when)
            .and_then([change])
            .or_else([TxnOp::get(key, None)]);
        let answer = self.kv.clone().txn(transaction).await.map_err(fault)?;
        if answer.succeeded() {
            return Ok(Outcome::Done(
                answer.header().map_or(0, |header| header.revision()),
            ));
        }
        let there = answer
            .op_responses()
            .into_iter()
            .find_map(|answer| match answer {
                TxnOpResponse::Get(mut get) => get.take_kvs().into_iter().next(),
                _ => None,
            });
        Ok(Outcome::Differs(
            there.and_then(|kv| item(kv, &self.prefix)),
        ))
    }

    async fn watching(&self, after: i64) -> Result<Box<dyn Watch>, Fault> {
        let options = WatchOptions::new()
            .with_prefix()
            .with_start_revision(after + 1);
        let client: WatchClient = self.client.watch_client();
        let mut client = client.max_decoding_message_size(MAX_MESSAGE);
        let stream = client
            .watch(&*self.prefix, Some(options))
            .await
            .map_err(fault)?;
        let mut watching = Watching {
            stream,
            prefix: self.prefix.clone(),
        };
        // The first answer says whether there is a watch. It has no events.
        watching.next().await?;
        Ok(Box::new(watching))
    }
}

impl Session for Connection {
    fn place(&self) -> &str {
        &self.place
    }

    fn grant(&self, term: Term) -> BoxFuture<'_, Result<Lease, Fault>> {
        let (Term::Renewed(ttl) | Term::Fixed(ttl)) = term;
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let seconds = i64::try_from(seconds.max(1)).unwrap_or(i64::MAX);
        async move {
            let mut leases = self.client.lease_client();
            let granted = leases.grant(seconds, None).await.map_err(fault)?;
            Ok(Lease(granted.id()))
        }
        .boxed()
    }

    fn keep_alive(&self, lease: Lease) -> BoxFuture<'_, Result<bool, Fault>> {
        self.renew(lease).boxed()
    }

    fn revoke(&self, lease: Lease) -> BoxFuture<'_, Result<(), Fault>> {
        async move {
            let mut leases = self.client.lease_client();
            leases.revoke(lease.0).await.map(drop).map_err(fault)
        }
        .boxed()
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing, Fault>> {
        self.all().boxed()
    }

    fn watch(&self, after: i64) -> BoxFuture<'_, Result<Box<dyn Watch>, Fault>> {
        self.watching(after).boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Item>, Fault>> {
        async move {
            let mut answer = self
                .kv
                .clone()
                .get(self.key(key), None)
                .await
                .map_err(fault)?;
            let first = answer.take_kvs().into_iter().next();
            Ok(first.and_then(|kv| item(kv, &self.prefix)))
        }
        .boxed()
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Outcome, Fault>> {
        self.change(write).boxed()
    }
}

struct Watching {
    stream: WatchStream,
    prefix: Arc<str>,
}

impl Watch for Watching {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Event>, Fault>> {
        async move {
            let ended = || Fault::Broken("the watch ended".to_owned());
            let answer = self
                .stream
                .message()
                .await
                .map_err(fault)?
                .ok_or_else(ended)?;
            if answer.compact_revision() > 0 {
                return Err(Fault::Compacted);
            }
            if answer.canceled() {
                let reason = answer.cancel_reason();
                return Err(match reason.contains("permission denied") {
                    true => Fault::Refused(reason.to_owned()),
                    false => Fault::Broken(format!("the watch was cancelled: {reason}")),
                });
            }
            let events = answer
                .events()
                .iter()
                .filter_map(|happened| event(happened, &self.prefix));
            Ok(events.collect())
        }
        .boxed()
    }
}

fn event(happened: &EtcdEvent, prefix: &str) -> Option<Event> {
    let kv = happened.kv()?;
    // Not by the type, of which etcd-client panics if it does not know it: what is there has been
    // written at least once.
    match kv.version() {
        0 => {
            let key = below(kv.key(), prefix)?;
            Some(Event::Gone {
                key,
                revision: kv.mod_revision(),
            })
        }
        _ => item(kv.clone(), prefix).map(Event::Put),
    }
}

fn item(kv: KeyValue, prefix: &str) -> Option<Item> {
    let (revision, lease) = (kv.mod_revision(), Lease(kv.lease()));
    let (key, value) = kv.into_key_value();
    Some(Item {
        key: below(&key, prefix)?,
        value,
        revision,
        lease,
    })
}

/// The key below the prefix. What is not UTF-8 is not ours.
fn below(key: &[u8], prefix: &str) -> Option<String> {
    let below = key.strip_prefix(prefix.as_bytes())?;
    Some(std::str::from_utf8(below).ok()?.to_owned())
}
