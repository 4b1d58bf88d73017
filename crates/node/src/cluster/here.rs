//! What this node itself has, as its actors tell it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use directory::{NodeRecord, Role};
use futures::StreamExt;
use media::StreamKey;
use ractor::rpc::CallResult;
use ractor::{ActorRef, Message, RpcReplyPort};

use super::listing::Listing;
use crate::context::Context;
use crate::status::{
    Node, Place, Refusal, RefusalKind, Served, State, StreamSnapshot, Subscriber, Timestamp,
    served, subscribers,
};
use crate::{node, stream};

/// Answers within a node take microseconds. Whoever asked from another node waits no longer than a second.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many streams are asked at a time.
const AT_A_TIME: usize = 64;

/// An actor of this node has not answered in time: what it knows may be there, and is not known.
#[derive(Debug, thiserror::Error)]
#[error("{0} is too busy to answer; ask again in a moment")]
pub(super) struct Busy(pub(super) String);

impl From<Busy> for Refusal {
    fn from(busy: Busy) -> Self {
        Self::new(RefusalKind::Busy, busy.to_string())
    }
}

impl From<Busy> for relay::Refusal {
    fn from(busy: Busy) -> Self {
        Refusal::from(busy).into()
    }
}

/// This node.
pub(super) struct Here {
    id: String,
    context: Arc<Context>,
    node: ActorRef<node::Message>,
    /// When it started, in milliseconds since 1970.
    started: i64,
}

impl Here {
    pub(super) fn new(id: String, context: Arc<Context>, node: ActorRef<node::Message>) -> Self {
        Self {
            started: context.clock.now() / 1_000_000,
            id,
            context,
            node,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.context.clock.now() / 1_000_000
    }

    pub(super) fn actor(&self) -> &ActorRef<node::Message> {
        &self.node
    }

    /// What it says of itself; `record` is what the directory has of it.
    pub(super) async fn node(
        &self,
        record: Option<&NodeRecord>,
        leaving: bool,
    ) -> Result<Node, Busy> {
        let (listens, snapshots) = tokio::join!(
            self.ask(&self.node, node::Message::Listening),
            self.all_snapshots()
        );
        let (listens, (snapshots, is_all)) = (listens?, snapshots?);
        if !is_all {
            return Err(self.busy());
        }
        let mut node = self.known(record, leaving);
        let is_in = self.context.membership.belongs().is_ok();
        let has_room = self.context.has_room().is_ok();
        let was_up = self.context.membership.directory.was_up();
        node.ready = Some(listens == Some(true) && !node.draining && is_in && has_room && was_up);
        let published = |it: &&StreamSnapshot| {
            it.place == Place::Origin && it.state == State::Live && it.publish.is_some()
        };
        let has = |it: &&StreamSnapshot| it.place != Place::Waiting && it.state != State::Ended;
        node.streams = Some(snapshots.iter().filter(has).count() as u64);
        node.publishers = Some(snapshots.iter().filter(published).count() as u64);
        let viewers = snapshots.iter().map(StreamSnapshot::viewers);
        node.viewers = Some(viewers.sum());
        Ok(node)
    }

    /// The same without what only its actors know.
    pub(super) fn known(&self, record: Option<&NodeRecord>, leaving: bool) -> Node {
        let known = record.map(recorded).unwrap_or_default();
        let config = &self.context.config.node;
        let membership = &self.context.membership;
        Node {
            id: self.id.clone(),
            role: config.role.name().to_owned(),
            zone: config.zone.clone(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            load: Some(share(self.context.load())),
            draining: leaving || known.draining,
            started_at: Some(Timestamp::from_millis(self.started)),
            uptime: Some(u64::try_from((self.now() - self.started) / 1000).unwrap_or(0)),
            directory_up: membership
                .relay
                .as_ref()
                .map(|_| membership.directory.is_up()),
            ..known
        }
    }

    pub(super) async fn all_served(&self) -> Result<Listing<Served>, Busy> {
        let (snapshots, is_all) = self.all_snapshots().await?;
        let now = self.now();
        let served = snapshots.iter().map(|it| served(it, &self.id, now));
        let mut listing = Listing::streams(served.collect());
        if !is_all {
            listing.unreachable.push(self.id.clone());
        }
        Ok(listing)
    }

    pub(super) async fn served(&self, key: &StreamKey) -> Result<Option<Served>, Busy> {
        let snapshot = self.snapshot(key).await?;
        Ok(snapshot.map(|snapshot| {
            let on_air = snapshot.ring.stats().epoch;
            let standby = self.context.publishers.standby(key, on_air);
            Served {
                standby: standby.map(|address| address.to_string()),
                ..served(&snapshot, &self.id, self.now())
            }
        }))
    }

    /// Who watches a stream here, if there is one.
    pub(super) async fn subscribers(
        &self,
        key: &StreamKey,
    ) -> Result<Option<Listing<Subscriber>>, Busy> {
        let snapshot = self.snapshot(key).await?;
        let listed = |it| Listing::subscribers(subscribers(&it, &self.id, self.now()));
        Ok(snapshot.map(listed))
    }

    pub(super) async fn snapshot(&self, key: &StreamKey) -> Result<Option<StreamSnapshot>, Busy> {
        match self.find(key).await? {
            Some(stream) => self.ask(&stream, stream::Message::Snapshot).await,
            None => Ok(None),
        }
    }

    /// The actor of a stream, if there is one.
    pub(super) async fn find(
        &self,
        key: &StreamKey,
    ) -> Result<Option<ActorRef<stream::Message>>, Busy> {
        let find = |reply| node::Message::Find(key.clone(), reply);
        Ok(self.ask(&self.node, find).await?.flatten())
    }

    /// Of those streams that answer, and whether all did. Those that end meanwhile are left out.
    async fn all_snapshots(&self) -> Result<(Vec<StreamSnapshot>, bool), Busy> {
        let streams = self.ask(&self.node, node::Message::Snapshots).await?;
        let answers = futures::stream::iter(streams.unwrap_or_default())
            .map(|stream| async move { self.ask(&stream, stream::Message::Snapshot).await })
            .buffer_unordered(AT_A_TIME);
        let answers: Vec<_> = answers.collect().await;
        let is_all = answers.iter().all(Result::is_ok);
        Ok((answers.into_iter().flatten().flatten().collect(), is_all))
    }

    /// Asks an actor; `None` when it is gone.
    pub(super) async fn ask<M: Message, T: Send + 'static>(
        &self,
        actor: &ActorRef<M>,
        question: impl FnOnce(RpcReplyPort<T>) -> M,
    ) -> Result<Option<T>, Busy> {
        match actor.call(question, Some(PATIENCE)).await {
            Ok(CallResult::Success(answer)) => Ok(Some(answer)),
            Ok(CallResult::Timeout) => Err(self.busy()),
            Ok(CallResult::SenderError) | Err(_) => Ok(None),
        }
    }

    pub(super) fn busy(&self) -> Busy {
        Busy(self.id.clone())
    }
}

/// What the directory says of a node.
pub(super) fn recorded(record: &NodeRecord) -> Node {
    let role = match record.role {
        Role::All => "all",
        Role::Origin => "origin",
        Role::Edge => "edge",
        Role::Other => "other",
    };
    let started = i64::try_from(record.started).unwrap_or(i64::MAX);
    let clock = i64::try_from(record.clock).unwrap_or(i64::MAX);
    let known = |number: i64| Some(Timestamp::from_millis(number)).filter(|_| number > 0);
    Node {
        id: record.id.to_string(),
        role: role.to_owned(),
        addresses: record
            .addresses
            .clone()
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        zone: record.zone.clone(),
        version: Some(record.software.clone()).filter(|version| !version.is_empty()),
        load: Some(share(record.load)),
        draining: record.draining,
        started_at: known(started),
        uptime: known(started)
            .zip(known(clock))
            .map(|(started, clock)| started.seconds_to(clock)),
        ..Node::default()
    }
}

/// A share of a whole, to two digits.
fn share(load: f64) -> f64 {
    (load.clamp(0.0, 1.0) * 100.0).round() / 100.0
}
