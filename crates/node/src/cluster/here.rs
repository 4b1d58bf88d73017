//! What this node itself has, as its actors tell it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use directory::{NodeRecord, Role};
use futures::StreamExt;
use media::StreamKey;
use ractor::rpc::CallResult;
use ractor::{ActorRef, Message, RpcReplyPort};

use crate::context::Context;
use crate::status::{Node, Place, Served, State, StreamSnapshot, Timestamp, served};
use crate::{node, stream};

/// Answers within a node take microseconds. Whoever asked from another node waits no longer than a second.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many streams are asked at a time.
const AT_A_TIME: usize = 64;

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
    pub(super) async fn node(&self, record: Option<&NodeRecord>, leaving: bool) -> Node {
        let (listens, snapshots) = tokio::join!(
            ask(&self.node, node::Message::Listening),
            self.all_snapshots()
        );
        let known = record.map(recorded).unwrap_or_default();
        let config = &self.context.config.node;
        let draining = leaving || known.draining;
        let has_room = self.context.headroom.ready().is_ok();
        let mut node = Node {
            id: self.id.clone(),
            role: config.role.name().to_owned(),
            zone: config.zone.clone(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            load: Some(share(self.context.load())),
            draining,
            ready: Some(listens == Some(true) && !draining && has_room),
            started_at: Some(Timestamp::from_millis(self.started)),
            uptime: Some(u64::try_from((self.now() - self.started) / 1000).unwrap_or(0)),
            ..known
        };
        let published = |it: &&StreamSnapshot| {
            it.place == Place::Origin && it.state == State::Live && it.publish.is_some()
        };
        let has = |it: &&StreamSnapshot| it.place != Place::Waiting && it.state != State::Ended;
        node.streams = Some(snapshots.iter().filter(has).count() as u64);
        node.publishers = Some(snapshots.iter().filter(published).count() as u64);
        let viewers = snapshots.iter().map(|it| it.subscribers.len() as u64);
        node.viewers = Some(viewers.sum());
        node
    }

    pub(super) async fn all_served(&self) -> Vec<Served> {
        let snapshots = self.all_snapshots().await;
        let now = self.now();
        let served = snapshots.iter().map(|it| served(it, &self.id, now));
        served.collect()
    }

    pub(super) async fn served(&self, key: &StreamKey) -> Option<Served> {
        let snapshot = self.snapshot(key).await?;
        Some(served(&snapshot, &self.id, self.now()))
    }

    pub(super) async fn snapshot(&self, key: &StreamKey) -> Option<StreamSnapshot> {
        let stream = self.find(key).await?;
        ask(&stream, stream::Message::Snapshot).await
    }

    /// The actor of a stream, if there is one.
    pub(super) async fn find(&self, key: &StreamKey) -> Option<ActorRef<stream::Message>> {
        let find = |reply| node::Message::Find(key.clone(), reply);
        ask(&self.node, find).await.flatten()
    }

    /// Those that end meanwhile are left out.
    async fn all_snapshots(&self) -> Vec<StreamSnapshot> {
        let streams = ask(&self.node, node::Message::Snapshots).await;
        let snapshots = futures::stream::iter(streams.unwrap_or_default())
            .map(async |stream| ask(&stream, stream::Message::Snapshot).await)
            .buffer_unordered(AT_A_TIME)
            .filter_map(std::future::ready);
        snapshots.collect().await
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

/// Asks an actor; `None` when it does not answer, or is gone.
pub(super) async fn ask<M: Message, T: Send + 'static>(
    actor: &ActorRef<M>,
    question: impl FnOnce(RpcReplyPort<T>) -> M,
) -> Option<T> {
    match actor.call(question, Some(PATIENCE)).await {
        Ok(CallResult::Success(answer)) => Some(answer),
        Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => None,
    }
}
